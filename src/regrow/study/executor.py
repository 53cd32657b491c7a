"""Executors: where stages run. This machine, for now; the seam is small so that others fit.

An executor has slots. `submit` puts a stage on an idle one, `events` says what has happened since. It knows nothing about
studies, and results travel through the store alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

from regrow.study.machine import available_cores
from regrow.study.stage import Stage

Event = dict[str, Any]
"""`event` is progress, done, busy, failed or lost; `key` names the stage."""


class Executor(Protocol):
    """What the runner needs of a place to work."""

    @property
    def slots(self) -> int:
        """Stages that can run at once."""
        ...

    @property
    def idle(self) -> int:
        """Slots that are free now."""
        ...

    def submit(self, stage: Stage) -> None:
        """Begin a stage on an idle slot."""
        ...

    def events(self, timeout: float) -> list[Event]:
        """What happened, oldest first; waits up to `timeout` seconds for something to."""
        ...

    def close(self) -> None:
        """Stop everything now. Interrupted stages go on from their checkpoints next time."""
        ...


class ThisMachine:
    """Worker processes on this machine: started when first needed, one per slot, each with its own number of threads."""

    def __init__(self, store: Path, *, slots: int, threads: int, gpus: tuple[str, ...] = ()) -> None:
        self._store, self._slots, self._threads, self._gpus = store, slots, threads, gpus
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._workers: list[_Worker] = []

    @property
    def slots(self) -> int:
        """Stages that can run at once."""
        return self._slots

    @property
    def idle(self) -> int:
        """Slots that are free now; a worker that died frees its slot."""
        return self._slots - sum(worker.key is not None for worker in self._workers)

    def submit(self, stage: Stage) -> None:
        """Begin a stage on an idle worker, or on a new one."""
        worker = next((w for w in self._workers if w.key is None and w.alive), None)
        if worker is None:
            number = self._free_number()
            worker = _Worker(self._store, self._environment(number), number, self._queue)
            self._workers.append(worker)
        worker.begin(stage)

    def events(self, timeout: float) -> list[Event]:
        """What the workers said; a worker that died says `lost` for the stage it had."""
        found: list[Event] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._queue.get(timeout=timeout))
            while True:
                found.append(self._queue.get_nowait())
        return [event for event in found if self._settle(event)]

    def close(self) -> None:
        """Kill the workers; the store never sees a part of anything."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def _settle(self, event: Event) -> bool:
        """Free the slot of a stage that ended; whether the event concerns a stage at all."""
        if event["event"] == "progress":
            return True
        worker = next(w for w in [*self._workers, None] if w is None or w.number == event["worker"])
        if worker is None:
            return False
        if event["event"] == "lost":
            worker.kill()  # it is dead already; this closes its pipes
            self._workers.remove(worker)
            event["key"] = worker.key
            return worker.key is not None
        worker.key = None
        return True

    def _free_number(self) -> int:
        used = {worker.number for worker in self._workers}
        return next(number for number in range(self._slots + 1) if number not in used)

    def _environment(self, number: int) -> dict[str, str]:
        """Threads are fixed before the worker loads torch: the bits of a result depend on them."""
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[name] = str(self._threads)
        environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        environment["PYTHONUNBUFFERED"] = "1"
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[number % len(self._gpus)]
        return environment


class _Worker:
    """One worker process and the thread that listens to it."""

    def __init__(self, store: Path, environment: dict[str, str], number: int, events: queue.SimpleQueue[Event]) -> None:
        self.number = number
        self.key: str | None = None
        logs = store / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"worker-{number}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "regrow.study.worker", str(store)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def begin(self, stage: Stage) -> None:
        """Send a stage. If the worker is dying, its `lost` event will say so."""
        self.key = stage.key
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(stage.to_json()) + "\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _listen(self, events: queue.SimpleQueue[Event]) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stdout:
                events.put({**json.loads(line), "worker": self.number})
        events.put({"event": "lost", "worker": self.number})


def visible_gpus() -> tuple[str, ...]:
    """Names of the CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES takes them; without loading CUDA."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return tuple(name for name in listed.split(",") if name.strip() and name.strip() != "-1")
    devices = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return tuple(sorted(match[1] for match in devices if match))


def this_machine(store: Path, *, device: str, threads: int, workers: int | None) -> ThisMachine:
    """The executor for a study: `workers` slots, by default one a GPU, or as many as fill the cores."""
    gpus = () if device == "cpu" else visible_gpus()
    default = len(gpus) if gpus else max(1, available_cores() // threads)
    return ThisMachine(store, slots=workers or default, threads=threads, gpus=gpus)
