"""A worker: one process that does stages, one after another, as its parent asks. `python -m regrow.study.worker STORE`

Requests come as JSON lines on standard input, events go as JSON lines to what was standard output; anything that a network's
own code prints is sent to the error stream instead. The number of threads was set by the parent, in the environment, before
this process started. When the parent dies the worker does too: the kernel is asked to see to it, and end of input is watched.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from regrow.errors import RegrowError
from regrow.study.machine import commit, machine, versions
from regrow.study.stage import STAGE_KINDS, Stage
from regrow.study.store import Store
from regrow.study.task import Task, Tell
from regrow.table import load
from regrow.training.ranks import RankFailedError, RankLostError, die_with_parent


def execute(stage: Stage, store: Store, tell: Tell) -> str:
    """Do one stage unless it is done; `done`, or `busy` where another process is at it.

    What the stage's function returns becomes its result, what it leaves in its folder becomes part of the artifact.
    """
    with store.lock(stage.key) as held:
        if store.result(stage.key) is not None:
            return "done"
        if not held:
            return "busy"
        folder, started, clock = store.partial(stage.key), time.time(), time.perf_counter()
        attempts = _count_attempt(folder)
        result = load(STAGE_KINDS[stage.kind].target)(Task(stage=stage, store=store, folder=folder, tell=tell))
        provenance = {
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "stage_seconds": time.perf_counter() - clock,
            "attempts": attempts,
        }
        (folder / "attempts").unlink()
        store.commit(stage, result, provenance)
    return "done"


def _count_attempt(folder: Path) -> int:
    """How often this stage was begun, this time included; kept in its partial folder."""
    path = folder / "attempts"
    attempts = int(path.read_text() or 0) + 1 if path.exists() else 1
    path.write_text(str(attempts))
    return attempts


def answer(request: dict[str, Any], store: Store, send: Tell) -> None:
    """Do one request and send its closing event: done, busy or failed.

    Raises `RankLostError` where a process of its training was killed.
    """
    stage = Stage.from_json(request)
    key = stage.key

    def tell(event: dict[str, Any]) -> None:
        send({"event": "progress", "key": key, **event})

    try:
        send({"event": execute(stage, store, tell), "key": key})
    except RankLostError:
        raise
    except RegrowError as error:
        detail = error.detail if isinstance(error, RankFailedError) else ""
        send({"event": "failed", "key": key, "message": str(error), "detail": detail})
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        send({"event": "failed", "key": key, "message": text, "detail": traceback.format_exc()})


def main(root: str) -> None:
    """Serve until the input ends."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, requests), daemon=True).start()
    store = Store(Path(root))

    def send(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")

    try:
        while True:
            answer(requests.get(), store, send)
    except RankLostError:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # the stage is begun again, as if this process had been killed


def _listen(stream: TextIO, requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Hand on requests; end the process, whatever it is doing, when there can be no more."""
    for line in stream:
        requests.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
