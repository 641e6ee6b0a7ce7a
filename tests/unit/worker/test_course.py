"""Where a proxy's connections lead."""

from forebay.channel import Route
from forebay.config.addresses import Address
from forebay.config.settings import TargetSettings
from forebay.worker.course import UNTOLD, Course

ONE = TargetSettings(hosts=["a:1"])
TWO = TargetSettings(hosts=["a:1", "b:2"])


def test_one_host_is_where_it_is() -> None:
    course = Course(ONE, None)
    assert (course.address, course.obstacle) == (Address("a", 1), "")
    assert not course.take(Route(epoch=1, state="HOLD", writer="b:2"))
    assert (course.address, course.obstacle) == (Address("a", 1), "")


def test_until_the_node_has_told_nobody_is_served() -> None:
    course = Course(TWO, None)
    assert course.obstacle == UNTOLD
    assert not course.take(Route(epoch=1, state="UP", writer="b:2"))
    assert (course.address, course.obstacle) == (Address("b", 2), "")


def test_connections_are_of_no_use_behind_another_epoch() -> None:
    course = Course(TWO, Route(epoch=1, state="UP", writer="a:1"))
    assert not course.take(Route(epoch=1, state="SUSPECT", writer="a:1", cause="it is silent"))
    assert course.obstacle == "it is silent"
    assert not course.take(Route(epoch=1, state="HOLD", writer="a:1"))
    assert course.obstacle == UNTOLD
    assert course.take(Route(epoch=2, state="UP", writer="b:2"))
    assert (course.address, course.obstacle) == (Address("b", 2), "")
    assert course.take(Route(epoch=3, state="UP", writer="b:2"))


def test_an_old_route_changes_nothing() -> None:
    course = Course(TWO, Route(epoch=2, state="UP", writer="b:2"))
    assert not course.take(Route(epoch=1, state="HOLD", writer="a:1"))
    assert (course.address, course.obstacle) == (Address("b", 2), "")


def test_the_certificate_is_for_the_name_by_which_a_server_was_found() -> None:
    course = Course(TWO, Route(epoch=1, state="UP", writer="10.0.0.1:1", writer_name="db.internal"))
    assert course.address == Address("10.0.0.1", 1, "db.internal")
    assert course.address.name == "db.internal"
