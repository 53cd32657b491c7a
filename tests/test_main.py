"""`python -m regrow`."""

from __future__ import annotations

import subprocess
import sys


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "regrow", "list", "arms"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("fine-tune ")


def test_importing_it_runs_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", "import regrow.__main__"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
