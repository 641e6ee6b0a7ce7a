"""Every metric of the catalogue, driven to a known value, and read back from Prometheus' text, from
lines in the embedded metric format, and from what PutMetricData has left in CloudWatch.
"""

import ast
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from forebay import __version__
from forebay.config.settings import CloudWatchSettings, NodeSettings
from forebay.embedded.postgres import Postgres
from forebay.metrics import CATALOGUE, Kind, Metric, MicroPools, Scope, exposition
from forebay.metrics.exporters import Exporters
from forebay.metrics.lane import Lane
from forebay.metrics.metric import snake
from tests.harness import TestDatabase
from tests.harness.fake_postgres import FakePostgres
from tests.harness.ministack import ROOT_KEY, MiniStack
from tests.harness.moto import REGION, MotoServer, client
from tests.integration.metrics_run import LIMIT, Run
from tests.unit.topology.servers import answering

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Between:
    """What no run has twice: a time, or memory."""

    least: float
    most: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float) and self.least <= other <= self.most

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Took:
    """A latency: how often, and how long in all, in microseconds."""

    count: Any
    sum_us: Between


SOME = Between(1e-9, 1e12)
MINUTE_US = Between(0, 60e6)
SLEPT_US = Between(3 * 10_000, 60e6)  # pg_sleep(0.01), three times

# By proxy, or process; "app" where there is nothing else.
KNOWN: dict[str, Any] = {
    "AvailabilityPercentage": Between(1, 100),
    "ClientConnections": 5,
    "ClientConnectionsClosed": 9,
    "ClientConnectionsNoTLS": 1,
    "ClientConnectionsReceived": 16,
    "ClientConnectionsSetupFailedAuth": 1,
    "ClientConnectionsSetupSucceeded": 13,
    "ClientConnectionsTLS": 4,
    "DatabaseConnectionRequests": 6,
    "DatabaseConnectionRequestsWithTLS": 6,
    "DatabaseConnections": LIMIT,
    "DatabaseConnectionsBorrowLatency": Took(24, Between(1, 60e6)),
    "DatabaseConnectionsCurrentlyBorrowed": LIMIT,
    "DatabaseConnectionsCurrentlyInTransaction": 2,
    "DatabaseConnectionsCurrentlySessionPinned": 1,
    "DatabaseConnectionsSetupFailed": 1,
    "DatabaseConnectionsSetupSucceeded": 5,
    "DatabaseConnectionsWithTLS": LIMIT,
    "MaxDatabaseConnectionsAllowed": LIMIT,
    "QueryDatabaseResponseLatency": Took(30, SLEPT_US),
    "QueryRequests": 30,
    "QueryRequestsNoTLS": 2,
    "QueryRequestsTLS": 28,
    "QueryResponseLatency": Took(30, SLEPT_US),
    "ClientsWaiting": 1,
    "ClientsWaitingLongest": Between(1e-6, 60),
    "ClientLoginsUnderWay": 1,
    "ClientLogins": {"scram-sha-256": 12, "trust": 2},
    "ClientLoginFailures": {"28P01": 1},
    "ClientConnectionsSetupFailed": 2,
    "ClientWrongPasswords": 1,
    "ClientTLSLogins": {"TLSv1.3": 13},
    "ClientTLSResumptions": 1,
    "ClientReceivedBytes": Between(300, 100_000),
    "ClientSentBytes": Between(600, 100_000),
    "ClientsRefused": {"3D000": 1, "53300": 1},
    "QueriesRefused": 2,
    "DatabaseConnectionsIdle": {"quiet": 2},  # its client's, and the one that read the limits
    "DatabaseConnectionsOpening": {"silent": 1},
    "DatabaseConnectionsPeak": LIMIT,
    "DatabaseConnectionBorrows": 24,
    "DatabaseConnectionsBorrowWait": Took(Between(1, 24), Between(1, 60e6)),
    "ServerMaxConnections": Between(20, 1000),
    "ServerReservedConnections": 3,
    "TargetAvailable": 1,
    "Transactions": 20,
    "TransactionLatency": Took(20, SLEPT_US),
    "TargetState": {"watched": 0},
    "TargetEpoch": {"watched": 1},
    "TargetSwitches": 0,
    "TargetHoldTime": 0,
    "TargetLastSwitchHoldTime": 0,
    "Servers": {"AVAILABLE": 2},  # CloudWatch is not told of what is 0
    "ServersFenced": {"watched": 0},
    "Standbys": {"watched": 1},
    "ReplicaLag": {"watched": 2.5},
    "ServerReplicaLag": None,  # see below
    "ServerTimeline": None,
    "SessionPins": {"LISTEN": 2},
    "SessionPinTime": {"LISTEN": Between(1e-6, 60)},
    "SessionPinsCurrently": {"LISTEN": 1},
    "RequestsReplayed": {},
    "RequestsLost": {},
    "SettingsReplays": 4,
    "SettingsReplaysFailed": 1,
    "PreparedStatementClientParses": 1,
    "PreparedStatementServerParses": 1,
    "PreparedStatementBinds": 3,
    "PreparedStatementBytes": Between(600, 10_000),
    "Secrets": 3,
    "SecretsFailing": 1,
    "SecretAge": Between(0, 60),
    "CertificateExpiresIn": None,  # see below
    "MicroPoolClients": 5,
    "MicroPoolClientsWaiting": 1,
    "MicroPoolClientsWaitingLongest": Between(1e-6, 60),
    "MicroPoolDatabaseConnections": LIMIT,
    "MicroPoolDatabaseConnectionsOpening": {"silent": 1},
    "MicroPoolDatabaseConnectionsIdle": {"quiet": 1},
    "MicroPoolDatabaseConnectionsBorrowed": LIMIT,
    "MicroPoolQueries": 30,
    "MicroPoolBorrowLatency": Took(23, Between(1, 60e6)),
    "MicroPoolTransactionLatency": Took(20, SLEPT_US),
    "MicroPoolQueryDatabaseResponseLatency": Took(30, SLEPT_US),
    "MicroPoolReceivedBytes": Between(300, 100_000),
    "MicroPoolSentBytes": Between(600, 100_000),
    "MicroPoolPreparedStatementClientParses": 1,
    "MicroPoolPreparedStatementServerParses": 1,
    "MicroPoolPreparedStatementBinds": 3,
    "MicroPoolSettingsReplays": 4,
    "ProcessCPUTime": {"node": SOME, "worker": SOME},
    "ProcessResidentMemory": {"node": SOME, "worker": SOME},
    "ProcessAnonymousMemory": {"node": SOME, "worker": SOME},
    "ProcessOpenDescriptors": {"node": SOME, "worker": SOME},
    "ProcessStartTime": {"node": SOME, "worker": SOME},
    "WorkerRestarts": 1,
    "WorkerLateness": Took(Between(1, 1e6), MINUTE_US),
    "BuildInfo": {__version__: 1},
}


