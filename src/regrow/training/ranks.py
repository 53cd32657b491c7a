"""Ranks: the processes of one training over several devices, started together, watched, and ended together. Imports no torch.

The process that starts them trains nothing itself. It hands every rank the same request, passes on what rank 0 tells, and takes rank 0's
result. Whatever happens to one rank ends all of them: an error comes back with its message, and a rank that was killed is told from one
that failed because of it. Ranks end with the process that started them, even when that is killed: the kernel is asked to see to it, and
the end of their input is watched.

Ranks meet through a file in a folder of their own, so that no port has to be agreed on; what they send each other stays on this machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

from regrow.errors import RegrowError, TrainingError

Message: TypeAlias = dict[str, Any]
Tell: TypeAlias = Callable[[Message], None]
Work: TypeAlias = Callable[[str, Tell], Any]
"""Takes a request and a way to tell progress; gives a JSON value."""

_RANK, _MEETING = "LOCAL_RANK", "REGROW_MEETING"
"""Environment of a rank: its number, by the name that Fabric reads, and the file through which ranks find each other."""

_OTHERS: Final = ("RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What launchers of other programs leave in the environment; it would number our ranks anew."""

CAUSE_SECONDS: Final = 1.0
"""After a first failure: how long to wait for the one that caused it."""

_PR_SET_PDEATHSIG = 1


class RankFailedError(TrainingError):
    """A rank stopped with an error. The message is that error's; `detail` is its traceback, empty for a mistake of a person."""

    def __init__(self, message: str, detail: str) -> None:
        self.detail = detail
        super().__init__(message)


class RankLostError(TrainingError):
    """A rank ended without a word: it was killed, perhaps for want of memory."""


def this_rank() -> int:
    """The number of this process among the ranks of its training; 0 where it is the only one."""
    return int(os.environ[_RANK]) if _MEETING in os.environ else 0


def meeting() -> Path | None:
    """The file through which this training's ranks find each other; None for a process that is not one of several."""
    found = os.environ.get(_MEETING)
    return Path(found) if found else None


def run_ranks(
    command: Sequence[str], *, devices: int, request: str, tell: Tell, environment: Mapping[str, str] | None = None
) -> Any:
    """Start `command` once for each device, wait for all, and return rank 0's result.

    Args:
        command: a program that calls `serve`.
        request: one line of text that every rank is given.
        tell: takes what rank 0 tells.
        environment: variables for all ranks, besides those of this process.

    Raises `RankFailedError` where a rank stopped with an error, `RankLostError` where one was killed. No rank is left then.
    """
    events: queue.SimpleQueue[tuple[int, Message | None]] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="regrow-ranks-") as folder, contextlib.ExitStack() as running:
        shared = _environment(Path(folder) / "meeting", environment or {})
        for number in range(devices):
            running.enter_context(_started(command, {**shared, _RANK: str(number)}, request, number, events))
        return _watched(devices, events, tell)


def serve(work: Work) -> None:
    """Be a rank: read the request, do the work, say what came of it, end the process.

    What the work prints goes to the error stream. Nothing is returned to: the process ends here, whatever its threads are doing.
    """
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    request = sys.stdin.readline()
    threading.Thread(target=_end_with_input, args=(sys.stdin,), daemon=True).start()

    def send(message: Message) -> None:
        events.write(json.dumps(message) + "\n")

    closing = _outcome(work, request, lambda told: send({"event": "told", "told": told}))
    send({**closing, "at": time.time()})
    sys.stderr.flush()
    os._exit(0 if closing["event"] == "result" else 1)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; where it cannot, end of input does the same a little later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _outcome(work: Work, request: str, tell: Tell) -> Message:
    try:
        return {"event": "result", "result": work(request, tell)}
    except RegrowError as error:
        return {"event": "failed", "message": str(error), "detail": ""}
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return {"event": "failed", "message": text, "detail": traceback.format_exc()}


def _end_with_input(stream: TextIO) -> None:
    stream.read()
    os._exit(0)


def _environment(place: Path, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    return {**_loopback(), **kept, **more, _MEETING: str(place)}


def _loopback() -> dict[str, str]:
    """gloo would open ports on the network's own address, which a firewall or a name that does not resolve can make fail."""
    names = [name for _, name in socket.if_nameindex()] if hasattr(socket, "if_nameindex") else []
    return next(({"GLOO_SOCKET_IFNAME": name} for name in ("lo", "lo0") if name in names), {})


@contextlib.contextmanager
def _started(
    command: Sequence[str],
    environment: Mapping[str, str],
    request: str,
    number: int,
    events: queue.SimpleQueue[tuple[int, Message | None]],
) -> Iterator[None]:
    """A rank that runs inside the block and is gone after it."""
    with subprocess.Popen(
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment), text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        listener = threading.Thread(target=_listen, args=(process.stdout, number, events), daemon=True)
        listener.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(request + "\n")
                process.stdin.flush()
            yield
        finally:
            process.kill()
            process.wait()
            listener.join()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def _listen(stream: TextIO, number: int, events: queue.SimpleQueue[tuple[int, Message | None]]) -> None:
    """Hand on what a rank says, and None when it has ended."""
    with contextlib.suppress(ValueError):
        for line in stream:
            events.put((number, json.loads(line)))
    events.put((number, None))


def _watched(devices: int, events: queue.SimpleQueue[tuple[int, Message | None]], tell: Tell) -> Any:
    results: dict[int, Any] = {}
    while len(results) < devices:
        number, message = events.get()
        if message is None:
            if number not in results:
                raise _lost(number, devices)
        elif message["event"] == "failed":
            raise _cause(number, message, devices, results, events)
        elif message["event"] == "result":
            results[number] = message["result"]
        elif number == 0:
            tell(message["told"])
    return results[0]


def _cause(
    number: int,
    message: Message,
    devices: int,
    results: Mapping[int, Any],
    events: queue.SimpleQueue[tuple[int, Message | None]],
) -> TrainingError:
    """What went wrong first: ranks that lose another fail too, and may be quicker to say so."""
    failed, deadline = {number: message}, time.monotonic() + CAUSE_SECONDS
    with contextlib.suppress(queue.Empty):
        while (left := deadline - time.monotonic()) > 0:
            number, found = events.get(timeout=left)
            if found is None and number not in failed and number not in results:
                return _lost(number, devices)
            if found is not None and found["event"] == "failed":
                failed[number] = found
    first = min(failed.values(), key=lambda one: float(one["at"]))
    return RankFailedError(first["message"], first["detail"])


def _lost(number: int, devices: int) -> RankLostError:
    return RankLostError(
        f"the process of device {number + 1} of {devices} ended without a word; it was killed, perhaps for want of memory. "
        "Run again: training goes on from its last checkpoint."
    )
