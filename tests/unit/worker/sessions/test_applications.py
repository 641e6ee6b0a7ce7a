"""Which applications are known to ask what they have drawn from sequences."""

import gc
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from forebay.worker.sessions import applications
from forebay.worker.sessions.applications import Applications


def client(known: Applications, name: str = "", database: str = "app", user: str = "app") -> Any:
    found = cast(
        Any,
        SimpleNamespace(
            pool=SimpleNamespace(database=database, user=user),
            settings=SimpleNamespace(values=(("application_name", name),) if name else ()),
        ),
    )
    found.application = known.of(found)
    return found


def test_clients_of_one_kind_share_what_is_known() -> None:
    known = Applications()
    one, same = client(known, "a"), client(known, "a")
    others = (
        client(known, "b"),
        client(known),
        client(known, "a", "db"),
        client(known, "a", user="u"),
    )
    known.learn(one)
    assert same.application.asks
    assert not any(other.application.asks for other in others)


def test_names_are_cut_as_postgresql_does() -> None:
    known = Applications()
    known.learn(client(known, "x" * 100))
    assert client(known, "x" * 63).application.asks


def test_who_asks_is_remembered_when_its_clients_have_left() -> None:
    known = Applications()
    known.learn(client(known, "a"))
    client(known, "b")
    gc.collect()
    assert client(known, "a").application.asks
    assert not client(known, "b").application.asks


def test_only_so_many_are_remembered() -> None:
    known = Applications()
    with mock.patch.object(applications, "ASKING_LIMIT", 3):
        for name in "abc":
            known.learn(client(known, name))
        client(known, "a")  # the one that was seen last
        known.learn(client(known, "d"))
    gc.collect()
    assert [client(known, name).application.asks for name in "abcd"] == [True, False, True, True]
