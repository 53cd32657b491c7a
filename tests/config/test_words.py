"""Types and values in the words of a study file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from regrow.config.words import LONGEST_VALUE, describe, show, suggest
from regrow.settings import Settings

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]

TYPES = [
    (int, "a whole number"),
    (Count, "a whole number of at least 1"),
    (Annotated[float, Field(ge=0, le=1)], "a number of at least 0 and of at most 1"),
    (str, "text in quotes"),
    (bool, "true or false"),
    (Path | None, "a path in quotes"),
    (Literal["sgd", "adamw"], 'one of "sgd", "adamw"'),
    (Literal["auto"] | bool, 'one of "auto", true, false'),
    (Share | Count, "a number above 0 and below 1, or a whole number of at least 1"),
    (Share | tuple[Share, ...] | None, "a number above 0 and below 1, or a list of such values"),
    (tuple[Share, ...], "a list of numbers above 0 and below 1"),
    (tuple[int | str, ...], "a list of whole numbers, or texts in quotes"),
    (tuple[Count, Count, Count], "a list of 3 whole numbers of at least 1"),
    (str | tuple[Count, ...], "text in quotes, or a list of whole numbers of at least 1"),
    (Settings, "a table"),
]


@pytest.mark.parametrize(("annotation", "words"), TYPES)
def test_a_type_is_told_in_plain_words(annotation: Any, words: str) -> None:
    assert describe(annotation) == words


VALUES = [
    (True, "true"),
    (0.3, "0.3"),
    ("vgg11", '"vgg11"'),
    (["a", 1], '["a", 1]'),
    (("a", 1.5), '["a", 1.5]'),
    ({}, "{}"),
    ({"a": {"b": False}}, "{ a = { b = false } }"),
    ("umlaut ü", '"umlaut ü"'),
    ("bell \a, escape \x1b[31m", '"bell \\u0007, escape \\u001b[31m"'),
]


@pytest.mark.parametrize(("value", "toml"), VALUES)
def test_a_value_is_shown_as_toml_and_is_safe_to_print(value: Any, toml: str) -> None:
    assert show(value) == toml
    assert show(value).isprintable()


def test_a_long_value_is_cut() -> None:
    assert show("x" * 1000) == '"' + "x" * (LONGEST_VALUE - 5) + " ..."


MEANT = [
    (30, Share, "0.3"),
    (7, Share, "0.07"),
    (100, Share, ""),
    (1.0, Share, ""),
    (-0.3, Share, ""),
    ("0.1", float, "0.1"),
    ("0.1", Share, "0.1"),
    ("30", Count, "30"),
    (30.0, Count, "30"),
    (30.5, Count, ""),
    ("none", Count, ""),
    ("yes", bool, "true"),
    ("False", bool, "false"),
    ("high", float, ""),
    (True, int, ""),
    ("cosin", Literal["step", "cosine"], '"cosine"'),
    ("SGD", Literal["sgd", "adamw"], '"sgd"'),
    ("quark", Literal["step", "cosine"], ""),
    ([10, 0.5], Share | tuple[Share, ...], "[0.1, 0.5]"),
    ([10, "x"], Share | tuple[Share, ...], ""),
    ("retrain", tuple[str, ...], '["retrain"]'),
    (8, tuple[int, ...], "[8]"),
    ("wandb", tuple[Literal["wandb", "mlflow"], ...], '["wandb"]'),
    ([1, 2], tuple[Count, Count, Count], ""),
    (["1", 2, 3], tuple[Count, Count, Count], "[1, 2, 3]"),
    (3, tuple[Settings, ...], ""),
    (float("nan"), Share, ""),
    ([], tuple[Share, ...], ""),
]


@pytest.mark.parametrize(("value", "annotation", "better"), MEANT)
def test_what_was_meant_is_guessed_only_where_one_can_tell(value: Any, annotation: Any, better: str) -> None:
    assert suggest(value, annotation) == better
