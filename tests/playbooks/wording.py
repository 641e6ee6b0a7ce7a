"""Messages by name, as playbooks write them, and how what was received is compared with them.

Query 'SELECT 1'              a frontend message
Ready I                       a backend message
Error 42601 'no such thing'   compared byte by byte; a third word is PostgreSQL's routine
Error 08000                   sent by Forebay: compared by severity and SQLSTATE alone
Fatal 57P01                   likewise
BackendKeyData                any
Audit                         the query with which Forebay asks what a session holds
Changeover work_mem=1MB -role deallocate plans
                              a change-over with a guard: sets, takes back, forgets what is prepared
                              or planned; Changed, or Refused 57014, is the answer
Settings work_mem=1MB -role   the same without a guard, which is confirmed first
Forget                        a connection is told to forget what others have drawn from sequences;
                              Forgotten is the answer; WithinForget, WithinForgotten: in a batch
Bytes 17 00 ff                anything, in hexadecimal digits
"""

import re
import shlex
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from forebay.protocol.errors import PgError, parse_fields
from forebay.protocol.messages import message

# Several messages under one name.
SHORTHAND = {
    "Result": "RowDescription, DataRow 'x', CommandComplete 'SELECT 1'",
    "Batch": "Parse '' {0}, Bind, Describe P, Execute",
    # The answer to Audit: what the session holds.
    "Holds": "RowDescription, Row {0} '' '', CommandComplete 'SELECT 1'",
    "HoldsNothing": "RowDescription, CommandComplete 'SELECT 0'",
    "Changed": "CloseComplete, CommandComplete PREPARE, Ready I,"
    " ParameterDescription, RowDescription, CloseComplete",
    "Refused": "CloseComplete, Error {0} refused, Ready I,"
    " Error 26000 'prepared statement \"_forebay_settings\" does not exist'",
    "Forget": "Query 'DISCARD SEQUENCES'",
    "Forgotten": "CommandComplete 'DISCARD SEQUENCES', Ready I",
    "WithinForget": "Parse _forebay_own 'DISCARD SEQUENCES', Bind _forebay_own _forebay_own,"
    " Execute _forebay_own, Close P _forebay_own, Close S _forebay_own, Flush",
    "WithinForgotten": "ParseComplete, BindComplete, CommandComplete 'DISCARD SEQUENCES',"
    " CloseComplete, CloseComplete",
    "BatchResult": "ParseComplete, BindComplete, RowDescription, DataRow 'x',"
    " CommandComplete 'SELECT 1'",
}

_EMPTY = {
    "Sync": "S",
    "Flush": "H",
    "Terminate": "X",
    "ParseComplete": "1",
    "BindComplete": "2",
    "CloseComplete": "3",
    "NoData": "n",
    "PortalSuspended": "s",
    "EmptyQueryResponse": "I",
    "CopyDone": "c",
}
_TEXT = {"Query": "Q", "CommandComplete": "C", "CopyFail": "f"}
_FIXED = {
    "RowDescription": b"T" + struct.pack("!IH", 6, 0),
    "ParameterDescription": b"t" + struct.pack("!IH", 6, 0),
    "CopyInResponse": b"G" + struct.pack("!IBHH", 9, 0, 1, 0),
    "CopyOutResponse": b"H" + struct.pack("!IBHH", 9, 0, 1, 0),
    "CopyBothResponse": b"W" + struct.pack("!IBHH", 9, 0, 1, 0),
    "FunctionCall": b"F" + struct.pack("!IIHHH", 14, 1299, 0, 0, 0),
    "FunctionCallResponse": b"V" + struct.pack("!Ii", 8, -1),
    "Bind": message(b"B", b"\0\0" + bytes(6)),
    "Execute": message(b"E", b"\0" + bytes(4)),
}


@dataclass(frozen=True)
class Expected:
    """One message: its bytes to send, or what it must look like when received."""

    words: str
    data: bytes | None
    severity: str = ""
    sqlstate: str = ""

    def matches(self, received: bytes) -> bool:
        if self.data is not None and b"_forebay_#" in self.data:  # whatever its number is
            renamed = re.sub(rb"_forebay_\d+", b"_forebay_#", received)
            return (renamed[:1], renamed[5:]) == (self.data[:1], self.data[5:])
        if self.data is not None:
            return received == self.data
        if self.words == "BackendKeyData":
            return received[:1] == b"K"
        if self.words == "Audit":
            return received[:1] == b"Q" and b"pg_catalog.pg_settings" in received
        if received[:1] != b"E":
            return False
        fields = parse_fields(received[5:])
        return (fields["S"], fields["C"]) == (self.severity, self.sqlstate)


def messages(text: str) -> list[Expected]:
    """The messages of a comma-separated list."""
    return list(_messages(text))


def encode(text: str) -> bytes:
    """The same as bytes to be sent."""
    return b"".join(_data(each) for each in messages(text))


def _data(each: Expected) -> bytes:
    if each.data is None:
        raise ValueError(f"cannot be sent as it stands: {each.words}")
    return each.data


def _messages(text: str) -> Iterator[Expected]:
    for part in re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^,'\"])+", text):
        words = shlex.split(part)
        if words and words[0] in SHORTHAND:
            rest = [f"'{word}'" for word in words[1:]]
            yield from _messages(SHORTHAND[words[0]].format(*rest))
        elif words and words[0] in ("Changeover", "Settings"):
            yield from _changeover(words[0], words[1:])
        elif words:
            yield _message(part.strip(), words[0], words[1:])


