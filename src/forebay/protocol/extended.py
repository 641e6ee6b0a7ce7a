"""Parsers of what a client sends in the extended query protocol.

They take a message's body and raise MalformedMessageError for anything that is not what the
protocol describes (PostgreSQL documentation, "Message Formats"); nothing else.
"""

import struct
from typing import Final, NamedTuple

from forebay.protocol.messages import MalformedMessageError

_COUNT: Final = struct.Struct("!H")
_LENGTH: Final = struct.Struct("!i")


class Parse(NamedTuple):
    """``types``: how many types of parameters it gives."""

    statement: str
    text: str
    types: int


class Bind(NamedTuple):
    """``parameters``: how many it gives; ``formats``: codes for the result's columns."""

    portal: str
    statement: str
    parameters: int
    formats: list[int]


class Named(NamedTuple):
    """What Describe and Close name: a statement, or else a portal."""

    is_statement: bool
    name: str


class Execute(NamedTuple):
    """``rows``: how many at most; 0: all."""

    portal: str
    rows: int


class _Reader:
    """Takes a body apart, from its beginning to its end."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def string(self) -> str:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise MalformedMessageError("invalid string in message")
        found = self._body[self._at : end].decode("utf-8", "replace")
        self._at = end + 1
        return found

    def take(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._body):
            raise MalformedMessageError("insufficient data left in message")
        self._at += count
        return self._body[self._at - count : self._at]

    def count(self) -> int:
        return int(_COUNT.unpack(self.take(2))[0])

    def length(self) -> int:
        return int(_LENGTH.unpack(self.take(4))[0])

    def counts(self) -> list[int]:
        return [self.count() for _ in range(self.count())]

    def end(self) -> None:
        if self._at != len(self._body):
            raise MalformedMessageError("invalid message format")


def parse_query(body: bytes) -> str:
    """The text of a Query."""
    reader = _Reader(body)
    text = reader.string()
    reader.end()
    return text


def parse_parse(body: bytes) -> Parse:
    reader = _Reader(body)
    statement, text, types = reader.string(), reader.string(), reader.count()
    reader.take(4 * types)
    reader.end()
    return Parse(statement, text, types)


def parse_bind(body: bytes) -> Bind:
    reader = _Reader(body)
    portal, statement = reader.string(), reader.string()
    reader.counts()
    parameters = reader.count()
    for _ in range(parameters):
        length = reader.length()
        if length != -1:
            reader.take(length)
    formats = reader.counts()
    reader.end()
    return Bind(portal, statement, parameters, formats)


def parse_named(body: bytes) -> Named:
    """Of Describe and Close."""
    reader = _Reader(body)
    kind, name = reader.take(1), reader.string()
    reader.end()
    if kind not in (b"S", b"P"):
        raise MalformedMessageError("invalid message subtype")
    return Named(kind == b"S", name)


def parse_execute(body: bytes) -> Execute:
    reader = _Reader(body)
    portal, rows = reader.string(), reader.length()
    reader.end()
    return Execute(portal, max(0, rows))
