from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from regrow.channels.architecture import Architecture, Correction, KeptChannels
from regrow.channels.carve import carve
from regrow.channels.changes import to_widths
from regrow.channels.composition import compose
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import Slice
from regrow.errors import PruningError
from regrow.pruning.anything import prune_network

from .by_hand import HALF, Kept, architecture, cut
from .residual import IMAGES, Around, Deep
from .zoo_networks import random_architecture, restless, small_spec

SHAPES = {
    "stem.weight": (12, 3),
    "stem.bias": (12,),
    "inner.weight": (10, 12),
    "inner.bias": (10,),
    "outer.weight": (12, 10),
    "outer.bias": (12,),
    "head.weight": (4, 12),
}
ATTENTION = {
    "heads": (Slice("q", 0, repeat=6), Slice("o", 1, repeat=6)),
    "dims": (Slice("q", 0, tile=4), Slice("o", 1, tile=4)),
}


def numbered(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors of 0, 1, 2, ...: a value says where it came from."""
    return {name: torch.arange(torch.Size(shape).numel()).double().reshape(shape) for name, shape in shapes.items()}


def assert_same_as_one_after_the_other(
    shapes: Mapping[str, tuple[int, ...]], first: Architecture, second: Architecture
) -> Architecture:
    tensors = numbered(shapes)
    once = compose(first, second)
    twice = cut(cut(tensors, first), second)
    found = cut(tensors, once)
    assert all(torch.equal(found[name], twice[name]) for name in shapes)
    assert any(found[name].shape != tensors[name].shape for name in shapes)
    assert Architecture.from_json(once.to_json()) == once
    return once


def test_the_same_groups_pruned_again_are_counted_in_the_dense_network() -> None:
    second = architecture(stream=(6, (0, 3, 5)), inner=(5, (1, 2)))
    once = assert_same_as_one_after_the_other(SHAPES, HALF, second)
    assert once.indices == {"stream": (0, 5, 11), "inner": (4, 5)}
    assert [entry.slices for entry in once.kept] == [entry.slices for entry in HALF.kept]


def test_a_group_that_the_second_leaves_out_stays_as_the_first_left_it() -> None:
    once = assert_same_as_one_after_the_other(SHAPES, HALF, architecture(inner=(5, (0,))))
    assert to_widths(once) == {"stream": 6, "inner": 1}


def test_a_group_is_known_again_by_its_places_not_by_its_name_or_order() -> None:
    slices = {"other": tuple(reversed(HALF.kept[0].slices))}
    once = assert_same_as_one_after_the_other(SHAPES, HALF, architecture(slices, other=(6, (5,))))
    assert once.indices == {"stream": (11,), "inner": (1, 4, 5, 6, 9)}


def test_a_group_that_the_first_did_not_have_is_added() -> None:
    first = architecture(stream=(12, (0, 1, 2)))
    once = assert_same_as_one_after_the_other(SHAPES, first, architecture(inner=(10, (3, 4))))
    assert once.indices == {"stream": (0, 1, 2), "inner": (3, 4)}


def test_heads_and_the_dimensions_in_them_compose_in_either_order() -> None:
    shapes = {"q": (24, 5), "o": (5, 24)}
    every: Kept = (4, (0, 1, 2, 3))
    dims = architecture(ATTENTION, dims=(6, (1, 3, 4)), heads=every)
    smaller = {
        name: tuple(Slice(part.tensor, part.axis, 0, 3 if part.repeat > 1 else 1, part.tile) for part in parts)
        for name, parts in ATTENTION.items()
    }
    heads = architecture(smaller, dims=(3, (0, 2)), heads=(4, (0, 3)))
    once = assert_same_as_one_after_the_other(shapes, dims, heads)
    assert once.indices == {"dims": (1, 4), "heads": (0, 3)}


def test_heads_that_the_first_did_not_know_become_a_group_of_stretches() -> None:
    shapes = {"q": (24, 5), "o": (5, 24)}
    heads = architecture({"heads": (Slice("q", 0, repeat=3), Slice("o", 1, repeat=3))}, heads=(4, (0, 3)))
    once = assert_same_as_one_after_the_other(shapes, architecture(ATTENTION, dims=(6, (1, 3, 4))), heads)
    assert once.indices == {"dims": (1, 3, 4), "heads": (0, 3)}


def test_groups_that_the_second_joins_or_divides_get_a_name_of_their_own() -> None:
    parts = {"stream": HALF.kept[0].slices[:3], "rest": HALF.kept[0].slices[3:]}
    divided = architecture(parts, stream=(6, (0, 1)), rest=(6, (2, 3)))
    once = assert_same_as_one_after_the_other(SHAPES, HALF, divided)
    assert list(once.indices) == ["stream", "inner", "stream (2)", "rest"]
    joined = {"both": (Slice("stem.weight", 0), Slice("inner.weight", 0, order=(0, 1, 2, 3, 4)))}
    once = assert_same_as_one_after_the_other(SHAPES, HALF, architecture(joined, both=(6, (2, 4))))
    assert list(once.indices) == ["stream", "inner", "both"]


def random_group(name: str, axes: Mapping[tuple[str, int], int], rng: random.Random) -> KeptChannels:
    """A group of any shape that fits into some of these axes."""
    channels = rng.randint(1, min(axes.values()))
    slices = []
    for (tensor, axis), size in rng.sample(sorted(axes.items()), rng.randint(1, len(axes))):
        repeat = rng.randint(1, size // channels)
        tile = rng.randint(1, size // (channels * repeat))
        start = rng.randint(0, size - channels * repeat * tile)
        order = tuple(rng.sample(range(channels), channels)) if rng.random() < 0.5 else None
        slices.append(Slice(tensor, axis, start, repeat, tile, order))
    indices = tuple(sorted(rng.sample(range(channels), rng.randint(1, channels))))
    return KeptChannels(group=name, channels=channels, indices=indices, slices=tuple(slices))


@given(st.randoms(use_true_random=False))
def test_any_two_prunings_compose_to_the_same_tensors(rng: random.Random) -> None:
    tensors = numbered({"a": (rng.randint(2, 12), rng.randint(2, 12)), "b": (rng.randint(2, 12),)})
    small, steps = tensors, []
    for _ in range(2):
        axes = {(name, axis): size for name, tensor in small.items() for axis, size in enumerate(tensor.shape)}
        if not all(axes.values()):
            return  # groups that overlap may empty a tensor; no tracer gives such groups
        groups = tuple(random_group(f"g{number}", axes, rng) for number in range(rng.randint(1, 3)))
        steps.append(Architecture(dense=None, kept=groups, fingerprint="0" * 64, regrow="test"))
        small = cut(small, steps[-1])
    try:
        once = compose(*steps)
    except PruningError as error:
        assert "compose takes" in str(error)
        return
    found = cut(tensors, once)
    assert all(torch.equal(found[name], small[name]) for name in tensors)


def test_numbers_of_modules_go_from_their_first_to_their_last_value() -> None:
    def corrected(**numbers: tuple[int, int]) -> tuple[Correction, ...]:
        return tuple(
            Correction(module="m", attribute=name, dense=dense, small=small) for name, (dense, small) in numbers.items()
        )

    first = architecture(corrections=corrected(a=(8, 4), b=(6, 3)), stream=(12, (0, 1)))
    second = architecture(corrections=corrected(a=(4, 2), c=(9, 5)), stream=(2, (0,)))
    assert compose(first, second).corrections == corrected(a=(8, 2), b=(6, 3), c=(9, 5))
    wrong = architecture(corrections=corrected(a=(5, 2)), stream=(2, (0,)))
    with pytest.raises(PruningError, match=r"a of m is 4; the second expects 5"):
        compose(first, wrong)


def test_two_architectures_of_the_same_dense_network_do_not_compose() -> None:
    with pytest.raises(PruningError, match="the second has stream with 12 channels, which the first reduced to 6"):
        compose(HALF, HALF)


@pytest.mark.parametrize("name", ["vgg11", "resnet20", "densenet40"])
def test_networks_of_the_zoo_stay_networks_of_the_zoo(name: str) -> None:
    spec = small_spec(name)
    network = restless(spec)
    first = random_architecture(network, spec)
    small = carve(network, first)
    second = Architecture(
        dense=first.pruned_spec(),
        kept=tuple(
            KeptChannels(group=name, channels=width, indices=tuple(range(width // 2, width)))
            for name, width in to_widths(first).items()
        ),
        fingerprint=fingerprint(small),
        regrow="test",
    )
    once = compose(first, second)
    assert once.dense == spec
    assert fingerprint(carve(network, once)) == fingerprint(carve(small, second))


def test_blocks_that_either_removes_are_removed() -> None:
    spec = small_spec("preresnet38")
    network = restless(spec)
    first = random_architecture(network, spec).without(["stage1.block2"])
    small = carve(network, first)
    half = tuple(
        KeptChannels(
            group=entry.group,
            channels=len(entry.indices),
            indices=tuple(range(0 if first.vanishes(entry) else len(entry.indices) // 2, len(entry.indices))),
        )
        for entry in first.kept
    )
    second = Architecture(dense=first.pruned_spec(), kept=half, fingerprint=fingerprint(small), regrow="test")
    second = second.without(["stage3.block4"])
    once = compose(first, second)
    assert once.removed == ("stage1.block2", "stage3.block4") and once.dense == spec
    assert fingerprint(carve(network, once)) == fingerprint(carve(small, second))
    vanished = [entry for entry in once.kept if once.vanishes(entry)]
    assert len(vanished) == 4 and all(len(entry.indices) == entry.channels for entry in vanished)
    with pytest.raises(PruningError, match=r"removes stage1\.block2, which the first has removed already"):
        compose(first, random_architecture(network, spec).without(["stage1.block2"]))


def test_traced_networks_lose_blocks_and_channels_in_either_order() -> None:
    network = Around(Deep(), Deep(), Deep(), Deep()).double().eval()
    whole = prune_network(network, IMAGES.double(), fraction=0.5).architecture
    shorter = Architecture(
        dense=None,
        kept=tuple(replace(entry, indices=tuple(range(entry.channels))) for entry in whole.kept),
        network=whole.network,
        fingerprint=whole.fingerprint,
        regrow="test",
        removed=("blocks.1",),
    )
    for first in (shorter, whole, whole.without(["blocks.1"])):
        small = carve(network, first)
        second = prune_network(small, IMAGES.double(), fraction=0.5).architecture.without(["blocks.2"])
        once = compose(first, second)
        assert once.removed == tuple(sorted({*first.removed, "blocks.2"}))
        assert fingerprint(carve(network, once)) == fingerprint(carve(small, second))
        assert str(carve(network, once)) == str(carve(small, second))


def test_the_outer_of_two_blocks_takes_the_inner_along() -> None:
    first = replace(architecture(stream=(12, (0, 1))), removed=("a.1.b",))
    second = replace(architecture(stream=(2, (0,))), removed=("a.1",))
    assert compose(first, second).removed == ("a.1",)
