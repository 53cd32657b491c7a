"""The store: artifacts of finished stages, whole or absent.

    stages/<key>/     stage.json, result.json, manifest.json and the stage's own files (weights, architecture, ...)
    partial/<key>/    a stage that is running or was interrupted; training keeps its checkpoints here
    locks/<key>       one kernel lock per running stage; the kernel drops it when its holder dies, however it dies
    looks/<id>.json   every time a verdict was shown (see `looks.py`)

A stage becomes visible by one rename of its folder. The manifest holds the SHA-256 of every file, so an artifact that a full
disk or a power cut has damaged is set aside and made again; nothing needs to be flushed for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regrow.errors import StoreError
from regrow.files import file_digest, pretty_json, write_atomic
from regrow.study.stage import Stage

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

SCRATCH = "checkpoint"
"""Folder inside a partial stage that never becomes part of the artifact."""


class Store:
    """Finished stages under one folder; safe for many processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._results: dict[str, dict[str, Any]] = {}
        try:
            for name in ("stages", "partial", "locks", "looks"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write to {root}: {error.strerror}. Choose another folder with --out.") from error

    def folder(self, key: str) -> Path:
        """Where the artifact of a finished stage lies."""
        return self.root / "stages" / key

    def partial(self, key: str) -> Path:
        """The working folder of an unfinished stage; made if need be, kept between attempts."""
        folder = self.root / "partial" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def result(self, key: str) -> dict[str, Any] | None:
        """The result of a finished stage, or None. Checked against its manifest once per process."""
        if key not in self._results:
            found = self._read(key)
            if found is None:
                return None
            self._results[key] = found
        return self._results[key]

    def provenance(self, key: str) -> dict[str, Any]:
        """Machine, time and attempts of a finished stage."""
        return dict(json.loads((self.folder(key) / "provenance.json").read_text()))

    def file(self, key: str, name: str) -> Path:
        """A file of a finished stage, its checksum verified now. Raises `StoreError` where it is damaged."""
        path = self.folder(key) / name
        manifest = json.loads((self.folder(key) / "manifest.json").read_text())
        if manifest.get(name) != file_digest(path):
            self._set_aside(key)
            raise StoreError(
                f"{path} does not match its checksum; the stage was set aside. Run the study again to redo it."
            )
        return path

    def commit(self, stage: Stage, result: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Turn the stage's partial folder into its artifact, in one rename."""
        folder = self.partial(stage.key)
        (folder / "stage.json").write_text(pretty_json(stage.to_json()))
        (folder / "result.json").write_text(pretty_json(result))
        (folder / "provenance.json").write_text(pretty_json(provenance))
        files = sorted(
            path for path in folder.rglob("*") if path.is_file() and not _is_left_out(path.relative_to(folder))
        )
        (folder / "manifest.json").write_text(pretty_json({str(p.relative_to(folder)): file_digest(p) for p in files}))
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder(stage.key))
        folder.rename(self.folder(stage.key))
        # Only now: killed before the rename, the stage still has its checkpoint to go on from.
        shutil.rmtree(self.folder(stage.key) / SCRATCH, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[bool]:
        """Hold the stage's lock inside the block; False where another living process holds it."""
        path = self.root / "locks" / key
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            yield _try_lock(handle)
        finally:
            os.close(handle)

    def looks(self, question: str) -> list[dict[str, Any]]:
        """Every look at one question's verdict so far, oldest first."""
        path = self.root / "looks" / f"{question}.json"
        return list(json.loads(path.read_text())) if path.exists() else []

    def record_look(self, question: str, look: Mapping[str, Any]) -> None:
        """Remember that a verdict on these seeds and fractions was shown, unless it was already."""
        looks = self.looks(question)
        if dict(look) not in looks:
            write_atomic(self.root / "looks" / f"{question}.json", pretty_json([*looks, dict(look)]))

    def _read(self, key: str) -> dict[str, Any] | None:
        folder = self.folder(key)
        if not folder.exists():
            return None
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
            if manifest["result.json"] != file_digest(folder / "result.json"):
                raise ValueError("result.json does not match its checksum")
            return dict(json.loads((folder / "result.json").read_text()))
        except (OSError, ValueError, KeyError):
            self._set_aside(key)
            return None

    def _set_aside(self, key: str) -> None:
        """Move a damaged artifact out of the way, so that it is made again and can still be looked at."""
        self._results.pop(key, None)
        target = self.root / "damaged" / key
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            self.folder(key).rename(target)


def _is_left_out(path: Path) -> bool:
    """Whether a file of a partial stage is no part of the artifact that the manifest vouches for."""
    return path.parts[0] in (SCRATCH, "manifest.json")


def _try_lock(handle: int) -> bool:
    """Whether the exclusive kernel lock on an open file was free; always on systems without `flock`."""
    if fcntl is None:  # pragma: no cover - Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
