from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regrow.errors import MissingExtraError, StoreError
from regrow.shipping.bundle import save
from regrow.shipping.hub import push_to_hub
from regrow.shipping.record import FILES

from .small_networks import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(*tiny(), tmp_path / "bundle")


def test_what_is_sent_is_what_a_bundle_consists_of(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert {"README.md", "model.safetensors"} < set(FILES)


def test_a_damaged_bundle_is_not_sent(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(StoreError, match="has 0 bytes"):
        push_to_hub(folder, "me/tiny")


def test_without_the_client_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r'pip install "regrow\[hub\]"'):
        push_to_hub(folder, "me/tiny")


def test_what_the_hub_refuses_is_an_error_of_ours(folder: Path) -> None:
    pytest.importorskip("huggingface_hub")
    # A name that the client refuses before it asks the network.
    with pytest.raises(StoreError, match="could not be sent to a/b/c"):
        push_to_hub(folder, "a/b/c")
