"""F10: the server is lost at each point of a request, in both protocols: what the client is told is
what is known, and what is there is what the client was told.

In `make nemesis` each cell is tried 25 times, the first by a server that is killed while the other
is promoted; else once, by a connection that ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.harness import Forebay, eventually
from tests.nemesis import faults
from tests.nemesis.conftest import IS_WHOLE, forebay_for, rounds_of
from tests.nemesis.load import insert
from tests.nemesis.pair import LOGIN, Pair, Template
from tests.nemesis.session import LostError, RawSession
from tests.nemesis.tripwire import Point, Tripwire

pytestmark = pytest.mark.nemesis

Work = Literal["statement", "select", "in transaction", "commit"]
When = Literal["idle"] | Point

UNKNOWN = "08007"
ABORTED = {"close": "08006", "retryable": "40001"}
# What a server that is killed says itself of a transaction, if it comes to that.
LAST_WORD = "57P01"
POINTS: tuple[When, ...] = ("idle", "sent", "executed", "begun", "complete")
WORKS: tuple[Work, ...] = ("statement", "select", "in transaction", "commit")
REPEATS = rounds_of(25)


@dataclass(slots=True)
class Stage:
    """A pair behind tripwires, and a Forebay for each way to tell of lost transactions."""

    pair: Pair
    wires: dict[str, Tripwire]
    forebays: dict[str, Forebay]
    seq: int = 0

    @property
    def wire(self) -> Tripwire:
        return self.wires[self.pair.primary.name]

    def fail_over(self) -> None:
        faults.kill_postmaster(self.pair)
        self.pair.promote()


@pytest.fixture(scope="module")
def stage(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Pair(template) as pair, Tripwire(pair.a.port) as to_a, Tripwire(pair.b.port) as to_b:
        hosts = [f"127.0.0.1:{wire.port}" for wire in (to_a, to_b)]
        running: dict[str, Forebay] = {}

        def start(port: int, database: object, **settings: object) -> Forebay:
            directory = tmp_path_factory.mktemp("forebay")
            return Forebay(directory, port, LOGIN, **settings)  # type: ignore[arg-type]

        try:
            for way in ABORTED:
                made = forebay_for(start, pair, hosts=hosts, proxy={"in_transaction_error": way})
                running[way] = made.__enter__()
            yield Stage(pair, {"a": to_a, "b": to_b}, running)
            for forebay in running.values():
                forebay.check()
        finally:
            for forebay in running.values():
                forebay.stop()


def expected(work: Work, when: When, way: str) -> tuple[str, bool]:
    """What the client is told ("": success), and whether the row is there: reference of what is
    known at each point."""
    was_done = when in ("executed", "begun", "complete")
    if work in ("statement", "select"):
        # Of the idle connection nothing was used: another one does it.
        return ("", True) if when == "idle" else (UNKNOWN, was_done)
    if work == "in transaction":
        return ABORTED[way], False  # COMMIT was never sent
    return (ABORTED[way], False) if when == "idle" else (UNKNOWN, was_done)


async def play(
    stage: Stage, forebay: Forebay, extended: bool, work: Work, when: When, kills: bool
) -> str:
    """One request that meets its end at this point; what the client was told."""
    stage.seq += 1
    wire = stage.wire
    sprung = wire.sprung + (when != "idle")
    sql = f"{insert(-1, stage.seq)} /* marked {stage.seq} */"
    session = await RawSession.connect("127.0.0.1", forebay.port, LOGIN, extended=extended)
    try:
        await session.ask("SELECT 1")
        if work == "select":
            sql = f"SELECT {stage.seq} /* marked {stage.seq} */"
        if work in ("in transaction", "commit"):
            await session.ask("BEGIN")
        if work == "commit":
            assert not (await session.ask(insert(-1, stage.seq))).sqlstate
            sql = f"COMMIT /* marked {stage.seq} */"
        strike = stage.fail_over if kills else None
        if when == "idle":
            if strike is not None:
                strike()
            for each in stage.wires.values():
                each.reset()
        else:
            wire.arm(f"marked {stage.seq}", when, strike)
        answer = await session.ask(sql)
        return answer.sqlstate
    except LostError as error:
        return error.sqlstate
    finally:
        session.close()
        eventually(lambda: wire.sprung == sprung)  # the server's own word may come before its end


@pytest.mark.timeout(900 if IS_WHOLE else 120)
@pytest.mark.parametrize("when", POINTS)
@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
async def test_what_is_told_is_what_is_known(
    stage: Stage, extended: bool, work: Work, when: When
) -> None:
    await try_cell(stage, "close", extended, work, when)


@pytest.mark.parametrize("when", POINTS)
@pytest.mark.parametrize("work", ["in transaction", "commit"])
async def test_a_session_that_may_try_again(stage: Stage, work: Work, when: When) -> None:
    await try_cell(stage, "retryable", False, work, when)


async def try_cell(stage: Stage, way: str, extended: bool, work: Work, when: When) -> None:
    for repeat in range(REPEATS):
        kills = IS_WHOLE and repeat == 0
        told = await play(stage, stage.forebays[way], extended, work, when, kills)
        sqlstate, is_there = expected(work, when, way)
        assert told == sqlstate or (told, sqlstate) == (LAST_WORD, ABORTED["close"])
        if work != "select":
            found = stage.pair.primary.rows().get((-1, stage.seq, 0), 0)
            assert found == is_there
        if kills:
            stage.pair.rejoin()
