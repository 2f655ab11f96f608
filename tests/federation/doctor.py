"""`balcony doctor` looks at domains that are well and at some that are not."""

import os
import socket
import subprocess

import _peer
from _authority import EXPIRED, Authority
from _balcony import Balcony
from _dns import Dns
from _report import run, test

DOMAIN = "verona.example"


def doctor(world, domain, *options, resolver=None):
    """Its exit code and what it prints."""
    line = [os.environ["BALCONY_BIN"], "doctor", domain, "--timeout", "2",
            "--resolver", "{}:{}".format(*resolver or world.resolver), *map(str, options)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def expect(found, code, *words):
    assert found[0] == code, found
    for word in words:
        assert word in found[1], f"no ‘{word}’ in:\n{found[1]}"


def sound(world, server):
    trust = ("--trust-roots", world.authority.root)
    with test("a domain that is well"):
        expect(doctor(world, DOMAIN, *trust), 0, "servers find", "clients find", "TLS 1.3",
               f"the certificate is valid for {DOMAIN}", "SCRAM-SHA-256-PLUS")
    with test("the same for a program"):
        code, text = doctor(world, DOMAIN, *trust, "--json")
        assert code == 0 and all(line.startswith("{") for line in text.splitlines()), text
    with test("an authority that is not trusted"):
        expect(doctor(world, DOMAIN), 1, "FAULT", "leads to no trusted root")
    with test("a domain that the server does not know"):
        world.publish("padua.example", server.s2s)
        expect(doctor(world, "padua.example", *trust), 1, "it does not know padua.example")
    with test("a domain that does not exist"):
        expect(doctor(world, "nowhere.example", *trust), 1, "does not exist", "IN SRV 5 0 5269")
    with test("a resolver that does not answer"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            found = doctor(world, DOMAIN, *trust, resolver=silent.getsockname())
        expect(found, 1, "another resolver with `--resolver`")
        assert "IN SRV" not in found[1], found[1]
    with test("a service that is not offered"):
        for service in ("server", "client"):
            world.dns.zone[f"_xmpp-{service}._tcp.mute.example"] = {"SRV": [[0, 0, 0, "."]]}
        expect(doctor(world, "mute.example", *trust), 0, "note   servers", "not offered")
    with test("a port that is closed"):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            world.publish("shut.example", closed.getsockname()[1])
            expect(doctor(world, "shut.example", *trust), 1, "refused", "firewall")
    with test("a server that says nothing"):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            world.publish("silent.example", silent.getsockname()[1])
            expect(doctor(world, "silent.example", *trust), 1, "it says nothing")


def expired(world, server):
    server.terminate()
    world.authority.certificate(server.certificates, DOMAIN, days=EXPIRED)
    server.start()
    with test("a certificate that has ended"):
        found = doctor(world, DOMAIN, "--trust-roots", world.authority.root)
        expect(found, 1, "expired since")


def main(folder, cleanup):
    dns = Dns({}, "127.0.0.1")
    dns.start()
    cleanup.callback(dns.stop)
    world = _peer.World(folder, cleanup, _peer.CERTIFICATE, Authority(folder / "authority"), dns)
    server = Balcony(world, DOMAIN)
    # A name of its own: `localhost` is ::1 as well, where nobody listens.
    dns.zone[f"xmpp.{DOMAIN}"] = {"A": ["127.0.0.1"]}
    for service, port in (("server", server.s2s), ("client", server.starttls)):
        dns.zone[f"_xmpp-{service}._tcp.{DOMAIN}"] = {"SRV": [[0, 0, port, f"xmpp.{DOMAIN}"]]}
    server.start()
    sound(world, server)
    expired(world, server)


run(main)
