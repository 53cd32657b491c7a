"""What every packaged study costs: python -m benchmarks.study_costs [NAME ...] [--quick OUT]

Writes src/regrow/studies/costs.json: trainings and training FLOPs of each study as planned (`regrow plan --no-measure`), and, with
`--quick`, CPU seconds of a run of its quick profile below the folder OUT, one worker: user and system time of all processes,
which other work on the machine and the number of cores hardly change. Without `--quick` the seconds that were measured before stay.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from regrow.config.load import load_study
from regrow.config.packaged import COSTS, STUDIES
from regrow.study.expand import expand
from regrow.study.plan import describe
from regrow.study.store import Store

FILE: Final = Path(__file__).parents[1] / "src" / "regrow" / "studies" / COSTS


def planned(name: str, out: Path, profile: str | None = None) -> dict[str, float]:
    """Trainings and training FLOPs of a packaged study; `out` keeps what planning it finds out."""
    study = load_study(name, profile=profile)
    describe(study, out, measure=False)
    stages = expand(study, Store(out / "store").result, assume=True).stages.values()
    work = [stage.work for stage in stages if stage.kind == "train"]
    return {"trainings": len(work), "training_flops": float(f"{sum(work):.3g}")}


def quick_seconds(name: str, out: Path) -> float:
    """CPU seconds of one whole run of a study's quick profile. Raises CalledProcessError where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "regrow", "run", name, "--profile", "quick", "--quiet", "--workers", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--out", str(out / name)], check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)


def main(arguments: list[str] | None = None) -> None:
    """Bring the file up to date, for all studies or for those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--quick", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    for name in options.names or STUDIES:
        found: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            found |= planned(name, Path(folder))
        if options.quick is not None:
            found["quick_seconds"] = quick_seconds(name, options.quick)
        print(name, found, flush=True)
        _write(name, found)


def _write(name: str, found: dict[str, Any]) -> None:
    """Put one study's row into the file, beside those of studies that still exist."""
    costs = {known: row for known, row in json.loads(FILE.read_text(encoding="utf-8")).items() if known in STUDIES}
    costs[name] = costs.get(name, {}) | found
    rows = [f"{json.dumps(known)}: {json.dumps(costs[known])}" for known in sorted(costs)]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
