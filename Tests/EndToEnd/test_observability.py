"""What an operator sees: logs, figures, the service manager."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from processes import LIMIT, write_tokens
from sockets import Client


def entries(server):
    return [json.loads(line) for line in server.errors if line.startswith("{")]


def entry(server, message):
    """The next log entry with this message."""
    line = server.error_line(re.escape(f'"message":"{message}'))
    return json.loads(line)


def test_a_client_leaves_its_connection_and_its_end_in_the_log(serve, music):
    server = serve(music, "--log-level", "info", "--log-format", "json")
    with Client(server.ws):
        connected = entry(server, "client connected")
        assert connected["level"] == "info"
        assert connected["metadata"]["address"] == "127.0.0.1"
    ended = entry(server, "client disconnected")
    assert ended["metadata"]["client"] == connected["metadata"]["client"]
    assert ended["metadata"]["code"] == "1000"


def test_debug_shows_every_step_of_a_refused_connection(serve, music, tmp_path):
    tokens = tmp_path / "tokens.json"
    write_tokens(tokens, [{"token": "right-" + 20 * "x", "role": "admin"}])
    server = serve(music, "--tokens", tokens, "--log-level", "debug", "--log-format", "json")
    with pytest.raises(InvalidStatus):
        connect(server.ws + "?token=wrong-secret", additional_headers={"Authorization": "Bearer wrong-secret"})
    assert entry(server, "request received")["metadata"]["path"] == "/ws"
    with pytest.raises(InvalidStatus):
        connect(server.ws, additional_headers={"Authorization": "Bearer wrong-secret"})
    assert "token" in entry(server, "token refused")["metadata"]["reason"]
    refused = entry(server, "connection refused")
    assert refused["metadata"]["status"] == "401"
    assert refused["metadata"]["reason"]
    server.stop()
    assert not any("wrong-secret" in line for line in server.errors), "a token must not be logged"


def test_a_slow_query_is_logged_with_its_sql_at_the_default_level(serve, music):
    server = serve(music, "--slow-query", "1ms", "--log-format", "json")
    sql = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 100000) SELECT count(*) FROM c"
    with Client(server.ws) as client:
        client.query(sql, "slow-1")
    slow = entry(server, "slow query completed")
    assert slow["level"] == "notice"
    assert slow["metadata"]["query"] == "slow-1"
    assert slow["metadata"]["sql"] == sql
    assert float(slow["metadata"]["ms"]) >= 1
    assert "\ntablecast_slow_queries_total 1\n" in server.metrics()


def test_a_client_cannot_forge_a_line_of_the_log(serve, music):
    server = serve(music, "--log-level", "debug")
    with Client(server.ws) as client:
        client.send("query:execute", sql="SELECT 1 FROM \"nowhere\n2026-01-01T00:00:00+0000 error tablecast: forged\x1b[2J\"")
        client.message("query:error")
    line = server.error_line("forged.*query failed|query failed.*forged")
    assert "\x1b" not in line and "↵2026" in line


def test_trace_shows_an_insert_from_submission_to_publication(serve, music):
    server = serve(music, "--wal", "--log-level", "trace", "--log-format", "json")
    with Client(server.ws) as client:
        complete = client.query("INSERT INTO genre VALUES (50, 'Polka')", "insert-1")[1]
    steps = [entry(server, message) for message in ("query submitted", "query started", "transaction published")]
    assert [step["metadata"].get("query") for step in steps] == ["insert-1"] * 3
    assert steps[2]["metadata"]["position"] == complete["data"]["position"]


def test_a_failing_query_is_logged_with_its_code(serve, music):
    server = serve(music, "--log-level", "debug", "--log-format", "json")
    with Client(server.ws) as client:
        client.send("query:execute", sql="SELECT name FROM nowhere", queryId="bad-1")
        client.message("query:error")
    failed = entry(server, "query failed")
    assert failed["metadata"]["code"] == "SQL_ERROR"
    assert "nowhere" in failed["metadata"]["error"]


def test_the_figures_count_what_happened(serve, music, shell):
    shell(music, "PRAGMA journal_mode = WAL")
    server = serve(music)
    with Client(server.ws) as client:
        client.subscribe("tables")
        client.query("INSERT INTO genre VALUES (50, 'Polka')", "q1")
        client.send("query:execute", sql="SELECT name FROM nowhere", queryId="q2")
        client.message("query:error")
        shell(music, "INSERT INTO genre VALUES (51, 'Sea shanty')")
        client.message("table:modified", where=lambda message: message["data"]["origin"] == "external")
        text = server.metrics()
    for line in (
        'tablecast_queries_total{outcome="completed"} 1',
        'tablecast_queries_total{outcome="failed"} 1',
        'tablecast_commits_total{origin="service"} 1',
        'tablecast_commits_total{origin="external"} 1',
        "tablecast_row_changes_total 2",
        'tablecast_connections_opened_total{transport="websocket"} 1',
        "tablecast_query_duration_seconds_count 2",
        "tablecast_clients 1",
    ):
        assert f"\n{line}\n" in text, line


def test_prometheus_accepts_the_figures(serve, music):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    server = serve(music)
    with Client(server.ws) as client:
        client.query("SELECT 1", "q1")
        checked = subprocess.run(["promtool", "check", "metrics"], input=server.metrics(), text=True, capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_threads_have_names(serve, music):
    server = serve(music)
    names = set()
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        names.add((task / "comm").read_text().strip())
    assert {"watcher", "query-writer", "query-reader-0", "query-deadlines"} <= names


def test_the_service_manager_is_notified_of_start_life_and_stop(serve, music, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(LIMIT)
        server = serve(music, env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"})
        seen = []
        while "WATCHDOG=1" not in seen or not any(state.startswith("READY=1") for state in seen):
            seen.append(manager.recv(4096).decode())
        server.stop()
        while seen[-1] != "STOPPING=1":
            seen.append(manager.recv(4096).decode())


def test_settings_of_a_file_and_of_the_environment(serve, music, tmp_path):
    config = tmp_path / "tablecast.yaml"
    config.write_text("maxConnections: 1\nlogLevel: info\nlogFormat: text\n")
    server = serve(music, "--config", config, env={"TABLECAST_LOG_FORMAT": "json"})
    with Client(server.ws):
        assert entry(server, "client connected")
        with pytest.raises(InvalidStatus):
            connect(server.ws)
        assert entry(server, "connection refused")["metadata"]["status"] == "503"


def test_a_wrong_setting_names_its_source(run, music, tmp_path):
    config = tmp_path / "tablecast.json"
    config.write_text('{"port": "many"}')
    ended = run("serve", music, "--config", config)
    assert ended.returncode == 64
    assert "many" in ended.stderr and str(config) in ended.stderr
    config.write_text('{"prot": 1}')
    ended = run("serve", music, "--config", config)
    assert ended.returncode == 64
    assert "'prot'" in ended.stderr and "maxConnections" in ended.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_wait_of_the_service_depends_on_the_wall_clock(serve, music, shell, tmp_path):
    trace = tmp_path / "trace"
    server = serve(music, "--wal", under=["strace", "-f", "-D", "-Y", "-o", trace, "-e", "trace=futex"])
    with Client(server.ws) as client:
        client.send("query:subscribe", id="live", sql="SELECT * FROM genre")
        client.message("query:snapshot")
        client.query("BEGIN", "b")
        client.query("UPDATE genre SET name = name || '.'", "u")
        client.query("COMMIT", "c")
        client.message("query:changed")
        shell(music, "UPDATE genre SET name = name || '.'")
        client.message("query:changed")
    server.stop()
    # strace writes its last lines after the end of the process.
    deadline = time.monotonic() + LIMIT
    while not re.search(rf"^{server.process.pid}\S* \+\+\+", trace.read_text(), re.M) and time.monotonic() < deadline:
        time.sleep(0.05)
    # 123<watcher> futex(0x7f…, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 0, {tv_sec=…, tv_nsec=…}, …
    waits = re.findall(r"<([^>]+)> futex\([^,]+, (FUTEX_WAIT\w*)(\|FUTEX_CLOCK_REALTIME)?, \d+, \{", trace.read_text())
    names = ("watcher", "checkpointer", "query-", "live-", "catalogue", "snapshot")
    own = [(name, clock) for name, _, clock in waits if name.startswith(names)]
    assert own and not [name for name, clock in own if clock], own
