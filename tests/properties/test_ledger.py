"""The ledger against a small model of PostgreSQL's backend loop (tcop/postgres.c, copyfromparse.c).

Whatever is pipelined and whenever the replies come: no reply is unexpected, each is treated as the
message that it answers asked for, and the ledger is empty just when the backend waits for a new
request.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.relay.ledgers import CONSTANTS, LEDGERS

KINDS = {
    "Q": CONSTANTS.QUERY,
    "F": CONSTANTS.FUNCTION,
    "S": CONSTANTS.SYNC,
    "P": CONSTANTS.PARSE,
    "B": CONSTANTS.BIND,
    "D": CONSTANTS.DESCRIBE,
    "E": CONSTANTS.EXECUTE,
    "C": CONSTANTS.CLOSE,
    "c": CONSTANTS.COPY_END,
    "f": CONSTANTS.COPY_END,
}
FORWARD, SWALLOW, FAKE = CONSTANTS.FORWARD, CONSTANTS.SWALLOW, CONSTANTS.FAKE


@dataclass
class Message:
    """A message to the backend: its type, what its execution does, and how it is accounted for.

    `does`: for Q one outcome for each statement, else one outcome. "copy" waits for data.
    """

    kind: str
    does: list[str] = field(default_factory=list)
    action: int = FORWARD


@dataclass
class Backend:
    """What PostgreSQL does, as far as replies show it."""

    inbox: deque[Message] = field(default_factory=deque)
    replies: deque[tuple[str, int]] = field(default_factory=deque)
    skipping: bool = False  # ignore_till_sync
    copying: Message | None = None

    @property
    def is_idle(self) -> bool:
        return not (self.inbox or self.replies or self.skipping or self.copying)

    def say(self, messages: str, message: Message) -> None:
        self.replies += [(each, message.action) for each in messages]

    def work(self) -> None:
        """Read one message."""
        message = self.inbox.popleft()
        if self.copying is not None:
            self._read_copy(message, self.copying)
        elif message.kind == "S":
            self.skipping = False
            self.say("EZ" if message.does == ["error"] else "Z", message)
        elif self.skipping or message.kind in "Hdcf":
            pass
        elif message.kind == "Q":
            self._go_on(message)
        elif message.kind == "F":
            self.say("EZ" if message.does == ["error"] else "VZ", message)
        elif message.does == ["error"]:
            self._fail(message)
        elif message.kind == "E":
            self._execute(message)
        else:
            self.say(
                {"P": "1", "B": "2", "C": "3"}.get(message.kind, "".join(message.does)), message
            )

    def _fail(self, message: Message) -> None:
        self.say("E", message)
        if message.kind == "Q":
            self.say("Z", message)
        else:
            self.skipping = True

    def _execute(self, message: Message) -> None:
        match message.does.pop(0):
            case "copy":
                self.say("G", message)
                self.copying = message
            case "copy fails at once":
                self.say("G", message)
                self._fail(message)
                message.does.clear()
            case outcome:
                self.say(outcome, message)

    def _go_on(self, message: Message) -> None:
        """The next statements of a simple query."""
        while message.does and message.does[0] != "error" and self.copying is None:
            failing = message.does[0] == "copy fails at once"
            self._execute(message)
            if failing:
                return
        if self.copying is not None:
            return
        self.say("EZ" if message.does else "Z", message)

    def _read_copy(self, message: Message, copying: Message) -> None:
        if message.kind in "SH":
            return
        assert message.kind in "dcf", "PostgreSQL would end the connection"
        if message.kind == "d" and message.does != ["error"]:
            return
        self.copying = None
        if message.kind == "c":
            self.say("C", copying)
            if copying.kind == "Q":
                self._go_on(copying)
            return
        copying.does.clear()
        self._fail(copying)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Messages that a client may send without looking at the answers, Forebay's own among them."""
    found: list[Message] = []
    for _ in range(draw(st.integers(1, 6))):
        found += draw(st.one_of(_simple(), _batch(), _copy(), _strays()))
    found.append(Message("S"))
    return found


OUTCOMES = st.sampled_from(["C", "TDDC", "I", "HddcC", "error"])


