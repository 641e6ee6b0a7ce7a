"""How what a proxy depends on does: secrets that can't be read, certificates that expire. Pure."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from forebay.config.settings import ProxySettings
from forebay.identity.keeper import Figures as SecretFigures
from forebay.identity.secrets import shown
from forebay.identity.tokens import time_text
from forebay.node.certificates import Certificate, concerns, first_expiry
from forebay.node.materials import Material

Figures = dict[str, int | float]


def figures_of(
    proxy: ProxySettings, material: Material, secrets: Mapping[str, SecretFigures], now: datetime
) -> Figures:
    """How old the secret is that was not read for longest, how many can't be read, and in how many
    seconds the first certificate expires (below 0: it has)."""
    found = [secrets[each] for each in _sources(proxy) if each in secrets]
    figures: Figures = {
        "secrets": len(found),
        "secrets_failing": sum(each.failing_for_s is not None for each in found),
        "secret_age_s_max": round(max((each.age_s for each in found), default=0.0), 1),
    }
    expiry = first_expiry(material.certificates)
    if expiry is not None:
        figures["certificate_expires_s"] = int((expiry - now).total_seconds())
    return figures


def warnings_of(
    proxy: ProxySettings,
    certificates: Iterable[Certificate],
    secrets: Mapping[str, SecretFigures],
    error_of: Callable[[str], str | None],
    now: datetime,
) -> list[str]:
    """What is not well at the moment, in sentences without any secret."""
    now_s = now.timestamp()
    found = [
        f"{shown(source)} can't be read since {time_text(now_s - failing_for_s)}"
        f" ({error_of(source) or 'for an unknown reason'}); what was read before serves"
        for source in _sources(proxy)
        if source in secrets and (failing_for_s := secrets[source].failing_for_s) is not None
    ]
    for certificate in certificates:
        found += concerns(certificate, now.astimezone(UTC))
    return found


def _sources(proxy: ProxySettings) -> list[str]:
    return [auth.secret for auth in proxy.auth if auth.secret]
