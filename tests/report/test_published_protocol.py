"""How a study was made beside how published numbers were: every known difference is named, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.report.published import comparison_rows
from regrow.report.published_protocol import base_name, is_data_set, options_of, width_of
from tests.report.published_example import beside


def named(results: dict[str, Any]) -> dict[str, tuple[str, str]]:
    (row,) = comparison_rows(results)
    return {line["what"]: (line["theirs"], line["ours"]) for line in row["protocol"]}


def as_published() -> dict[str, Any]:
    """A study that was made as the paper's was, but for what no study of ours can do alike."""
    results = beside(data="cifar10")
    results["data"][0] |= {"train": 50_000, "validation": 0, "augment": "crop-flip"}
    settings = results["study"]["settings"]
    settings["train"] |= {"batch": 64, "epochs": 160}
    settings["retrain"] |= {"tune_lr": False}
    for pair in results["pairs"]:
        pair["convention"] = "B0"
    for run in results["runs"]:
        run["lr"] = 0.001 if run["arm"] == "fine-tune" else 0.1
    return results


def test_a_study_made_alike_differs_only_in_the_epoch_that_is_reported() -> None:
    assert named(as_published()) == {
        "epoch reported": ("not said; the code keeps the best epoch on the test set", "the last")
    }


def test_jpeg_pixels_and_the_validation_split_are_named() -> None:
    results = as_published()
    results["data"][0] |= {"data": "cifar10-jpeg", "train": 45_000, "validation": 5_000}
    for name in ("runs", "pairs", "networks", "architectures"):
        for row in results[name]:
            row["data"] = "cifar10-jpeg"
    found = named(results)
    assert found["data set"] == ("cifar10", "cifar10-jpeg (JPEG pixels)")
    assert found["training images"] == ("50,000, none held out", "45,000, 5,000 held out for choices")


@pytest.mark.parametrize(
    ("section", "changed", "what", "sides"),
    [
        ("train", {"batch": 128}, "batch", ("64", "128")),
        ("train", {"lr": 0.05}, "learning rate", ("0.1", "0.05")),
        ("train", {"schedule": "cosine"}, "schedule", ("step", "cosine")),
        ("train", {"optimizer": "adamw"}, "optimiser", ("sgd", "adamw")),
        ("train", {"weight_decay": 0.0005}, "weight decay", ("0.0001", "0.0005")),
        ("train", {"nesterov": True}, "Nesterov momentum", ("none", "yes")),
        ("train", {"warmup": 0.05}, "warm-up", ("none", "0.05")),
        ("train", {"label_smoothing": 0.1}, "label smoothing", ("none", "0.1")),
        ("compute", {"precision": "bf16"}, "precision", ("fp32", "bf16")),
        ("compute", {"precision": "auto"}, "precision", ("fp32", "fp32 or bf16, whichever was faster")),
        (
            "retrain",
            {"tune_lr": True},
            "learning rates of the arms",
            ("not tuned (0.1, fine-tune 0.001)", "each tuned on validation images"),
        ),
        ("dense", {"checkpoint": "dense.safetensors"}, "dense network", None),
    ],
)
def test_every_other_setting_is_named(
    section: str, changed: dict[str, Any], what: str, sides: tuple[str, str] | None
) -> None:
    results = as_published()
    results["study"]["settings"][section] |= changed
    found = named(results)
    assert set(found) == {"epoch reported", what}
    assert sides is None or found[what] == sides


def test_lengths_of_arms_are_named_where_they_differ() -> None:
    found = named(beside(share=0.5))
    assert found["epochs, dense"] == ("160", "80")
    assert found["epochs, fine-tune"] == ("40", "20")
    assert found["epochs, scratch-b"] == ("243", "122")
    assert not any(what.startswith("epochs,") for what in named(beside()))


def test_seeds_width_and_options_are_named() -> None:
    found = named(beside(network="vgg16 x0.25 norm_scale=1", seeds=3))
    assert found["runs of each arm"] == ("5", "3")
    assert found["width of the network"] == ("full", "0.25 of the channels")
    assert found["network"] == ("as released", "norm_scale=1")


def test_the_budget_of_scratch_b_is_named_where_it_differs_or_is_not_known() -> None:
    assert named(beside())["budget of scratch-b"] == ("B0", "B1")
    masked = beside("table6", network="vgg19", method="magnitude", fraction=0.8)
    assert named(masked)["budget of scratch-b"] == ("not known", "B1")


def test_a_floor_below_every_layer_is_named_where_layers_were_ranked_together() -> None:
    slimmed = beside("table4", network="vgg19", method="slimming", fraction=0.7)
    assert named(slimmed)["share of every layer that always stays"] == ("0", "0.1")
    assert "share of every layer that always stays" not in named(beside())


def test_a_constant_rate_of_fine_tuning_that_differs_is_named() -> None:
    results = as_published()
    for run in results["runs"]:
        run["lr"] = 0.01
    assert named(results)["learning rate of fine-tune"] == ("0.001", "0.01")


def test_what_is_not_known_is_not_named() -> None:
    results = beside()
    results["study"]["settings"] = {"published": "table1"}
    results["data"] = []
    from_runs = {"budget of scratch-b", "learning rate of fine-tune"}
    assert set(named(results)) == {"data set", "epoch reported", *from_runs}


def test_names_of_networks_are_taken_apart() -> None:
    assert base_name("vgg16 x0.125 a=b") == "vgg16"
    assert (width_of("vgg16 x0.125 a=b"), width_of("vgg16 a=b")) == (0.125, 1.0)
    assert options_of("vgg16 x0.125 a=b") == "a=b"
    assert width_of("vgg16 x1e-3") == 0.001


def test_an_encoding_of_a_data_set_is_that_data_set() -> None:
    assert is_data_set("cifar10-jpeg", "cifar10")
    assert not is_data_set("cifar100-jpeg", "cifar10")
    assert not is_data_set("imagenet-100", "imagenet")
