"""Which weights stay: exact counts, ties by position, patterns, and no other choice than PyTorch's own pruning makes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from regrow.errors import PruningError
from regrow.pruning.gradual import magnitudes
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_schedule import removed_of, round_targets
from tests.pruning.masked_networks import WEIGHTS, small

# Few distinct values, so that most draws tie.
VALUES = st.sampled_from([0.0, 1.0, 1.5, float("inf"), -float("inf")])
TENSORS = st.dictionaries(st.sampled_from("abcd"), st.lists(VALUES, min_size=1, max_size=20), min_size=1)


def tensors(lists: dict[str, list[float]]) -> dict[str, Tensor]:
    return {name: torch.tensor(values) for name, values in lists.items()}


def joined(named: dict[str, Tensor]) -> list[Any]:
    return [value for tensor in named.values() for value in tensor.flatten().tolist()]


def scores_of_resnet_like() -> dict[str, Tensor]:
    return magnitudes(small(), WEIGHTS)


@settings(deadline=None)
@given(TENSORS, st.data())
def test_globally_exactly_n_stay_and_of_equal_scores_the_last(
    lists: dict[str, list[float]], data: st.DataObject
) -> None:
    values = [value for each in lists.values() for value in each]
    n = data.draw(st.integers(0, len(values)))
    masks = keep_weights(tensors(lists), kept=n, may_empty=True)
    best = sorted(range(len(values)), key=lambda i: (values[i], i))[len(values) - n :]
    assert joined(masks) == [i in best for i in range(len(values))]


@settings(deadline=None)
@given(TENSORS, st.data())
def test_globally_no_tensor_is_emptied_and_the_total_is_exact_all_the_same(
    lists: dict[str, list[float]], data: st.DataObject
) -> None:
    total = sum(len(each) for each in lists.values())
    n = data.draw(st.integers(len(lists), total))
    masks = keep_weights(tensors(lists), kept=n)
    assert sum(joined(masks)) == n
    assert all(bool(mask.any()) for mask in masks.values())


@settings(deadline=None)
@given(TENSORS, st.integers(0, 99))
def test_within_layers_each_tensor_loses_its_own_share(lists: dict[str, list[float]], percent: int) -> None:
    masks = keep_weights(tensors(lists), fraction=percent / 100, scope="layer", may_empty=True)
    for name, values in lists.items():
        n = len(values) - removed_of(len(values), percent / 100)
        best = sorted(range(len(values)), key=lambda i: (values[i], i))[len(values) - n :]
        assert masks[name].tolist() == [i in best for i in range(len(values))]


def test_a_layer_that_ranks_last_keeps_its_best_weight_and_another_layer_pays() -> None:
    scores = {"small": torch.tensor([0.1, 0.3, 0.2]), "large": torch.tensor([4.0, 1.0, 2.0, 3.0])}
    emptied = keep_weights(scores, kept=4, may_empty=True)
    assert [mask.tolist() for mask in emptied.values()] == [[False] * 3, [True] * 4]
    safe = keep_weights(scores, kept=4)
    assert [mask.tolist() for mask in safe.values()] == [[False, True, False], [True, False, True, True]]


def test_a_floor_keeps_a_share_of_every_tensor() -> None:
    scores = {"small": torch.linspace(0, 0.1, 11), "large": torch.linspace(1, 2, 89)}
    masks = keep_weights(scores, kept=50, floor=0.25)
    assert [int(mask.sum()) for mask in masks.values()] == [3, 47]
    assert masks["small"].tolist() == [False] * 8 + [True] * 3
    # In binary, 0.1 * 70 is a little more than 7.
    tight = keep_weights({"small": torch.zeros(70), "large": torch.ones(70)}, kept=77, floor=0.1)
    assert [int(mask.sum()) for mask in tight.values()] == [7, 70]


def test_what_must_stay_and_what_may_stay_can_contradict_each_other() -> None:
    scores = {name: torch.rand(10) for name in "abc"}
    with pytest.raises(PruningError, match="2 weights are to stay, and 3 must"):
        keep_weights(scores, kept=2)
    with pytest.raises(PruningError, match="6 weights are to stay, and 15 must"):
        keep_weights(scores, fraction=0.8, floor=0.5)


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.777, 0.95])
def test_the_global_choice_is_that_of_torchs_global_unstructured_pruning(fraction: float) -> None:
    network = small()
    masks = keep_weights(magnitudes(network, WEIGHTS), fraction=fraction, may_empty=True)
    layers = [(network[int(name[0])], "weight") for name in WEIGHTS]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=fraction)
    for name, (layer, _) in zip(WEIGHTS, layers, strict=True):
        assert torch.equal(masks[name], layer.weight_mask.bool())


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.777, 0.95])
def test_the_choice_within_layers_is_that_of_torchs_l1_pruning(fraction: float) -> None:
    network = small()
    masks = keep_weights(magnitudes(network, WEIGHTS), fraction=fraction, scope="layer")
    for name in WEIGHTS:
        layer = copy.deepcopy(network[int(name[0])])
        prune.l1_unstructured(layer, "weight", amount=fraction)
        assert torch.equal(masks[name], layer.weight_mask.bool())


@pytest.mark.parametrize("percent", range(1, 100, 7))
def test_counts_are_those_of_torchs_random_pruning(percent: int) -> None:
    layer = nn.Linear(17, 13)
    masks = keep_weights({"weight": torch.rand(13, 17)}, fraction=percent / 100)
    prune.random_unstructured(layer, "weight", amount=percent / 100)
    assert int(masks["weight"].sum()) == int(layer.weight_mask.sum())


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_iterative_rounds_leave_exactly_their_counts_and_nothing_comes_back(scope: Any) -> None:
    sizes = {name: score.numel() for name, score in scores_of_resnet_like().items()}
    masks = None
    for number, target in enumerate(round_targets(sizes, 8, scope=scope, per_round=0.2)):
        before = masks
        scores = {name: torch.rand(*score.shape) + number for name, score in scores_of_resnet_like().items()}
        masks = keep_weights(scores, kept=target, scope=scope, previous=before)
        counts = {name: int(mask.sum()) for name, mask in masks.items()}
        assert (counts if scope == "layer" else sum(counts.values())) == target
        assert before is None or all(not bool((masks[name] & ~before[name]).any()) for name in masks)


def test_an_earlier_round_decides_what_may_stay_whatever_the_scores_say() -> None:
    scores, previous = {"a": torch.tensor([9.0, 1.0, 8.0, 2.0])}, {"a": torch.tensor([False, True, True, True])}
    assert keep_weights(scores, kept=2, previous=previous)["a"].tolist() == [False, False, True, True]
    with pytest.raises(PruningError, match="asked to keep 4 weights where 3 may stay"):
        keep_weights(scores, kept=4, previous=previous)
    with pytest.raises(PruningError, match="the mask before: none"):
        keep_weights({"b": torch.rand(4)}, kept=2, previous=previous)


def best_of_runs(row: list[float], n: int, m: int) -> list[bool]:
    """One row, run by run, the plain way."""
    keep = []
    for start in range(0, len(row), m):
        order = sorted(range(m), key=lambda i: (row[start + i], i))[m - n :]
        keep += [i in order for i in range(m)]
    return keep


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2), (4, 8), (3, 20)])
def test_a_pattern_keeps_the_n_best_of_every_run_of_a_linear_layer(n: int, m: int) -> None:
    torch.manual_seed(n)
    score = torch.randint(0, 5, (7, 40)).float()
    mask = keep_weights({"a": score}, pattern=f"{n}:{m}")["a"]
    assert mask.tolist() == [best_of_runs(row, n, m) for row in score.tolist()]


def test_runs_of_a_convolution_go_along_its_input_channels_at_each_position_of_the_kernel() -> None:
    score = torch.rand(5, 8, 3, 2)
    mask = keep_weights({"a": score}, pattern="2:4")["a"]
    for row in range(3):
        for column in range(2):
            expected = [best_of_runs(values, 2, 4) for values in score[:, :, row, column].tolist()]
            assert mask[:, :, row, column].tolist() == expected


def test_a_pattern_within_an_earlier_mask_never_brings_a_weight_back() -> None:
    score = torch.tensor([[-float("inf"), 1.0, 9.0, 8.0], [4.0, 3.0, 2.0, 1.0]])
    previous = {"a": torch.tensor([[True, True, False, False], [True, False, False, False]])}
    mask = keep_weights({"a": score}, pattern="2:4", previous=previous)["a"]
    assert mask.tolist() == [[True, True, False, False], [True, False, False, False]]


def test_a_width_that_is_no_multiple_is_named_with_the_way_out() -> None:
    scores = {
        "stem.weight": torch.rand(8, 3, 3, 3),
        "fine.weight": torch.rand(8, 4),
        "depthwise.weight": torch.rand(8, 1, 3, 3),
    }
    with pytest.raises(PruningError) as caught:
        keep_weights(scores, pattern="2:4")
    assert "stem.weight (width 3), depthwise.weight (width 1)" in str(caught.value)
    assert 'prune.skip = ["stem.weight", "depthwise.weight"]' in str(caught.value)
    kept = keep_weights({"fine.weight": scores["fine.weight"]}, pattern="2:4")
    assert int(kept["fine.weight"].sum()) == 16


@pytest.mark.parametrize("pattern", ["4:2", "0:4", "2", "2:4:8", "a:b", "4:4"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(PruningError, match="a pattern is n:m"):
        keep_weights({"a": torch.rand(4, 4)}, pattern=pattern)


def test_scores_that_are_not_numbers_have_no_rank() -> None:
    with pytest.raises(PruningError, match="1 of 3 weights of b are not a number"):
        keep_weights({"a": torch.rand(3), "b": torch.tensor([1.0, float("nan"), 2.0])}, fraction=0.5)


@pytest.mark.parametrize("fraction", [None, 1.0, -0.1, 30])
def test_a_fraction_is_a_share(fraction: float | None) -> None:
    with pytest.raises(PruningError, match="share of weights to remove"):
        keep_weights({"a": torch.rand(3)}, fraction=fraction)


def test_amounts_must_fit_the_scope_and_there_must_be_scores() -> None:
    with pytest.raises(PruningError, match="one number for all tensors together"):
        keep_weights({"a": torch.rand(3)}, kept={"a": 2})
    with pytest.raises(PruningError, match="one number for each of the 1 tensors"):
        keep_weights({"a": torch.rand(3)}, kept=2, scope="layer")
    with pytest.raises(PruningError, match="got scope 'group'"):
        keep_weights({"a": torch.rand(3)}, fraction=0.5, scope="group")  # type: ignore[arg-type]
    with pytest.raises(PruningError, match="no tensor has scores"):
        keep_weights({}, fraction=0.5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_scores_of_any_type_are_ranked(dtype: torch.dtype) -> None:
    scores = {"a": torch.tensor([3, 1, 2], dtype=dtype), "b": torch.tensor([0.5, 2.5])}
    assert joined(keep_weights(scores, kept=2)) == [True, False, False, False, True]
    runs = {"a": torch.tensor([[3, 1, 2, 0]], dtype=dtype)}
    previous = {"a": torch.tensor([[False, True, True, True]])}
    assert joined(keep_weights(runs, pattern="2:4", previous=previous)) == [False, True, True, False]


def test_masks_have_memory_of_their_own_and_scores_are_left_alone() -> None:
    scores = {name: torch.rand(10) for name in "ab"}
    before = copy.deepcopy(scores)
    masks = keep_weights(scores, fraction=0.5)
    masks["a"].fill_(False)
    assert masks["b"].untyped_storage().nbytes() == 10
    assert all(torch.equal(scores[name], before[name]) for name in scores)
