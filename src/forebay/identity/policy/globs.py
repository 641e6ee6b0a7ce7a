"""Patterns with `*` and `?`, matched in one pass over the text.

What the signs mean: "IAM JSON policy elements: Resource" in the IAM User Guide. Within the segments
of an ARN (between its colons) `*` stands for any characters, `/` among them, and `?` for exactly
one; a `*` that ends its segment goes beyond colons too. Elsewhere (StringLike) a colon is a
character like any other.

All positions of the pattern that the text read so far can have led to are kept as bits of one
number. Nothing is ever tried twice, so no pattern makes a text expensive, as it can a regular
expression.
"""

from collections.abc import Iterable
from dataclasses import dataclass

STAR, ONE = "*", "?"
# What a variable's place is marked by among the parts of a pattern.
_USERNAME = "aws:username"
# What IAM writes for the signs themselves.
_ESCAPES = {"*": "*", "?": "?", "$": "$"}


@dataclass(frozen=True, slots=True)
class _Part:
    """One element of a pattern: a sign of its own, a variable or a character."""

    text: str
    special: bool = False


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
        self._parts = tuple(_parse(text, variables))
        self.needs_username = any(each == _Part(_USERNAME, True) for each in self._parts)
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
        name = [_Part(char) for char in username]
        parts: list[_Part] = []
        for part in self._parts:
            parts += name if part == _Part(_USERNAME, True) else [part]
        return _Machine(parts, self._segments).matches(text)


class _Machine:
    """The positions that a text leads to: bit n stands for "the first n parts are matched"."""

    __slots__ = ("_any", "_beyond_colons", "_by_char", "_end", "_prefix", "_stars")

    def __init__(self, parts: Iterable[_Part], segments: bool) -> None:
        parts = _without_repeated_stars(parts)
        self._end = 1 << len(parts)
        self._any = self._stars = self._beyond_colons = 0
        literals: dict[str, int] = {}
        for index, part in enumerate(parts):
            bit = 1 << index
            if part == _Part(STAR, True):
                self._stars |= bit
                if not segments or index + 1 == len(parts) or parts[index + 1] == _Part(":"):
                    self._beyond_colons |= bit
            elif part == _Part(ONE, True):
                self._any |= bit
            else:
                literals[part.text] = literals.get(part.text, 0) | bit
        self._by_char = {char: bits | self._any for char, bits in literals.items()}
        if segments:
            self._by_char[":"] = literals.get(":", 0)
        specials = (index for index, part in enumerate(parts) if part.special)
        self._prefix = "".join(part.text for part in parts[: next(specials, len(parts))])

    def matches(self, text: str) -> bool:
        if not text.startswith(self._prefix):  # most patterns are done with here
            return False
        stars, beyond_colons, by_char = self._stars, self._beyond_colons, self._by_char
        positions = 1 | (1 & stars) << 1
        for char in text:
            staying = positions & (beyond_colons if char == ":" else stars)
            positions = (positions & by_char.get(char, self._any)) << 1 | staying
            positions |= (positions & stars) << 1  # a star may stand for nothing
            if not positions:
                return False
        return bool(positions & self._end)


def _parse(text: str, variables: bool) -> Iterable[_Part]:
    index = 0
    while index < len(text):
        char = text[index]
        if variables and text.startswith("${", index):
            end = text.find("}", index)
            if end < 0:
                raise ValueError('has "${" without "}"')
            yield _variable(text[index + 2 : end])
            index = end
        else:
            yield _Part(char, char in (STAR, ONE))
        index += 1


def _variable(name: str) -> _Part:
    if name in _ESCAPES:
        return _Part(_ESCAPES[name])
    if name.casefold() == _USERNAME:  # names of keys are the same in either case
        return _Part(_USERNAME, True)
    raise ValueError(
        f"has the variable ${{{name}}}, which is not known here; only ${{aws:username}} is"
    )


def _without_repeated_stars(parts: Iterable[_Part]) -> list[_Part]:
    out: list[_Part] = []
    for part in parts:
        if not (part == _Part(STAR, True) and out and out[-1] == part):
            out.append(part)
    return out
