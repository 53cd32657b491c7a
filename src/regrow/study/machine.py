"""This machine, as provenance and as the scope of timings. Imports no torch."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("regrow", "torch", "torchvision", "lightning-fabric", "numpy", "scipy", "scikit-learn")


@functools.cache
def processor_name() -> str:
    """The processor's name as the system gives it, e.g. `Intel(R) Xeon(R) Platinum 8481C`."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict[str, str | int]:
    """Processor, cores, system and Python."""
    return {
        "processor": processor_name(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
    }


def versions() -> dict[str, str]:
    """Versions of regrow and of the libraries whose bits it depends on."""
    return {name: _installed(name) for name in _LIBRARIES}


@functools.cache
def _installed(name: str) -> str:
    """A library's version, read from its metadata once a process: every stage notes it."""
    try:
        return version(name)
    except PackageNotFoundError:  # pragma: no cover - a source tree that was never installed
        return "not installed"


@functools.cache
def commit() -> str | None:
    """The git commit of regrow's own source, with `+` where files were changed; None for an installed package."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
