from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regrow.channels.architecture import (
    Architecture,
    KeptChannels,
    read_architecture,
    regrow_version,
    write_architecture,
)
from regrow.errors import ConfigError
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import NETWORKS, dense_spec

DENSE = dense_spec(NetworkSettings(name="resnet20"), classes=10, shape=(3, 32, 32))


def architecture() -> Architecture:
    """Every block of ResNet-20 keeps its even channels."""
    kept = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=tuple(range(0, group.channels, 2)))
        for group in NETWORKS["resnet20"].groups()
    )
    return Architecture(dense=DENSE, kept=kept, fingerprint="0" * 64, regrow=regrow_version())


def test_the_pruned_network_has_as_many_channels_as_indices_were_kept() -> None:
    assert architecture().widths == (8,) * 3 + (16,) * 3 + (32,) * 3
    assert architecture().pruned_spec().widths == architecture().widths
    assert architecture().pruned_spec().shape == DENSE.shape


def test_indices_are_found_by_the_name_of_their_group() -> None:
    assert architecture().indices["stage1.block1.conv1"] == (0, 2, 4, 6, 8, 10, 12, 14)


def test_an_architecture_survives_json_and_is_a_value() -> None:
    again = Architecture.from_json(json.loads(json.dumps(architecture().to_json())))
    assert again == architecture()
    assert len({again, architecture()}) == 1


def test_an_architecture_survives_a_file(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    write_architecture(path, architecture())
    assert read_architecture(path) == architecture()


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    value = architecture().to_json()
    change(value)
    return value


FIRST = "kept.0.indices"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda value: value.update(format="regrow-architecture-9"), "format"),
        (lambda value: value.pop("fingerprint"), "fingerprint"),
        (lambda value: value.update(fingerprint="zz"), "fingerprint"),
        (lambda value: value.update(regrow=7), "regrow"),
        (lambda value: value.update(weights="model.pt"), "weights"),
        (lambda value: value["dense"].update(name="resnet-20"), "dense.name"),
        (lambda value: value["dense"].update(shape=[3, 4, 4]), "dense.shape"),
        (lambda value: value["dense"].update(classes=0), "dense.classes"),
        (lambda value: value["dense"]["widths"].pop(), "dense.widths"),
        (lambda value: value["dense"]["widths"].__setitem__(2, 17), "dense.widths.2"),
        (lambda value: value["kept"].pop(), "kept"),
        (lambda value: value["kept"][0].update(group="stem"), "kept.0.group"),
        (lambda value: value["kept"][0].update(channels=32), "kept.0.channels"),
        (lambda value: value["kept"][0].update(indices=[]), FIRST),
        (lambda value: value["kept"][0].update(indices=[3, 1]), FIRST),
        (lambda value: value["kept"][0].update(indices=[1, 1]), FIRST),
        (lambda value: value["kept"][0].update(indices=[0, 16]), FIRST),
        (lambda value: value["kept"][0].update(indices=[-1, 3]), f"{FIRST}.0"),
        (lambda value: value["kept"][0].update(indices=[0.5]), f"{FIRST}.0"),
        (lambda value: value["kept"][0].update(indices=[True]), f"{FIRST}.0"),
        (lambda value: value["kept"][0].update(indices="0123"), FIRST),
    ],
)
def test_a_wrong_field_is_named(change: Callable[[dict[str, Any]], Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        Architecture.from_json(changed(change), where="small.json")
    assert [(fault.where, fault.key) for fault in error.value.faults] == [("small.json", key)]


def test_all_mistakes_are_told_at_once() -> None:
    def break_two(value: dict[str, Any]) -> None:
        value["kept"][0].update(indices=[2, 1])
        value["kept"][8].update(indices=[64])

    with pytest.raises(ConfigError) as error:
        Architecture.from_json(changed(break_two))
    assert [fault.key for fault in error.value.faults] == [FIRST, "kept.8.indices"]


def test_an_architecture_that_contradicts_itself_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="9 prunable groups"):
        Architecture(dense=DENSE, kept=(), fingerprint="0" * 64, regrow="0")
    empty = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=()) for group in NETWORKS["resnet20"].groups()
    )
    with pytest.raises(ConfigError, match="must keep at least one channel"):
        Architecture(dense=DENSE, kept=empty, fingerprint="0" * 64, regrow="0")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": NaN}', "[" * 100_000, "\x00", '{"format": 1e999}'],
    ids=["empty", "cut short", "a list", "not a number", "too deep", "binary", "too large"],
)
def test_a_file_that_is_not_an_architecture_is_refused_with_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"broken\.json"):
        read_architecture(path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not JSON"):
        read_architecture(path)


def test_a_missing_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read: No such file"):
        read_architecture(tmp_path / "none.json")


def test_a_file_of_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2**31)  # sparse: takes no room on disk
    with pytest.raises(ConfigError, match="larger than 64 MiB"):
        read_architecture(path)


