"""Every table can be listed."""

from __future__ import annotations

import json

import pytest

from regrow.config.catalog import KINDS, listing, table
from regrow.errors import UnknownNameError


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_is_listed_with_names_and_summaries(self, kind: str) -> None:
        rows = listing(kind)
        assert [row["name"] for row in rows] == list(table(kind))
        assert all(row["summary"] and "\n" not in row["summary"] for row in rows)

    def test_is_plain_json_without_addresses_of_code(self, kind: str) -> None:
        text = json.dumps(listing(kind))
        assert '"regrow.' not in text


def test_networks_show_their_prunable_groups() -> None:
    rows = {row["name"]: row for row in listing("networks")}
    groups = rows["vgg11"]["groups"]
    assert [group["channels"] for group in groups] == [64, 128, 256, 256, 512, 512, 512, 512]


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'networks'"):
        table("network")
