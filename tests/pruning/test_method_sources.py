"""Names of methods from elsewhere: how they are written, what is known of them without running anything."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from regrow.errors import ConfigError, UnknownNameError
from regrow.pruning import method_sources
from regrow.pruning.method_sources import (
    METHOD_SOURCES,
    TORCH_PRUNERS,
    all_methods,
    foreign_method,
    installed,
    is_foreign_method,
    method_row,
    untrusted_methods,
)
from regrow.pruning.methods import METHODS

MINE = '''
raise RuntimeError("nobody may run this")

def shrink(network, example_inputs, *, fraction, batches, generator):
    """Keep the loudest channels."""

def spread(weight, input_norm): ...

def misnamed(model, example_inputs, fraction): ...
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "small.safetensors").write_bytes(b"tensors")
    return tmp_path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with two entry points, one of which takes a name that regrow has."""
    (tmp_path / "loud.py").write_text(MINE)
    info = tmp_path / "loudness-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loudness\nVersion: 1.2\n")
    methods = "[regrow.methods]\nloudest = loud:shrink\nl1 = loud:shrink\n"
    points = methods + "[regrow.criteria]\nloudness = loud:spread\ncompiled = loud:absent\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", METHODS)
def test_rows_of_regrow_are_not_foreign(name: str, folder: Path) -> None:
    assert not is_foreign_method(name)
    assert method_row(name, folder) is METHODS[name]


def test_the_form_of_a_name_tells_where_it_comes_from() -> None:
    assert all(is_foreign_method(name) for name in ("torch-pruning:l1", "mine:shrink", "a.b:c", "x/small.safetensors"))
    assert not is_foreign_method("no-such-method")


def test_a_whole_method_is_told_by_its_parameters_without_running_it(folder: Path) -> None:
    found = foreign_method("mine:shrink", folder)
    assert found.row.kind == "whole" and found.row.scope == "global"
    assert found.row.needs_data and found.row.seeded
    assert found.row.summary == "Keep the loudest channels"
    assert found.needs_trust and found.place == str(folder.resolve())
    assert found.origin == "sha256 " + hashlib.sha256(MINE.encode()).hexdigest()


def test_a_function_without_the_network_is_a_criterion(folder: Path) -> None:
    row = method_row("mine:spread", folder)
    assert row.kind == "criterion" and row.needs_data and not row.seeded
    assert row.summary == "the function mine:spread"


def test_another_content_is_another_origin(folder: Path) -> None:
    before = {name: foreign_method(name, folder).origin for name in ("mine:shrink", "small.safetensors")}
    (folder / "mine.py").write_text(MINE + "# changed\n")
    (folder / "small.safetensors").write_bytes(b"other tensors")
    assert all(foreign_method(name, folder).origin != origin for name, origin in before.items())


def test_a_file_of_tensors_needs_no_trust(folder: Path) -> None:
    found = foreign_method("small.safetensors", folder)
    assert not found.needs_trust and found.place == str((folder / "small.safetensors").resolve())
    assert found.access(trust=False).place == found.place


def test_methods_of_torch_pruning_are_found_with_its_version(folder: Path) -> None:
    pytest.importorskip("torch_pruning")
    found = foreign_method("torch-pruning:taylor", folder)
    assert found.origin == f"torch-pruning {version('torch-pruning')}"
    assert found.row.needs_data and not found.needs_trust and found.row.kind == "whole"


def test_installed_packages_offer_methods_and_criteria_by_plain_names(package: Path) -> None:
    assert {"compiled", "loudest", "loudness"} <= set(installed())
    assert is_foreign_method("loudest") and not is_foreign_method("l1")
    found = foreign_method("loudest", package / "elsewhere")
    assert found.row.kind == "whole" and found.row.source == "loudness 1.2" and not found.needs_trust
    assert found.origin == f"loudness 1.2, sha256 {hashlib.sha256(MINE.encode()).hexdigest()}"
    assert method_row("loudness", package).kind == "criterion"


def test_an_entry_point_that_cannot_be_read_is_taken_at_its_word(package: Path) -> None:
    assert method_row("compiled", package).kind == "criterion"
    assert method_row("compiled", package).summary == "a method of loudness 1.2"


def test_the_list_of_all_methods_has_ours_theirs_and_installed_ones(package: Path) -> None:
    listed = all_methods()
    assert set(METHODS) | {f"torch-pruning:{name}" for name in TORCH_PRUNERS} | {"loudest", "loudness"} <= set(listed)
    assert listed["l1"] is METHODS["l1"]


@pytest.mark.parametrize("row", [*TORCH_PRUNERS.values(), *METHOD_SOURCES.values()])
def test_every_row_has_one_line_of_help(row: method_sources.MethodSource) -> None:
    assert row.summary and "\n" not in row.summary and not row.summary.endswith(".")


def test_only_functions_beside_the_study_need_trust(folder: Path) -> None:
    names = ("l1", "mine:shrink", "small.safetensors")
    assert untrusted_methods(names, folder) == ("mine:shrink",)


def test_nothing_of_this_imports_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from regrow.pruning.method_sources import all_methods, is_foreign_method; "
        "all_methods(); is_foreign_method('x:y'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine:shrin", "Did you mean 'shrink'"),
        (
            "mine:misnamed",
            "takes 'model', which a method cannot be given: a whole method takes network, a criterion evidence",
        ),
        ("nowhere:f", "no module nowhere with a source file was found beside the study"),
        ("not a name:f", "package.module:function; found 'not a name:f'"),
        ("torch-prunin:l1", "package.module:function; found 'torch-prunin:l1'"),
        ("gone.safetensors", "there is no such file"),
    ],
)
def test_wrong_names_are_faults_of_the_study(name: str, said: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        foreign_method(name, folder)
    assert [(fault.where, fault.key) for fault in caught.value.faults] == [("study", "prune.method")]


@pytest.mark.parametrize(
    ("name", "close"),
    [("torch-pruning:group-l3", "group-l"), ("slimmin", "slimming"), ("group-l2", "torch-pruning:group-l2")],
)
def test_unknown_names_are_told_the_closest_one(name: str, close: str, folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=f"Did you mean '{close}"):
        foreign_method(name, folder)
