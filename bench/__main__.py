"""``python -m bench``: the whole comparison, or a part of it."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.machine import Machine, commit, this_machine
from bench.measures import MEASURES
from bench.pgbench import PgbenchError
from bench.process import raise_descriptor_limit
from bench.results import Row, figure, table
from bench.sides import CLIENTS_MOST, Forebay, PgBouncer, Side, SideError
from bench.world import MAX_CONNECTIONS, Options, World, prepare
from forebay.embedded.binaries import find_binaries, find_client
from forebay.embedded.certificates import Authority
from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres

PIPE_WIDTH = 132
RESULTS = Path(__file__).resolve().parent / "results"
PGBOUNCER_ENVIRONMENT = "FOREBAY_BENCH_PGBOUNCER"
QUICK = Options(rounds=1, seconds=1.0, idle_clients=500, mebibytes=20, quick=True)
FULL = Options(rounds=5, seconds=4.0, idle_clients=5000, mebibytes=100, quick=False)


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; wrong use ends with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds, a minute or two in all")
    parser.add_argument("--rounds", type=int, help=f"rounds of every case ({FULL.rounds})")
    parser.add_argument("--seconds", type=float, help=f"length of one run ({FULL.seconds:g})")
    parser.add_argument("--clients", type=int, help=f"idle clients ({FULL.idle_clients})")
    parser.add_argument(
        "--only", action="append", choices=list(MEASURES), metavar="NAME", help="just this measure"
    )
    parser.add_argument(
        "--side", action="append", choices=[s.lower() for s in Side], help="just these sides"
    )
    parser.add_argument("--list", action="store_true", help="name the measures and stop")
    parser.add_argument(
        "--pgbouncer", metavar="PATH", default=os.environ.get(PGBOUNCER_ENVIRONMENT)
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the JSON file to write")
    arguments = parser.parse_args(words)
    for name in ("rounds", "seconds", "clients"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} must be more than 0")
    return arguments


def options(arguments: argparse.Namespace) -> Options:
    """Give how long and how often, from the command line."""
    base = QUICK if arguments.quick else FULL
    return Options(
        rounds=arguments.rounds or base.rounds,
        seconds=arguments.seconds or base.seconds,
        idle_clients=min(arguments.clients or base.idle_clients, most_clients()),
        mebibytes=base.mebibytes,
        quick=base.quick,
    )


def most_clients() -> int:
    """Give how many idle clients fit into this process's descriptors."""
    return raise_descriptor_limit(CLIENTS_MOST) // 2


def run(world: World, names: list[str], report: Callable[[Row], None]) -> list[Row]:
    """Run the named measures in the table's order."""
    rows = []
    for name in names:
        for row in MEASURES[name](world):
            rows.append(row)
            report(row)
    return rows


def document(world: World, rows: list[Row], machine: Machine, started: datetime) -> dict[str, Any]:
    """Build what the JSON file holds."""
    pgbouncer = world.pgbouncer
    return {
        "schema": 1,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine.as_json(),
        "versions": {
            "forebay": world.forebay.version,
            "pgbouncer": pgbouncer.version if pgbouncer else None,
            "postgresql": world.server.binaries.version,
        },
        "tls_to_database": world.server.tls,
        "sides": list(world.sides),
        "options": {
            "rounds": world.options.rounds,
            "seconds": world.options.seconds,
            "idle_clients": world.options.idle_clients,
            "mebibytes": world.options.mebibytes,
        },
        "notes": world.notes,
        "failures": world.failures,
        "rows": [row.as_json() for row in rows],
    }


def choose_sides(arguments: argparse.Namespace, pgbouncer: PgBouncer | None) -> tuple[Side, ...]:
    """Give the sides that take part. Raises SideError if that is none."""
    named = arguments.side or [side.lower() for side in Side]
    chosen = tuple(
        side
        for side in Side
        if side.lower() in named and (side is not Side.PGBOUNCER or pgbouncer is not None)
    )
    if not chosen:
        raise SideError("no PgBouncer found, and it was the only side asked for")
    return chosen


