"""``forebay plan``: what it predicts is what happens, and what it samples is what is there.

Clients here hold connections (pg_sleep) and think (wait) for tens of milliseconds, distributed
exponentially from a fixed seed. What a busy machine adds to that is measured, and is given to the
formula, too; nothing is compared with the clock alone.
"""

import json
import random
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from forebay.plan.clients import Clients
from forebay.plan.formulas import of_max_connections
from forebay.plan.planning import Goal, plan
from forebay.plan.queueing import FiniteSource
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.forebay import run_command
from tests.harness.limits import connections
from tests.harness.raw import HOST, RawClient

CLIENTS = 12
HOLD_S = 0.03
# What docs/planning.md states.
ERROR = 0.25
SAMPLING_ERROR = 0.35
OPTIONS = ("--seconds", "4", "--json")


@dataclass
class Measured:
    """Times of all clients' transactions, in seconds."""

    hold_s: list[float] = field(default_factory=list)
    think_s: list[float] = field(default_factory=list)
    wait_s: list[float] = field(default_factory=list)
    began_s: float = 0.0
    ended_s: float = 0.0

    @property
    def transactions_per_s(self) -> float:
        return len(self.wait_s) / (self.ended_s - self.began_s)


class Client:
    """One that thinks and holds."""

    def __init__(self, number: int, hold_s: float, think_s: float) -> None:
        self._choice = random.Random(number)
        self._hold_s = hold_s
        self._think_s = think_s

    def work(self, client: RawClient, goes_on: Callable[[], bool], found: Measured) -> None:
        answered_s = time.monotonic()
        while goes_on():
            threading.Event().wait(self._choice.expovariate(1 / self._think_s))
            hold_s = self._choice.expovariate(1 / self._hold_s)
            asked_s = time.monotonic()
            ((held,),) = client.query(
                "SELECT extract(epoch FROM clock_timestamp() - statement_timestamp())"
                f" FROM pg_sleep({hold_s:.6f})"
            )
            found.think_s.append(asked_s - answered_s)
            answered_s = time.monotonic()
            found.hold_s.append(float(held or 0))
            found.wait_s.append(answered_s - asked_s - found.hold_s[-1])


def measure(
    port: int, database: TestDatabase, count: int, think_s: float, transactions: int
) -> Measured:
    """So many transactions of so many clients, apart from the first ones."""
    found, ready = Measured(), threading.Barrier(count)
    warm_up = Measured()

    def one(number: int) -> None:
        with RawClient(port, database) as client:
            client.query("SELECT 1")
            ready.wait(60)
            worker = Client(number, HOLD_S, think_s)
            worker.work(client, lambda: len(warm_up.wait_s) < 5 * count, warm_up)
            if ready.wait(60) == 0:
                found.began_s = time.monotonic()
            worker.work(client, lambda: len(found.wait_s) < transactions, found)
            if len(found.wait_s) >= transactions and not found.ended_s:
                found.ended_s = time.monotonic()

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(one, range(count)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "think_s"),
    [(4, 0.09), (3, 0.03)],
    ids=["three of four connections in use", "twice as many clients as there is room for"],
)
def test_what_is_predicted_happens(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    limit: int,
    think_s: float,
) -> None:
    pool = connections(limit)
    pool["max_idle_connections_percent"] = pool["max_connections_percent"]
    forebay = start_forebay(postgres.port, database, proxy={"require_tls": False}, pool=pool)
    found = measure(forebay.port, database, CLIENTS, think_s, 600)
    wait_mean_s = statistics.fmean(found.wait_s)
    clients = Clients(
        name="web",
        processes=CLIENTS,
        hold_s=statistics.fmean(found.hold_s),
        think_s=statistics.fmean(found.think_s),
    )
    (outlook,) = plan([clients], [of_max_connections(limit, reserved=0)], Goal()).outlooks
    # Beside the queue, a transaction takes what the way there and back takes: less than this.
    way_s = HOLD_S / 4
    for waits in (outlook.predicted, outlook.simulated):
        assert found.transactions_per_s == pytest.approx(waits.transactions_per_s, rel=ERROR)
        used = found.transactions_per_s * clients.hold_s / limit
        assert used == pytest.approx(waits.utilisation, rel=ERROR)
        assert wait_mean_s == pytest.approx(waits.wait_mean_s, rel=ERROR, abs=way_s)
    # Whether somebody has waited can't be told by the clock where the way takes time as well;
    # whether for longer than that can.
    queue = FiniteSource(CLIENTS, clients.hold_s, clients.think_s, limit)
    longer = sum(wait_s > HOLD_S / 2 for wait_s in found.wait_s) / len(found.wait_s)
    assert longer == pytest.approx(queue.exceeds(HOLD_S / 2), abs=ERROR)


