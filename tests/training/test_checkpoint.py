"""Checkpoints: whole or ignored, two of them, never a pickle; weights: exact, or refused with every reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from regrow.errors import ConfigError, StoreError
from regrow.training.checkpoint import Checkpoints, Progress, load_weights, save_weights
from regrow.training.learner import Learner, open_fabric
from tests.training.samples import PLAIN, network, recipe, same_bits, stream

Damage = Callable[[Path], object]


def taught(optimizer: str = "sgd", epochs: int = 1, channels_last: bool = False) -> Learner:
    learner = Learner(network(), recipe(optimizer=optimizer), PLAIN, open_fabric(PLAIN))
    if channels_last:
        learner.network.to(memory_format=torch.channels_last)
    for epoch in range(epochs):
        learner.learn(stream().epoch(epoch), [0.01] * 4)
    return learner


def progress(epochs: int) -> Progress:
    return Progress(
        history=[{"epoch": epoch + 1, "loss": 1 / 3} for epoch in range(epochs)], train_seconds=0.1 * epochs
    )


def checkpoints(folder: Path, run: object = "this", every: float = 0.0) -> Checkpoints:
    return Checkpoints(folder, run, every_seconds=every)


def write(folder: Path, epochs: int, learner: Learner | None = None) -> Learner:
    learner = learner or taught(epochs=epochs)
    checkpoints(folder).save_if_due(learner.network, learner.optimizer, progress(epochs))
    return learner


def resumed_epochs(folder: Path, run: object = "this") -> int:
    learner = taught(epochs=0)
    return len(checkpoints(folder, run).resume(learner.network, learner.optimizer).history)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_network_and_optimiser_come_back_bit_for_bit_and_in_their_layout(
    tmp_path: Path, optimizer: str, channels_last: bool
) -> None:
    learner = write(tmp_path, 1, taught(optimizer, channels_last=channels_last))
    fresh = taught(optimizer, epochs=0, channels_last=channels_last)
    found = checkpoints(tmp_path).resume(fresh.network, fresh.optimizer)
    assert found == progress(1)
    assert same_bits(learner.network, fresh.network)
    for one, other in zip(learner.network.parameters(), fresh.network.parameters(), strict=True):
        state, again = learner.optimizer.state[one], fresh.optimizer.state[other]
        assert state.keys() == again.keys() and state
        assert all(torch.equal(state[key], again[key]) for key in state)
        assert all(state[key].stride() == again[key].stride() for key in state)


def test_nothing_is_resumed_from_an_empty_folder(tmp_path: Path) -> None:
    learner, untouched = taught(epochs=1), taught(epochs=1)
    assert checkpoints(tmp_path).resume(learner.network, learner.optimizer) == Progress()
    assert same_bits(learner.network, untouched.network)


def test_the_newest_two_are_kept_and_nothing_else(tmp_path: Path) -> None:
    learner = taught()
    for epochs in (1, 2, 3):
        write(tmp_path, epochs, learner)
    (tmp_path / "000007.part").write_bytes(b"killed here")
    (tmp_path / ".000007.json.x.tmp").write_bytes(b"or here")
    (tmp_path / "000008.safetensors").write_bytes(b"or there")
    write(tmp_path, 12, learner)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000003.json",
        "000003.safetensors",
        "000012.json",
        "000012.safetensors",
    ]


def test_a_checkpoint_is_written_only_when_the_last_one_is_old_enough(tmp_path: Path) -> None:
    learner = taught()
    checkpoints(tmp_path / "often", every=0).save_if_due(learner.network, learner.optimizer, progress(1))
    checkpoints(tmp_path / "seldom", every=60).save_if_due(learner.network, learner.optimizer, progress(1))
    assert (tmp_path / "often").exists()
    assert not (tmp_path / "seldom").exists()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def claim_more_epochs(path: Path) -> None:
    record = json.loads(path.read_text())
    record["history"] *= 2
    path.write_text(json.dumps(record))


def not_an_object(path: Path) -> None:
    path.write_text("[]")


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".safetensors", truncate),
        (".safetensors", flip_a_bit),
        (".safetensors", empty),
        (".safetensors", Path.unlink),
        (".json", truncate),
        (".json", empty),
        (".json", claim_more_epochs),
        (".json", not_an_object),
        (".json", Path.unlink),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, suffix: str, damage: Damage) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    assert resumed_epochs(tmp_path) == 2
    damage(tmp_path / f"000002{suffix}")
    assert resumed_epochs(tmp_path) == 1
    damage(tmp_path / f"000001{suffix}")
    assert resumed_epochs(tmp_path) == 0


def test_a_checkpoint_of_another_training_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, 1)
    assert resumed_epochs(tmp_path, run={"lr": 0.1}) == 0
    assert resumed_epochs(tmp_path) == 1


def test_a_checkpoint_that_cannot_be_written_says_why_and_leaves_the_one_before(tmp_path: Path) -> None:
    learner = write(tmp_path, 1)
    (tmp_path / "000002.part").mkdir()
    with pytest.raises(StoreError, match=r"could not be written to .*training goes on from the checkpoint before"):
        write(tmp_path, 2, learner)
    assert resumed_epochs(tmp_path) == 1


def test_a_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    write(tmp_path, 1)
    for path in tmp_path.iterdir():
        assert path.suffix in (".json", ".safetensors")
        assert b"\x80\x04" not in path.read_bytes()[:64]


def test_weights_come_back_bit_for_bit_into_the_layout_of_the_network(tmp_path: Path) -> None:
    net = taught(channels_last=True).network
    save_weights(net, tmp_path / "w.safetensors")
    plain = network(seed=1)
    load_weights(plain, tmp_path / "w.safetensors")
    assert same_bits(net, plain)
    assert plain.state_dict()["3.weight"].is_contiguous()


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    save_weights(network(), tmp_path / "a")
    save_weights(network().to(memory_format=torch.channels_last), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tied_weights_are_saved_under_both_names(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    tied[1].weight = tied[0].weight
    save_weights(tied, tmp_path / "w")
    loose = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    load_weights(loose, tmp_path / "w")
    assert torch.equal(loose[0].weight, tied[0].weight)
    assert torch.equal(loose[1].weight, tied[0].weight)


def test_weights_that_do_not_fit_are_refused_with_every_reason_and_change_nothing(tmp_path: Path) -> None:
    tensors = {name: tensor.clone() + 1 for name, tensor in network().state_dict().items()}
    del tensors["1.bias"]
    tensors["9.extra"] = torch.zeros(1)
    tensors["7.weight"] = torch.zeros(4, 9)
    save_file(tensors, tmp_path / "w")
    net = network()
    with pytest.raises(ConfigError) as caught:
        load_weights(net, tmp_path / "w")
    assert [(fault.key, fault.rule) for fault in caught.value.faults] == [
        ("1.bias", "is missing; the network has a tensor of this name"),
        ("7.weight", "must have shape [4, 8]; found [4, 9]"),
        ("9.extra", "is not a tensor of the network"),
    ]
    assert same_bits(net, network())


def test_a_pickled_checkpoint_is_refused_unopened(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"must be a readable safetensors file.*\n.*pickled checkpoints"):
        load_weights(network(), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="must be a readable safetensors file"):
        load_weights(network(), tmp_path / "absent")
