"""Drivers of other languages at the admin database, as their users have them."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.drivers.foreign.toolchains import program
from tests.harness import Forebay, Postgres, TestDatabase

TIMEOUT_S = 60.0
NODE_POSTGRES = """
import pg from "pg";
const client = new pg.Client(JSON.parse(process.argv[2]));
await client.connect();
const seen = [];
for (const text of ["SHOW VERSION", "BEGIN", "SHOW LISTS", "COMMIT", "SHOW STATS"]) {
  seen.push((await client.query(text)).rows.length);
}
seen.push((await client.query({ text: "SHOW STATE", name: "state" })).rows[0].value);
seen.push((await client.query({ text: "SHOW STATE", name: "state" })).rows[1].value);
try { await client.query("SHOW FDS"); } catch (error) { seen.push(error.code); }
seen.push((await client.query("RECONNECT")).command);
await client.end();
console.log(JSON.stringify(seen));
"""
PGJDBC = """
import java.sql.*;
import java.util.*;
public class Console {
  public static void main(String[] given) throws Exception {
    List<String> seen = new ArrayList<>();
    try (Connection connection = DriverManager.getConnection(given[0])) {
      for (boolean commits : new boolean[] {true, false}) {
        connection.setAutoCommit(commits);
        for (int turn = 0; turn < 8; turn++) {  // from the fifth on it prepares, and reads binary
          try (PreparedStatement shown = connection.prepareStatement("SHOW LISTS")) {
            shown.setFetchSize(3);
            ResultSet rows = shown.executeQuery();
            int count = 0;
            while (rows.next()) count += rows.getString(1) != null && rows.getInt(2) >= 0 ? 1 : 0;
            if (turn == 7) seen.add("" + count);
          }
        }
        if (!commits) connection.commit();
      }
      try (Statement statement = connection.createStatement()) {
        ResultSet totals = statement.executeQuery("SHOW TOTALS");
        totals.next();
        seen.add(totals.getBigDecimal(2).toPlainString());
        try {
          statement.execute("SHOW FDS");
        } catch (SQLException error) {
          seen.add(error.getSQLState());
        }
        connection.rollback();
        seen.add("" + connection.isValid(5));
        seen.add("" + connection.getTransactionIsolation());
      }
    }
    System.out.println("[\\"" + String.join("\\",\\"", seen) + "\\"]");
  }
}
"""


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    proxy = {"admin_users": ["ops"], "require_tls": False}
    return start_forebay(postgres.port, database, users={"ops": "o"}, proxy=proxy)


def said(command: list[str], directory: Path) -> object:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_node_postgres(forebay: Forebay) -> None:
    place = Path(program("node-postgres")[1]).parent
    script = place / "console.mjs"
    script.write_text(NODE_POSTGRES)
    given = {
        "host": "127.0.0.1",
        "port": forebay.port,
        "user": "ops",
        "password": "o",
        "database": "pgbouncer",
    }
    seen = said(["node", str(script), json.dumps(given)], place)
    assert seen == [1, 0, 14, 0, 1, "yes", "no", "42601", "RECONNECT"]


def test_pgjdbc(forebay: Forebay, tmp_path: Path) -> None:
    command = program("pgjdbc")
    path = command[command.index("-cp") + 1]
    (tmp_path / "Console.java").write_text(PGJDBC)
    url = (
        f"jdbc:postgresql://127.0.0.1:{forebay.port}/pgbouncer?user=ops&password=o&sslmode=disable"
    )
    seen = said(["java", "-cp", path, "Console.java", url], tmp_path)
    assert seen == ["14", "14", "0", "42601", "true", "2"]  # read committed
