"""The trained networks of a finished study."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from regrow.config.load import load_study
from regrow.detection.sources import study_sources
from regrow.errors import ConfigError, UnknownNameError
from regrow.evaluation.accuracy import evaluate
from regrow.study.artifacts import WEIGHTS
from regrow.study.store import Store
from regrow.training.compute import Compute
from tests.detection.conftest import Finished, finish
from tests.detection.drawn import write_study


def test_every_arm_and_seed_is_there_and_the_dense_network(finished: Finished) -> None:
    found = study_sources(finished.study, finished.store)
    assert [(source.run.seed, source.run.arm) for source in found.found] == [
        (seed, arm) for seed in (0, 1) for arm in ("dense", "fine-tune", "scratch-e")
    ]
    assert found.problems == ()


def test_arms_can_be_chosen_and_unknown_ones_are_told(finished: Finished) -> None:
    chosen = study_sources(finished.study, finished.store, ["scratch-e"]).found
    assert [source.run.arm for source in chosen] == ["scratch-e", "scratch-e"]
    with pytest.raises(UnknownNameError, match=r"no trained arm of this study is called 'scratch-b'. Did you mean"):
        study_sources(finished.study, finished.store, ["scratch-b"])


def test_a_network_computes_what_the_study_measured(finished: Finished) -> None:
    source = study_sources(finished.study, finished.store, ["fine-tune"]).found[1]
    network = source.network()
    folder = finished.store.folder(source.run.evaluate.inputs["data"])
    correct = evaluate(network, folder, Compute()).correct
    assert source.test_accuracy == 100 * float(correct.mean())
    weights = load_file(finished.store.file(source.run.train.key, WEIGHTS))
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_images_are_normalised_as_they_were(finished: Finished) -> None:
    images = study_sources(finished.study, finished.store).found[0].images
    assert images.channels == len(images.mean) == len(images.std) == 3
    assert all(0.2 < mean < 0.7 for mean in images.mean)


def test_rows_of_the_dense_network_belong_to_no_method(finished: Finished) -> None:
    dense, small, *_ = study_sources(finished.study, finished.store).found
    assert (dense.columns["method"], dense.columns["fraction"]) == ("", None)
    assert (small.columns["method"], small.columns["fraction"]) == ("l1", 0.5)
    assert small.pruning is not None and small.pruning.kind == "prune"


def test_a_study_that_has_not_run_is_refused(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"shapes: has finished 0 of its \d+ stages or more\n.*Finish it first with `regrow run`"
    ):
        study_sources(finished.study, Store(tmp_path))
    more = load_study(finished.file, ["seeds=3"])
    with pytest.raises(ConfigError, match=r"has finished \d+ of its \d+ stages"):
        study_sources(more, finished.store)


def test_masked_networks_are_refused(tmp_path: Path) -> None:
    file = write_study(tmp_path, seeds=1, epochs=1, count=8, width=0.0625, method="magnitude")
    masked = finish(file, tmp_path / "out")
    with pytest.raises(ConfigError, match="would grow them again"):
        study_sources(masked.study, masked.store)


def test_what_diverged_is_left_out_and_told(tmp_path: Path) -> None:
    file = write_study(tmp_path, seeds=1, epochs=1, count=8, width=0.0625)
    wild = finish(file, tmp_path / "out", "retrain.fine_tune_lr=1e30")
    found = study_sources(wild.study, wild.store)
    assert [source.run.arm for source in found.found] == ["dense", "scratch-e"]
    assert len(found.problems) == 1 and "fine-tune" in found.problems[0]
