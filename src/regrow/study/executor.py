"""Executors: where stages run. This machine, for now; the seam is small so that others fit.

An executor has slots. `submit` puts a stage on an idle one (a training over several devices on as many), `events` says what has happened
since. It knows nothing about studies, and results travel through the store alone.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, Protocol

from regrow.errors import ConfigError
from regrow.study.machine import available_cores
from regrow.study.stage import Stage

Event = dict[str, Any]
"""`event` is progress, done, busy, failed or lost; `key` names the stage."""


GPUS: Final = "gpus"
"""In a stage's `local`: the GPUs that a training over several is to use, as CUDA_VISIBLE_DEVICES takes them."""


def slots_of(stage: Stage) -> int:
    """Slots that a stage takes: one for each device of a training, one for everything else."""
    return int(stage.settings["compute"].get("devices", 1)) if stage.kind == "train" else 1


def request(stage: Stage, gpus: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a worker is sent: the stage, and the GPUs where it is to use others than the worker's own."""
    whole = stage.to_json()
    return {**whole, "local": whole["local"] | ({GPUS: ",".join(gpus)} if gpus else {})}


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
        """Begin a stage on as many idle slots as it takes."""
        ...

    def events(self, timeout: float) -> list[Event]:
        """What happened, oldest first; waits up to `timeout` seconds for something to."""
        ...

    def close(self) -> None:
        """Stop everything now. Interrupted stages go on from their checkpoints next time."""
        ...


class ThisMachine:
    """Worker processes on this machine: started when first needed, each with its own number of threads and its own GPU.

    A training over several devices occupies one worker and the slots of the processes that this worker starts for it.
    """

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
        return self._slots - sum(worker.slots for worker in self._workers if worker.key is not None)

    def submit(self, stage: Stage) -> None:
        """Begin a stage on an idle worker, or on a new one, where the GPUs have least to do."""
        slots = slots_of(stage)
        gpus = self._quietest(slots) if self._gpus else ()
        idle = [worker for worker in self._workers if worker.key is None and worker.alive]
        if slots == 1 and gpus:
            idle = [worker for worker in idle if self._load(worker.gpus[0]) == self._load(gpus[0])]
        worker = idle[0] if idle else self._started(gpus[:1])
        worker.begin(stage, slots, gpus if slots > 1 else ())

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

    def _started(self, gpus: tuple[str, ...]) -> _Worker:
        used = {worker.number for worker in self._workers}
        number = next(number for number in itertools.count() if number not in used)
        worker = _Worker(self._store, self._environment(gpus), number, gpus, self._queue)
        self._workers.append(worker)
        return worker

    def _load(self, gpu: str) -> int:
        """How many stages are running on a GPU."""
        return sum(gpu in worker.busy_gpus for worker in self._workers)

    def _quietest(self, count: int) -> tuple[str, ...]:
        """So many different GPUs, those with least to do."""
        return tuple(sorted(self._gpus, key=self._load)[:count])

    def _environment(self, gpus: tuple[str, ...]) -> dict[str, str]:
        """Threads are fixed before the worker loads torch: the bits of a result depend on them."""
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[name] = str(self._threads)
        environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        environment["PYTHONUNBUFFERED"] = "1"
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        return environment


class _Worker:
    """One worker process and the thread that listens to it."""

    def __init__(
        self,
        store: Path,
        environment: dict[str, str],
        number: int,
        gpus: tuple[str, ...],
        events: queue.SimpleQueue[Event],
    ) -> None:
        self.number, self.gpus = number, gpus
        self.key: str | None = None
        self.slots, self._lent = 1, tuple[str, ...]()
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

    @property
    def busy_gpus(self) -> tuple[str, ...]:
        """The GPUs that its stage runs on; none while it has none."""
        return () if self.key is None else self._lent or self.gpus

    def begin(self, stage: Stage, slots: int = 1, lent: tuple[str, ...] = ()) -> None:
        """Send a stage, with the GPUs that it is to use instead of the worker's. If the worker is dying, its `lost` event will say so."""
        self.key, self.slots, self._lent = stage.key, slots, lent
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request(stage, lent)) + "\n")
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


def this_machine(store: Path, *, device: str, threads: int, workers: int | None, devices: int = 1) -> ThisMachine:
    """The executor for a study: slots for `workers` trainings of so many devices, by default one a GPU, or as many as fill the cores."""
    gpus = () if device == "cpu" else visible_gpus()
    default = len(gpus) if gpus else available_cores() // threads
    slots = workers * devices if workers else max(devices, default)
    return ThisMachine(store, slots=slots, threads=threads, gpus=gpus)


def refuse_too_many(device: str, devices: int) -> None:
    """Raise `ConfigError` where a training is to take more GPUs than this process may use."""
    gpus = () if device == "cpu" else visible_gpus()
    if devices > 1 and gpus and len(gpus) < devices:
        raise ConfigError(
            f"compute.devices is how many GPUs share a training; got {devices}, and this machine shows {len(gpus)}. "
            f'Write {len(gpus)} or less, or device = "cpu".'
        )
