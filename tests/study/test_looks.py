"""Looks: the same seeds seen twice are one look, more seeds or fractions are another."""

from __future__ import annotations

from pathlib import Path

from regrow.config.load import load_study
from regrow.pruning.guide import write_guide
from regrow.study.comparison import comparisons
from regrow.study.looks import look_number, question, questions
from regrow.study.store import Store
from tests.pruning.guides import of_channels
from tests.study.conftest import write_tiny


def looked(folder: Path, *overrides: str) -> tuple[str, dict[str, object]]:
    study = load_study(str(write_tiny(folder)), overrides)
    return next(iter(questions(study).items()))


def test_seeds_and_fractions_make_the_look_and_not_the_question(tmp_path: Path) -> None:
    first, look = looked(tmp_path)
    assert look == {"seeds": [0, 1, 2], "fractions": [0.5]}
    assert looked(tmp_path, "seeds=5") == (first, {"seeds": [0, 1, 2, 3, 4], "fractions": [0.5]})
    assert looked(tmp_path, "prune.fraction=[0.3, 0.5]") == (first, {"seeds": [0, 1, 2], "fractions": [0.3, 0.5]})


def test_another_contrast_recipe_or_method_is_another_question(tmp_path: Path) -> None:
    names = {
        looked(tmp_path, *change)[0]
        for change in (
            [],
            ['contrast=["fine-tune", "scratch-b"]'],
            ["train.lr=0.2"],
            ['prune.method="l2"'],
            ["margin=2.0"],
        )
    }
    assert len(names) == 5


def test_each_method_is_a_question_of_its_own(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['prune.method=["l1", "l2"]'])
    assert len({question(study, comparison) for comparison in comparisons(study)}) == 2


def test_looks_are_counted_by_what_was_seen(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    name, look = looked(tmp_path)
    assert look_number(store, name, look) == 1
    store.record_look(name, look)
    assert look_number(store, name, look) == 1
    larger = {**look, "seeds": [0, 1, 2, 3]}
    assert look_number(store, name, larger) == 2
    store.record_look(name, larger)
    assert look_number(store, name, look) == 1, "seeing it again later does not change what was seen first"


def test_another_guide_is_another_question_and_another_path_is_not(tmp_path: Path) -> None:
    names = []
    for name, share in (("a", 0.5), ("b", 0.5), ("c", 0.4)):
        write_guide(tmp_path / f"{name}.json", of_channels(1.0, 1.0, 1.0, share, share))
        guide = f'guide="{tmp_path / name}.json"'
        names.append(looked(tmp_path, f'prune={{method="guided", of="macs", fraction=0.5, {guide}}}')[0])
    assert names[0] == names[1] != names[2]
