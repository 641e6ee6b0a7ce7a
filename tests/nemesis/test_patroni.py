"""A real Patroni switches over and fails over while clients are at work.

In `make test` once each; in `make nemesis` several times. The system's Patroni (any version from
3.0) is tried, and PyPI's; skipped where there is no etcd, or no Patroni on PATH.
FOREBAY_TEST_PATRONI names another ``patroni`` to try besides.
"""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness import Forebay
from tests.nemesis import patroni
from tests.nemesis.account import account
from tests.nemesis.conftest import IS_WHOLE, POOL, forebay_for
from tests.nemesis.load import Load, Shape
from tests.nemesis.patroni import Member, PatroniCluster
from tests.nemesis.rig import at

pytestmark = [
    pytest.mark.nemesis,
    pytest.mark.slow,
    pytest.mark.timeout(1800 if IS_WHOLE else 240),
    pytest.mark.skipif(bool(patroni.why_not()), reason=patroni.why_not()),
]
SWITCHOVERS, FAILOVERS = (5, 5) if IS_WHOLE else (1, 1)
SETTLED_WRITES = 100


@pytest.fixture(params=[*patroni.programs(), "of PyPI"])
def cluster(request: pytest.FixtureRequest) -> Iterator[PatroniCluster]:
    program = patroni.programs().get(request.param) or patroni.from_pypi()
    with PatroniCluster(program) as started:
        yield started


def fail_over(cluster: PatroniCluster) -> Member:
    """The leader dies with its Patroni: the other leads when the leader's key has expired."""
    leader, replica = cluster.leader, cluster.replica
    assert leader is not None
    leader.kill()
    cluster.wait_for_leader(replica)
    leader.start()
    return replica


def test_under_load(
    cluster: PatroniCluster, start_forebay: Callable[..., Forebay], shape: Shape
) -> None:
    a, b = cluster.members.values()
    forebay = forebay_for(
        start_forebay,
        cluster,
        target={"topology": "patroni", "patroni": [a.url, b.url]},
    )
    changes = [cluster.switch_over] * SWITCHOVERS + [lambda: fail_over(cluster)] * FAILOVERS
    with Load(at("Forebay", forebay.port).connect, shape) as load:
        for change in changes:
            cluster.wait_for_sync()
            load.go_on(SETTLED_WRITES)
            began_s = time.monotonic()
            leader = change()
            load.wait_for_port(leader.port, began_s)
            load.go_on(SETTLED_WRITES)
        history = load.end()
    found = account(history.ops, leader.rows())
    assert not history.mistakes
    assert history.hung == 0
    assert found.is_clean, str(found)
    assert found.outcomes["ok"] > 0
    assert not history.dropped
    assert not history.refused
    assert sum(found.errors.values()) <= POOL * len(changes)
