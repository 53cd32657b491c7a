"""A task: what a stage's function is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.errors import StoreError
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import Access
from regrow.networks.zoo import dense_spec
from regrow.study.stage import Stage
from regrow.study.store import Store
from regrow.study.task import Task

LOCAL = {"loader_workers": "0", "trust": "yes", "place": "/nets"}


def test_inputs_are_found_by_role_and_checked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    source = Stage(kind="prune", settings={})
    (store.partial(source.key) / "weights").write_text("w")
    store.commit(source, {}, {})
    spec = dense_spec(NetworkSettings(name="vgg11"), classes=10, shape=(1, 8, 8))
    stage = Stage(kind="train", settings={"network": spec.to_json()}, inputs={"pruned": source.key}, local=LOCAL)
    task = Task(stage=stage, store=store, folder=tmp_path, tell=print)
    assert task.spec == spec
    assert task.access == Access(trust=True, place="/nets")
    assert task.input_file("pruned", "weights").read_text() == "w"
    task.input_file("pruned", "weights").write_text("x")
    with pytest.raises(StoreError):
        task.input_file("pruned", "weights")
