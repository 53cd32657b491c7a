"""Studies over networks from elsewhere: traced first, pruned, carved, verified, regrown; all arms, from one file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.errors import ConfigError
from regrow.study.artifacts import ARCHITECTURE, WEIGHTS
from regrow.study.expand import expand
from regrow.study.expansion import Expansion
from regrow.study.plan import describe
from regrow.study.results import write_results
from regrow.study.runner import run_study, usable
from regrow.study.stage import Stage
from regrow.study.store import Store
from regrow.study.worker import execute
from tests.networks.own_nets import NETS, write_nets
from tests.study.conftest import environment

ARMS = ["fine-tune", "lr-rewind", "retrain", "scratch-e", "scratch-b", "dense-longer", "random-pruned"]
STUDY = """
name = "own"
seeds = 1
arms = [{arms}]

[data]
name = "digits"

{networks}
[train]
epochs = 3
lr = 0.05
batch = 128
validate_every = 3

[prune]
method = "l1"
fraction = 0.5
skip = ["body.2.*"]

[retrain]
epochs = 1
tune_lr = false

[compute]
device = "cpu"
precision = "fp32"
channels_last = false
"""
OWN = '[[network]]\nname = "nets:build"\noptions = { width = 6 }\n\n'
TIMM = '[[network]]\nname = "timm:test_vit"\noptions = { patch_size = 4 }\n\n'


@pytest.fixture(autouse=True, scope="module")
def _process_as_it_was() -> Iterator[None]:
    threads, path = torch.get_num_threads(), list(sys.path)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)
    sys.path[:] = path
    sys.modules.pop("nets", None)


def write(folder: Path, networks: str = OWN, *, skip: bool = True, arms: list[str] = ARMS) -> Path:
    write_nets(folder)
    path = folder / "own.toml"
    text = STUDY.format(networks=networks, arms=", ".join(f'"{arm}"' for arm in arms))
    path.write_text(text if skip else text.replace('skip = ["body.2.*"]\n', ""))
    return path


def load(path: Path, *changes: str) -> Study:
    return load_study(path, changes, trust=True)


def do(study: Study, store: Store) -> Expansion:
    """The whole study in this process, a stage at a time."""
    while True:
        found = expand(study, store.result)
        ready = [
            stage
            for key, stage in found.stages.items()
            if store.result(key) is None and all(map(usable, map(store.result, stage.inputs.values())))
        ]
        if not ready:
            return found
        for stage in ready:
            execute(stage, store, lambda _: None)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Expansion, Store]:
    folder = tmp_path_factory.mktemp("own")
    study, store = load(write(folder)), Store(folder / "store")
    return study, do(study, store), store


def of_kind(found: Expansion, kind: str) -> list[Stage]:
    return [stage for stage in found.stages.values() if stage.kind == kind]


def test_before_it_is_traced_nothing_else_of_a_study_is_known(tmp_path: Path) -> None:
    study = load(write(tmp_path))
    found = expand(study, {}.get)
    (stage,) = found.stages.values()
    assert stage.kind == "trace"
    assert dict(stage.local) == {"trust": "yes", "place": str(tmp_path)}


def test_every_arm_is_trained_and_measured(done: tuple[Study, Expansion, Store]) -> None:
    _, found, store = done
    assert found.problems == []
    results = {run.arm: store.result(run.evaluate.key) for run in found.runs}
    assert set(results) == {"dense", *ARMS}
    assert all(result is not None and result["examples"] == 540 for result in results.values())
    assert results["dense-longer"]["correct"] > 3 * 54  # type: ignore[index]  # three times what guessing gives


def test_a_pattern_of_groups_is_skipped(done: tuple[Study, Expansion, Store]) -> None:
    _, found, store = done
    comparison = found.comparisons[0]
    assert (comparison.dense.widths, comparison.pruned.widths) == ((6, 12, 12), (3, 6, 12))
    costs = [store.result(stage.key)["params"] for stage in of_kind(found, "cost")]  # type: ignore[index]
    assert costs[1] < costs[0]


def test_what_inherits_keeps_its_architecture_and_what_is_drawn_afresh_has_none(
    done: tuple[Study, Expansion, Store],
) -> None:
    _, found, store = done
    kept = {run.arm for run in found.runs if (store.folder(run.train.key) / ARCHITECTURE).exists()}
    assert kept == {"fine-tune", "lr-rewind", "retrain", "random-pruned"}
    (pruned, *_) = of_kind(found, "prune")
    architecture = json.loads(store.file(pruned.key, ARCHITECTURE).read_text())
    assert architecture["dense"]["name"] == "nets:build"
    assert architecture["network"] == "nets:Net"


def test_a_carved_tensor_is_a_block_of_the_dense_one(done: tuple[Study, Expansion, Store]) -> None:
    _, found, store = done
    (pruned, *_) = of_kind(found, "prune")
    kept = json.loads(store.file(pruned.key, ARCHITECTURE).read_text())["kept"]
    indices = {entry["group"]: entry["indices"] for entry in kept}
    dense = load_file(store.file(pruned.inputs["dense"], WEIGHTS))
    small = load_file(store.file(pruned.key, WEIGHTS))
    name = "body.0.conv1.weight"
    assert torch.equal(small[name], dense[name][indices["body.0.conv1"]][:, indices["stem"]])


def test_results_say_which_code_was_trained_and_what_cannot_be_pruned(
    done: tuple[Study, Expansion, Store], tmp_path: Path
) -> None:
    study, found, store = done
    results = write_results(study, found, store, tmp_path, "regrow run own.toml --trust")
    (network,) = results["networks"]
    assert network["network"] == "nets:build width=6"
    assert network["origin"].startswith("sha256 ")
    assert [group["name"] for group in network["groups"]] == ["stem", "body.0.conv1", "body.2.conv1"]
    assert any("output" in note for note in network["notes"])
    assert {run["arm"] for run in results["runs"]} == {"dense", *ARMS}


def test_other_code_is_other_stages_and_the_data_stay(tmp_path: Path, done: tuple[Study, Expansion, Store]) -> None:
    _, found, store = done
    path = write(tmp_path)
    (tmp_path / "nets.py").write_text(NETS + "\n# a word more\n")
    (before,), (after,) = of_kind(found, "trace"), of_kind(expand(load(path), store.result), "trace")
    assert before.key != after.key
    (tmp_path / "nets.py").write_text(NETS)
    assert set(expand(load(path), store.result).stages) == set(found.stages)


def test_a_group_that_there_is_not_is_told_when_the_network_is_known(
    done: tuple[Study, Expansion, Store], tmp_path: Path
) -> None:
    study = load(write(tmp_path), 'prune.skip=["body.1.*"]')
    with pytest.raises(ConfigError, match=r"no prunable group 'body\.1\.\*'"):
        expand(study, done[2].result)


def test_a_plan_traces_and_counts(tmp_path: Path) -> None:
    planned = describe(load(write(tmp_path)), tmp_path / "out", measure=False)
    assert {row["kind"]: row["done"] for row in planned["stages"]}["trace"] == 1
    (network,) = planned["networks"]
    assert network["groups"][0] == {"name": "stem", "channels": 6}
    assert any(note.startswith("nets:build width=6: ") and "output" in note for note in planned["notes"])
    (architecture,) = planned["architectures"]
    assert architecture["widths"] == [3, 6, 12]


def test_a_study_made_in_python_needs_trust_too(tmp_path: Path) -> None:
    read = load(write(tmp_path))
    study = Study(**dict(read)).from_file("", read.folder)
    with pytest.raises(ConfigError, match="trust=True"):
        describe(study, tmp_path / "out", measure=False)
    with pytest.raises(ConfigError, match="trust=True"):
        run_study(study, tmp_path / "out")


def test_a_study_runs_in_workers_that_find_the_code_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    study = load(write(tmp_path, arms=["retrain", "scratch-b"]))
    outcome = run_study(study, tmp_path / "out", workers=1)
    assert outcome.failures == ()
    assert {row["arm"] for row in outcome.results["runs"]} == {"dense", "retrain", "scratch-b"}


def test_a_network_that_there_is_not_stops_a_run_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    study = load(write(tmp_path, OWN.replace("build", "biuld")))
    with pytest.raises(ConfigError, match="Did you mean 'build'"):
        run_study(study, tmp_path / "out", workers=1)
    assert list((tmp_path / "out" / "store" / "stages").iterdir()) == []


def test_two_networks_from_different_sources_share_one_study(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    study, store = load(write(tmp_path, OWN + TIMM, skip=False, arms=["retrain", "scratch-b"])), Store(tmp_path / "s")
    found = do(study, store)
    assert {comparison.dense.name for comparison in found.comparisons} == {"nets:build", "timm:test_vit"}
    assert all(store.result(run.evaluate.key) for run in found.runs) and len(found.runs) == 6
    vit = next(comparison for comparison in found.comparisons if comparison.dense.name == "timm:test_vit")
    assert vit.pruned is not None
    whole = [
        group.name
        for group, dense, kept in zip(vit.prunable.groups, vit.dense.widths, vit.pruned.widths, strict=True)
        if dense == kept
    ]
    assert set(whole) == vit.prunable.heads != set()


def test_a_method_that_reads_norms_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    path = write(tmp_path, skip=False, arms=["retrain", "scratch-b"])
    nets = tmp_path / "nets.py"
    nets.write_text(nets.read_text().replace("nn.BatchNorm2d(2 * width)", "nn.Identity()"))
    study = load(path, 'prune.method="slimming"')
    with pytest.raises(
        ConfigError, match="slimming reads the scales of norm layers, and in nets:build no norm layer follows"
    ):
        run_study(study, tmp_path / "out", workers=1)
    kinds = {folder.name.partition("-")[0] for folder in (tmp_path / "out" / "store" / "stages").iterdir()}
    assert kinds == {"trace"}
