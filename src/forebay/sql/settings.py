"""SET, RESET and ``set_config``: which setting changes, to what, and for how long."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from forebay.sql.lexer import NAMES, Kind, Token, string_value

# A call whose arguments have more tokens is not looked into: reading stays linear in the text
# however calls are nested.
MAX_CALL_TOKENS: Final = 64


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One change of a setting.

    ``name`` is PostgreSQL's, in lower case (``timezone`` for TIME ZONE, ``client_encoding`` for
    NAMES, ``search_path`` for SCHEMA, ``session characteristics``), empty for RESET ALL or if the
    text does not show it. ``value`` is the text behind ``=`` or TO as written (of ``set_config``
    the string itself), None for DEFAULT and for TIME ZONE LOCAL, which is the same. ``local``
    changes end with the transaction. Unless ``exact``, name and value are not fully known. A name
    beyond ASCII is not known. ``bound``: the value is a parameter, which stands in Bind.
    """

    command: Literal["SET", "RESET", "RESET ALL", "set_config"]
    name: str
    value: str | None
    local: bool = False
    exact: bool = True
    bound: bool = False

    @property
    def makes_temporary(self) -> bool:
        """Whether what is created without a schema from now on is temporary."""
        return self.name == "search_path" and makes_temporary(self.value or "")

    @property
    def names_pg_temp(self) -> bool:
        """Whether the text shows a search_path in which pg_temp stands, or may."""
        return self.name == "search_path" and _may_name_pg_temp(self.value or "")

    def may_name_pg_temp(self, bound: bool = True) -> bool:
        """Returns whether pg_temp may stand in the search_path from now on. ``bound`` says whether
        it may for a value that is a parameter. (Not for DEFAULT and RESET: the text does not show
        what they set.)"""
        if self.name not in ("search_path", "") or self.command.startswith("RESET"):
            return False
        if self.value is not None:
            return _may_name_pg_temp(self.value)
        return bound if self.bound else not self.exact

    @property
    def resets_search_path(self) -> bool:
        """Whether the search_path is, or may be, what sessions begin with again."""
        resets = self.command == "RESET ALL" or (self.value is None and self.exact)
        return resets and self.name in ("search_path", "")


_SPECIAL_NAMES: Final[dict[bytes, tuple[bytes, str]]] = {
    # first word: second word or nothing, the setting it means
    b"names": (b"", "client_encoding"),
    b"role": (b"", "role"),
    b"schema": (b"", "search_path"),
    b"catalog": (b"", "catalog"),
    b"time": (b"zone", "timezone"),
    b"xml": (b"option", "xmloption"),
    b"session": (b"authorization", "session_authorization"),
}

_TEMPORARY_FIRST: Final = re.compile(
    r"""['"\s]*(?:\$user['"]*\s*,['"\s]*)?pg_temp\b""", re.IGNORECASE
)


# What a string may hold that is written in another way.
_ESCAPED: Final = re.compile(r"""\\|u&|--|/\*""", re.IGNORECASE)
_QUOTES_AND_BLANKS: Final = re.compile(r"""['"\s]""")


def names_pg_temp(search_path: str) -> bool:
    """Whether pg_temp stands anywhere in a search_path, as PostgreSQL shows it."""
    return "pg_temp" in search_path.lower()


def _may_name_pg_temp(written: str) -> bool:
    """The same for a search_path as a text has it."""
    plain = _QUOTES_AND_BLANKS.sub("", written)
    return names_pg_temp(plain) or _ESCAPED.search(written) is not None


def makes_temporary(search_path: str) -> bool:
    """Whether CREATE TABLE and the like make temporary objects under this search_path: there is no
    other schema before pg_temp, or only one's own, which may not exist."""
    return _TEMPORARY_FIRST.match(search_path) is not None


def word(tokens: Sequence[Token], index: int) -> bytes:
    """The keyword or unquoted name at ``index`` in lower case, or nothing."""
    if index < len(tokens) and tokens[index].kind is Kind.WORD:
        return tokens[index].value
    return b""


def setting_change(text: bytes, tokens: Sequence[Token]) -> SettingChange | None:
    """Read a SET statement (``tokens`` begin with SET); None if it changes no setting.

    SET TRANSACTION and SET CONSTRAINTS change the transaction only. SET SESSION TRANSACTION, which
    is MySQL's way to say SET SESSION CHARACTERISTICS, does so, too; it is reported as local.
    """
    index, scope = 1, b""
    clause = word(tokens, 1), word(tokens, 2)
    own = (b"session", b"authorization"), (b"session", b"characteristics")
    scoped = clause[0] in (b"local", b"session") and clause not in own
    if scoped and not _is_variable(text, tokens, 1):
        index, scope = 2, clause[0]
    local = scope == b"local"
    if index < len(tokens) and _is_variable(text, tokens, index):
        return _generic(text, tokens, index, local)
    first, second = word(tokens, index), word(tokens, index + 1)
    if first == b"constraints" and not scope:
        return None
    if first == b"transaction":
        if scope != b"session":
            return None
        return SettingChange("SET", "transaction", None, local=True, exact=False)
    if first == b"session" and second == b"characteristics":
        return SettingChange("SET", "session characteristics", _raw(text, tokens[index + 3 :]))
    special = _SPECIAL_NAMES.get(first)
    if special is None or special[0] not in (b"", second):
        return SettingChange("SET", "", None, local, exact=False)
    value = tokens[index + (2 if special[0] else 1) :]
    if special[1] == "timezone" and len(value) == 1 and word(value, 0) == b"local":
        return SettingChange("SET", special[1], None, local)
    return SettingChange("SET", special[1], _value(text, value), local)


