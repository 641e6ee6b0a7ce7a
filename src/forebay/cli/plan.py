"""``forebay plan``: the connection math."""

import asyncio
import re
import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, complain
from forebay.cli.plan_report import show, show_sample
from forebay.cli.plan_sample import LONGEST_S, SampleError, sample
from forebay.config import ConfigError, means_url
from forebay.node.materials import MaterialError
from forebay.plan.clients import MOST_CLIENTS, Clients, parse_clients, parse_duration_s
from forebay.plan.formulas import (
    GIB,
    Capacity,
    Engine,
    of_acus,
    of_instance_class,
    of_max_connections,
    of_memory,
)
from forebay.plan.planning import Goal
from forebay.plan.planning import plan as make_plan
from forebay.plan.sampling import Sample

_MEMORY = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*(GiB|MiB)", re.IGNORECASE)
_MOST_DATABASES = 20
_WITHOUT_TERMINAL_COLUMNS = 120


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What --json prints."""

    sample: Sample | None
    plan: object


def plan(
    *,
    client: list[str] | None = None,
    max_connections: list[int] | None = None,
    acu: list[str] | None = None,
    instance_class: list[str] | None = None,
    memory: list[str] | None = None,
    engine: Engine = "aurora-postgresql",
    reserved: int | None = None,
    max_connections_percent: int = 100,
    connection_borrow_timeout: float = 120.0,
    wait_p99: str = "10ms",
    sample_url: Annotated[str | None, Parameter(name="--sample")] = None,
    seconds: float = 10.0,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Tell how many database connections clients need, and how long they wait for one.

    For each database that is named: the limit, how much of it is in use, how many transactions
    wait and for how long (predicted by the queue M/M/c//N, and simulated), which
    max_connections_percent suffices. Options may be repeated, to compare. Exit codes: 0 it was
    computed, 1 the database can't be sampled, 2 wrong use.

    Parameters
    ----------
    client
        NAME=PROCESSES[xCONNECTIONS][,hold=TIME][,think=TIME]: so many processes with a pool of so
        many connections each, or instances of a function; hold is the mean time of a transaction,
        think the mean time between two. Such as web=10x10,hold=8ms,think=200ms.
    max_connections
        What the database allows.
    acu
        MIN-MAX of Aurora PostgreSQL Serverless v2, such as 0.5-4.
    instance_class
        A DB instance class of RDS, such as db.r6g.large.
    memory
        The memory of an instance class that is not known, such as 16GiB.
    engine
        Whose limits instance classes have: aurora-postgresql, or postgres for RDS.
    reserved
        Connections that the database keeps for administration. Without it: 3; on AWS 5.
    max_connections_percent
        The proxy's share of the others.
    connection_borrow_timeout
        After how many seconds of waiting a client gets an error.
    wait_p99
        The goal: what 99 % of the waits are not to exceed.
    sample_url
        postgresql://user:password@host:port/db: looks at the sessions of a database that has no
        proxy yet (pg_stat_activity, ten times a second), and takes its clients and limits.
    seconds
        How long to sample.
    as_json
        Print one JSON object. Times are in seconds.
    """
    seen: Sample | None = None
    try:
        goal = _goal(max_connections_percent, connection_borrow_timeout, wait_p99)
        clients = [parse_clients(each) for each in client or []]
        databases = [
            *(of_max_connections(each, reserved) for each in max_connections or []),
            *(of_acus(each, reserved) for each in acu or []),
            *(of_instance_class(each, engine, reserved) for each in instance_class or []),
            *(of_memory(_memory_bytes(each), "", reserved) for each in memory or []),
        ]
        _require(clients, databases, sample_url, seconds, reserved)
        if sample_url is not None:
            seen, capacity = asyncio.run(sample(sample_url, seconds))
            clients += seen.clients
            databases.append(capacity)
    except (ConfigError, MaterialError, ValueError) as error:
        complain("plan", str(error).splitlines())
        return EXIT_WRONG_USE
    except SampleError as error:
        complain("plan", str(error).splitlines())
        return EXIT_FAILED
    return _tell(clients, databases, goal, seen, as_json=as_json)


def _tell(
    clients: list[Clients],
    databases: list[Capacity],
    goal: Goal,
    seen: Sample | None,
    *,
    as_json: bool,
) -> int:
    # Not at a terminal a table is as wide as it needs.
    console = Console(width=None if sys.stdout.isatty() else _WITHOUT_TERMINAL_COLUMNS)
    made = make_plan(clients, databases, goal) if clients else None
    if as_json:
        answer = _Answer(sample=seen, plan=made)
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        return EXIT_FINE
    if seen is not None:
        show_sample(seen, console)
    if made is None:
        complain("plan", ["no client was there to plan for: sample for longer (--seconds)"])
        return EXIT_FAILED
    show(made, console)
    return EXIT_FINE


def _goal(percent: int, borrow_timeout_s: float, wait_p99: str) -> Goal:
    if not 1 <= percent <= 100:
        raise ValueError(f"--max-connections-percent {percent}: from 1 to 100")
    if not 0 <= borrow_timeout_s <= 300:
        raise ValueError(f"--connection-borrow-timeout {borrow_timeout_s:g}: from 0 to 300")
    return Goal(
        percent=percent, borrow_timeout_s=borrow_timeout_s, wait_p99_s=parse_duration_s(wait_p99)
    )


def _require(
    clients: list[Clients],
    databases: list[Capacity],
    sample_url: str | None,
    seconds: float,
    reserved: int | None,
) -> None:
    """Raises ValueError if there is nothing to compute with."""
    if not clients and sample_url is None:
        raise ValueError("who connects? Give --client web=10x10, or --sample postgresql://…")
    if not databases and sample_url is None:
        raise ValueError(
            "to what? Give --max-connections, --acu, --instance-class, --memory or --sample"
        )
    if sum(each.count for each in clients) > MOST_CLIENTS:
        raise ValueError(f"more than {MOST_CLIENTS} clients")
    if len(databases) > _MOST_DATABASES:
        raise ValueError(f"more than {_MOST_DATABASES} databases at once")
    if sample_url is not None and not means_url(sample_url):
        raise ValueError("--sample takes a URL: postgresql://user:password@host:5432/database")
    if not 1 <= seconds <= LONGEST_S:
        raise ValueError(f"--seconds {seconds:g}: from 1 to {LONGEST_S:g}")
    if reserved is not None and reserved < 0:
        raise ValueError(f"--reserved {reserved}: 0 or more")


def _memory_bytes(text: str) -> int:
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: memory is a number with GiB or MiB, such as 16GiB")
    unit = GIB if match[2].lower() == "gib" else GIB // 1024
    return int(float(match[1]) * unit)
