"""How playbooks are written, and what plays them.

A file holds several, each under a title. One line is one step; a line that ends with a comma goes
on. Clients have names of your choice, database connections are db1, db2, ... as they are opened.

    == A title                       begins a playbook
    limit 1                          database connections allowed; before the first client
    queue 3                          clients that may wait; likewise
    database over tls                likewise
    lost transactions are retryable  likewise: in_transaction_error = "retryable"
    nothing is replayed              likewise: replay = false
    forgetting shows                 likewise; else the database does it at once, when it is told to
                                     forget what others have drawn from sequences
    client a                         comes, its parameters known: it has been greeted already
    client a with name=value ...     ... with start-up settings
    client a over tls
    client a as user/database
    new client a                     its parameters are not known yet

    a -> db1: MESSAGES               a sends them; db1 and nobody else gets just the same
    a sends: MESSAGES                (see `wording`)
    a sends half of: MESSAGE
    a sends the rest
    db1 gets: MESSAGES               exactly these, nothing before and nothing behind
    nobody gets anything             which is also checked before anything else is sent
    a closes                         its socket
    a closes its TLS                 with close_notify; the socket stays open
    a sends and closes its TLS: ...  in one write
    a sends in the clear: MESSAGES   though it has TLS
    a ends within a message          the relay has closed it, within a message that it got
    a is gone                        the relay has closed it; nothing more was said
    db1 serves a | is idle | is busy | is parked
    a waits | is idle
    a is pinned | is not pinned
    a cancels                        a cancel request naming a is received
    a cancel is on its way to db1    one was sent
    no cancel is on its way to db1
    the cancel reaches db1
    100 seconds pass
    db1 is cut                       its server is not to serve any more
    a is parted                      told to leave when its transaction is over, as at a drain
    openings wait | openings go on
    the next opening fails: 53300 'sorry, too many clients already'
    the next opening fails: unreachable
"""

import contextlib
import re
import shlex
import ssl
from dataclasses import dataclass
from pathlib import Path

from forebay.net.connector import ConnectError
from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity
from tests.playbooks import wording
from tests.playbooks.agenda import Gate
from tests.playbooks.rig import Chunker, Rig, whole


@dataclass(frozen=True)
class Playbook:
    """A title and numbered lines."""

    title: str
    file: str
    lines: tuple[tuple[int, str], ...]


def read(path: Path) -> list[Playbook]:
    """The playbooks of a file."""
    found: list[Playbook] = []
    lines: list[tuple[int, str]] = []
    title, pending = "", ""
    for number, line in enumerate([*path.read_text().splitlines(), "== "], 1):
        text = line.split(" #")[0].strip() if not line.startswith("#") else ""
        if text.startswith("=="):
            if title:
                found.append(Playbook(title, path.name, tuple(lines)))
            title, lines = text.removeprefix("==").strip(), []
        elif pending.endswith(",") or text:
            pending = f"{pending} {text}".strip()
            if not pending.endswith(","):
                lines.append((number, pending))
                pending = ""
    return found


def longest_send(playbook: Playbook) -> int:
    """The most bytes that one step of the playbook sends."""
    longest = 2
    for _, line in playbook.lines:
        found = re.match(r"\w+ (?:-> \w+|sends(?: half of)?): (.*)", line)
        if found:
            longest = max(longest, len(wording.encode(found[1])))
    return longest


_SETTING = (
    r"(limit|queue) (\d+)|database over tls|forgetting shows|lost transactions are retryable"
    r"|nothing is replayed"
)


