"""Reads the commands of the admin database. PgBouncer's grammar and its errors (admin.c,
admin_parse_query), and what drivers say to any database.
"""

import re
from typing import Final, NamedTuple

# A longer text is no command: patterns take their time with it.
MAX_CHARACTERS: Final = 1000
# Of a command that makes no sense so much is repeated.
REPEATED_CHARACTERS: Final = 200

_WORD: Final = r'(?:"((?:[^"]|"")+)"|([0-9a-z_$.-]+))'
_COMMAND: Final = re.compile(rf"\s*([a-z_]+)(?:\s+{_WORD})?\s*;?\s*", re.IGNORECASE)
_BEGIN: Final = re.compile(
    r"\s*(begin|start\s+transaction)(?:\s+(?:work|transaction))?"
    r"(?:\s*,?\s*(?:isolation\s+level\s+[a-z]+(?:\s+[a-z]+)?|read\s+(?:only|write)"
    r"|(?:not\s+)?deferrable))*\s*;?\s*",
    re.IGNORECASE,
)
_END: Final = re.compile(
    r"\s*(commit|end|rollback|abort)(?:\s+(?:work|transaction))?\s*;?\s*", re.IGNORECASE
)
_SET: Final = re.compile(
    r"\s*set\s+(?:session\s+|local\s+)?(time\s+zone|[a-z_.]+)(?:\s*=\s*|\s+to\s+|\s+).*",
    re.IGNORECASE | re.DOTALL,
)
_ISOLATION: Final = re.compile(r"\s*show\s+transaction\s+isolation\s+level\s*;?\s*", re.IGNORECASE)
_RESET: Final = re.compile(r"\s*(reset|discard)\s+all\s*;?\s*", re.IGNORECASE)

_DEALLOCATE: Final = re.compile(rf"\s*deallocate(?:\s+prepare)?\s+{_WORD}\s*;?\s*", re.IGNORECASE)

# What drivers and pools set when they connect; it means nothing here.
SESSION_SETTINGS: Final = frozenset(
    {
        *("application_name", "bytea_output", "characteristics", "client_encoding"),
        *("client_min_messages", "datestyle", "default_transaction_isolation"),
        *("default_transaction_read_only", "extra_float_digits"),
        *("idle_in_transaction_session_timeout", "intervalstyle", "lc_messages", "lock_timeout"),
        *("names", "search_path"),
        *("standard_conforming_strings", "statement_timeout", "time zone", "timezone"),
        *("transaction", "transaction_timeout"),
    }
)


PARAMETERS: Final = {
    "CLIENT_ENCODING": "UTF8",
    "DATESTYLE": "ISO",
    "DEFAULT_TRANSACTION_ISOLATION": "read committed",
    "SERVER_ENCODING": "UTF8",
    "STANDARD_CONFORMING_STRINGS": "on",
    "TIMEZONE": "GMT",
    "TRANSACTION_ISOLATION": "read committed",
}
"""What drivers and pools ask any database for, and what it is here."""


class CommandError(Exception):
    """A command can't be carried out; the text is for its client."""

    def __init__(self, text: str, sqlstate: str) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class Command(NamedTuple):
    """``name``: a key of the table of commands; ``argument``: a database's name, or nothing."""

    name: str
    argument: str = ""


def parse(text: str) -> Command:
    """Reads one command. Raises CommandError for what is none."""
    if len(text) > MAX_CHARACTERS:
        raise invalid(text)
    if _BEGIN.fullmatch(text):
        return Command("BEGIN")
    if found := _END.fullmatch(text):
        return Command("COMMIT" if found[1].lower() in ("commit", "end") else "ROLLBACK")
    if found := _RESET.fullmatch(text):
        return Command(f"{found[1].upper()} ALL")
    if found := _DEALLOCATE.fullmatch(text):
        is_all = found[2] is not None and found[2].upper() == "ALL"
        return Command("DEALLOCATE ALL" if is_all else "DEALLOCATE", found[1] or found[2])
    if found := _SET.fullmatch(text):
        return _set(" ".join(found[1].lower().split()))
    if _ISOLATION.fullmatch(text):
        return Command("SHOW TRANSACTION_ISOLATION")
    found = _COMMAND.fullmatch(text)
    if found is None:
        raise invalid(text)
    word, quoted, plain = found[1].upper(), found[2], found[3]
    argument = quoted.replace('""', '"') if quoted is not None else plain or ""
    if word == "SHOW":
        if not argument:
            raise invalid(text)
        return Command(f"SHOW {argument.upper()}")
    return Command(word, argument)


def invalid(text: str) -> CommandError:
    """PgBouncer's error for what it does not understand."""
    shown = text if len(text) <= REPEATED_CHARACTERS else text[:REPEATED_CHARACTERS] + "..."
    return CommandError(f"invalid command '{shown}', use SHOW HELP;", "42601")


def _set(name: str) -> Command:
    if name in SESSION_SETTINGS:
        return Command("SET")
    text = f"{name} can't be set here: change the configuration, then RELOAD"
    raise CommandError(text, "55P02")
