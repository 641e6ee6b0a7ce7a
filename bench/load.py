"""The load that pgbench cannot make; ``python -m bench.load WHAT`` in a process of its own.

The request is one JSON object on standard input, the answer one on standard output. ``idle`` keeps
its connections until standard input ends.
"""

import contextlib
import itertools
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bench.target import Target
from bench.wire import FAILURES, Client, WrongAnswerError, tls_context, told
from forebay.protocol.messages import message

FORK = multiprocessing.get_context("fork")
ROW_BYTES = 1000
# psql's \copy sends messages of this size.
COPY_MESSAGE_BYTES = 8192
ERRORS_KEPT = 5
NICENESS = 10
SINK = "bench_sink"


@dataclass(slots=True)
class Answer:
    """What a load reports; each field is used by some of them."""

    done: int = 0
    elapsed_s: float = 0.0
    errors: list[str] = field(default_factory=list)
    latencies_us: list[int] = field(default_factory=list)

    def merge(self, other: "Answer") -> None:
        """Take another process's answer in."""
        self.done += other.done
        self.elapsed_s = max(self.elapsed_s, other.elapsed_s)
        self.errors = (self.errors + other.errors)[:ERRORS_KEPT]
        self.latencies_us += other.latencies_us


def idle(
    target: Target, clients: int, places: Sequence[tuple[str, str]] = ()
) -> tuple[Answer, list[Client]]:
    """Log ``clients`` in, by turns in these databases as these users, let each ask once, and keep
    them."""
    answer, kept, context = Answer(), [], tls_context()
    turns = itertools.cycle(places or [(target.database, target.user)])
    for _ in range(clients):
        database, user = next(turns)
        try:
            client = Client(replace(target, database=database, user=user), context)
            kept.append(client)
            if client.query("SELECT 1") != [["1"]]:
                raise WrongAnswerError("SELECT 1 gave something else")
        except FAILURES as error:
            answer.errors.append(told(error))
            break
        answer.done += 1
    return answer, kept


def logins(target: Target, seconds: float, rate: float | None) -> Answer:
    """Log in and leave, one after the other, for ``seconds``; at most ``rate`` per second."""
    answer, context = Answer(), tls_context()
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds and len(answer.errors) < ERRORS_KEPT:
        if rate is not None and (early := begin + answer.done / rate - now) > 0:
            time.sleep(min(early, begin + seconds - now))
            continue
        try:
            Client(target, context).close()
        except FAILURES as error:
            answer.errors.append(told(error))
            continue
        answer.done += 1
        answer.latencies_us.append(round((time.perf_counter() - now) * 1e6))
    answer.elapsed_s = time.perf_counter() - begin
    return answer


def burst(target: Target, clients: int) -> Answer:
    """Log so many in at once, each in a thread; all are there before the first one leaves."""
    answer, context = Answer(), tls_context()
    kept: list[Client] = []
    start = threading.Barrier(clients + 1)

    def log_in() -> None:
        start.wait()
        begin = time.perf_counter()
        try:
            kept.append(Client(target, context))
        except FAILURES as error:
            answer.errors.append(told(error))
            return
        answer.latencies_us.append(round((time.perf_counter() - begin) * 1e6))

    threads = [threading.Thread(target=log_in) for _ in range(clients)]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    answer.elapsed_s = time.perf_counter() - begin
    for client in kept:
        client.close()
    answer.done, answer.errors = len(kept), answer.errors[:ERRORS_KEPT]
    return answer


def transfer(target: Target, kind: str, mebibytes: int) -> Answer:
    """Move a large result or COPY through; ``done`` is the number of bytes of its messages."""
    answer = Answer()
    count = mebibytes * 1024 * 1024 // ROW_BYTES
    rows = f"SELECT g, repeat('x', {ROW_BYTES - 20}) FROM generate_series(1, {count}) AS g"
    with Client(target) as client:
        begin = time.perf_counter()
        if kind == "rows":
            answer.done = client.discard(rows)
        elif kind == "copy_out":
            answer.done = client.discard(f"COPY ({rows}) TO STDOUT")
        else:
            messages = list(copy_messages(count))
            answer.done = sum(map(len, messages))
            begin = time.perf_counter()
            # Kept out of the table but for one row in a thousand, which proves that all arrived.
            tag = client.copy_in(f"COPY {SINK} FROM STDIN WHERE id % 1000 = 0", messages)
            if tag != f"COPY {count // 1000}":
                answer.errors.append(f"COPY of {count} rows answered {tag!r}")
        answer.elapsed_s = time.perf_counter() - begin
    return answer


