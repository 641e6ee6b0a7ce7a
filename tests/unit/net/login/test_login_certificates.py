"""Logging in with stored forms, newer credentials and certificates, message by message."""

import asyncio
import base64
import socket
import ssl
from pathlib import Path

import pytest

from forebay.embedded.certificates import Authority
from forebay.net.login import (
    Credentials,
    LoginFailed,
    Throttle,
    UserAuth,
    UserEntry,
    derive_user,
)
from forebay.net.stream import TLSError
from forebay.net.tls import (
    end_point_hash,
    self_signed_certificate,
    server_context,
)
from forebay.protocol import md5, messages, scram
from tests.unit.net.login.doors import SERVER, Door, startup

# ---- Stored forms, newer credentials -------------------------------------------------------------


def stored_form(password: str, salt: bytes = b"0123456789abcdef") -> tuple[str, scram.ClientKeys]:
    keys = scram.ClientKeys.derive(password, salt, 4096)
    parts = (base64.b64encode(each).decode() for each in (salt, keys.stored_key, keys.server_key))
    return "SCRAM-SHA-256$4096:{}${}:{}".format(*parts), keys


async def test_keys_that_a_proof_gives_away(door: Door) -> None:
    stored, keys = stored_form("secret")
    for passwords, given in (((stored,), keys), (("secret",), None)):
        credentials = await Credentials.derive([UserEntry("app", passwords, "md5")])
        client = door.open(credentials=credentials)
        await client.encrypt()
        client.send(startup())
        if given is None:  # "md5" asks by SCRAM where that is what is stored
            _, salt = await client.request()
            answer = md5.response(md5.stored_hash("app", "secret"), salt)
            client.send(messages.password_message(answer))
        else:
            await client.scram("secret", SERVER.end_point)
        result = await client.logged_in()
        assert result.client_keys == given
        assert "client_keys" not in repr(result)


@pytest.mark.parametrize(("password", "right"), [("newer", True), ("wrong", False)])
async def test_a_proof_under_way_is_held_against_newer_credentials(
    door: Door, password: str, right: bool
) -> None:
    auth = await derive_user(UserEntry("app", ("newer",), "scram-sha-256"))

    async def newer(_: str) -> UserAuth:
        return auth

    client = door.open(newer=newer)
    client.send(startup())
    await client.scram(password)
    if right:
        assert (await client.logged_in()).user == "app"
    else:
        assert (await client.refused())[0] == "28P01"


