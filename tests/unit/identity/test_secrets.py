import json
import os
from pathlib import Path

import pytest

from forebay.config.settings import Hidden
from forebay.identity.secrets import SecretError, resolve, world_readable

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
        ("file:/", "can't be read: Is a directory"),
        ("file:/dev/zero", "is not a regular file"),
        ("given:x", "no such secret was given"),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:x", "secrets in AWS are not supported yet"),
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


def test_files_that_everybody_can_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    path.chmod(0o600)
    assert not world_readable(f"file:{path}")
    path.chmod(0o604)
    assert world_readable(f"file:{path}")
    assert not world_readable("file:/nowhere")
    assert not world_readable("env:A")
