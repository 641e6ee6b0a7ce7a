"""What a node listens on, while proxies come, change and go."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.config.addresses import Address
from forebay.node.doors import Doors
from forebay.node.listeners import ListenError

ANY = Address("127.0.0.1", 0)


@pytest.fixture
def doors() -> Iterator[Doors]:
    made = Doors()
    yield made
    made.close()


def is_listened_on(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def port(doors: Doors, proxy: str, index: int = 0) -> Address:
    return doors.by_proxy[proxy][index].address


def test_each_proxy_has_sockets_of_its_own(doors: Doors) -> None:
    doors.settle(doors.open({"a": [ANY, ANY], "b": [ANY]}))
    numbers = [n for own in doors.by_proxy.values() for each in own for n in each.numbers]
    assert len(set(numbers)) == 3
    assert len(set(doors.descriptors(numbers))) == 3
    assert len({port(doors, "a"), port(doors, "a", 1), port(doors, "b")}) == 3


def test_what_is_listened_on_already_is_used_again(doors: Doors) -> None:
    doors.settle(doors.open({"a": [ANY], "b": [ANY]}))
    before = doors.by_proxy
    doors.settle(doors.open({"a": [ANY], "b": [ANY]}))
    assert doors.by_proxy == before


def test_what_is_not_needed_is_closed_when_all_is_settled(doors: Doors) -> None:
    doors.settle(doors.open({"a": [ANY], "b": [ANY]}))
    gone = port(doors, "b")
    opened = doors.open({"a": [ANY]})
    assert is_listened_on(gone)
    doors.settle(opened)
    assert not is_listened_on(gone)
    assert is_listened_on(port(doors, "a"))


def test_proxies_change_places(doors: Doors, tmp_path: Path) -> None:
    first, second = (Address(str(tmp_path), number) for number in (1, 2))
    doors.settle(doors.open({"a": [first], "b": [second]}))
    before = {name: own[0].numbers for name, own in doors.by_proxy.items()}
    doors.settle(doors.open({"a": [second], "b": [first]}))
    assert {name: own[0].numbers for name, own in doors.by_proxy.items()} == {
        "a": before["b"],
        "b": before["a"],
    }
    assert len(list(tmp_path.iterdir())) == 2


def test_if_one_cannot_be_listened_on_nothing_is_different(doors: Doors, tmp_path: Path) -> None:
    doors.settle(doors.open({"a": [ANY]}))
    taken = socket.create_server(("127.0.0.1", 0))
    place = Address("127.0.0.1", taken.getsockname()[1])
    new = Address(str(tmp_path), 1)
    with taken, pytest.raises(ListenError):
        doors.open({"a": [ANY, new], "b": [place]})
    assert list(tmp_path.iterdir()) == []
    assert is_listened_on(port(doors, "a"))


def test_what_was_opened_for_a_change_that_is_refused_is_closed(
    doors: Doors, tmp_path: Path
) -> None:
    doors.settle(doors.open({"a": [ANY]}))
    doors.open({"a": [ANY], "b": [Address(str(tmp_path), 1)]})
    doors.settle(doors.by_proxy)
    assert list(tmp_path.iterdir()) == []
    assert is_listened_on(port(doors, "a"))
