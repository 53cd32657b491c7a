"""Fingerprints: what a study's data files are, so that prepared data are made anew when the files have changed. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from regrow.data.datasets import DATASETS, root_problem
from regrow.data.settings import DataSettings
from regrow.errors import DataError
from regrow.files import digest, file_digest


def fingerprint(settings: DataSettings) -> str:
    """SHA-256 of the files in `data.root`, 64 hexadecimal digits; empty for data sets that cannot change under a name.

    Parquet files are read whole (1 GB/s); image files count by name and size. It does not depend on where the folder lies or
    when it was made. Raises `DataError` where `data.root` is missing.
    """
    row = DATASETS[settings.name]
    if not row.needs_root:
        return ""
    if problem := root_problem(settings):
        raise DataError(problem)
    assert settings.root is not None
    return _of_folder(settings.root) if "folder" in (settings.name, row.layout) else _of_parquet(settings.root)


def _of_parquet(root: Path) -> str:
    from regrow.data.parquet import parquet_files  # brings numpy and Pillow, which a plan of other data does without

    train, test = parquet_files(root)
    return digest({file.name: file_digest(file) for file in [*train, *test]})


def _of_folder(root: Path) -> str:
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return digest([[file.relative_to(root).as_posix(), file.stat().st_size] for file in files])
