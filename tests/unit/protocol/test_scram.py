"""SCRAM, both sides, against each other and against scramp."""

import base64
import re

import pytest
import scramp

from forebay.protocol import scram
from forebay.protocol.saslprep import saslprep
from forebay.protocol.scram import (
    ClientExchange,
    ClientKeys,
    ProofError,
    ScramError,
    ServerExchange,
)

PASSWORD = "pencil"
VERIFIER = scram.make_verifier(PASSWORD, b"salt for testing")
BINDING = b"h" * 32


def exchange(client: ClientExchange, server: ServerExchange, password: str = PASSWORD) -> None:
    salt, iterations = client.challenge(server.first(client.first()))
    client.verify(server.final(client.final(ClientKeys.derive(password, salt, iterations))))


def server(binding: bytes | None = None, plus: bool = False) -> ServerExchange:
    mechanism = scram.MECHANISM_PLUS if plus else scram.MECHANISM
    return ServerExchange(mechanism, (VERIFIER,), binding)


def test_rfc_7677_example() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    client = ClientExchange(nonce=b"rOprNGfwEbeRWgbNEkqO")
    first = (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert client.challenge(first) == (salt, 4096)
    # The RFC's client names a user, PostgreSQL's does not: the proof is another, the keys are not.
    keys = ClientKeys.derive("pencil", salt, 4096)
    oracle = scramp.ScramMechanism().make_auth_info("pencil", 4096, salt)
    assert (keys.stored_key, keys.server_key) == (oracle[1], oracle[2])


@pytest.mark.parametrize("binding", [None, BINDING])
def test_our_client_against_another_implementation(binding: bytes | None) -> None:
    mechanism = scramp.ScramMechanism(scram.MECHANISM if binding is None else scram.MECHANISM_PLUS)
    secrets = mechanism.make_auth_info(PASSWORD)
    bound_to = None if binding is None else ("tls-server-end-point", binding)
    server = mechanism.make_server(lambda _: secrets, channel_binding=bound_to)
    client = ClientExchange(binding)
    client._first_bare = b"n=app,r=" + client._nonce  # scramp wants a name, PostgreSQL has its own
    server.set_client_first(client.first().decode())
    salt, iterations = client.challenge(server.get_server_first().encode())
    keys = ClientKeys.derive(PASSWORD, salt, iterations)
    server.set_client_final(client.final(keys).decode())
    client.verify(server.get_server_final().encode())
    with pytest.raises(ProofError):
        client.verify(b"v=" + base64.b64encode(b"x" * 32))


def test_both_sides_agree() -> None:
    exchange(ClientExchange(), server())
    exchange(ClientExchange(could_bind=True), server())
    exchange(ClientExchange(BINDING), server(BINDING, plus=True))
    exchange(ClientExchange(), server(BINDING))


def test_any_of_several_passwords() -> None:
    other = scram.make_verifier("new", VERIFIER.salt)
    for password in ("new", PASSWORD):
        exchange(ClientExchange(), ServerExchange(scram.MECHANISM, (other, VERIFIER)), password)


def test_wrong_password() -> None:
    with pytest.raises(ProofError):
        exchange(ClientExchange(), server(), "pen")


def test_unknown_user_gets_the_same_salt_every_time_and_no_entry() -> None:
    one, two = (scram.mock_verifier("ghost", b"secret") for _ in range(2))
    assert one.salt == two.salt != scram.mock_verifier("other", b"secret").salt
    assert len(one.salt) == scram.SALT_BYTES
    with pytest.raises(ProofError):
        exchange(ClientExchange(), ServerExchange(scram.MECHANISM, (one,)))


def test_channel_binding_is_enforced() -> None:
    with pytest.raises(ScramError, match="channel binding check failed"):
        exchange(ClientExchange(b"x" * 32), server(BINDING, plus=True))
    with pytest.raises(ScramError, match="but it was offered"):
        exchange(ClientExchange(could_bind=True), server(BINDING))
    with pytest.raises(ScramError, match="does not use it"):
        exchange(ClientExchange(), server(BINDING, plus=True))
    with pytest.raises(ScramError, match="unexpected channel-binding flag"):
        exchange(ClientExchange(BINDING), server(BINDING))
    with pytest.raises(ScramError, match="not offered"):
        ServerExchange(scram.MECHANISM_PLUS, (VERIFIER,))


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=",
        b"n,,r=x",
        b"n,a=admin,n=,r=x",
        b"n,,m=ext,n=,r=x",
        b"n,,n=,r=",
        b"n,,n=,r=\x07",
        b"n,,n=,r=\xff",
        b"q,,n=,r=x",
        b"p=tls-unique,,n=,r=x",
    ],
)
def test_malformed_client_first(first: bytes) -> None:
    with pytest.raises(ScramError):
        server().first(first)


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws",
        b"c=biws,r=NONCE",
        b"c=biws,r=NONCE,p=",
        b"c=biws,r=NONCE,p=!!!!",
        b"c=biws,r=NONCE,p=AAAA",
        b"c=eSws,r=NONCE,p=" + base64.b64encode(b"x" * 32),
        b"c=biws,r=other,p=" + base64.b64encode(b"x" * 32),
        b"r=NONCE,c=biws,p=" + base64.b64encode(b"x" * 32),
    ],
)
def test_malformed_client_final(final: bytes) -> None:
    side = ServerExchange(scram.MECHANISM, (VERIFIER,), nonce=b"SERVER")
    side.first(b"n,,n=,r=CLIENT")
    with pytest.raises(ScramError) as caught:
        side.final(final.replace(b"NONCE", b"CLIENTSERVER"))
    assert not isinstance(caught.value, ProofError)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"r=mine",
        b"r=mine,s=AAAA,i=4096",
        b"r=other1,s=AAAA,i=4096",
        b"r=mine1,s=AAA,i=4096",
        b"r=mine1,s=AAAA,i=0",
        b"r=mine1,s=AAAA,i=-1",
        b"r=mine1,s=AAAA,i=4096x",
        b"r=mine1,s=AAAA,i=1000001",
        b"r=mine1,s=AAAA,i=99999999999999999999",
        b"m=ext,r=mine1,s=AAAA,i=4096",
    ],
)
def test_malformed_server_first(first: bytes) -> None:
    with pytest.raises(ScramError):
        ClientExchange(nonce=b"mine").challenge(first)


