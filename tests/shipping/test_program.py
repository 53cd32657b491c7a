from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path

import pytest
import torch

import regrow
from regrow.errors import ExportError
from regrow.shipping.program import export_program

from .small_networks import images, tied, tiny, tokens


def test_the_program_computes_what_the_network_computes(tmp_path: Path) -> None:
    network, _ = tiny()
    done = regrow.export_program(network, {"images": images(1)}, tmp_path / "tiny.pt2")
    assert done.error <= 1e-6 and done.batches == (1, 3) and done.opset is None
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.pt2"]
    program = torch.export.load(done.path).module()
    torch.testing.assert_close(program(images=images(7)), network(images(7)))


def test_tied_weights_and_integer_inputs(tmp_path: Path) -> None:
    assert export_program(tied()[0], (tokens(),), tmp_path / "tied.pt2").error <= 1e-6


def test_no_part_of_the_file_is_a_pickle(tmp_path: Path) -> None:
    done = export_program(tiny()[0], images(), tmp_path / "tiny.pt2")
    with zipfile.ZipFile(done.path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            text = name.endswith((".json", "version", "archive_format", "byteorder", "serialization_id"))
            assert text or "/data/weights/" in name or "/data/constants/" in name or not data, name
            assert not text or not data.startswith((b"\x80", b"PK"))
        config = archive.read("tiny/data/weights/model_weights_config.json")
    assert b'"use_pickle": false' in config and b'"use_pickle": true' not in config


def test_the_scan_would_find_what_torch_pickles(tmp_path: Path) -> None:
    program = torch.export.export(tiny()[0], (images(),))
    torch.export.save(program, tmp_path / "tiny.pt2")
    with zipfile.ZipFile(tmp_path / "tiny.pt2") as archive:
        inputs = archive.read("tiny/data/sample_inputs/model.pt")
    (tmp_path / "inputs.zip").write_bytes(inputs)
    with zipfile.ZipFile(tmp_path / "inputs.zip") as archive:
        (pickled,) = [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
    assert any(operation.name == "GLOBAL" for operation, _, _ in pickletools.genops(pickled))


def test_a_program_that_differs_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"tiny.pt2 in torch.export, at a batch of 1, differs"):
        export_program(tiny()[0], images(), tmp_path / "tiny.pt2", tolerance=-1.0)
    assert list(tmp_path.iterdir()) == []
