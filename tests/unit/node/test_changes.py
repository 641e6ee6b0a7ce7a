import msgspec

from forebay.channel import Credential
from forebay.config import (
    AuthSettings,
    Config,
    IamSettings,
    LimitSettings,
    NodeSettings,
    PoolSettings,
    ProxySettings,
)
from forebay.config import TargetSettings as Target
from forebay.identity.access_keys import AccessKey
from forebay.node.certificates import Certificate
from forebay.node.changes import compare, compare_materials
from forebay.node.materials import Material
from tests.harness.credentials import credential

APP = ProxySettings(auth=[AuthSettings(secret="env:A")], target=Target(hosts=["db:5432"]))

STAYS = "can't change while running; it stays"


def config(node: NodeSettings | None = None, **proxies: ProxySettings) -> Config:
    return Config(node=node or NodeSettings(), proxies=proxies)


def test_nothing_changed() -> None:
    changes = compare(config(app=APP), config(app=APP))
    assert (changes.changed, changes.fixed) == ([], [])
    assert changes.effective == config(app=APP)


def test_an_endpoint_for_reads_does_not_become_one_for_writes() -> None:
    reads = msgspec.structs.replace(APP, target_role="READ_ONLY", require_tls=False)
    changes = compare(config(app=APP, new=APP), config(app=reads, other=reads))
    assert changes.fixed == [
        'proxies.app.target_role can\'t change while running; it stays "READ_WRITE" until a restart'
    ]
    kept = msgspec.structs.replace(reads, target_role="READ_WRITE")
    assert changes.effective == config(app=kept, other=reads)
    assert "proxies.app.require_tls: true → false" in changes.changed


def test_limits_that_come_change_and_go() -> None:
    old = msgspec.structs.replace(
        APP, users={"a.b": LimitSettings(max_connections=3), "c": LimitSettings(query_timeout=1)}
    )
    new = msgspec.structs.replace(
        APP,
        users={"a.b": LimitSettings(max_connections=4)},
        databases={"shop": LimitSettings(query_wait_timeout=5)},
    )
    assert compare(config(app=old), config(app=new)).changed == [
        'proxies.app.users."a.b".max_connections: 3 → 4',
        "proxies.app.users.c.query_timeout: 1 → unset",
        "proxies.app.databases.shop.query_wait_timeout: unset → 5",
    ]


def test_what_can_change() -> None:
    new = msgspec.structs.replace(
        APP,
        require_tls=False,
        pool=PoolSettings(max_connections_percent=40),
        auth=[*APP.auth, AuthSettings(secret="env:B")],
    )
    changes = compare(config(app=APP), config(NodeSettings(drain_timeout=1), app=new))
    assert changes.fixed == []
    assert changes.changed == [
        "node.drain_timeout: 30 → 1",
        "proxies.app.require_tls: true → false",
        "proxies.app.auth: the entries are others",
        "proxies.app.pool.max_connections_percent: 100 → 40",
        "proxies.app.pool.max_idle_connections_percent: 50 → 20",
    ]
    assert changes.effective.proxies["app"] == new


IAM = IamSettings(verifier="keys", region="us-east-1", hosts=["h:1"], access_keys=["env:K"])


def test_a_table_that_comes_and_goes() -> None:
    with_iam = msgspec.structs.replace(APP, iam=IAM)
    added = compare(config(app=APP), config(app=with_iam))
    assert added.changed[0].startswith('proxies.app.iam: unset → {"verifier":"keys"')
    assert added.effective.proxies["app"].iam == IAM
    assert compare(config(app=with_iam), config(app=APP)).changed[0].endswith("} → unset")
    other = msgspec.structs.replace(APP, iam=msgspec.structs.replace(IAM, region="eu-west-1"))
    changes = compare(config(app=with_iam), config(app=other))
    assert changes.changed == ['proxies.app.iam.region: "us-east-1" → "eu-west-1"']


def test_what_cannot_change() -> None:
    new = config(NodeSettings(control_listen=":1", control_socket="/c"), app=APP)
    changes = compare(config(app=APP), new)
    assert changes.fixed == [
        f'node.control_listen {STAYS} "127.0.0.1:6480" until a restart',
        f"node.control_socket {STAYS} unset until a restart",
    ]
    assert changes.changed == []
    assert changes.effective == config(app=APP)


def test_proxies_come_and_go_and_change_where_they_listen_and_connect() -> None:
    target = Target(hosts=["other:5432"], connect_timeout=5)
    other = msgspec.structs.replace(APP, listen=":7000", target=target)
    changes = compare(config(app=APP, gone=APP), config(app=other, another=APP))
    assert changes.fixed == []
    assert changes.changed == [
        "proxies.gone is gone: its clients have 30 s to finish their transactions",
        'proxies.app.listen: "127.0.0.1:6432" → ":7000"',
        'proxies.app.target.hosts: ["db:5432"] → ["other:5432"]',
        "proxies.app.target.connect_timeout: 15 → 5",
        "proxies.another is new",
    ]
    assert changes.effective == config(app=other, another=APP)


def material(certificate: str, *credentials: Credential) -> dict[str, Material]:
    return {"app": Material(list(credentials), [Certificate(certificate, "KEY", self_made=False)])}


def test_secrets_and_certificates() -> None:
    old = material(
        "ONE", credential("stays", "p", "md5"), credential("turns", "p", "md5"),
        credential("goes", "p", "md5"),
    )  # fmt: skip
    new = material(
        "TWO", credential("stays", "p", "md5"), credential("turns", "hunter2", "md5"),
        credential("comes", "p", "md5"),
    )  # fmt: skip
    assert compare_materials(old, new) == [
        "proxies.app: the TLS certificate is another",
        'proxies.app: the password of "turns" is another',
        'proxies.app: user "comes" is new',
        'proxies.app: user "goes" is gone',
    ]
    assert compare_materials(old, old) == []


def test_other_access_keys() -> None:
    certificate = Certificate("certificate", "key", self_made=False)
    old = Material([], [certificate], access_keys=[AccessKey("AKIA1", "s3cret")])
    new = Material([], [certificate], access_keys=[AccessKey("AKIA1", "other")])
    assert compare_materials({"app": old}, {"app": old}) == []
    (text,) = compare_materials({"app": old}, {"app": new})
    assert text == "proxies.app: the access keys for IAM tokens are others"
