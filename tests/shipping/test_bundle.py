from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import regrow
from regrow.channels.architecture import Architecture, write_architecture
from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.errors import ConfigError, StoreError
from regrow.shipping.bundle import load, save
from regrow.shipping.record import ARCHITECTURE, FILES, RECORD, WEIGHTS, stored_file

from ..channels.residual import IMAGES, Around, Asking, Deep, Telling
from ..channels.zoo_networks import SHAPE, random_architecture, restless, small_spec
from .small_networks import Tied, Tiny, images, tied, tiny, tokens

ROOT = Path(__file__).parents[2]

READER = """
import pickle, sys, torch
def refuse(*args, **kwargs): raise AssertionError("a pickle was read")
pickle.load = pickle.loads = pickle.Unpickler = torch.load = refuse
import regrow
from pathlib import Path
from safetensors.torch import load_file, save_file
from tests.shipping.small_networks import Tied, Tiny
torch.set_num_threads(1)
torch.set_grad_enabled(False)
for name, factory in (("Tiny", Tiny), ("Tied", Tied), ("zoo", None)):
    folder = Path(sys.argv[1]) / name
    network = regrow.load(folder / "bundle", factory)
    save_file({"y": network(load_file(folder / "x")["x"]).contiguous()}, folder / "y")
"""


def zoo() -> tuple[nn.Module, Architecture]:
    dense = small_spec("densenet40")
    network = restless(dense)
    architecture = random_architecture(network, dense)
    return carve(network, architecture), architecture


def test_a_fresh_process_computes_the_same_bits_and_reads_no_pickle(tmp_path: Path) -> None:
    double = torch.randn(2, *SHAPE, dtype=torch.float64)
    cases = {"Tiny": (*tiny(), images()), "Tied": (*tied(), tokens()), "zoo": (*zoo(), double)}
    for name, (network, architecture, inputs) in cases.items():
        save(network, architecture, tmp_path / name / "bundle")
        save_file({"x": inputs}, tmp_path / name / "x")
    subprocess.run([sys.executable, "-c", READER, str(tmp_path)], check=True, cwd=ROOT)
    for name, (network, _, inputs) in cases.items():
        with torch.no_grad():
            assert torch.equal(load_file(tmp_path / name / "y")["y"], network(inputs)), name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(*tiny(), tmp_path / "bundle")


def test_public_names_are_these_functions() -> None:
    assert regrow.save is save and regrow.load is load


def test_every_tensor_type_mode_and_flag_comes_back(tmp_path: Path) -> None:
    network, architecture = tiny()
    network.conv1.bfloat16()
    network.head.half().weight.requires_grad_(False)
    network.norm.double()
    network.drop.train()
    with torch.no_grad():
        network.get_buffer("shift").add_(1)
    loaded = load(save(network, architecture, tmp_path / "bundle"), Tiny)
    assert fingerprint(loaded) == fingerprint(network)
    assert torch.equal(loaded.get_buffer("shift"), network.get_buffer("shift"))
    assert [m.training for m in loaded.modules()] == [m.training for m in network.modules()]
    flags = [(name, p.requires_grad, p.dtype) for name, p in loaded.named_parameters()]
    assert flags == [(name, p.requires_grad, p.dtype) for name, p in network.named_parameters()]
    assert "shift" not in loaded.state_dict()


def test_tied_weights_are_stored_once_and_come_back_tied(tmp_path: Path) -> None:
    folder = save(*tied(), tmp_path / "bundle")
    assert "answer.weight" not in load_file(folder / WEIGHTS)
    loaded = load(folder, Tied)
    assert loaded.get_parameter("answer.weight") is loaded.get_parameter("words.weight")


@pytest.mark.parametrize("make", [tiny, tied, zoo])
def test_the_loaded_network_is_the_small_one_in_every_number_of_its_modules(
    make: Callable[[], tuple[nn.Module, Architecture]], tmp_path: Path
) -> None:
    network, architecture = make()
    loaded = load(save(network, architecture, tmp_path / "bundle"), {tiny: Tiny, tied: Tied}.get(make))
    assert str(loaded) == str(network)
    for name, module in network.named_modules():
        found = vars(loaded.get_submodule(name))
        plain = {key: value for key, value in vars(module).items() if isinstance(value, int | str | tuple | dict)}
        assert {key: found[key] for key in plain if key[0] != "_"} == {k: v for k, v in plain.items() if k[0] != "_"}


