import socket
import stat
from pathlib import Path

import pytest

from forebay.config.addresses import Address
from forebay.node.listeners import Listener, ListenError, open_listeners


def close(listeners: list[Listener]) -> None:
    for each in listeners:
        each.close()


def test_port_zero_becomes_a_real_port() -> None:
    (listener,) = open_listeners([Address("127.0.0.1", 0)])
    assert listener.address.port > 0
    assert listener.sockets[0].getsockname() == ("127.0.0.1", listener.address.port)
    assert not listener.sockets[0].getblocking()
    socket.create_connection(("127.0.0.1", listener.address.port)).close()
    listener.close()


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_name_for_several_addresses_gets_one_port(host: str) -> None:
    (listener,) = open_listeners([Address(host, 0)])
    assert {each.getsockname()[1] for each in listener.sockets} == {listener.address.port}
    assert any(each.family == socket.AF_INET for each in listener.sockets)
    listener.close()


def test_all_or_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            other = free.getsockname()[1]
        addresses = [Address("127.0.0.1", other), Address("127.0.0.1", port)]
        with pytest.raises(ListenError, match=f"can't listen on 127.0.0.1:{port}: Address already"):
            open_listeners(addresses)
        close(open_listeners(addresses[:1]))  # it was given back


def test_an_unknown_host() -> None:
    with pytest.raises(ListenError, match=r"can't listen on nowhere\.invalid:1"):
        open_listeners([Address("nowhere.invalid", 1)])


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ListenError, match="Cannot assign requested address"):
        open_listeners([Address("192.0.2.1", 0)])


def test_a_unix_socket_comes_and_goes(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 6432)
    (listener,) = open_listeners([address])
    path = tmp_path / ".s.PGSQL.6432"
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    with pytest.raises(ListenError, match="Address already in use"):
        open_listeners([address])  # it answers: it is somebody's
    assert path.exists()
    listener.close()
    assert not path.exists()


def test_what_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 6432)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.unix_path)
    (listener,) = open_listeners([address])
    listener.close()


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".s.PGSQL.6432"
    path.write_text("mine")
    with pytest.raises(ListenError):
        open_listeners([Address(str(tmp_path), 6432)])
    assert path.read_text() == "mine"


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".de"])
def test_a_name_that_is_none_is_an_error(host: str) -> None:
    with pytest.raises(ListenError, match=f"can't listen on {host}:1: not a host name"):
        open_listeners([Address(host, 1)])
