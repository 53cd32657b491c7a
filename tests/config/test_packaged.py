"""Packaged studies."""

from __future__ import annotations

import pytest

from regrow.config.load import load_study
from regrow.config.packaged import STUDIES, text
from regrow.errors import UnknownNameError


@pytest.mark.parametrize("name", STUDIES)
def test_every_packaged_study_is_without_faults_and_has_a_title(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert study.title == STUDIES[name].summary
    assert study.file == STUDIES[name].file


def test_digits_is_the_default_study() -> None:
    assert "digits" in STUDIES
    assert load_study("digits").data[0].name == "digits"
    assert 'name       = "digits"' in text("digits.toml")


def test_digits_asks_what_the_main_job_asks() -> None:
    study = load_study("digits")
    assert study.contrast == ("retrain", "scratch-b")
    assert set(study.arms) >= {"fine-tune", "lr-rewind", "retrain", "scratch-e", "scratch-b"}
    assert len(study.seeds) >= 5
    assert study.margin == 1.0
    assert study.retrain.tune_lr


def test_an_unknown_name_teaches() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        STUDIES["digit"]
    assert "digit" not in STUDIES
    assert 3 not in STUDIES
    assert len(STUDIES) == len(list(STUDIES))
