"""Problems are told with their place, and mistyped names with what was meant."""

import pytest

from forebay.config.errors import ConfigError, Problem, meant_by, nearest

KNOWN = ["max_connections_percent", "max_connection_age", "init_query"]


def test_problems_say_where() -> None:
    error = ConfigError([Problem("a.toml", "node.x", "is bad"), Problem("URL", "", "is none")])
    assert str(error) == "a.toml: node.x: is bad\nURL: is none"
    with pytest.raises(ValueError, match="needs a problem"):
        ConfigError([])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Init-Query", "init_query"),
        ("max_connection_percent", "max_connections_percent"),
        ("max_connections", "max_connections_percent"),  # cut short
        ("zzz", None),
    ],
)
def test_what_was_meant(name: str, meant: str | None) -> None:
    assert meant_by(name, KNOWN) == (f"; did you mean {meant}?" if meant else "")


def test_a_few_names_are_listed() -> None:
    assert nearest("zzz", ["b", "a"]) == "; known here: a, b"
    assert nearest("zzz", map(str, range(21))) == ""
