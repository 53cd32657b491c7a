"""Is every network pruned exactly? One command that asks, in a process of its own for each network.

    python -m benchmarks.exactness                                 everything; hours on one core
    python -m benchmarks.exactness --set constructs --workers 2    one set
    python -m benchmarks.exactness --resume                        what the results file does not have yet
    python -m benchmarks.exactness --only resnet50,vit             names that contain a word
    python -m benchmarks.exactness --list                          names, nothing is run
    python -m benchmarks.exactness --page docs/results/exactness.md     write the page from the results, nothing is run

Half of every group is removed, without any argument for any network (`fraction={"*": 0.5}`). Weights are random, in float64. Each
result is one line of JSON in `--out`. How exactness is found out: `tests/channels/oracle.py`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.exactness.cases import SETS, names

LIMIT_SECONDS = 900

Job = tuple[str, str]


@dataclass
class Running:
    """A network that is being judged."""

    job: Job
    process: multiprocessing.process.BaseProcess
    began: float


def main() -> None:
    """Parse, judge, write."""
    options = parse()
    results: Path = options.out
    if options.page:
        from benchmarks.exactness.page import page

        options.page.write_text(page(read(results)), encoding="utf-8")
        return
    jobs = wanted(options)
    if options.list:
        print("\n".join(f"{group} {name}" for group, name in jobs))
        return
    results.parent.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        keep_others(results, set(jobs))
    sweep(jobs, options.workers, options.seconds, results)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=sorted(SETS), help="one or more sets; all if not given")
    parser.add_argument("--only", default="", help="words, one of which a name must contain; =NAME for the whole name")
    parser.add_argument("--workers", type=int, default=1, help="networks at a time, each on one thread")
    parser.add_argument("--seconds", type=float, default=LIMIT_SECONDS, help="limit for one network")
    parser.add_argument("--out", type=Path, default=Path("regrow-runs/exactness.jsonl"))
    parser.add_argument("--resume", action="store_true", help="skip what has a result")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--page", type=Path)
    return parser.parse_args()


def wanted(options: argparse.Namespace) -> list[Job]:
    """The jobs that the command line asks for."""
    words = [word for word in options.only.split(",") if word]
    done = {(record["set"], record["model"]) for record in read(options.out)} if options.resume else set()
    jobs = [(group, name) for group in options.set or SETS for name in names(group)]
    chosen = [job for job in jobs if not words or any(matches(job[1], word) for word in words)]
    return [job for job in chosen if job not in done]


def matches(name: str, word: str) -> bool:
    """Whether a name is asked for."""
    return name == word[1:] if word.startswith("=") else word in name


def read(path: Path) -> list[dict[str, Any]]:
    """The newest result of every network."""
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return list({(record["set"], record["model"]): record for record in records}.values())


def keep_others(path: Path, jobs: set[Job]) -> None:
    """Forget the results that are made anew."""
    kept = [record for record in read(path) if (record["set"], record["model"]) not in jobs]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")


def sweep(jobs: list[Job], workers: int, seconds: float, results: Path) -> None:
    """Judge all jobs, `workers` at a time; a network that takes too long is ended and counts as failed."""
    load(jobs)
    began, made_with = time.monotonic(), origin()
    for place, record in enumerate(outcomes(jobs, workers, seconds), start=1):
        record["made_with"] = made_with
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        print(f"[{place}/{len(jobs)}] {line(record)}", flush=True)
    print(f"{len(jobs)} networks in {time.monotonic() - began:.0f} s")


def load(jobs: list[Job]) -> None:
    """Import what the jobs need once, before processes are forked; on one thread, so that forking is safe."""
    import benchmarks.exactness.judge
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    for group in {group for group, _ in jobs}:
        names(group)
    benchmarks.exactness.judge.judge("constructs", "channel shuffle")  # what is imported on first use


def origin() -> str:
    """Commit and versions."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    packages = ("torch", "torchvision", "timm", "transformers")
    versions = ", ".join(f"{name} {importlib.metadata.version(name).partition('+')[0]}" for name in packages)
    return f"regrow {commit or 'of no commit'}, {versions}"


def outcomes(jobs: list[Job], workers: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Records as they come."""
    context = multiprocessing.get_context("fork")
    waiting = list(reversed(jobs))
    running: dict[Connection, Running] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            job = waiting.pop()
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(job, there), daemon=True)
            process.start()
            there.close()
            running[here] = Running(job, process, time.monotonic())
        for pipe in wait(list(running), timeout=1):
            yield finished(pipe, running.pop(pipe))  # type: ignore[arg-type]
        for pipe in [pipe for pipe, run in running.items() if time.monotonic() - run.began > seconds]:
            run = running.pop(pipe)
            run.process.kill()
            run.process.join()
            yield failure(run.job, f"took more than {seconds:.0f} s", seconds)


def finished(pipe: Connection, run: Running) -> dict[str, Any]:
    """The record of a process that sent one, or died."""
    try:
        record: dict[str, Any] = pipe.recv()
    except EOFError:
        run.process.join()
        record = failure(run.job, f"the process ended with code {run.process.exitcode}", time.monotonic() - run.began)
    run.process.join()
    return record


def failure(job: Job, why: str, seconds: float) -> dict[str, Any]:
    """A record of nothing."""
    return {"set": job[0], "model": job[1], "tier": "FAIL", "why": why, "seconds_in_all": round(seconds, 1)}


def work(job: Job, pipe: Connection) -> None:
    """In the process of its own: judge one network, quietly."""
    import resource
    import warnings

    from benchmarks.exactness.judge import judge

    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        sys.stdout = sys.stderr = nothing
        record = judge(*job)
        record["peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        pipe.send(record)


def line(record: dict[str, Any]) -> str:
    """One network in one line."""
    before, after = record.get("parameters"), record.get("parameters_left")
    less = f"-{100 * (1 - after / before):.0f} %" if before and after else ""
    error = record.get("error")
    parts = [record["set"], record["model"], record["tier"], less, f"{error:.1e}" if isinstance(error, float) else ""]
    parts += [f"{record['seconds_in_all']} s", record.get("why", "")[:160]]
    parts += [f"{key}: {record[key][:120]}" for key in ("train", "regrow") if record.get(key, "ok") != "ok"]
    if "Error" in record.get("verified", ""):
        parts.append(f"refused: {record['verified'][:160]}")
    return " | ".join(part for part in parts if part)


if __name__ == "__main__":
    main()
