"""Whatever arrives, the answer says what is wrong, and the server stays up."""

import base64
import http.client
import json
import os
import socket
import struct
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sockets import Client, client_once_there_is_room


@pytest.fixture(autouse=True)
def still_alive(server):
    yield
    with urllib.request.urlopen(f"{server.http}/health", timeout=10) as response:
        assert response.status == 200
    with Client(server.ws) as client:
        rows, _ = client.query("SELECT 1 AS x", "after")
        assert rows == [{"x": 1}]


@pytest.mark.parametrize(
    "text, code, word",
    [
        ("{", "INVALID_MESSAGE", "JSON"),
        ("", "INVALID_MESSAGE", "JSON"),
        ("[]", "INVALID_MESSAGE", "object"),
        ("{}", "INVALID_MESSAGE", "type"),
        ('{"type":"nonsense"}', "UNKNOWN_TYPE", "nonsense"),
        ('{"type":"subscribe","channel":"nonsense"}', "UNKNOWN_CHANNEL", "nonsense"),
        ('{"type":"subscribe"}', "INVALID_MESSAGE", "channel"),
        ('{"type":"subscribe","channel":"tables","data":{"rows":"all"}}', "INVALID_MESSAGE", "rows"),
        ('{"type":"subscribe","channel":"tables","data":{"since":"x"}}', "INVALID_MESSAGE", "since"),
        ('{"type":"query:execute","data":{}}', "INVALID_MESSAGE", "sql"),
        ('{"type":"query:execute","data":{"sql":"SELECT ?","params":[[]]}}', "INVALID_MESSAGE", "params[0]"),
        ('{"type":"query:cancel","data":{"queryId":"nobody"}}', "QUERY_NOT_FOUND", "nobody"),
        ('{"type":"table:created","data":{}}', "UNKNOWN_TYPE", "table:created"),
        ("[" * 100_000, "INVALID_MESSAGE", "64 levels"),
    ],
)
def test_a_message_that_makes_no_sense(server, text, code, word):
    with Client(server.ws) as client:
        client.socket.send(text)
        error = client.message("error")["data"]
        assert error["code"] == code
        assert word in error["message"]
        # It is no reason to close.
        assert client.query("SELECT 1 AS x", "q")[0] == [{"x": 1}]


@pytest.mark.parametrize("params, word", [([], "1"), ([1, 2], "2"), ({"b": 1}, ":a")])
def test_parameters_that_do_not_fit(server, params, word):
    with Client(server.ws) as client:
        _, end = client.query("SELECT :a", "q", params=params)
        assert end["type"] in ("query:error", "error")
        assert word in end["data"].get("error", end["data"].get("message"))


def test_a_frame_of_20_megabytes(server):
    with Client(server.ws) as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.socket.send('{"type":"heartbeat","x":"' + "x" * (20 << 20) + '"}')
            while True:
                client.receive()
        assert closed.value.rcvd.code == 1009


def test_text_that_is_not_utf8(server):
    connection = raw(server)
    send_frame(connection, 1, b'{"type":"\xff"}')
    assert close_code(connection) == 1007


def test_a_binary_message(server):
    with Client(server.ws) as client:
        client.socket.send(b"binary")
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.receive()
        assert closed.value.rcvd.code == 1003


def test_a_frame_without_mask(server):
    connection = raw(server)
    connection.sendall(b"\x81\x02{}")
    assert close_code(connection) == 1002


def test_a_page_of_another_origin(server):
    with pytest.raises(InvalidStatus) as refused:
        Client(server.ws, origin="https://evil.example")
    assert refused.value.response.status_code == 403


def test_another_path(server):
    with pytest.raises(InvalidStatus) as refused:
        Client(server.ws + "x")
    assert refused.value.response.status_code == 404


def test_the_path_without_an_upgrade(server):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{server.http}/ws", timeout=10)
    assert error.value.code == 426


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00" + os.urandom(512), b"GET\r\n\r\n", b"\0" * 4096])
def test_what_is_no_http(server, garbage):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:
            pass  # a reset is an answer too


@pytest.mark.parametrize(
    "path, body, status, word",
    [
        ("POST /query", b"Content-Length: 100\r\n\r\n{", 400, "found less"),
        ("POST /query", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{", 400, "found less"),
        ("POST /query", b"Content-Length: 5000000\r\n\r\n" + b" " * 5_000_000, 413, "4194304"),
        ("GET /tables/%zz", b"\r\n", 400, "percent-encoded"),
    ],
)
def test_a_request_that_is_wrong_in_itself(server, path, body, status, word):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n"
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == status
        answer = json.loads(response.read())
        assert word in answer["error"]
        assert answer["code"]


def test_more_connections_than_allowed(serve, music):
    server = serve(music, "--max-connections", "2")
    with Client(server.ws), Client(server.ws):
        with pytest.raises(InvalidStatus) as refused:
            Client(server.ws)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
    with client_once_there_is_room(server.ws):
        pass


def raw(server):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    assert b" 101 " in head.split(b"\r\n")[0]
    return connection


def send_frame(connection, opcode, payload):
    connection.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload)


def close_code(connection):
    """Reads frames until the close frame."""

    def exactly(count):
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            assert piece, "closed without a close frame"
            data += piece
        return data

    while True:
        first, length = exactly(2)
        if length == 126:
            (length,) = struct.unpack(">H", exactly(2))
        payload = exactly(length)
        if first & 0x0F == 8:
            return struct.unpack(">H", payload[:2])[0]
