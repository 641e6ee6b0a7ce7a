"""Random sequences of statements that change and read the state of sessions."""

import random
from collections.abc import Callable

from tests.equivalence.exclusions import bound, told, without_known
from tests.equivalence.lanes import LANES_LIMIT, Step
from tests.equivalence.meanings import SHAPES, THEMES
from tests.equivalence.texts import (
    CONNECTS,
    CUSTOM,
    KINDS,
    PARAMETERIZED,
    SERIALIZABLE,
    SETTINGS,
    SHOWN,
)
from tests.equivalence.wire import Op

NAMES = ("", "", "", "a", "b", "with space", 'it\'s "odd"')
USED = (*NAMES, "s1", "s2")  # which SQL may have prepared
# The first clients log in with settings.
WITH_SETTINGS = 4
# How much of a program is about its theme.
ON_THEME = 0.5


class Chance(random.Random):
    """Chance, and what a program is mostly about."""

    theme = THEMES[0]


def statement(chance: Chance) -> str:
    """One statement."""
    theme = chance.theme.statements
    if theme and chance.random() < ON_THEME:
        return chance.choice(theme)
    which = chance.random()
    if which < 0.2:
        scope = chance.choice(("", "", "", "SESSION ", "LOCAL ", "LOCAL "))
        text = f"SET {scope}{chance.choice(SETTINGS)}"
    elif which < 0.3:
        name = chance.choice(SHOWN)
        text = chance.choice((f"SHOW {name}", f"SELECT current_setting('{name}')"))
    elif which < 0.35:
        text = f"SELECT coalesce(current_setting('{chance.choice(CUSTOM)}', true), '')"
    else:
        kinds = [kind for _, kind in KINDS]
        (kind,) = chance.choices(kinds, [weight for weight, _ in KINDS])
        text = chance.choice(kind)
    return text


def batch(chance: Chance) -> tuple[Op, ...]:
    """Messages of the extended protocol, sensible ones and others."""
    ops: list[Op] = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        ops += chance.choice(PATTERNS)(chance)
        if chance.random() < 0.15:
            ops.append(("H",))
        if chance.random() < 0.3:
            ops.append(("S",))
    if chance.random() < 0.15:
        del ops[chance.randrange(len(ops))]
    return (*bound(told(ops)), ("S",))


def _whole(chance: Chance) -> list[Op]:
    """All of it: Parse to Execute."""
    name = chance.choice(NAMES)
    sql, values = _text(chance)
    ops: list[Op] = [("P", name, sql), ("B", "", name, *values), ("D", "P", ""), ("E", "", "0")]
    if chance.random() < 0.3:
        ops.insert(1, ("D", "S", name))
    if name and chance.random() < 0.3:
        ops.append(("C", "S", name))
    return ops


def _again(chance: Chance) -> list[Op]:
    """A statement that may have been prepared."""
    name = chance.choice(USED)
    values = chance.choice(((), (), ("41",), ("x",)))
    ops: list[Op] = [("B", "", name, *values), ("E", "", "0")]
    if chance.random() < 0.4:
        ops.insert(0, ("D", "S", name))
    return ops


def _prepare(chance: Chance) -> list[Op]:
    return [("P", chance.choice(NAMES), _text(chance)[0])]


def _portal(chance: Chance) -> list[Op]:
    """A portal with a name, a few rows at a time."""
    name, portal = chance.choice(NAMES), chance.choice(("", "p", "q"))
    sql = "SELECT n, current_user FROM generate_series(1, 5) n"
    ops: list[Op] = [("P", name, sql), ("B", portal, name), ("E", portal, "2"), ("E", portal, "2")]
    extra: Op = chance.choice((("E", portal, "0"), ("C", "P", portal), ("C", "S", name)))
    return [*ops, extra]


def _odd(chance: Chance) -> list[Op]:
    """Messages that may name what is not there."""
    return [
        chance.choice(
            (
                ("C", "S", chance.choice(USED)),
                ("C", "P", chance.choice(("", "p"))),
                ("D", "S", chance.choice(USED)),
                ("D", "P", chance.choice(("", "p"))),
                ("E", chance.choice(("", "p")), "1"),
                ("S",),
                ("H",),
            )
        )
    ]


PATTERNS: tuple[Callable[[Chance], list[Op]], ...] = (
    _whole,
    _whole,
    _whole,
    _again,
    _again,
    _prepare,
    _portal,
    _odd,
)


def _text(chance: Chance) -> tuple[str, tuple[str, ...]]:
    theme = chance.theme.parameterized
    if chance.random() < (ON_THEME if theme else 0.4):
        sql, value = chance.choice(theme or PARAMETERIZED)
        return sql, () if value is None else (value,)
    sql = statement(chance)
    if sql in SHAPES:
        return "SELECT * FROM {me}.shape", ()  # not in the batch of what it changes
    return "BEGIN" if SERIALIZABLE in sql else sql, ()


def _connect(chance: Chance, lane: int) -> Op:
    connects = chance.theme.connects or CONNECTS
    return ("connect", *(chance.choice(connects) if lane < WITH_SETTINGS else ()))


def program(seed: int, lanes: int, length: int) -> list[Step]:
    """Steps of so many clients, `length` on average for each."""
    chance = Chance(seed)
    chance.theme = chance.choice(THEMES)
    assert lanes <= LANES_LIMIT
    steps: list[Step] = []
    lane = 0
    # A simple Query ends the unnamed statement: some clients hardly send one.
    simple = [chance.choice((0.65, 0.65, 0.1)) for _ in range(lanes)]
    for _ in range(lanes * length):
        if chance.random() < 0.6:
            lane = chance.randrange(lanes)
        which = chance.random()
        ops: tuple[Op, ...]
        if which < 0.02:
            ops = (_connect(chance, lane),)
        elif which < simple[lane]:
            ops = (("query", statement(chance)),)
        else:
            ops = batch(chance)
        steps.append(Step(lane, ops))
    seen: set[int] = set()
    whole: list[Step] = []
    for step in steps:
        if step.lane not in seen:
            seen.add(step.lane)
            whole.append(Step(step.lane, (_connect(chance, step.lane),)))
        whole.append(step)
    for number in sorted(seen):
        whole.append(Step(number, (("query", "ROLLBACK"),)))
        values = ", ".join(f"current_setting('{name}') AS {name}" for name in SHOWN)
        whole.append(Step(number, (("query", f"SELECT {values}"),)))
    return without_known(whole)