def test_the_loaded_network_trains(folder: Path) -> None:
    network = load(folder, Tiny).train()
    network(images()).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_weights_file_holds_tensors_and_nothing_else(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    spans = sorted(tuple(entry["data_offsets"]) for entry in header.values())
    assert spans[0][0] == 0 and spans[-1][1] == len(data) - 8 - length
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
    for name in set(FILES) - {WEIGHTS}:
        (folder / name).read_text(encoding="utf-8")


def test_the_factory_may_hand_out_one_object_which_stays_as_it_is(folder: Path) -> None:
    dense = Tiny()
    before = fingerprint(dense)
    small = load(folder, lambda: dense)
    assert fingerprint(dense) == before and dense.conv1.out_channels == 8
    assert small.get_submodule("conv1").out_channels == 5
    assert small.sizes == {"features": [4, 4]} and dense.sizes == {"features": [6, 4]}


def test_the_factory_may_build_on_the_meta_device(folder: Path) -> None:
    def factory() -> nn.Module:
        with torch.device("meta"):
            return Tiny()

    with torch.no_grad():
        assert torch.equal(load(folder, factory)(images()), tiny()[0](images()))


def test_loading_draws_none_of_the_caller_s_random_numbers(folder: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    load(folder, Tiny)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_only_code_can_build_needs_its_factory(folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"pass the function that builds the dense network, regrow.load\(path, factory\)"
    ):
        load(folder)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Tied, "Tied where the bundle has Tiny"),
        (lambda: Tiny(classes=4), r"head.bias is a parameter of shape \[4\]"),
        (lambda: Tiny((5, 4)), r"bn1.bias is a parameter of shape \[5\]"),
        (lambda: None, "must give a torch.nn.Module, the dense network; it gave NoneType"),
    ],
)
def test_a_wrong_factory_is_refused(folder: Path, factory: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(folder, factory)


@pytest.mark.parametrize("name", [WEIGHTS, ARCHITECTURE])
@pytest.mark.parametrize("place", [0, 8, -1])
def test_a_flipped_bit_is_noticed(folder: Path, name: str, place: int) -> None:
    data = bytearray((folder / name).read_bytes())
    data[place] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(StoreError, match="is not the file that was saved"):
        load(folder, Tiny)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_noticed(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    if name == "README.md":  # it is for people
        load(folder, Tiny)
        return
    with pytest.raises(StoreError, match=r"was cut short or replaced|is not JSON"):
        load(folder, Tiny)


@pytest.mark.parametrize("name", [WEIGHTS, ARCHITECTURE, RECORD])
def test_a_missing_file_is_noticed(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(StoreError, match=f"lacks {name}|holds no {name}"):
        load(folder, Tiny)


def test_an_architecture_from_elsewhere_is_noticed(folder: Path) -> None:
    write_architecture(folder / ARCHITECTURE, tied()[1])
    with pytest.raises(StoreError, match=r"architecture.json has .* bytes, .* were saved"):
        load(folder, Tiny)


def vouch(folder: Path) -> None:
    """Make the record agree with files that were exchanged, as somebody would who means harm."""
    value = json.loads((folder / RECORD).read_text())
    for key, name in (("weights", WEIGHTS), ("architecture", ARCHITECTURE)):
        file = stored_file(folder / name)
        value[key] = {"bytes": file.bytes, "sha256": file.sha256}
    (folder / RECORD).write_text(json.dumps(value))


def test_an_architecture_from_elsewhere_is_refused_though_the_record_vouches_for_it(folder: Path) -> None:
    write_architecture(folder / ARCHITECTURE, tied()[1])
    vouch(folder)
    with pytest.raises(
        ConfigError, match=r"group words names the tensor words.weight, which the network does not have"
    ):
        load(folder, Tiny)


def test_other_tensors_are_refused_though_the_record_vouches_for_them(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({**tensors, "head.bias": torch.zeros(4)}, folder / WEIGHTS)
    vouch(folder)
    with pytest.raises(StoreError, match=r"differ at the tensor head.bias: \('float32', \(4,\)\) in the file"):
        load(folder, Tiny)
    (folder / WEIGHTS).write_bytes(b"not tensors")
    vouch(folder)
    with pytest.raises(StoreError, match="is not a safetensors file"):
        load(folder, Tiny)


def test_files_much_larger_than_the_tensors_they_hold_are_not_read(folder: Path) -> None:
    value = json.loads((folder / RECORD).read_text())
    value["weights"]["bytes"] = 10**12
    (folder / RECORD).write_text(json.dumps(value))
    with pytest.raises(StoreError, match="declares files larger than the tensors it lists"):
        load(folder, Tiny)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("__class__.__init__.__defaults__.0", "a path of plain names and numbers is expected"),
        ("forward", "must be 8 here; found None"),
    ],
    ids=["into Python's own", "to what is no number"],
)
def test_a_correction_from_a_stranger_reaches_no_further_than_a_number_that_stands_there(
    folder: Path, path: str, reason: str
) -> None:
    value = json.loads((folder / ARCHITECTURE).read_text())
    value["corrections"][0]["attribute"] = path
    (folder / ARCHITECTURE).write_text(json.dumps(value))
    vouch(folder)
    with pytest.raises(ConfigError, match=reason):
        load(folder, Tiny)


def test_an_architecture_from_a_stranger_cannot_ask_for_more_memory_than_the_network_has(folder: Path) -> None:
    architecture = tiny()[1]
    first, *others = architecture.kept
    endless = replace(first, slices=(replace(first.slices[0], tile=10**15), *first.slices[1:]))
    write_architecture(folder / ARCHITECTURE, replace(architecture, kept=(endless, *others)))
    vouch(folder)
    with pytest.raises(ConfigError, match=r"takes 8000000000000000 indices from index 0 of axis 0 of conv1.weight"):
        load(folder, Tiny)


def test_saving_again_replaces_the_bundle_and_leaves_hidden_entries(folder: Path) -> None:
    (folder / ".git").mkdir()
    network, architecture = tiny()
    with torch.no_grad():
        network.get_parameter("head.bias").fill_(7)
    save(network, architecture, folder)
    assert fingerprint(load(folder, Tiny)) == fingerprint(network)
    assert {path.name for path in folder.iterdir()} == {*FILES, ".git"}
    assert stat.S_IMODE((folder / WEIGHTS).stat().st_mode) == 0o644


def test_a_save_that_was_interrupted_leaves_nothing_that_loads_and_can_be_repeated(folder: Path) -> None:
    network, architecture = tiny()
    with torch.no_grad():
        network.get_parameter("head.bias").fill_(7)
    other = save(network, architecture, folder.parent / "other")
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)  # killed before the record was written
    with pytest.raises(StoreError, match="is not the file that was saved"):
        load(folder, Tiny)
    (folder / RECORD).unlink()
    save(network, architecture, folder)
    assert fingerprint(load(folder, Tiny)) == fingerprint(network)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "thesis.tex").write_text("mine too")
    with pytest.raises(ConfigError, match=r"holds other files \(README.md, thesis.tex\) and no bundle.json"):
        save(*tiny(), tmp_path)
    with pytest.raises(ConfigError, match="is a file; a bundle is a folder"):
        save(*tiny(), tmp_path / "thesis.tex")
    assert (tmp_path / "README.md").read_text() == "mine"


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="could not be saved to"):
        save(*tiny(), tmp_path / "file" / "bundle")


