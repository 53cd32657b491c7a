"""Masks on disk: what is read is what was written, in an eighth of a byte a weight; everything else is refused with its faults."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from regrow.errors import ConfigError
from regrow.pruning.mask_files import FORMAT, read_masks, write_masks


def masks() -> dict[str, Tensor]:
    numbers = torch.Generator().manual_seed(0)
    shapes = {"z.weight": (5, 3, 3, 3), "a.weight": (7, 9), "empty": (0, 4), "one": ()}
    return {name: torch.rand(shape, generator=numbers) > 0.5 for name, shape in shapes.items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_read_is_what_was_written_in_its_order(tmp_path: Path) -> None:
    write_masks(tmp_path / "masks.safetensors", masks())
    found = read_masks(tmp_path / "masks.safetensors")
    assert same(found, masks())
    assert all(mask.dtype == torch.bool for mask in found.values())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.booleans(), max_size=20), max_size=5))
def test_masks_of_any_length_come_back(tmp_path_factory: pytest.TempPathFactory, lists: list[list[bool]]) -> None:
    path = tmp_path_factory.mktemp("masks") / "m.safetensors"
    given_masks = {f"t{i}": torch.tensor(bits, dtype=torch.bool) for i, bits in enumerate(lists)}
    write_masks(path, given_masks)
    assert same(read_masks(path), given_masks)


def test_equal_masks_give_equal_bytes_and_a_bit_is_a_bit(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_masks(tmp_path / name, {"a": torch.arange(800_000).view(800, 1000) % 3 == 0})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert 100_000 < (tmp_path / "one").stat().st_size < 100_500


def refused(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_masks(path)
    assert all(fault.where == str(path) and fault.hint for fault in caught.value.faults)
    return [f"{fault.key}: {fault.rule}" for fault in caught.value.faults]


def test_a_file_that_is_missing_or_cut_off_or_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    assert "must be a readable safetensors file" in refused(path)[0]
    write_masks(path, masks())
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert len(refused(path)) == 1
    path.write_bytes(pickle.dumps(masks()))
    assert "must be a readable safetensors file" in refused(path)[0]


def test_every_changed_byte_of_the_masks_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_masks(path, masks())
    data = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    assert len(data) > header
    for position in range(header, len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert refused(path) == [": was changed after it was written: its checksum does not agree"]


def test_a_file_of_weights_is_no_file_of_masks(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.rand(3)}, path)
    assert refused(path) == [f": must hold masks, with format \"{FORMAT}\"; found format 'none'"]


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object]) -> None:
    """The file of `masks()`, changed by hand."""
    write_masks(path, masks())
    with safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["regrow.masks"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(record, tensors)
    save_file(tensors, path, {"regrow.masks": json.dumps(record)})


def set_shapes(path: Path, shapes: Any) -> None:
    rewritten(path, lambda record, _: record.update(shapes=shapes))


def test_every_mask_that_does_not_fit_its_list_is_a_fault(tmp_path: Path) -> None:
    def change(record: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        del tensors["one"]
        tensors["extra"] = torch.zeros(1, dtype=torch.uint8)
        tensors["a.weight"] = tensors["a.weight"].float()

    rewritten(tmp_path / "m", change)
    assert refused(tmp_path / "m") == [
        "a.weight: shape [7, 9] takes 8 bytes, one bit a weight; found [8] of torch.float32",
        "extra: is in the file, but is not listed with a shape",
        "one: is listed, but the file has no such mask",
    ]


@pytest.mark.parametrize(
    "shapes",
    [
        None,
        7,
        "text",
        {"a": 1},
        [1],
        [["a.weight", 3]],
        [["a.weight", [-1]]],
        [["a.weight", [True]]],
        [["a", [1]], ["a", [1]]],
        [[["a"], [1]]],
    ],
)
def test_a_list_of_shapes_that_is_none_is_refused(tmp_path: Path, shapes: Any) -> None:
    set_shapes(tmp_path / "m", shapes)
    found = refused(tmp_path / "m")
    assert len(found) == 1
    assert "shapes: its metadata must list each mask once" in found[0]


@pytest.mark.parametrize("text", ["no json", "[" * 100_000, "[1]", "7", '{"format": ["regrow masks 1"]}'])
def test_an_entry_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    save_file({"a": torch.zeros(1, dtype=torch.uint8)}, tmp_path / "m", {"regrow.masks": text})
    assert len(refused(tmp_path / "m")) == 1


def test_a_shape_that_would_fill_the_memory_is_refused_before_it_does(tmp_path: Path) -> None:
    set_shapes(tmp_path / "m", [["a.weight", [10**9, 10**9]]])
    assert any("takes 125000000000000000 bytes" in text for text in refused(tmp_path / "m"))


def test_a_changed_shape_is_seen_by_the_checksum(tmp_path: Path) -> None:
    def change(record: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        assert record["shapes"][1] == ["a.weight", [7, 9]]
        record["shapes"][1] = ["a.weight", [9, 7]]

    rewritten(tmp_path / "m", change)
    assert refused(tmp_path / "m") == [": was changed after it was written: its checksum does not agree"]
