"""SQL quoting, for servers whose encoding is UTF-8 and whose string settings are the defaults.

What goes to a database of which neither is known is quoted by `forebay.session.settings`.
"""

from __future__ import annotations


def identifier(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string literal (standard_conforming_strings on)."""
    return "'" + text.replace("'", "''") + "'"
