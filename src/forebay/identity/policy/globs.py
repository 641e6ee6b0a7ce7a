"""Patterns with `*` and `?`, matched in one pass over the text.

What the signs mean: "IAM JSON policy elements: Resource" in the IAM User Guide. Within the segments
of an ARN (between its colons) `*` stands for any characters, `/` among them, and `?` for exactly
one; a `*` that ends its segment goes beyond colons too. Elsewhere (StringLike) a colon is a
character like any other.

All positions of the pattern that the text read so far can have led to are kept as bits of one
number. Nothing is ever tried twice, so no pattern makes a text expensive, as it can a regular
expression.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

# The parts of a pattern are its characters, and these, which no character can be mistaken for.
_STAR, _ONE, _USERNAME = "any characters", "any character", "the user's name"
_SIGNS = {"*": _STAR, "?": _ONE}
# What IAM writes for the signs themselves: ${*}.
_ESCAPED = frozenset("*?$")
_VARIABLE = "aws:username"


class Glob:
    """A pattern. Case matters; who wants otherwise lowers both sides.

    ``segments``: colons divide, as in an ARN. ``variables``: `${aws:username}` and IAM's escapes
    `${*}`, `${?}` and `${$}` are understood, else `${` is text. Raises ValueError for a variable
    that is not known.
    """

    __slots__ = ("_machine", "_parts", "_segments", "needs_username", "text")

    def __init__(self, text: str, *, segments: bool = False, variables: bool = False) -> None:
        self.text = text
        self._segments = segments
        self._parts = list(_parse(text, variables))
        self.needs_username = _USERNAME in self._parts
        self._machine = None if self.needs_username else _Machine(self._parts, segments)

    def matches(self, text: str, username: str | None = None) -> bool:
        """Whether the whole of ``text`` is as the pattern says.

        A pattern with a user's name in it matches nothing for a principal without one. Signs in
        the name are text.
        """
        if self._machine is not None:
            return self._machine.matches(text)
        if username is None:
            return False
        parts: list[str] = []
        for part in self._parts:
            parts += username if part is _USERNAME else [part]
        return _Machine(parts, self._segments).matches(text)


class _Machine:
    """The positions that a text leads to: bit n stands for "the first n parts are matched"."""

    __slots__ = ("_any", "_beyond_colons", "_by_char", "_end", "_prefix", "_rest", "_stars")

    def __init__(self, parts: Sequence[str], segments: bool) -> None:
        parts = _without_repeated_stars(parts)
        self._end = 1 << len(parts)
        self._any = self._stars = self._beyond_colons = 0
        literals: dict[str, int] = {}
        for index, part in enumerate(parts):
            bit = 1 << index
            if part is _STAR:
                self._stars |= bit
                if not segments or index + 1 == len(parts) or parts[index + 1] == ":":
                    self._beyond_colons |= bit
            elif part is _ONE:
                self._any |= bit
            else:
                literals[part] = literals.get(part, 0) | bit
        self._by_char = {char: bits | self._any for char, bits in literals.items()}
        if segments:
            self._by_char[":"] = literals.get(":", 0)
        # Whatever comes is matched once a star at the end is reached.
        self._rest = self._stars & self._end >> 1
        first = next((i for i, part in enumerate(parts) if part in (_STAR, _ONE)), len(parts))
        self._prefix = "".join(parts[:first])

    def matches(self, text: str) -> bool:
        prefix = self._prefix
        if not text.startswith(prefix):  # most patterns are done with here
            return False
        stars, beyond_colons, by_char = self._stars, self._beyond_colons, self._by_char
        positions = 1 << len(prefix)
        positions |= (positions & stars) << 1
        for char in islice(text, len(prefix), None):
            if positions & self._rest:
                return True
            staying = positions & (beyond_colons if char == ":" else stars)
            positions = (positions & by_char.get(char, self._any)) << 1 | staying
            positions |= (positions & stars) << 1  # a star may stand for nothing
            if not positions:
                return False
        return bool(positions & self._end)


def _parse(text: str, variables: bool) -> Iterator[str]:
    index = 0
    while index < len(text):
        if variables and text.startswith("${", index):
            end = text.find("}", index)
            if end < 0:
                raise ValueError('has "${" without "}"')
            yield _variable(text[index + 2 : end])
            index = end
        else:
            yield _SIGNS.get(text[index], text[index])
        index += 1


def _variable(name: str) -> str:
    if name in _ESCAPED:
        return name
    if name.casefold() == _VARIABLE:  # names of keys are the same in either case
        return _USERNAME
    raise ValueError(
        f"has the variable ${{{name}}}, which is not known here; only ${{aws:username}} is"
    )


def _without_repeated_stars(parts: Sequence[str]) -> list[str]:
    return [
        part for i, part in enumerate(parts) if not (part is _STAR and i and parts[i - 1] is _STAR)
    ]