@st.composite
def _simple(draw: st.DrawFn) -> list[Message]:
    if draw(st.booleans()):
        return [Message("F", draw(st.sampled_from([["error"], []])))]
    action = draw(st.sampled_from([FORWARD, SWALLOW]))
    return [Message("Q", draw(st.lists(OUTCOMES, min_size=1, max_size=3)), action)]


@st.composite
def _batch(draw: st.DrawFn) -> list[Message]:
    found = []
    for kind in draw(st.lists(st.sampled_from("PBDECHpc"), max_size=8)):
        if kind in "pc":  # what Forebay adds to a batch, or answers itself
            action = draw(st.sampled_from([SWALLOW, FAKE]))
            found.append(Message(kind.upper(), [], action))
            continue
        does = {"D": ["T", "n", "tT", "tn", "error"], "E": ["C", "DDC", "I", "s", "Ds", "error"]}
        found.append(Message(kind, [draw(st.sampled_from(does.get(kind, ["", "", "error"])))]))
    ends = draw(st.sampled_from(["S", "S", "SS", "HS", ""]))
    return found + [Message(each, draw(st.sampled_from([[], [], ["error"]]))) for each in ends]


@st.composite
def _copy(draw: st.DrawFn) -> list[Message]:
    start = draw(st.sampled_from(["copy", "copy", "copy fails at once"]))
    data = [
        Message("d", draw(st.sampled_from([[], [], ["error"]]))) for _ in range(draw(ABOUT_TWO))
    ]
    end = Message(draw(st.sampled_from("cf")))
    if draw(st.booleans()):
        does = [start, *draw(st.lists(OUTCOMES, max_size=1))]
        more = draw(st.booleans())
        second = [Message("d"), Message("c")] if more else []
        return [Message("Q", does + ["copy"] * more), *data, end, *second]
    ignored = [Message(each) for each in draw(st.sampled_from(["", "S", "H", "SS", "HS"]))]
    batch = [Message("P"), Message("B"), Message("E", [start])]
    return [*batch, *ignored, *data, end, Message("S")]


@st.composite
def _strays(draw: st.DrawFn) -> list[Message]:
    return [Message(each) for each in draw(st.lists(st.sampled_from("dcfHS"), max_size=3))]


ABOUT_TWO = st.integers(0, 3)


def _send(ledger: Any, backend: Backend, message: Message) -> None:
    if message.kind in KINDS:
        ledger.push(KINDS[message.kind], message.action)
    if message.action == FAKE:
        while ledger.take_fake():
            pass
    else:
        backend.inbox.append(message)


def _hear(ledger: Any, backend: Backend) -> bool:
    """Take one reply; False when the ledger no longer vouches for what comes."""
    message, action = backend.replies.popleft()
    assert ledger.reply(ord(message)) == action, f"{message!r} was not treated as it should be"
    while ledger.take_fake():
        pass
    return not ledger.doubtful


def _requests(ledger: Any) -> int:
    """Entries that end with a ReadyForQuery for the client, looked for one by one (only the
    interpreted ledger shows them)."""
    entries = [ledger.ring[(ledger.head + each) & ledger.mask] for each in range(ledger.count)]
    return sum(each & 0x0F <= CONSTANTS.SYNC and each >> 4 & 3 == FORWARD for each in entries)


@given(conversations(), st.randoms(use_true_random=False), st.sampled_from(sorted(LEDGERS)))
@settings(max_examples=400, deadline=None)
def test_ledger_and_backend_agree(conversation: list[Message], order: Random, which: str) -> None:
    ledger, backend = LEDGERS[which](), Backend()
    todo = deque(conversation)
    while todo or backend.inbox or backend.replies:
        choices = [todo, backend.inbox, backend.replies]
        chosen = order.choice([each for each in choices if each])
        if chosen is todo:
            _send(ledger, backend, todo.popleft())
        elif chosen is backend.inbox:
            backend.work()
        elif not _hear(ledger, backend):
            return
        if which == "interpreted":
            assert ledger.requests == _requests(ledger)
        if ledger.count == 0 and not ledger.failed and not ledger.copy_in:
            assert not ledger.is_pipelined()
            # Only what has no answer may still be under way.
            assert not backend.replies
            assert all(each.kind in "Hdcf" for each in backend.inbox)
    if backend.copying is None:
        assert backend.is_idle
        assert (ledger.count, ledger.failed, ledger.fakes) == (0, False, 0)
