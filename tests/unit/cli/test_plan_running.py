"""What is made of a running Forebay's figures. The node here is made up."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from forebay.channel import PoolFigures, ProxyFigures, WorkerFigures
from forebay.channel.figures import Histogram
from forebay.cli.plan_running import RunningError, observe_running
from forebay.control import ControlClient, FiguresAnswer, FiguresRequest, PoolsAnswer, PoolsRequest
from forebay.node.observer import NodeFigures
from forebay.node.processes import ProcessFigures

LIMITS = {
    "max_database_connections_allowed": 8,
    "server_max_connections": 13,
    "server_reserved_connections": 3,
}
# Waits of 2 ms, and of 30 ms.
QUICK, SLOW = 126, 188


class Node:
    """Tells one state of its proxies after the other."""

    def __init__(self, *states: dict[str, tuple[ProxyFigures, list[PoolFigures]]]) -> None:
        self._states = states
        self.at = 0

    def answer_to(self, request: Any, kind: type) -> FiguresAnswer:
        assert isinstance(request, FiguresRequest)
        proxies = {name: figures for name, (figures, _) in self._states[self.at].items()}
        process = ProcessFigures(pid=1)
        figures = NodeFigures(
            at=100.0 + 10 * self.at,
            node=process,
            worker=process,
            worker_restarts=0,
            counted=WorkerFigures(proxies=proxies),
        )
        return FiguresAnswer(id=request.id, figures=figures)

    def ask(self, request: PoolsRequest) -> Iterator[PoolsAnswer]:
        pools = self._states[self.at][request.proxy][1]
        for pool in pools:  # in parts
            yield PoolsAnswer(id=request.id, proxy=request.proxy, pools=[pool], more=True)
        yield PoolsAnswer(id=request.id, proxy="", pools=[])

    def sleep(self, seconds: float) -> None:
        assert seconds == 10
        self.at = min(self.at + 1, len(self._states) - 1)


def figures(numbers: dict[str, int] = LIMITS, **buckets: int) -> ProxyFigures:
    counts = {QUICK: buckets.get("quick", 0), SLOW: buckets.get("slow", 0)}
    filled = {bucket: count for bucket, count in counts.items() if count}
    waits = Histogram(sum(filled.values()), 0.0, filled)
    return ProxyFigures(target="db:5432", numbers=dict(numbers), histograms={"borrow_wait": waits})


def pool(user: str, clients: int, transactions: int, transaction_us: float, wait_us: float) -> Any:
    return PoolFigures(
        database="app",
        user=user,
        clients=clients,
        borrows=transactions,
        transactions=transactions,
        transaction_us=transaction_us,
        wait_us=wait_us,
    )


def observed(node: Node, name: str | None = None) -> Any:
    return observe_running(cast("ControlClient", node), name, 10, node.sleep)


def test_two_looks() -> None:
    node = Node(
        {"app": (figures(quick=5), [pool("web", 50, 1000, 1e6, 1e5)])},
        {
            "app": (
                figures(quick=85, slow=20),
                [pool("web", 50, 2000, 6e6, 8.6e5), pool("job", 1, 0, 0, 0)],
            )
        },
    )
    found, capacity, waits = observed(node)
    web, job = found.clients
    assert (web.name, web.count, web.hold_s) == ("app/web", 50, pytest.approx(0.005))
    assert (job.name, job.count) == ("app/job", 1)
    assert (capacity.limit(100), capacity.limit(50), capacity.usable) == (8, 8, 10)
    assert capacity.name == "app → db:5432"
    assert waits is not None
    assert waits.transactions_per_s == pytest.approx(100)
    assert waits.utilisation == pytest.approx(5 / 10 / 8)
    assert waits.waits_share == pytest.approx(0.1)
    assert waits.wait_mean_s == pytest.approx(0.00076)
    assert 0.02 < waits.wait_p99_s < 0.04  # 2 % have waited for long


def test_names_are_made_harmless() -> None:
    pools = [pool("a\x1b[31m", 1, 1, 1.0, 0.0)]
    found = observed(Node({"app": (figures(), [])}, {"app": (figures(), pools)}))[0]
    assert "\x1b" not in found.clients[0].name


def test_hardly_anybody_waits() -> None:
    node = Node(
        {"app": (figures(), [])}, {"app": (figures(slow=5), [pool("web", 50, 1000, 1e6, 1e5)])}
    )
    waits = observed(node)[2]
    assert (waits.waits_share, waits.wait_p99_s) == (0.005, 0)


def test_nobody_is_there() -> None:
    found, _, waits = observed(Node({"app": (figures(), [])}))
    assert (found.clients, waits) == ([], None)


def test_another_worker_counts() -> None:
    node = Node(
        {"app": (figures(quick=50), [pool("web", 50, 1000, 1e6, 0)])},
        {"app": (figures(), [pool("web", 50, 10, 1e6, 0)])},
    )
    found, _, waits = observed(node)
    assert waits is None
    assert found.clients[0].hold_s == pytest.approx(0.1)


def test_which_proxy() -> None:
    both = {"app": (figures(), []), "other": (figures(), [])}
    with pytest.raises(RunningError, match=r"which proxy.*--proxy: app, other"):
        observed(Node(both))
    with pytest.raises(RunningError, match="which proxy"):
        observed(Node(both), "third")
    assert observed(Node(both), "other")[1].name.startswith("other")
    with pytest.raises(RunningError, match="app is not there any more"):
        observed(Node({"app": (figures(), [])}, {}), "app")


def test_before_the_database_was_reached() -> None:
    with pytest.raises(RunningError, match="has not reached its database yet"):
        observed(Node({"app": (figures({}), [])}))
