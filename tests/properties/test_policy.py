"""Policies, whatever is in them: against slow and simple answers to the same questions."""

import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.config.errors import Problem
from forebay.identity.policy import Policies, PolicyError
from forebay.identity.policy.globs import Glob

CONNECT = "rds-db:connect"
PREFIX = "arn:aws:rds-db:us-east-1:111122223333:dbuser:"
PRINCIPALS = (
    "arn:aws:iam::111122223333:user/ab",
    "arn:aws:iam::111122223333:user/b",
    "arn:aws:iam::444455556666:role/ab",
    "arn:aws:sts::444455556666:assumed-role/ab/one",
)
USERS = ("p/a", "p/b", "p/ab", "q/a", "p/a/b", "p/a:b", "p/*", "p/?")
ADDRESSES = (None, "10.0.0.1", "10.0.0.2", "2001:db8::1")

# Few characters, so that patterns often fit.
texts = st.text(alphabet="ab:/", max_size=12)
globs = st.text(alphabet="ab:/*?", max_size=10)
users = st.sampled_from(USERS)
values = st.one_of(
    st.just("*"),
    users.filter(lambda user: not set(user) & set("*?")).map(PREFIX.__add__),
    st.sampled_from(("p/*", "*", "*/a", "?/a", "p/??", "p/*b", "p/${aws:username}", "*:b")).map(
        PREFIX.__add__
    ),
    st.sampled_from(("arn:aws:rds-db:us-*:*:dbuser:p/a", "arn:aws:rds-db:*:4*:dbuser:*")),
)
conditions = st.sampled_from(
    (
        {"IpAddress": {"aws:SourceIp": ["10.0.0.1", "2001:db8::/32"]}},
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/31"}},
        {"DateLessThan": {"aws:CurrentTime": "2020-01-01"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}},
        {"StringNotEquals": {"aws:PrincipalArn": PRINCIPALS[0]}},
    )
)


@st.composite
def statements(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Deny")) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Effect": draw(st.sampled_from(effects)),
        "Principal": draw(
            st.just("*") | st.sampled_from(PRINCIPALS).map(lambda arn: {"AWS": [arn]})
        ),
        draw(st.sampled_from(("Action", "Action", "NotAction"))): draw(
            st.sampled_from(("*", CONNECT, "rds-db:*", "RDS-DB:c*T"))
        ),
    }
    if draw(st.integers(0, 3)):
        found["Resource"] = draw(values | st.lists(values, min_size=1, max_size=3))
    else:
        found["NotResource"] = draw(values.filter(lambda value: "$" not in value))
    if draw(st.booleans()):
        found["Condition"] = draw(conditions)
    return found


several = st.lists(statements(), max_size=5)
logins = st.fixed_dictionaries(
    {
        "principal": st.sampled_from(PRINCIPALS),
        "resource": users.map(PREFIX.__add__),
        "source_ip": st.sampled_from(ADDRESSES),
        "now_s": st.sampled_from((0.0, 2e9)),
    }
)


def allowed(said: list[dict[str, Any]], login: dict[str, Any]) -> bool:
    """With each statement in a document of its own."""
    documents = {
        str(number): json.dumps({"Version": "2012-10-17", "Statement": one})
        for number, one in enumerate(said)
    }
    return Policies.parse(documents).decide(action=CONNECT, **login).allowed


def naive(pattern: str, text: str, segments: bool) -> bool:
    """The same by trying each possibility, one character after the other."""

    @cache
    def fits(at: int, start: int) -> bool:
        if at == len(pattern):
            return start == len(text)
        sign = pattern[at]
        if sign == "*":
            rest = pattern[at:].lstrip("*")
            beyond = not segments or rest[:1] in ("", ":")
            end = len(text)
            if not beyond and ":" in text[start:]:
                end = text.index(":", start)
            return any(fits(len(pattern) - len(rest), there) for there in range(start, end + 1))
        if start == len(text):
            return False
        same = not (segments and text[start] == ":") if sign == "?" else sign == text[start]
        return same and fits(at + 1, start + 1)

    return fits(0, 0)