# What is told apart by a word is looked up of this proxy, else of "app".
PROXIES = dict.fromkeys(("Servers", "ServerReplicaLag", "ServerTimeline"), "watched")


@dataclass
class ReadBack:
    """What three readers have found."""

    prometheus: Samples
    emf: list[dict[str, Any]]
    cloudwatch: Any
    namespace: str
    target: str
    labels: dict[str, str]
    known: dict[str, Any]
    is_exact: bool

    def dimensions_of(self, name: str) -> list[list[dict[str, str]]]:
        """All dimension sets that CloudWatch has of a metric."""
        answer = self.cloudwatch.list_metrics(Namespace=self.namespace, MetricName=name)
        assert "NextToken" not in answer
        return [each["Dimensions"] for each in answer["Metrics"]]


def expected(metric: Metric, known: Mapping[str, Any]) -> Iterator[tuple[dict[str, str], str, Any]]:
    """What is to be found: the labels that tell it apart (by Prometheus' names), the word of its
    ``label``, and the value."""
    value = known[metric.name]
    of_proxy = metric.scope in (Scope.PROXY, Scope.MICRO_POOL)
    if not isinstance(value, dict):
        yield ({"proxy": "app"} if of_proxy else {}), "", value
        return
    for word, each in value.items():
        if metric.label:
            proxy = {"proxy": PROXIES.get(metric.name, "app")} if of_proxy else {}
            yield proxy, word, each
        else:
            yield {"proxy" if of_proxy else "process": word}, "", each


