"""F4: the network between Forebay and the old primary swallows what it is given, in one direction
or in both; no end of a connection is heard."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import FaultProxy, Forebay, descriptors, eventually
from tests.harness.faults import Direction
from tests.nemesis.conftest import IS_WHOLE, Note, forebay_for
from tests.nemesis.load import Shape
from tests.nemesis.namespaces import apart
from tests.nemesis.pair import Pair, Template
from tests.nemesis.rig import Rig, at

pytestmark = pytest.mark.nemesis

DIRECTIONS: list[Direction | None] = [None, "to_server", "to_client"]
TCP_ESTABLISHED = "01"


def connections_left(forebay: Forebay, port: int) -> int:
    """How many connections to this port carry clients' requests (a worker's; the node's own is for
    asking the server)."""
    held = {link for pid in forebay.worker_pids for link in sockets(pid)}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        int(each[2].rpartition(":")[2], 16) == port
        and each[3] == TCP_ESTABLISHED
        and each[9] in held
        for each in lines
    )


def sockets(pid: int) -> Iterator[str]:
    """The numbers of a process's sockets."""
    for target in descriptors.descriptors(pid).values():
        if target.startswith("socket:"):
            yield target[8:-1]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_network_that_swallows(
    pair: Pair,
    watching_forebay: Callable[..., Forebay],
    shape: Shape,
    direction: Direction | None,
    rounds: Callable[[int], int],
    note: Note,
) -> None:
    with FaultProxy(pair.a.port) as to_a, FaultProxy(pair.b.port) as to_b:
        proxies = {pair.a: to_a, pair.b: to_b}

        def cut(both: Pair) -> None:
            proxies[both.primary].freeze(direction)

        cut.__name__ = f"cut_{direction or 'both'}"
        forebay = watching_forebay(hosts=[f"127.0.0.1:{each.port}" for each in proxies.values()])
        with Rig(pair, at("Forebay", forebay.port), shape) as rig:
            for number in range(count := rounds(20)):
                rig.fail_over(cut)
                old = proxies[pair.standby]
                wait_until_given_up(forebay, old.port)
                old.heal()
                rig.load.go_on(100)
                if number < count - 1:
                    pair.rejoin()
            result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    note(f"F4 cut, {direction or 'both directions'}", result, first_success_ms=300, stall_ms=3000)


def wait_until_given_up(forebay: Forebay, port: int) -> None:
    eventually(
        lambda: connections_left(forebay, port) == 0,
        "connections behind the cut are given up",
        timeout_s=30,
    )


@pytest.mark.parametrize("direction", DIRECTIONS if IS_WHOLE else DIRECTIONS[:1])
def test_a_kernel_that_drops(
    template: Template,
    start_forebay: Callable[..., Forebay],
    shape: Shape,
    direction: Direction | None,
    note: Note,
) -> None:
    """The same by the kernel: new connections are not answered either, and nobody resets one."""
    with apart() as network, Pair(template, network) as pair:

        def cut(_: Pair) -> None:
            network.cut(direction)

        forebay = forebay_for(start_forebay, pair)
        with Rig(pair, at("Forebay", forebay.port), shape) as rig:
            rig.fail_over(cut)
            wait_until_given_up(forebay, pair.standby.port)
            network.heal()
            rig.load.go_on(100)
            result = rig.finish()
    result.assert_clean()
    result.assert_idle_stayed()
    note(
        f"F4 dropped packets, {direction or 'both directions'}",
        result,
        first_success_ms=300,
        stall_ms=3000,
    )
