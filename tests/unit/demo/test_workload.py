import random
from itertools import islice, pairwise

import pytest

from forebay.demo.workload import (
    BURST_INTERVAL_S,
    BURST_SPREAD_S,
    CLIENTS,
    GROUPS,
    Group,
    pauses,
)
from forebay.net.queries import Rows


def group(name: str) -> Group:
    return next(each for each in GROUPS if each.name == name)


async def statements(each: Group, seed: int, answer: Rows) -> list[str]:
    """What one transaction of this group asks, if every question gets this answer."""
    asked: list[str] = []

    async def query(sql: str) -> Rows:
        asked.append(sql)
        return answer

    async def think(seconds: float) -> None:
        assert 0 < seconds < 1

    await each.transaction(query, think, random.Random(seed))
    return asked


def test_the_demand_is_that_of_the_decision_record() -> None:
    assert CLIENTS == 300
    assert [each.clients for each in GROUPS] == [100, 100, 100]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("each", GROUPS, ids=lambda each: each.name)
async def test_every_transaction_that_is_begun_is_committed(each: Group, seed: int) -> None:
    asked = await statements(each, seed, [["17"]])
    assert ("BEGIN" in asked) == ("COMMIT" in asked)
    if "BEGIN" in asked:
        assert (asked[0], asked[-1]) == ("BEGIN", "COMMIT")


async def test_web_clients_read_and_write() -> None:
    sizes = {len(await statements(group("web"), seed, [])) for seed in range(50)}
    assert sizes == {1, 5}


async def test_the_audit_writes_nothing_when_there_are_no_events() -> None:
    asked = await statements(group("audit"), 1, [])
    assert not any(sql.startswith(("INSERT", "UPDATE")) for sql in asked)
    asked = await statements(group("audit"), 1, [["3"], ["5"]])
    assert any("IN (3,5)" in sql for sql in asked)


def test_web_clients_come_at_their_own_times() -> None:
    times = list(islice(pauses(group("web"), random.Random(1)), 100))
    assert all(is_relative and 0 <= pause_s <= 1 for pause_s, is_relative in times)


def test_functions_come_in_bursts() -> None:
    times = list(islice(pauses(group("audit"), random.Random(1)), 20))
    assert not any(is_relative for _, is_relative in times)
    for burst, (start_s, _) in enumerate(times):
        assert 0 <= start_s - burst * BURST_INTERVAL_S <= BURST_SPREAD_S
    assert all(before < after for (before, _), (after, _) in pairwise(times))
