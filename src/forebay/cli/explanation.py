"""What a statement does to the session, and whether it pins, put into words. Pure."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from forebay.cli.hints import deed, hint, rds_hint
from forebay.session.causes import STATEMENT_LIMIT_BYTES, WITH_ITS_CLIENT, PinReason
from forebay.session.pins import minimal_pin
from forebay.session.rds import rds_explanation, rds_pin
from forebay.sql.calls import unknown_calls
from forebay.sql.digest import digest
from forebay.sql.effects import Effects
from forebay.sql.facts import facts_of, too_long
from forebay.sql.names import decoded
from forebay.worker.sessions.functions import NOTHING_SOUGHT, SoughtFunctions

Mode = Literal["minimal", "rds"]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What one statement does. ``reason`` and ``until`` are None if it does not pin.

    ``file`` is None if the text was an argument; ``line`` counts the text's lines from 1.
    ``unseen``: the functions it calls of which nothing is known.
    """

    file: str | None = None
    line: int = 1
    statement: str
    does: list[str]
    pins: bool
    reason: str | None = None
    why: str | None = None
    until: str | None = None
    hint: str | None = None
    unseen: list[str] = []


class Reader(msgspec.Struct, frozen=True):
    """How texts are read: by which mode, with what the operator lists for it, and whether their
    statements are run as prepared ones of the protocol that have a name."""

    mode: Mode = "minimal"
    listed: SoughtFunctions = NOTHING_SOUGHT
    prepared: bool = False


MINIMAL: Final = Reader()


def explain_text(text: bytes, reader: Reader = MINIMAL) -> list[Explanation]:
    """One Explanation for each statement of a text that is sent as one message, in order; of one
    that cannot be read, one. Prepared statements are sent one by one."""
    facts = facts_of(text)
    parts = facts.statements
    if facts.effects and not parts:  # they cannot be told apart
        return [_explain(text, reader)]
    whole = [
        msgspec.structs.replace(_explain(text[start:end], reader), line=line)
        for (start, end), line in zip(parts, lines_of(text, parts), strict=True)
    ]
    alone = len(parts) == 1
    if (
        len(text) > STATEMENT_LIMIT_BYTES
        and (alone or not reader.prepared)
        and (reader.mode == "rds" or (alone and not reader.listed.is_certain(text)))
    ):
        # What is sent in one message counts together, comments and blanks as well.
        return [_as_one(each, text, reader, alone) for each in whole]
    return whole


def lines_of(text: bytes, parts: tuple[tuple[int, int], ...]) -> Iterator[int]:
    """The line, from 1, on which each part of a text begins."""
    line, position = 1, 0
    for start, _ in parts:
        line += text.count(b"\n", position, start)
        position = start
        yield line


def _explain(text: bytes, reader: Reader) -> Explanation:
    facts = facts_of(text, functions=reader.listed.functions)
    is_too_long = len(text) > STATEMENT_LIMIT_BYTES
    reason: PinReason | None
    if reader.mode == "rds":
        reason = rds_pin(too_long(text) if is_too_long else facts, named=reader.prepared)
    elif is_too_long and not reader.listed.is_certain(text):
        reason = PinReason.STATEMENT_TOO_LONG
    else:
        reason = minimal_pin(facts.effects, reader.listed)
    does = list(dict.fromkeys(deed(effect) for effect in facts.effects))
    if not does and facts.first_set is not None:
        does = ["changes a setting until the transaction ends"]  # SET TRANSACTION, SET CONSTRAINTS
    unseen = [
        ".".join(decoded(part) for part in called if part)
        for called in unknown_calls(text, reader.listed.functions)
    ]
    nothing = "nothing that the text shows" if unseen else "nothing that outlives its transaction"
    shared = Explanation(
        statement=digest(text),
        does=does or [nothing],
        pins=False,
        unseen=unseen,
    )
    return shared if reason is None else _pinned(shared, reason, reader, facts.effects)


def _as_one(each: Explanation, text: bytes, reader: Reader, alone: bool) -> Explanation:
    reason = PinReason.STATEMENT_TOO_LONG
    if each.reason == reason.value or (each.pins and not alone):
        return each
    found = _pinned(each, reason, reader)
    why = f"{found.why} (All of one message counts: {len(text)} bytes.)"
    return msgspec.structs.replace(found, why=why)


def _pinned(
    each: Explanation, reason: PinReason, reader: Reader, effects: Effects = ()
) -> Explanation:
    rds = reader.mode == "rds"
    why = rds_explanation(reason, named=reader.prepared) if rds else reason.cause.sentence
    return msgspec.structs.replace(
        each,
        pins=True,
        reason=reason.value,
        why=why,
        until=WITH_ITS_CLIENT if rds else reason.cause.ends,
        hint=rds_hint(reason) if rds else hint(reason, effects),
    )
