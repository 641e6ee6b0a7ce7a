"""What a statement creates that is temporary, or would be under some search_path.

Temporary is what the text says to be (TEMP, ``pg_temp.x``), and what is created without a schema
where no schema of the search_path before pg_temp exists. That the text does not show: what *may* be
created so is told as a Creation, for whoever knows how to ask.
"""

from dataclasses import dataclass
from typing import Final

from forebay.sql.lexer import NAMES, Kind, Token
from forebay.sql.names import name_at
from forebay.sql.settings import word


@dataclass(frozen=True, slots=True)
class TemporaryObject:
    """Something created in the session's temporary schema; ``kind`` as in CREATE, lower case."""

    kind: str
    name: str
    on_commit_drop: bool = False


@dataclass(frozen=True, slots=True)
class Creation:
    """Something created that is temporary under some search_paths; ``kind`` as in CREATE, lower
    case, empty if it is not known whether and what. ``likely``: the search_path is one of these."""

    kind: str
    name: str
    likely: bool = False


TEMPORARY_SCHEMA: Final = b"pg_temp"  # also pg_temp_3
_TEMPORARY: Final = (b"temp", b"temporary")

# What CREATE makes that is in no schema, or in that of its table.
_OF_NO_SCHEMA: Final = frozenset(
    {
        *(b"database", b"role", b"user", b"group", b"tablespace", b"index", b"unique", b"trigger"),
        *(b"constraint", b"event", b"rule", b"policy", b"publication", b"subscription", b"server"),
        *(b"cast", b"transform", b"language", b"trusted", b"procedural", b"access"),
    }
)
# How many words name what CREATE makes, where it is not one.
_LONG_KINDS: Final = {
    b"materialized": 2,
    b"foreign": 2,
    b"text": 3,
    b"unlogged": 2,
    b"recursive": 2,
}
# Statements that begin so run no code of the user's, or none that could create something by now.
_RUNNING_NOTHING: Final = frozenset(
    {
        *(b"begin", b"start", b"commit", b"end", b"abort", b"rollback", b"savepoint", b"release"),
        *(b"prepare", b"deallocate", b"set", b"reset", b"show", b"discard", b"checkpoint"),
        *(b"close", b"fetch", b"move", b"listen", b"unlisten", b"notify", b"lock"),
    }
)
# Words that stand before a parenthesis and call nothing. (``f`` in ``x.f`` may be a function.)
_NO_CALLS: Final = frozenset(
    {
        *(b"all", b"and", b"any", b"array", b"as", b"between", b"by", b"case", b"conflict"),
        *(b"distinct", b"else", b"except", b"exists", b"explain", b"filter", b"from", b"group"),
        *(b"having", b"in", b"intersect", b"is", b"join", b"lateral", b"like", b"limit"),
        *(b"materialized", b"not", b"offset", b"on", b"or", b"over", b"returning", b"row"),
        *(b"select", b"some", b"then", b"union", b"using", b"values", b"when", b"where", b"with"),
    }
)

# Functions of PostgreSQL's own that nearly every application calls, and that create nothing; not
# with the schema of another's.
_PLAIN_CALLS: Final = frozenset(
    {
        *(b"count", b"sum", b"min", b"max", b"avg", b"array_agg", b"string_agg", b"json_agg"),
        *(b"jsonb_agg", b"json_build_object", b"jsonb_build_object", b"row_to_json", b"to_jsonb"),
        *(b"coalesce", b"nullif", b"greatest", b"least", b"cast", b"extract", b"unnest"),
        *(b"now", b"date_trunc", b"to_char", b"to_date", b"to_timestamp", b"date_part", b"age"),
        *(b"lower", b"upper", b"length", b"substring", b"trim", b"replace", b"concat", b"position"),
        *(b"abs", b"round", b"floor", b"ceil", b"random", b"mod", b"row_number", b"rank"),
        *(b"varchar", b"char", b"numeric", b"decimal", b"timestamp", b"timestamptz", b"interval"),
        *(b"current_setting", b"gen_random_uuid", b"generate_series", b"nextval"),
    }
)

Created = list[TemporaryObject | Creation]


def said_temporary(tokens: list[Token], index: int) -> TemporaryObject | None:
    """What CREATE or INTO at ``index`` makes, if the text says that it is temporary: CREATE TEMP
    ..., SELECT ... INTO TEMP."""
    value = tokens[index].value
    following = index + 1
    if value == b"create" and word(tokens, following) == b"or":
        following += 2  # OR REPLACE
    if word(tokens, following) in (b"local", b"global"):
        following += 1
    if word(tokens, following) not in _TEMPORARY:
        return None
    if value == b"into":
        if _fills(tokens, index):  # a table named temp
            return None
        following += 2 if word(tokens, following + 1) == b"table" else 1
        return TemporaryObject("table", name_at(tokens, following))
    following += 1
    if word(tokens, following) == b"recursive":
        following += 1
    kind = word(tokens, following)
    following += 1
    if word(tokens, following) == b"if":
        following += 3  # IF NOT EXISTS
    dropped = index == 0 and _drops_on_commit(tokens)
    return TemporaryObject(kind.decode(), name_at(tokens, following), dropped)