@pytest.fixture(params=["moto", "ministack"])
def aws(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """A CloudWatch: its URL, and an access key that it takes."""
    if request.param == "moto":
        moto: MotoServer = request.getfixturevalue("moto")
        yield moto.url, "moto", "not-a-secret"
        return
    with MiniStack(tmp_path) as server:
        yield server.url, ROOT_KEY.access_key_id, ROOT_KEY.secret_access_key


async def exported(run: Run, node: NodeSettings) -> None:
    """One minute of exports, delivered."""
    exporters = Exporters(node, run.node.observer, {})
    await exporters.export()
    for lane in vars(exporters._cloudwatch).values():
        if isinstance(lane, Lane):
            assert lane._task is not None
            await lane._task
            assert (lane.delivered, lane.dropped) == (1, 0)
    exporters.stop()


@pytest.fixture
async def read_back(
    aws: tuple[str, str, str],
    tls_postgres: Postgres,
    tls_database: TestDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ReadBack:
    url, key_id, key = aws
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key)
    lines = tmp_path / "metrics"
    settings = CloudWatchSettings(
        namespace=f"Forebay-{tls_database.name}",
        emf=f"file:{lines}",
        put_metric_data=True,
        region=REGION,
        endpoint_url=url,
    )
    follows = answering(in_recovery="t", timeline=None, system_id=None, replayed_age_s="2.5")
    async with (
        FakePostgres(follows) as standby,
        Run(tmp_path, tls_postgres, tls_database, standby.port) as run,
    ):
        await run.play()
        await exported(run, NodeSettings(log_stats=False, cloudwatch=settings))
        text = exposition(await run.node.observer.figures(pools=True), micro_pools=MicroPools())
        certificate = x509.load_pem_x509_certificate(run.node.certificate_pem("app").encode())
        expires_s = certificate.not_valid_after_utc.timestamp() - time.time()
    target = f"127.0.0.1:{tls_postgres.port}"
    return ReadBack(
        prometheus={
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
        },
        emf=[json.loads(line) for line in lines.read_text().splitlines()],
        cloudwatch=client("cloudwatch", url, key_id, key),
        namespace=settings.namespace,
        target=target,
        labels={"database": tls_database.name, "user": tls_database.user},
        is_exact=key_id == ROOT_KEY.access_key_id,
        known={
            **KNOWN,
            "ServerReplicaLag": {f"127.0.0.1:{standby.port}": 2.5},
            "ServerTimeline": {target: 1},
            "CertificateExpiresIn": Between(expires_s - 1, expires_s + 60),
        },
    )


def wrong_in_prometheus(found: ReadBack, metric: Metric) -> Iterator[str]:
    for told, word, value in expected(metric, found.known):
        all_labels = {**told, **found.labels, "target": found.target, "target_role": "READ_WRITE"}
        if told.get("proxy") == "silent":
            all_labels["database"] = "postgres"  # where the limits are read
        labels = {name: all_labels[name] for name in metric.labels}
        if word:
            labels[snake(metric.label)] = word
        samples = {"": value}
        if isinstance(value, Took):
            low, high = value.sum_us.least / 1e6, value.sum_us.most / 1e6
            samples = {"_count": value.count, "_sum": Between(low, high)}
        elif metric.kind is Kind.SHARE:
            samples = {"": SOME}  # seconds
        for suffix, expected_value in samples.items():
            name = f"{metric.prometheus}{suffix}"
            read = found.prometheus.get((name, frozenset(labels.items())))
            if read is None or expected_value != read:
                yield f"{name} {labels} is {read}, and not {expected_value}"


def in_cloudwatch(
    found: ReadBack, metric: Metric
) -> Iterator[tuple[tuple[str, ...], dict[str, str], Any]]:
    """Each dimension set with its values, and the value that is to be there."""
    everything = list(expected(metric, found.known))
    if metric.label and everything:  # what never happened is not told
        told = everything[0][0]
        values = [value for _, _, value in everything]
        is_exact = all(isinstance(each, int) for each in values)
        yield metric.dimensions[0], told, sum(values) if is_exact else values[0]
    for told, word, value in everything:
        sets = [(*metric.dimensions[0], metric.label)] if word else metric.dimensions
        for names in sets:
            yield names, told | ({metric.label: word} if word else {}), value


def dimensions(found: ReadBack, names: tuple[str, ...], told: dict[str, str]) -> dict[str, str]:
    known = {
        **told,
        "ProxyName": told.get("proxy", ""),
        "Process": told.get("process", ""),
        "EndpointName": "default",
        "TargetGroup": "default",
        "Target": found.target,
        "TargetRole": "READ_WRITE",
    }
    return {name: known[name] for name in names}


def mean_of(value: Any) -> Any:
    """What CloudWatch has of a latency: the mean, in microseconds."""
    if not isinstance(value, Took):
        return value
    least, most = (
        (value.count.most, value.count.least)
        if isinstance(value.count, Between)
        else (value.count, value.count)
    )
    return Between(value.sum_us.least / least, value.sum_us.most / most)


def wrong_in_emf(found: ReadBack, metric: Metric) -> Iterator[str]:
    for names, told, value in in_cloudwatch(found, metric):
        wanted = dimensions(found, names, told)
        read = [
            (line[metric.name], defined["Unit"])
            for line in found.emf
            for directive in line["_aws"]["CloudWatchMetrics"]
            for defined in directive["Metrics"]
            if defined["Name"] == metric.name
            and list(names) in directive["Dimensions"]
            and all(line[name] == text for name, text in wanted.items())
        ]
        if len(read) != 1 or mean_of(value) != read[0][0] or read[0][1] != metric.unit:
            yield f"{metric.name} {wanted} is {read}, and not {mean_of(value)} {metric.unit}"


def wrong_in_cloudwatch(found: ReadBack, metric: Metric) -> Iterator[str]:
    """Each dimension set must be there; its value is the only one of the minute. moto adds up what
    has these dimensions among others, so there the greatest must do: a sum, or the same again."""
    now = time.time()
    there = found.dimensions_of(metric.name)
    for names, told, value in in_cloudwatch(found, metric):
        wanted = [
            {"Name": name, "Value": text} for name, text in dimensions(found, names, told).items()
        ]
        answer = found.cloudwatch.get_metric_statistics(
            Namespace=found.namespace,
            MetricName=metric.name,
            Dimensions=wanted,
            StartTime=datetime.fromtimestamp(now - 600, UTC),
            EndTime=datetime.fromtimestamp(now + 60, UTC),
            Period=60,
            Statistics=["Sum", "Maximum"],
        )
        statistic = "Sum" if found.is_exact else "Maximum"
        read = [(each[statistic], each["Unit"]) for each in answer["Datapoints"]]
        is_there = wanted in there and len(read) == 1
        if not is_there or mean_of(value) != read[0][0] or read[0][1] != metric.unit:
            yield f"{metric.name} {wanted} is {read}, and not {mean_of(value)} {metric.unit}"


def test_the_table_has_every_metric() -> None:
    assert KNOWN.keys() == {each.name for each in CATALOGUE}


async def test_every_metric_is_read_back_with_its_value_unit_and_dimensions(
    read_back: ReadBack,
) -> None:
    wrong = [
        *(
            f"Prometheus: {text}"
            for each in CATALOGUE
            for text in wrong_in_prometheus(read_back, each)
        ),
        *(
            f"{where}: {text}"
            for each in CATALOGUE
            if each.dimensions
            for where, looked in (
                ("EMF", wrong_in_emf(read_back, each)),
                ("CloudWatch", wrong_in_cloudwatch(read_back, each)),
            )
            for text in looked
        ),
    ]
    assert not wrong, "\n".join(wrong)
    for snippet in snippets():
        assert snippet["namespace"] == CloudWatchSettings().namespace
        wanted = [{"Name": name, "Value": text} for name, text in snippet["dimensions_map"].items()]
        assert wanted in read_back.dimensions_of(snippet["metric_name"])


def snippets() -> list[dict[str, Any]]:
    """What the page's `cloudwatch.Metric` ask for."""
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    calls = [each for each in ast.walk(ast.parse(code)) if isinstance(each, ast.Call)]
    assert len(calls) == 2
    return [
        {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords}
        for call in calls
    ]
