import pytest

from forebay.config.settings import Hidden
from forebay.identity.holding import NEVER_S, Held, changed_list, compose
from forebay.identity.secrets import User
from forebay.identity.sources.source import Versions

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app"


def user(name: str, password: str) -> User:
    return User(name, Hidden(password))


def secret(name: str, password: str) -> bytes:
    return f'{{"username": "{name}", "password": "{password}"}}'.encode()


def listed(**passwords: str) -> tuple[User, ...]:
    return tuple(user(name, password) for name, password in passwords.items())


def test_a_source_with_labels() -> None:
    one, two, three = (secret("u", password) for password in ("1", "2", "3"))
    first, _ = compose(ARN, None, Versions(two, one, three, "v2", 10.0), 100.0)
    assert first == Held(
        (user("u", "2"),), (user("u", "1"),), (user("u", "3"),), "v2", changed_at_s=90.0
    )
    same, _ = compose(ARN, first, Versions(two, one, None, "v2", 20.0), 110.0)
    assert (same.changed_at_s, same.pending) == (90.0, None)
    assert not same.holds_the_same(first)
    later, _ = compose(ARN, same, Versions(three, two, None, "v3", 1.0), 200.0)
    assert (later.changed_at_s, later.previous) == (200.0, (user("u", "2"),))


def test_a_source_that_does_not_know_its_age() -> None:
    held, _ = compose(ARN, None, Versions(secret("u", "1"), version_id="v1"), 100.0)
    assert held.changed_at_s == NEVER_S


def test_other_versions_that_cannot_be_used() -> None:
    good = secret("u", "1")
    held, unusable = compose(ARN, None, Versions(good, b"hunter2", None, "v1"), 0.0)
    assert (held.previous, unusable) == (
        None,
        'its AWSPREVIOUS is not JSON; it must be {"username": "…", "password": "…"}',
    )
    _, unusable = compose(ARN, None, Versions(good, None, b"[]", "v1"), 0.0)
    assert unusable is not None
    assert unusable.startswith("its AWSPENDING must be a JSON object")
    with pytest.raises(ValueError, match="is not JSON"):
        compose(ARN, None, Versions(b"hunter2", good, None, "v1"), 0.0)


def test_a_file_has_its_former_value_as_the_previous_one() -> None:
    one, two = Versions(secret("u", "1")), Versions(secret("u_clone", "2"))
    first, _ = compose("file:x", None, one, 10.0)
    assert first == Held((user("u", "1"),))
    later, _ = compose("file:x", first, two, 20.0)
    assert later == Held((user("u_clone", "2"),), (user("u", "1"),), changed_at_s=20.0)
    # What else stands there is not a change.
    other = Versions(b'{"username": "u_clone", "password": "2", "host": "x"}')
    assert compose("file:x", later, other, 30.0)[0] is later


def test_a_list_has_former_passwords_user_by_user() -> None:
    first = Held(listed(a="1", b="1", c="1"))
    second = changed_list(first, listed(a="2", b="1", d="1"), 10.0)
    assert second.previous == listed(a="1")
    assert second.user_changed_at_s == {"a": 10.0}
    third = changed_list(second, listed(a="2", b="2", d="1"), 20.0)
    assert third.previous == listed(a="1", b="1")
    assert third.user_changed_at_s == {"a": 10.0, "b": 20.0}
    fourth = changed_list(third, listed(b="3", e="1"), 30.0)
    assert fourth.previous == listed(b="2")
    assert fourth.user_changed_at_s == {"b": 30.0}
    assert changed_list(fourth, listed(e="1"), 40.0).previous is None


def test_a_userlist_is_composed_so() -> None:
    first, _ = compose("userlist:x", None, Versions(b'"a" "1"\n"b" "1"'), 10.0)
    second, _ = compose("userlist:x", first, Versions(b'"a" "2"'), 20.0)
    assert (second.current, second.previous) == (listed(a="2"), listed(a="1"))


def test_what_is_held_is_not_shown() -> None:
    held = Held(listed(a="hunter2"), listed(a="hunter2"), listed(a="hunter2"))
    assert "hunter2" not in repr(held)