def test_architectures_are_read_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    write_architecture(path, architecture())
    script = (
        "import sys, pathlib; from regrow.channels.architecture import read_architecture; "
        f"read_architecture(pathlib.Path({str(path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("path", ["__class__", "config.__dict__.hidden", "config..size", ""])
def test_a_correction_that_reaches_into_python_is_refused(path: str) -> None:
    kept = {
        "group": "a",
        "channels": 2,
        "indices": [0],
        "slices": [{"tensor": "a.weight", "axis": 0, "start": 0, "repeat": 1, "tile": 1, "order": None}],
    }
    value = {
        "format": "regrow-architecture-2",
        "regrow": "0.1.0",
        "fingerprint": "0" * 64,
        "network": "x:Y",
        "dense": None,
        "kept": [kept],
        "corrections": [{"module": "a", "attribute": path, "dense": 2, "small": 1}],
    }
    with pytest.raises(ConfigError, match=r"corrections\.0"):
        Architecture.from_json(value)


GONE = ("stage3.block2", "stage1.block2")


def test_removed_blocks_stand_in_json_only_where_there_are_some(tmp_path: Path) -> None:
    assert "removed" not in architecture().to_json()
    without = architecture().without(GONE)
    assert without.to_json()["removed"] == ["stage1.block2", "stage3.block2"]
    assert Architecture.from_json(json.loads(json.dumps(without.to_json()))) == without
    write_architecture(tmp_path / "small.json", without)
    assert read_architecture(tmp_path / "small.json") == without
    assert without.fingerprint == architecture().fingerprint


def test_the_groups_of_a_removed_block_keep_all_their_channels_and_go_with_it() -> None:
    without = architecture().without(GONE)
    assert without.widths == (8, 16, 8, 16, 16, 16, 32, 64, 32)
    assert [entry.group for entry in without.kept if without.vanishes(entry)] == [
        "stage1.block2.conv1",
        "stage3.block2.conv1",
    ]
    value = without.to_json()
    value["kept"][1]["indices"] = [0, 1]
    with pytest.raises(
        ConfigError, match=r"kept\.1\.indices.*goes with its block and keeps all its 16 channels; found 2"
    ):
        Architecture.from_json(value)


def test_the_specification_of_the_small_network_carries_them() -> None:
    spec = architecture().without(GONE).pruned_spec()
    assert spec.removed == ("stage1.block2", "stage3.block2") and spec.widths[1] == 16
    kept = tuple(replace(entry, indices=tuple(range(entry.channels))) for entry in architecture().kept)
    more = replace(architecture(), dense=replace(DENSE, removed=("stage2.block3",)), kept=kept).without(GONE)
    assert more.removed == ("stage1.block2", "stage3.block2")
    assert more.missing == more.pruned_spec().removed == ("stage1.block2", "stage2.block3", "stage3.block2")


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        (["stage2.block1"], r"stage2\.block1 is no block of resnet20 that can go whole"),
        (["classifier"], r"classifier is no block of resnet20.*Known: stage1\.block1"),
        (["stage1.block2", "stage1.block2"], "named twice"),
        ([""], "String should match pattern"),
        (["a b"], "String should match pattern"),
        ("stage1.block2", "valid array"),
        ([["stage1.block2"]], "valid string"),
    ],
)
def test_a_strangers_file_that_removes_what_cannot_go_is_refused(removed: object, said: str) -> None:
    kept_all = [entry | {"indices": list(range(entry["channels"]))} for entry in architecture().to_json()["kept"]]
    with pytest.raises(ConfigError, match=said):
        Architecture.from_json(architecture().to_json() | {"kept": kept_all, "removed": removed})


def test_a_block_that_the_dense_network_lacks_is_not_removed_again() -> None:
    kept = tuple(replace(entry, indices=tuple(range(entry.channels))) for entry in architecture().kept)
    dense = replace(DENSE, removed=("stage1.block2",))
    with pytest.raises(ConfigError, match="gone already in the network that was pruned"):
        replace(architecture(), dense=dense, kept=kept, removed=("stage1.block2",))


def test_the_small_network_s_specification_counts_a_vanished_group_as_the_zoo_does() -> None:
    narrow = architecture().pruned_spec()
    kept = tuple(
        replace(entry, channels=width, indices=tuple(range(width)))
        for entry, width in zip(architecture().kept, narrow.widths, strict=True)
    )
    again = replace(architecture(), dense=narrow, kept=kept).without(["stage1.block2"])
    assert again.widths == (8,) * 3 + (16,) * 3 + (32,) * 3
    assert again.pruned_spec() == architecture().without(["stage1.block2"]).pruned_spec()