def test_a_dense_network_is_not_saved_as_the_small_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Save the small network, not the dense one"):
        save(Tiny(), tiny()[1], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def shortened() -> tuple[nn.Module, Architecture]:
    """A network of which half of all channels went, and one block of three, with norm statistics of its own."""
    network = Around(Deep(), Deep(), Deep())
    network(torch.randn(4, 3, 8, 8))
    architecture = regrow.prune(network.eval(), IMAGES, fraction=0.5).architecture.without(["blocks.1"])
    return carve(network, architecture), architecture


def factory() -> nn.Module:
    return Around(Deep(), Deep(), Deep())


def test_a_network_without_a_block_comes_back_equal_and_trains(tmp_path: Path) -> None:
    small, architecture = shortened()
    dense = factory()
    before = str(dense)
    again = load(save(small, architecture, tmp_path / "bundle"), lambda: dense)
    assert str(again) == str(small) and str(dense) == before
    assert fingerprint(again) == fingerprint(small)
    given = torch.randn(2, 3, 8, 8)
    assert torch.equal(again(given), small(given))
    assert "blocks.1" not in " ".join(load_file(tmp_path / "bundle" / WEIGHTS))
    again.train()(given).sum().backward()


def test_a_network_of_the_zoo_without_a_block_needs_no_factory(tmp_path: Path) -> None:
    spec = small_spec("preresnet38")
    network = restless(spec)
    architecture = random_architecture(network, spec).without(["stage1.block2", "stage3.block3"])
    small = carve(network, architecture)
    again = load(save(small, architecture, tmp_path / "bundle"))
    assert str(again) == str(small) and fingerprint(again) == fingerprint(small)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (("blocks.9",), r"removes what the factory's network lacks: Around has no module blocks\.9"),
        (("blocks.0",), "the factory builds another network"),
        (("head",), "the factory builds another network"),
        ((), "the factory builds another network"),
    ],
)
def test_a_strangers_architecture_with_other_blocks_is_refused(
    tmp_path: Path, removed: tuple[str, ...], message: str
) -> None:
    small, architecture = shortened()
    folder = save(small, architecture, tmp_path / "bundle")
    other = replace(architecture, removed=()).without(removed)
    write_architecture(folder / ARCHITECTURE, other)
    vouch(folder)
    with pytest.raises(ConfigError, match=message):
        load(folder, factory)


def test_a_network_that_still_has_the_block_is_not_saved_as_the_small_one(tmp_path: Path) -> None:
    network = factory()
    architecture = regrow.prune(network, IMAGES, fraction=0.5).architecture.without(["blocks.1"])
    narrow = carve(network, replace(architecture, removed=()))
    with pytest.raises(
        ConfigError, match=r"removes the block blocks\.1, so an Identity must stand there; found a Deep"
    ):
        save(narrow, architecture, tmp_path / "bundle")


def test_what_stands_in_for_a_block_that_is_told_more_comes_back(tmp_path: Path) -> None:
    def telling() -> nn.Module:
        return Telling(Asking(), Asking())

    network = telling().eval()
    architecture = regrow.prune(network, IMAGES, fraction=0.5).architecture.without(["blocks.0"])
    small = carve(network, architecture)
    again = load(save(small, architecture, tmp_path / "bundle"), telling)
    given = torch.randn(2, 3, 8, 8)
    assert str(again) == str(small) and torch.equal(again(given), small(given))
    assert regrow.export_program(again, IMAGES, tmp_path / "network.pt2").error <= 1e-5
