"""What is asked, and how answers are read."""

import pytest

from forebay.protocol.messages import MalformedMessageError
from forebay.topology.questions import EACH_TIME, ONCE, Form, Lag, report

WRITER = {
    "in_recovery": "f",
    "is_read_only": "f",
    "timeline": "0000000B",
    "is_caught_up": None,
    "replayed_age_s": None,
}
STANDBY = {
    "in_recovery": "t",
    "is_read_only": "f",
    "timeline": None,
    "is_caught_up": "t",
    "replayed_age_s": "90.5",
}
START = {
    "started_at": "1764360000.123456",
    "system_id": "7577984366546421234",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "reserved_connections": None,
    "rds.rds_superuser_reserved_connections": "2",
}


def test_a_writer() -> None:
    found = report(START, WRITER, Lag(), 0.0)
    assert not found.in_recovery
    assert found.timeline == 11
    assert found.system_id == "7577984366546421234"
    assert found.started_at == 1764360000.123456
    assert (found.max_connections, found.reserved_connections) == (100, 5)
    assert found.lag_s is None


def test_a_standby() -> None:
    found = report(START, STANDBY, Lag(), 0.0)
    assert found.in_recovery
    assert found.timeline == 0
    assert found.lag_s == 0.0


def test_a_server_that_says_no_more_than_whether_it_is_in_recovery() -> None:
    found = report(dict.fromkeys(ONCE), dict.fromkeys(EACH_TIME) | {"in_recovery": "f"}, Lag(), 0.0)
    assert (found.timeline, found.system_id, found.started_at) == (0, "", 0.0)
    assert (found.max_connections, found.is_read_only) == (0, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("in_recovery", None),
        ("in_recovery", "yes"),
        ("timeline", "1"),
        ("timeline", "0000000G"),
        ("timeline", "+000000A"),
        ("replayed_age_s", "nan"),
        ("replayed_age_s", "soon"),
        ("replayed_age_s", "inf"),
    ],
)
def test_answers_of_no_sense(name: str, value: str | None) -> None:
    with pytest.raises(MalformedMessageError):
        report(START, STANDBY | {name: value}, Lag(), 0.0)


@pytest.mark.parametrize("value", ["-1", "1e9", "١", "9" * 21, ""])
def test_numbers_that_are_none(value: str) -> None:
    with pytest.raises(MalformedMessageError):
        report(START | {"max_connections": value}, WRITER, Lag(), 0.0)


class TestLag:
    def test_nothing_is_missing_while_it_streams(self) -> None:
        lag = Lag()
        assert lag.take(True, 3600.0, 10.0) == 0.0

    def test_behind_by_the_time_since_it_stopped_to_stream(self) -> None:
        lag = Lag()
        lag.take(True, 3600.0, 10.0)
        assert lag.take(False, 3602.0, 12.0) == 2.0

    def test_behind_by_the_age_of_what_it_replayed_last(self) -> None:
        lag = Lag()
        lag.take(True, 0.0, 10.0)
        assert lag.take(False, 1.5, 60.0) == 1.5

    def test_nobody_knows(self) -> None:
        assert Lag().take(None, None, 10.0) == float("inf")
        found = report(START, STANDBY | {"is_caught_up": None, "replayed_age_s": None}, Lag(), 0.0)
        assert found.lag_s is None

    def test_clocks_that_differ(self) -> None:
        found = report(START, STANDBY | {"is_caught_up": "f", "replayed_age_s": "-3"}, Lag(), 0.0)
        assert found.lag_s == 0.0


class TestForm:
    def test_one_query_for_all(self) -> None:
        form = Form({"a": ("one",), "b": ("two", "three")})
        assert form.sql == "SELECT one, two"
        assert form.read([["1", None]]) == {"a": "1", "b": None}

    def test_another_form_and_then_none(self) -> None:
        form = Form({"a": ("one",), "b": ("two", "three")})
        assert form.give_up("b")
        assert form.sql == "SELECT one, three"
        assert form.give_up("b")
        assert form.sql == "SELECT one, NULL"
        assert list(form.alone()) == [("a", "SELECT one")]

    def test_what_cannot_be_done_without(self) -> None:
        assert not Form(EACH_TIME).give_up("in_recovery")

    @pytest.mark.parametrize("rows", [[], [["1"]], [["1", "2"], ["1", "2"]], [["1", "2", "3"]]])
    def test_what_is_no_answer(self, rows: list[list[str | None]]) -> None:
        with pytest.raises(MalformedMessageError):
            Form({"a": ("one",), "b": ("two",)}).read(rows)
