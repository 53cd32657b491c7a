"""Rows: one JSON file for each finished detector, named by the hash of all that determines it. Imports no torch.

A row is seen whole or not at all, so a command that was killed goes on with the first detector that has none. A file that is damaged
counts as none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regrow.errors import StoreError
from regrow.files import digest, pretty_json, write_atomic

Row = dict[str, Any]


def row_key(identity: Mapping[str, Any]) -> str:
    """The name of a row: 24 hexadecimal digits, equal for equal identities."""
    return digest(identity)[:24]


class Rows:
    """Finished rows in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str) -> Row | None:
        """A finished row, or None."""
        try:
            found = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = (
            isinstance(found, dict) and found.get("key") == key and found.get("checksum") == digest(found.get("row"))
        )
        return dict(found["row"]) if whole else None

    def write(self, key: str, row: Row) -> None:
        """Keep a finished row. Raises `StoreError` where it cannot be written."""
        try:
            write_atomic(self.folder / f"{key}.json", pretty_json({"key": key, "checksum": digest(row), "row": row}))
        except OSError as error:
            raise StoreError(
                f"a finished row could not be written to {self.folder}: {error.strerror}. Make room or choose another folder with "
                "--out, then run again: rows that are there are kept."
            ) from error

    def weights(self, key: str) -> Path:
        """Where a detector's weights are kept while another row still needs them."""
        return self.folder / f"{key}.safetensors"
