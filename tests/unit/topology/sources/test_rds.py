"""Instances that Aurora, and a Multi-AZ DB cluster, list."""

import pytest

from forebay.config.addresses import Address
from forebay.net.queries import Rows
from forebay.topology.reports import Failure
from forebay.topology.sources.rds import AURORA, MULTI_AZ, RdsSource, domain_of, instances
from forebay.topology.sources.source import MAX_SERVERS
from tests.harness.fake_postgres import FakePostgres, rows
from tests.unit.topology.servers import prober
from tests.unit.topology.sources.proposals import Proposals

DOMAIN = "c1abc.eu-west-1.rds.amazonaws.com"
CLUSTER = Address(f"shop.cluster-{DOMAIN}", 5433)
ONE, TWO = (Address(f"shop-{n}.{DOMAIN}", 5433) for n in (1, 2))


@pytest.mark.parametrize(
    "host",
    [
        f"shop.cluster-{DOMAIN}",
        f"shop.cluster-ro-{DOMAIN}",
        f"shop.cluster-custom-{DOMAIN}",
        f"shop-1.{DOMAIN}",
        f"SHOP-1.{DOMAIN.upper()}",
        f"shop-1.{DOMAIN}.",
    ],
)
def test_the_domain_of_endpoints(host: str) -> None:
    assert domain_of(host) == DOMAIN


def test_the_domain_in_china() -> None:
    domain = "c1abc.rds.cn-north-1.amazonaws.com.cn"
    assert domain_of(f"shop.cluster-{domain}") == domain


@pytest.mark.parametrize("host", ["db.test", "10.0.0.1", f"shop.{DOMAIN}.evil.test", DOMAIN[5:]])
def test_hosts_that_are_none_of_rds(host: str) -> None:
    assert domain_of(host) is None


def test_auroras_instances() -> None:
    assert instances([["shop-1", None], ["shop-2", None]], [CLUSTER]) == (ONE, TWO)


def test_a_multi_az_clusters_instances() -> None:
    found = instances([[f"shop-1.{DOMAIN}", "5432"], [f"shop-2.{DOMAIN}", "0"]], [CLUSTER])
    assert found == (Address(ONE.host, 5432), TWO)


@pytest.mark.parametrize("name", [None, "", "10.0.0.1", "@shop", "-x", "x" * 64, "shop 1", "shøp"])
def test_names_that_no_instance_has(name: str | None) -> None:
    assert instances([[name, None], ["shop-1", None]], [CLUSTER]) == (ONE,)


def test_an_instance_elsewhere_is_looked_for_here() -> None:
    """Whatever a server answers, the login goes to none but the configured host's domain."""
    assert instances([["shop-1.evil.test", None]], [CLUSTER]) == (ONE,)


@pytest.mark.parametrize(
    "answer",
    [[], [["1"]], [["1", None]], [[f"shop-{n}", None] for n in range(MAX_SERVERS + 1)]],
)
def test_answers_that_name_no_instance(answer: Rows) -> None:
    with pytest.raises(ValueError, match="the answer"):
        instances(answer, [CLUSTER])


def test_hosts_that_show_no_domain() -> None:
    with pytest.raises(ValueError, match="no host is an endpoint of RDS"):
        instances([["shop-1", None]], [Address("10.0.0.1", 5432)])


class Servers:
    """Answers, or fails, for each server."""

    def __init__(self, **answers: Rows | Failure) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def ask(self, address: Address, sql: str) -> Rows | Failure:
        self.asked.append(address.host.partition(".")[0])
        down = Failure("refused", "Connection refused")
        return self.answers.get(address.host.partition(".")[0].replace("-", "_"), down)


async def test_it_asks_the_cluster_and_then_the_instances() -> None:
    listed: Rows = [["shop-1", None], ["shop-2", None]]
    servers = Servers(shop=listed)
    source, proposed = RdsSource(AURORA, [CLUSTER], servers.ask, 3600.0), Proposals()
    source.start(proposed)
    assert await proposed.next() == (ONE, TWO)
    servers.answers = {"shop_2": [["shop-2", None]]}
    source.look()
    assert await proposed.next() == (TWO,)
    assert servers.asked == ["shop", "shop-1", "shop-2"]
    assert source.trouble == ""
    await source.stop()


async def test_hosts_of_another_cluster() -> None:
    """Its instances are asked, and not those that are known."""
    servers = Servers(shop=[["shop-1", None]], shop_1=[["shop-1", None]], books=[["books-1", None]])
    source, proposed = RdsSource(AURORA, [CLUSTER], servers.ask, 3600.0), Proposals()
    source.start(proposed)
    assert await proposed.next() == (ONE,)
    source.set_hosts([Address(f"books.cluster-{DOMAIN}", 5433)])
    assert await proposed.next() == (Address(f"books-1.{DOMAIN}", 5433),)
    assert servers.asked == ["shop", "books"]
    await source.stop()


async def test_nobody_answers() -> None:
    servers = Servers()
    source, proposed = RdsSource(MULTI_AZ, [CLUSTER], servers.ask, 3600.0), Proposals()
    source.start(proposed)
    assert await proposed.next() == (CLUSTER,)
    assert source.trouble == (
        f"the Multi-AZ DB cluster does not tell its instances: {CLUSTER}: Connection refused"
    )
    servers.answers = {"shop": [["shop-1", "5433"]]}
    source.set_hosts([CLUSTER])
    assert await proposed.next() == (ONE,)
    await source.stop()


@pytest.mark.parametrize("dialect", [AURORA, MULTI_AZ])
async def test_over_a_control_connection(dialect: object) -> None:
    """A server that has not the functions says so; one that has is believed."""
    chosen = AURORA if dialect is AURORA else MULTI_AZ
    async with FakePostgres(lambda sql: rows(["shop-1", None])) as server:
        asker, address = prober(server.port)

        async def ask(_: Address, sql: str) -> Rows | Failure:
            return await asker.ask(address, sql)

        source, proposed = RdsSource(chosen, [CLUSTER], ask, 3600.0), Proposals()
        source.start(proposed)
        assert await proposed.next() == (ONE,)
        assert server.asked == [chosen.sql]
        await source.stop()
        asker.close()
