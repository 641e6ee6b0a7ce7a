from urllib.parse import quote

import pytest

from forebay.dashboard.gate import HEADERS
from forebay.dashboard.token import Token
from forebay.node.target_status import TargetStatus
from tests.unit.dashboard.fakes import NUMBERS, FakeNode, Site, moment, site

TEXT = "0123456789abcdef+&%"


def token() -> Token:
    return Token("env:T", {"T": TEXT})


async def log_in(here: Site, text: str, **headers: str) -> tuple[int, str]:
    body = f"token={quote(text, safe='')}".encode()
    answer = await here.ask("/login", "POST", body, **headers)
    return answer.status, answer.headers.get("set-cookie", "")


async def test_health_is_all_it_needs() -> None:
    node = FakeNode()
    node.observer.is_silent = True
    async with site(node) as here:
        for _ in range(2):
            answer = await here.ask("/healthz")
            assert (answer.status, answer.body) == (200, b"ok\n")
            node.state = "draining"


async def test_readiness() -> None:
    node = FakeNode()
    async with site(node) as here:
        answer = await here.ask("/readyz")
        assert (answer.status, answer.body) == (200, b"ok\n")
        node.observer.is_silent = True
        answer = await here.ask("/readyz", accept="application/json")
        assert answer.status == 503
        assert answer.json == {
            "ok": False,
            "state": "serving",
            "problems": ["no worker is running at the moment"],
            "targets": {},
        }
        node.observer.is_silent = False
        node.state = "draining"
        answer = await here.ask("/readyz")
        assert (answer.status, answer.body) == (503, b"it is stopping: it takes no more clients\n")


async def test_a_node_that_holds_requests_is_ready_and_tells_strangers_no_addresses() -> None:
    node = FakeNode()
    node.servers = TargetStatus(state="HOLD", cause="db.internal:5432 is silent")
    async with site(node) as here:
        answer = await here.ask("/readyz")
        assert (answer.status, answer.body) == (200, b"ok\nproxies.app: HOLD: requests wait\n")
        answer = await here.ask("/readyz", accept="application/json")
        assert (answer.status, answer.json["targets"]) == (200, {"app": "HOLD"})
        node.servers = TargetStatus(state="UP", writer="db.internal:5432")
        assert (await here.ask("/readyz")).body == b"ok\n"


async def test_every_answer_has_the_headers() -> None:
    async with site(FakeNode(), token()) as here:
        for path in ("/healthz", "/login", "/absent", "/icon.svg", "/", "/api/now", "/api/events"):
            answer = await here.ask(path, authorization=f"Bearer {TEXT}")
            for name, value in HEADERS.items():
                assert answer.headers[name.lower()] == value, (path, name)
            assert "server" not in answer.headers


async def test_a_head_request_has_no_body() -> None:
    async with site(FakeNode()) as here:
        answer = await here.ask("/icon.svg", "HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path", ["/absent", "/login", "/index.html", "/login.html", "/../app.py", "/%2e%2e/app.py"]
)
async def test_what_is_not_there(path: str) -> None:
    async with site(FakeNode()) as here:
        assert (await here.ask(path)).status == 404


async def test_a_browser_logs_in_and_out() -> None:
    async with site(FakeNode(), token()) as here:
        sent = await here.ask("/")
        assert (sent.status, sent.headers["location"]) == (303, "login")
        assert b'name="token"' in (await here.ask("/login")).body
        status, cookie = await log_in(here, TEXT)
        assert status == 303
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Secure" not in cookie
        assert TEXT not in cookie
        assert "Secure" in (await log_in(here, TEXT, x_forwarded_proto="https"))[1]
        own = cookie.partition(";")[0]
        page = await here.ask("/", cookie=own)
        assert page.status == 200
        assert b'<form id="logout" method' in page.body
        assert (await here.ask("/api/now", cookie=own)).status == 200
        out = await here.ask("/logout", "POST", b"", cookie=own)
        assert out.status == 303
        assert "Max-Age=0" in out.headers["set-cookie"]


async def test_a_wrong_token() -> None:
    async with site(FakeNode(), token()) as here:
        answer = await here.ask("/login", "POST", b"token=wrong")
        assert answer.status == 401
        assert b"This is not the token." in answer.body
        assert "set-cookie" not in answer.headers
        assert (await here.ask("/absent", authorization="Bearer wrong")).status == 401
        assert (await here.ask("/", authorization="Bearer wrong")).status == 401


@pytest.mark.parametrize("body", [b"", b"a=b", b"token=" + b"x" * 10_000, b"a&" * 9, b"\xff\x00"])
async def test_what_is_no_login(body: bytes) -> None:
    async with site(FakeNode(), token()) as here:
        assert (await here.ask("/login", "POST", body)).status == 400


async def test_the_page_and_its_files() -> None:
    async with site(FakeNode()) as here:
        page = await here.ask("/")
        assert page.status == 200
        assert b'<form id="logout" hidden' in page.body
        for name in ("page.css", "js/main.js", "uplot.js", "uplot-license.txt"):
            assert (await here.ask(f"/{name}")).status == 200
        for part in (b"<style", b" style=", b"<script>", b" onclick=", b"http://", b"https://"):
            assert part not in page.body


async def test_now() -> None:
    async with site(FakeNode()) as here:
        for path in ("/api/now", "/api/now?proxy=app"):
            answer = await here.ask(path, connection="keep-alive")
            assert answer.json["proxy"]["numbers"] == NUMBERS
            assert answer.headers["connection"] == "close"
            assert answer.headers["content-type"] == "application/json"
        for path in ("/api/now", "/api/history"):
            assert (await here.ask(f"{path}?proxy=x")).status == 404


@pytest.mark.parametrize("since", ["1", "0", "", "-5", "nan", "inf", "1e99", "x" * 1000])
async def test_what_has_been(since: str) -> None:
    node = FakeNode()
    node.history.samples = [moment(1, clients=1), moment(2, clients=2)]
    node.observer.events.add("INFO", "one")
    node.observer.events.add("WARNING", "<b>two</b>")
    async with site(node) as here:
        past = (await here.ask(f"/api/history?since={since}")).json
        assert past["columns"]["clients"] == ([2] if since == "1" else [1, 2])
        events = (await here.ask(f"/api/events?since={since}")).json["events"]
        assert [each["text"] for each in events][-1] == "<b>two</b>"
        assert len(events) == (1 if since == "1" else 2)
