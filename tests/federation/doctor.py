"""`balcony doctor` looks at domains that are well and at some that are not."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading

import _peer
from _authority import EXPIRED, Authority, srv_name
from _balcony import Balcony
from _dns import Dns
from _peer import free_ports
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
        assert code == 0 and {json.loads(line)["domain"] for line in text.splitlines()} == {DOMAIN}
    with test("an authority that is not trusted"):
        expect(doctor(world, DOMAIN), 1, "FAULT", "no trusted root")
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
            world.dns.zone[f"_xmpp-{service}._tcp.mute.example"] = NOT_OFFERED
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


def srv(port, target=f"xmpp.{DOMAIN}"):
    return {"SRV": [[0, 0, port, target]]}


NOT_OFFERED = srv(0, ".")


@contextlib.contextmanager
def changed(world, **records):
    """Other records of these kinds for a while, such as `xmpps_client`; `None` for none."""
    zone = world.dns.zone
    before = dict(zone)
    for kind, record in records.items():
        name = f"_{kind.replace('_', '-')}._tcp.{DOMAIN}"
        zone.pop(name, None)
        if record:
            zone[name] = record
    try:
        yield
    finally:
        zone.clear()
        zone.update(before)


class Bare:
    """A server for clients by direct TLS that knows no ALPN and does no more than greet."""

    GREETING = (
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
        f" from='{DOMAIN}' id='1' version='1.0'><stream:features>"
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism>"
        "</mechanisms></stream:features>")

    def __init__(self, cleanup, certificate, key):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        cleanup.callback(self.listener.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain = self.listener.accept()[0]
            except OSError:
                return  # closed
            with plain, contextlib.suppress(OSError):
                with self.tls.wrap_socket(plain, server_side=True) as client:
                    client.recv(4096)
                    client.sendall(self.GREETING.encode())
                    client.recv(4096)


def kinds(world, server, direct, cleanup):
    """Each kind of record by itself. `direct` are the ports for direct TLS of servers and clients."""
    trust = ("--trust-roots", world.authority.root)
    with test("direct TLS that no record names"):
        expect(doctor(world, DOMAIN, *trust), 0,
               f"servers find xmpp.{DOMAIN} port {server.s2s} by _xmpp-server._tcp.{DOMAIN}",
               f"note   servers do not try direct TLS: there is no record _xmpps-server._tcp.{DOMAIN}",
               f"`_xmpps-client._tcp.{DOMAIN}. 86400 IN SRV 5 0 5223 xmpp.{DOMAIN}.`")
    with (test("direct TLS that is not offered, on purpose"),
          changed(world, xmpps_server=NOT_OFFERED, xmpps_client=NOT_OFFERED)):
        found = doctor(world, DOMAIN, *trust)
        expect(found, 0, "good   clients do not try direct TLS")
        assert "note" not in found[1], found[1]
    both = {f"xmpps_{service}": srv(port) for service, port in direct.items()}
    with test("direct TLS that is well"), changed(world, **both):
        found = doctor(world, DOMAIN, *trust)
        for service, port in direct.items():
            expect(found, 0, f"{service}s find xmpp.{DOMAIN} port {port}, direct TLS by",
                   f"{service}s at 127.0.0.1:{port}: the certificate is valid")
        assert "note" not in found[1], found[1]
    bare = Bare(cleanup, server.certificate, server.key)
    with test("direct TLS without ALPN"), changed(world, xmpps_client=srv(bare.port)):
        expect(doctor(world, DOMAIN, *trust), 0,
               f"note   clients at 127.0.0.1:{bare.port}: direct TLS without agreeing on ALPN")
    with (test("one kind is well and the other is not"),
          changed(world, xmpps_client=srv(server.s2s))):
        expect(doctor(world, DOMAIN, *trust), 1, f"FAULT  clients at 127.0.0.1:{server.s2s}",
               f"good   clients at 127.0.0.1:{server.starttls}")
    with (test("those who know no direct TLS find nothing"),
          changed(world, xmpp_client=None, **both)):
        del world.dns.zone[DOMAIN]
        expect(doctor(world, DOMAIN, *trust), 1, "FAULT  clients that do not know direct TLS",
               f"`_xmpp-client._tcp.{DOMAIN}. 86400 IN SRV 5 0 5222 xmpp.{DOMAIN}.`")
    with (test("a record that names an alias"),
          changed(world, xmpp_server=srv(server.s2s, f"alias.{DOMAIN}"))):
        world.dns.zone[f"alias.{DOMAIN}"] = {"CNAME": f"xmpp.{DOMAIN}"}
        expect(doctor(world, DOMAIN, *trust), 0, f"note   alias.{DOMAIN}", "RFC 2782",
               f"good   servers at 127.0.0.1:{server.s2s}")


def what_else(world):
    trust = ("--trust-roots", world.authority.root)
    with test("what clients are offered"):
        expect(doctor(world, DOMAIN, *trust), 0, "; SASL2 with bind", "; limits until login: ",
               " bytes an element, idle after ")
    with test("several domains in one call"):
        rooms = f"conference.{DOMAIN}"
        found = doctor(world, DOMAIN, "--service", rooms, *trust)
        expect(found, 0, f"{DOMAIN}\n", f"\n{rooms}\n", f"the certificate is valid for {rooms}")
        assert "clients" not in found[1].split(f"\n{rooms}\n")[1], found[1]
        expect(doctor(world, "nowhere.example", DOMAIN, *trust), 1, "\n" + DOMAIN)


def certificates(world, server):
    trust = ("--trust-roots", world.authority.root)
    servers = f"servers at 127.0.0.1:{server.s2s}: "
    clients = f"clients at 127.0.0.1:{server.starttls}: "

    def shown(authority, *more, **how):
        server.terminate()
        certificate, _ = authority.certificate(server.certificates, DOMAIN, **how)
        with open(certificate, "a", encoding="ascii") as chain:
            chain.writelines(one.root.read_text() for one in more)
        server.start()

    for service, good, bad in (("server", servers, clients), ("client", clients, servers)):
        with test(f"a certificate that is for {service}s only"):
            shown(world.authority, names=[srv_name(f"xmpp-{service}", DOMAIN)])
            expect(doctor(world, DOMAIN, *trust), 1, f"good   {good}the certificate is valid",
                   f"FAULT  {bad}its certificate is for _xmpp-{service}.{DOMAIN}, not for")
    middle = Authority(world.folder / "middle", "Middle", world.authority)
    with test("an intermediate certificate that is not sent"):
        shown(middle)
        expect(doctor(world, DOMAIN, *trust), 1, "breaks off at", "CN=Middle",
               "send the whole chain")
    with test("a whole chain"):
        shown(middle, middle)
        expect(doctor(world, DOMAIN, *trust), 0, "the certificate is valid")
    with test("a whole chain to an authority that is not trusted"):
        shown(middle, middle, world.authority)
        expect(doctor(world, DOMAIN), 1, "leads to no trusted root", "from an authority")
    with test("a self-signed certificate"):
        shown(world.authority, self_signed=True)
        expect(doctor(world, DOMAIN, *trust), 1, "is self-signed", "from an authority")
    with test("a certificate that has ended"):
        shown(world.authority, days=EXPIRED)
        expect(doctor(world, DOMAIN, *trust), 1, "expired since")


def main(folder, cleanup):
    dns = Dns({}, "127.0.0.1")
    dns.start()
    cleanup.callback(dns.stop)
    world = _peer.World(folder, cleanup, _peer.CERTIFICATE, Authority(folder / "authority"), dns)
    server = Balcony(world, DOMAIN)
    direct = dict(zip(("server", "client"), free_ports(2)))
    text = server.config.read_text()
    for key, service in (("s2s_tls", "server"), ("c2s_tls", "client")):
        text = text.replace(f"{key} = []", f'{key} = ["127.0.0.1:{direct[service]}"]')
    server.config.write_text(text)
    # A name of its own: `localhost` is ::1 as well, where nobody listens.
    dns.zone[f"xmpp.{DOMAIN}"] = {"A": ["127.0.0.1"]}
    for domain, service, port in ((DOMAIN, "server", server.s2s), (server.rooms, "server", server.s2s),
                                  (DOMAIN, "client", server.starttls)):
        dns.zone[f"_xmpp-{service}._tcp.{domain}"] = srv(port)
    server.start()
    sound(world, server)
    kinds(world, server, direct, cleanup)
    what_else(world)
    certificates(world, server)


run(main)
