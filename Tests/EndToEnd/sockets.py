"""A WebSocket client of another make than ours."""

import json
import time

from websockets.sync import client as websocket_client

from contract import check
from processes import LIMIT


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
