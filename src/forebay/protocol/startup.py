"""The first packet of a connection: what it asks for, and how its settings are read.

Follows PostgreSQL 18's ProcessStartupPacket, process_startup_options, pg_split_opts and
ParseLongOption (backend_startup.c, postinit.c, guc.c), which give the rules for what wins over
what: switches in `options` come first, parameters of their own come after and win, and the last
mention of a name wins over those before it.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

from forebay.protocol import errors

MAX_STARTUP_PACKET_BYTES: Final = 10_000
"""PostgreSQL's MAX_STARTUP_PACKET_LENGTH: the length of a startup packet without its length word.
"""

MIN_CANCEL_KEY_BYTES: Final = 4
MAX_CANCEL_KEY_BYTES: Final = 256
LATEST_MINOR: Final = 2
"""The newest minor version of protocol 3 that is spoken: 3.2, with its long cancel keys."""

CANCEL_REQUEST_CODE: Final = 80877102
SSL_REQUEST_CODE: Final = 80877103
GSSENC_REQUEST_CODE: Final = 80877104

_RESERVED: Final = frozenset({"user", "database", "options", "replication"})
_FALSE_WORDS: Final = ("false", "no", "off", "0")
_SPACE: Final = " \t\n\r\v\f"


class StartupLengthError(Exception):
    """A first packet of a length that none can have.

    Who sends that has not shown that he would understand an answer: PostgreSQL closes the
    connection without a word, and drivers that leave early (their Terminate reads as such a length)
    count on it.
    """


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """The client asks for TLS."""


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """The client asks for GSSAPI encryption."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """The client asks to cancel the query of another connection, which it names by its key."""

    pid: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """What a client asks for when it connects.

    `settings` holds every run-time setting under its lower-case name, those from `options`
    included. It is kept apart from `user` and `database`: `options=-c user=other` must not name
    another user. Text that is not UTF-8 is kept by surrogateescape.
    """

    major: int
    minor: int
    user: str | None
    database: str | None
    settings: dict[str, str]
    replication: bool = False
    has_options: bool = False
    unrecognized: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """User, database and settings in one table."""
        named = {"user": self.user, "database": self.database}
        return self.settings | {name: value for name, value in named.items() if value is not None}

    @property
    def must_negotiate(self) -> bool:
        """Whether the client has to be told what of its request is not supported."""
        return self.minor > LATEST_MINOR or bool(self.unrecognized)

    @property
    def agreed_minor(self) -> int:
        """The minor version that both sides speak from here on."""
        return min(self.minor, LATEST_MINOR)


Request = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest


def parse_startup(packet: bytes) -> Request:
    """Reads a first packet, given without its length word.

    Raises StartupLengthError; PgError: 08P01 for a packet that is malformed, 0A000 for another
    major version or a switch in `options` that is not supported, 42601 for a switch without its
    value.
    """
    if not 4 <= len(packet) <= MAX_STARTUP_PACKET_BYTES:
        raise StartupLengthError("invalid length of startup packet")
    (code,) = struct.unpack_from("!I", packet)
    if code in (SSL_REQUEST_CODE, GSSENC_REQUEST_CODE):
        if len(packet) != 4:
            raise StartupLengthError("invalid length of startup packet")
        return SSLRequest() if code == SSL_REQUEST_CODE else GSSENCRequest()
    if code == CANCEL_REQUEST_CODE:
        return _parse_cancel_request(packet)
    major, minor = code >> 16, code & 0xFFFF
    if major != 3:
        raise errors.unsupported_version(major, minor)
    return _parse_startup_message(minor, _split_parameters(packet))


def _parse_cancel_request(packet: bytes) -> CancelRequest:
    key = packet[8:]
    if not MIN_CANCEL_KEY_BYTES <= len(key) <= MAX_CANCEL_KEY_BYTES:
        raise StartupLengthError("invalid length of cancel request packet")
    (pid,) = struct.unpack_from("!i", packet, 4)
    return CancelRequest(pid, key)


def _split_parameters(packet: bytes) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    offset = 4
    while offset < len(packet) and packet[offset] != 0:
        end_of_name = packet.find(b"\0", offset)
        end_of_value = packet.find(b"\0", end_of_name + 1) if end_of_name > 0 else -1
        if end_of_value < 0:
            break
        name, value = packet[offset:end_of_name], packet[end_of_name + 1 : end_of_value]
        pairs.append((_text(name), _text(value)))
        offset = end_of_value + 1
    if offset != len(packet) - 1 or packet[offset] != 0:
        raise errors.protocol_violation(
            "invalid startup packet layout: expected terminator as last byte"
        )
    return pairs


def _parse_startup_message(minor: int, pairs: list[tuple[str, str]]) -> StartupMessage:
    named: dict[str, str] = {}
    own: dict[str, str] = {}
    unrecognized: list[str] = []
    for name, value in pairs:
        if name in _RESERVED:
            named[name] = value
        elif name.startswith("_pq_."):
            unrecognized.append(name)
        else:
            own[name.lower()] = value
    settings = dict(parse_options(named.get("options", "")))
    settings.update(own)
    for name in settings:
        if is_reserved(name):
            raise errors.unrecognized_setting(name)
    if "application_name" in settings:
        settings["application_name"] = _as_name(settings["application_name"])
    user = named.get("user") or None
    return StartupMessage(
        major=3,
        minor=minor,
        user=user,
        database=named.get("database") or user,
        settings=settings,
        replication=not _is_false(named.get("replication", "false")),
        has_options=bool(named.get("options", "").strip(_SPACE)),
        unrecognized=tuple(unrecognized),
    )


def _as_name(value: str) -> str:
    """An application_name as PostgreSQL takes it at the start of a session: any bytes, of which it
    shows those beyond ASCII as question marks. Later it takes text alone."""
    if all(not 0xDC80 <= ord(char) <= 0xDCFF for char in value):
        return value  # text: the database does the same to it whenever it comes
    raw = value.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in raw)


def is_reserved(name: str) -> bool:
    """Whether a name can be no setting because it means something else in a startup packet.

    Passed on as a parameter to a database, such a "setting" would change the user, start a
    walsender (`options=-c replication=database`) or end the packet early (an empty name).
    """
    return not name or name in _RESERVED or name.startswith("_pq_.")


def _is_false(value: str) -> bool:
    """PostgreSQL's parse_bool: any unambiguous beginning of a word counts."""
    word = value.lower()
    return word == "0" or (
        word not in ("", "o") and any(known.startswith(word) for known in _FALSE_WORDS)
    )


