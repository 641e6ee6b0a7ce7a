from forebay.identity.policy.arns import parse_principal
from forebay.identity.policy.conditions import Request, compile_condition
from forebay.identity.policy.globs import Glob
from forebay.identity.policy.statements import Patterns, Reach, Statement

ROLE = "arn:aws:iam::111122223333:role/app"
REQUEST = Request(parse_principal(ROLE), None, 0.0)


def patterns(*texts: str, negated: bool = False) -> Patterns:
    return Patterns(tuple(Glob(text, variables=True) for text in texts), negated)


def test_patterns_of_which_one_is_enough() -> None:
    assert patterns("a", "b*").cover("bc")
    assert not patterns("a", "b*").cover("c")


def test_negated_patterns_of_which_none_may_fit() -> None:
    assert patterns("a", "b*", negated=True).cover("c")
    assert not patterns("a", "b*", negated=True).cover("bc")


def test_how_far_a_statement_reaches() -> None:
    def reach(action: str = "x", principals: set[str] | None = None, resource: str = "r") -> Reach:
        names = None if principals is None else frozenset(principals)
        conditions = (compile_condition("IpAddress", "aws:SourceIp", ["10.0.0.0/8"]),)
        statement = Statement("s", True, names, patterns("x"), patterns("r"), conditions)
        return statement.reach(action, resource, REQUEST)

    assert reach("y") is Reach.ACTION
    assert reach(principals={"other"}) is Reach.PRINCIPAL
    assert reach(principals=set()) is Reach.PRINCIPAL
    assert reach(principals={ROLE, "other"}, resource="q") is Reach.RESOURCE
    assert reach() is Reach.CONDITION
    statement = Statement("s", True, None, patterns("x"), patterns("r"), ())
    assert statement.reach("x", "r", REQUEST) is Reach.ALL


def test_a_user_name_in_the_resource() -> None:
    statement = Statement("s", True, None, patterns("*"), patterns("r/${aws:username}"), ())
    alice = Request(parse_principal("arn:aws:iam::111122223333:user/alice"), None, 0.0)
    assert statement.reach("x", "r/alice", alice) is Reach.ALL
    assert statement.reach("x", "r/bob", alice) is Reach.RESOURCE
    assert statement.reach("x", "r/alice", REQUEST) is Reach.RESOURCE
