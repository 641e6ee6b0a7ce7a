"""What must hold between the keys that say which database servers there are."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from forebay.config.reading import Path
from forebay.config.settings import TargetSettings

MAX_HOSTS = 100
MAX_PATRONI_URLS = 100

Found = Iterator[tuple[Path, str]]


def check_topology(target: TargetSettings) -> Found:
    """Yields what is wrong, each with its place in the target."""
    if len(target.hosts) > MAX_HOSTS:
        yield ("hosts",), f"names {len(target.hosts)} hosts; {MAX_HOSTS} are allowed"
    if len(set(target.hosts)) < len(target.hosts):
        yield ("hosts",), "names a host twice"
    if target.topology == "patroni" and not target.patroni:
        yield (
            ("patroni",),
            'is empty; topology = "patroni" needs a REST API, as in ["http://10.0.0.1:8008"]',
        )
    if target.patroni and target.topology != "patroni":
        yield ("patroni",), 'is used with topology = "patroni" only'
    if len(target.patroni) > MAX_PATRONI_URLS:
        yield ("patroni",), f"names {len(target.patroni)} URLs; {MAX_PATRONI_URLS} are allowed"
    for index, url in enumerate(target.patroni):
        if not _is_http(url):
            yield ("patroni", index), f"{url!r} is no URL of a REST API, as http://10.0.0.1:8008"


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
