"""Clients of another make than ours: for the WebSocket, and curl for Server-Sent Events."""

import json
import time

from websockets.exceptions import InvalidStatus
from websockets.sync import client as websocket_client

from contract import check
from processes import LIMIT, Command


class Client:
    def __init__(self, url, **options):
        self.context = websocket_client.connect(url, open_timeout=LIMIT, max_size=64 << 20, **options)
        self.socket = self.context.__enter__()
        self.acknowledgement = self.message("connection:ack")

    def send(self, type, channel=None, id=None, **data):
        message = {"type": type, "data": data}
        if channel:
            message["channel"] = channel
        if id:
            message["id"] = id
        self.socket.send(json.dumps(message))

    def receive(self, limit=LIMIT):
        return check(json.loads(self.socket.recv(timeout=limit)))

    def message(self, type, limit=LIMIT, where=lambda message: True):
        """The next message of that type; others are skipped."""
        deadline = time.monotonic() + limit
        while True:
            message = self.receive(max(0.001, deadline - time.monotonic()))
            if message["type"] == type and where(message):
                return message

    def messages(self, type, count):
        return [self.message(type) for _ in range(count)]

    def subscribe(self, channel, **data):
        self.send("subscribe", channel=channel, id=f"subscribe-{channel}", **data)
        return self.message("subscribed", where=lambda m: m.get("replyTo") == f"subscribe-{channel}")

    def query(self, sql, id, **data):
        """Runs SQL; returns its rows and its last message."""
        self.send("query:execute", id=id, sql=sql, queryId=id, **data)
        rows = []
        while True:
            message = self.receive()
            if message["type"] == "error" and message.get("replyTo") == id:
                return rows, message
            if message["data"].get("queryId") != id:
                continue
            if message["type"] == "query:rows":
                rows += message["data"]["rows"]
            if message["type"] in ("query:complete", "query:error", "query:cancelled"):
                return rows, message

    def close(self):
        self.context.__exit__(None, None, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def client_once_there_is_room(url, **options):
    """A client sees that its connection is closed a moment before the server counts its place as free."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return Client(url, **options)
        except InvalidStatus as refused:
            if refused.response.status_code != 503 or time.monotonic() > deadline:
                raise


class EventStream:
    """The events that curl receives, each validated against the contract."""

    def __init__(self, url, *options):
        self.operation = "sendToClient" if "/live?" in url else "sendEvent"
        self.last_id = None
        self.curl = Command(["curl", "-sN", *options, url])

    def receive(self):
        fields = {}
        while True:
            line = self.curl.line()
            if line == "" and fields:
                break
            if line == "" or line.startswith(":"):
                continue
            name, _, value = line.partition(": ")
            assert name in ("event", "id", "data") and name not in fields, line
            fields[name] = value
        message = check(json.loads(fields["data"]), self.operation)
        assert fields["event"] == message["type"]
        self.last_id = fields.get("id", self.last_id)
        # The ids of the subscriptions can follow the position.
        assert fields.get("id", "").partition(" ")[0] in ("", message.get("position"))
        return message

    def message(self, type):
        while True:
            message = self.receive()
            if message["type"] == type:
                return message

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.curl.kill()
