"""Worker processes as their parent sees them: started afresh, or forked from one that has imported the runtime already.

A fresh process costs some 0.4 s, nearly all of it imports. A nursery imports once, and then forks a process for each
session in 2 ms; what is forked has its own memory, and so its own luck with where that memory lies.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, cast

from edgekit.bench.arms import Arm, arm_to_json
from edgekit.errors import MeasurementError

CAN_FORK = sys.platform == "linux"  # macOS has fork, but its system libraries do not survive it
READER_JOIN_S = 5.0


class _Process(Protocol):
    """What a worker runs in, and how that ended."""

    pid: int

    def kill(self) -> None:
        """End it at once; harmless where it has ended."""

    def wait(self) -> int:
        """Its exit code, negative for a signal, once it has ended."""

    def last_words(self) -> str:
        """What it wrote to standard error last."""


class Worker:
    """A process that holds one arm. As a context manager it is gone when the block ends, in whichever way."""

    def __init__(
        self, arm: Arm, *, timeout_s: float = 120.0, process: _Process | None = None, streams: Streams | None = None
    ) -> None:
        self.arm = arm
        self._timeout_s = timeout_s
        if process is None or streams is None:
            process = started = _Started()
            streams = started.streams
        self._process = process
        self._conversation = _Conversation(streams)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def open(self, feeds_folder: Path) -> dict[str, Any]:
        """Open the arm anew, for samples like those in `feeds_folder`; the times that the worker took."""
        return self.ask("open", arm=arm_to_json(self.arm), feeds=str(feeds_folder))

    def time(self, calls: int, *, start: int = 0) -> tuple[int, ...]:
        """Nanoseconds of each of `calls` calls, on the samples from number `start` on, in turn."""
        return tuple(self.ask("time", calls=calls, start=start)["ns"])

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command of `edgekit.bench.worker` and wait for its reply.

        Raises:
            MeasurementError: the worker reported an error, died, or gave no answer within `timeout_s`.
        """
        try:
            line = self._conversation.ask(json.dumps({"command": command, **fields}), timeout_s=self._timeout_s)
        except (OSError, ValueError) as error:  # a broken pipe, or one closed since the process was ended
            raise self._died(command) from error
        except queue.Empty:
            self.kill()
            raise MeasurementError(
                f"arm {self.arm.name!r} gave no answer to {command!r} within {self._timeout_s:g} s "
                "and was stopped; if it only is slow, allow more with timeout_s, or with --timeout on the command line",
                arm=self.arm.name,
            ) from None
        if not line:
            raise self._died(command)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise MeasurementError(
                f"arm {self.arm.name!r}: {command} failed: {reply['error']}: {reply['message']}", arm=self.arm.name
            )
        return reply

    def kill(self) -> None:
        """End the process now, which loses nothing: all that it knows it has told. Harmless where it has ended."""
        self._process.kill()
        self._conversation.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _died(self, command: str) -> MeasurementError:
        code, last_words = self._process.wait(), self._process.last_words()
        return MeasurementError(
            f"the process of arm {self.arm.name!r} ended with exit code {code} at command {command!r}"
            + (f"; its last words:\n{last_words}" if last_words else ""),
            arm=self.arm.name,
        )


