"""What steps are as messages of the protocol, and what a client was told of its statements.

A client that binds in binary does so where it was told the types of a statement, as drivers do that
describe it once. Values stay text where it was told nothing.
"""

import contextlib
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from forebay.protocol import messages
from tests.harness import raw
from tests.harness.raw import Message

Op = tuple[str, ...]
# Answers to messages of the extended protocol, one each.
ANSWERS = "123nTCsI"
BOOLEAN, INT8, INT2, INT4, FLOAT4, FLOAT8 = 16, 20, 21, 23, 700, 701
TEXTS = 25, 705, 1043  # text, unknown, varchar
TIMES = 1114, 1184  # timestamp, timestamptz
NUMBERS = {INT8: "!q", INT2: "!h", INT4: "!i"}
FLOATS = {FLOAT4: "!f", FLOAT8: "!d"}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
CHANGED = b"cached plan must not change result type"
# Its parameters do not fit any more: the types are wrong for a column, or no operator takes them.
UNFIT = b"\0C42804\0", b"\0C42883\0"


def encoded(value: str, oid: int) -> bytes | None:
    """The value in the type's binary form, if it has one that is known here."""
    with contextlib.suppress(ValueError, struct.error):
        if oid in NUMBERS:
            return struct.pack(NUMBERS[oid], int(value))
        if oid in FLOATS:
            return struct.pack(FLOATS[oid], float(value))
        if oid in TIMES:
            since = datetime.fromisoformat(value).replace(tzinfo=UTC) - EPOCH
            return struct.pack("!q", round(since.total_seconds() * 1e6))
    if oid == BOOLEAN:
        return b"\1" if value == "t" else b"\0"
    return value.encode() if oid in TEXTS else None


def bind_binary(portal: str, name: str, values: Sequence[str], types: Sequence[int]) -> bytes:
    """Bind with values of the types that were told, and results in binary."""
    whole = [*types[: len(values)], *[0] * (len(values) - len(types))]
    pairs = list(zip(values, whole, strict=True))
    forms = [encoded(value, oid) for value, oid in pairs]
    formats = struct.pack(f"!{len(forms)}h", *(form is not None for form in forms))
    body = f"{portal}\0{name}\0".encode() + struct.pack("!h", len(forms)) + formats
    body += struct.pack("!h", len(values))
    for (value, _), form in zip(pairs, forms, strict=True):
        data = value.encode() if form is None else form
        body += struct.pack("!i", len(data)) + data
    return messages.message(b"B", body + struct.pack("!hh", 1, 1))


class Told:
    """What a client was told of its statements since it prepared them."""

    def __init__(self) -> None:
        self.types: dict[str, tuple[int, ...]] = {}
        self._results: set[str] = set()
        # Of portals, which statement each is of.
        self._portals: dict[str, str] = {}
        # Whether a statement has failed in the last step because it would return something else, or
        # takes something else, though its client was never told what.
        self.is_excused = False
        # Whether it was told the types of one only now, that it prepared in an earlier step.
        self._is_late = False

    def excuses(self, direct: Sequence[str], shared: Sequence[str]) -> bool:
        """Whether the answers to the last step may differ as they do."""
        rests = [
            [line for line in lines if not line.startswith("t ")] for lines in (direct, shared)
        ]
        if self.is_excused or (self._is_late and rests[0] == rests[1]):
            return True
        first = next((pair for pair in zip(*rests, strict=False) if pair[0] != pair[1]), ("", ""))
        # See differences.KNOWN, "described": the name of something that is gone.
        return first[0].startswith("n ") and first[1].startswith("E ") and "\\x00C42" in first[1]

    def learn(self, ops: Sequence[Op], answer: Sequence[Message]) -> None:
        """Of a whole step and what it was answered with."""
        self.is_excused = self._is_late = False
        fresh: set[str] = set()
        if ops[0][0] in ("connect", "query", "leave"):
            if ops[0][0] != "query":
                self.types, self._results = {}, set()
            return
        heard = deque(message for message in answer if message.kind in "123tTnCsIEZ")
        skipping = False
        for op in ops:
            if op[0] == "S" or (op[0] == "Q" and not skipping):
                while heard and heard.popleft().kind != "Z":
                    pass
                skipping = False
            elif op[0] != "H" and not skipping and heard:
                skipping = not self._take(op, heard, fresh)

    def _take(self, op: Op, heard: deque[Message], fresh: set[str]) -> bool:
        """The answer to one message; whether it did not fail. `fresh`: prepared in this step."""
        first = heard.popleft()
        if op[:2] == ("D", "S") and first.kind == "t":
            self._is_late |= op[2] not in self.types and op[2] not in fresh
            count = int.from_bytes(first.body[:2], "big")
            self.types[op[2]] = struct.unpack(f"!{count}I", first.body[2:])
            first = heard.popleft() if heard else first
        if op[0] == "E" or op[1] == "P":
            name = self._portals.get(op[1] if op[0] == "E" else op[2], "")
        else:
            name = op[1] if op[0] == "P" else op[2]
        if first.kind == "E":
            if CHANGED in first.body and name not in self._results:
                self.is_excused = True
            if op[0] != "P" and name not in self.types:
                self.is_excused |= any(code in first.body for code in UNFIT)
            return False
        if op[0] == "P":
            fresh.add(name)
            self.types.pop(name, None)
            self._results.discard(name)
        elif op[0] == "B":
            self._portals[op[1]] = name
        elif op[0] == "D":
            self._results.add(name)
        return True


def flights(ops: Sequence[Op], told: Told | None) -> Iterator[tuple[bytes, str]]:
    """Messages that are sent in one go, and the kinds of all that were sent up to then. `told`:
    bind in binary what was told of."""
    if ops[0][0] == "query":
        yield messages.query(ops[0][1]), "Q"
        return
    data, kinds = b"", ""
    fresh: set[str] = set()  # prepared in this step: nothing was told of them
    for kind, *values in ops:
        if kind == "H":
            yield data + raw.flush(), kinds
            data = b""
            continue
        kinds += kind
        if kind == "P":
            fresh.add(values[0])
        if kind == "B" and told is not None:
            types = () if values[1] in fresh else told.types.get(values[1], ())
            data += bind_binary(values[0], values[1], values[2:], types)
        else:
            data += _message(kind, values)
    if data:
        yield data, kinds


def is_answered(asked: str, heard: Sequence[str]) -> bool:
    """Whether messages of these kinds have had all their answers. Behind an error those up to the
    Sync, be it a Query, are answered with nothing."""
    answers = iter([kind for kind in heard if kind in ANSWERS + "EZ"])
    skipping = False
    for kind in asked:
        if kind == "S" or (kind == "Q" and not skipping):
            if "Z" not in answers:
                return False
            skipping = False
        elif not skipping:
            answer = next(answers, None)
            if answer is None:
                return False
            skipping = answer == "E"
    return True


def _message(kind: str, values: Sequence[str]) -> bytes:
    match kind:
        case "P":
            return raw.parse(values[1], values[0])
        case "B":
            return raw.bind(*values[2:], portal=values[0], name=values[1])
        case "D":
            return raw.describe(values[0], values[1])
        case "E":
            return raw.execute(values[0], int(values[1]))
        case "C":
            return raw.close(values[0], values[1])
        case "Q":
            return messages.query(values[0])
        case "S":
            return messages.sync()
    raise AssertionError(kind)
