"""Balcony with a configuration for a test."""

import os
import tempfile
import time

from _peer import CERTIFICATE, Peer
from _server import Server

# Seconds that a message waits for a server that cannot be reached: longer than a restart takes.
GIVE_UP = 30

CONFIG = """
data_dir = "{folder}/data"
[listen]
c2s = ["127.0.0.1:{starttls}"]
c2s_tls = []
s2s = ["127.0.0.1:{s2s}"]
s2s_tls = []
components = []
admin = "{admin}"
[tls]
dir = "{folder}/certs"
[federation]
resolvers = ["{resolver}"]
trust_roots = "{root}"
require = "{require}"
give_up = "{give_up}"
[[host]]
name = "{domain}"
"""


class Balcony(Peer):
    """The program that `BALCONY_BIN` names."""

    name = "Balcony"
    command = Server.command

    def __init__(self, world, domain):
        super().__init__(world, domain)
        # The path of a UNIX socket holds 107 bytes at most, whatever the folder's name.
        short = tempfile.TemporaryDirectory(prefix="balcony-")
        world.cleanup.callback(short.cleanup)
        self.config = self.folder / "balcony.toml"
        trusted = world.mode == CERTIFICATE
        self.config.write_text(CONFIG.format(
            folder=self.folder, domain=domain, starttls=self.starttls, s2s=self.s2s,
            admin=f"{short.name}/admin.sock", resolver="{}:{}".format(*world.resolver),
            root=world.authority.root, give_up=f"{GIVE_UP}s",
            require="valid-certificate" if trusted else "dialback-over-tls"))
        self.admin = f"{short.name}/admin.sock"

    def start(self):
        """Starts it and waits until it answers."""
        self.launch([os.environ["BALCONY_BIN"], "serve", "--config", self.config], 20)
        # The last thing that it opens.
        end = time.monotonic() + 20
        while not os.path.exists(self.admin):
            assert time.monotonic() < end and self.process.poll() is None, "no admin socket"
            time.sleep(0.05)
        return self

    def add(self, name, password):
        """Makes an account."""
        self.command("user", "add", f"{name}@{self.domain}", "--password-file", "-",
                     stdin=password + "\n")
