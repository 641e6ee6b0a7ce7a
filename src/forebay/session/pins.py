"""What ties a client to its connection, why, and for how long. The one place where it is decided.

A statement whose text may change the session makes its client *suspect*; when its transaction is
over, the database is asked (see `audit`) which causes to pin really hold, and again after later
suspect transactions, so that a pin ends when its cause ends. Causes that cannot be asked for last
until the client leaves; then the connection is cleaned.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from forebay.session.causes import AUDITED, BY_EFFECT, PinReason
from forebay.session.functions import NOTHING_LISTED, Listed
from forebay.session.restoration import Restored
from forebay.session.special import HIDDEN, PINNING
from forebay.sql.effects import HOW_TEXT_IS_READ, Call, Command, Effect, Effects
from forebay.sql.functions import KNOWN
from forebay.sql.reasons import Reason
from forebay.sql.sequences import DRAWING, only_draws
from forebay.sql.settings import SettingChange
from forebay.sql.temporary import Creation

# A client that sets more parameters of its own making (with a dot in the name), or longer names, is
# pinned: they would have to be asked for after each change, and carried.
CUSTOM_LIMIT = 1000
CUSTOM_NAME_CHARACTERS = 256

WITH_THE_ANSWER = "the database has told what the session holds"

# In the body of a DO block: what could change state that the database cannot be asked for.
_HIDDEN_IN_BODY = re.compile(
    b"|".join(name for name, effect in KNOWN.items() if BY_EFFECT[effect] not in AUDITED)
    + rb"|\bload\b|\bexecute\b|\bset\b",
    re.IGNORECASE,
)


# There, too: what matters only to who asks for it.
_DRAWS = frozenset(name.encode() for name in DRAWING)


# There: what the database is asked for, and most likely finds.
_LEFT_BY_BODY = {
    reason: re.compile(rb"(?!.*%b).*%b" % reason.cause.in_body[::-1], re.IGNORECASE | re.DOTALL)
    for reason in PinReason
    if reason.cause.in_body is not None
}


@dataclass(slots=True)
class Notes:
    """What is known of one client's session beyond its settings. Made when it is first suspect."""

    statement: bytes = b""  # the last one that made it suspect
    doubts: set[PinReason] = field(default_factory=set)  # to be asked for at the next audit
    may_create: bool = False  # as is, without a text that says so, what may be temporary
    causes: dict[PinReason, bytes] = field(default_factory=dict)  # the statement for each
    lasting: set[PinReason] = field(default_factory=set)  # hold until the client leaves
    held: frozenset[PinReason] = frozenset()  # held at the last audit
    custom: set[str] = field(default_factory=set)  # settings with a dot in their name, ever set
    pinned_at: dict[PinReason, float] = field(default_factory=dict)
    resets: bool = False  # took a setting back, maybe to another value than init_query's
    discards: int = 0  # DISCARDs of sequences' values that were sent and not yet counted
    used_since: bool = False  # ... and whether a sequence was used behind the last of them
    restored: Restored = field(default_factory=dict)  # see `restoration`

    @property
    def reasons(self) -> frozenset[PinReason]:
        """Why the client is pinned now."""
        return self.held | self.lasting

    def end_of(self, reason: PinReason) -> str:
        """Until when the pin for `reason` lasts, in words."""
        if reason not in self.lasting and reason not in AUDITED:
            return WITH_THE_ANSWER
        return reason.cause.ends

    def forget(self) -> None:
        """The session has nothing that belongs to a connection."""
        self.doubts.clear()
        self.causes.clear()
        self.lasting.clear()
        self.held = frozenset()
        self.may_create = self.resets = self.used_since = False
        self.discards = 0
        self.restored = {}

    def take_doubts(self) -> frozenset[PinReason]:
        """What the database is to be asked for now that the transaction is over."""
        asked = self.held.union(self.doubts)
        if self.may_create:
            asked |= {PinReason.TEMPORARY_OBJECT}
        self.doubts.clear()
        self.may_create = False
        return asked

    def doubt_creation(self) -> None:
        """Note that the statement may have created something temporary, though its text does not
        say so."""
        self.may_create = True
        self.causes.setdefault(PinReason.TEMPORARY_OBJECT, self.statement)

    def doubt(self, reason: PinReason) -> None:
        """Note that the statement leaves this cause behind if it succeeds. The next audit asks for
        it."""
        self.doubts.add(reason)
        self.causes[reason] = self.statement

    def tie(self, reason: PinReason) -> None:
        """Note that the statement leaves a cause that the database cannot be asked for: the pin
        lasts until the client leaves."""
        self.lasting.add(reason)
        self.causes[reason] = self.statement

    def keep_drawn(self, statement: bytes) -> None:
        """Pin the client because `statement` draws from a sequence, or may, and its application
        asks for what it has drawn (currval, lastval)."""
        if PinReason.SEQUENCE not in self.lasting:
            self.lasting.add(PinReason.SEQUENCE)
            self.causes[PinReason.SEQUENCE] = statement
        self.used_since = True

    def doubt_all(self) -> None:
        """Note that the statement may leave any cause behind. Causes that another statement is
        noted for keep that one."""
        self.doubts |= AUDITED
        self.causes = dict.fromkeys(AUDITED, self.statement) | self.causes

    def count_discards(self, succeeded: int) -> None:
        """`succeeded` of the DISCARDs of sequences' values that were sent have succeeded. If all
        have, and no sequence was used behind the last, the pin for sequences ends."""
        if self.discards and self.discards == succeeded and not self.used_since:
            self.lasting.discard(PinReason.SEQUENCE)
        self.discards = 0
        self.used_since = False


