"""One arm in a process of its own: `python -m edgekit.bench.worker` answers each JSON line with another.

Commands, each with its fields and its reply:

    import   arm                -> import_ns; what runs the arm
    open     arm, feeds         -> load_ns, first_inference_ns, and import_ns if it had to import
    time     calls, start       -> ns: the calls' times, raw
    outputs  feeds, out         -> samples: how many samples' outputs were written to the folder `out`
    stats                       -> peak_rss_bytes, or null where the system does not say
    close                       -> {}
    fork     door, cpus, seed   -> pid of a child that settles there and answers on the Unix socket `door`
    reap     pid                -> code: the exit code of a child that has been ended, negative for a signal

What goes wrong comes back as {"error": type, "message": text}. The process ends when its input closes.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from edgekit.bench.arms import arm_from_json
from edgekit.bench.bound import Bound, Peer
from edgekit.bench.peers import import_runtime, open_peer
from edgekit.bench.placement import settle
from edgekit.bench.samples import read_samples, write_samples
from edgekit.errors import MeasurementError
from edgekit.tensors import Array, Feeds

VARIED_INPUTS = 16
"""So many samples take turns in the timed calls: one cached input makes any model look faster than it is."""

WAITING_COST_NS = 1_000

Request = dict[str, Any]
Reply = dict[str, Any]


class ArmHost:
    """The open session of this process and what was bound to it."""

    def __init__(self) -> None:
        self._peer: Peer | None = None
        self._bound: Bound | None = None
        self._samples: list[Feeds] = []
        self._slowdown: float | None = None
        self._imported = False
        self.commands: dict[str, Callable[[Request], Reply]] = {
            "import": self._import,
            "open": self._open,
            "time": self._time,
            "outputs": self._outputs,
            "stats": lambda _request: {"peak_rss_bytes": peak_rss_bytes()},
            "close": self._close,
            "fork": self._fork,
            "reap": lambda request: {"code": os.waitstatus_to_exitcode(os.waitpid(request["pid"], 0)[1])},
        }

    def _import(self, request: Request) -> Reply:
        arm = arm_from_json(request["arm"])
        import_ns, _ = _timed(lambda: import_runtime(arm))
        self._imported = True
        return {"import_ns": import_ns}

    def _open(self, request: Request) -> Reply:
        self._close({})
        arm = arm_from_json(request["arm"])
        samples = read_samples(Path(request["feeds"]))
        self._samples = [{name: np.array(array) for name, array in feeds.items()} for feeds in samples[:VARIED_INPUTS]]
        self._slowdown = arm.slowdown
        reply: Reply = {} if self._imported else self._import(request)
        reply["load_ns"], peer = _timed(lambda: open_peer(arm, self._samples[0]))
        self._peer = peer
        reply["first_inference_ns"], _ = _timed(lambda: peer.run(self._samples[0]))
        return reply

    def _time(self, request: Request) -> Reply:
        if self._bound is None:
            _refuse_mixed_shapes(self._samples)
            self._bound = slowed(self._opened().bind(self._samples[0]), self._slowdown)
        return {"ns": time_calls(self._bound, self._samples, calls=request["calls"], start=request["start"])}

    def _outputs(self, request: Request) -> Reply:
        peer = self._opened()
        outputs = _run_all(peer, read_samples(Path(request["feeds"])))
        return {"samples": write_samples(Path(request["out"]), outputs)}

    def _close(self, _request: Request) -> Reply:
        self._bound = None
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        return {}

    def _fork(self, request: Request) -> Reply:
        """Only a process that has nothing open may fork: threads do not come along."""
        if self._peer is not None:
            raise MeasurementError("a process that holds an arm cannot fork")
        if pid := os.fork():
            return {"pid": pid}
        try:
            _serve_at(request["door"], self, lambda: settle(request["cpus"], request["seed"]))
            os._exit(0)  # what the parent would do at its end is not the child's to do
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _opened(self) -> Peer:
        if self._peer is None:
            raise MeasurementError("nothing is open; send 'open' first")
        return self._peer


def slowed(bound: Bound, share: float | None) -> Bound:
    """`bound`, each call of which takes `share` longer by a busy wait: a slowdown of a size that is known.

    What the waiting itself costs lies within 1 us that every share adds, 0 too, so that the times of two shares stand
    to each other as 1 + share do. None leaves `bound` as it is.
    """
    if share is None:
        return bound
    clock, call, factor = time.perf_counter_ns, bound.call, 1.0 + share

    def slow_call() -> None:
        begin = clock()
        call()
        until = begin + (clock() - begin + WAITING_COST_NS) * factor
        while clock() < until:
            pass

    return replace(bound, call=slow_call)


def time_calls(bound: Bound, samples: Sequence[Feeds], *, calls: int, start: int) -> list[int]:
    """Nanoseconds of each of `calls` calls; before each, untimed, the next sample from `start` is written."""
    clock, write, call, count = time.perf_counter_ns, bound.write, bound.call, len(samples)
    times: list[int] = []
    gc.disable()  # a collection inside a call would be charged to the model
    try:
        for position in range(start, start + calls):
            write(samples[position % count])
            begin = clock()
            call()
            times.append(clock() - begin)
    finally:
        gc.enable()
    return times


def peak_rss_bytes() -> int | None:
    """The most memory this process has had resident, interpreter and feeds included; None if it cannot be
    told.

    On Linux `getrusage` starts a process at the peak of the one that started it (the kernel keeps it across
    exec), so a large parent would be charged to each worker: /proc has the figure of this program alone.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        pass
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Serve commands until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C goes to the parent as well, and the parent decides
    _serve(sys.stdin, _private_stdout(), ArmHost())


def _serve(requests: TextIO, replies: TextIO, host: ArmHost) -> None:
    for line in requests:
        replies.write(json.dumps(_answer(host, line)) + "\n")
        replies.flush()


def _serve_at(door: str, host: ArmHost, prepare: Callable[[], None]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(door)
        prepare()
        with connection.makefile("r", encoding="utf-8") as requests, connection.makefile("w", encoding="utf-8") as out:
            _serve(requests, out, host)


def _answer(host: ArmHost, line: str) -> Reply:
    try:
        request = json.loads(line)
        return host.commands[request["command"]](request)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


def _private_stdout() -> TextIO:
    """A duplicate of standard output for replies; what libraries print goes to standard error from now on."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8")


def _timed(step: Callable[[], Any]) -> tuple[int, Any]:
    begin = time.perf_counter_ns()
    result = step()
    return time.perf_counter_ns() - begin, result


def _run_all(peer: Peer, samples: Sequence[Feeds]) -> Iterator[dict[str, Array]]:
    for feeds in samples:
        yield peer.run(feeds)


def _refuse_mixed_shapes(samples: Sequence[Feeds]) -> None:
    shapes = {tuple((name, feeds[name].shape) for name in sorted(feeds)) for feeds in samples}
    if len(shapes) > 1:
        raise MeasurementError(
            f"samples to be timed have {len(shapes)} different shapes; a latency belongs to one: give one"
        )


if __name__ == "__main__":
    main()
