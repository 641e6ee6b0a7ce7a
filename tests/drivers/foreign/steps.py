"""The words that scenes are written in: what one session of several does in one step.

A scene is a list of steps, which a program in each language carries out with its driver, one after
another, and answers each with what its user would see. Sessions are opened when they are first
named: ``BESIDE`` straight at the database, all others by the door that is tried.

Arguments are (kind, value) pairs; each program makes of a kind what its language has for it.
"""

from collections.abc import Iterator
from typing import Any

Step = dict[str, Any]
Argument = tuple[str, Any]

MAIN = "main"
NEIGHBOUR = "neighbour"  # runs beside, and takes the database connection that was used last
OTHER = "other"  # changes the schema by the same door
NEWCOMER = "newcomer"  # connects when all others have used their statements
BESIDE = "beside"  # goes straight to the database


def int4(value: int) -> Argument:
    return ("int4", value)


def int8(value: int) -> Argument:
    return ("int8", value)


def text(value: str) -> Argument:
    return ("text", value)


def query(sql: str, *arguments: Argument, who: str = MAIN) -> Step:
    """A statement as the driver runs it by default, with arguments for ``$1`` and so on."""
    return {"op": "query", "who": who, "sql": sql, "args": list(arguments)}


def plain(sql: str, who: str = MAIN) -> Step:
    """Statements without arguments, as users send DDL and SET."""
    return {"op": "plain", "who": who, "sql": sql}


def begin(who: str = MAIN) -> Step:
    return {"op": "begin", "who": who}


def commit(who: str = MAIN) -> Step:
    return {"op": "commit", "who": who}


def rollback(who: str = MAIN) -> Step:
    return {"op": "rollback", "who": who}


def batch(*statements: Step, who: str = MAIN) -> Step:
    """Statements in one go: pipelined, or the driver's own batch."""
    items = [[statement["sql"], statement["args"]] for statement in statements]
    return {"op": "batch", "who": who, "items": items}


def copy_in(table: str, count: int, who: str = MAIN) -> Step:
    """So many rows (n int4, s text) into the table."""
    return {"op": "copy_in", "who": who, "table": table, "count": count}


def listen(channel: str, who: str = MAIN) -> Step:
    return {"op": "listen", "who": who, "channel": channel}


def heard(count: int, who: str = MAIN) -> Step:
    """Waits until so many notifications have come in all."""
    return {"op": "heard", "who": who, "count": count}


def cursor(sql: str, size: int, who: str = MAIN) -> Step:
    """Fetches all rows of the statement, so many at a time, and tells their number."""
    return {"op": "cursor", "who": who, "sql": sql, "size": size}


def in_time(sql: str, limit_ms: int, who: str = MAIN) -> Step:
    """A statement under the driver's own time limit."""
    return {"op": "in_time", "who": who, "sql": sql, "ms": limit_ms}


def close(who: str) -> Step:
    return {"op": "close", "who": who}


def elsewhere(steps: list[Step]) -> list[Step]:
    """The steps while the neighbour holds the database connection that was used last."""
    return [begin(NEIGHBOUR), query("SELECT 1", who=NEIGHBOUR), *steps, commit(NEIGHBOUR)]


def changing_hands(steps: list[Step]) -> Iterator[Step]:
    """The steps by turns on two database connections, if there are two to share."""
    for number, step in enumerate(steps):
        yield from elsewhere([step]) if number % 2 else [step]
