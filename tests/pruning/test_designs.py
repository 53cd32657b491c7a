from __future__ import annotations

import pytest

from regrow.networks.cost import cost
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS, dense_spec
from regrow.pruning.designs import DESIGNS
from regrow.pruning.settings import PruneSettings
from regrow.pruning.widths import target_widths

# Position 38 is the first block of stage 3 (stage boundary 36), 20 the first of stage 2, 54 the last of all.
WIDTHS = {
    "vgg16-a": [32, 64, 128, 128, *[256] * 9],
    "resnet56-a": [*[14] * 7, 16, 14, 32, *[28] * 8, 64, *[57] * 7, 64],
    "resnet56-b": [*[6] * 7, 16, 16, 32, *[22] * 6, 32, 22, 64, *[57] * 7, 64],
    "resnet110-a": [*[8] * 17, 16, *[32] * 18, *[64] * 18],
    "resnet110-b": [*[8] * 17, 16, 32, *[19] * 17, 64, *[44] * 17],
}


def dense_of(design: str, width: float = 1.0) -> NetworkSpec:
    settings = NetworkSettings(name=DESIGNS[design].network, width=width)
    return dense_spec(settings, classes=10, shape=(3, 32, 32))


def pruned(design: str, width: float = 1.0) -> NetworkSpec:
    dense = dense_of(design, width)
    widths = target_widths(PruneSettings(method="l1", widths=design), dense, None)
    return NetworkSpec(name=dense.name, width=dense.width, widths=widths, classes=dense.classes, shape=dense.shape)


@pytest.mark.parametrize("design", DESIGNS)
def test_widths_are_those_of_the_paper(design: str) -> None:
    assert list(pruned(design).widths) == WIDTHS[design]


@pytest.mark.parametrize(
    ("design", "millions_of_macs", "millions_of_params", "digits", "scratch_b_epochs"),
    [
        ("vgg16-a", 206.3, 5.40, 2, 243),
        ("resnet56-a", 112.4, 0.773, 3, 178),
        ("resnet56-b", 90.9, 0.736, 3, 220),
        ("resnet110-a", 212.8, 1.689, 3, 190),
        ("resnet110-b", 155.1, 1.168, 3, 260),
    ],
)
def test_macs_parameters_and_scratch_b_epochs_are_those_of_the_paper(
    design: str, millions_of_macs: float, millions_of_params: float, digits: int, scratch_b_epochs: int
) -> None:
    small, dense = cost(pruned(design)), cost(dense_of(design))
    assert round(small.macs / 1e6, 1) == millions_of_macs
    assert round(small.params / 1e6, digits) == millions_of_params
    assert 160 * dense.macs // small.macs == scratch_b_epochs


@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_fits_narrower_networks_too(design: str) -> None:
    dense = dense_of(design, 0.25)
    widths = pruned(design, 0.25).widths
    assert all(1 <= width <= whole for width, whole in zip(widths, dense.widths, strict=True))
    assert sum(widths) < sum(dense.widths)


@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_names_a_network_of_the_zoo_and_says_how_much_in_one_way(design: str) -> None:
    row = DESIGNS[design]
    assert row.network in NETWORKS
    assert bool(row.widths) != bool(row.stages)
