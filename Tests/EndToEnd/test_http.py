"""What curl and a browser see."""

import gzip
import json
import pathlib
import socket
import urllib.error
import urllib.parse
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from contract import check_schema
from processes import LIMIT
from sockets import Client, EventStream, client_once_there_is_room


def get(server, path):
    with urllib.request.urlopen(server.http + path, timeout=LIMIT) as response:
        return response.headers, response.read().decode()


def refusal(server, path, **options):
    """The status and the body of a request that is refused."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(server.http + path, **options), timeout=LIMIT)
    with caught.value as response:
        return response.code, check_schema("Failure", json.loads(response.read()))


def test_curl_receives_live_changes(server):
    with EventStream(f"{server.http}/events?channels=tables&rows=values") as events:
        events.message("subscribed")
        with Client(server.ws) as client:
            client.query("INSERT INTO genre VALUES(50, 'Sea shanty')", "q")
        message = events.message("table:modified")
        assert message["data"]["rows"][0]["after"] == {"genre_id": 50, "name": "Sea shanty"}
        assert any(line.startswith(f"id: {message['position']} ") for line in events.curl.seen)


def test_curl_receives_every_channel(server):
    with EventStream(f"{server.http}/events?channels=tables,queries,collaboration") as events:
        for _ in range(3):
            events.message("subscribed")
        with Client(server.ws + "?username=ada") as client:
            assert events.message("user:list")["data"]["users"] == []
            assert events.message("user:joined")["data"]["username"] == "ada"
            client.query("CREATE TABLE t(a); DROP TABLE t; ALTER TABLE genre ADD COLUMN origin", "q")
            client.query("SELECT nothing", "e")
            client.send("user:cursor", table="genre", row=1, column="name")
            awaited = {
                "query:started", "query:complete", "query:error", "table:modified", "user:cursor",
            }  # fmt: skip
            while awaited:
                awaited.discard(events.receive()["type"])
        events.message("user:left")


def test_an_event_stream_resumes_by_its_last_event(server):
    with Client(server.ws) as client:
        # Rows are kept for replay once a subscription requests them.
        client.subscribe("tables", rows="keys")
        _, first = client.query("INSERT INTO genre VALUES(50, 'one')", "a")
        client.query("INSERT INTO genre VALUES(51, 'two')", "b")
    position = first["data"]["position"]
    url = f"{server.http}/events?channels=tables&rows=keys"
    with EventStream(url, "-H", f"Last-Event-ID: {position}") as events:
        assert events.message("table:modified")["data"]["rows"][0]["key"] == {"genre_id": 51}


def test_the_tables_are_listed(server):
    _, body = get(server, "/tables")
    names = json.dumps(check_schema("TableList", json.loads(body)))
    for name in ("artist", "best_sellers", "track_search", "playlist_track"):
        assert f'"{name}"' in names
    assert "track_search_data" not in names
    for table in json.loads(body)["tables"]:
        check_schema("TableDetails", json.loads(get(server, f"/tables/{table['name']}")[1]))
    _, body = get(server, "/tables/track")
    text = json.dumps(json.loads(body))
    for word in ("duration", "track_by_genre", "album", "CREATE TABLE"):
        assert word in text


def test_the_names_of_a_nasty_schema_can_be_asked_for(serve, nasty):
    server = serve(nasty)
    _, body = get(server, "/tables")
    tables = json.loads(body)
    tables = tables if isinstance(tables, list) else tables["tables"]
    for table in tables:
        # The columns of a broken view are unknown.
        if table["name"] == "broken":
            continue
        _, body = get(server, "/tables?" + urllib.parse.urlencode({"name": table["name"]}))
        assert check_schema("TableDetails", json.loads(body))["name"] == table["name"]
        # An empty name cannot be part of a path.
        if table["name"]:
            assert get(server, "/tables/" + urllib.parse.quote(table["name"], safe=""))[1] == body


def test_the_case_of_a_tables_name_means_as_little_as_in_sql(server):
    assert json.loads(get(server, "/tables/GENRE")[1])["name"] == "genre"


def test_a_broken_view_is_named_with_what_is_wrong(serve, nasty):
    server = serve(nasty)
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(server, "/tables/broken")
    assert caught.value.code == 422
    failure = check_schema("Failure", json.loads(caught.value.read()))
    assert failure["code"] == "SQL_ERROR"
    assert '"broken"' in failure["error"] and "no such" in failure["error"]


@pytest.mark.parametrize(
    "path", ["/", "/tablecast.js", "/tables", "/tables/genre", "/status", "/health", "/ready", "/metrics", "/asyncapi.yaml", "/events"]
)
def test_head_is_get_without_a_body(server, path):
    request = urllib.request.Request(server.http + path, method="HEAD")
    with urllib.request.urlopen(request, timeout=LIMIT) as head:
        assert head.status == 200
        assert head.read() == b""
    if path == "/events":
        assert head.headers["Content-Type"].startswith("text/event-stream")
        return
    with urllib.request.urlopen(server.http + path, timeout=LIMIT) as response:
        assert head.headers["Content-Type"] == response.headers["Content-Type"]
        # What these measure may have another digit by now.
        if path not in ("/status", "/metrics", "/health"):
            assert head.headers["Content-Length"] == response.headers["Content-Length"]


def test_the_address_of_a_stream_is_read_as_that_of_a_socket(server):
    with Client(server.ws) as client:
        client.query('CREATE TABLE "my table"(a)', "c")
        with EventStream(f"{server.http}/events?tables=my+table") as events:
            events.message("subscribed")
            client.query('INSERT INTO "my table" VALUES (1)', "i")
            assert events.message("table:modified")["data"]["tableName"] == "my table"
    for path in ("/events?tables=genre&tables=artist", "/events?channels=tables&channels=queries", "/events?since=a:1&since=a:2"):
        status, failure = refusal(server, path)
        assert (status, failure["code"]) == (400, "INVALID_MESSAGE") and "once" in failure["error"]
    with pytest.raises(InvalidStatus) as caught:
        connect(server.ws + "?channels=tables&channels=queries", open_timeout=LIMIT)
    assert caught.value.response.status_code == 400


def test_sockets_and_streams_share_the_places(serve, music):
    server = serve(music, "--max-connections", 2)
    with Client(server.ws):
        with EventStream(f"{server.http}/events") as events:
            events.message("subscribed")
            assert json.loads(get(server, "/status")[1])["connectedClients"] == 2
            assert "\ntablecast_clients 2\n" in get(server, "/metrics")[1]
            assert refusal(server, "/events")[0] == 503
            with pytest.raises(InvalidStatus) as caught:
                connect(server.ws, open_timeout=LIMIT)
            assert caught.value.response.status_code == 503
        # The place of a stream that ended is free again.
        with client_once_there_is_room(server.ws):
            pass


def test_a_read_of_a_removed_file_reports_that_it_is_gone(server, music):
    for path in filter(pathlib.Path.is_file, music.parent.glob("music.db*")):
        path.unlink()
    for path in ("/tables", "/tables/genre", "/ready"):
        status, failure = refusal(server, path)
        assert (status, failure["code"]) == (503, "DATABASE_GONE"), path


@pytest.mark.parametrize(
    "method, path, allowed",
    [("GET", "/query", "POST"), ("DELETE", "/tables/genre", "GET, HEAD"), ("PUT", "/query/q/cancel", "POST"), ("POST", "/", "GET, HEAD")],
)
def test_a_method_that_an_address_does_not_take_is_answered_with_those_it_takes(server, method, path, allowed):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(server.http + path, method=method), timeout=LIMIT)
    with caught.value as response:
        assert (response.code, response.headers["Allow"]) == (405, allowed)
        assert allowed in check_schema("Failure", json.loads(response.read()))["error"]


def test_a_compressed_body_is_refused_by_its_encoding(server):
    body, headers = gzip.compress(b'{"sql": "SELECT 1"}'), {"Content-Encoding": "gzip"}
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(server.http + "/query", body, headers), timeout=LIMIT)
    with caught.value as response:
        assert (response.code, response.headers["Accept-Encoding"]) == (415, "identity")
        assert "gzip" in check_schema("Failure", json.loads(response.read()))["error"]


def test_an_address_that_there_is_not_is_refused_in_json(server):
    status, failure = refusal(server, "/nowhere")
    assert status == 404 and "/nowhere" in failure["error"]


def exchange(server, request, rest=b""):
    """What a socket reads up to the end of the connection, once the server has answered the request."""
    with socket.create_connection((server.host, server.port), timeout=LIMIT) as connection:
        connection.sendall(request)
        answer = connection.recv(1 << 16)
        connection.sendall(rest)
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer.decode()


def test_a_body_is_asked_for_when_a_client_waits_with_it(server):
    body = json.dumps({"sql": "SELECT 42 AS answer"}).encode()
    head = f"POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n"
    answer = exchange(server, head.encode(), body)
    assert answer.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") and '"answer":42' in answer


def test_a_body_that_is_too_large_ends_the_connection(server):
    size = 64 << 20
    head = f"POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    answer = exchange(server, head.encode() + b" " * (5 << 20))
    assert answer.startswith("HTTP/1.1 413 ") and "onnection: close" in answer
    check_schema("Failure", json.loads(answer.partition("\r\n\r\n")[2]))


@pytest.mark.parametrize("origin", ["HTTPS://App.Example.org", "https://app.example.org/", "https://app.example.org:443"])
def test_an_allowed_origin_is_the_same_for_every_address(serve, music, origin):
    server = serve(music, "--allowed-origin", origin)
    page = {"Host": "app.example.org", "Origin": "https://app.example.org"}
    request = urllib.request.Request(server.http + "/status", headers=page)
    with urllib.request.urlopen(request, timeout=LIMIT) as response:
        assert response.status == 200
    stranger = {"Host": "stranger.example.org"}
    assert refusal(server, "/status", headers=stranger)[0] == 403
    key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    with socket.create_connection((server.host, server.port), timeout=LIMIT) as connection:
        connection.sendall(f"GET /ws HTTP/1.1\r\nHost: stranger.example.org\r\n{key}\r\n\r\n".encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 403 ")


def test_health_and_status(server):
    assert get(server, "/health")
    with Client(server.ws) as client:
        _, body = get(server, "/status")
        status = check_schema("Status", json.loads(body))
        assert status["connectedClients"] == 1
        assert status["position"] == client.acknowledgement["data"]["position"]


def test_the_contract_is_served(server):
    _, body = get(server, "/asyncapi.yaml")
    assert "asyncapi: 3" in body


def test_the_page_is_served_with_a_policy(server):
    headers, body = get(server, "/")
    assert "<html" in body.lower()
    assert "Content-Security-Policy" in headers


def test_a_browsers_console_receives_tables(server):
    # new WebSocket('ws://127.0.0.1:3001/ws?channels=tables'), with the header that a browser adds.
    with Client(server.ws + "?channels=tables", origin=server.http) as client:
        with Client(server.ws) as other:
            other.query("CREATE TABLE hello(x)", "q")
        assert client.message("table:created")["data"]["tableName"] == "hello"


def test_a_schema_that_is_nasty_on_purpose_is_reported_as_it_is(serve, nasty):
    server = serve(nasty)
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        name = '<img src=x onerror=alert(1)>'
        _, end = client.query(f'INSERT INTO "{name}" VALUES (?, ?, ?)', "q", params=["a", "b", "c"])
        assert end["type"] == "query:complete", end
    with Client(server.ws) as client:
        before = end["data"]["position"].split(":")
        client.subscribe("tables", rows="values", since=f"{before[0]}:{int(before[1]) - 1}")
        data = client.message("table:modified")["data"]
        assert data["tableName"] == name
        assert data["rows"][0]["after"] == {
            "<script>alert(2)</script>": "a", 'onclick="alert(3)"': "b", "&lt;": "c",
        }  # fmt: skip


def broadcast(server, **body):
    request = urllib.request.Request(f"{server.http}/broadcast", data=json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_broadcast_reaches_all_clients_or_one_channel(server):
    with Client(server.ws) as client:
        assert broadcast(server, type="chat:message", data={"text": "hello"}) == 202
        assert client.receive()["data"] == {"text": "hello"}
        assert broadcast(server, type="chat:other", channel="queries", data={}) == 202
        assert broadcast(server, type="chat:last", channel="notifications", data={}) == 202
        assert client.receive()["type"] == "chat:last"
        with EventStream(f"{server.http}/events?channels=notifications") as events:
            events.message("subscribed")
            assert broadcast(server, data={"text": "hello"}) == 202
            assert events.receive()["type"] == "notification"
        assert client.receive()["type"] == "notification"


def test_a_broadcast_names_a_channel_or_none(server):
    assert broadcast(server, channel=None, type=None, data={}) == 202
    assert broadcast(server, channel="nonsense", data={}) == 400


@pytest.mark.parametrize("type", ["table:modified", "database:gone", "subscribed", "", "a\ndata: {}\n\nevent: table:modified", "x" * 129])
def test_a_broadcast_cannot_imitate_the_service(server, type):
    assert broadcast(server, type=type, data={}) in (400, 403)