def play(playbook: Playbook, chunker: Chunker = whole) -> None:
    """Play it; AssertionError says in which line it went wrong, and how."""
    lines = list(playbook.lines)
    settings: dict[str, int | bool] = {}
    while lines and (found := re.fullmatch(_SETTING, lines[0][1])):
        if found[1]:
            settings[found[1]] = int(found[2])
        elif found[0] == "forgetting shows":
            settings["forgets"] = False
        elif found[0] == "lost transactions are retryable":
            settings["retryable"] = True
        elif found[0] == "nothing is replayed":
            settings["replays"] = False
        else:
            settings["database_tls"] = True
        lines.pop(0)
    place: tuple[int, str] = (0, "")
    try:
        with Rig(chunker=chunker, **settings) as rig:  # type: ignore[arg-type]
            for place in lines:
                _step(rig, place[1])
                rig.check()
            place = (place[0] + 1, "(the end)")
            _nothing_else(rig)
            _nothing_half(rig)
    except AssertionError as error:
        where = f"{playbook.file}:{place[0]}: {place[1]}"
        raise AssertionError(f"{playbook.title}\n{where}\n{error}") from error


def _step(rig: Rig, line: str) -> None:
    for pattern, act in _STEPS:
        found = re.fullmatch(pattern, line)
        if found:
            act(rig, *found.groups())
            return
    raise ValueError(f"not a step: {line}")


def _nothing_else(rig: Rig, *but: str) -> None:
    for name in rig.actors:
        if name not in but:
            received, _ = wording.frames(rig.received(name))
            assert not received, f"{name} got something unexpected\n{wording.compare(received, [])}"


def _nothing_half(rig: Rig) -> None:
    """Messages may come in parts, but unless the relay has closed the connection they end."""
    for actor in rig.actors.values():
        assert not actor.inbox or actor.ended or actor.closed, f"{actor.name}: {actor.inbox!r}"


def _come(rig: Rig, new: str | None, name: str, rest: str) -> None:
    _nothing_else(rig)
    tls, user, database = False, "app", "app"
    if rest.startswith(" over tls"):
        tls, rest = True, rest.removeprefix(" over tls")
    if rest.startswith(" as "):
        whom, _, rest = rest.removeprefix(" as ").partition(" ")
        user, database = whom.split("/")
    words = shlex.split(rest.strip().removeprefix("with "))
    settings = tuple(sorted((w.split("=")[0], w.split("=", 1)[1]) for w in words))
    rig.client(name, settings, known=new is None, tls=tls, user=user, database=database)


def _send(rig: Rig, name: str, text: str) -> None:
    _nothing_else(rig)
    rig.send(name, wording.encode(text))


