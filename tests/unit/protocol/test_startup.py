"""First packets: startup messages, options, requests."""

import re
import struct

import pytest

from forebay.protocol.errors import PgError
from forebay.protocol.startup import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupLengthError,
    StartupMessage,
    negotiate_protocol_version,
    parse_options,
    parse_startup,
    split_options,
)


def packet(*words: str, version: int = 3 << 16, end: bytes = b"\0") -> bytes:
    return struct.pack("!I", version) + b"".join(w.encode() + b"\0" for w in words) + end


def startup(*words: str, version: int = 3 << 16) -> StartupMessage:
    message = parse_startup(packet(*words, version=version))
    assert isinstance(message, StartupMessage)
    return message


def sqlstate_of(data: bytes) -> str:
    with pytest.raises(PgError) as caught:
        parse_startup(data)
    return caught.value.sqlstate


def test_the_database_is_the_user_unless_named() -> None:
    message = startup("user", "app")
    assert (message.user, message.database, message.settings) == ("app", "app", {})
    assert startup("user", "app", "database", "shop").database == "shop"
    assert startup("user", "app", "database", "").database == "app"


def test_no_user() -> None:
    assert startup("database", "shop").user is None
    assert startup("user", "").user is None


def test_own_parameters_win_over_options_and_the_last_mention_wins() -> None:
    message = startup(
        "Search_Path", "a", "user", "u", "options", "-c search_path=b -c x.y=1", "SEARCH_PATH", "c"
    )
    assert message.settings == {"search_path": "c", "x.y": "1"}
    assert message.parameters == {"search_path": "c", "x.y": "1", "user": "u", "database": "u"}
    assert startup("user", "a", "user", "b").user == "b"


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("false", False),
        ("OFF", False),
        ("f", False),
        ("0", False),
        ("n", False),
        ("of", False),
        ("true", True),
        ("database", True),
        ("on", True),
        ("1", True),
        ("o", True),
        ("", True),
        ("nonsense", True),
    ],
)
def test_replication(value: str, asked: bool) -> None:
    assert startup("user", "u", "replication", value).replication is asked


@pytest.mark.parametrize(
    "options",
    [
        "-c user=root",
        "-c database=x",
        "-c replication=database",
        "--options=x",
        "-c =x",
        "-c _pq_.x=1",
    ],
)
def test_options_cannot_smuggle_what_is_no_setting(options: str) -> None:
    assert sqlstate_of(packet("user", "u", "options", options)) == "42704"


def test_versions() -> None:
    assert not startup("user", "u").must_negotiate
    for minor in (1, 2):
        message = startup("user", "u", version=3 << 16 | minor)
        assert not message.must_negotiate
        assert message.agreed_minor == minor
    grease = startup("user", "u", "_pq_.test", "x", version=3 << 16 | 9999)
    assert grease.must_negotiate
    assert (grease.agreed_minor, grease.unrecognized, grease.settings) == (2, ("_pq_.test",), {})
    assert startup("user", "u", "_pq_.test", "x").must_negotiate
    assert sqlstate_of(packet(version=2 << 16)) == "0A000"
    assert sqlstate_of(packet(version=4 << 16)) == "0A000"


def test_negotiate_protocol_version() -> None:
    assert negotiate_protocol_version(("_pq_.a",), 2) == (
        b"v" + struct.pack("!III", 19, 0x30002, 1) + b"_pq_.a\0"
    )


def test_requests() -> None:
    assert parse_startup(struct.pack("!I", 80877103)) == SSLRequest()
    assert parse_startup(struct.pack("!I", 80877104)) == GSSENCRequest()
    request = parse_startup(struct.pack("!Ii", 80877102, -5) + b"abcd")
    assert request == CancelRequest(-5, b"abcd")
    assert "abcd" not in repr(request)
    long_key = parse_startup(struct.pack("!Ii", 80877102, 5) + b"k" * 256)
    assert isinstance(long_key, CancelRequest)
    assert len(long_key.key) == 256


@pytest.mark.parametrize(
    "data",
    [
        packet("user", "u", end=b""),
        packet("user", "u", end=b"\0\0"),
        packet("user", "u", end=b"name\0"),
        packet("user", "u", end=b"name"),
    ],
)
def test_malformed(data: bytes) -> None:
    assert sqlstate_of(data) == "08P01"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        struct.pack("!I", 80877103) + b"x",
        struct.pack("!I", 80877104) + b"\0",
        struct.pack("!II", 80877102, 1) + b"abc",
        struct.pack("!II", 80877102, 1) + b"a" * 257,
        packet("user", "u" * 10_000),
    ],
)
def test_bad_lengths(data: bytes) -> None:
    with pytest.raises(StartupLengthError, match="invalid length of "):
        parse_startup(data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", []),
        ("   ", []),
        ("a  b\tc\n", ["a", "b", "c"]),
        (r"a\ b", ["a b"]),
        (r"a\\b", [r"a\b"]),
        ("a\\", ["a"]),
        ("\\", [""]),
    ],
)
def test_split_options(options: str, words: list[str]) -> None:
    assert split_options(options) == words


def test_parse_options() -> None:
    text = r"-c a=b -cWork_Mem=64MB --statement-timeout=5s -c x=a\ b=c --y="
    assert parse_options(text) == [
        ("a", "b"),
        ("work_mem", "64MB"),
        ("statement_timeout", "5s"),
        ("x", "a b=c"),
        ("y", ""),
    ]


@pytest.mark.parametrize(
    ("options", "sqlstate"),
    [
        ("-c", "42601"),
        ("-c a", "42601"),
        ("--a", "42601"),
        ("-e", "0A000"),
        ("x", "0A000"),
        ("--", "0A000"),
    ],
)
def test_unusable_options(options: str, sqlstate: str) -> None:
    with pytest.raises(PgError) as caught:
        parse_options(options)
    assert caught.value.sqlstate == sqlstate


def test_text_that_is_no_utf8_survives() -> None:
    message = parse_startup(struct.pack("!I", 3 << 16) + b"user\0\xff\xfe\0\0")
    assert isinstance(message, StartupMessage)
    assert message.user is not None
    assert message.user.encode("utf-8", "surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"Jos\xe9", "Jos?"),
        (b"caf\xc3\xa9 \xff", "caf?? ?"),
        ("café".encode(), "café"),
        (b"a\tb", "a\tb"),
    ],
)
@pytest.mark.parametrize("as_option", [False, True])
def test_an_application_name_need_not_be_text(sent: bytes, name: str, as_option: bool) -> None:
    own = b"application_name\0" + sent + b"\0"
    if as_option:
        own = b"options\0-capplication_name=" + re.sub(rb"(\s)", rb"\\\1", sent) + b"\0"
    request = parse_startup(b"\0\3\0\0user\0me\0" + own + b"\0")
    assert isinstance(request, StartupMessage)
    assert request.settings["application_name"] == name
