"""Servers that answer probes, for tests."""

from collections.abc import Callable

from forebay.config.addresses import Address
from forebay.net.connector import Target
from forebay.net.tls import ClientContexts
from forebay.topology.control import ControlLogin
from forebay.topology.prober import Prober
from forebay.topology.questions import EACH_TIME, ONCE
from tests.harness.fake_postgres import error, rows

ANSWERS: dict[str, str | None] = {
    "in_recovery": "f",
    "is_read_only": "f",
    "timeline": "00000001",
    "is_caught_up": None,
    "replayed_age_s": None,
    "started_at": "1764360000.5",
    "system_id": "7577984366546421234",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "reserved_connections": "0",
    "rds.rds_superuser_reserved_connections": None,
}


def answering(**changes: str | None) -> Callable[[str], bytes]:
    """Answers probes."""
    return lacking(**changes)


def lacking(*missing: str, **changes: str | None) -> Callable[[str], bytes]:
    """Answers as a server that has not these functions."""
    answers = ANSWERS | changes

    def value(expression: str) -> str | None:
        for parts in (EACH_TIME, ONCE):
            for name, forms in parts.items():
                if expression in forms:
                    return answers[name]
        assert expression == "NULL"
        return None

    def answer(sql: str) -> bytes:
        if any(each in sql for each in missing):
            return error("42883")
        return rows([value(each) for each in expressions(sql)])

    return answer


def expressions(sql: str) -> list[str]:
    """What a query of a `Form` asks for."""
    text, found = sql.removeprefix("SELECT "), list[str]()
    known = [form for parts in (EACH_TIME, ONCE) for forms in parts.values() for form in forms]
    while text:
        found.append(next(each for each in [*known, "NULL"] if text.startswith(each)))
        text = text.removeprefix(found[-1]).removeprefix(", ")
    return found


def prober(port: int, *logins: ControlLogin, timeout_s: float = 10.0) -> tuple[Prober, Address]:
    """One for a server on this machine."""
    known = logins or (ControlLogin("watcher", "secret", "postgres"),)

    async def give(_: Address) -> tuple[ControlLogin, ...]:
        return known

    return (
        Prober(lambda each: Target(each.host, each.port), give, ClientContexts(), timeout_s),
        Address("127.0.0.1", port),
    )