def test_a_running_proxy_is_looked_at(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, runtime: Path
) -> None:
    pool = connections(4)
    pool["max_idle_connections_percent"] = pool["max_connections_percent"]
    forebay = start_forebay(postgres.port, database, proxy={"require_tls": False}, pool=pool)
    ends = threading.Event()
    found = Measured()

    def one(number: int) -> None:
        with RawClient(forebay.port, database) as client:
            Client(number, HOLD_S, 0.06).work(client, lambda: not ends.is_set(), found)

    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(one, number) for number in range(CLIENTS)]
        try:
            eventually(lambda: len(found.wait_s) > 5 * CLIENTS, "clients are at work")
            done = forebay.command("plan", "--running", *OPTIONS).ok()
        finally:
            ends.set()
        for client in clients:
            client.result(60)
    made = json.loads(done.out)["plan"]
    (group,) = made["clients"]
    assert group["name"] == f"{database.name}/{database.user}"
    assert group["processes"] == CLIENTS
    assert group["hold_s"] == pytest.approx(statistics.fmean(found.hold_s), rel=ERROR)
    assert group["think_s"] == pytest.approx(statistics.fmean(found.think_s), rel=ERROR)
    (outlook,) = made["outlooks"]
    assert (outlook["limit"], outlook["capacity"]["max_connections"]) == (4, 100)
    measured, predicted = outlook["measured"], outlook["predicted"]
    for figure in ("utilisation", "transactions_per_s"):
        assert measured[figure] == pytest.approx(predicted[figure], rel=ERROR)
    assert measured["waits_share"] == pytest.approx(predicted["waits_share"], abs=ERROR)
    # What was looked at is a few hundred transactions, of which each waits as long as those before.
    assert measured["wait_mean_s"] == pytest.approx(predicted["wait_mean_s"], rel=2 * ERROR)


def url(port: int, database: TestDatabase, password: str | None = None) -> str:
    password = quote(database.password if password is None else password, safe="")
    return f"postgresql://{database.user}:{password}@{HOST}:{port}/{database.name}"


def test_a_database_without_a_proxy_is_sampled(postgres: Postgres, database: TestDatabase) -> None:
    ends = threading.Event()
    found = Measured()

    def one(number: int) -> None:
        settings = {"application_name": "shop" if number % 2 else "office"}
        with RawClient(postgres.port, database, settings) as client:
            Client(number, HOLD_S, 0.09).work(client, lambda: not ends.is_set(), found)

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(one, number) for number in range(CLIENTS)]
        try:
            eventually(lambda: len(found.wait_s) > CLIENTS, "clients are at work")
            done = run_command("plan", "--sample", url(postgres.port, database), *OPTIONS).ok()
        finally:
            ends.set()
        for client in clients:
            client.result(60)
    answer = json.loads(done.out)
    sample, made = answer["sample"], answer["plan"]
    groups = {each["name"]: each for each in made["clients"]}
    assert groups.keys() == {f"{database.user}/shop", f"{database.user}/office"}
    assert [each["processes"] for each in groups.values()] == [CLIENTS // 2] * 2
    assert made["demand"] == CLIENTS
    together = made["together"]
    hold_s, think_s = statistics.fmean(found.hold_s), statistics.fmean(found.think_s)
    assert together["hold_s"] == pytest.approx(hold_s, rel=SAMPLING_ERROR)
    assert together["think_s"] == pytest.approx(think_s, rel=SAMPLING_ERROR)
    (outlook,) = made["outlooks"]
    assert outlook["capacity"]["max_connections"] == 100
    assert outlook["capacity"]["reserved"] == 3
    assert sample["hidden"] == 0
    assert sum(sample["states"].values()) == pytest.approx(CLIENTS)
    assert database.password not in done.out + done.err


def test_sessions_of_others_are_counted_as_hidden(
    postgres: Postgres, database: TestDatabase
) -> None:
    other = TestDatabase(database.name, f"{database.user}_other", "other-secret")
    postgres.create_user(other.user, other.password)
    with RawClient(postgres.port, database):
        done = run_command("plan", "--sample", url(postgres.port, other), "--seconds", "1")
    postgres.sql(f'DROP ROLE "{other.user}"')
    assert done.code == 1
    assert "1.0 sessions of other users are hidden: GRANT pg_monitor" in done.out
    assert "no client was there to plan for" in done.err


@pytest.mark.parametrize("wrong", ["password", "no password", "port", "database"])
def test_a_database_that_cannot_be_sampled(
    postgres: Postgres, database: TestDatabase, wrong: str
) -> None:
    place = url(postgres.port, database)
    if wrong == "password":
        place = url(postgres.port, database, "hunter2-hunter2")
    elif wrong == "no password":
        place = place.replace(f":{quote(database.password, safe='')}@", "@")
    elif wrong == "port":
        place = url(1, database)
    else:
        place += "_is_not_there"
    done = run_command("plan", "--sample", place, "--seconds", "1")
    assert done.code == 1
    assert done.err.startswith("forebay plan: ")
    assert "Traceback" not in done.err
    assert database.password not in done.out + done.err
    assert "hunter2" not in done.out + done.err
