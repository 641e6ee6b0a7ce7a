import logging

import msgspec
import pytest

from forebay.node.reloads import Reload, refused, reloaded, tell

log = logging.getLogger("forebay.test")


def test_what_is_in_force_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay.test")
    tell(reloaded(["a: 1 → 2"], ["b can't change while running"], ["c is old"]), log)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "b can't change while running"),
        ("INFO", "Changed: a: 1 → 2"),
        ("INFO", "Reloaded"),
    ]


def test_why_nothing_has_changed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    answer = refused(iter(["a: is 0", "b: is missing"]))
    assert not answer.ok
    tell(answer, log)
    assert caplog.messages == [
        "a: is 0",
        "b: is missing",
        "Not reloaded: the configuration before stays in force",
    ]


def test_it_survives_its_way_to_another_process() -> None:
    answer = reloaded(["a"], ["b"], ["c"])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Reload) == answer
