from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from regrow.channels.architecture import Correction
from regrow.errors import ConfigError
from regrow.shipping.numbers import check_numbers, number_at


class Full(nn.Module):
    """Numbers in every kind of place."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 8
        self.on = True
        self.share = 8.0
        self.config = SimpleNamespace(size=8)
        self.shape = torch.Size((8, 3))
        self.table = {"sizes": [3, (1, (8, 2))], 4: 8}
        self.child = nn.Linear(8, 2)


PLACES = [("", "width"), ("", "config.size"), ("", "shape.0"), ("", "table.sizes.1.1.0"), ("", "table.4")]
CHILD = ("child", "in_features")


def at(module: str, attribute: str) -> Correction:
    return Correction(module=module, attribute=attribute, dense=8, small=5)


@pytest.mark.parametrize(("module", "attribute"), [*PLACES, CHILD])
def test_a_number_is_found_wherever_it_stands(module: str, attribute: str) -> None:
    network, correction = Full(), at(module, attribute)
    assert number_at(network, correction) == 8
    check_numbers(network, [correction], small=False, way_out="")
    with pytest.raises(ConfigError, match="must be 5 here; found 8"):
        check_numbers(network, [correction], small=True, way_out="")


@pytest.mark.parametrize(
    "attribute",
    [
        "nothing",
        "on",
        "share",
        "config",
        "shape.7",
        "shape.x",
        "table.none",
        "__class__.count",
        "__dict__.width",
        "forward",
    ],
)
def test_a_path_that_leads_to_no_integer_is_refused(attribute: str) -> None:
    network = Full()
    assert number_at(network, at("", attribute)) is None
    with pytest.raises(ConfigError, match=r"must be 8 here; found None. Do this."):
        check_numbers(network, [at("", attribute)], small=False, way_out="Do this.")


def test_a_number_of_another_network_is_refused() -> None:
    network = Full()
    network.child = nn.Linear(9, 2)
    with pytest.raises(ConfigError, match=r"child.in_features must be 8 here; found 9"):
        check_numbers(network, [at(*CHILD)], small=False, way_out="")


def test_a_module_that_is_not_there_holds_no_number() -> None:
    assert number_at(Full(), at("nobody", "width")) is None
