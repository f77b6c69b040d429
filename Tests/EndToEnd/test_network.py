"""What the network does to a server, and what a client without a token can: it must not keep the others out."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from processes import LIMIT, write_tokens
from sockets import Client, EventStream, client_once_there_is_room

TOKEN = "network-" + 20 * "x"
ENDLESS = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c"
UPGRADE = (
    "GET /ws{query} HTTP/1.1\r\nHost: localhost:{port}\r\n{headers}Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def raw(server):
    return socket.create_connection((server.host, server.port), timeout=LIMIT)


def descriptors(server):
    return os.listdir(f"/proc/{server.process.pid}/fd")


def until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def bearer(token):
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def is_closed(connection):
    """Whether the server has closed it, without waiting."""
    connection.setblocking(False)
    try:
        return connection.recv(1 << 16) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(LIMIT)


# Descriptors


def test_idle_connections_take_neither_descriptors_nor_places(serve, music):
    server = serve(music, env={"TABLECAST_READ_WRITE_TOKEN": TOKEN}, under=("prlimit", "--nofile=1024:1024"))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(raw(server)) for _ in range(1_100)]
        # One address holds no more than its share, 256; the others have been closed for it, the oldest first.
        until(lambda: sum(map(is_closed, held)) == 844, "844 connections are closed")
        assert not any(map(is_closed, held[1_000:]))
        assert len(descriptors(server)) < 600
        for turn in range(20):
            with Client(server.ws, **bearer(TOKEN)) as client:
                sql = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) SELECT i FROM c ORDER BY hex(i) LIMIT 1"
                assert client.query(sql, f"q{turn}")[1]["type"] == "query:complete"
        for connection in held[1_000:]:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert server.stop() == 0


def test_the_limit_of_descriptors_is_raised_at_the_start(serve, music):
    server = serve(music, under=("prlimit", "--nofile=512:4096"))
    limits = open(f"/proc/{server.process.pid}/limits", encoding="ascii").read()
    assert re.search(r"Max open files +4096 +4096 ", limits)


def test_more_connections_than_there_are_descriptors_for_are_refused_at_the_start(binary, music):
    arguments = ["prlimit", "--nofile=1024:1024", binary, "serve", str(music), "--port", "0", "--max-connections", "5000"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 64
    assert "--max-connections 5000 needs" in done.stderr and "1024" in done.stderr and "LimitNOFILE" in done.stderr


def test_no_program_inherits_a_descriptor(server):
    with Client(server.ws) as client, raw(server):
        client.query("SELECT 1", "q")
        for number in descriptors(server):
            with contextlib.suppress(FileNotFoundError):
                flags = re.search(r"flags:\s*(\d+)", open(f"/proc/{server.process.pid}/fdinfo/{number}", encoding="ascii").read())
                target = os.readlink(f"/proc/{server.process.pid}/fd/{number}")
                assert int(number) <= 2 or int(flags[1], 8) & os.O_CLOEXEC, target


# Places


def test_refused_handshakes_take_no_place(serve, music):
    server = serve(music, "--max-connections", 3, env={"TABLECAST_READ_WRITE_TOKEN": TOKEN})
    with contextlib.ExitStack() as stack:
        # A page's is opened and closed with 4401, and stays until the page closes it too.
        pages = [stack.enter_context(raw(server)) for _ in range(100)]
        for page in pages:
            origin = f"Origin: http://localhost:{server.port}\r\n"
            page.sendall(UPGRADE.format(query="?access_token=wrong", port=server.port, headers=origin).encode())
        for page in pages:
            assert page.recv(1 << 16).startswith(b"HTTP/1.1 101 ")
        clients = [stack.enter_context(Client(server.ws, **bearer(TOKEN))) for _ in range(3)]

        def refused(_):
            with pytest.raises(InvalidStatus) as caught:
                connect(server.ws, open_timeout=LIMIT)
            return caught.value.response.status_code

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert set(pool.map(refused, range(200))) == {401}
        # The places are taken by those who may come in, and only by them.
        with pytest.raises(InvalidStatus) as caught:
            connect(server.ws, open_timeout=LIMIT, **bearer(TOKEN))
        assert caught.value.response.status_code == 503
        clients[0].close()
        client_once_there_is_room(server.ws, **bearer(TOKEN)).close()


def ask(connection, path="/health", *headers):
    connection.sendall("".join([f"GET {path} HTTP/1.1\r\nHost: localhost\r\n", *(f"{h}\r\n" for h in headers), "\r\n"]).encode())
    return connection.recv(1 << 16)


@pytest.mark.parametrize("header", ["X-Forwarded-For: {0}", "Forwarded: for={0};proto=https"])
def test_behind_a_trusted_proxy_each_client_has_its_own_share(serve, music, header):
    server = serve(music, "--trusted-proxy", "127.0.0.0/8", env={"TABLECAST_READ_WRITE_TOKEN": TOKEN})
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(raw(server))
        assert ask(good, "/health", header.format("198.51.100.7")).startswith(b"HTTP/1.1 200 ")
        greedy = [stack.enter_context(raw(server)) for _ in range(300)]
        for connection in greedy:
            assert ask(connection, "/health", header.format("203.0.113.66")).startswith(b"HTTP/1.1 200 ")
        until(lambda: sum(map(is_closed, greedy)) == 44, "all but 256 are closed")
        assert ask(good, "/health", header.format("198.51.100.7")).startswith(b"HTTP/1.1 200 ")


def test_without_a_trusted_proxy_the_header_is_ignored(serve, music):
    server = serve(music, env={"TABLECAST_READ_WRITE_TOKEN": TOKEN})
    with contextlib.ExitStack() as stack:
        connections = []
        for number in range(300):
            connections.append(stack.enter_context(raw(server)))
            assert ask(connections[-1], "/health", f"X-Forwarded-For: 203.0.113.{number % 250}").startswith(b"HTTP/1.1 200 ")
        until(lambda: sum(map(is_closed, connections)) == 44, "all but 256 are closed")


def test_what_is_no_network_is_no_trusted_proxy(run, music):
    done = run("serve", music, "--port", 0, "--trusted-proxy", "proxy.example")
    assert done.returncode == 64 and "--trusted-proxy 'proxy.example'" in done.stderr and "10.0.0.0/8" in done.stderr


# Identities


def test_one_identity_leaves_the_queue_to_the_others(serve, music):
    other = "other-" + 20 * "y"
    server = serve(music, env={"TABLECAST_READ_WRITE_TOKEN": TOKEN, "TABLECAST_READ_ONLY_TOKEN": other})
    with contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(Client(server.ws, **bearer(TOKEN))) for _ in range(80)]
        for number, client in enumerate(greedy):
            for query in range(32):
                client.send("query:execute", sql=ENDLESS, queryId=f"{number}-{query}", id=f"{query}")
        # 80 × 32 are more than there are places, 2,000; half of them are refused to this identity.
        refused = 0
        for client in greedy:
            client.send("heartbeat", id="after")
            while True:
                message = client.receive()
                if message.get("replyTo") == "after":
                    break
                refused += message["type"] == "query:error" and message["data"]["code"] == "TOO_MANY_QUERIES"
        assert refused == 80 * 32 - 1_000
        with Client(server.ws, **bearer(other)) as client:
            for turn in range(20):
                assert client.query("SELECT 1 AS x", f"q{turn}")[0] == [{"x": 1}]
        request = urllib.request.Request(f"{server.http}/query", data=b'{"sql":"SELECT 1 AS x"}')
        request.add_header("Authorization", f"Bearer {other}")
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            assert response.status == 200


# accept(2)


def can_trace():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace cannot trace here")
@pytest.mark.parametrize(
    "error",
    [
        *(f"{name}:when=1" for name in ("EPROTO", "ENETDOWN", "EHOSTUNREACH", "EPERM", "ETIMEDOUT", "ECONNABORTED", "EOPNOTSUPP")),
        *(f"{name}:when=1..5" for name in ("ENOBUFS", "ENOMEM", "EMFILE", "ENFILE")),
        "EPROTO:when=1..200",
    ],
)
def test_an_error_of_accept_ends_nothing(serve, music, tmp_path, error):
    trace = tmp_path / "trace"
    under = ("strace", "-f", "-D", "-o", str(trace), "-e", "trace=accept,accept4", "-e", f"inject=accept,accept4:error={error}")
    server = serve(music, under=under)
    for _ in range(2):
        with urllib.request.urlopen(f"{server.http}/health", timeout=LIMIT) as response:
            assert response.status == 200
    with Client(server.ws) as client:
        assert client.query("SELECT 1 AS x", "q")[0] == [{"x": 1}]
    assert "INJECTED" in trace.read_text(encoding="utf-8")
    server.error_line("could not be accepted")
    assert server.stop() == 0


# SIGHUP


def test_tokens_are_read_again_at_sighup(serve, music, tmp_path):
    tokens = tmp_path / "tokens.json"

    def write(token):
        write_tokens(tokens, [{"token": token, "username": "ada"}])

    old, new = "old-" + 20 * "x", "new-" + 20 * "x"
    write(old)
    server = serve(music, "--tokens", tokens)
    Client(server.ws, **bearer(old)).close()
    write(new)
    server.signal(signal.SIGHUP)
    server.error_line("reloaded the tokens")
    Client(server.ws, **bearer(new)).close()
    with pytest.raises(InvalidStatus):
        connect(server.ws, open_timeout=LIMIT, **bearer(old))
    # What makes no sense changes nothing.
    tokens.write_text("[")
    server.signal(signal.SIGHUP)
    server.error_line("cannot reload the tokens")
    Client(server.ws, **bearer(new)).close()
    assert server.stop() == 0


def test_sessions_of_revoked_and_changed_tokens_end_at_sighup_and_others_go_on(serve, music, tmp_path):
    names = ["revoked", "changed", "same"]
    secret = {name: f"{name}-" + 20 * "x" for name in names}
    tokens = tmp_path / "tokens.json"

    def write(entries):
        write_tokens(tokens, [{"token": secret[name], "username": name, **rights} for name, rights in entries.items()])

    write({"revoked": {}, "changed": {"role": "read-write"}, "same": {"role": "read-write"}})
    server = serve(music, "--tokens", tokens)
    clients = {name: Client(server.ws, **bearer(secret[name])) for name in names}
    with EventStream(f"{server.http}/events?access_token={secret['revoked']}") as events:
        events.message("subscribed")
        clients["changed"].query("BEGIN", "open")
        clients["changed"].query("INSERT INTO genre(name) VALUES ('never committed')", "write")
        write({"same": {"role": "read-write"}, "changed": {"role": "read-only"}})
        server.signal(signal.SIGHUP)
        for name, code in (("revoked", 4401), ("changed", 1001)):
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    clients[name].receive()
            assert closed.value.rcvd.code == code, (name, closed.value)
        assert events.message("error")["data"]["code"] == "UNAUTHORIZED"
        events.curl.process.wait(LIMIT)
    # What the client had begun is rolled back, and the writer is free.
    assert clients["same"].query("UPDATE genre SET name = 'x' WHERE genre_id = 1", "next")[1]["type"] == "query:complete"
    assert clients["same"].query("SELECT count(*) AS n FROM genre WHERE name LIKE 'never%'", "count")[0] == [{"n": 0}]
    with Client(server.ws, **bearer(secret["changed"])) as client:
        assert client.query("DELETE FROM genre", "no")[1]["data"]["code"] == "READ_ONLY"
    assert server.stop() == 0


def certificate(path, name):
    key = path / f"{name}.key.pem"
    arguments = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}", "-keyout", str(key), "-out"]
    subprocess.run(["openssl", "req", "-x509", *arguments, str(path / f"{name}.pem")], check=True, capture_output=True)
    return path / f"{name}.pem", key


def test_the_certificate_is_read_again_at_sighup_while_connections_go_on(serve, music, tmp_path):
    used = certificate(tmp_path, "used")
    server = serve(music, "--tls-certificate", used[0], "--tls-key", used[1])
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def seen():
        with context.wrap_socket(raw(server)) as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).strip()

    first = seen()
    assert first == used[0].read_text().strip()
    with Client(server.ws.replace("ws:", "wss:"), ssl=context) as client:
        for old, new in zip(used, certificate(tmp_path, "other")):
            shutil.copy(new, old)
        server.signal(signal.SIGHUP)
        server.error_line("reloaded the certificate and key")
        assert seen() == used[0].read_text().strip() != first
        assert client.query("SELECT 1 AS x", "q")[0] == [{"x": 1}]
        used[1].write_text("no key")
        server.signal(signal.SIGHUP)
        server.error_line("cannot reload the certificate and key")
        assert seen() == used[0].read_text().strip()
    assert server.stop() == 0


def test_the_log_level_is_read_again_at_sighup(serve, music, tmp_path):
    settings = tmp_path / "tablecast.json"
    settings.write_text('{"logLevel": "notice"}')
    server = serve(music, "--config", settings)
    with Client(server.ws) as client:
        client.query("SELECT 1", "before")
        settings.write_text('{"logLevel": "debug"}')
        server.signal(signal.SIGHUP)
        server.error_line("reloaded the log level")
        assert not any("client connected" in line or " debug " in line for line in server.errors)
        client.query("SELECT 2", "after")
        server.error_line(" debug ")
    # What makes no sense changes nothing.
    settings.write_text('{"logLevel": "loud"}')
    server.signal(signal.SIGHUP)
    server.error_line("cannot reload the log level")
    with Client(server.ws) as client:
        client.query("SELECT 3", "again")
        server.error_line(" debug ")
    assert server.stop() == 0


def test_sighup_without_anything_to_read_again_ends_nothing(server):
    server.signal(signal.SIGHUP)
    server.error_line("SIGHUP")
    Client(server.ws).close()


# HTTP


def exchange(server, request):
    """All that a server answers until it ends the connection; None where it does not."""
    with raw(server) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(1 << 16):
                answer += piece
        return answer.decode()


@pytest.mark.parametrize("path, accept", [("/tables", "*/*"), ("/query", "application/x-ndjson"), ("/query", "*/*")])
def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(server, path, accept):
    body = '{"sql":"SELECT 1"}'
    method, length = ("POST", f"Content-Length: {len(body)}\r\n") if path == "/query" else ("GET", "")
    head = f"{method} {path} HTTP/1.0\r\nConnection: keep-alive\r\nAccept: {accept}\r\n{length}\r\n"
    head, _, content = exchange(server, head + (body if length else "")).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.0 200 ")
    assert "chunked" not in head.lower() and "connection: close" in head.lower()
    for line in content.splitlines():
        json.loads(line)


def test_options_of_the_server_as_a_whole_says_the_methods(server):
    head, _, body = exchange(server, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 204 ") and "Allow: GET, HEAD, OPTIONS, POST" in head.split("\r\n") and body == ""


def test_head_of_the_websocket_has_no_body(server):
    head, _, body = exchange(server, "HEAD /ws HTTP/1.1\r\nHost: localhost\r\n\r\n").partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 405 ") and body == ""


QUERY = "POST /query HTTP/1.1\r\nHost: localhost\r\n"
GET = "GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "request_, status",
    {
        "no host": ("GET /health HTTP/1.1\r\n\r\n", 400),
        "two hosts": (GET + "Host: localhost\r\n\r\n", 400),
        "a port that is none": ("GET /health HTTP/1.1\r\nHost: localhost:evil\r\n\r\n", 400),
        "an empty host": ("GET /health HTTP/1.1\r\nHost:\r\n\r\n", 400),
        "two lengths": (QUERY + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400),
        "a list of lengths": (QUERY + "Content-Length: 5, 5\r\n\r\nabcde", 400),
        "a signed length": (QUERY + "Content-Length: +5\r\n\r\nabcde", 400),
        "a hexadecimal length": (QUERY + "Content-Length: 0x5\r\n\r\nabcde", 400),
        "a huge length": (QUERY + "Content-Length: 99999999999999999999\r\n\r\nabcde", 400),
        "a length and chunks": (QUERY + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "chunks and a length": (QUERY + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        "another coding": (QUERY + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        "a misspelt coding": (QUERY + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        "chunks in HTTP/1.0": ("POST /query HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "a space before the colon": (QUERY + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        "a folded line": (GET + "X: a\r\n b\r\n\r\n", 400),
        "line feeds alone": ("GET /health HTTP/1.1\nHost: localhost\n\n", 400),
        "a carriage return alone": ("GET /health HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n", 400),
        "a NUL": (GET + "X: a\x00b\r\n\r\n", 400),
        "a fragment": ("GET /health#x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        "no path": ("GET health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        "another host in the target": ("GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 403),
        "its own host in the target": ("GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 200),
        "a tunnel": ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        "too many headers": (GET + "".join(f"X{i}: y\r\n" for i in range(3_000)) + "\r\n", 431),
        "a close in capitals": (GET + "Connection: Close\r\n\r\n", 200),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(server, request_, status):
    request, expected = status
    answer = exchange(server, request)
    assert re.findall(r"^HTTP/1\.[01] (\d+) ", answer, re.MULTILINE) == [str(expected)], answer


def test_an_invalid_request_behind_a_valid_one_is_refused_after_its_response(server):
    answer = exchange(server, GET + "\r\nGET /status HTTP/1.1\r\n\r\n" + GET + "\r\n")
    assert re.findall(r"^HTTP/1\.1 (\d+) ", answer, re.MULTILINE) == ["200", "400"], answer


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_connection_serves_one_query_after_the_other(server, accept):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=LIMIT)
    sockets = set()
    for number in range(50):
        connection.request("POST", "/query", json.dumps({"sql": f"SELECT {number} AS n"}), {"Accept": accept})
        with connection.getresponse() as response:
            assert response.status == 200 and f'"n":{number}' in response.read().decode().replace(f"[[{number}]]", f'"n":{number}')
        sockets.add(id(connection.sock))
    assert len(sockets) == 1 and connection.sock is not None
    connection.close()


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("leave", [lambda s: s.close(), lambda s: s.shutdown(socket.SHUT_WR)], ids=["closes", "half-closes"])
def test_a_query_is_cancelled_when_its_client_goes(server, accept, leave):
    with Client(server.ws) as watcher:
        watcher.subscribe("queries")
        body = json.dumps({"sql": ENDLESS, "queryId": "endless", "timeout": 600_000})
        with raw(server) as connection:
            connection.sendall(f"{QUERY}Accept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            watcher.message("query:started", where=lambda m: m["data"]["queryId"] == "endless")
            leave(connection)
            ended = watcher.message("query:cancelled", where=lambda m: m["data"]["queryId"] == "endless")
            assert ended["data"]["reason"] == "disconnect"


# Pages of other origins

PAGE, STRANGER = "http://localhost:5173", "http://stranger.example"


def fetch(server, path, method="GET", body=None, **headers):
    request = urllib.request.Request(server.http + path, method=method, data=body)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        response = urllib.request.urlopen(request, timeout=LIMIT)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        response.read()
        return response.status, response.headers


ADDRESSES = ["/", "/tablecast.js", "/tablecast.d.ts", "/tables", "/tables/genre", "/tables/none", "/status", "/health", "/ready", "/metrics", "/asyncapi.yaml"]


@pytest.mark.parametrize("path", ADDRESSES)
def test_an_allowed_page_may_read_every_answer(serve, music, path):
    server = serve(music, "--allowed-origin", PAGE)
    status, headers = fetch(server, path, Origin=PAGE)
    assert status in (200, 404)
    assert (headers["Access-Control-Allow-Origin"], headers.get_all("Vary")) == (PAGE, ["Origin"])
    assert "ETag" in headers["Access-Control-Expose-Headers"]
    # A cache must not give one page's answer to another.
    assert fetch(server, path)[1].get_all("Vary") == ["Origin"]
    status, headers = fetch(server, path, Origin=STRANGER)
    assert status == 403 and headers["Access-Control-Allow-Origin"] is None


def test_an_allowed_page_may_read_what_was_wrong(serve, music):
    server = serve(music, "--allowed-origin", PAGE, env={"TABLECAST_READ_ONLY_TOKEN": TOKEN})
    for path, method, body, expected in (
        ("/tables", "GET", None, 401), ("/tables", "DELETE", None, 405), ("/query", "POST", b"{", 401), ("/events?since=x&since=y", "GET", None, 401),
    ):  # fmt: skip
        status, headers = fetch(server, path, method, body, Origin=PAGE)
        assert (status, headers["Access-Control-Allow-Origin"]) == (expected, PAGE)
        assert "WWW-Authenticate" in headers["Access-Control-Expose-Headers"]


def test_a_preflight_request_lists_what_a_page_may_send(serve, music):
    server = serve(music, "--allowed-origin", PAGE)
    asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,content-type"}
    status, headers = fetch(server, "/query", "OPTIONS", Origin=PAGE, **asks)
    assert (status, headers["Access-Control-Allow-Origin"], headers["Access-Control-Allow-Methods"]) == (204, PAGE, "POST")
    assert {"Authorization", "Content-Type"} <= set(headers["Access-Control-Allow-Headers"].split(", "))
    status, headers = fetch(server, "/query", "OPTIONS", Origin=STRANGER, **asks)
    assert status == 403 and headers["Access-Control-Allow-Origin"] is None
    # Without a page's question, it is a method like any other.
    assert fetch(server, "/query", "OPTIONS")[0] == 405
