"""One arm in a process of its own: `python -m edgekit.bench.worker` answers each JSON line with another.

Commands, each with its fields and its reply:

    import   arm                -> import_ns; what runs the arm
    open     arm, feeds         -> load_ns, first_inference_ns, and import_ns if it had to import
    time     calls, start       -> ns: the calls' times, raw; energy_uj: of all of them, if `energy` was asked for and
                                   this machine tells it, else null
    serve    arrivals_ns        -> service_ns, latency_ns: of one call for each arrival, see `scenarios.arrivals`
    outputs  feeds, out         -> samples: how many samples' outputs were written to the folder `out`; of samples of
                                   many steps (`inputs.is_chunk`) the outputs that are not state, stacked over steps
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
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from edgekit.bench.arms import Arm, arm_from_json
from edgekit.bench.bound import Bound, Peer
from edgekit.bench.energy import energy_reader
from edgekit.bench.inputs import Inputs, is_chunk, read_inputs, refuse_mixed_shapes, refuse_no_batch
from edgekit.bench.peers import import_runtime, open_peer, open_stream
from edgekit.bench.placement import settle
from edgekit.bench.samples import read_samples, write_samples
from edgekit.bench.scenarios.arrivals import serve
from edgekit.bench.slowdown import slowed
from edgekit.errors import MeasurementError
from edgekit.runtime import Session  # noqa: F401 - loaded before anything is timed, so that no arm's load pays for it
from edgekit.runtime.stream import run_steps
from edgekit.tensors import Array, Feeds

Request = dict[str, Any]
Reply = dict[str, Any]


class ArmHost:
    """The open session of this process and what was bound to it.

    channel: files that this process is spoken to by; a child has its own, and lets go of these, since the other side
        would not see this process end while a child holds them.
    """

    def __init__(self, channel: Sequence[int] = ()) -> None:
        self._channel = channel
        self._held: tuple[Arm, Peer] | None = None
        self._bound: Bound | None = None
        self._inputs = Inputs((), ())
        self._imported = False
        self.commands: dict[str, Callable[[Request], Reply]] = {
            "import": self._import,
            "open": self._open,
            "time": self._time,
            "serve": self._serve,
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
        reply: Reply = {} if self._imported else self._import(request)
        self._inputs = read_inputs(arm, Path(request["feeds"]))
        first = self._inputs.feeds[0]
        reply["load_ns"], peer = _timed(lambda: open_peer(arm, first))
        self._held = arm, peer
        reply["first_inference_ns"], outputs = _timed(lambda: peer.run(first))
        if arm.batch > 1:
            refuse_no_batch(outputs, first)
        return reply

    def _time(self, request: Request) -> Reply:
        bound, calls, start = self._ready(), request["calls"], request["start"]
        read_uj = energy_reader() if request.get("energy") else None
        begin_uj = read_uj() if read_uj else 0
        times = time_calls(bound, self._inputs.written, calls=calls, start=start)
        return {"ns": times, "energy_uj": read_uj() - begin_uj if read_uj else None}

    def _serve(self, request: Request) -> Reply:
        bound, samples = self._ready(), self._inputs.written

        def service(number: int) -> None:
            bound.write(samples[number % len(samples)])
            bound.call()

        return asdict(serve(request["arrivals_ns"], service))

    def _ready(self) -> Bound:
        """What is open, bound to buffers at the first call."""
        if self._bound is None:
            refuse_mixed_shapes(self._inputs.feeds)
            arm, peer = self._opened()
            network = peer.bind(self._inputs.feeds[0])
            self._bound = slowed(self._inputs.around(network), arm.slowdown)
        return self._bound

    def _outputs(self, request: Request) -> Reply:
        outputs = _run_all(*self._opened(), read_samples(Path(request["feeds"])))
        return {"samples": write_samples(Path(request["out"]), outputs)}

    def _close(self, _request: Request) -> Reply:
        self._bound = None
        if self._held is not None:
            self._held[1].close()
            self._held = None
        return {}

    def _fork(self, request: Request) -> Reply:
        """Only a process that has nothing open may fork: threads do not come along."""
        if self._held is not None:
            raise MeasurementError("a process that holds an arm cannot fork")
        if pid := os.fork():
            return {"pid": pid}
        for file in self._channel:
            os.close(file)
        try:
            _serve_at(request["door"], self, lambda: settle(request["cpus"], request["seed"]))
            os._exit(0)  # what the parent would do at its end is not the child's to do
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _opened(self) -> tuple[Arm, Peer]:
        if self._held is None:
            raise MeasurementError("nothing is open; send 'open' first")
        return self._held


def time_calls(bound: Bound, samples: Sequence[Any], *, calls: int, start: int) -> list[int]:
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
    replies = _private_stdout()
    _serve(sys.stdin, replies, ArmHost(channel=(sys.stdin.fileno(), replies.fileno())))


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


def _run_all(arm: Arm, peer: Peer, samples: Sequence[Feeds]) -> Iterator[dict[str, Array]]:
    """The outputs of each sample; one of many steps begins with its state at zero."""
    stream = open_stream(peer, arm) if arm.state else None
    for feeds in samples:
        if stream is None or not is_chunk(arm, feeds):
            yield peer.run(feeds)
            continue
        stream.reset()
        yield run_steps(stream, feeds)


if __name__ == "__main__":
    main()