class Nursery:
    """A process that has imported what runs `arm`, and forks a worker for each session. Linux only.

    Workers of one nursery start from the same memory layout, whichever arm they hold, so that identical arms are
    treated alike; each then settles at a place drawn from a seed (`edgekit.bench.placement`).
    """

    def __init__(self, arm: Arm, *, timeout_s: float = 120.0) -> None:
        self._timeout_s = timeout_s
        self._process = _Started()
        self._parent = Worker(arm, timeout_s=timeout_s, process=self._process, streams=self._process.streams)
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-nursery-")
        self._born = 0

    def load(self) -> None:
        """Import the runtime now.

        Raises:
            MeasurementError: it is not installed, or the process died.
        """
        self._parent.ask("import", arm=arm_to_json(self._parent.arm))

    def fork(self, arm: Arm, *, cpus: Sequence[int] = (), seed: int = 0) -> Worker:
        """A worker for `arm`, bound to `cpus` (any where there are none), its memory placed by `seed`.

        Raises:
            MeasurementError: the nursery died or gave no answer.
        """
        self._born += 1
        path = Path(self._folder.name) / str(self._born)
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            door.listen(1)
            door.settimeout(self._timeout_s)
            pid = int(self._parent.ask("fork", door=str(path), cpus=list(cpus), seed=seed)["pid"])
            child = _Forked(pid, self)
            try:
                line, _ = door.accept()
            except TimeoutError as error:
                child.kill()
                raise MeasurementError(f"the worker of arm {arm.name!r} did not start", arm=arm.name) from error
        line.settimeout(None)
        with line:
            streams = (line.makefile("w", encoding="utf-8"), line.makefile("r", encoding="utf-8"))
        return Worker(arm, timeout_s=self._timeout_s, process=child, streams=streams)

    def reap(self, pid: int) -> int:
        """Wait for a worker that has been ended; its exit code, negative for a signal."""
        return int(self._parent.ask("reap", pid=pid)["code"])

    def last_words(self) -> str:
        """What the nursery and its workers wrote to standard error last."""
        return self._process.last_words()

    def close(self) -> None:
        """End the nursery. Its workers must have been ended before."""
        self._parent.kill()
        self._folder.cleanup()


class Nurseries:
    """A nursery for each runtime among the arms, made when it is first needed; a context manager.

    `renew` ends them: what a nursery's workers have in common, the place of its libraries for one, is luck as well.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._stack = ExitStack()
        self._by_runtime: dict[str, Nursery] = {}

    def worker(self, arm: Arm, *, cpus: Sequence[int], seed: int) -> Worker:
        """A worker for `arm`: forked where the system can, else started afresh, where it is bound to no CPU."""
        if not CAN_FORK:
            return Worker(arm, timeout_s=self._timeout_s)
        runtime = arm.backend or arm.kind
        if runtime not in self._by_runtime:
            nursery = Nursery(arm, timeout_s=self._timeout_s)
            self._stack.callback(nursery.close)
            nursery.load()
            self._by_runtime[runtime] = nursery
        return self._by_runtime[runtime].fork(arm, cpus=cpus, seed=seed)

    def renew(self) -> None:
        """End all nurseries; the next worker of each runtime comes from a new one."""
        self._by_runtime.clear()
        self._stack.close()

    def __enter__(self) -> Nurseries:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.renew()


Streams = tuple[IO[str], IO[str]]
"""Where requests are written, and where replies are read."""


class _Conversation:
    """Requests and replies, a line each; replies are read in a thread, since not every system can wait with a limit."""

    def __init__(self, streams: Streams) -> None:
        self._requests, replies = streams
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(replies,), daemon=True)
        self._reader.start()

    def ask(self, line: str, *, timeout_s: float) -> str:
        """The reply to `line`; empty where the other side has gone. Raises queue.Empty after `timeout_s`."""
        self._requests.write(line + "\n")
        self._requests.flush()
        return self._replies.get(timeout=timeout_s)

    def close(self) -> None:
        """To be called when the other side has ended."""
        self._reader.join(READER_JOIN_S)
        with suppress(OSError):  # what it had not read is lost on purpose
            self._requests.close()

    def _read(self, replies: IO[str]) -> None:
        with replies, suppress(OSError):  # a connection that is reset has ended
            for line in replies:
                self._replies.put(line)
        self._replies.put("")


class _Started:
    """A new interpreter that runs `edgekit.bench.worker`."""

    def __init__(self) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgekit.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )
        self.pid = self._process.pid
        self.streams = (cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        return self._process.wait()

    def last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode("utf-8", errors="replace").strip()


class _Forked:
    """A child of a nursery: only that can wait for it."""

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self.pid = pid
        self._nursery = nursery
        self._code: int | None = None

    def kill(self) -> None:
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def wait(self) -> int:
        if self._code is None:
            self._code = -signal.SIGKILL
            with suppress(MeasurementError):  # the nursery has gone too, and the system waits in its place
                self._code = self._nursery.reap(self.pid)
        return self._code

    def last_words(self) -> str:
        return self._nursery.last_words()