def in_temporary_schema(tokens: list[Token], index: int) -> Created:
    """What the name pg_temp at ``index`` stands for: ``pg_temp.x`` where x may be made (in CREATE,
    or behind the INTO of a SELECT), INTO pg_temp where much is imported. Else it is not known."""
    first = word(tokens, 0)
    if tokens[index].kind not in NAMES or first == b"set":
        return []
    if first == b"import" and word(tokens, index - 1) == b"into":
        return [TemporaryObject("foreign table", "")]
    qualifies = index + 1 < len(tokens) and tokens[index + 1].value == b"."
    makes = first in (b"create", b"explain") or _selected_into(tokens, index)
    if not (qualifies and makes):
        return [Creation("", "")]
    kind = word(tokens, 1).decode() if first == b"create" else "table"
    dropped = index < 8 and _drops_on_commit(tokens)
    return [TemporaryObject(kind, name_at(tokens, index + 2), dropped)]


def creation(tokens: list[Token], under_pg_temp: bool) -> Creation | None:
    """What a statement creates in whatever schema comes first, or None.

    ``under_pg_temp``: the search_path names pg_temp, so that SELECT INTO counts, and calls of
    functions, which may create something in their turn.
    """
    first = word(tokens, 0)
    if first == b"import":
        return Creation("foreign table", "", under_pg_temp)
    made = _created(tokens, 0) if first == b"create" else None
    if first == b"explain":
        at = next((i for i in range(1, len(tokens)) if word(tokens, i) == b"create"), None)
        made = None if at is None else _created(tokens, at)
    if made is not None:
        return Creation(*made, under_pg_temp)
    if not under_pg_temp or first in _RUNNING_NOTHING:
        return None
    for index in range(len(tokens)):
        if word(tokens, index) == b"into" and not _fills(tokens, index):
            return Creation("table", _selected(tokens, index + 1), likely=True)
    if first == b"execute" or any(_calls(tokens, index) for index in range(len(tokens) - 1)):
        return Creation("", "")
    return None


def _created(tokens: list[Token], index: int) -> tuple[str, str] | None:
    """Kind and name of what CREATE at ``index`` makes; None if that is in no schema."""
    at = index + 1
    if word(tokens, at) == b"or":
        at += 2  # OR REPLACE
    if word(tokens, at) in _OF_NO_SCHEMA:
        return None
    if (word(tokens, at), word(tokens, at + 1)) == (b"foreign", b"data"):
        return None
    words = _LONG_KINDS.get(word(tokens, at), 1)
    kind = b" ".join(word(tokens, at + each) for each in range(words)).strip()
    at += words
    if word(tokens, at) == b"if":
        at += 3  # IF NOT EXISTS
    return kind.decode(), name_at(tokens, at)


def _selected(tokens: list[Token], index: int) -> str:
    """The name of the table that SELECT ... INTO makes; what follows INTO is at ``index``."""
    if word(tokens, index) == b"unlogged":
        index += 1
    return name_at(tokens, index + (word(tokens, index) == b"table"))


def _fills(tokens: list[Token], index: int) -> bool:
    """Whether INTO at ``index`` is that of INSERT or MERGE."""
    return index > 0 and word(tokens, index - 1) in (b"insert", b"merge")


def _calls(tokens: list[Token], index: int) -> bool:
    """Whether the token at ``index`` may be the name of a function that is called."""
    token = tokens[index]
    if token.kind not in NAMES or tokens[index + 1].value != b"(":
        return False
    qualified = index >= 2 and tokens[index - 1].value == b"."
    if token.value in _PLAIN_CALLS and not (qualified and tokens[index - 2].value != b"pg_catalog"):
        return False
    while index >= 2 and tokens[index - 1].value == b"." and tokens[index - 2].kind in NAMES:
        index -= 2
    if index >= 2 and word(tokens, index - 1) == b"into" and _fills(tokens, index - 1):
        return False  # INSERT INTO t (a, b)
    return token.kind is not Kind.WORD or token.value not in _NO_CALLS


def _selected_into(tokens: list[Token], index: int) -> bool:
    """Whether the name at ``index`` follows SELECT ... INTO [UNLOGGED] [TABLE] [database.]."""
    for near in range(index - 1, max(index - 6, 0), -1):
        if word(tokens, near) == b"into":
            return not _fills(tokens, near)
    return False


def _drops_on_commit(tokens: list[Token]) -> bool:
    return any(
        word(tokens, index) == b"on"
        and word(tokens, index + 1) == b"commit"
        and word(tokens, index + 2) == b"drop"
        for index in range(len(tokens) - 2)
    )
