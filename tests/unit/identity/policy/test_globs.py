from collections.abc import Iterator

import pytest

from forebay.identity.policy.globs import Glob

ARN = "arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-1/app"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("**", "", True),
        ("?", "", False),
        ("?", "a", True),
        ("?*", "a", True),
        ("*?", "", False),
        ("a*c", "abbc", True),
        ("a*c", "abbd", False),
        ("*a*a*", "banana", True),
        ("*abab", "abababab", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("A", "a", False),
        ("*", "a\nb", True),
        ("?", "\n", True),
        ("a", "a\n", False),
        ("[a]", "a", False),
        ("[a]", "[a]", True),
        (".", "a", False),
        ("$", "$", True),
        ("ü?", "üß", True),
        ("a*b:c", "a:b:c", True),
    ],
)
def test_plain(pattern: str, text: str, expected: bool) -> None:
    assert Glob(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (ARN, True),
        ("arn:aws:rds-db:*:*:dbuser:*/app", True),
        ("arn:aws:rds-db:us-*-1:1111????3333:dbuser:prx-?/a*", True),
        ("arn:aws:rds-db:*", True),  # a star at the end of a segment goes beyond colons
        ("arn:aws:rds-db:*:dbuser:prx-1/app", True),
        ("arn:aws:rds-db:us*:app", False),
        ("arn:aws:rds-db:us*p", False),  # one within a segment does not
        ("arn:aws:rds-db:*1:dbuser:prx-1/app", False),
        ("arn:aws:rds-db:us-east-1?111122223333:dbuser:prx-1/app", False),
        ("arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-1/APP", False),
    ],
)
def test_segments(pattern: str, expected: bool) -> None:
    assert Glob(pattern, segments=True).matches(ARN) is expected


def test_a_star_takes_slashes_in_any_position() -> None:
    assert Glob("dbuser:*/app", segments=True).matches("dbuser:prx-1/a/b/app")
    assert Glob("dbuser:prx-1/*", segments=True).matches("dbuser:prx-1/a:b")


def test_the_user_name_is_text() -> None:
    glob = Glob("prx-*/${aws:username}", variables=True)
    assert glob.needs_username
    assert glob.matches("prx-1/alice", "alice")
    assert not glob.matches("prx-1/bob", "alice")
    assert not glob.matches("prx-1/bob", "*")
    assert glob.matches("prx-1/*", "*")
    assert not glob.matches("prx-1/", None)
    assert not glob.matches("prx-1/${aws:username}", None)
    assert Glob("${AWS:UserName}-ro", variables=True).matches("alice-ro", "alice")


def test_escapes() -> None:
    glob = Glob("a${*}${?}${$}{b}", variables=True)
    assert not glob.needs_username
    assert glob.matches("a*?${b}")
    assert not glob.matches("axx${b}")


def test_variables_are_text_where_not_asked_for() -> None:
    assert Glob("${aws:username}").matches("${aws:username}")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("${aws:userid}", "only ${aws:username} is"),
        ("${aws:PrincipalTag/team}", "${aws:PrincipalTag/team}, which is not known"),
        ("${aws:username, 'x'}", "not known"),
        ("${}", "not known"),
        ("x${aws:username", 'has "${" without "}"'),
    ],
)
def test_unknown_variables(pattern: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Glob(pattern, variables=True)
    assert said in str(caught.value)


class Counted(str):
    """Counts how many of its characters were asked for."""

    __slots__ = ("read",)

    def __iter__(self) -> Iterator[str]:
        self.read = 0
        for char in str(self):
            self.read += 1
            yield char


def test_a_text_is_read_once_whatever_the_pattern() -> None:
    text = Counted("a" * 2_000)
    assert not Glob("*a" * 200 + "*b").matches(text)
    assert text.read == 2_000
    assert Glob("*a" * 200 + "*?").matches(text)
    assert text.read == 2_000
    assert Glob("aa*").matches(text)
    assert text.read == 3  # the rest does not matter
