"""What a report says, in lines."""

import msgspec
import pytest

from forebay.cli.check import ProxyReport, Report, UserReport, _lines
from forebay.cli.expiry import CertificateReport
from forebay.config import Config, PoolSettings, ProxySettings, TargetSettings
from tests.unit.cli.test_warnings import FACTS

PROXY = ProxySettings(target=TargetSettings(hosts=["a:5432"]))
CONFIG = Config(proxies={"shop": PROXY}, source="a.toml")
FINE = UserReport(user="app", host="a:5432", facts=FACTS, limit=90, idle_limit=45)
FAILED = UserReport(user="old", host="b:5432", error="no")


def report(**changes: object) -> Report:
    proxy = ProxyReport(
        name="shop", listen=[":1"], hosts=["a:5432"], users=[FINE], problems=[], warnings=[]
    )
    return Report(ok=True, source="a.toml", proxies=[msgspec.structs.replace(proxy, **changes)])


def test_what_would_work() -> None:
    lines = _lines(report(users=[FINE, FINE]), CONFIG)
    assert lines[0] == "proxy shop: :1 → a:5432"
    assert "limits   a:5432: 90 database connections, 45 kept idle" in lines[1]
    assert lines[2] == '  ok       user "app" logs in: PostgreSQL 16.1, TLSv1.3'
    assert lines[2] == lines[3]  # the limits are told once for each host
    assert lines[-1] == "a.toml would work"


def test_which_limit_it_is() -> None:
    pool = PoolSettings(max_connections_percent=90, max_connections=20)
    config = Config(proxies={"shop": msgspec.structs.replace(PROXY, pool=pool)}, source="a.toml")
    lines = _lines(report(users=[msgspec.structs.replace(FINE, limit=20, idle_limit=20)]), config)
    assert lines[1].endswith(
        "20 database connections, 20 kept idle (the pool's max_connections, lower than 90 % and"
        " 45 % of max_connections 103 less 3 reserved)"
    )


def test_several_hosts_are_told_apart() -> None:
    lines = _lines(report(hosts=["a:5432", "b:5432"], users=[FINE, FAILED]), CONFIG)
    assert '  FAILED   user "old" on b:5432: no' in lines
    assert any('user "app" on a:5432 logs in' in line for line in lines)


@pytest.mark.parametrize(
    ("warnings", "counted"), [(["x"], " (1 warning)"), (["x", "y"], " (2 warnings)")]
)
def test_warnings_are_counted(warnings: list[str], counted: str) -> None:
    lines = _lines(report(warnings=warnings, problems=["bad"]), CONFIG)
    assert lines[1] == "  FAILED   bad"
    assert lines[-1].endswith(counted)


def test_certificates_are_told_with_their_ends() -> None:
    certificate = CertificateReport(
        what="tls_certificate a.crt (CN=db)", expires="2027-02-03T04:05:06+00:00"
    )
    lines = _lines(report(certificates=[certificate], warnings=["x"]), CONFIG)
    line = "  certificate  tls_certificate a.crt (CN=db) expires on 2027-02-03"
    assert lines.index(line) < lines.index("  warning  x")


def test_what_was_not_tried_is_no_failure() -> None:
    untried = UserReport(user="guest", host="a:5432", untried="has no password: …")
    lines = _lines(report(users=[untried, FINE]), CONFIG)
    assert lines[1] == '  untried  user "guest" has no password: …'
    assert "limits" in lines[2]
    assert lines[-1] == "a.toml would work"
