"""The study from Python: the same steps as `regrow run`, with values instead of printed tables.

    results = regrow.run("digits", set=["prune.fraction=0.3"])
    print(results.verdicts[0])

Importing this module imports no torch, scipy or plotly; running a study that is already finished imports no torch either.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.errors import ConfigError, Fault

if TYPE_CHECKING:
    from regrow.report.progress import LiveProgress

DEFAULT_OUT: Final = Path("regrow-runs")
"""Where everything that a run makes goes, unless it is told otherwise."""

RESULTS: Final = "results.json"
PAGE: Final = "report.html"
TABLE: Final = "results.csv"

FORMAT: Final = 1
"""The format of results.json that this version reads."""

LISTS: Final = (
    "data",
    "networks",
    "architectures",
    "runs",
    "pruned",
    "tuning",
    "verdicts",
    "pairs",
    "ledger",
    "curves",
)
"""The lists of rows in results.json."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a study says about its primary contrast, for one network, data set, method and fraction. `str()` is the sentence."""

    network: str
    data: str
    method: str
    fraction: float | None
    """Share of channels removed; None where widths were given."""

    a: str
    b: str
    """The two arms; numbers are a minus b, in percentage points of test accuracy."""

    n: int
    """Paired seeds."""

    word: str | None
    """better by more than the margin, better, equivalent, undecided, ...; None where there are too few seeds for a verdict."""

    sentence: str
    """The verdict in full, with interval, n, margin and convention."""

    mean: float | None
    ci95: tuple[float, float] | None

    row: Mapping[str, Any] = field(repr=False)
    """All its numbers, as in results.json."""

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Results:
    """What came of a study."""

    content: Mapping[str, Any] = field(repr=False)
    """All of results.json."""

    folder: Path
    """Where results.json, results.csv and report.html lie."""

    failures: tuple[str, ...] = ()
    """One line for each stage that could not be done; empty when all is well."""

    @property
    def verdicts(self) -> list[Verdict]:
        """One for each network, data set, method and fraction."""
        return [_verdict(row) for row in self.content["verdicts"]]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """One row for each trained network: arm, seed, epochs, lr, test_accuracy (percent), ..."""
        return list(self.content["runs"])

    @property
    def page(self) -> Path:
        """The report, one HTML file."""
        return self.folder / PAGE


def _verdict(row: Mapping[str, Any]) -> Verdict:
    plain: dict[str, Any] = {
        name: row.get(name) for name in ("network", "data", "method", "fraction", "a", "b", "n", "word", "mean")
    }
    interval = row.get("ci95")
    return Verdict(**plain, sentence=row.get("sentence") or "", ci95=tuple(interval) if interval else None, row=row)


def run(
    study: str | Path | Study,
    *,
    out: str | Path = DEFAULT_OUT,
    set: Sequence[str] = (),  # noqa: A002 - the name of the option
    profile: str | None = None,
    workers: int | None = None,
    trust: bool = False,
    quiet: bool = False,
) -> Results:
    """Do what is missing of a study and write its report.

    Args:
        study: a packaged name, the path of a TOML file, or a `Study`.
        out: the folder for everything; what is finished there is not done again.
        set: changes to the study, e.g. `["prune.fraction=0.3"]`; not with a `Study`, which is complete.
        profile: one of the study's profiles, e.g. "quick"; not with a `Study`.
        workers: trainings side by side; never changes a result.
        trust: let code run that the study names, a function of your own or a saved program.
        quiet: no live progress on stderr.

    Raises `ConfigError` with all faults of the study, `ProtocolError` where it would compare what cannot be compared, and the
    other errors of `regrow.errors` where the run as a whole cannot go on. A stage that fails is in `Results.failures`.
    """
    from regrow.study.runner import run_study

    whole = study if isinstance(study, Study) else load_study(study, set, trust=trust, profile=profile)
    whole = whole.trusting() if trust else whole
    name = whole.name if isinstance(study, Study) else study
    command = command_line(name, out=out, workers=workers, set=set, profile=profile, trust=trust)
    with _watching(quiet) as observer:
        outcome = run_study(whole, Path(out), workers=workers, observer=observer, command=command)
    results = Results(outcome.results, outcome.folder, outcome.failures)
    if not (outcome.unchanged and results.page.exists()):
        write_report(results.content, results.folder)
    return results


def open_results(name: str | Path, *, out: str | Path = DEFAULT_OUT, profile: str | None = None) -> Results:
    """The results of a study that has run: by the folder (or file) of its results, or by the study itself.

    Raises `ConfigError` where there are none, or where the file is not what `regrow run` writes.
    """
    path = _results_file(Path(name))
    if path is None:
        path = Path(out) / load_study(name, trust=True, profile=profile).name / RESULTS  # only its name is read
        if not path.exists():
            hint = f"Run the study first: {command_line(name, out=out, profile=profile)}"
            raise ConfigError(faults=[Fault(where=str(path), key="", rule="there are no results yet", hint=hint)])
    content = _read(path)
    return Results(content, path.parent, tuple(content.get("problems", ())))


def _results_file(path: Path) -> Path | None:
    """The file of results that a path names; None where it names none, and may be a study."""
    file = path / RESULTS if path.is_dir() else path
    return file if file.is_file() and file.suffix == ".json" else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _no_results(path, f"cannot be read as JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _no_results(path, f"is not a file of results in format {FORMAT}")
    lacking = [name for name in LISTS if not isinstance(content.get(name), list)]
    if lacking:
        raise _no_results(path, f"lacks {', '.join(lacking)}")
    return content


def _no_results(path: Path, rule: str) -> ConfigError:
    return ConfigError(
        faults=[Fault(where=str(path), key="", rule=rule, hint="Give a results.json that `regrow run` wrote.")]
    )


def write_report(results: Mapping[str, Any], folder: Path) -> None:
    """Write results.csv and report.html into a folder."""
    from regrow.report.page import write_page
    from regrow.report.tables import write_csv

    write_csv(results, folder / TABLE)
    write_page(results, folder / PAGE)


def command_line(
    study: str | Path,
    *,
    out: str | Path = DEFAULT_OUT,
    workers: int | None = None,
    set: Sequence[str] = (),  # noqa: A002 - the name of the option
    profile: str | None = None,
    trust: bool = False,
) -> str:
    """The command that does the same again.

    >>> command_line("digits", set=["seeds=3", "arms=['retrain', 'scratch-b']"])
    'regrow run digits --set seeds=3 --set \\'arms=[\\'"\\'"\\'retrain\\'"\\'"\\', \\'"\\'"\\'scratch-b\\'"\\'"\\']\\''
    """
    options = ["--out", str(out)] if Path(out) != DEFAULT_OUT else []
    options += ["--workers", str(workers)] if workers is not None else []
    options += [part for change in set for part in ("--set", change)]
    options += ["--profile", profile] if profile is not None else []
    options += ["--trust"] if trust else []
    return shlex.join(["regrow", "run", str(study), *options])


@contextlib.contextmanager
def _watching(quiet: bool) -> Iterator[LiveProgress | None]:
    """Live progress on stderr, or nothing."""
    if quiet:
        yield None
        return
    from rich.console import Console

    from regrow.report.progress import LiveProgress

    with LiveProgress(Console(stderr=True)) as progress:
        yield progress
