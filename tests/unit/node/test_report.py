import msgspec
import pytest

from forebay.config import Address, Config, PoolSettings, ProxySettings, TargetSettings
from forebay.node.report import Limits, limit_in_words, limits_in, start_fields, start_line

PROXY = ProxySettings(
    target=TargetSettings(hosts=["db1:5432", "db2:5432"]),
    pool=PoolSettings(max_connections_percent=90),
)
CONFIG = Config(proxies={"app": PROXY})
ADDRESSES = {"app": [Address("127.0.0.1", 6432), Address("/run", 6432)]}


def test_limits_that_are_known() -> None:
    stats = {
        "app": {
            "max_database_connections_allowed": 40,
            "server_max_connections": 48,
            "server_reserved_connections": 3,
        },
        "early": {"max_database_connections_allowed": 0},
        "odd": {},
    }
    assert limits_in(stats) == {"app": Limits(40, 48, 3)}


def test_the_line() -> None:
    start = "Serving app on 127.0.0.1:6432, /run:6432 → db1:5432, db2:5432, "
    assert start_line(CONFIG, ADDRESSES, {}) == (
        f"{start}90 % of a max_connections that is not known yet"
    )
    assert start_line(CONFIG, ADDRESSES, {"app": Limits(40, 48, 3)}) == (
        f"{start}at most 40 database connections (90 % of max_connections 48 less 3 reserved)"
    )
    assert start_line(CONFIG, ADDRESSES, {"app": Limits(40)}).endswith("40 database connections")


@pytest.mark.parametrize(
    ("number", "limits", "words"),
    [
        (
            20,
            None,
            "90 % of a max_connections that is not known yet, at most 20 database connections",
        ),
        (
            20,
            Limits(20, 48, 3),
            (
                "at most 20 database connections (the pool's max_connections; 90 % of"
                " max_connections 48 less 3 reserved would be 40)"
            ),
        ),
        (
            60,
            Limits(40, 48, 3),
            "at most 40 database connections (90 % of max_connections 48 less 3 reserved)",
        ),
    ],
)
def test_which_of_the_two_limits_it_is(number: int, limits: Limits | None, words: str) -> None:
    pool = PoolSettings(max_connections_percent=90, max_connections=number)
    assert limit_in_words(msgspec.structs.replace(PROXY, pool=pool), limits) == words


def test_the_fields() -> None:
    assert start_fields(ADDRESSES, {"app": Limits(40)}, 7) == {
        "listen": {"app": ["127.0.0.1:6432", "/run:6432"]},
        "limit": {"app": 40},
        "worker_pid": 7,
    }
