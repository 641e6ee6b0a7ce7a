import pytest

from forebay.dashboard.gate import Gate, Refusal, cookie_in, is_this_machine
from forebay.dashboard.token import Token

TEXT = "0123456789abcdef"
LOCAL = {"host": "localhost:6480"}


def ask(
    gate: Gate,
    path: str = "/api/now",
    method: str = "GET",
    address: str = "192.0.2.1",
    **headers: str,
) -> Refusal | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gate.refusal(method, path, named, address, now=1e9, now_s=0.0)


def status(refusal: Refusal | None) -> int:
    return 200 if refusal is None else refusal.status


def guarded() -> Gate:
    return Gate(Token("env:T", {"T": TEXT}), 6480)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("forebay.localhost:6480", True),
        ("127.0.0.1:6480", True),
        ("127.9.9.9", True),
        ("[::1]:6480", True),
        ("[::1]", True),
        ("", False),
        ("evil.example:6480", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.0.2.1:6480", False),
        ("[::2]:6480", False),
        ("[", False),
        ("localhost@evil.example", False),
    ],
)
def test_hosts(host: str, is_ours: bool) -> None:
    assert is_this_machine(host) is is_ours
    assert status(ask(Gate(None, 6480), host=host)) == (200 if is_ours else 421)


def test_any_name_will_do_with_a_token() -> None:
    assert status(ask(guarded(), host="db.example", authorization=f"Bearer {TEXT}")) == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_for_everybody(path: str) -> None:
    assert ask(guarded(), path) is None
    assert ask(Gate(None, 6480), path, host="10.0.0.7:6480") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "x"])
def test_nothing_can_be_changed(method: str) -> None:
    for path in ("/", "/api/now", "/readyz", "/page.css"):
        assert status(ask(guarded(), path, method, authorization=f"Bearer {TEXT}")) == 405
        assert status(ask(Gate(None, 6480), path, method, **LOCAL)) == 405


def test_the_form_is_there_with_a_token_only() -> None:
    assert status(ask(Gate(None, 6480), "/login", **LOCAL)) == 404
    assert status(ask(Gate(None, 6480), "/logout", "POST", **LOCAL)) == 404
    assert ask(guarded(), "/login") is None
    assert ask(guarded(), "/login", "POST") is None
    assert ask(guarded(), "/logout", "POST") is None
    assert status(ask(guarded(), "/logout")) == 405
    assert status(ask(guarded(), "/login", "PUT")) == 405


def test_other_sites_pages_get_nothing() -> None:
    headers = {**LOCAL, "sec_fetch_site": "cross-site"}
    assert status(ask(Gate(None, 6480), "/api/live", **headers)) == 403
    assert ask(Gate(None, 6480), "/", **headers) is None  # a link to it


def test_the_token_is_needed_but_for_what_is_in_the_package() -> None:
    gate = guarded()
    for path in ("/", "/api/now", "/api/live", "/metrics"):
        assert status(ask(gate, path)) == 401
    for path in ("/page.css", "/js/page.js", "/icon.svg"):
        assert ask(gate, path) is None
    for wrong in ("Bearer wrong", "Bearer", f"Basic {TEXT}", TEXT, "Bearer é"):
        assert status(ask(gate, authorization=wrong)) == 401
    assert ask(gate, authorization=f"bearer  {TEXT}") is None


def test_wrong_tokens_are_slowed_and_right_ones_are_not() -> None:
    gate = guarded()
    delays = []
    for _ in range(8):
        refusal = ask(gate, authorization="Bearer wrong")
        assert refusal is not None
        delays.append(refusal.delay_s)
    assert delays == sorted(delays)
    assert 0 < delays[0] < delays[-1] <= 5
    assert ask(gate, authorization=f"Bearer {TEXT}") is None
    missing = ask(gate)
    assert missing is not None
    assert missing.delay_s == 0
    elsewhere = ask(gate, address="192.0.2.2", authorization="Bearer wrong")
    assert elsewhere is not None
    assert elsewhere.delay_s == delays[0]


def test_a_login() -> None:
    gate = guarded()
    first = gate.log_in("wrong", "192.0.2.1", now=1e9, now_s=0)
    assert isinstance(first, float)
    cookie = gate.log_in(f" {TEXT} ", "192.0.2.1", now=1e9, now_s=0)
    assert isinstance(cookie, str)
    assert gate.log_in("wrong", "192.0.2.1", now=1e9, now_s=0) == first  # forgotten
    assert ask(gate, cookie=f"a=b; {gate.cookie_name}={cookie}") is None
    assert status(ask(gate, cookie=f"forebay_1={cookie}")) == 401
    assert status(ask(gate, cookie=f"{gate.cookie_name}={cookie}0")) == 401


def test_cookies_that_are_none() -> None:
    assert cookie_in("a=b; c=d", "c") == "d"
    for header in ("", ";;;", "c", "\x00=1", "c=\xff\x00"):
        assert isinstance(cookie_in(header, "c"), str)
