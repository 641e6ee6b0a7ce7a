import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.config.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("db.example.org:5433", "db.example.org", 5433),
        ("db", "db", 5432),
        ("127.0.0.1:6432", "127.0.0.1", 6432),
        ("[::1]:6432", "::1", 6432),
        ("[::1]", "::1", 5432),
        (":6432", "", 6432),
        ("*:6432", "", 6432),
        ("h:0", "h", 0),
        ("/run/postgresql", "/run/postgresql", 5432),
        ("/run/postgresql:6432", "/run/postgresql", 6432),
        ("/run/x/.s.PGSQL.77", "/run/x", 77),
        ("  h:1 ", "h", 1),
    ],
)
def test_forms(text: str, host: str, port: int) -> None:
    assert parse_address(text, wildcard=True) == Address(host, port)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing"),
        ("h:", "no port after the colon"),
        ("[::1]:", "no port after the colon"),
        ("h:http", "no number"),
        ("h:65536", "0 to 65535"),
        ("h:99999999999", "no number"),
        ("h:٣", "no number"),
        ("::1", "needs brackets"),
        ("[::1", "lacks the form"),
        ("[::1]x", "lacks the form"),
        ("a b:1", "not host:port"),
        ("user@h:1", "not host:port"),
        ("/" + "x" * 100, "too long"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_address(text, wildcard=True)


@pytest.mark.parametrize("text", ["*:5432", ":5432", "h:0"])
def test_a_target_has_a_host_and_a_port(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text, wildcard=False)


@given(
    st.sampled_from(["", "h", "db.example.org", "10.0.0.1", "::1", "fe80::2", "/tmp", "/run/pg"]),
    st.integers(1, 65535),
)
def test_what_is_written_is_read(host: str, port: int) -> None:
    address = Address(host, port)
    assert parse_address(str(address), wildcard=True) == address


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.9.9.9", True), ("::1", True), ("/tmp", True), ("", False), ("127.example.org", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert Address(host, 1).is_loopback is expected
