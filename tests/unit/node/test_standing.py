"""How secrets and certificates do: as figures, and as sentences."""

from datetime import UTC, datetime, timedelta

import pytest

from forebay.config.settings import AuthSettings, ProxySettings, TargetSettings
from forebay.identity.keeper import Figures
from forebay.net.tls import self_signed_certificate
from forebay.node.certificates import Certificate
from forebay.node.materials import Material
from forebay.node.standing import figures_of, warnings_of

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PROXY = ProxySettings(
    auth=[AuthSettings(secret=each) for each in ("arn:x", "env:B")]
    + [AuthSettings(username="iam", auth_scheme="IAM_AUTH")],
    target=TargetSettings(hosts=["db:5432"]),
)
SECRETS = {"arn:x": Figures(90.0, 60.0), "env:B": Figures(5.0, None), "other": Figures(999, 999)}


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate(*self_signed_certificate(now=NOW), self_made=False)


def test_figures(certificate: Certificate) -> None:
    found = figures_of(PROXY, Material([], [certificate]), SECRETS, NOW)
    assert found == {
        "secrets": 2,
        "secrets_failing": 1,
        "secret_age_s_max": 90.0,
        "certificate_expires_s": 825 * 86_400,
    }
    late = figures_of(PROXY, Material([], [certificate]), {}, NOW + timedelta(days=826))
    assert (late["certificate_expires_s"], late["secrets"]) == (-86_400, 0)


def test_without_certificates_none_expires() -> None:
    assert "certificate_expires_s" not in figures_of(PROXY, Material([], []), {}, NOW)


def test_warnings(certificate: Certificate) -> None:
    def found(now: datetime) -> list[str]:
        return warnings_of(PROXY, [certificate], SECRETS, lambda _: "AccessDenied", now)

    assert found(NOW) == [
        "arn:x can't be read since 2026-11-28T11:59:00Z (AccessDenied); what was read before serves"
    ]
    assert found(NOW + timedelta(days=820))[1].startswith("the TLS certificate expires on 2029-0")