def _changeover(name: str, changes: list[str]) -> Iterator[Expected]:
    """What leaves for a change-over."""
    statements = ["DEALLOCATE ALL"] * changes.count("deallocate")
    statements += [f'RESET "{change[1:]}"' for change in changes if change.startswith("-")]
    pairs = [change.split("=", 1) for change in changes if "=" in change]
    calls = [f"pg_catalog.set_config('{name}', '{value}', false)" for name, value in pairs]
    statements += [f"SELECT pg_catalog.num_nulls({', '.join(calls)})"] if calls else []
    statements += ["DISCARD PLANS"] * changes.count("plans")
    guard = "_forebay_settings"
    if name == "Settings":
        yield _message(name, "Query", [";".join(statements)])
        return
    yield _message(name, "Close", ["S", guard])
    statements.append(f"PREPARE {guard} AS VALUES (true)")
    yield _message(name, "Query", [";".join(statements)])
    yield _message(name, "Describe", ["S", guard])
    yield _message(name, "Close", ["S", guard])


def _message(text: str, name: str, words: list[str]) -> Expected:
    if name in ("Error", "Fatal"):
        severity = "ERROR" if name == "Error" else "FATAL"
        if len(words) == 1:
            return Expected(text, None, severity, words[0])
        fields = {"S": severity, "V": severity, "C": words[0], "M": words[1]}
        fields |= {"R": words[2]} if len(words) > 2 else {}
        return Expected(text, message(b"E", _fields(fields)))
    if name in ("BackendKeyData", "Audit"):
        return Expected(name, None)
    return Expected(text, _bytes(name, words))


def _bytes(name: str, words: list[str]) -> bytes:
    if name in _EMPTY:
        return message(_EMPTY[name].encode())
    if name in _FIXED and not words:
        return _FIXED[name]
    if name in _TEXT:
        return message(_TEXT[name].encode(), words[0].encode() + b"\0")
    match name:
        case "Parse":
            body = words[0].encode() + b"\0" + words[1].encode() + b"\0"
            return message(b"P", body + _types(words[2:]))
        case "ParameterDescription":
            return message(b"t", _types(words))
        case "Bind":  # to a named statement, of the unnamed portal or another
            portal = words[1].encode() if len(words) > 1 else b""
            return message(b"B", portal + b"\0" + words[0].encode() + b"\0" + bytes(6))
        case "Execute":  # of a portal with a name
            return message(b"E", words[0].encode() + b"\0" + bytes(4))
        case "Describe" | "Close":
            statement = words[1] if len(words) > 1 else ""
            kind = b"D" if name == "Describe" else b"C"
            return message(kind, words[0].encode() + statement.encode() + b"\0")
        case "RowDescription":  # columns of type text
            columns = b"".join(
                w.encode() + b"\0" + struct.pack("!IHIHIH", 0, 0, 25, 65535, 2**32 - 1, 0)
                for w in words
            )
            return message(b"T", struct.pack("!H", len(words)) + columns)
        case "CopyData":
            return message(b"d", words[0].encode() * int(words[1] if len(words) > 1 else 1))
        case "DataRow":
            value = words[0].encode() * int(words[1] if len(words) > 1 else 1)
            return message(b"D", struct.pack("!HI", 1, len(value)) + value)
        case "Row":
            columns = b"".join(struct.pack("!I", len(w)) + w.encode() for w in words)
            return message(b"D", struct.pack("!H", len(words)) + columns)
        case "Ready":
            return message(b"Z", words[0].encode())
        case "Notice":
            return message(b"N", _fields({"S": "NOTICE", "C": "00000", "M": words[0]}))
        case "Notification":
            return message(b"A", struct.pack("!I", 7) + words[0].encode() + b"\0\0")
        case "ParameterStatus":
            return message(b"S", words[0].encode() + b"\0" + words[1].encode() + b"\0")
        case "Bytes":
            return bytes.fromhex("".join(words))
    raise ValueError(f"no such message: {name}")


def _types(words: list[str]) -> bytes:
    """Of parameters, as Parse and ParameterDescription have them; `words`: their oids."""
    return struct.pack(f"!H{len(words)}I", len(words), *map(int, words))


def _fields(fields: dict[str, str]) -> bytes:
    return b"".join(f"{code}{value}\0".encode() for code, value in fields.items()) + b"\0"


def frames(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole messages, and the part of one that is left at the end."""
    found, at = [], 0
    while len(data) - at >= 5:
        total = int.from_bytes(data[at + 1 : at + 5], "big") + 1
        if len(data) - at < total:
            break
        found.append(data[at : at + total])
        at += total
    return found, data[at:]


def compare(got: Sequence[bytes], expected: Iterable[Expected]) -> str | None:
    """None if exactly the expected messages were received; else what is wrong, in words."""
    wanted = list(expected)
    if len(got) == len(wanted) and all(w.matches(g) for w, g in zip(wanted, got, strict=True)):
        return None
    return (
        f"expected: {', '.join(each.words for each in wanted) or 'nothing'}\n"
        f"received: {', '.join(map(describe, got)) or 'nothing'}"
    )


def describe(frame: bytes) -> str:
    """A received message for a failing test's reader."""
    if frame[:1] == b"E" and len(frame) > 9:
        error = PgError.parse(frame[5:])
        return f"{error.severity} {error.sqlstate} {error.message!r}"
    return f"{frame[:1].decode('latin-1')}{frame[5:200]!r}"
