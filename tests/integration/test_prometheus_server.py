"""Debian's Prometheus reads a real Forebay: it takes the alert rules, and what the dashboard asks
it is answered, with figures of what has just been done.
"""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.embedded.surroundings import HOST, clean_environment, free_port
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.waiting import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
# What the dashboard asks that a run without pins, refusals and micro-pools that wait has not.
MAY_BE_EMPTY = (
    *("_pins", "login_failures", "refused", "waiting"),
    # Of a target with several servers, which this one is not.
    *("target_state", "target_switches", "server_replica_lag"),
)


class Prometheus:
    """One server, which scrapes one target each second."""

    def __init__(self, home: Path, target: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("there is no prometheus (Debian's package of that name)")
        self._home = home
        self._url = f"http://{HOST}:{free_port()}"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(DEPLOY / "prometheus" / "alerts.yml")],
            "scrape_configs": [
                {"job_name": "forebay", "static_configs": [{"targets": [target]}]},
            ],
        }
        (home / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self._command = [
            program,
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address={self._url.removeprefix('http://')}",
        ]

    def __enter__(self) -> "Prometheus":
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._home,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, path: str, **parameters: str) -> Any:
        """What its API answers; None while it does not answer yet."""
        assert self._process.poll() is None, (self._home / "log").read_text()
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        except OSError:
            return None

    def value(self, query: str) -> list[tuple[dict[str, str], float]]:
        """The values of a query now, with their labels."""
        data = self.ask("query", query=query)
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]


@pytest.fixture
def prometheus(
    tmp_path: Path,
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
) -> Iterator[tuple[Prometheus, Forebay]]:
    forebay = start_forebay(postgres.port, database)
    home = tmp_path / "prometheus"
    home.mkdir()
    with Prometheus(home, forebay.page.removeprefix("http://")) as server:
        yield server, forebay


def queries() -> list[str]:
    """The dashboard's, with its variables filled in."""
    dashboard = json.loads((DEPLOY / "grafana" / "forebay.json").read_text())
    found = [each["expr"] for panel in dashboard["panels"] for each in panel.get("targets", ())]
    variables = {"$__rate_interval": "1m", "$proxy": ".*", "$instance": ".*"}
    for name, value in variables.items():
        found = [each.replace(name, value) for each in found]
    assert not [each for each in found if "$" in each]
    return found


def test_prometheus_reads_all_and_answers_the_dashboard(
    prometheus: tuple[Prometheus, Forebay],
) -> None:
    server, forebay = prometheus
    eventually(lambda: server.ask("query", query="1"), "Prometheus answers", 60)
    queried = 'forebay_query_requests_total{proxy="app"}'
    eventually(lambda: server.value(queried), "a first scrape", 60)
    forebay.psql("SELECT pg_sleep(0.01)", "SELECT 1", "SELECT 1").ok()
    eventually(lambda: server.value(f"{queried} == 3"), "a scrape with the queries", 60)
    (target,) = server.ask("targets")["activeTargets"]
    assert target["health"] == "up", target["lastError"]
    for query in queries():
        if any(word in query for word in MAY_BE_EMPTY):
            server.value(query)
        else:
            eventually(lambda query=query: server.value(query), query, 60)  # type: ignore[misc]
    ((_, longest_s),) = server.value(
        "histogram_quantile(1, forebay_query_database_response_latency_seconds_bucket)"
    )
    assert longest_s > 0.01
    eventually(
        lambda: all(
            rule["health"] == "ok"
            for group in server.ask("rules")["groups"]
            for rule in group["rules"]
        ),
        "every rule has been evaluated",
        60,
    )
    alerts = {each["labels"]["alertname"] for each in server.ask("alerts")["alerts"]}
    assert alerts <= {"ForebayCertificateExpires"}  # the harness makes one for a week
