"""The work of each kind of stage, done in this process on real digits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from regrow.config.load import load_study
from regrow.errors import ConfigError
from regrow.study.artifacts import ARCHITECTURE, WEIGHTS, read_correct
from regrow.study.expand import expand
from regrow.study.expansion import Expansion
from regrow.study.runner import usable
from regrow.study.stage import Stage
from regrow.study.store import Store
from regrow.study.work import rank_environment
from regrow.study.worker import execute
from regrow.training.compute import Compute
from tests.study.conftest import write_tiny


@pytest.fixture(autouse=True, scope="module")
def _arithmetic_as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)


def do(folder: Path, *overrides: str) -> tuple[Expansion, Store]:
    """A whole study in this process, a stage at a time."""
    settings = ["seeds=1", "train.epochs=2", "retrain.tune_lr=false", 'arms=["retrain", "scratch-b"]', *overrides]
    study, store = load_study(str(write_tiny(folder)), settings), Store(folder / "store")
    while True:
        found = expand(study, store.result)
        ready = [
            stage
            for key, stage in found.stages.items()
            if store.result(key) is None and all(map(usable, map(store.result, stage.inputs.values())))
        ]
        if not ready:
            return found, store
        for stage in ready:
            execute(stage, store, _hush)


def _hush(event: dict[str, Any]) -> None:
    del event


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Expansion, Store]:
    return do(tmp_path_factory.mktemp("work"))


def of_kind(found: Expansion, kind: str) -> list[Stage]:
    return [stage for stage in found.stages.values() if stage.kind == kind]


def test_every_stage_has_a_result(done: tuple[Expansion, Store]) -> None:
    found, store = done
    assert {stage.kind for stage in found.stages.values()} == {"data", "cost", "train", "prune", "evaluate"}
    assert all(store.result(key) is not None for key in found.stages)


def test_inherited_weights_are_sub_blocks_of_the_dense_ones(done: tuple[Expansion, Store]) -> None:
    found, store = done
    (prune,) = of_kind(found, "prune")
    dense = load_file(store.file(prune.inputs["dense"], WEIGHTS))
    small = load_file(store.file(prune.key, WEIGHTS))
    kept = json.loads(store.file(prune.key, ARCHITECTURE).read_text())["kept"][0]["indices"]
    first = next(name for name in dense if dense[name].dim() == 4)
    assert torch.equal(small[first], dense[first][kept])


def test_training_moves_weights_and_keeps_one_row_an_epoch(done: tuple[Expansion, Store]) -> None:
    found, store = done
    retrain = next(run.train for run in found.runs if run.arm == "retrain")
    before = load_file(store.file(retrain.inputs["pruned"], WEIGHTS))
    after = load_file(store.file(retrain.key, WEIGHTS))
    assert before.keys() == after.keys()
    assert not any(torch.equal(before[name], after[name]) for name in before if before[name].dim() == 4)
    result = store.result(retrain.key)
    assert result is not None
    assert [row["epoch"] for row in result["history"]] == [1]
    assert result["examples"] == 1132


def test_what_was_right_adds_up_to_the_accuracy(done: tuple[Expansion, Store]) -> None:
    found, store = done
    for stage in of_kind(found, "evaluate"):
        result = store.result(stage.key)
        assert result is not None
        assert read_correct(store, stage.key, result["examples"]).sum() == result["correct"]


def test_norm_statistics_are_re_estimated_on_request_only(done: tuple[Expansion, Store]) -> None:
    found, store = done
    losses = {one.when: (store.result(one.stage.key) or {})["loss"] for one in found.measured}
    assert len(set(losses.values())) == len({"before", "stale", "reestimated"}) == len(losses)


def test_the_same_stage_gives_the_same_bits_again(done: tuple[Expansion, Store], tmp_path: Path) -> None:
    found, store = done
    again, other = do(tmp_path)
    for stage in of_kind(again, "train"):
        first, second = (load_file(place.file(stage.key, WEIGHTS)) for place in (store, other))
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert found.stages.keys() == again.stages.keys()


def test_divergence_is_a_result_with_a_plain_reason(tmp_path: Path) -> None:
    found, store = do(tmp_path, "train.lr=1e30", "train.final_lr=1e29")
    dense = next(run.train for run in found.runs if run.arm == "dense")
    result = store.result(dense.key)
    assert result is not None and result["diverged"]
    assert "learning rate" in result["message"]
    assert any("dense, seed 0" in problem for problem in found.problems)


def test_a_checkpoint_of_ones_own_stands_in_for_the_dense_network(
    done: tuple[Expansion, Store], tmp_path: Path
) -> None:
    found, store = done
    dense = next(run.train for run in found.runs if run.arm == "dense")
    (tmp_path / "mine.safetensors").write_bytes(store.file(dense.key, WEIGHTS).read_bytes())
    own = [f'dense.checkpoint="{tmp_path}/mine.safetensors"', 'dense.trained_on="train"']
    taken, other = do(tmp_path, *own)
    assert of_kind(taken, "import")
    (prune,), (as_before,) = of_kind(taken, "prune"), of_kind(found, "prune")
    assert other.file(prune.key, WEIGHTS).read_bytes() == store.file(as_before.key, WEIGHTS).read_bytes()
    assert {run.arm for run in taken.runs} == {"dense", "retrain", "scratch-b"}


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="weight"):
        do(tmp_path, f'dense.checkpoint="{tmp_path}/other.safetensors"', 'dense.trained_on="train"')


def test_ranks_see_the_gpus_that_were_chosen_for_them_and_have_the_threads_of_the_study() -> None:
    compute = Compute(devices=2, threads=3)
    stage = Stage(kind="train", settings={"compute": compute.to_json()}, local={"gpus": "1,3"})
    found = rank_environment(stage, compute)
    assert (found["CUDA_VISIBLE_DEVICES"], found["OMP_NUM_THREADS"]) == ("1,3", "3")
    assert "CUDA_VISIBLE_DEVICES" not in rank_environment(replace(stage, local={}), compute)