@pytest.mark.parametrize("final", [b"", b"v=", b"v=AAAA", b"v=!", b"e=other-error", b"x"])
def test_the_server_has_to_prove_itself(final: bytes) -> None:
    client, side = ClientExchange(), server()
    salt, iterations = client.challenge(side.first(client.first()))
    client.final(ClientKeys.derive(PASSWORD, salt, iterations))
    with pytest.raises(ScramError):
        client.verify(final)


def test_nothing_is_verified_before_the_exchange() -> None:
    with pytest.raises(ScramError):
        ClientExchange().verify(b"v=")


@pytest.mark.parametrize("binding", [None, BINDING])
def test_scramp_as_client(binding: bytes | None) -> None:
    channel = ("tls-server-end-point", binding) if binding else None
    mechanism = scram.MECHANISM_PLUS if binding else scram.MECHANISM
    client = scramp.ScramClient([mechanism], "user", PASSWORD, channel_binding=channel)
    side = server(binding, plus=binding is not None)
    client.set_server_first(side.first(client.get_client_first().encode()).decode())
    client.set_server_final(side.final(client.get_client_final().encode()).decode())


@pytest.mark.parametrize("binding", [None, BINDING])
def test_scramp_as_server(binding: bytes | None) -> None:
    mechanism = scramp.ScramMechanism(scram.MECHANISM_PLUS if binding else scram.MECHANISM)
    info = mechanism.make_auth_info(PASSWORD)
    channel = ("tls-server-end-point", binding) if binding else None
    side = mechanism.make_server(lambda _user: info, channel_binding=channel)
    client = ClientExchange(binding)
    # scramp wants a user name, which PostgreSQL's clients leave empty.
    first = client.first().replace(b"n=,", b"n=u,")
    client._first_bare = client._first_bare.replace(b"n=,", b"n=u,")
    side.set_client_first(first.decode())
    keys = ClientKeys.derive(PASSWORD, *client.challenge(side.get_server_first().encode()))
    side.set_client_final(client.final(keys).decode())
    client.verify(side.get_server_final().encode())


