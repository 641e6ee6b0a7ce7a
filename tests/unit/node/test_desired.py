"""What a worker is to run, of what the node has gathered."""

from forebay.config.addresses import Address
from forebay.config.settings import Config, ProxySettings, TargetSettings
from forebay.identity.access_keys import AccessKey
from forebay.node.certificates import Certificate
from forebay.node.desired import desired
from forebay.node.listeners import Listener
from forebay.node.materials import Material
from tests.harness.credentials import credential


def test_each_proxy_has_what_is_its() -> None:
    settings = ProxySettings(target=TargetSettings(hosts=["db:5432"]))
    config = Config(proxies={"app": settings, "jobs": settings})
    pair = Certificate("CERTIFICATE", "KEY", self_made=False)
    materials = {
        "app": Material([credential("app", "x")], [pair], access_keys=[AccessKey("AKIA1", "y")]),
        "jobs": Material([], [pair, pair], client_ca_pem="CA", policies={"one": "{}"}),
    }
    opened = {
        "app": [Listener(Address("a", 1), [], numbers=[1, 2]), Listener(Address("b", 1), [])],
        "jobs": [Listener(Address("c", 1), [], numbers=[3])],
    }
    paused = {"jobs": frozenset({"b", "a"}), "gone": frozenset({""})}
    found = desired(config, materials, opened, paused)
    app, jobs = found["app"], found["jobs"]
    assert (app.name, app.listeners, jobs.listeners) == ("app", [1, 2], [3])
    assert (app.credentials, app.access_keys) == (
        [credential("app", "x")],
        [AccessKey("AKIA1", "y")],
    )
    assert (app.certificates, jobs.certificates) == ([pair.pair], [pair.pair] * 2)
    assert (jobs.client_ca_pem, jobs.policies) == ("CA", {"one": "{}"})
    assert (app.paused, jobs.paused) == ([], ["a", "b"])
