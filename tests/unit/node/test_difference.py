"""What a worker is told, so that it does what is desired."""

from typing import Any

import msgspec

from forebay.channel import Apply, CertificatePair, CredentialChange, WorkerProxy
from forebay.config.settings import ProxySettings, TargetSettings
from forebay.node.difference import difference
from tests.harness.credentials import credential

TARGET = TargetSettings(hosts=["db:5432"])


def proxy(name: str, **changes: Any) -> WorkerProxy:
    plain = WorkerProxy(
        name=name,
        listeners=[1],
        settings=ProxySettings(target=TARGET),
        credentials=[credential("a", "one"), credential("b", "one")],
        certificates=[CertificatePair("CERTIFICATE", "KEY")],
    )
    return msgspec.structs.replace(plain, **changes)


def named(*proxies: WorkerProxy) -> dict[str, WorkerProxy]:
    return {each.name: each for each in proxies}


def steps(*present: WorkerProxy, to: list[WorkerProxy]) -> Apply:
    return difference(named(*present), named(*to), 5)


def test_nothing_to_do() -> None:
    found = steps(proxy("app"), to=[proxy("app")])
    assert found == Apply(drain_timeout_s=5)
    assert found.is_empty


def test_a_new_worker_is_told_everything() -> None:
    both = [proxy("app"), proxy("jobs", listeners=[2, 3])]
    assert steps(to=both) == Apply(open=both, passed=[1, 2, 3], drain_timeout_s=5)


def test_proxies_come_and_go() -> None:
    new = proxy("new", listeners=[7])
    found = steps(proxy("app"), proxy("old"), to=[proxy("app"), new])
    assert found == Apply(open=[new], close=["old"], passed=[7], drain_timeout_s=5)
    assert not found.is_empty


def test_only_listeners_that_a_proxy_does_not_have_are_passed() -> None:
    present = [proxy("a", listeners=[1, 2]), proxy("b", listeners=[3])]
    wanted = [proxy("a", listeners=[2, 3]), proxy("b", listeners=[1, 4])]
    found = steps(*present, to=wanted)
    assert found.change == wanted
    assert found.passed == [3, 1, 4]


def test_users_alone_are_told_alone() -> None:
    users = [credential("a", "one"), credential("b", "two"), credential("c", "three")]
    found = steps(proxy("app"), to=[proxy("app", credentials=users)])
    change = CredentialChange(proxy="app", users=users[1:])
    assert found == Apply(credentials=[change], drain_timeout_s=5)
    back = steps(proxy("app", credentials=users), to=[proxy("app")])
    (change,) = back.credentials
    assert (change.users, change.gone) == ([credential("b", "one")], ["c"])


def test_users_are_told_with_the_rest_where_that_is_other_too() -> None:
    wanted = proxy("app", credentials=[], access_keys=[])
    other = proxy("app", credentials=[], settings=ProxySettings(target=TARGET, pinning="rds"))
    assert steps(proxy("app"), to=[wanted]).credentials[0].gone == ["a", "b"]
    assert steps(proxy("app"), to=[other]) == Apply(change=[other], drain_timeout_s=5)