def _send_half(rig: Rig, name: str, text: str) -> None:
    _nothing_else(rig)
    data = wording.encode(text)
    rig.actors[name].unsent = data[len(data) // 2 :]
    rig.send(name, data[: len(data) // 2])


def _send_rest(rig: Rig, name: str) -> None:
    _nothing_else(rig)
    rig.send(name, rig.actors[name].unsent)


def _close_tls(rig: Rig, name: str, text: str | None) -> None:
    _nothing_else(rig)
    actor = rig.actors[name]
    data = actor.wrap(wording.encode(text or ""))
    assert actor.tls is not None
    with contextlib.suppress(ssl.SSLWantReadError):
        actor.tls.unwrap()
    rig.transmit(name, data + actor.outgoing.read())


def _send_clear(rig: Rig, name: str, text: str) -> None:
    _nothing_else(rig)
    rig.transmit(name, wording.encode(text))


def _get(rig: Rig, name: str, text: str) -> None:
    received, rig.actors[name].inbox = wording.frames(rig.received(name))
    difference = wording.compare(received, wording.messages(text))
    assert difference is None, f"{name} did not get what it should\n{difference}"


def _pass_on(rig: Rig, sender: str, receiver: str, text: str) -> None:
    _send(rig, sender, text)
    _get(rig, receiver, text)
    _nothing_else(rig)


def _close(rig: Rig, name: str) -> None:
    _nothing_else(rig)
    rig.leave(name)


def _gone(rig: Rig, name: str) -> None:
    actor = rig.actors[name]
    received, _ = wording.frames(rig.received(name))
    assert not received, f"{name} got something before\n{wording.compare(received, [])}"
    assert actor.ended or actor.closed, f"{name} is still connected"
    near = rig.clients.get(name) or rig.servers[name]
    assert near.is_closed, f"the relay keeps {name}"


def _end_within(rig: Rig, name: str) -> None:
    _, rest = wording.frames(rig.received(name))
    assert rest, f"{name} got no half of a message"
    rig.actors[name].inbox = b""
    _gone(rig, name)


def _serve(rig: Rig, server: str, client: str) -> None:
    assert rig.servers[server].client is rig.clients[client]


def _be(rig: Rig, name: str, state: str) -> None:
    if name in rig.clients:
        client = rig.clients[name]
        assert not client.is_closed, f"{name} is gone"
        holds = client.server is not None
        now = {
            "waits": client.is_waiting,
            "is idle": not client.is_waiting and not holds,
            "is pinned": client.pinned,
            "is not pinned": not client.pinned,
        }
    else:
        server = rig.servers[name]
        idle = server in server.pool.idle
        resting = server.client is None and server.ledger.count == 0
        now = {
            "is idle": idle,
            "is busy": not idle and server in rig.manager.servers,
            "is parked": not idle and resting and server.cancels_in_flight > 0,
        }
    assert now[state], f"{name}: {now}"


def _cancelled(rig: Rig, no: str, name: str) -> None:
    on_its_way = bool(rig.cancels.get(rig.servers[name]))
    assert on_its_way != (no == "no"), f"a cancel is on its way: {on_its_way}"


def _open(rig: Rig, state: str) -> None:
    if state == "wait":
        rig.opening = Gate()
    elif rig.opening is not None:
        gate, rig.opening = rig.opening, None
        gate.open()
        rig.settle()


def _fail_opening(rig: Rig, how: str) -> None:
    if how == "unreachable":
        rig.opening_errors.append(ConnectError("connection refused", transient=True))
    else:
        sqlstate, text = shlex.split(how)
        rig.opening_errors.append(PgError(Severity.FATAL, sqlstate, text))


def _cut(rig: Rig, name: str) -> None:
    _nothing_else(rig)
    rig.servers[name].cut("another server is the writer")
    rig.settle()


def _part(rig: Rig, name: str) -> None:
    _nothing_else(rig)
    rig.clients[name].part(errors.admin_shutdown().encode())
    rig.settle()


_STEPS = [
    (r"(new )?client (\w+)(.*)", _come),
    (r"(\w+) -> (\w+): (.*)", _pass_on),
    (r"(\w+) sends: (.*)", _send),
    (r"(\w+) sends half of: (.*)", _send_half),
    (r"(\w+) sends the rest", _send_rest),
    (r"(\w+) gets: (.*)", _get),
    (r"nobody gets anything", _nothing_else),
    (r"(\w+) closes", _close),
    (r"(\w+) closes its TLS()", _close_tls),
    (r"(\w+) sends and closes its TLS: (.*)", _close_tls),
    (r"(\w+) sends in the clear: (.*)", _send_clear),
    (r"(\w+) is gone", _gone),
    (r"(\w+) ends within a message", _end_within),
    (r"(\w+) serves (\w+)", _serve),
    (r"(\w+) (waits|is idle|is busy|is parked|is pinned|is not pinned)", _be),
    (r"(\w+) cancels", lambda rig, name: rig.cancel(name)),
    (r"(a|no) cancel is on its way to (\w+)", _cancelled),
    (r"the cancel reaches (\w+)", lambda rig, name: rig.deliver_cancel(name)),
    (r"(\d+) seconds pass", lambda rig, seconds: rig.pass_time(float(seconds))),
    (r"openings (wait|go on)", _open),
    (r"the next opening fails: (.*)", _fail_opening),
    (r"(\w+) is parted", _part),
    (r"(\w+) is cut", _cut),
]
