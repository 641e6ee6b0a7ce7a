"""The demo's configuration is one that would pass."""

from types import SimpleNamespace

import pytest

from forebay.config.checks import CHECKS
from forebay.demo.proxy import PROXY, Databases, configuration
from tests.harness.gathering import gathered


@pytest.mark.parametrize(("tls", "sslmode"), [(True, "require"), (False, "disable")])
def test_the_configuration(tls: bool, sslmode: str) -> None:
    server = SimpleNamespace(host="127.0.0.1", port=15432, tls=tls)
    databases = Databases([server], "app", "s3cret", "shop")  # type: ignore[list-item]
    config = configuration(databases, 6432)
    proxy = config.proxies[PROXY]
    for settings in (proxy, proxy.target, proxy.pool, *proxy.auth):
        assert not list(CHECKS[type(settings)](settings))
    assert (proxy.target.sslmode, proxy.require_tls) == (sslmode, True)
    assert (proxy.pool.max_connections_percent, proxy.pool.max_idle_connections_percent) == (90, 50)
    (user,) = gathered(config, {})[PROXY].credentials
    assert (user.username, user.passwords) == ("app", ("s3cret",))
    assert "s3cret" not in repr(config) + repr(databases)
