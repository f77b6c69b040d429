"""SIGTERM and SIGINT: clients are notified, transactions are rolled back, the process ends with 0."""

import json
import signal
import socket
import sqlite3
import struct
import time
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from processes import Command
from sockets import Client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_busy_server_stops_within_five_seconds(serve, music, number):
    server = serve(music)
    client = Client(server.ws)
    client.query("BEGIN", "a")
    client.query("INSERT INTO genre(name) VALUES('never committed')", "b")
    reader = Client(server.ws)
    reader.send(
        "query:execute",
        sql="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
        queryId="long",
    )
    reader.message("query:progress")
    begin = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - begin < 5
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.receive()
    assert closed.value.rcvd.code == 1001
    assert sqlite3.connect(music).execute("SELECT count(*) FROM genre WHERE name LIKE 'never%'").fetchone() == (0,)


UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def request(server, target, headers=""):
    """Sends a request; returns the connection, and the answer up to the end of its head."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{headers}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(1)
        assert piece, answer
        answer += piece
    return connection, answer.decode()


def close_code(connection):
    """The code of the close frame, after messages of any length."""
    stream = connection.makefile("rb")
    while True:
        first, length = stream.read(2)
        if length == 126:
            (length,) = struct.unpack(">H", stream.read(2))
        payload = stream.read(length)
        if first & 0x0F == 8:
            return struct.unpack(">H", payload[:2])[0]


def test_a_server_that_stops_refuses_every_new_connection(serve, music):
    server = serve(music, "--limit", "connection.closeTimeout=3s")
    # It does not answer the close, so the server waits for it.
    silent, answer = request(server, "/ws", UPGRADE)
    assert " 101 " in answer
    server.signal(signal.SIGTERM)
    assert close_code(silent) == 1001
    for target, headers in [
        ("/ws", UPGRADE),
        ("/events", ""),
        ("/live?sql=SELECT%201", ""),
    ]:
        connection, answer = request(server, target, headers)
        assert answer.startswith("HTTP/1.1 503 "), answer
        assert "\nretry-after: 1\r" in answer.lower(), answer
        connection.close()
    # A page sees no status: its connection is opened, and closed like all others.
    page, answer = request(server, "/ws", UPGRADE + f"Origin: {server.http}\r\n")
    assert " 101 " in answer
    assert close_code(page) == 1001
    connection, answer = request(server, "/ready")
    assert answer.startswith("HTTP/1.1 503 ")
    for each in (connection, page, silent):
        each.close()
    assert server.wait(6) == 0


def test_a_client_that_does_not_read_does_not_hold_it_up(serve, music):
    server = serve(music)
    client = Client(server.ws)
    client.send("query:execute", sql="SELECT t.*, u.* FROM track t, track u, track v", queryId="big")
    client.message("query:rows")
    assert server.stop() == 0


def test_a_listener_comes_back_and_misses_nothing(serve, start, run, music):
    server = serve(music)
    listener = start("listen", server.ws, "--json")
    listener.line('"type":"subscribed"')
    run("query", server.ws, "INSERT INTO genre VALUES(100, 'before')")
    listener.line('"genre_id":100')
    assert server.stop() == 0
    listener.error_line("connection lost")
    serve(music, port=server.port)
    listener.line('"type":"subscribed"')
    run("query", server.ws, "INSERT INTO genre VALUES(101, 'after')")
    listener.line('"genre_id":101')
    assert not any("may have been missed" in line for line in listener.errors)


def test_a_listener_of_a_server_without_state_says_that_it_may_have_missed_something(serve, start, music):
    server = serve(music, "--state", "none")
    listener = start("listen", server.ws, "--json")
    listener.line('"type":"subscribed"')
    assert server.stop() == 0
    listener.error_line("connection lost")
    serve(music, "--state", "none", port=server.port)
    listener.error_line("may have been missed")


def test_half_a_request_does_not_hold_it_up(serve, music):
    server = serve(music)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"POST /query HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 100\r\n\r\n{{"
        connection.sendall(head.encode())
        with urllib.request.urlopen(f"{server.http}/health", timeout=10):
            pass
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 5


def test_after_a_restart_without_state_no_client_resumes_as_recovered(serve, music):
    server = serve(music, "--state", "none")
    with Client(server.ws) as client:
        position = client.query("INSERT INTO genre VALUES(100, 'before')", "a")[1]["data"]["position"]
    assert server.stop() == 0
    server = serve(music, "--state", "none", port=server.port)
    with Client(server.ws) as client:
        subscribed = client.subscribe("tables", since=position)["data"]
        assert subscribed["recovered"] is False
        assert subscribed["position"].split(":")[0] != position.split(":")[0]
    curl = Command(["curl", "-sN", "-H", f"Last-Event-ID: {position}", f"{server.http}/events?channels=tables"])
    try:
        curl.line("^event: subscribed")
        # The browser remembers the new position, and resumes by it from now on.
        assert curl.line("^id: ").removeprefix("id: ") == f"{subscribed['position']} {subscribed['subscription']}"
        assert json.loads(curl.line("^data: ").removeprefix("data: "))["data"]["recovered"] is False
    finally:
        curl.kill()
