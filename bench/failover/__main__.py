"""``python -m bench.failover``: the same faults and clients through everything, and a table."""

import argparse
import json
import logging
import os
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.failover.fronts import Option, options
from bench.failover.table import FAULTS, Cell, document, lines, write
from bench.machine import commit, this_machine
from bench.process import raise_descriptor_limit
from tests.nemesis.faults import Fault
from tests.nemesis.load import WHOLE, Shape
from tests.nemesis.pair import Pair, Template
from tests.nemesis.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "failover-compared.md"
RESULTS = ROOT / "bench" / "results"
PGBOUNCER_ENVIRONMENT = "FOREBAY_BENCH_PGBOUNCER"
PATIENCE_S = 30.0
"""How long clients may take to get to the new writer before somebody helps them."""
LAST_ANSWER_S = 5.0
QUICK_SHAPE = Shape()


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; wrong use ends with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 clients and one round of each")
    parser.add_argument("--rounds", type=int, help="rounds of each fault (5)")
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="just this fault")
    parser.add_argument("--only", action="append", metavar="WORD", help="just what has this name")
    parser.add_argument(
        "--pgbouncer", metavar="PATH", default=os.environ.get(PGBOUNCER_ENVIRONMENT)
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the JSON file to write")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    arguments = parser.parse_args(words)
    if arguments.rounds is not None and arguments.rounds <= 0:
        parser.error("--rounds must be more than 0")
    return arguments


def try_one(option: Option, fault: Fault, rounds: int, shape: Shape, template: Template) -> Cell:
    """Let a fault strike so often, on a pair of its own."""
    unaided = 0
    with (
        tempfile.TemporaryDirectory(prefix="forebay-bench-") as name,
        Pair(template) as pair,
    ):
        Path(name).chmod(0o755)  # for those that do not run as root
        with (
            option.start(pair, Path(name) / "front") as front,
            Rig(pair, front, shape) as rig,
        ):
            for number in range(rounds):
                if number:
                    pair.rejoin()
                    rig.load.go_on(shape.clients, PATIENCE_S)
                outcome = one_round(rig, fault)
                unaided += outcome == "alone"
                if outcome == "never":
                    break
            result = rig.finish(LAST_ANSWER_S)
    for mistake in result.history.mistakes:
        raise RuntimeError(f"{option.name}: {mistake}")
    return Cell.made(option.name, fault.__name__, result, unaided)


def one_round(rig: Rig, fault: Fault) -> str:
    """Say how clients got to the new writer: "alone", "helped", or "never"."""
    struck = rig.strike(fault)
    outcome = "never"
    for attempt in ("alone", "helped"):
        try:
            rig.settle(rig.pair.primary, struck.direct_s, PATIENCE_S)
        except AssertionError:
            rig.front.repair(rig.pair)
            continue
        outcome = attempt
        break
    rig.keep(replace(struck))
    return outcome


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Compare; give the exit code: 1 if Forebay lost a write or did one twice."""
    started = datetime.now(UTC)
    logging.getLogger("psycopg").setLevel(
        logging.ERROR
    )  # of clients that are ended while they hang
    raise_descriptor_limit(4096)
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    shape = QUICK_SHAPE if arguments.quick else WHOLE
    cells: list[Cell] = []
    notes: list[str] = []
    chosen = [
        option
        for option in options(arguments.pgbouncer)
        if not arguments.only or any(word in option.name for word in arguments.only)
    ]
    with Template() as template:
        for option in chosen:
            if option.missing:
                notes.append(f"{option.name}: {option.missing}")
                console.print(notes[-1], style="yellow", markup=False)
                continue
            for name in arguments.fault or FAULTS:
                cell = try_one(option, FAULTS[name].fault, rounds, shape, template)
                cells.append(cell)
                console.print(cell.line(), highlight=False, markup=False)
        version = template.version
    found: dict[str, Any] = {
        "schema": 1,
        "started": started.isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": this_machine().as_json(),
        "postgresql": version,
        "rounds": rounds,
        "clients": shape.clients,
        "notes": notes,
        "cells": [cell.as_json() for cell in cells],
    }
    path = arguments.output or RESULTS / f"failover-{started:%Y%m%dT%H%M%SZ}-{commit()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    for line in lines(cells):
        console.print(line, highlight=False, markup=False)
    console.print(f"written to {path}", highlight=False)
    if arguments.write:
        write(DOCUMENT, document(found, cells, this_machine().words))
        console.print(f"written to {DOCUMENT}", highlight=False)
    return 1 if any(cell.is_wrong for cell in cells if cell.front == "Forebay") else 0


def main() -> int:
    """Run the command line."""
    return run(parse_arguments(), Console(width=160))


if __name__ == "__main__":
    sys.exit(main())