@given(globs, texts, st.booleans())
@example("*a:*", "ba:b:b", True)
@example("a**:b", "a:b:b", True)
def test_globs_match_what_trying_everything_finds(pattern: str, text: str, segments: bool) -> None:
    assert Glob(pattern, segments=segments).matches(text) is naive(pattern, text, segments)


@given(st.text(max_size=10), st.text(max_size=10))
def test_globs_without_segments_are_what_regular_expressions_say(pattern: str, text: str) -> None:
    signs = {"*": ".*", "?": "."}
    expected = "".join(signs.get(char) or re.escape(char) for char in pattern)
    assert Glob(pattern).matches(text) is bool(re.fullmatch(expected, text, re.DOTALL))


@given(st.lists(st.sampled_from(("*", "a", "?", "b", "*a", "a*")), max_size=300))
def test_no_pattern_is_expensive(parts: list[str]) -> None:
    # Trying possibilities would not end for some of these, and the test would not either.
    assert Glob("".join(parts) + "*c").matches("ab" * 500) is False


@given(st.lists(st.sampled_from("ab*?${}"), max_size=8).map("".join), st.text("ab*?", max_size=4))
def test_a_user_name_never_acts_as_a_pattern(user: str, name: str) -> None:
    glob = Glob("x/${aws:username}", variables=True)
    assert glob.matches(f"x/{user}", name) is (user == name)


@given(several, logins)
def test_deny_wins(said: list[dict[str, Any]], login: dict[str, Any]) -> None:
    denies = [each for each in said if each["Effect"] == "Deny"]
    allows = [each for each in said if each["Effect"] == "Allow"]
    # A statement denies what it would allow; where a colon is in a user's name, perhaps more.
    inverted = [{**each, "Effect": "Allow"} for each in denies]
    expected = allowed(allows, login) and not allowed(inverted, login)
    if ":" in login["resource"].removeprefix(PREFIX):
        assert expected or not allowed(said, login)
    else:
        assert allowed(said, login) is expected


@given(several, statements(("Deny",)), logins)
def test_another_deny_never_lets_anybody_in(
    said: list[dict[str, Any]], deny: dict[str, Any], login: dict[str, Any]
) -> None:
    assert allowed(said, login) or not allowed([*said, deny], login)
    everything = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    assert not allowed([*said, everything], login)


@given(several.flatmap(lambda said: st.tuples(st.just(said), st.permutations(said))), logins)
def test_order_does_not_matter(
    orders: tuple[list[dict[str, Any]], list[dict[str, Any]]], login: dict[str, Any]
) -> None:
    one, other = orders
    assert allowed(one, login) is allowed(other, login)


@given(st.lists(statements(), min_size=1, max_size=5), logins)
def test_documents_say_together_what_one_says(
    said: list[dict[str, Any]], login: dict[str, Any]
) -> None:
    whole = Policies.parse({"all": json.dumps({"Version": "2012-10-17", "Statement": said})})
    assert whole.decide(action=CONNECT, **login).allowed is allowed(said, login)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


keys = st.sampled_from(("Effect", "Principal", "Action", "Condition", "Sid", "x"))


@given(statements(), keys, json_values)
def test_anything_else_is_refused_in_words(statement: dict[str, Any], key: str, value: Any) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": {**statement, key: value}})
    problems: tuple[Problem, ...] = ()
    try:
        Policies.parse({"a": text})
    except PolicyError as error:
        problems = error.problems
    assert all(each.where == "a" and str(each).isprintable() for each in problems)


@given(st.text(max_size=200), st.text(max_size=50), st.text(max_size=50))
def test_texts_of_any_kind(document: str, principal: str, resource: str) -> None:
    with pytest.raises(PolicyError):
        Policies.parse({"a": document})
    everything = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    found = Policies.parse({"a": json.dumps({"Statement": everything})})
    decision = found.decide(principal, CONNECT, resource, source_ip=None, now_s=0.0)
    assert not decision.allowed
    assert decision.reason.isprintable()
