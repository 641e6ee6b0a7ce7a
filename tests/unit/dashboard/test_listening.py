import socket

import pytest

from forebay.config.settings import DEFAULT_CONTROL_LISTEN, NodeSettings
from forebay.dashboard import listening
from forebay.dashboard.listening import HttpListenError, open_http_listener


def test_an_address() -> None:
    listener = open_http_listener(NodeSettings(control_listen="127.0.0.1:0"))
    assert listener is not None
    with socket.create_connection(("127.0.0.1", listener.address.port), timeout=10):
        pass
    assert not any(each.get_inheritable() for each in listener.sockets)
    listener.close()


def test_none_at_all() -> None:
    assert open_http_listener(NodeSettings(control_listen="")) is None


def test_an_address_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(HttpListenError, match="another program") as caught:
            open_http_listener(NodeSettings(control_listen=address))
        assert str(caught.value).startswith(f"node.control_listen: can't listen on {address}: ")
        assert str(caught.value).endswith('set it to another address, or to "" for none')
        assert not caught.value.is_default
        monkeypatch.setattr(listening, "DEFAULT_CONTROL_LISTEN", address)
        with pytest.raises(HttpListenError) as caught:
            open_http_listener(NodeSettings(control_listen=address))
        assert caught.value.is_default


def test_the_default_is_loopback() -> None:
    assert DEFAULT_CONTROL_LISTEN.startswith("127.0.0.1:")
    assert NodeSettings().control_listen == DEFAULT_CONTROL_LISTEN
