import json
import os
from pathlib import Path

import pytest

from forebay.config.settings import Hidden
from forebay.identity.secrets import SecretError, User, parse_users, resolve

GOOD = {"username": "app", "password": "hunter2", "engine": "postgres", "host": "db", "port": 5432}


def problem(source: str, **environ: str) -> str:
    with pytest.raises(SecretError) as caught:
        resolve([source], environ=environ)
    (text,) = caught.value.problems
    assert "hunter2" not in text
    return text


def test_every_source(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    found = resolve(
        [f"file:{tmp_path}/a.json", "env:B", "given:c"],
        environ={"B": '{"username": "b", "password": "päss"}'},
        given={"c": Hidden('{"username": "c", "password": "pc"}')},
    )
    assert [(each.username, each.password.reveal()) for each in found] == [
        ("app", "hunter2"),
        ("b", "päss"),
        ("c", "pc"),
    ]
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hunter2", "is not JSON"),
        ("", "is not set"),
        ("[" * 60_000, "is not JSON"),
        ('["hunter2"]', "must be a JSON object"),
        ('{"password": "hunter2"}', 'has no key "username"'),
        ('{"username": "u"}', 'has no key "password": Forebay logs in to the database with it'),
        ('{"username": "u", "password": ""}', '"password" must be a string that is not empty'),
        ('{"username": "u", "password": 5}', '"password" must be a string that is not empty'),
        ('{"username": "u", "password": "hunter2\\u0000"}', "zero byte"),
        ('{"username": "' + "u" * 129 + '", "password": "hunter2"}', "over 128 characters"),
        ('"' + "x" * 70_000 + '"', "is over 65536 bytes"),
    ],
)
def test_content_that_cannot_be_used(content: str, said: str) -> None:
    text = problem("env:APP", APP=content)
    assert text.startswith("env:APP: ")
    assert said in text


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"username": "\xff", "password": "hunter2"}')
    assert "is not JSON" in problem(f"file:{tmp_path}/x")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("file:/nowhere/x.json", "file:/nowhere/x.json: can't be read: No such file"),
        ("file:/", 'is a directory without a file "username"'),
        ("file:/dev/zero", "is not a regular file"),
        ("given:x", "no such secret was given"),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:x", "secrets in AWS can't be used here"),
        ("hunter2", "a secret: must be file:PATH or env:NAME"),
    ],
)
def test_sources_that_cannot_be_used(source: str, said: str) -> None:
    assert said in problem(source)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in problem(f"file:{tmp_path}/pipe")


def test_every_problem_is_told_and_users_are_unique() -> None:
    one = '{"username": "u", "password": "hunter2"}'
    with pytest.raises(SecretError) as caught:
        resolve(["env:A", "env:B", "env:C"], environ={"A": one, "B": one})
    assert caught.value.problems == (
        'env:B: user "u" is in env:A already',
        "env:C: this environment variable is not set",
    )


def test_a_user_without_a_password() -> None:
    assert parse_users("env:A", b'{"username": "u", "engine": "postgres"}') == (User("u", None),)


def test_a_userlist_has_many_users() -> None:
    content = b'"a" "hunter2"\n"b" ""\n; "c" "x"\n'
    found = parse_users("userlist:/etc/pgbouncer/userlist.txt", content)
    assert found == (User("a", Hidden("hunter2")), User("b", None))
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no user"),
        (b"; nobody\n", "holds no user"),
        (b'"a" "hunter2\n', "line 1 is not"),
        (b"x" * (8 * 1024 * 1024 + 1), "is over 8388608 bytes"),
    ],
)
def test_userlists_that_cannot_be_used(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_users("userlist:x", content)
    assert "hunter2" not in str(caught.value)
