"""Routes: the stages from fresh weights to a pruned network, and what the ledger says about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.study.route import ledger, route
from tests.study.conftest import carved, ground_of, masked, write_tiny


def kinds(tmp_path: Path, prune: str) -> list[str]:
    study = load_study(str(write_tiny(tmp_path)), [f"prune={prune}", "train.epochs=16", "retrain.epochs=4"])
    made = route(ground_of(study), 0, None)
    return [stage.label.split(" ")[0] for stage in (*made.inherited, made.pruned)]


@pytest.mark.parametrize(
    ("prune", "labels"),
    [
        ('{method="l1"}', ["dense,", "prune"]),
        ('{method="slimming"}', ["slimming", "prune"]),
        ('{method="slimming", start="dense"}', ["dense,", "slimming", "prune"]),
        ('{method="gradual"}', ["dense,", "gradual", "prune"]),
        ('{method="magnitude", rounds=3}', ["dense,", "prune", "round", "prune", "round", "prune"]),
    ],
)
def test_each_kind_of_method_has_its_stages(tmp_path: Path, prune: str, labels: list[str]) -> None:
    assert kinds(tmp_path, prune) == labels


def test_every_round_prunes_what_the_round_before_left(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['prune={method="magnitude", rounds=3}'])
    made = route(ground_of(study), 0, None)
    dense, first, trained, second, again = made.inherited
    assert (second.inputs["previous"], second.inputs["dense"]) == (first.key, trained.key)
    assert (made.pruned.inputs["previous"], made.pruned.inputs["dense"]) == (second.key, again.key)
    assert first.inputs["dense"] == dense.key


def test_inheritors_read_on_where_the_last_training_stopped(tmp_path: Path) -> None:
    read = {}
    for prune in (
        '{method="l1"}',
        '{method="slimming", start="dense", own_epochs=3}',
        '{method="magnitude", rounds=3, between="fine-tune"}',
    ):
        study = load_study(str(write_tiny(tmp_path)), [f"prune={prune}", "train.epochs=16", "retrain.epochs=4"])
        read[study.prune[0].method] = route(ground_of(study), 0, None).pruning.read
    assert read == {"l1": 16, "slimming": 19, "magnitude": 24}


def test_methods_that_look_at_examples_pay_for_it(tmp_path: Path) -> None:
    study = load_study(str(write_tiny(tmp_path)), ['prune={method="taylor", examples=100}'])
    found = {one.stage: one.flops for one in ledger(ground_of(study, 300), carved(study))}
    assert found["scoring"] == 6 * 300 * 100


def test_a_free_checkpoint_costs_nothing(tmp_path: Path) -> None:
    checkpoint = tmp_path / "dense.safetensors"
    checkpoint.write_bytes(b"")
    dense = f'dense={{checkpoint="{checkpoint}", trained_on="train", epochs=16, price="free"}}'
    study = load_study(str(write_tiny(tmp_path)), [dense])
    assert [one.stage for one in ledger(ground_of(study), carved(study))] == ["fine-tuning"]


def test_rounds_from_a_late_step_leave_the_steps_before_it_out(tmp_path: Path) -> None:
    spent = {}
    for between in ("rewind", "late-rewind"):
        prune = f'prune={{method="magnitude", rounds=2, between="{between}"}}'
        study = load_study(str(write_tiny(tmp_path)), [prune, "train.epochs=16", "retrain.late=0.5"])
        spent[between] = next(one.flops for one in ledger(ground_of(study), masked(study)) if one.stage == "rounds")
    assert spent["late-rewind"] < 0.6 * spent["rewind"]