def parse_options(options: str) -> list[tuple[str, str]]:
    """Splits the startup parameter `options` into settings, in their order, names lower-case.

    Understands `-c name=value`, `-cname=value` and `--name=value`, where a dash in a name stands
    for an underscore, and the backslash before a space or another backslash. Raises PgError 0A000
    for any other switch, 42601 for one without its value.
    """
    settings: list[tuple[str, str]] = []
    words = iter(split_options(options))
    for word in words:
        if word == "-c":
            assignment = next(words, None)
            if assignment is None:
                raise errors.option_without_value("-c")
            switch = f"-c {assignment}"
        elif word.startswith("--") and len(word) > 2:
            assignment, switch = word[2:], word
        elif word.startswith("-c"):
            assignment, switch = word[2:], f"-c {word[2:]}"
        else:
            raise errors.unsupported_option(word)
        name, equals, value = assignment.partition("=")
        if not equals:
            raise errors.option_without_value(switch)
        settings.append((name.replace("-", "_").lower(), value))
    return settings


def split_options(options: str) -> list[str]:
    """PostgreSQL's pg_split_opts: words end at white space unless a backslash precedes it."""
    words: list[str] = []
    word: list[str] | None = None
    characters = iter(options)
    for character in characters:
        if character in _SPACE:
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        word = [] if word is None else word
        # A backslash at the very end stands for nothing.
        word.append(next(characters, "") if character == "\\" else character)
    if word is not None:
        words.append("".join(word))
    return words


def negotiate_protocol_version(unrecognized: tuple[str, ...], minor: int) -> bytes:
    """A NegotiateProtocolVersion message: the version to be spoken, and what is not known.

    The version goes out whole, as PostgreSQL sends it and libpq reads it, though the protocol's
    documentation speaks of the minor version only.
    """
    names = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in unrecognized)
    body = struct.pack("!II", 3 << 16 | minor, len(unrecognized)) + names
    return b"v" + struct.pack("!I", len(body) + 4) + body


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
