"""Signatures read from source files: what a function takes, and that nothing is run to find out."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.pruning.signatures import Signature, signature_of

SOURCE = '''
raise RuntimeError("nobody may run this")
from .inner import shrink as smaller
import torch

def whole(network, /, example_inputs, *, fraction, batches=None, generator, **more):
    """Remove the first channels.

    Much more about it.
    """

def looking(network, batches, fraction=0.5): ...

async def criterion(weight, gradient, *, bias=None): pass

def plain(weight): return weight

LAMBDA = lambda weight: weight
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(
        "from .inner import shrink\nfrom package.inner import shrink as also\n"
    )
    (tmp_path / "package" / "inner.py").write_text("def shrink(network): 'Halve it.'\n")
    (tmp_path / "broken.py").write_text("def whole(network:\n")
    for place in range(8):
        (tmp_path / f"hop{place}.py").write_text(f"from hop{place + 1} import f\n")
    return tmp_path


def read(name: str, folder: Path) -> Signature:
    found = signature_of(name, folder)
    assert isinstance(found, Signature), found
    return found


def test_parameters_required_ones_and_the_first_line_of_the_docstring_are_read(folder: Path) -> None:
    found = read("mine:whole", folder)
    assert found.parameters == ("network", "example_inputs", "fraction", "batches", "generator")
    assert found.required == ("network", "example_inputs", "fraction", "generator")
    assert found.summary == "Remove the first channels"


@pytest.mark.parametrize(
    ("name", "whole", "data"),
    [("whole", True, False), ("looking", True, True), ("criterion", False, True), ("plain", False, False)],
)
def test_a_whole_method_takes_the_network_and_examples_are_needed_where_they_are_required(
    name: str, whole: bool, data: bool, folder: Path
) -> None:
    found = read(f"mine:{name}", folder)
    assert (found.whole, found.needs_data) == (whole, data)


@pytest.mark.parametrize("name", ["package:shrink", "package:also", "package.inner:shrink"])
def test_a_name_that_is_imported_is_followed(name: str, folder: Path) -> None:
    assert read(name, folder) == Signature(("network",), ("network",), "Halve it")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "mine:whol",
            "mine must define a function whol with `def`, at its top level; it does not. Did you mean 'whole'?",
        ),
        ("mine:LAMBDA", "mine must define a function LAMBDA with `def`"),
        ("broken:whole", "is not Python"),
        ("nowhere:f", "no module nowhere with a source file was found"),
        ("hop0:f", "is imported from module to module more than 5 times"),
    ],
)
def test_what_is_wrong_is_said(name: str, said: str, folder: Path) -> None:
    found = signature_of(name, folder)
    assert isinstance(found, str) and said in found