def test_secrets_are_not_printed() -> None:
    keys = ClientKeys.derive(PASSWORD, b"salt", 1)
    assert not re.search(r"key=b", repr(VERIFIER) + repr(keys))


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("plain", b"plain"),
        ("with space\x07", b"with space\x07"),
        ("I\u00adX", b"IX"),
        ("\u00aa", b"a"),
        ("\u2168", b"IX"),
        ("a\u00a0b", b"a b"),
        ("\u0627\u0031", "\u0627\u0031".encode()),  # RFC 4013 forbids it, PostgreSQL takes it raw
        ("\u0627\u0628", "\u0627\u0628".encode()),
        ("a\u0627", "a\u0627".encode()),
        ("\u00ad", "\u00ad".encode()),
        ("ä\x07", "ä\x07".encode()),
        ("\u0221", "\u0221".encode()),
        ("\udcff", b"\xff"),
    ],
)
def test_saslprep(password: str, prepared: bytes) -> None:
    assert saslprep(password) == prepared


# ---- Stored forms, and one proof against several verifiers ---------------------------------------

STORED = (
    "SCRAM-SHA-256$4096:c2FsdCBmb3IgdGVzdGluZw=="
    f"${base64.b64encode(VERIFIER.stored_key).decode()}"
    f":{base64.b64encode(VERIFIER.server_key).decode()}"
)


def test_a_stored_form() -> None:
    read = scram.Verifier.parse(STORED)
    assert read is not None
    assert read == scram.Verifier(
        *VERIFIER.question, VERIFIER.stored_key, VERIFIER.server_key, True
    )
    assert STORED.split("$")[2][:43] not in repr(read)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "md5" + "0" * 32,
        STORED + "x",
        STORED[:-1],
        STORED[1:],
        STORED.replace("4096", "0"),
        STORED.replace("4096", "-1"),
        STORED.replace("4096", "4096000000"),
        STORED.replace("c2Fs", "c2F"),
        STORED.replace("c2Fs", "c2F\n"),
        STORED.replace("SHA-256", "SHA-512"),
        STORED.replace("$", ":"),
        STORED + "\n",
    ],
)
def test_what_is_no_stored_form(text: str) -> None:
    assert scram.Verifier.parse(text) is None


def proof_of(password: str, server: ServerExchange) -> bytes:
    client = ClientExchange()
    salt, iterations = client.challenge(server.first(client.first()))
    return client.final(ClientKeys.derive(password, salt, iterations))


def test_a_proof_is_held_against_other_verifiers() -> None:
    exchange = server()
    proof = proof_of("newer", exchange)
    newer = scram.make_verifier("newer", VERIFIER.salt)
    for wrong in (
        (),
        (VERIFIER,),
        (scram.make_verifier("newer", b"another salt"),),
        (scram.Verifier(b"another salt", 4096, newer.stored_key, newer.server_key),),
        (scram.Verifier(newer.salt, 4097, newer.stored_key, newer.server_key),),
    ):
        with pytest.raises(ProofError):
            exchange.final(proof, wrong)
    assert exchange.final(proof, (VERIFIER, newer)).startswith(b"v=")
    assert exchange.client_keys is None


def test_a_proof_gives_keys_away_where_nothing_else_is_known() -> None:
    stored = scram.Verifier.parse(STORED)
    assert stored is not None
    exchange = ServerExchange(scram.MECHANISM, (stored,))
    with pytest.raises(ProofError):
        exchange.final(proof_of("wrong", exchange))
    assert exchange.client_keys is None
    exchange = ServerExchange(scram.MECHANISM, (stored,))
    exchange.final(proof_of(PASSWORD, exchange))
    assert exchange.client_keys == ClientKeys.derive(PASSWORD, *VERIFIER.question)
    known = server()
    known.final(proof_of(PASSWORD, known))
    assert known.client_keys is None


def test_salts_of_users() -> None:
    salt = scram.salt_of("app", b"secret")
    assert scram.mock_verifier("app", b"secret").question == (salt, scram.ITERATIONS)
    assert salt not in (scram.salt_of("app", b"other"), scram.salt_of("other", b"secret"))
    assert len(salt) == scram.SALT_BYTES
