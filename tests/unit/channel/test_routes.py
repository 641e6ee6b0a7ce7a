"""Routes and hints, as they travel."""

import msgspec

from forebay.channel import Hint, Route, Routes, RouteServer
from forebay.channel.messages import NodeMessage, WorkerMessage


def test_routes_travel_to_the_worker() -> None:
    route = Route(epoch=2, state="UP", writer="a:1", standbys=[RouteServer(address="b:1")])
    message = Routes(routes={"app": route})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=NodeMessage) == message


def test_hints_travel_to_the_node() -> None:
    hint = Hint(proxy="app", address="a:1", kind="terminated")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(hint), type=WorkerMessage) == hint
