from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regrow.data.datasets import DATASETS, Facts, download_folder, facts, held_out, root_problem
from regrow.data.settings import DataSettings
from regrow.errors import ConfigError, UnknownNameError
from regrow.table import load


def settings(name: str = "digits", **changes: Any) -> DataSettings:
    return DataSettings(name=name, **changes)


def declared(**changes: Any) -> DataSettings:
    given: dict[str, Any] = {"name": "parquet", "classes": 7, "shape": (3, 20, 30), "examples": 1000}
    return DataSettings(**(given | changes))


def keys_of_faults(given: DataSettings) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        facts(given)
    return [fault.key for fault in caught.value.faults]


@pytest.mark.parametrize("name", DATASETS)
class TestEveryDataset:
    def test_its_loader_exists(self, name: str) -> None:
        assert callable(load(DATASETS[name].target))

    def test_it_says_all_or_nothing_of_its_facts(self, name: str) -> None:
        row = DATASETS[name]
        assert len({row.examples is None, row.test_examples is None, row.classes is None, row.shape is None}) == 1
        assert (row.mean is None) == (row.std is None)

    def test_its_layout_is_that_of_a_format(self, name: str) -> None:
        layout = DATASETS[name].layout
        assert not layout or (DATASETS[layout].is_format and not DATASETS[name].is_format)

    def test_its_help_is_one_line(self, name: str) -> None:
        assert DATASETS[name].summary
        assert "\n" not in DATASETS[name].summary
        assert DATASETS[name].source.count("\n") == 0


class TestFactsOfKnownData:
    def test_digits_hold_out_540_for_the_test_and_a_tenth_of_the_rest(self) -> None:
        # 1797 - 540 = 1257; a tenth, rounded down, is 125
        assert facts(settings()) == Facts(
            label="digits", train=1132, validation=125, test=540, classes=10, shape=(1, 8, 8), augment="none"
        )

    def test_the_test_set_of_digits_can_have_another_size(self) -> None:
        found = facts(settings(test=797, validation=100))
        assert (found.train, found.validation, found.test) == (900, 100, 797)

    @pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100), ("cifar10-jpeg", 10)])
    def test_cifar_has_45000_5000_and_10000_examples(self, name: str, classes: int) -> None:
        assert facts(settings(name)) == Facts(
            label=name,
            train=45_000,
            validation=5_000,
            test=10_000,
            classes=classes,
            shape=(3, 32, 32),
            augment="crop-flip",
        )

    def test_imagenet_is_planned_without_a_declaration(self) -> None:
        # A tenth of 1,281,167, rounded down, is 128,116.
        assert facts(settings("imagenet")) == Facts(
            label="imagenet",
            train=1_153_051,
            validation=128_116,
            test=50_000,
            classes=1000,
            shape=(3, 224, 224),
            augment="crop-flip",
        )
        assert root_problem(settings("imagenet")) is not None

    def test_a_label_and_an_augmentation_of_ones_own_are_taken(self) -> None:
        found = facts(settings("cifar10", label="C", augment="none"))
        assert (found.label, found.augment) == ("C", "none")

    def test_its_facts_cannot_be_declared(self) -> None:
        assert keys_of_faults(settings("cifar10", classes=10, examples=5)) == ["data.classes", "data.examples"]

    def test_its_own_test_set_cannot_be_drawn_from_training_examples(self) -> None:
        assert keys_of_faults(settings("cifar10", test=0.1)) == ["data.test"]

    def test_an_unknown_name_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(UnknownNameError, match="Did you mean 'cifar10'"):
            facts(settings("cifar1o"))


class TestFactsOfFormats:
    def test_they_are_what_the_study_declares(self) -> None:
        found = facts(declared(root=Path("some/flowers"), validation=150))
        assert found == Facts(
            label="flowers", train=850, validation=150, test=None, classes=7, shape=(3, 20, 30), augment="crop-flip"
        )

    def test_a_test_set_that_is_held_out_leaves_the_rest(self) -> None:
        found = facts(declared(test=0.2, validation=0.1))
        assert (found.train, found.validation, found.test) == (720, 80, 200)

    def test_all_that_is_missing_is_named_at_once(self) -> None:
        assert keys_of_faults(settings("folder")) == ["data.classes", "data.shape", "data.examples"]
        assert keys_of_faults(settings("hub", classes=2, shape=(1, 4, 4))) == ["data.examples", "data.hub"]

    def test_every_fault_says_what_to_write(self) -> None:
        with pytest.raises(ConfigError) as caught:
            facts(settings("folder"))
        assert all(fault.hint.startswith("For example: data.") for fault in caught.value.faults)

    def test_images_have_one_or_three_channels(self) -> None:
        assert keys_of_faults(declared(shape=(32, 32, 3))) == ["data.shape"]

    def test_a_hub_name_goes_with_the_hub_only(self) -> None:
        assert keys_of_faults(declared(hub="a/b")) == ["data.hub"]
        assert facts(declared(name="hub", hub="owner/cats")).label == "cats"


@pytest.mark.parametrize(("validation", "test"), [(1000, None), (600, 400), (500, 0.9)])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(validation: int, test: float | None) -> None:
    assert keys_of_faults(declared(validation=validation, test=test)) == ["data.validation"]


@pytest.mark.parametrize(
    ("amount", "examples", "expected"), [(0.29, 100, 29), (0.1, 1257, 125), (0.001, 10, 1), (300, 1000, 300)]
)
def test_a_share_is_rounded_down_exactly_but_to_one_at_least(amount: float, examples: int, expected: int) -> None:
    assert held_out(amount, examples) == expected


class TestRoot:
    def test_data_that_need_none_never_complain(self) -> None:
        assert root_problem(settings("digits")) is None
        assert root_problem(settings("cifar10", root=Path("not/there/yet"))) is None

    def test_one_that_is_not_given_is_a_problem(self) -> None:
        problem = root_problem(settings("cifar10-jpeg"))
        assert problem is not None
        assert "data.root is not set" in problem

    def test_one_that_is_not_there_is_a_problem_and_is_named(self, tmp_path: Path) -> None:
        problem = root_problem(settings("cifar10-jpeg", root=tmp_path / "gone"))
        assert problem is not None
        assert str(tmp_path / "gone") in problem

    def test_one_that_is_there_is_none(self, tmp_path: Path) -> None:
        assert root_problem(settings("cifar10-jpeg", root=tmp_path)) is None


def test_downloads_go_to_the_root_or_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download_folder(settings("cifar10")) == tmp_path / "regrow"
    assert download_folder(settings("cifar10", root=Path("here"))) == Path("here")


def test_reading_the_table_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, regrow.data.datasets as d; d.facts(d.DataSettings(name='digits')); print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
