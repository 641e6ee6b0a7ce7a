"""What must hold between the keys that say which servers there are."""

import pytest

from forebay.config.settings import TargetSettings
from forebay.config.topology_checks import check_topology


def problems(**keys: object) -> list[str]:
    found = check_topology(TargetSettings(**{"hosts": ["a:1"], **keys}))  # type: ignore[arg-type]
    return [f"{'.'.join(map(str, path))} {text}" for path, text in found]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"hosts": ["a:1", "b:1"]},
        {"topology": "dns"},
        {"topology": "patroni", "patroni": ["http://10.0.0.1:8008", "https://[::1]:8008"]},
    ],
)
def test_what_is_right(keys: dict[str, object]) -> None:
    assert problems(**keys) == []


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"hosts": ["a:1", "a:1"]}, "hosts names a host twice"),
        ({"hosts": [f"a:{port}" for port in range(1, 200)]}, "hosts names 199 hosts"),
        ({"topology": "patroni"}, "patroni is empty"),
        ({"patroni": ["http://a"]}, "patroni is used with"),
        ({"topology": "patroni", "patroni": ["a:8008"]}, "patroni.0 'a:8008' is no URL"),
        ({"topology": "patroni", "patroni": ["http://[::1"]}, "patroni.0 'http://[::1' is no URL"),
        ({"topology": "patroni", "patroni": ["http://a"] * 101}, "patroni names 101 URLs"),
    ],
)
def test_what_is_wrong(keys: dict[str, object], problem: str) -> None:
    found = problems(**keys)
    assert found
    assert found[0].startswith(problem)
