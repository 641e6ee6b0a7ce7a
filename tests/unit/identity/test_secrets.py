"""What stands in a source: users and their passwords, or why not."""

import json

import pytest

from forebay.config.settings import Hidden
from forebay.identity.secrets import SecretError, User, parse_users, read_each

GOOD = {"username": "app", "password": "hunter2", "engine": "postgres", "host": "db", "port": 5432}


def test_a_secret_as_rds_proxy_has_it() -> None:
    found = parse_users("env:A", json.dumps(GOOD).encode())
    assert found == (User("app", Hidden("hunter2")),)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hunter2", "is not JSON"),
        (b"", "is not JSON"),
        (b"[" * 60_000, "is not JSON"),
        (b'{"username": "\xff", "password": "hunter2"}', "is not JSON"),
        (b'["hunter2"]', "must be a JSON object"),
        (b'{"password": "hunter2"}', 'has no key "username"'),
        (b'{"username": "u", "password": ""}', '"password" must be a string that is not empty'),
        (b'{"username": "u", "password": 5}', '"password" must be a string that is not empty'),
        (b'{"username": "u", "password": "hunter2\\u0000"}', "zero byte"),
        (b'{"username": "' + b"u" * 129 + b'", "password": "hunter2"}', "over 128 characters"),
        (b'"' + b"x" * 70_000 + b'"', "is over 65536 bytes"),
    ],
)
def test_content_that_cannot_be_used(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_users("env:APP", content)
    assert "hunter2" not in str(caught.value)


def test_every_problem_is_told_and_none_is_there_twice() -> None:
    contents = {"env:A": "one", "env:B": "one", "hunter2": ""}

    def read(source: str) -> str:
        if not contents[source]:
            raise ValueError("is empty")
        return contents[source]

    assert read_each(["env:A"], read, lambda found: (found, found)) == ["one"]
    with pytest.raises(SecretError) as caught:
        read_each(contents, read, lambda found: (found, f'user "{found}"'))
    assert caught.value.problems == (
        'env:B: user "one" is in env:A already',
        "a secret: is empty",
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
