"""ejabberd (Debian's 23.01) with a configuration for a test."""

import json
import os
import time
import urllib.request

from _peer import CERTIFICATE, Peer, free_ports
from _report import Skipped, need

CONFIG = """
hosts: ["{domain}"]
loglevel: debug
log_rotate_count: 0
certfiles: ["{certs}/*.pem"]
ca_file: "{root}"
auth_method: internal
auth_password_format: scram
s2s_use_starttls: required
# It does not try a domain again for this long after it failed (seconds).
s2s_max_retry_delay: 1
listen:
  - {{port: {starttls}, ip: "127.0.0.1", module: ejabberd_c2s, starttls_required: true}}
  - {{port: {s2s}, ip: "127.0.0.1", module: ejabberd_s2s_in}}
  - {{port: {http}, ip: "127.0.0.1", module: ejabberd_http, request_handlers: {{/api: mod_http_api}}}}
api_permissions:
  test: {{from: [mod_http_api], who: all, what: "*"}}
acl:
  local: {{user_regexp: ""}}
access_rules:
  local: {{allow: local}}
modules:
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_http_api: {{}}
  mod_mam: {{default: always, db_type: mnesia}}
  mod_muc: {{access: all, access_create: all, default_room_options: {{mam: true}}}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_pubsub: {{access_createnode: all, plugins: [flat, pep]}}
  mod_roster: {{versioning: true}}
  mod_stream_mgmt: {{}}
  mod_vcard: {{search: false}}
  mod_version: {{}}
{dialback}
"""


class Ejabberd(Peer):
    """One domain, its rooms; PEP, MAM, stream management for clients."""

    name = "ejabberd"

    def __init__(self, world, domain):
        super().__init__(world, domain)
        need("ejabberdctl", "ejabberd")
        self.erl = need("erl", "erlang-base")
        (self.folder / "spool").mkdir()
        (self.http,) = free_ports(1)
        pem = self.certificates / "all.pem"
        pem.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())
        address, port = world.resolver
        self.resolver = self.folder / "inetrc"
        self.resolver.write_text(
            # Neither the machine's DNS servers nor its file of hosts.
            '{resolv_conf,""}.\n{hosts_file,""}.\n{lookup,[dns]}.\n'
            "{nameserver,{%s},%d}.\n" % (address.replace(".", ","), port))
        self.config = self.folder / "ejabberd.yml"
        self.config.write_text(CONFIG.format(
            domain=domain, certs=self.certificates, root=world.authority.root,
            starttls=self.starttls, s2s=self.s2s, http=self.http,
            # With it, a certificate that nobody trusts is no reason to refuse.
            dialback="" if world.mode == CERTIFICATE else "  mod_s2s_dialback: {}"))

    def start(self):
        """Starts it and waits until it answers. It is no node that others could talk to."""
        environment = dict(
            os.environ, HOME=str(self.folder), EJABBERD_CONFIG_PATH=str(self.config),
            EJABBERD_LOG_PATH=str(self.folder / "ejabberd.log"), ERL_INETRC=str(self.resolver),
            ERL_LIBS=libraries(), ERL_CRASH_DUMP_BYTES="0")
        # Schedulers that are idle sleep at once instead of trying for a while.
        self.launch(
            [self.erl, "-noinput", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
             "-mnesia", "dir", f'"{self.folder}/spool"', "-s", "ejabberd"], 60, env=environment)
        self.until_open(self.http, time.monotonic() + 10)
        return self

    def call(self, command, **arguments):
        """A command of ejabberdctl, by HTTP."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/api/{command}", json.dumps(arguments).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def add(self, name, password):
        """Makes an account."""
        self.call("register", user=name, host=self.domain, password=password)


def libraries():
    """Where Debian keeps ejabberd's code: a folder for each architecture."""
    for machine in ("x86_64", "aarch64"):
        folder = f"/usr/lib/{machine}-linux-gnu"
        if os.path.isdir(folder):
            return folder
    raise Skipped("ejabberd's code is not where Debian has it")
