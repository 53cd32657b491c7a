"""From settings to stages: what is part of a stage's identity, and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.networks.spec import NetworkSpec
from regrow.study.stage import Stage
from regrow.study.stages import data_stage, dense_stage, evaluate_stage, trace_stage
from regrow.training.compute import Compute
from tests.study.conftest import Pretend, carved, ground_of, write_tiny

COMPUTE = Compute()


def load(tmp_path: Path, *overrides: str) -> Study:
    return load_study(str(write_tiny(tmp_path)), overrides)


def dense(study: Study, compute: Compute = COMPUTE, seed: int = 0) -> Stage:
    return dense_stage(ground_of(study, compute=compute), seed)


def test_names_and_loader_workers_do_not_redo_data(tmp_path: Path) -> None:
    keys = {
        data_stage(load(tmp_path, *change).datasets[0]).key
        for change in ([], ['data.label="mine"'], ["data.loader_workers=4"], ['data.augment="none"'])
    }
    assert len(keys) == 1


def test_a_network_from_elsewhere_without_some_blocks_rests_on_the_same_trace() -> None:
    spec = NetworkSpec(name="torchvision:resnet18", width=1.0, widths=(64,), classes=10, shape=(3, 32, 32))
    assert trace_stage(replace(spec, removed=("layer1.1",))).key == trace_stage(spec).key
    assert trace_stage(replace(spec, classes=11)).key != trace_stage(spec).key


def test_another_split_does(tmp_path: Path) -> None:
    assert data_stage(load(tmp_path).datasets[0]).key != data_stage(load(tmp_path, "data.split_seed=1").datasets[0]).key


def test_augmentation_is_part_of_training(tmp_path: Path) -> None:
    assert dense(load(tmp_path)).key != dense(load(tmp_path, 'data.augment="crop"')).key


@pytest.mark.parametrize(
    "change", [{"threads": 2}, {"precision": "bf16"}, {"channels_last": True}, {"compile": True}, {"device": "cuda"}]
)
def test_all_that_changes_bits_changes_the_key(tmp_path: Path, change: dict[str, object]) -> None:
    study = load(tmp_path)
    assert dense(study).key != dense(study, Compute(**change)).key  # type: ignore[arg-type]


def test_margin_contrast_and_workers_change_no_training(tmp_path: Path) -> None:
    changed = load(tmp_path, "margin=2.0", 'contrast=["fine-tune", "scratch-e"]', "compute.workers=3")
    assert dense(load(tmp_path)).key == dense(changed).key


def test_a_data_folder_may_move_and_its_content_may_not_change(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def folder(name: str, labels: list[int]) -> str:
        path = tmp_path / name
        path.mkdir()
        for part in ("train", "test"):
            pq.write_table(pa.table({"img": [b""] * len(labels), "label": labels}), path / f"{part}.parquet")
        return str(path)

    def key(root: str) -> str:
        path = write_tiny(tmp_path)
        path.write_text(path.read_text().replace('name = "digits"', f'name = "cifar10-jpeg"\nroot = "{root}"'))
        return data_stage(load_study(str(path), []).datasets[0]).key

    here, there, other = folder("here", [0, 1]), folder("there", [0, 1]), folder("other", [1, 0])
    assert key(here) == key(there) != key(other)


def test_every_network_is_evaluated_in_fp32_however_it_was_trained(tmp_path: Path) -> None:
    study = load(tmp_path)
    stage = evaluate_stage(ground_of(study, compute=Compute(precision="bf16")), carved(study), dense(study))
    assert stage.settings["compute"]["precision"] == "fp32"


def test_devices_are_part_of_a_training_and_of_nothing_else(tmp_path: Path) -> None:
    file = str(write_tiny(tmp_path))
    found = {}
    for devices in (1, 2):
        study = load_study(file, [f"compute.devices={devices}"])
        found[devices] = Pretend(study).finish(study)
    written = load_study(file, [])
    assert set(found[1].stages) == set(Pretend(written).finish(written).stages)
    kinds = [{key for key in found[devices].stages if key.startswith(("data-", "cost-"))} for devices in (1, 2)]
    assert kinds[0] == kinds[1] != set()
    for stage in found[2].stages.values():
        devices = stage.settings.get("compute", {}).get("devices")
        assert devices == (2 if stage.kind == "train" else None), stage.kind
