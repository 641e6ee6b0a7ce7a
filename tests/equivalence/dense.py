"""Random programs in which everything meets: hardly more clients than connections, two names, a
handful of texts.

In those of ``statements`` a name or a text seldom meets itself within a few steps. Here the same
text is prepared by several clients under the same name, closed, prepared again, bound under other
settings and dropped, half of the time in a batch that fails or in an aborted transaction.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from tests.equivalence.exclusions import LITERALS, bound, told, without_known
from tests.equivalence.lanes import Step
from tests.equivalence.meanings import THEMES
from tests.equivalence.texts import (
    CONNECTS,
    PARAMETERIZED,
    READS,
    SERIALIZABLE,
    SESSION_ONLY,
    SETTINGS,
    SHOWN,
    TRANSACTIONS,
)
from tests.equivalence.wire import Op

NAMES = ("", "a", "b")
PORTALS = ("", "", "p")
PIECES = 3, 8  # of a batch
OFTEN = 5  # times as often as others, the first three texts are prepared


class Crowd(NamedTuple):
    """So many clients, up to ``together`` of them under way at once, on so many connections."""

    connections: int
    lanes: int
    together: int


# A seed's remainder says which.
CROWDS = (Crowd(1, 2, 2), Crowd(1, 3, 3), Crowd(2, 3, 3))

Text = tuple[str, tuple[str, ...]]  # with values for its parameters
RUIN = ("work_mem", "much"), ("nonesuch", "1")  # logins that fail
LOGINS = tuple(setup for setup in CONNECTS if setup not in RUIN)
# On these it depends what a text means.
OF_MEANING = (
    "search_path",
    "SCHEMA",
    "ROLE",
    "Date",
    "TIME ZONE",
    "row_security",
    "transform_null",
    "NAMES",
)
# Those of other themes may pin until their client leaves.
PLAIN = tuple(setting for setting in SETTINGS if "pg_temp" not in setting.lower())
MEANING = tuple(setting for setting in PLAIN if setting.startswith(OF_MEANING))
CALLED = (
    ("search_path", "{me}"),
    ("search_path", "public, {me}"),
    ("role", "visitor"),
    ("DateStyle", "German"),
    ("TimeZone", "Asia/Tokyo"),
    ("work_mem", "7MB"),
    ("app.first", "called"),
)
CHANGING = "INSERT", "UPDATE", "DELETE"
RESETS = tuple(text for text in SESSION_ONLY if text.startswith("RESET"))
DEPENDING = (
    "SELECT who FROM place",
    "SELECT * FROM place, secret",
    "SELECT count(*) FROM entry",
    "SELECT current_user, current_setting('search_path')",
    *(f"SELECT {literal}" for literal in LITERALS[:2]),
)
FAILING = "SELECT 1/0", "SELEC", "SELECT * FROM nowhere", "INSERT INTO {me}.entry VALUES (1000)"
ENDS = "DEALLOCATE ALL", "DISCARD ALL", "DISCARD PLANS"
BEGINS = tuple(text for text in TRANSACTIONS if text.startswith(("BEGIN", "START")))
CONTROLS = tuple(text for text in TRANSACTIONS if SERIALIZABLE not in text and text not in BEGINS)
FINISHES = tuple(text for text in CONTROLS if text in ("COMMIT", "END", "ROLLBACK"))
# What pins, and what ends that.
PINS = (
    ("SELECT pg_advisory_lock({key}1)", "SELECT pg_advisory_unlock({key}1)"),
    ("CREATE TEMP TABLE t1 (n int)", "DROP TABLE t1"),
    ("LISTEN {me}", "UNLISTEN *"),
    ("PREPARE s1 AS SELECT 1", "DEALLOCATE s1"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 9) n", "CLOSE c"),
)


class Deck(NamedTuple):
    """The texts of one program."""

    connects: tuple[tuple[str, ...], ...]
    prepared: tuple[Text, ...]  # the first three the most often
    settings: tuple[str, ...]
    pin: tuple[str, str]
    others: tuple[str, ...]  # of its theme; they stand in messages of their own


def drawn(chance: random.Random) -> Deck:
    """A handful of texts."""
    theme = chance.choice(THEMES)
    names = chance.sample(MEANING, 1) + chance.sample(PLAIN, 1)
    settings = [f"SET {scope}{name}" for name in names for scope in ("", "LOCAL ")]
    name, value = chance.choice(CALLED)
    settings += [f"SELECT set_config('{name}', '{value}', {local})" for local in ("false", "true")]
    settings += [chance.choice(RESETS), chance.choice(("SET ROLE visitor", "SET ROLE NONE"))]
    pin = chance.choice(PINS)
    valued = chance.sample(theme.parameterized or PARAMETERIZED, 2)
    prepared = [(sql, () if value is None else (value,)) for sql, value in valued]
    plain = [
        chance.choice(DEPENDING),
        chance.choice(settings),
        chance.choice(BEGINS[:3]),
        chance.choice(CONTROLS),
        chance.choice((*ENDS, *pin, chance.choice(READS))),
        chance.choice(FAILING),
    ]
    return Deck(
        connects=((), (), chance.choice(theme.connects or LOGINS)),
        prepared=(*prepared, *((sql, ()) for sql in plain)),
        settings=tuple(settings),
        pin=pin,
        others=tuple(chance.sample(theme.statements, 3)) if theme.statements else (),
    )


class Dealer:
    """Deals the steps of one program, and knows roughly what becomes of them."""

    def __init__(self, chance: random.Random, deck: Deck) -> None:
        self._chance, self._deck = chance, deck
        self._known: dict[tuple[int, str], Text] = {}
        self._open: set[int] = set()  # lanes that are probably in a transaction
        self._pinned: set[int] = set()
        self._asked: set[int] = set()  # for settings, at their login

    def lane(self, last: int, lanes: int) -> int:
        """Who is next: mostly another one, unless the last is in a transaction."""
        if self._chance.random() < (0.6 if last in self._open else 0.2):
            return last
        return (last + self._chance.randrange(1, lanes)) % lanes

    def connect(self, lane: int) -> Op:
        """A login; another one before it ends."""
        for name in NAMES:
            self._known.pop((lane, name), None)
        self._open.discard(lane)
        self._pinned.discard(lane)
        setup = self._chance.choice(self._deck.connects)
        (self._asked.add if setup else self._asked.discard)(lane)
        return ("connect", *setup)

    def step(self, lane: int) -> Step:
        which = self._chance.random()
        ops: tuple[Op, ...]
        if which < 0.03:
            ops = (self.connect(lane),)
        elif which < 0.4:
            ops = (("query", self._query(lane)),)
        else:
            ops = self._batch(lane)
        for op in ops:
            if op[0] in ("query", "Q", "P"):
                self._note(lane, op[-1])
        return Step(lane, ops)

    def last(self, lane: int) -> list[Step]:
        """Whether names and settings are what they should be in the end."""
        values = ", ".join(f"current_setting('{name}') AS {name}" for name in SHOWN)
        ops: list[Op] = []
        for name in NAMES:
            _, bound_values = self._known.get((lane, name), ("", ()))
            ops += [("B", "", name, *bound_values), ("E", "", "0"), ("S",)]
        texts = "ROLLBACK", f"SELECT {values}"
        return [Step(lane, tuple(ops)), *(Step(lane, (("query", text),)) for text in texts)]

    def _note(self, lane: int, text: str) -> None:
        if text.startswith(("BEGIN", "START")):
            self._open.add(lane)
        elif text in FINISHES:
            self._open.discard(lane)
        if text == self._deck.pin[0]:
            self._pinned.add(lane)
        elif text in (self._deck.pin[1], "DISCARD ALL"):
            self._pinned.discard(lane)

    def _query(self, lane: int) -> str:
        chance, deck = self._chance, self._deck
        if deck.others and chance.random() < 0.15:
            return chance.choice(deck.others)
        return chance.choice((self._inside, self._alone))(lane)

    def _inside(self, lane: int) -> str:
        """What may stand among other messages, too."""
        chance, deck = self._chance, self._deck
        if lane in self._pinned and chance.random() < 0.4:
            return deck.pin[1]
        if lane in self._open:
            return chance.choice((*FINISHES, *chance.sample(CONTROLS, 4), *deck.settings))
        kinds = BEGINS[:3], BEGINS[:3], deck.settings, ENDS, FAILING, deck.pin[:1]
        return chance.choice(chance.choices(kinds, (4, 4, 6, 3, 1, 1))[0])

    def _alone(self, lane: int) -> str:
        chance = self._chance
        if chance.random() < 0.3:
            return f"DEALLOCATE {chance.choice(NAMES[1:])}"
        if chance.random() < 0.2:
            setting, end = chance.choice(self._deck.settings), chance.choice(FINISHES)
            # See differences.NOT_ASKED, "resets that are rolled back".
            return f"BEGIN; {setting}; {'COMMIT' if setting in RESETS else end}"
        return self._text()[0] if chance.random() < 0.5 else self._inside(lane)

    def _text(self) -> Text:
        return self._deck.prepared[self._number()]

    def _number(self) -> int:
        """Of one of the texts that are prepared."""
        count = len(self._deck.prepared)
        return self._chance.choices(range(count), [OFTEN] * 3 + [1] * (count - 3))[0]

    def _batch(self, lane: int) -> tuple[Op, ...]:
        chance = self._chance
        ops: list[Op] = []
        for _ in range(chance.randint(*PIECES)):
            ops += chance.choice(PIECE)(self, lane)
            which = chance.random()
            if which < 0.3:
                ops.append(("S",))
            elif which < 0.36:
                ops.append(("H",))
            elif which < 0.42:
                text = self._inside(lane)
                if lane not in self._asked or text not in (*RESETS, *ENDS):
                    ops.append(("Q", text))
        return (*bound(told(ops)), ("S",))

    # -- pieces of a batch ----------------------------------------------------------------------

    def _prepare(self, lane: int) -> list[Op]:
        """Parse, of a name that is often taken; mostly of the one that all prefer for the text."""
        chance, number = self._chance, self._number()
        name = NAMES[number % len(NAMES)] if chance.random() < 0.7 else chance.choice(NAMES)
        text = self._known[lane, name] = self._deck.prepared[number]
        parse: Op = ("P", name, text[0])
        return [("C", "S", name), parse] if name and chance.random() < 0.6 else [parse]

    def _run(self, lane: int, name: str | None = None) -> list[Op]:
        """Bind what the name probably stands for, and Execute."""
        chance = self._chance
        name = chance.choice(NAMES) if name is None else name
        _, values = self._known.get((lane, name), ("", ()))
        if chance.random() < 0.05:
            values = chance.choice(((), ("x",)))
        ops: list[Op] = [("B", "", name, *values), ("E", "", "0")]
        if chance.random() < 0.3:
            ops.insert(1, ("D", "P", ""))
        return ops

    def _whole(self, lane: int) -> list[Op]:
        ops = self._prepare(lane)
        return ops + self._run(lane, ops[-1][1])

    def _portal(self, lane: int) -> list[Op]:
        """A portal with a name, a row at a time."""
        name = self._chance.choice(NAMES)
        text, values = self._known.get((lane, name), ("", ()))
        if text.startswith(CHANGING):
            return self._run(lane, name)
        ops: list[Op] = [("B", "p", name, *values), ("E", "p", "1")]
        ops += self._chance.choice(((), (("E", "p", "0"),), (("C", "P", "p"),)))
        return ops

    def _single(self, lane: int) -> list[Op]:
        """One message, of what may not be there."""
        name, portal = self._chance.choice(NAMES), self._chance.choice(PORTALS)
        ops: tuple[Op, ...] = (
            ("D", "S", name),
            ("C", "S", name),
            ("D", "P", portal),
            ("E", portal, "1"),
            ("C", "P", portal),
        )
        return [self._chance.choice(ops)]

    def _error(self, lane: int) -> list[Op]:
        """What fails; the rest up to Sync is skipped."""
        ops: tuple[tuple[Op, ...], ...] = (
            (("B", "", "none"),),
            (("E", "none", "0"),),
            (("P", "", self._chance.choice(FAILING)), ("B", "", ""), ("E", "", "0")),
            (("P", self._chance.choice(NAMES), "SELEC"),),
        )
        return list(self._chance.choice(ops))

    def _control(self, lane: int) -> list[Op]:
        """Transactions and settings by messages of the batch."""
        text = self._inside(lane)
        self._known[lane, ""] = text, ()
        return [("P", "", text), ("B", "", ""), ("E", "", "0")]


PIECE: tuple[Callable[[Dealer, int], list[Op]], ...] = (
    Dealer._prepare,
    Dealer._whole,
    Dealer._whole,
    Dealer._run,
    Dealer._run,
    Dealer._run,
    Dealer._portal,
    Dealer._single,
    Dealer._error,
    Dealer._control,
)


def crowd(seed: int) -> Crowd:
    return CROWDS[seed % len(CROWDS)]


def program(seed: int, length: int) -> list[Step]:
    """Steps of the seed's crowd, `length` on average for each client."""
    chance = random.Random(seed)
    dealer = Dealer(chance, drawn(chance))
    lanes = crowd(seed).lanes
    steps = [Step(lane, (dealer.connect(lane),)) for lane in range(lanes)]
    lane = 0
    for _ in range(lanes * length):
        lane = dealer.lane(lane, lanes)
        steps.append(dealer.step(lane))
    for lane in range(lanes):
        steps += dealer.last(lane)
    return without_known(steps)
