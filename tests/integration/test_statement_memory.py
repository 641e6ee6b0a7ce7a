"""What clients prepare takes memory once, within limits, and gives it back when they leave."""

import gc
from collections.abc import Callable

import pytest

from forebay.protocol.messages import sync
from forebay.worker.sessions.statements import WORKER
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.inside import Inside
from tests.harness.limits import connections
from tests.harness.memory import resident_bytes
from tests.harness.raw import Message, RawClient, bind, close, execute, parse

MEGABYTE = 1 << 20
AT_ONCE = 50

pytestmark = pytest.mark.timeout(300)


def text(number: int, length: int = 40) -> str:
    begins = f"SELECT {number} /*"
    return begins + "x" * (length - len(begins) - 2) + "*/"


def prepare(client: RawClient, numbers: range, length: int) -> list[Message]:
    """Prepares as many statements, named by their numbers; returns the errors."""
    errors = []
    for start in range(numbers.start, numbers.stop, AT_ONCE):
        those = range(start, min(start + AT_ONCE, numbers.stop))
        answer = client.ask(b"".join(parse(text(n, length), f"s{n}") for n in those) + sync())
        errors += [each for each in answer if each.kind == "E"]
    return errors


def run(client: RawClient, number: int) -> list[list[str | None]]:
    answer = client.ask(bind(name=f"s{number}") + execute() + sync())
    return [each.row for each in answer if each.kind == "D"]


@pytest.mark.parametrize(("count", "length"), [(5000, 2000), (2, 7 * MEGABYTE)])
def test_memory_while_they_are_there_and_after(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    count: int,
    length: int,
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy={"require_tls": False}, pool=connections(5)
    )
    (worker,) = forebay.worker_pids
    with RawClient(forebay.port, database) as other:
        assert other.query("SELECT 7") == [["7"]]
        before = resident_bytes(worker)
        clients = [RawClient(forebay.port, database) for _ in range(3)]
        for number, client in enumerate(clients):
            numbers = range(number * count, (number + 1) * count)
            assert prepare(client, numbers, length) == []
            assert run(client, numbers[0]) == [[str(numbers[0])]]
            assert run(client, numbers[-1]) == [[str(numbers[-1])]]
        growth = resident_bytes(worker) - before
        print(f"FIGURES grown by {growth / MEGABYTE:.1f} MB for 3 x {count} of {length} bytes")
        texts = 3 * count * length
        assert texts < growth < 1.8 * texts
        for client in clients:
            client.leave()
        eventually(lambda: resident_bytes(worker) - before < growth / 2, "memory is given back")
        left = resident_bytes(worker) - before
        print(f"FIGURES {left / MEGABYTE:.1f} MB of them stay")
        assert other.query("SELECT 7") == [["7"]]


def test_all_together_have_a_limit(
    postgres: Postgres, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.collect()  # clients of other tests
    before, limit = WORKER.statements, WORKER.bytes + MEGABYTE
    monkeypatch.setattr(WORKER, "limit", limit)
    with (
        Inside(postgres.port, database) as inside,
        RawClient(inside.port, database) as one,
        RawClient(inside.port, database) as other,
    ):
        assert prepare(one, range(300), 2000) == []
        errors = prepare(other, range(300, 600), 2000)
        assert {each.fields["C"] for each in errors} == {"54000"}
        said = f"too many prepared statements of all clients: at most {limit} bytes"
        assert {each.fields["M"] for each in errors} == {said}
        assert WORKER.bytes <= limit
        there = WORKER.statements
        assert there - before > 300
        # Nobody else notices: what is known can be used, and prepared by others.
        for number in (0, 299):
            assert run(one, number) == [[str(number)]]
            assert run(other, number) == []
            assert prepare(other, range(number, number + 1), 2000) == []
            assert run(other, number) == [[str(number)]]
        assert WORKER.statements == there
        # Whatever is closed makes room, and so does who leaves.
        answer = one.ask(close("S", "s1") + parse(text(600, 2000), "s600") + sync())
        assert [each.kind for each in answer] == ["3", "1", "Z"]
        one.leave()
        assert prepare(other, range(1000, 1200), 2000) == []
        other.leave()
        eventually(lambda: WORKER.statements <= before, "nothing is left of what they had")
        assert WORKER.bytes <= limit - MEGABYTE
