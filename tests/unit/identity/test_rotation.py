from forebay.config.settings import Hidden
from forebay.identity.holding import Held, changed_list
from forebay.identity.rotation import (
    Plan,
    plans,
    shared_identity,
    users_twice,
)
from forebay.identity.secrets import User

OVERLAP_S = 300.0


def user(name: str, password: str | None) -> User:
    return User(name, None if password is None else Hidden(password))


def accepted(plan: Plan) -> dict[str, list[str]]:
    return {
        name: [each.reveal() for each in passwords] for name, passwords in plan.passwords.items()
    }


def tried(plan: Plan) -> list[tuple[str, str]]:
    return [(each.username, each.password.reveal()) for each in plan.logins if each.password]


def only(held: Held, now_s: float) -> Plan:
    (plan,) = plans(held, now_s, OVERLAP_S)
    return plan


def test_one_user_step_by_step() -> None:
    one, two = (user("u", "1"),), (user("u", "2"),)
    before = only(Held(one), 0)
    assert (accepted(before), tried(before)) == ({"u": ["1"]}, [("u", "1")])
    created = only(Held(one, pending=two), 0)
    assert (accepted(created), tried(created)) == ({"u": ["2", "1"]}, [("u", "2"), ("u", "1")])
    assert created.changes_at_s is None
    finished = Held(two, one, changed_at_s=1000)
    at_once = only(finished, 1000)
    assert (accepted(at_once), at_once.changes_at_s) == ({"u": ["2", "1"]}, 1300)
    assert accepted(only(finished, 1299.9)) == {"u": ["2", "1"]}
    over = only(finished, 1300)
    assert (accepted(over), over.changes_at_s) == ({"u": ["2"]}, None)
    # The database may be behind for longer: the last resort is the former password.
    assert tried(over) == [("u", "2"), ("u", "1")]
    assert {each.identity for each in (before, created, at_once, over)} == {"u"}


def test_alternating_users_step_by_step() -> None:
    u1, c2, u3 = (user("u", "1"),), (user("u_clone", "2"),), (user("u", "3"),)
    created = only(Held(u1, pending=c2), 0)
    assert accepted(created) == {"u_clone": ["2"], "u": ["1"]}
    finished = Held(c2, u1, changed_at_s=0)
    assert accepted(only(finished, 10)) == {"u_clone": ["2"], "u": ["1"]}
    assert only(finished, 10).changes_at_s == 300
    assert accepted(only(finished, 400)) == {"u_clone": ["2"]}
    again = Held(c2, u1, u3, changed_at_s=0)
    assert accepted(only(again, 10)) == {"u": ["3", "1"], "u_clone": ["2"]}
    assert accepted(only(again, 400)) == {"u": ["3"], "u_clone": ["2"]}
    assert tried(only(again, 400)) == [("u", "3"), ("u_clone", "2"), ("u", "1")]
    assert [each.username for each in only(again, 400).logins_as("u")] == ["u", "u"]
    plan = [only(each, 400).identity for each in (Held(u1), finished, again, Held(c2))]
    assert plan == ["u"] * 4


def test_nothing_ends_where_nothing_is_different() -> None:
    held = Held((user("u", "1"),), (user("u", "1"),), changed_at_s=0)
    assert only(held, 10).changes_at_s is None
    assert tried(only(held, 10)) == [("u", "1")]


def test_no_overlap_is_wanted() -> None:
    held = Held((user("u", "2"),), (user("u", "1"),), changed_at_s=10)
    (plan,) = plans(held, 10, 0.0)
    assert (accepted(plan), plan.changes_at_s) == ({"u": ["2"]}, None)


def test_what_was_there_at_the_start_has_no_overlap() -> None:
    held = Held((user("u", "2"),), (user("u", "1"),))
    assert accepted(only(held, 10)) == {"u": ["2"]}


def test_a_user_without_a_password() -> None:
    plan = only(Held((user("u", None),)), 0)
    assert accepted(plan) == {"u": []}
    assert plan.logins == (user("u", None),)


def test_a_list_has_a_plan_for_each_user() -> None:
    before = Held((user("a", "1"), user("b", "1")))
    held = changed_list(before, (user("a", "2"), user("b", "1"), user("c_clone", None)), 10)
    a, b, c = plans(held, 20, OVERLAP_S)
    assert (accepted(a), a.changes_at_s) == ({"a": ["2", "1"]}, 310)
    assert (accepted(b), b.changes_at_s) == ({"b": ["1"]}, None)
    assert accepted(c) == {"c_clone": []}
    assert [accepted(plan) for plan in plans(held, 400, OVERLAP_S)] == [
        {"a": ["2"]},
        {"b": ["1"]},
        {"c_clone": []},
    ]


def test_a_list_of_one_has_the_overlap_of_its_user() -> None:
    held = changed_list(Held((user("a", "1"),)), (user("a", "2"),), 10)
    assert accepted(only(held, 20)) == {"a": ["2", "1"]}
    assert accepted(only(held, 310)) == {"a": ["2"]}
    others = Held((user("a", "1"), user("b", "1")))
    for at_s, now in ((10, {"a": "2", "b": "1"}), (20, {"a": "2", "b": "2"}), (30, {"a": "2"})):
        others = changed_list(others, tuple(user(*each) for each in now.items()), at_s)
    assert only(others, 200).changes_at_s == 310


def test_the_name_for_both() -> None:
    assert shared_identity(["u"]) == "u"
    assert shared_identity(["u_clone"]) == "u"
    assert shared_identity(["u_clone", "u"]) == "u"
    assert shared_identity(["app_b", "app_a"]) == "app_a"
    assert shared_identity(["_clone"]) == "_clone"


def test_users_in_two_sources() -> None:
    a = plans(Held((user("u", "2"),), (user("u_clone", "1"),), changed_at_s=0), 10, OVERLAP_S)
    b = plans(Held((user("u_clone", "1"),)), 10, OVERLAP_S)
    assert users_twice({"env:A": a, "env:B": b}) == ['env:B: user "u_clone" is in env:A already']
    assert users_twice({"env:A": a, "env:B": plans(Held((user("v", "1"),)), 0, 0)}) == []


def test_what_is_planned_is_not_shown() -> None:
    assert "hunter2" not in repr(only(Held((user("u", "hunter2"),)), 0))