def compare(arguments: argparse.Namespace, console: Console) -> int:
    """Run everything; give the exit code. Raises SetupError, SideError, PgbenchError at start."""
    started, machine = datetime.now(UTC), this_machine()
    pgbouncer = PgBouncer.find(arguments.pgbouncer)
    binaries = find_binaries(prefer_tls=True)
    pgbench, pgbench_tls = find_client("pgbench")
    tls = binaries.has_tls and pgbench_tls
    settings = {"shared_buffers": "128MB", "log_min_messages": "fatal"}
    server = Postgres(binaries, max_connections=MAX_CONNECTIONS, tls=tls, settings=settings)
    with server, console.status("starting") as status:
        began = time.monotonic()

        def progress(words: str) -> None:
            status.update(f"[{time.monotonic() - began:4.0f} s] {words}")

        world = World(
            options=options(arguments),
            server=server,
            pgbench=pgbench,
            database=prepare(server, pgbench),
            sides=choose_sides(arguments, pgbouncer),
            pgbouncer=pgbouncer,
            forebay=Forebay(version("forebay")),
            certificate=Authority().issue(),
            progress=progress,
        )
        take_notes(world, tls=tls)
        introduce(world, machine, console)
        names = [name for name in MEASURES if name in (arguments.only or MEASURES)]
        rows = run(world, names, lambda row: console.print(line(row), highlight=False))
    console.print(table(rows))
    for failure in world.failures:
        console.print(f"failed: {failure}", style="red", markup=False)
    path = arguments.output or RESULTS / f"{started:%Y%m%dT%H%M%SZ}-{commit()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(world, rows, machine, started), indent=1) + "\n")
    console.print(f"written to {path}", highlight=False)
    return 1 if world.failures else 0


def take_notes(world: World, *, tls: bool) -> None:
    """Note what this run leaves out, and why."""
    if world.pgbouncer is None:
        world.notes.append("no PgBouncer on PATH or named by --pgbouncer: nothing to compare with")
    elif not world.pgbouncer.multiplexes_prepared:
        world.notes.append(
            f"PgBouncer {world.pgbouncer.version} does not share connections between clients that"
            " prepare statements: left out there"
        )
    if not tls:
        world.notes.append("this PostgreSQL has no TLS: TLS is between client and proxy only")
    wanted = (QUICK if world.options.quick else FULL).idle_clients
    if world.options.idle_clients < wanted:
        world.notes.append(f"descriptors allow {world.options.idle_clients} idle clients")


def introduce(world: World, machine: Machine, console: Console) -> None:
    """Say what runs where."""
    pgbouncer = world.pgbouncer
    console.print(machine.words, highlight=False)
    console.print(
        f"Forebay {world.forebay.version} ({commit()}),"
        f" PgBouncer {f'{pgbouncer.version} ({pgbouncer.binary})' if pgbouncer else '–'},"
        f" PostgreSQL {world.server.binaries.version};"
        f" {world.options.rounds} × {world.options.seconds:g} s",
        highlight=False,
    )
    for note in world.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def line(row: Row) -> str:
    """Say a row in a line, as soon as it is known."""
    seen = ", ".join(f"{side} {figure(row.value(side))}" for side in row.samples)
    return f"{row.measure}: {row.words}: {seen}"


def main() -> int:
    """Run the command line; 0 fine, 1 something failed, 2 wrong use, 130 interrupted."""
    arguments = parse_arguments()
    # A file or a pipe has no width of its own.
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    if arguments.list:
        for name, measure in MEASURES.items():
            console.print(f"{name:14}{(sys.modules[measure.__module__].__doc__ or '').strip()}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return compare(arguments, console)
    except (SetupError, SideError, PgbenchError) as error:
        console.print(f"{error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted", style="yellow")
        return 130


if __name__ == "__main__":
    sys.exit(main())