def reset_change(tokens: Sequence[Token]) -> SettingChange:
    """Read a RESET statement (``tokens`` begin with RESET)."""
    first, second = word(tokens, 1), word(tokens, 2)
    if first == b"all":
        return SettingChange("RESET ALL", "", None)
    special = _SPECIAL_NAMES.get(first)
    if special and special[0] and special[0] == second:
        return SettingChange("RESET", special[1], None)
    if first == b"transaction" and second == b"isolation":
        return SettingChange("RESET", "transaction_isolation", None)
    name, end = _variable(tokens, 1)
    return SettingChange("RESET", name, None, exact=bool(name) and end == len(tokens))


def set_config_change(
    text: bytes,
    tokens: Sequence[Token],
    opening: int,
    standard_conforming_strings: bool,
) -> SettingChange:
    """Read a call of ``set_config``; ``opening`` is the index of its parenthesis.

    It is local only if the third argument is the word true and nothing else.
    """
    arguments = _arguments(tokens, opening)
    if len(arguments) != 3 or any(not argument for argument in arguments):
        return SettingChange("set_config", "", None, exact=False)
    third = arguments[2]
    local = len(third) == 1 and word(third, 0) == b"true"
    exact = local or (len(third) == 1 and word(third, 0) == b"false")
    bound = arguments[1][0].kind is Kind.PARAMETER and _is_cast(arguments[1][1:])
    found: list[str | None] = []
    for argument in arguments[:2]:
        string = string_value(text, argument[0], standard_conforming_strings)
        if len(argument) != 1 or string is None:
            exact = exact and len(argument) == 1 and word(argument, 0) == b"null"
            found.append(None)
        else:
            found.append(string.decode(errors="replace"))
    name, value = found
    if name is not None and not name.isascii():
        name = None  # each client encoding writes it in its own way
    exact = exact and name is not None
    return SettingChange("set_config", (name or "").lower(), value, local, exact, bound)


def _is_cast(tokens: Sequence[Token]) -> bool:
    """Whether nothing follows an argument, or a cast to another type of text."""
    if not tokens:
        return True
    return len(tokens) == 2 and tokens[0].kind is Kind.COLON and tokens[1].kind is Kind.WORD


def _generic(text: bytes, tokens: Sequence[Token], index: int, local: bool) -> SettingChange:
    name, end = _variable(tokens, index)
    if not (name.isascii() and text[tokens[index].start : tokens[end - 1].end].isascii()):
        return SettingChange("SET", "", None, local, exact=False)
    if word(tokens, end) == b"to" or _is_equals(text, tokens, end):
        value = tokens[end + 1 :]
        return SettingChange("SET", name, _value(text, value), local, exact=bool(value))
    return SettingChange("SET", name, None, local, exact=False)  # FROM CURRENT, or nonsense


def _is_variable(text: bytes, tokens: Sequence[Token], index: int) -> bool:
    """Whether the token at ``index`` is the name of a setting, not a keyword of SET."""
    return (
        index + 1 < len(tokens)
        and tokens[index].kind in NAMES
        and (
            tokens[index + 1].value == b"."
            or word(tokens, index + 1) in (b"to", b"from")
            or _is_equals(text, tokens, index + 1)
        )
    )


def _is_equals(text: bytes, tokens: Sequence[Token], index: int) -> bool:
    if index >= len(tokens) or tokens[index].kind is not Kind.OPERATOR:
        return False
    return text[tokens[index].start : tokens[index].end] == b"="


def _variable(tokens: Sequence[Token], index: int) -> tuple[str, int]:
    """A setting's name, possibly dotted, from ``index`` on; and the index behind it."""
    parts: list[bytes] = []
    while index < len(tokens) and tokens[index].kind in NAMES:
        parts.append(tokens[index].value)
        index += 1
        if index >= len(tokens) or tokens[index].value != b".":
            break
        index += 1
    return b".".join(parts).decode(errors="replace").lower(), index


def _raw(text: bytes, tokens: Sequence[Token]) -> str:
    if not tokens:
        return ""
    return text[tokens[0].start : tokens[-1].end].decode(errors="replace")


def _value(text: bytes, tokens: Sequence[Token]) -> str | None:
    if not tokens or (len(tokens) == 1 and word(tokens, 0) == b"default"):
        return None
    return _raw(text, tokens)


def _arguments(tokens: Sequence[Token], opening: int) -> list[list[Token]]:
    """The arguments of a call; none if it does not end within the limit."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[opening : opening + MAX_CALL_TOKENS]:
        mark = token.value if token.kind is Kind.PUNCTUATION else b""
        if mark in (b"(", b"["):
            depth += 1
            if depth == 1:
                continue
        elif mark in (b")", b"]"):
            depth -= 1
            if depth == 0:
                return arguments
        if mark == b"," and depth == 1:
            arguments.append([])
        else:
            arguments[-1].append(token)
    return []