def copy_messages(count: int) -> Iterator[bytes]:
    """Give ``count`` rows of text COPY as CopyData messages of psql's size."""
    padding = b"x" * (ROW_BYTES - 20)
    pending = bytearray()
    for number in range(1, count + 1):
        pending += b"%d\t%b\n" % (number, padding)
        while len(pending) >= COPY_MESSAGE_BYTES:
            yield message(b"d", bytes(pending[:COPY_MESSAGE_BYTES]))
            del pending[:COPY_MESSAGE_BYTES]
    if pending:
        yield message(b"d", bytes(pending))


def shares(total: int, parts: int) -> list[int]:
    """Divide ``total`` into ``parts`` as evenly as whole numbers allow."""
    return [total // parts + (index < total % parts) for index in range(parts)]


def _idle_child(
    pipe: Connection, target: Target, clients: int, places: Sequence[tuple[str, str]]
) -> None:
    answer, kept = idle(target, clients, places)
    pipe.send(answer)
    pipe.poll(None)  # until the parent closes its end
    del kept  # without a goodbye each: the whole process leaves


def _logins_child(pipe: Connection, target: Target, seconds: float, rate: float | None) -> None:
    pipe.send(logins(target, seconds, rate))


def _burst_child(pipe: Connection, target: Target, clients: int) -> None:
    pipe.send(burst(target, clients))


def _transfer_child(pipe: Connection, target: Target, kind: str, mebibytes: int) -> None:
    try:
        pipe.send(transfer(target, kind, mebibytes))
    except FAILURES as error:
        pipe.send(Answer(errors=[told(error)]))


def _fork(
    child: Callable[..., None], calls: list[tuple[Any, ...]]
) -> tuple[Answer, list[Connection], list[BaseProcess]]:
    """Run ``child`` once per call, each in a process; give the merged answer."""
    pipes: list[Connection] = []
    processes: list[BaseProcess] = []
    for arguments in calls:
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=_run_child, args=(child, [*pipes, ours], theirs, arguments))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    merged = Answer()
    for pipe in pipes:
        try:
            merged.merge(pipe.recv())
        except EOFError:
            merged.errors.append("a process of the load died")
    return merged, pipes, processes


def _run_child(
    child: Callable[..., None],
    inherited: list[Connection],
    pipe: Connection,
    arguments: tuple[Any, ...],
) -> None:
    for other in inherited:
        other.close()  # or the parent's going would not be noticed
    child(pipe, *arguments)


def give_way() -> None:
    """Let other sessions have the processor first (autogroups have a niceness of their own).

    A tenth of the others' share, not none: it must still get its work done. Where the kernel knows
    no autogroups, the usual niceness does.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    os.nice(NICENESS)


def main() -> int:
    """Do what standard input asks for; 1 if anything went wrong."""
    request = json.loads(sys.stdin.readline())
    target = Target(**request["target"])
    if request.get("yielding"):
        give_way()
    parts = int(request["processes"])
    if sys.argv[1] == "idle":
        calls: list[tuple[Any, ...]] = [
            (target, clients, request.get("places", ()))
            for clients in shares(request["clients"], parts)
        ]
        answer, pipes, processes = _fork(_idle_child, calls)
    elif sys.argv[1] == "logins":
        rate = request["rate"] and request["rate"] / parts
        answer, pipes, processes = _fork(
            _logins_child, [(target, request["seconds"], rate)] * parts
        )
    elif sys.argv[1] == "burst":
        counts = shares(request["clients"], parts)
        answer, pipes, processes = _fork(_burst_child, [(target, each) for each in counts])
    else:
        calls = [(target, request["kind"], request["mebibytes"])]
        answer, pipes, processes = _fork(_transfer_child, calls)
    print(json.dumps(asdict(answer)), flush=True)
    if sys.argv[1] == "idle":
        sys.stdin.read()
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join()
    return 1 if answer.errors else 0


if __name__ == "__main__":
    sys.exit(main())
