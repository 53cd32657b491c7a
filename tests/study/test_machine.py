"""The machine as provenance."""

from __future__ import annotations

import os
import re

from regrow.study.machine import available_cores, commit, machine, processor_name, versions


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_the_processor_has_a_name() -> None:
    assert processor_name()
    assert machine()["processor"] == processor_name()


def test_versions_of_what_bits_depend_on_are_known() -> None:
    assert re.match(r"\d+\.\d+", versions()["torch"])


def test_the_commit_is_a_short_hash_or_none() -> None:
    assert commit() is None or re.fullmatch(r"[0-9a-f]{12}\+?", str(commit()))
