"""Whom is answered from memory at its login, and with what."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.session.settings import InternTable, Parameters, Values
from forebay.worker.sessions.greetings import GREETINGS_KEPT, NAME_BYTES, Greetings

UTC: Values = (("timezone", "UTC"),)
TOKYO: Values = (("timezone", "Asia/Tokyo"),)


def named(name: str, settings: Values = UTC) -> Values:
    return tuple(sorted((("application_name", name), *settings)))


def pool(database: str = "shop", user: str = "app") -> Any:
    return cast(Any, SimpleNamespace(database=database, user=user))


class Memory:
    """Greetings, and what connections report by the settings they have."""

    def __init__(self) -> None:
        self.intern = InternTable()
        self.greetings = Greetings(self.intern)
        self.kept: list[Parameters] = []

    def remember(self, settings: Values, where: Any = None, version: str = "15.0") -> Parameters:
        reported = {"server_version": version, **dict(settings)}
        parameters = self.intern.parameters(reported)
        self.kept.append(parameters)
        self.greetings.remember(where or pool(), settings, parameters)
        return parameters

    def find(self, settings: Values, where: Any = None) -> dict[str, str] | None:
        found = self.greetings.parameters(where or pool(), settings)
        return None if found is None else found.values


def test_equal_logins_are_greeted_from_memory() -> None:
    memory = Memory()
    assert memory.find(UTC) is None
    parameters = memory.remember(UTC)
    assert memory.greetings.parameters(pool(), UTC) is parameters


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (TOKYO, pool()),
        ((), pool()),
        ((*UTC, ("work_mem", "1MB")), pool()),
        (UTC, pool(database="other")),
        (UTC, pool(user="other")),
    ],
)
def test_others_are_not(settings: Values, where: Any) -> None:
    memory = Memory()
    memory.remember(UTC)
    assert memory.find(settings, where) is None


def test_a_name_costs_no_connection_and_is_reported_as_given() -> None:
    memory = Memory()
    memory.remember(named("web"))
    found = memory.find(named("job 4711"))
    assert found == {
        "server_version": "15.0",
        "timezone": "UTC",
        "application_name": "job 4711",
    }
    first = memory.greetings.parameters(pool(), named("x"))
    assert memory.greetings.parameters(pool(), named("x")) is first
    assert memory.find(UTC) is None, "what is reported without a name was not seen"
    assert memory.find(named("x", TOKYO)) is None


@pytest.mark.parametrize("name", ["x" * (NAME_BYTES + 1), "käse", "a\tb"])
def test_a_name_that_is_reported_otherwise_has_to_be_seen(name: str) -> None:
    memory = Memory()
    memory.remember(named("web"))
    assert memory.find(named(name)) is None
    memory.greetings.remember(pool(), named(name), memory.intern.parameters({"a": "b"}))
    assert memory.find(named(name)) == {"a": "b"}
    assert memory.find(named("x" * NAME_BYTES)) is not None


def test_what_was_seen_last_holds() -> None:
    memory = Memory()
    memory.remember(UTC)
    memory.remember(UTC, version="16.0")
    assert (memory.find(UTC) or {})["server_version"] == "16.0"


def test_only_so_many_are_kept_and_those_seen_last() -> None:
    memory = Memory()
    for settings in (UTC, TOKYO, UTC):
        memory.remember(settings)
    for number in range(GREETINGS_KEPT - 1):
        memory.remember((("work_mem", str(number)),))
    assert memory.find(TOKYO) is None
    assert memory.find(UTC) is not None
    assert memory.find((("work_mem", "0"),)) is not None


def test_what_may_be_different_now_is_forgotten() -> None:
    memory = Memory()
    for database in ("shop", "other"):
        memory.remember(UTC, pool(database))
    memory.greetings.forget_databases(lambda name: name == "shop")
    assert memory.find(UTC, pool("shop")) is None
    assert memory.find(UTC, pool("other")) is not None
    memory.greetings.forget()
    assert memory.find(UTC, pool("other")) is None
