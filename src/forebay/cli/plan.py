"""``forebay plan``: the connection math."""

import asyncio
import re
import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from forebay.cli.output import EXIT_FAILED, EXIT_FINE, EXIT_WRONG_USE, complain
from forebay.cli.plan_report import show, show_observed, show_sample
from forebay.cli.plan_running import RunningError, observe_running
from forebay.cli.plan_sample import LONGEST_S, SampleError, sample
from forebay.cli.reaching import ReachError, reach
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
from forebay.plan.planning import Goal, Plan, Waits
from forebay.plan.planning import plan as make_plan
from forebay.plan.running import Observed
from forebay.plan.sampling import Sample

_MEMORY = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*(GiB|MiB)", re.IGNORECASE)
_MOST_DATABASES = 20
_WITHOUT_TERMINAL_COLUMNS = 120


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What looking has found."""

    clients: list[Clients] = []
    databases: list[Capacity] = []
    sample: Sample | None = None
    running: Observed | None = None
    measured: Waits | None = None


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What --json prints."""

    sample: Sample | None = None
    running: Observed | None = None
    plan: Plan | None = None


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
    pool_max_connections: int | None = None,
    connection_borrow_timeout: float = 120.0,
    wait_p99: str = "10ms",
    sample_url: Annotated[str | None, Parameter(name="--sample")] = None,
    running: Annotated[bool, Parameter(negative=())] = False,
    proxy: str | None = None,
    socket: str | None = None,
    config: str | None = None,
    seconds: float = 10.0,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Tell how many database connections clients need, and how long they wait for one.

    For each database that is named: the limit, how much of it is in use, how many transactions
    wait and for how long (predicted by the queue M/M/c//N, and simulated), which
    max_connections_percent suffices. Options may be repeated, to compare. Exit codes: 0 it was
    computed, 1 the database can't be sampled or no Forebay runs, 2 wrong use.

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
    pool_max_connections
        The pool's max_connections, a number besides the percentage: the lower of the two holds.
    connection_borrow_timeout
        After how many seconds of waiting a client gets an error.
    wait_p99
        The goal: what 99 % of the waits are not to exceed.
    sample_url
        postgresql://user:password@host:port/db: looks at the sessions of a database that has no
        proxy yet (pg_stat_activity, ten times a second), and takes its clients and limits.
    running
        Takes the clients and the limit of a Forebay that runs, from what it counts meanwhile, and
        shows what it has measured beside what is predicted.
    proxy
        With --running: the proxy in it, if there are several.
    socket
        With --running: the control socket of the one that is meant. Without it
        FOREBAY_CONTROL_SOCKET; else, if no configuration is named either, the only one that runs.
    config
        With --running: the file that it was started with. Without it FOREBAY_CONFIG.
    seconds
        How long to look at it.
    as_json
        Print one JSON object. Times are in seconds.
    """
    try:
        goal = _goal(
            max_connections_percent, pool_max_connections, connection_borrow_timeout, wait_p99
        )
        clients = [parse_clients(each) for each in client or []]
        databases = [
            *(of_max_connections(each, reserved) for each in max_connections or []),
            *(of_acus(each, reserved) for each in acu or []),
            *(of_instance_class(each, engine, reserved) for each in instance_class or []),
            *(of_memory(_memory_bytes(each), "", reserved) for each in memory or []),
        ]
        _require(clients, databases, looks=sample_url is not None or running)
        _require_sense(sample_url, running, seconds, reserved, proxy or socket or config)
        found = _Found()
        if sample_url is not None:
            found = _sampled(sample_url, seconds)
        if running:
            found = _observed(proxy, socket, config, seconds)
    except ReachError as error:
        return error.tell("plan")
    except (ConfigError, MaterialError, ValueError) as error:
        complain("plan", str(error).splitlines())
        return EXIT_WRONG_USE
    except (SampleError, RunningError) as error:
        complain("plan", str(error).splitlines())
        return EXIT_FAILED
    clients, databases = [*clients, *found.clients], [*databases, *found.databases]
    made = make_plan(clients, databases, goal, found.measured) if clients else None
    return _tell(made, found, as_json=as_json)


def _sampled(url: str, seconds: float) -> _Found:
    seen, capacity = asyncio.run(sample(url, seconds))
    return _Found(clients=seen.clients, databases=[capacity], sample=seen)


def _observed(proxy: str | None, socket: str | None, config: str | None, seconds: float) -> _Found:
    with reach(socket, config) as node:
        observed, capacity, measured = observe_running(node, proxy, seconds)
    return _Found(
        clients=observed.clients, databases=[capacity], running=observed, measured=measured
    )


def _tell(made: Plan | None, found: _Found, *, as_json: bool) -> int:
    # Not at a terminal a table is as wide as it needs.
    console = Console(width=None if sys.stdout.isatty() else _WITHOUT_TERMINAL_COLUMNS)
    if as_json:
        answer = _Answer(sample=found.sample, running=found.running, plan=made)
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        return EXIT_FINE
    if found.sample is not None:
        show_sample(found.sample, console)
    if found.running is not None:
        show_observed(found.running, console)
    if made is None:
        complain("plan", ["no client was there to plan for: look for longer (--seconds)"])
        return EXIT_FAILED
    show(made, console)
    return EXIT_FINE


def _goal(percent: int, most: int | None, borrow_timeout_s: float, wait_p99: str) -> Goal:
    if not 1 <= percent <= 100:
        raise ValueError(f"--max-connections-percent {percent}: from 1 to 100")
    if not 0 <= borrow_timeout_s <= 300:
        raise ValueError(f"--connection-borrow-timeout {borrow_timeout_s:g}: from 0 to 300")
    if most is not None and most < 1:
        raise ValueError(f"--pool-max-connections {most}: 1 or more")
    return Goal(
        percent=percent,
        max_connections=most,
        borrow_timeout_s=borrow_timeout_s,
        wait_p99_s=parse_duration_s(wait_p99),
    )


def _require(
    clients: list[Clients],
    databases: list[Capacity],
    *,
    looks: bool,
) -> None:
    """Raises ValueError if there is nothing to compute with, or too much. ``looks``: something is
    looked at, which will tell of more."""
    if not clients and not looks:
        raise ValueError(
            "who connects? Give --client web=10x10, or --sample postgresql://…, or --running"
        )
    if not databases and not looks:
        raise ValueError(
            "to what? Give --max-connections, --acu, --instance-class, --memory, --sample or"
            " --running"
        )
    if sum(each.count for each in clients) > MOST_CLIENTS:
        raise ValueError(f"more than {MOST_CLIENTS} clients")
    if len(databases) > _MOST_DATABASES:
        raise ValueError(f"more than {_MOST_DATABASES} databases at once")


def _require_sense(
    sample_url: str | None,
    running: bool,
    seconds: float,
    reserved: int | None,
    which: str | None,
) -> None:
    """Raises ValueError for options that make none."""
    if sample_url is not None and running:
        raise ValueError("--sample looks at a database without a proxy, --running at a proxy")
    if which is not None and not running:
        raise ValueError("--proxy, --socket and --config are for --running only")
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
