import pytest

from forebay.identity.userlist import parse_userlist


def parse(text: str) -> dict[str, str]:
    return parse_userlist(text.encode(), 128)


def test_what_pgbouncer_takes() -> None:
    scram = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"
    md5 = "md5" + "0123456789abcdef" * 2
    found = parse(
        f'''"plain" "hunter2"
; "commented" "out"
  ;and this

\t"md5" "{md5}" "what follows" is not read
"scram" "{scram}"
"a ""quoted"" name" "it""s"
"nobody" ""
"päss" "wörd" ; this neither
"tight""er": "colon"
"crlf" "x"\r
"last" "without a line feed"'''
    )
    assert found == {
        "plain": "hunter2",
        "md5": md5,
        "scram": scram,
        'a "quoted" name': 'it"s',
        "nobody": "",
        "päss": "wörd",
        'tight"er': "colon",
        "crlf": "x",
        "last": "without a line feed",
    }


def test_the_later_line_counts() -> None:
    assert parse('"a" "1"\n"b" "2"\n"a" "3"') == {"a": "3", "b": "2"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hunter2", 'is not "name" "secret"'),
        ('"hunter2', 'is not "name" "secret"'),
        ('"a"', 'is not "name" "secret"'),
        ('"a" "hunter2', 'is not "name" "secret"'),
        ('"a" "hunter2""', 'is not "name" "secret"'),
        ('"a" hunter2', 'is not "name" "secret"'),
        ('"" "hunter2"', "has an empty name"),
        ('"' + "a" * 129 + '" "hunter2"', "has a name of over 128 characters"),
        ('"a" "' + "hunter2" * 300 + '"', "has a secret of 2048 bytes or more"),
        ('"a" "hunter2\0"', "holds a zero byte"),
    ],
)
def test_broken_lines(line: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(f'"good" "x"\n\n{line}\n"good2" "y"\n')
    assert str(caught.value).startswith("line 3 ")
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_bytes_that_are_not_text() -> None:
    with pytest.raises(ValueError, match="line 2 is not UTF-8"):
        parse_userlist(b'"a" "b"\n"c" "\xff"\n', 128)


def test_a_line_full_of_quotes_is_read_once() -> None:
    text = '"a" "' + '""' * 1000
    with pytest.raises(ValueError, match="line 1 is not"):
        parse(text)
    assert parse(text + '"') == {"a": '"' * 1000}
