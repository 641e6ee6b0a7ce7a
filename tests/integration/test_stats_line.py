"""The real program: the log's line of figures, and where metrics go."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness import Forebay, Postgres, TestDatabase, run_command
from tests.harness.waiting import eventually

LINE = re.compile(
    r"stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s,"
    r" in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us;"
    r" \d+ clients, \d+ waiting, \d+ connections"
)


def test_the_log_has_a_line_of_figures(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, node={"log_stats": True, "stats_period": 1})
    forebay.psql("SELECT pg_sleep(0.01)").ok()

    def told() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in forebay.text.splitlines()]
        return [each for each in lines if each.get("stats", {}).get("queries_s")]

    (first, *_) = eventually(told, "a line of figures with the query")
    assert LINE.fullmatch(first["msg"])
    assert first["proxy"] == "app"
    assert first["logger"] == "forebay.stats"
    assert first["stats"]["query_us"] >= 10_000


def test_what_is_configured_stays_until_a_restart(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database)
    forebay.reload(node={"cloudwatch": {"emf": "stdout"}, "stats_period": 5})
    forebay.wait_for_log(r"node\.cloudwatch can't change while running")
    forebay.wait_for_log(r"node\.stats_period can't change while running; it stays 60 until a rest")


def test_a_namespace_of_awss_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "forebay.toml"
    config.write_text(
        '[node.cloudwatch]\nnamespace = "AWS/RDS"\nput_metric_data = true\n'
        '[[proxies.app.auth]]\nsecret = "file:app.json"\n'
        '[proxies.app.target]\nhosts = ["db:5432"]\n'
    )
    refused = run_command("serve", str(config))
    assert refused.code == 2
    assert "node.cloudwatch.namespace: begins with AWS/, which AWS reserves" in refused.err
