import os
from pathlib import Path
from typing import Any

from forebay.config import Address, Config, PoolSettings, ProxySettings, TargetSettings
from forebay.node.status import (
    DRAINING,
    NO_DATABASE,
    STARTING,
    Status,
    WorkerStatus,
    describe,
    full_source,
)

PROXY = ProxySettings(
    target=TargetSettings(hosts=["db:5432"]),
    max_client_connections=50,
    pool=PoolSettings(max_connections_percent=90),
)
CONFIG = Config(proxies={"app": PROXY}, source="environment")
FIGURES = {
    "client_connections": 12,
    "clients_waiting": 3,
    "clients_pinned": 1,
    "database_connections": 20,
    "database_connections_borrowed": 15,
    "max_database_connections_allowed": 40,
    "server_max_connections": 48,
    "server_reserved_connections": 3,
}


def described(
    figures: dict[str, dict[str, int | float]], silence: str = "", **others: Any
) -> Status:
    given: dict[str, Any] = {
        "state": "serving",
        "configuration": "environment",
        "started_at": 1.0,
        "worker": WorkerStatus(pid=7, started_at=2.0),
        "worker_restarts": 0,
        "reload": None,
        "paused": {"app": frozenset({"shop"}), "gone": frozenset({""})},
        "servers": {},
        "warnings": {"app": ["the TLS certificate expires on 2026-12-01"]},
    }
    addresses = {"app": [Address("127.0.0.1", 6432)]}
    return describe(CONFIG, addresses, figures, silence, **(given | others))


def test_one_that_serves() -> None:
    status = described({"app": dict(FIGURES)})
    assert (status.ok, status.problems, status.pid) == (True, [], os.getpid())
    (proxy,) = status.proxies
    assert (proxy.listen, proxy.target) == (["127.0.0.1:6432"], ["db:5432"])
    assert (proxy.client_connections, proxy.clients_waiting, proxy.clients_pinned) == (12, 3, 1)
    assert (proxy.database_connections, proxy.database_connections_borrowed) == (20, 15)
    assert proxy.max_database_connections_allowed == 40
    assert "90 % of max_connections 48 less 3 reserved" in proxy.limit
    assert proxy.warnings == ["the TLS certificate expires on 2026-12-01"]


def test_without_a_database_it_does_not_serve() -> None:
    status = described({"app": FIGURES | {"max_database_connections_allowed": 0}})
    assert (status.ok, status.problems) == (False, [f"proxies.app: {NO_DATABASE}"])
    assert status.proxies[0].max_database_connections_allowed is None
    assert "not known yet" in status.proxies[0].limit


def test_without_a_worker_it_does_not_serve_and_no_number_is_made_up() -> None:
    status = described({}, "no worker is running at the moment", worker=None)
    assert (status.ok, status.problems) == (False, ["no worker is running at the moment"])
    assert status.proxies[0].client_connections is None


def test_before_and_after_it_does_not_serve() -> None:
    assert described({"app": dict(FIGURES)}, state="draining").problems == [DRAINING]
    assert described({}, "no worker", state="starting").problems == [STARTING]


def test_where_the_configuration_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "forebay.toml"
    file.touch()
    (tmp_path / "link.toml").symlink_to(file)
    assert full_source(Config(source=str(tmp_path / "link.toml"))) == str(file.resolve())
    assert full_source(Config(source="environment")) == "environment"