async def test_what_is_newer_is_not_waited_for_longer_than_a_login_may_take(door: Door) -> None:
    cancelled = asyncio.Event()

    async def newer(_: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    client = door.open(newer=newer, login_timeout_s=0.05)
    client.send(startup(user="ghost"))
    assert (await client.refused())[0] == "57014"
    assert cancelled.is_set()


# ---- Certificates of clients, and of this side ---------------------------------------------------

AUTHORITY = Authority()
ASKING = server_context(*self_signed_certificate(), client_ca_pem=AUTHORITY.certificate_pem)
CERTIFIED = [
    UserEntry("app", ("secret",), "scram-sha-256", "verify-full"),
    UserEntry("any", ("secret",), "scram-sha-256", "verify-ca"),
    UserEntry("machine", (), "cert", cert_names=("web.test",)),
    UserEntry("open", (), "trust"),
]


def own_certificate(directory: Path, *names: str) -> dict[str, str]:
    certificate, key = AUTHORITY.issue(names)
    (directory / "crt").write_bytes(certificate)
    (directory / "key").write_bytes(key)
    return {"sslcert": str(directory / "crt"), "sslkey": str(directory / "key")}


WANTED = "connection requires a valid client certificate"


@pytest.mark.parametrize(
    ("user", "names", "told"),
    [
        ("app", ["app"], ""),
        ("app", ["x", "app"], ""),
        ("app", ["other"], 'certificate authentication failed for user "app"'),
        ("app", None, WANTED),
        ("any", ["other"], ""),
        ("any", None, WANTED),
        ("machine", ["machine"], ""),
        ("machine", ["x", "web.test"], ""),
        ("machine", ["app"], 'certificate authentication failed for user "machine"'),
        ("machine", None, WANTED),
        ("open", None, ""),
        ("open", ["other"], ""),
    ],
)
async def test_certificates(
    door: Door, tmp_path: Path, user: str, names: list[str] | None, told: str
) -> None:
    throttle = Throttle(first_delay_s=0, max_delay_s=0)
    credentials = await Credentials.derive(CERTIFIED)
    client = door.open(tls_context=ASKING, credentials=credentials, throttle=throttle)
    await client.encrypt(**own_certificate(tmp_path, *names) if names else {})
    client.send(startup(user=user))
    if user in ("app", "any") and told != WANTED:
        await client.scram("secret", ASKING.end_point)
        if told:  # the password is right
            assert (await client.request())[0] == messages.AUTHENTICATION_SASL_FINAL
    if not told:
        assert (await client.logged_in()).user == user
        return
    assert await client.refused() == ("28000", told)
    with pytest.raises(LoginFailed) as caught:
        await client.login
    assert ("issued to" in caught.value.reason) is (told != WANTED)


@pytest.mark.parametrize(
    ("encrypted", "reason"), [(True, "no authority is configured"), (False, "is not encrypted")]
)
async def test_no_certificate_is_believed_that_nobody_verifies(
    door: Door, tmp_path: Path, encrypted: bool, reason: str
) -> None:
    client = door.open(credentials=await Credentials.derive(CERTIFIED))
    if encrypted:
        await client.encrypt(**own_certificate(tmp_path, "machine"))
    client.send(startup(user="machine"))
    assert await client.refused() == ("28000", WANTED)
    with pytest.raises(LoginFailed, match=reason):
        await client.login


async def test_a_certificate_that_is_not_valid_ends_the_handshake(
    door: Door, tmp_path: Path
) -> None:
    asking = server_context(
        *self_signed_certificate(), client_ca_pem=Authority("other").certificate_pem
    )
    client = door.open(tls_context=asking)
    await client.encrypt(**own_certificate(tmp_path, "app"))
    with pytest.raises(TLSError, match="alert unknown ca"):
        await client.stream.read_exactly(1)
    with pytest.raises(LoginFailed, match="unable to get local issuer certificate"):
        await client.login


@pytest.mark.parametrize("name", ["one.test", "two.test", "other.test"])
async def test_what_is_bound_to_is_the_certificate_that_the_client_saw(
    door: Door, name: str
) -> None:
    pairs = [self_signed_certificate((each,)) for each in ("one.test", "two.test")]
    client = door.open(tls_context=server_context(*pairs[0], pairs[1]))
    await client.encrypt(name)
    client.send(startup())
    assert client.stream.tls is not None
    seen = client.stream.tls.getpeercert(binary_form=True)
    assert seen == ssl.PEM_cert_to_DER_cert(pairs[name == "two.test"][0])
    assert "SCRAM-SHA-256-PLUS" in await client.scram("secret", end_point_hash(seen or b""))
    await client.logged_in()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("minor", [0, 2, 9])
async def test_who_is_asked_nothing_is_handed_over_whole(
    door: Door, version: ssl.TLSVersion, minor: int
) -> None:
    """No flight of the handshake's is left behind, though nothing was said since."""
    credentials = await Credentials.derive([UserEntry("open", (), "trust")])
    context = server_context(*self_signed_certificate())
    context.maximum_version = version
    client = door.open(tls_context=context, credentials=credentials)
    await client.encrypt()
    client.send(startup(minor, user="open"))
    logged_in = await client.logged_in()
    assert logged_in.stream.tls is not None
    assert logged_in.stream.tls.version() == version.name.replace("_", ".")
    detached = logged_in.stream.detach()
    with socket.socket(fileno=detached.fd):
        assert detached.unsent.endswith(messages.authentication_ok())


@pytest.mark.parametrize(("entry", "asked"), [("machine", WANTED), ("open", "no credentials")])
async def test_unknown_users_where_nobody_has_a_password(
    door: Door, entry: str, asked: str
) -> None:
    entries = [each for each in CERTIFIED if each.user == entry]
    client = door.open(credentials=await Credentials.derive(entries))
    client.send(startup(user="ghost"))
    state, text = await client.refused()
    assert state == "28000"
    assert asked in text
