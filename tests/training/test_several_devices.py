"""One training over two devices (two processes of this CPU): the training of one device, where that can be, and as repeatable."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from regrow.data.stream import Portion
from regrow.errors import ConfigError
from regrow.training.compute import Compute
from regrow.training.ranks import RankLostError
from tests.training.rank_work import ALL, STRENGTH, Done, do, spread
from tests.training.samples import network, recipe, run, stream


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "weights.safetensors")


def near(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-5) -> bool:
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], atol=tolerance, rtol=0) for name in one
    )


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ALL)
def test_all_ranks_end_with_the_same_weights(done: Done, name: str) -> None:
    assert done[1][name]["same"]


@pytest.mark.parametrize("name", ["plain", "masked", "counted"])
def test_without_batch_norm_two_devices_train_as_one_does(done: Done, tmp_path: Path, name: str) -> None:
    folder, _ = done
    do(name, tmp_path / name, Compute())
    assert near(weights(folder / name), weights(tmp_path / name))
    untrained = {key: tensor for key, tensor in weights(tmp_path / name).items() if "bias" in key}
    assert any(float(tensor.abs().max()) > 1e-2 for tensor in untrained.values())


def test_loss_and_accuracy_are_those_of_all_examples(done: Done, tmp_path: Path) -> None:
    _, found = done
    expected = do("plain", tmp_path, Compute())["said"]
    for row, single in zip(found["plain"]["said"], expected, strict=True):
        assert row == pytest.approx(single, abs=1e-5)


def test_rank_0_alone_writes_and_its_metrics_are_the_history(done: Done) -> None:
    folder, found = done
    lines = (folder / "plain" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(found["plain"]["said"]) == 4


def test_masked_weights_stay_zero(done: Done) -> None:
    weight = weights(done[0] / "masked")["2.weight"].flatten()
    assert int(weight[1::2].count_nonzero()) == 0 < int(weight[::2].count_nonzero())


def test_what_an_intervention_owns_moves_by_the_mean_gradient(done: Done, tmp_path: Path) -> None:
    factor = done[1]["counted"]["said"]
    assert factor != 1.0
    assert factor == pytest.approx(do("counted", tmp_path, Compute())["said"], abs=1e-5)


def test_a_penalty_is_added_once_not_once_a_device(done: Done) -> None:
    folder, _ = done
    moved = weights(folder / "not_slimmed")["1.weight"] - weights(folder / "slimmed")["1.weight"]
    assert moved.tolist() == pytest.approx([0.5 * STRENGTH] * 8, abs=1e-6)  # learning rate times strength


def test_broken_off_and_resumed_equals_uninterrupted(done: Done) -> None:
    folder, found = done
    assert same_bits(weights(folder / "whole"), weights(folder / "resumed"))
    assert found["whole"]["said"] == found["resumed"]["said"]


def test_stopped_within_an_epoch_and_continued_equals_uninterrupted(done: Done) -> None:
    folder, found = done
    assert same_bits(weights(folder / "drawn"), weights(folder / "continued"))
    assert found["continued"]["said"] == ["cpu", "cpu.1"]  # each rank's own dropout


def test_divergence_is_told_as_on_one_device(done: Done) -> None:
    assert "must stay finite" in done[1]["diverging"]["said"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes through /proc")
def test_a_rank_that_is_killed_ends_the_training_and_resumed_it_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    checkpoints = tmp_path / "long cut" / "checkpoint"
    killer = threading.Thread(target=_kill_a_rank_after_two, args=(checkpoints,))
    killer.start()
    with pytest.raises(RankLostError, match="ended without a word"):
        spread(["long cut"], tmp_path)
    killer.join()
    assert _ranks() == []
    before = len(list(checkpoints.glob("*.json")))
    assert before >= 2
    found = spread(["long cut", "long uncut"], tmp_path)
    assert found["long cut"] == found["long uncut"] and found["long cut"]["same"]


def _kill_a_rank_after_two(checkpoints: Path) -> None:
    deadline = time.monotonic() + 120
    while len(list(checkpoints.glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(_ranks()[-1], signal.SIGKILL)


def _ranks() -> list[int]:
    """Children of this process that are ranks."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            program = path.with_name("cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"rank_work" in program:
            found.append(int(path.parent.name))
    return sorted(found)


def test_a_batch_must_have_an_example_for_every_device(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"smallest batch has 2, and compute.devices = 4"):
        run(network(), tmp_path, compute=Compute(devices=4), stream=stream(batch=3, portion=Portion(0, 4)))


def test_a_stream_that_is_not_shared_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must read its own portion"):
        run(network(), tmp_path, compute=Compute(devices=2), stream=stream())


def test_a_process_that_is_no_rank_cannot_train_over_several_devices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is not one of them"):
        run(network(), tmp_path, compute=Compute(devices=2), recipe=recipe())
