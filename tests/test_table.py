"""Tables: the only door from a name to code."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from regrow.errors import UnknownNameError
from regrow.table import Table, load


@dataclass(frozen=True)
class Colour:
    summary: str


COLOURS = Table("colour", {"red": Colour("warm"), "blue": Colour("cold")})


def test_a_known_name_gives_its_row() -> None:
    assert COLOURS["red"] == Colour("warm")
    assert COLOURS.kind == "colour"


def test_an_unknown_name_is_answered_with_the_nearest_and_with_all() -> None:
    with pytest.raises(UnknownNameError) as caught:
        COLOURS["rad"]
    assert str(caught.value) == "no colour is called 'rad'. Did you mean 'red'? Known: blue, red."


def test_asking_whether_a_name_is_known_raises_nothing() -> None:
    assert "red" in COLOURS
    assert "rad" not in COLOURS
    assert 3 not in COLOURS


def test_rows_keep_the_order_they_were_written_in() -> None:
    assert list(COLOURS) == ["red", "blue"]
    assert len(COLOURS) == 2


def test_a_table_does_not_change_with_the_dict_it_was_made_of() -> None:
    rows = {"red": Colour("warm")}
    table = Table("colour", rows)
    rows["blue"] = Colour("cold")
    assert list(table) == ["red"]


def test_load_imports_the_attribute_of_a_module() -> None:
    assert load("math:floor")(2.5) == 2


@pytest.mark.parametrize("target", ["no_such_module_here:x", "math:no_such_attribute"])
def test_an_address_that_leads_nowhere_is_a_bug_and_keeps_its_own_error(target: str) -> None:
    with pytest.raises((ImportError, AttributeError)):
        load(target)
