"""PgBouncer's userlist.txt, as PgBouncer itself reads it (``auth_file`` in its config.md).

One user a line: ``"name" "secret"``; a quote inside is doubled. The secret is a password, or its
stored form (``md5…``, ``SCRAM-SHA-256$…``), or empty for a user without one. What follows on the
line is not read, nor are blank lines and those that begin with ``;``. Of a user who stands there
twice the later line counts.
"""

import re
from typing import Final

MAX_LISTED_PASSWORD_BYTES: Final = 2048
"""PgBouncer's MAX_PASSWORD."""

_QUOTED: Final = r'"((?>(?:[^"]|"")*))"'
# PgBouncer passes over whatever stands between the two.
_LINE: Final = re.compile(_QUOTED + r'[^"]*' + _QUOTED)
_SPACE: Final = " \t\v\f\r"


def parse_userlist(content: bytes, max_name_length: int) -> dict[str, str]:
    """Names and secrets in the order in which they stand there; "" for no secret.

    Raises ValueError with the number of the line, and nothing of what stands in it.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {number} is not UTF-8") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.lstrip(_SPACE)
        if not line or line.startswith(";"):
            continue
        if "\0" in line:
            raise ValueError(f"line {number} holds a zero byte")
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f'line {number} is not "name" "secret"; a quote inside is doubled')
        name, secret = (each.replace('""', '"') for each in match.groups())
        if not name:
            raise ValueError(f"line {number} has an empty name")
        if len(name) > max_name_length:
            raise ValueError(f"line {number} has a name of over {max_name_length} characters")
        if len(secret.encode()) >= MAX_LISTED_PASSWORD_BYTES:
            raise ValueError(
                f"line {number} has a secret of {MAX_LISTED_PASSWORD_BYTES} bytes or more"
            )
        found[name] = secret
    return found
