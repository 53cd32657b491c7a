"""pydantic's errors as plain faults, one for each key."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from regrow.config.fields import Part, missing, read_part
from regrow.config.study import Study
from regrow.data.settings import DataSettings


def told(part: Part) -> list[str]:
    return [f"{fault.key}: {fault.rule}" for fault in part.faults]


def test_a_part_without_faults_is_its_value() -> None:
    part = read_part("data", [{"name": "digits", "root": "x", "shape": [1, 8, 8]}])
    assert part.value == (DataSettings(name="digits", root="x", shape=(1, 8, 8)),)  # type: ignore[arg-type]
    assert part.faults == part.wrong == ()


@pytest.mark.parametrize("name", [name for name, field in Study.model_fields.items() if not field.is_required()])
def test_every_default_is_a_value_that_a_file_may_give(name: str) -> None:
    default = Study.model_construct().model_dump(mode="json", include={name})[name]
    assert read_part(name, _without_none(default)).faults == ()


def _without_none(value: Any) -> Any:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


def test_an_alternative_type_gives_one_fault_and_not_one_per_alternative() -> None:
    part = read_part("prune", [{"method": 3, "fraction": [0.3, 30]}])
    assert told(part) == [
        "prune.method: must be text in quotes, or a list of such values; found 3",
        "prune.fraction: must be a number above 0 and below 1, or a list of such values; found [0.3, 30]",
    ]


def test_a_wrong_item_of_a_list_is_counted_from_one() -> None:
    assert told(read_part("arms", ["retrain", 3])) == ["arms #2: must be text in quotes; found 3"]


def test_a_wrong_key_leaves_the_rest_to_be_checked() -> None:
    part = read_part("train", {"epochs": 0, "lr": 0.5, "speed": 3})
    assert part.usable
    assert part.value.lr == 0.5
    assert part.value.epochs == 160
    assert set(part.wrong) == {"train.epochs", "train.speed"}


def test_several_wrong_items_are_taken_out_together() -> None:
    part = read_part("arms", [1, "retrain", 2, *[0] * 9, "scratch-b"])
    assert part.value == ("retrain", "scratch-b")
    assert len(part.faults) == 11


def test_a_missing_key_leaves_nothing_to_check_and_says_what_to_write() -> None:
    part = read_part("prune", [{"fraction": 0.5}])
    assert not part.usable
    assert part.wrong == ("prune.method", "prune")
    assert str(part.faults[0]) == (
        'study: prune.method: is missing; a study must give it\n    For instance method = "l1"; `regrow list methods` shows all.'
    )


def test_rules_of_a_settings_model_keep_their_own_words() -> None:
    part = read_part("prune", [{"method": "l1", "fraction": 0.3, "stages": [0.1]}])
    assert told(part) == ["prune: give one of fraction, stages, widths and per_round; found fraction and stages"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seeds", ["1"]),
        ("margin", "1"),
        ("margin", True),
        ("margin", float("inf")),
        ("train", {"epochs": 3.0}),
        ("train", {"nesterov": 1}),
        ("title", 3),
        ("title", ["a"]),
    ],
)
def test_nothing_is_converted_in_silence(name: str, value: Any) -> None:
    assert len(read_part(name, value).faults) == 1


def test_a_whole_number_is_a_number() -> None:
    assert read_part("margin", 2).value == 2.0


def test_a_date_is_shown_as_it_was_written() -> None:
    assert told(read_part("margin", datetime.date(2020, 1, 2))) == [
        "margin: must be a number above 0 and below 100; found 2020-01-02"
    ]


@pytest.mark.parametrize("name", ["data", "network", "prune"])
def test_what_is_no_table_is_answered_with_how_to_write_one(name: str) -> None:
    (fault,) = read_part(name, 3).faults
    assert fault.rule == f"must be a table, [{name}], or several, each [[{name}]]; found 3"
    assert fault.hint == missing(name).hint != ""


def test_special_rules_are_told_for_the_key_and_not_for_its_items() -> None:
    assert told(read_part("seeds", "8"))[0].startswith("seeds: must be how many seeds (1 to 10000), or a list")
    assert told(read_part("seeds", [-1])) == [
        "seeds #1: must be a whole number of at least 0 and below 10000; found -1"
    ]
    assert told(read_part("contrast", ["retrain"]))[0].startswith("contrast: must be two arms")


@pytest.mark.parametrize("name", ["a b", "../up", "", ".hidden", "x" * 81, "a/b"])
def test_a_name_must_do_as_a_folder(name: str) -> None:
    assert told(read_part("name", name))[0].startswith("name: must be at most 80 letters, digits")