def note_effects(notes: Notes, effects: Effects, listed: Listed = NOTHING_LISTED) -> None:
    """Take note of what a statement may do to the session."""
    for effect in effects:
        reason = BY_EFFECT[effect.reason]
        detail = effect.detail
        if only_draws(effect):
            continue
        if reason is PinReason.DO_BLOCK or (isinstance(detail, Call) and detail.listed):
            for name in listed.settings:
                _note_custom(notes, name)
        if isinstance(detail, Creation):
            notes.doubt_creation()
        elif reason in AUDITED:
            notes.doubts.add(reason)
            if isinstance(detail, Command) and detail.command == "EXECUTE":
                notes.doubt_all()  # what it runs was prepared earlier, and may do anything
            elif not _leaves_nothing(effect):
                notes.doubt(reason)
        elif isinstance(detail, SettingChange):
            notes.resets = notes.resets or detail.value is None
            if detail.makes_temporary or detail.may_name_pg_temp():
                # What it makes of the search_path is seen when the database tells.
                notes.causes[PinReason.SETTING] = notes.statement
            if detail.makes_temporary:
                notes.doubt(PinReason.TEMPORARY_OBJECT)
            elif detail.may_name_pg_temp():
                notes.doubt_creation()
            if detail.name in PINNING:
                notes.tie(PINNING[detail.name])
            elif not detail.exact and not detail.name and detail.command != "RESET ALL":
                notes.tie(PinReason.SETTING)  # a name that the text does not show
            elif detail.local and detail.name in HOW_TEXT_IS_READ:
                notes.tie(PinReason.UNREADABLE)  # what follows is read in another way
            elif "." in detail.name or detail.name in HIDDEN:
                _note_custom(notes, detail.name)
        elif reason is PinReason.DO_BLOCK:
            notes.doubt_all()
            notes.resets = True
            hidden = _hidden_in(effect) - listed.functions.ignored - _DRAWS
            if hidden:
                notes.tie(reason)
            if any(KNOWN.get(name) is Reason.SESSION_FUNCTION for name in hidden):
                notes.tie(PinReason.SESSION_FUNCTION)
        elif reason is PinReason.DISCARD:
            notes.doubts |= AUDITED & notes.held
            notes.resets = True
            if isinstance(detail, Command) and detail.name in ("all", "sequences"):
                notes.discards += 1
                notes.used_since = False
        elif reason is PinReason.SETTING:  # a listed function's: asked for after every suspicion
            notes.resets = True
            notes.doubt_creation()  # under what search_path is not known
        else:
            notes.tie(reason)
            notes.used_since = notes.used_since or reason is PinReason.SEQUENCE


