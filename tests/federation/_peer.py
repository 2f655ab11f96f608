"""What the servers of a test have in common: a domain, its place in the DNS, certificates, a process."""

import pathlib
import signal
import socket
import subprocess
import sys
import time
import types

# The clients, and how a test is told, are those of the tests with real clients.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "real-clients"))
from _server import free_ports  # noqa: E402, F401, for the peers

# How servers prove their domain: an authority that all trust, or the DNS (XEP-0220) below TLS with
# certificates that nobody trusts.
CERTIFICATE, DIALBACK = "certificate", "dialback"


class World:
    """The DNS and the authority that some servers share."""

    def __init__(self, folder, cleanup, mode, authority, dns):
        self.folder, self.cleanup, self.mode = folder, cleanup, mode
        self.authority, self.dns = authority, dns

    @property
    def resolver(self):
        """Address and port of the DNS server."""
        return self.dns.address

    def publish(self, domain, port):
        """Says in the DNS where servers find this domain.

        ejabberd asks the machine for the host's address, and not the DNS: it is a name that every
        machine has.
        """
        self.dns.zone[f"_xmpp-server._tcp.{domain}"] = {"SRV": [[0, 0, port, "localhost"]]}
        for name in (domain, "localhost"):
            self.dns.zone[name] = {"A": ["127.0.0.1"]}


class Peer:
    """A server of one domain and its rooms. `starttls` is its port for clients, `s2s` that for servers."""

    name = None

    def __init__(self, world, domain):
        self.world, self.domain, self.rooms = world, domain, f"conference.{domain}"
        self.folder = world.folder / domain
        self.certificates = self.folder / "certs"
        self.certificates.mkdir(parents=True)
        self.starttls, self.s2s = free_ports(2)
        self.process = None
        for host in (self.domain, self.rooms):
            world.publish(host, self.s2s)
        trusted = world.mode == CERTIFICATE
        self.certificate, self.key = world.authority.certificate(
            self.certificates, domain, self_signed=not trusted)
        # What a client has to trust.
        self.authority = types.SimpleNamespace(
            certificate=world.authority.root if trusted else self.certificate)

    def launch(self, line, seconds, **options):
        """Starts the process and waits until clients and servers can connect."""
        with open(self.folder / "console.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in line], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, **options)
        self.world.cleanup.callback(self.kill)
        end = time.monotonic() + seconds
        for port in (self.starttls, self.s2s):
            self.until_open(port, end)
        return self

    def until_open(self, port, end):
        """Waits until somebody listens on the port."""
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise RuntimeError(f"{self.name} does not listen on {port}") from None
                time.sleep(0.05)

    def kill(self):
        """Ends it in any case, without a word to anybody."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def terminate(self, seconds=30):
        """SIGTERM; it has that long to say good-bye."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
