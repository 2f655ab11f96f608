"""Prosody (Debian's 0.12) with a configuration for a test."""

import glob
import subprocess

from _peer import CERTIFICATE, Peer
from _report import Skipped, need

CONFIG = """
run_as_root = true
daemonize = false
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}/certs"
log = {{ debug = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {starttls} }}
s2s_ports = {{ {s2s} }}
http_ports = {{ }}
https_ports = {{ }}
-- The DNS server of the test, which is on loopback, where unbound would not look.
unbound = {{ resolvconf = false, hoststxt = false, forward = "{resolver}",
    options = {{ ["do-not-query-localhost:"] = "no" }} }}
ssl = {{ cafile = "{root}" }}
s2s_secure_auth = {secure}
s2s_require_encryption = true
authentication = "internal_hashed"
default_iteration_count = 4096
storage = "internal"
default_archive_policy = true
archive_expires_after = "never"
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "ping", "carbons", "smacks", "offline", "pep", "version",
    "vcard4", "mam", "posix", {dialback} "s2s_bidi",
}}
VirtualHost "{domain}"
Component "{rooms}" "muc"
    modules_enabled = {{ "muc_mam" }}
    restrict_room_creation = false
"""


class Prosody(Peer):
    """One domain, its rooms; PEP, MAM, stream management, bidirectional streams."""

    name = "Prosody"

    def __init__(self, world, domain):
        super().__init__(world, domain)
        self.program, self.control = need("prosody"), need("prosodyctl", "prosody")
        if not glob.glob("/usr/lib/*/lua/*/lunbound.so"):
            raise Skipped("Prosody cannot ask the test's DNS (Debian package lua-unbound)")
        trusted = world.mode == CERTIFICATE
        (self.folder / "data").mkdir()
        self.config = self.folder / "prosody.cfg.lua"
        self.config.write_text(CONFIG.format(
            folder=self.folder, domain=domain, rooms=self.rooms, starttls=self.starttls,
            s2s=self.s2s, root=world.authority.root, resolver="{}@{}".format(*world.resolver),
            secure=str(trusted).lower(), dialback="" if trusted else '"dialback",'))

    def start(self):
        """Starts it and waits until it answers."""
        return self.launch([self.program, "--config", self.config, "-F"], 20)

    def add(self, name, password):
        """Makes an account."""
        line = [self.control, "--config", self.config, "register", name, self.domain, password]
        done = subprocess.run(line, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"prosodyctl: {done.stdout}{done.stderr}")
