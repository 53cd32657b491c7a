"""The work of prune stages, by every method, on real digits: what goes really goes, and arms can be trained on what is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from regrow.channels.architecture import read_architecture
from regrow.pruning.guide import write_guide
from regrow.pruning.mask_files import read_masks
from regrow.pruning.mask_schedule import round_counts
from regrow.pruning.methods import METHODS
from regrow.study.artifacts import ARCHITECTURE, MASK, WEIGHTS
from regrow.study.expansion import Expansion
from regrow.study.store import Store
from tests.pruning.guides import CENTRE, of_channels, of_weights
from tests.study.test_work import do

ARMS = 'arms=["retrain", "scratch-b"]'


def prune(found: Expansion, store: Store) -> dict[str, object]:
    (_, _, stage), *_ = found.prunings
    return dict(store.result(stage.key) or {})


@pytest.fixture
def guides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guides of VGGs, of channels and of weights, where relative paths of overrides are looked for."""
    monkeypatch.chdir(tmp_path)
    write_guide(tmp_path / "channels.json", of_channels(1.0, 0.9, 0.8, 0.4, 0.2))
    write_guide(tmp_path / "weights.json", of_weights([0.9, 0.8, 0.6, 0.3, 0.2], [CENTRE] * 5))


def guide_for(method: str) -> str:
    return f'guide="{METHODS[method].removes[0]}.json"' if METHODS[method].needs_guide else ""


@pytest.mark.usefixtures("guides")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_leaves_less_and_its_arms_are_trained(tmp_path: Path, method: str) -> None:
    network = 'network.name="resnet20"' if method == "sss" else 'network.name="vgg11"'
    guide = guide_for(method)
    asked = f'prune={{method="{method}", fraction=0.5{", " if guide else ""}{guide}}}'
    found, store = do(tmp_path, asked, network, "retrain.late=0.5")
    assert not found.problems
    runs = {run.arm: run for run in found.runs if store.result(run.evaluate.key) is not None}
    assert runs.keys() == {"dense", "retrain", "scratch-b"}
    assert runs["retrain"].shape.nominal_macs < runs["dense"].shape.macs
    masked = METHODS[method].removes[0] == "weights"
    assert (runs["retrain"].shape.macs == runs["dense"].shape.macs) is masked


@pytest.mark.parametrize(
    "asked",
    [
        'method="l1", of="macs"',
        'method="l1", of="params", scope="global"',
        'method="taylor", scope="global", normalise="max", reduce="mean"',
        'method="slimming", start="dense", of="macs"',
        'method="sss", remove="channels"',
        'method="magnitude", scope="group"',
        'method="wanda", pattern="2:4", skip=["features.conv1.weight"]',
        'method="snip", remove="channels", scope="group"',
    ],
)
def test_every_way_of_asking_leads_to_less(tmp_path: Path, asked: str) -> None:
    found, store = do(tmp_path, f"prune={{{asked}, fraction=0.5}}")
    assert not found.problems
    runs = {run.arm: run for run in found.runs if store.result(run.evaluate.key) is not None}
    assert runs["scratch-b"].shape.nominal_macs < runs["dense"].shape.macs


