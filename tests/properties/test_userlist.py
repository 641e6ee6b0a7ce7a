"""userlist.txt is read as PgBouncer reads it, and no content makes the reader fail in another way
than with the number of a line."""

import contextlib
import re

import hypothesis.strategies as st
from hypothesis import example, given

from forebay.identity.userlist import MAX_LISTED_PASSWORD_BYTES, parse_userlist

MAX_NAME_LENGTH = 128

PIECES = ('"', '""', " ", "\t", ";", "\n", "\r\n", "a", "b c", "é", "md5", "SCRAM-SHA-256$", "\0")
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
lines = st.tuples(st.text('ab"é ;', min_size=1, max_size=9), st.text('xy" $:', max_size=9))


def as_pgbouncer(text: str) -> dict[str, str]:
    """load_auth_file of PgBouncer's loader.c, told with positions for pointers. Raises IndexError
    where it says "broken auth file"."""

    def quote(position: int, *, start: bool) -> int:
        while text[position] != '"' or (text[position + 1 : position + 2] == '"' and not start):
            position += 2 if text[position] == '"' else 1
        return position

    found, position = {}, 0
    while True:
        while position < len(text) and text[position] in " \t\n\v\f\r":
            position += 1
        if position >= len(text):
            return found
        if text[position] == ";":
            position = (text + "\n").index("\n", position)
            continue
        if text[position] != '"':
            raise IndexError
        name_end = quote(position + 1, start=False)
        secret_start = quote(name_end + 1, start=True) + 1
        secret_end = quote(secret_start, start=False)
        name = text[position + 1 : name_end].replace('""', '"')
        found[name] = text[secret_start:secret_end].replace('""', '"')
        position = (text + "\n").index("\n", secret_end)


@given(texts)
@example('"a" "b')
@example('"a" ""')
@example('"a" """"')
def test_read_alike_or_refused(text: str) -> None:
    """What PgBouncer would go on reading in the next line, or leave out, is refused."""
    try:
        found = parse_userlist(text.encode(), MAX_NAME_LENGTH)
    except ValueError as error:
        number = re.match(r"line (\d+) ", str(error))
        assert number is not None
        assert 1 <= int(number[1]) <= text.count("\n") + 1
    else:
        assert found == as_pgbouncer(text)


@given(st.lists(lines, max_size=9))
def test_what_is_written_is_read(users: list[tuple[str, str]]) -> None:
    quoted = [[each.replace('"', '""') for each in user] for user in users]
    text = "".join(f'"{name}" "{secret}"\n' for name, secret in quoted)
    assert parse_userlist(text.encode(), MAX_NAME_LENGTH) == dict(users) == as_pgbouncer(text)


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        found = parse_userlist(content, MAX_NAME_LENGTH)
        assert all(len(each) < MAX_LISTED_PASSWORD_BYTES for each in found.values())
