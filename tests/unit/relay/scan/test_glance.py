"""What the first look lets through, and what it leaves to the lexer."""

from string import ascii_letters

import pytest

from forebay.relay.scan.glance import ChunkedGlance, glance_text

PASSES = r"""
SELECT abalance FROM pgbench_accounts WHERE aid = 12345;
UPDATE pgbench_accounts SET abalance = abalance + -12 WHERE aid = 1
INSERT INTO t (a, b) VALUES ('it''s; SET x = 1', 1.5e-3), (E'\\', 'nextval(')
BEGIN
COMMIT;
 begin; select 1; commit ;;
ROLLBACK TO SAVEPOINT a
((SELECT 1) UNION (SELECT 2))
SELECT "django_session"."key" FROM "django_session" WHERE "x" = $1 AND y->>'z' = $2::text LIMIT 21
SELECT 1 /*traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/
/* nested /* SET */ LISTEN */ SELECT 1 -- SET x
SELECT 'größe', "größe" FROM t
WITH temps AS (SELECT 1) SELECT tempo, settings FROM temps
SELECT 'C:\dir\x', 'a\\' FROM t
SELECT a-1, b/2, c&d FROM t
COPY t FROM STDIN
""".strip().splitlines()

ASKS = r"""
SET x = 1
RESET ALL
CREATE TABLE t (a int)
EXPLAIN SELECT 1
; LISTEN a
SELECT 1; DISCARD ALL
SELECT 1;/* c */-- d
SELECT NextVal('s')
SELECT "nextval"('s')
SELECT set_config('a', 'b', true)
SELECT pg_advisory_lock(1)
SELECT 1 INTO TEMP t
SELECT setval('s', 1), setseed(1)
SELECT currval('s')
SELECT lastval()
CREATE TEMPORARY TABLE t ()
SELECT U&"\0061"
SELECT $$a$$
SELECT $a
SELECT $1into
SELECT 1into
SELECT 1e5into
SELECT 1ex
SELECT 0x1F
SELECT größe
SELECT '\'
SELECT E'\''
SELECT 'größé\'
SELECT 'a
SELECT "a
SELECT /* a
SELECT E'\
'a'
"select" 1
1
$1
-
é
""".strip().splitlines()

BEGINNINGS = """
end with copy show call lock move begin start fetch close merge table abort select insert update
commit delete values notify vacuum release analyze rollback truncate savepoint
"""

MATTERS = "nextval currval lastval setval setseed set_config temp temporary pg_"

LETTERS = f"{ascii_letters}_".encode()
# All that ends no name, but DEL, which passes for _, and 81, half of what may be a backslash.
IN_QUOTED_NAMES = bytes(set(range(1, 256)) - {ord('"'), 0x7F, 0x81})


@pytest.mark.parametrize("text", ["", " ", "--", ";", *PASSES])
def test_passes(text: str) -> None:
    assert glance_text(text.encode())


@pytest.mark.parametrize(
    "text",
    ["SELECT 1;/* c */\nLOAD 'x'", "SELECT '\0'", *(text for text in ASKS if "-- d" not in text)],
)
def test_asks(text: str) -> None:
    assert not glance_text(text.encode())


def in_cases(word: str) -> set[str]:
    odd = "".join(c.upper() if at % 2 else c for at, c in enumerate(word))
    return {word, word.upper(), word.title(), odd, odd.swapcase()}


def with_one_changed(word: str, instead: bytes) -> set[bytes]:
    """The word, with each of its bytes replaced by each of those that it is not in any case."""
    raw = word.encode()
    return {
        raw[:at] + bytes([byte]) + raw[at + 1 :]
        for at in range(len(raw))
        for byte in instead
        if chr(byte).lower() != word[at]
    }


@pytest.mark.parametrize("word", BEGINNINGS.split())
def test_what_a_statement_may_begin_with(word: str) -> None:
    for text in in_cases(word):
        assert glance_text(f"{text} a; {text}".encode()), text
    others = {word + "x", word + "_", "x" + word, word[:-1]}
    for text in with_one_changed(word, LETTERS) | {other.encode() for other in others}:
        assert not glance_text(text), text


@pytest.mark.parametrize("word", MATTERS.split())
def test_what_matters_wherever_it_stands(word: str) -> None:
    for text in in_cases(word):
        assert not glance_text(f"SELECT {text}".encode()), text
        assert not glance_text(f'SELECT a."{text}"'.encode()), text
    others = {"x" + word, word[:-1], word[:2]}
    for text in with_one_changed(word, LETTERS) | {other.encode() for other in others}:
        assert glance_text(b"SELECT " + text), text
    for text in with_one_changed(word, IN_QUOTED_NAMES):
        assert glance_text(b'SELECT "' + text + b'"'), text


@pytest.mark.parametrize("word", MATTERS.split())
def test_longer_names_matter_only_behind_pg(word: str) -> None:
    assert glance_text(f"SELECT {word}x".encode()) == (word != "pg_")


def test_a_byte_pair_that_may_become_a_backslash() -> None:
    assert not glance_text(b"SELECT '\x81_'")
    assert glance_text(b"SELECT '\x81x\x81'")
    glance = ChunkedGlance()
    glance.feed(b"SELECT '\x81")
    assert not glance.feed(b"_'")


@pytest.mark.parametrize("text", [*PASSES, *ASKS])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pieces_give_the_same_answer(text: str, size: int) -> None:
    raw = text.encode()
    glance = ChunkedGlance()
    for start in range(0, len(raw), size):
        glance.feed(raw[start : start + size])
    assert glance.finish() == glance_text(raw)


def test_long_texts_pass_in_pieces() -> None:
    for begin, piece, end in (
        (b"INSERT INTO t VALUES ('", b"it''s a long \\ text \xc3\xa9", b"');"),
        (b'SELECT 1 AS "', b"a long name that no server takes ", b'" FROM t'),
        (b"SELECT /*", b"a long comment * / /* */", b"*/ 1"),
        (b"SELECT 1 --", b" a long line", b"\n + 2"),
        (b"SELECT 1", b"                 ", b""),
    ):
        glance = ChunkedGlance()
        assert glance.feed(begin)
        for _ in range(100):
            assert glance.feed(piece)
        assert glance.feed(end)
        assert glance.finish()


def test_long_words_and_numbers_in_pieces_are_left_to_others() -> None:
    for piece in (b"x", b"1"):
        glance = ChunkedGlance()
        glance.feed(b"SELECT ")
        for _ in range(100):
            glance.feed(piece)
        assert not glance.finish()


def test_a_long_quoted_name_in_the_temporary_schema_is_seen() -> None:
    glance = ChunkedGlance()
    glance.feed(b'SELECT 1 INTO "pg_temp' + b"0" * 100)
    glance.feed(b'".t')
    assert not glance.finish()


def test_nothing_follows_a_no() -> None:
    glance = ChunkedGlance()
    assert not glance.feed(b"SET ")
    assert not glance.feed(b"x")
    assert not glance.feed(b"")
    assert not glance.finish()


def test_comments_nested_without_measure_are_left_to_others() -> None:
    assert not glance_text(b"SELECT " + b"/*" * 1_000_001 + b"*/" * 1_000_001)