def test_half_of_the_macs_is_half_of_the_macs(tmp_path: Path) -> None:
    for number, scope in enumerate(("group", "global")):
        (tmp_path / str(number)).mkdir()
        found, _ = do(tmp_path / str(number), f'prune={{method="l1", of="macs", fraction=0.5, scope="{scope}"}}')
        runs = {run.arm: run.shape.macs for run in found.runs}
        assert runs["retrain"] / runs["dense"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.usefixtures("guides")
@pytest.mark.parametrize("asked", ['method="random-widths"', 'method="guided", guide="channels.json"'])
@pytest.mark.parametrize("of", ["macs", "params"])
def test_designs_cost_what_was_asked_for(tmp_path: Path, asked: str, of: str) -> None:
    found, _ = do(tmp_path, f'prune={{{asked}, of="{of}", fraction=0.5}}', "network.width=0.25")
    runs = {run.arm: getattr(run.shape, of) for run in found.runs}
    assert runs["retrain"] / runs["dense"] == pytest.approx(0.5, abs=0.01)


def test_random_widths_differ_from_seed_to_seed_and_inherit_the_largest_channels(tmp_path: Path) -> None:
    found, store = do(tmp_path, 'prune={method="random-widths", of="macs", fraction=0.5}', "seeds=2", "train.epochs=1")
    first, second = (store.result(stage.key) or {} for _, _, stage in found.prunings)
    assert first["widths"] != second["widths"]
    (_, _, stage), *_ = found.prunings
    dense = load_file(store.file(stage.inputs["dense"], WEIGHTS))["features.conv1.weight"]
    kept = read_architecture(store.file(stage.key, ARCHITECTURE)).kept[0].indices
    norms = dense.abs().flatten(1).sum(1)
    assert set(kept) == set(norms.argsort(stable=True).tolist()[len(norms) - len(kept) :])


@pytest.mark.usefixtures("guides")
def test_guided_sparsity_keeps_the_pattern_and_every_masked_pruning_says_where_it_keeps(tmp_path: Path) -> None:
    found, store = do(
        tmp_path, 'prune={method="guided-sparsity", fraction=0.8, guide="weights.json"}', "network.width=0.25"
    )
    result = prune(found, store)
    (_, _, stage), *_ = found.prunings
    masks = read_masks(store.file(stage.key, MASK))
    assert result["kept"] == sum(int(mask.sum()) for mask in masks.values())
    kernels, shares = result["kernels"], result["stage_shares"]
    assert isinstance(kernels, dict) and isinstance(shares, dict)
    assert kernels["4"][1][1] > 2 * kernels["4"][0][0]
    last = [masks[f"features.conv{position}.weight"] for position in (7, 8)]
    assert shares["4"] == sum(int(mask.sum()) for mask in last) / sum(mask.numel() for mask in last)


def test_zeros_of_a_sparsifier_go_and_nothing_else(tmp_path: Path) -> None:
    found, store = do(
        tmp_path,
        'prune={method="sss", of="zeros", strength=0.9}',
        'network={name="resnet20", width=0.25}',
        "train.lr=0.05",
    )
    result = prune(found, store)
    scales = result["scales"]
    assert isinstance(scales, dict)
    assert len(result["removed"]) == scales["zeros"] > 0  # type: ignore[arg-type]


def test_pruned_weights_are_zero_in_every_arm_at_the_end(tmp_path: Path) -> None:
    arms = ["retrain", "scratch-b", "ticket", "late-ticket", "ticket-shuffled", "scratch-e-scaled", "random-pruned"]
    found, store = do(
        tmp_path,
        'prune={method="magnitude", fraction=0.8}',
        f"arms={arms}".replace("'", '"'),
        "train.epochs=3",
        "retrain.late=0.4",
    )
    assert {run.arm for run in found.runs} == {"dense", *arms}
    for run in found.runs:
        if run.arm == "dense":
            continue
        masks = read_masks(store.file(run.train.inputs["pruned"], MASK))
        weights = load_file(store.file(run.train.key, WEIGHTS))
        assert sum(int((~mask).sum()) for mask in masks.values()) > 0
        assert all(int(weights[name][~mask].count_nonzero()) == 0 for name, mask in masks.items())


def test_rounds_leave_the_counts_of_the_schedule(tmp_path: Path) -> None:
    found, store = do(tmp_path, 'prune={method="magnitude", per_round=0.2, rounds=3}', ARMS)
    stages = sorted(
        (stage for stage in found.stages.values() if stage.kind == "prune"),
        key=lambda stage: stage.settings["round"]["number"],
    )
    results = [store.result(stage.key) or {} for stage in stages]
    assert [result["kept"] for result in results] == list(round_counts(results[0]["total"], 3, per_round=0.2))
    before = None
    for stage in stages:
        masks = read_masks(store.file(stage.key, MASK))
        assert before is None or all(bool((before[name] >= mask).all()) for name, mask in masks.items())
        before = masks


def test_soft_pruning_zeroes_exactly_what_is_carved_away(tmp_path: Path) -> None:
    found, store = do(tmp_path, 'prune={method="soft", fraction=0.5}')
    (_, _, stage), *_ = found.prunings
    dense = load_file(store.file(stage.inputs["dense"], WEIGHTS))
    kept = read_architecture(store.file(stage.key, ARCHITECTURE)).kept[0]
    first = dense["features.conv1.weight"]
    assert [int(row) for row in first.flatten(1).abs().sum(1).nonzero().flatten()] == list(kept.indices)


def test_a_reconstruction_gives_the_next_layer_new_weights_and_says_how_well_it_fits(tmp_path: Path) -> None:
    found, store = do(tmp_path, 'prune={method="regression", fraction=0.5}')
    (_, _, stage), *_ = found.prunings
    dense = load_file(store.file(stage.inputs["dense"], WEIGHTS))["features.conv2.weight"]
    small = load_file(store.file(stage.key, WEIGHTS))["features.conv2.weight"]
    kept = read_architecture(store.file(stage.key, ARCHITECTURE)).kept
    inherited = dense[list(kept[1].indices)][:, list(kept[0].indices)]
    assert inherited.shape == small.shape
    assert not inherited.equal(small)
    assert prune(found, store)["errors"]


def test_sparsity_training_shows_in_the_scales(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = prune(*do(tmp_path / "plain", 'prune={method="l1", scope="global", fraction=0.3}'))["scales"]
    slim = prune(*do(tmp_path, 'prune={method="slimming", strength=0.1, fraction=0.3}', "train.epochs=3"))["scales"]
    assert isinstance(plain, dict) and isinstance(slim, dict)
    assert slim["channels"] == plain["channels"]
    assert slim["median"] < 0.5 * plain["median"]
