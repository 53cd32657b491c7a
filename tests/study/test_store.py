"""The store: whole or absent, checked when read, one worker a stage."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from regrow.errors import StoreError
from regrow.study.stage import Stage
from regrow.study.store import SCRATCH, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def stage() -> Stage:
    return Stage(kind="cost", settings={"network": "tiny"})


def finish(store: Store, stage: Stage, content: str = "weights") -> None:
    folder = store.partial(stage.key)
    (folder / "weights.bin").write_text(content)
    (folder / SCRATCH).mkdir()
    (folder / SCRATCH / "state").write_text("temporary")
    store.commit(stage, {"macs": 7}, {"attempts": 1})


def test_a_stage_is_absent_until_it_is_committed(store: Store, stage: Stage) -> None:
    store.partial(stage.key)
    assert store.result(stage.key) is None
    finish(store, stage)
    assert store.result(stage.key) == {"macs": 7}
    assert store.provenance(stage.key) == {"attempts": 1}
    assert store.file(stage.key, "weights.bin").read_text() == "weights"


def test_checkpoints_do_not_become_part_of_the_artifact(store: Store, stage: Stage) -> None:
    finish(store, stage)
    assert not (store.folder(stage.key) / SCRATCH).exists()
    assert SCRATCH not in (store.folder(stage.key) / "manifest.json").read_text()


@pytest.mark.parametrize("damage", ["result.json", "manifest.json"])
def test_a_damaged_stage_is_set_aside_and_counts_as_missing(store: Store, stage: Stage, damage: str) -> None:
    finish(store, stage)
    (store.folder(stage.key) / damage).write_text("{")
    fresh = Store(store.root)
    assert fresh.result(stage.key) is None
    assert (store.root / "damaged" / stage.key).exists()
    finish(fresh, stage)
    assert fresh.result(stage.key) == {"macs": 7}


def test_damaged_weights_are_found_when_they_are_used(store: Store, stage: Stage) -> None:
    finish(store, stage)
    (store.folder(stage.key) / "weights.bin").write_text("weighty")
    with pytest.raises(StoreError, match="does not match its checksum"):
        store.file(stage.key, "weights.bin")
    assert Store(store.root).result(stage.key) is None


def test_a_file_cut_short_by_a_full_disk_is_never_read(store: Store, stage: Stage) -> None:
    finish(store, stage)
    path = store.folder(stage.key) / "result.json"
    path.write_bytes(path.read_bytes()[:-3])
    assert Store(store.root).result(stage.key) is None


def test_the_lock_is_held_by_one_process_and_dropped_when_it_dies(store: Store, stage: Stage) -> None:
    code = textwrap.dedent(f"""
        import pathlib, time
        from regrow.study.store import Store
        with Store(pathlib.Path({str(store.root)!r})).lock({stage.key!r}) as held:
            print(held, flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        with store.lock(stage.key) as held:
            assert not held
        other.kill()
        other.wait()
    with store.lock(stage.key) as held:
        assert held


def test_an_unwritable_place_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--out"):
        Store(tmp_path / "file" / "store")


def test_a_look_counts_once_however_often_it_is_repeated(store: Store) -> None:
    first, second = {"seeds": [0, 1]}, {"seeds": [0, 1, 2]}
    for look in (first, first, second, first):
        store.record_look("q", look)
    assert store.looks("q") == [first, second]
    assert store.looks("another") == []
