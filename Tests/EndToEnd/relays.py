"""A relay as a process."""

from processes import Command, Server


class Relay(Server):
    def __init__(self, binary, *arguments, port=0, env=None):
        Command.__init__(self, [binary, "relay", *map(str, arguments), "--port", str(port)], env=env)
        self.listens()
