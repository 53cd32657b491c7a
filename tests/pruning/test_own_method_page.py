"""The code of the page on methods of one's own runs as it is written, block after block, in a folder of its own."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import torch

from tests.blocks import DOCS, blocks

PAGE: Final = DOCS / "howto" / "own-method.md"


@pytest.fixture
def scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's code leaves behind."""
    pytest.importorskip("torch_pruning")
    sys.modules.pop("mine", None)  # another test's
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    for text in blocks(PAGE, "python"):
        if module := re.match(r"# (\w+\.py)\n", text):
            (tmp_path / module[1]).write_text(text)
            continue
        exec(compile(text, str(PAGE), "exec"), names)
        names[f"after {len(names)}"] = None
    sys.modules.pop("mine", None)
    return names


def test_every_block_runs_and_gives_what_is_said(scope: dict[str, Any]) -> None:
    images, small, adopted = scope["images"], scope["small"], scope["adopted"]
    assert all(len(entry.indices) == entry.channels // 2 for entry in scope["architecture"].kept)
    total = sum(module.weight.numel() for module in scope["network"].modules() if isinstance(module, torch.nn.Conv2d))
    assert scope["kept"] == round(0.1 * total)
    assert small.conv1.out_channels == 32 and adopted.inherited
    with torch.no_grad():
        assert torch.equal(adopted.network(images), small(images))
    assert [tensor.shape for tensor in scope["fresh"].parameters()] == [tensor.shape for tensor in small.parameters()]
    assert scope["result"].architecture is not None


def test_the_table_of_what_a_method_may_name_is_what_it_is_handed() -> None:
    from regrow.pruning.foreign_methods import run_method

    listed = re.findall(r"`(\w+)`", PAGE.read_text().partition("| parameter |")[2].partition("\n\n")[0])
    said = re.findall(r"`(\w+)`", (run_method.__doc__ or "").partition("may name:")[2].partition("are seeded")[0])
    assert {"network", *listed} - {"images", "labels"} >= set(said) - {"more", "Group", "Group`s"}


def test_the_entry_points_shown_are_toml_of_the_groups_that_are_read() -> None:
    from regrow.pruning.method_sources import CRITERIA_GROUP, WHOLE_GROUP

    shown = tomllib.loads(blocks(PAGE, "ini")[0])["project"]["entry-points"]
    assert set(shown) == {WHOLE_GROUP, CRITERIA_GROUP}
