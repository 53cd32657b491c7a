from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from regrow.channels.fingerprint import fingerprint
from regrow.errors import ConfigError
from regrow.training.weights_file import load_weights_file, read_weights


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def written(value: Any, path: Path) -> Path:
    """As a training program would write it."""
    content = io.BytesIO()
    torch.serialization.save(value, content)
    path.write_bytes(content.getvalue())
    return path


def refused(path: Path) -> str:
    target = network()
    before = fingerprint(target)
    with pytest.raises(ConfigError) as caught:
        load_weights_file(target, path)
    assert fingerprint(target) == before
    return str(caught.value)


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def test_a_safetensors_file_fills_the_network(tmp_path: Path) -> None:
    save_file(network(1).state_dict(), tmp_path / "w.safetensors")
    target = network()
    load_weights_file(target, tmp_path / "w.safetensors")
    assert fingerprint(target) == fingerprint(network(1))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: prefixed("module.", state),
        lambda state: {"state_dict": prefixed("module._orig_mod.", state)},
    ],
)
def test_a_file_of_torch_is_read_in_the_forms_that_programs_write(wrap: Any, tmp_path: Path) -> None:
    target = network()
    load_weights_file(target, written(wrap(dict(network(1).state_dict())), tmp_path / "w.pth"))
    assert fingerprint(target) == fingerprint(network(1))


def test_a_file_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    message = refused(written({"a": Trap()}, tmp_path / "w.pt"))
    assert "it is not opened, because it might run code" in message
    assert "Save network.state_dict(), not the network" in message
    assert not (tmp_path / "ran").exists()


def test_a_whole_network_is_not_opened_either(tmp_path: Path) -> None:
    assert "it might run code" in refused(written(network(1), tmp_path / "w.pt"))


def test_what_is_no_file_of_weights_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_text("hello")
    (tmp_path / "w.safetensors").write_text("hello")
    with zipfile.ZipFile(tmp_path / "empty.pt", "w"):
        pass
    assert "no such file" in refused(tmp_path / "absent.pt")
    assert "no file of torch.save" in refused(tmp_path / "w.pt")
    assert "no file of torch.save" in refused(tmp_path / "empty.pt")
    assert "cannot be read" in refused(tmp_path / "w.safetensors")
    assert "must hold the tensors of one network by name; found lr, epoch" in refused(
        written({"lr": 0.1, "epoch": 3}, tmp_path / "log.pt")
    )
    assert "found Tensor" in refused(written(torch.ones(2), tmp_path / "tensor.pt"))


def test_every_tensor_that_does_not_fit_is_named(tmp_path: Path) -> None:
    state = network(1).state_dict()
    state["more"] = torch.ones(1)
    state["0.weight"] = torch.ones(3, 1, 3, 3)
    del state["1.bias"]
    message = refused(written(dict(state), tmp_path / "w.pt"))
    assert "0.weight: must have shape [2, 1, 3, 3]; found [3, 1, 3, 3]" in message
    assert "1.bias: is missing" in message and "more: is not a tensor of the network" in message


def test_tensors_are_given_by_name_on_the_cpu(tmp_path: Path) -> None:
    found = read_weights(written({"a": torch.ones(2)}, tmp_path / "w.pt"))
    assert list(found) == ["a"] and found["a"].device.type == "cpu"
