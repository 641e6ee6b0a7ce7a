"""Logins by what is stored of passwords, in any mixture; and any rows of auth_query."""

import asyncio
import base64
import contextlib
import datetime as dt

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.net.login import UserAuth, UserEntry, derive_user
from forebay.net.login.auth_query import AuthQueryError, entry_of
from forebay.net.login.kept import NOBODY
from forebay.protocol import md5, scram
from forebay.protocol.scram import ProofError, ServerExchange

SALTS = (b"first salt", b"second salt")
WORDS = ("one", "two", "ä¹", "md5" + "x" * 32, "SCRAM-SHA-256$1:x$y:z")

words = st.sampled_from(WORDS)
forms = st.sampled_from(["plain", "md5", *SALTS])


def stored(word: str, form: object) -> str:
    """What is known of a password: itself, its hash, or its verifier with this salt."""
    if form == "plain":
        return word
    if form == "md5":
        return "md5" + md5.stored_hash("app", word)
    assert isinstance(form, bytes)
    keys = scram.ClientKeys.derive(word, form, 1)
    parts = (base64.b64encode(each).decode() for each in (form, keys.stored_key, keys.server_key))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*parts)


def proves(auth: UserAuth, word: str) -> set[str]:
    """The ways in which a client that knows this password can log in as the user."""
    ways: set[str] = set()
    answer = md5.response(md5.stored_hash("app", word), b"salt").encode()
    if any(md5.verify(each, b"salt", answer) for each in auth.kept.hashes):
        ways.add("md5")
    if auth.kept.verifiers:
        server = ServerExchange(scram.MECHANISM, auth.kept.verifiers)
        client = scram.ClientExchange()
        question = client.challenge(server.first(client.first()))
        with contextlib.suppress(ProofError):
            client.verify(server.final(client.final(scram.ClientKeys.derive(word, *question))))
            ways.add("scram")
            keys = server.client_keys
            assert keys is None or keys == scram.ClientKeys.derive(word, *question)
    clear = auth.kept.clear
    if clear is not None and (
        clear.find("app", word.encode()) or asyncio.run(clear.find_verifier(word.encode()))
    ):
        ways.add("clear")
    return ways


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(words, forms), max_size=4),
    st.sampled_from(["md5", "scram-sha-256", "iam-or-md5", "iam-or-scram-sha-256", "iam"]),
    words,
)
def test_a_password_is_right_in_each_way_that_what_is_known_of_it_allows(
    known: list[tuple[str, object]], method: str, word: str
) -> None:
    passwords = tuple(stored(each, form) for each, form in known)
    only_hashes = bool(known) and all(form == "md5" for _, form in known)
    try:
        auth = asyncio.run(derive_user(UserEntry("app", passwords, method)))
    except ValueError:
        assert only_hashes
        assert method.endswith("scram-sha-256")
        return
    salt = next((form for _, form in known if form in SALTS), None)
    of_word = [form for each, form in known if each == word]
    expected: set[str] = set()
    if auth.method.endswith("md5") and {"plain", "md5"} & set(of_word):
        expected.add("md5")
    if auth.method.endswith("scram-sha-256") and {"plain", salt} & set(of_word):
        expected.add("scram")
    if auth.method.startswith("iam-or-") and of_word:
        expected.add("clear")
    assert proves(auth, word) == expected
    assert proves(NOBODY, word) == set()


offsets = st.integers(-15 * 60, 15 * 60).map(lambda minutes: dt.timedelta(minutes=minutes))
times = st.datetimes()


def written(time: dt.datetime) -> str:
    """As PostgreSQL writes a timestamptz with DateStyle ISO."""
    text = time.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    if time.microsecond:
        text += f".{time.microsecond:06}".rstrip("0")
    minutes = int((time.utcoffset() or dt.timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    text += f"{'-' if minutes < 0 else '+'}{hours:02}"
    return text + (f":{rest:02}" if rest else "")


@given(times, offsets, times)
def test_until_when_a_password_is_valid(
    until: dt.datetime, offset: dt.timedelta, now: dt.datetime
) -> None:
    valid_until = until.replace(tzinfo=dt.timezone(offset))
    at = now.replace(tzinfo=dt.UTC)
    entry = entry_of([["app", "secret", written(valid_until)]], "app", at)
    assert entry is not None
    assert bool(entry.passwords) is (valid_until > at)


cells = st.none() | st.sampled_from(["app", "infinity", "2026-11-28 00:00:00+00"]) | st.text()


@given(st.lists(st.lists(cells, max_size=4), max_size=3), cells)
def test_any_rows(rows: list[list[str | None]], until: str | None) -> None:
    now = dt.datetime.now(dt.UTC)
    for each in (rows, [["app", "secret", until]]):
        with contextlib.suppress(AuthQueryError):
            entry = entry_of(each, "app", now)
            assert (entry is None) is (not each)
            assert entry is None or entry.user == "app"
