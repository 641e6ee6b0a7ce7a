"""What changes a connection over from one client's settings to another's."""

import weakref

import pytest

from forebay.protocol.messages import query
from forebay.session.replays import GUARD, Replays, is_hasty, without_refused
from forebay.session.settings import RESET_BY_CLIENT, InternTable, Settings

INTERN = InternTable()


def test_long_settings_are_not_kept() -> None:
    intern = InternTable()
    replays = Replays()
    kept = weakref.WeakSet[Settings]()
    for number in range(20):
        long = intern.settings((("app.long", f"{number}" + "x" * 8000), ("app.more", "y" * 8400)))
        kept.add(long)
        assert replays.replay(intern.none, long).plain.count(b"set_config") == 2
        assert replays.replay(long, intern.none).plain.count(b"RESET") == 2
    assert len(kept) <= 1


@pytest.mark.parametrize(
    ("old", "new", "confirmed"),
    [
        ({"work_mem": "1MB"}, {"work_mem": "2MB", "enable_sort": "off"}, False),
        ({"app.tenant": "a"}, {"app.tenant": "b"}, False),
        ({"search_path": "a"}, {"row_security": "off"}, False),
        ({"role": "a"}, {}, True),
        ({}, {"session_authorization": "a"}, True),
        ({"plpgsql.mine": "a"}, {}, True),
        ({}, {"plpgsql.mine": "a"}, True),
        ({}, {"log_min_duration_statement": "1"}, True),
        ({"log_min_duration_statement": "1"}, {}, True),
        ({"statement_timeout": "999"}, {}, True),
        ({"statement_timeout": "1000"}, {}, False),
        ({"transaction_timeout": "5ms"}, {"app.a": "1"}, True),
        ({"statement_timeout": "30 s"}, {"app.a": "1"}, False),
        ({"statement_timeout": "0"}, {"app.a": "1"}, False),
        ({}, {"statement_timeout": "5ms"}, True),
        ({}, {"statement_timeout": "5s"}, False),
    ],
)
def test_what_may_be_refused_is_confirmed(
    old: dict[str, str], new: dict[str, str], confirmed: bool
) -> None:
    intern = InternTable()
    settings = (intern.settings(tuple(sorted(each.items()))) for each in (old, new))
    assert Replays().replay(*settings).must_confirm is confirmed


def test_plans_are_discarded_where_the_settings_differ_that_functions_read() -> None:
    intern, replays = InternTable(), Replays()
    plain = intern.settings((("timezone", "UTC"),))
    a, b = (intern.settings((("app.tenant", name),)) for name in "ab")
    role = intern.settings((("role", "a"),))
    for old, new in ((plain, a), (a, b), (b, plain), (plain, role)):
        assert b"DISCARD PLANS" in replays.replay(old, new).plain
        assert b"DISCARD PLANS" in replays.replay(old, new).guarded
    assert b"DISCARD PLANS" not in replays.replay(intern.none, plain).guarded
    assert b"DISCARD PLANS" in replays.replay(plain, plain, discards_plans=True).guarded


def test_what_is_forgotten_is_forgotten_behind_the_guard() -> None:
    intern = InternTable()
    replay = Replays().replay(intern.none, intern.none, deallocates=True)
    assert replay.plain == query("DEALLOCATE ALL")
    assert query("DEALLOCATE ALL;PREPARE _forebay_settings AS VALUES (true)") in replay.guarded


def test_the_answer_does_not_grow_with_the_settings() -> None:
    """At most as many arguments of a function as PostgreSQL takes, all columns few."""
    intern = InternTable()
    many = intern.settings(tuple((f"app.s{n:04}", "x") for n in range(1000)))
    text = Replays().replay(intern.none, many).plain
    calls = text.split(b"num_nulls")[1:]
    assert len(calls) == 10
    assert {call.count(b"set_config") for call in calls} == {100}


def put(*values: tuple[str, str]) -> Settings:
    return INTERN.settings(tuple(sorted(values)))


def test_what_is_kept_stays_and_the_rest_is_taken_back_or_put_in_place() -> None:
    old = put(("a.x", "1"), ("a.y", "2"), ("a.z", "3"))
    new = put(("a.y", "2"), ("a.z", "4"), ("a.w", "5"))
    text = Replays().replay(old, new).plain
    assert text.index(b'RESET "a"."x"') < text.index(b"set_config")
    assert b"a.y" not in text
    assert b"set_config('a.w', '5', false)" in text
    assert b"set_config('a.z', '4', false)" in text


def test_the_session_s_user_comes_before_the_role_and_both_last() -> None:
    names = ("role", "session_authorization", "work_mem")
    text = Replays().replay(INTERN.none, put(*((name, "a") for name in names))).plain
    assert sorted(names, key=lambda name: text.index(name.encode())) == [
        *("work_mem", "session_authorization", "role")
    ]


def test_another_identity_is_taken_off_before_what_it_may_not_set() -> None:
    old = put(("role", "a"), ("log_min_messages", "error"))
    text = Replays().replay(old, put(("role", "a"))).plain
    assert text.index(b'RESET "role"') < text.index(b'RESET "log_min_messages"')
    assert text.index(b'RESET "log_min_messages"') < text.index(b"set_config('role'")


def test_init_query_runs_again_behind_what_is_taken_back() -> None:
    replays = Replays("SET a.b = 1 -- ours")
    old, new = put(("a.c", "1"), ("a.d", "1")), put(("a.d", "1"))
    found = replays.replay(old, new)
    assert found.must_confirm
    assert b"SET a.b = 1 -- ours\n" in found.plain
    assert b"set_config('a.d', '1', false)" in found.plain  # it may have set that, too
    assert b"ours" in replays.replay(INTERN.settings(RESET_BY_CLIENT), new).plain
    assert b"ours" not in replays.replay(new, old).plain


def test_the_guard_is_there_only_behind_all_else() -> None:
    guarded = Replays().replay(INTERN.none, put(("a.b", "1"))).guarded
    assert guarded.count(GUARD.encode()) == 4  # Close, PREPARE, Describe, Close
    assert guarded.index(b"set_config") < guarded.index(f"PREPARE {GUARD}".encode())


def test_names_that_identifiers_cannot_hold_are_taken_back_by_a_function() -> None:
    for name in ("a." + "x" * 64, "a.größe"):
        text = Replays().replay(put((name, "1")), INTERN.none).plain
        assert b"RESET" not in text
        assert b"NULL, false" in text


@pytest.mark.parametrize(
    ("settings", "hasty"),
    [
        ({}, False),
        ({"statement_timeout": "0"}, False),
        ({"statement_timeout": "1s"}, False),
        ({"statement_timeout": "100us"}, True),
        ({"transaction_timeout": "999"}, True),
        ({"lock_timeout": "1"}, False),
    ],
)
def test_settings_that_may_cut_a_change_over_short(settings: dict[str, str], hasty: bool) -> None:
    assert is_hasty(settings) is hasty


def test_what_a_module_refuses_is_taken_off_unless_the_login_asked_for_it() -> None:
    values = (("a.b", "1"), ("c.d", "2"), ("work_mem", "1MB"))
    message = 'unrecognized configuration parameter "a.b"'
    assert without_refused(values, (), message) == values[1:]
    assert without_refused(values, values[:1], message) == values
    assert without_refused(values, (), 'invalid value for parameter "work_mem"') == values
