"""Both ways to cut a network are silent, in exactly the direction that was meant, until it heals.

That something does not come is looked at for a moment only: a cut that lets it through a little
later is one that the faults themselves would show.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from forebay.protocol import messages
from tests.harness import FaultProxy, eventually
from tests.harness.faults import Direction
from tests.harness.raw import RawClient
from tests.nemesis.load import insert
from tests.nemesis.namespaces import apart
from tests.nemesis.pair import LOGIN, Server, Template

pytestmark = pytest.mark.nemesis

MOMENT_S = 0.3


@dataclass(slots=True)
class Network:
    """A way to a server that can be cut."""

    server: Server
    host: str
    port: int
    cut: Callable[[Direction | None], None]
    heal: Callable[[], None]


@contextmanager
def by_a_proxy(template: Template) -> Iterator[Network]:
    server = Server(template, "a")
    server.prepare()
    with server, FaultProxy(server.port) as proxy:
        yield Network(server, proxy.host, proxy.port, proxy.freeze, proxy.heal)


@contextmanager
def by_the_kernel(template: Template) -> Iterator[Network]:
    with apart() as network:
        server = Server(template, "a", network)
        server.prepare()
        with server:
            yield Network(server, server.host, server.port, network.cut, network.heal)


@pytest.mark.parametrize("direction", [None, "to_server", "to_client"])
@pytest.mark.parametrize("way", [by_a_proxy, by_the_kernel])
def test_a_cut(
    template: Template,
    way: Callable[[Template], AbstractContextManager[Network]],
    direction: Direction | None,
) -> None:
    with way(template) as network, RawClient(network.port, LOGIN, host=network.host) as client:
        client.query("SELECT 1")
        network.cut(direction)
        client.send(messages.query(insert(5, 0)))
        if direction == "to_client":
            eventually(lambda: network_rows(network) == [["1"]], "the server has done it")
        assert not client.has_more(MOMENT_S)
        if direction != "to_client":
            assert network_rows(network) == [["0"]]
        network.heal()
        client.until("Z")
        assert network_rows(network) == [["1"]]


def network_rows(network: Network) -> list[list[str]]:
    """How many rows there are, asked beside the cut (over the Unix socket)."""
    found = network.server.sql("SELECT count(*) FROM writes", database=LOGIN.name)
    return [[str(value) for value in row] for row in found]