def _hidden_in(block: Effect) -> set[bytes]:
    """What a DO block names that the database cannot be asked for."""
    return {match[0].lower() for match in _HIDDEN_IN_BODY.finditer(_body(block))}


def _body(block: Effect) -> bytes:
    return block.detail.body if isinstance(block.detail, Command) else b""


def minimal_pin(effects: Effects, listed: Listed = NOTHING_LISTED) -> PinReason | None:
    """Returns why a statement would pin its client if nothing came after it in its transaction;
    None if it would not.

    The database decides in the end. This foretells its answer: a lock that is taken is held, and a
    lock that is released was the last of its kind.
    """
    notes = Notes()
    effects = tuple(effect for effect in effects if not _leaves_nothing(effect))
    note_effects(notes, effects, listed)
    notes.count_discards(notes.discards)
    changes = [e.detail for e in effects if isinstance(e.detail, SettingChange)]
    if any(change.makes_temporary for change in changes):
        notes.lasting.add(PinReason.SETTING)  # once the database says so
    found = [reason for reason in PinReason if reason in notes.lasting]
    left = frozenset().union(*map(_left_by, effects))
    found += [reason for reason in PinReason if reason in notes.doubts & left]
    return found[0] if found else None


def _left_by(effect: Effect) -> set[PinReason]:
    """What the database most likely finds behind it."""
    if effect.reason is not Reason.DO_BLOCK:
        return {BY_EFFECT[effect.reason]}
    return {reason for reason, body in _LEFT_BY_BODY.items() if body.match(_body(effect))}


def _leaves_nothing(effect: Effect) -> bool:
    """Returns whether the effect ends with its transaction, or only ends what others began."""
    detail = effect.detail
    if isinstance(detail, Creation):
        return True  # of what is most likely not temporary
    if isinstance(detail, Command):
        return detail.command in ("UNLISTEN", "EXECUTE", "DEALLOCATE", "DEALLOCATE ALL")
    if isinstance(detail, Call):
        return not detail.listed and "unlock" in detail.function
    if isinstance(detail, SettingChange) and detail.local and detail.names_pg_temp:
        return True  # what is created under it is another statement's
    return effect.ends_with_transaction


def _note_custom(notes: Notes, name: str) -> None:
    """Remember the name of a setting that the database does not list."""
    if PinReason.TOO_MANY_SETTINGS in notes.lasting:
        return
    notes.custom.add(name)
    if len(notes.custom) > CUSTOM_LIMIT or len(name) > CUSTOM_NAME_CHARACTERS:
        notes.custom.clear()
        notes.tie(PinReason.TOO_MANY_SETTINGS)


class PinCounts:
    """How often clients were pinned, and for how long, by reason."""

    def __init__(self) -> None:
        self.begun: Counter[PinReason] = Counter()
        self.ended: Counter[PinReason] = Counter()
        self.duration_s: defaultdict[PinReason, float] = defaultdict(float)

    def begin(self, reason: PinReason) -> None:
        self.begun[reason] += 1

    def end(self, reason: PinReason, duration_s: float) -> None:
        """A pin for `reason` that lasted `duration_s` seconds is over."""
        self.ended[reason] += 1
        self.duration_s[reason] += duration_s

    def figures(self) -> dict[str, dict[str, int | float]]:
        """By reason: pins, the seconds that those lasted which have ended, and pins there are."""
        return {
            "pins": {each.value: self.begun[each] for each in PinReason},
            "pin_s": {each.value: self.duration_s[each] for each in PinReason},
            "clients_pinned": {
                each.value: self.begun[each] - self.ended[each] for each in PinReason
            },
        }
