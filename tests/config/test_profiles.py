"""Profiles: a study's question asked smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regrow.config.load import load_study
from regrow.config.profiles import apply_profile
from regrow.errors import ConfigError

STUDY = """
title = "T"
seeds = 5
[data]
name = "digits"
[[network]]
name = "vgg11"
[[network]]
name = "vgg13"
[train]
epochs = 160
lr = 0.1
[prune]
method = "l1"
[profile.quick]
seeds = [3, 4]
network = { width = 0.125 }
[profile.quick.train]
epochs = 2
[[profile.quick.prune]]
method = "random"
fraction = 0.3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(STUDY)
    return path


def test_without_a_profile_the_study_is_as_written(file: Path) -> None:
    study = load_study(file)
    assert (study.name, study.title, study.train.epochs, len(study.seeds)) == ("mine", "T", 160, 5)


def test_a_profile_goes_over_the_study_key_by_key_and_into_every_table_of_an_array(file: Path) -> None:
    study = load_study(file, profile="quick")
    assert study.seeds == (3, 4)
    assert (study.train.epochs, study.train.lr) == (2, 0.1)
    assert [(one.name, one.width) for one in study.network] == [("vgg11", 0.125), ("vgg13", 0.125)]
    assert [(one.method, one.fraction) for one in study.prune] == [("random", 0.3)]


def test_its_name_and_title_say_which_profile_it_is(file: Path) -> None:
    study = load_study(file, profile="quick")
    assert (study.name, study.title) == ("mine-quick", "T [quick profile]")


def test_an_override_goes_over_the_profile(file: Path) -> None:
    assert load_study(file, ["train.epochs=3"], profile="quick").train.epochs == 3


def test_an_unknown_profile_is_refused_with_the_ones_there_are(file: Path) -> None:
    with pytest.raises(ConfigError, match='mine has no profile "quik"') as caught:
        load_study(file, profile="quik")
    assert "Did you mean 'quick'" in str(caught.value)


@pytest.mark.parametrize("wrong", ["fast", {"quick": 3}, []])
def test_profiles_must_be_tables(wrong: Any) -> None:
    faults = apply_profile({"profile": wrong}, None, "mine")
    assert [one.key for one in faults] == ["profile"]


def test_a_wrong_word_in_a_profile_is_a_fault_where_it_is_used(file: Path) -> None:
    file.write_text(STUDY.replace("epochs = 2", "epoks = 2"))
    assert load_study(file).train.epochs == 160
    with pytest.raises(ConfigError, match=r"train.epoks: there is no such key"):
        load_study(file, profile="quick")
