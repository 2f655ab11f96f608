"""Two Balconies: messages go both ways while either is stopped or killed again and again. None is
lost, and those of one sender come in their order.

    BALCONY_BIN=… python3 restarts.py FOLDER [MESSAGES [SEED]]

Clients resend what their server has not acknowledged (XEP-0198), as clients do, so a message may
come twice; that is counted and told.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import random
import sys
import time
from xml.etree import ElementTree as ET

import _peer
from _authority import Authority
from _balcony import GIVE_UP, Balcony
from _dns import Dns
import _report
from _report import run, test

MESSAGES = int(sys.argv[2]) if len(sys.argv) > 2 else 30_000
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
PASSWORD = "wherefore art thou"
DOMAINS = ("verona.example", "mantua.example")
# As slow as it may be, restarts included, and still of use.
_report.LIMIT = max(_report.LIMIT, MESSAGES / 100)
# Users on each side: each writes to one on the other.
USERS = 2
# Messages of one sender that are not acknowledged.
WINDOW = 100
# After the last restart everything arrives within this time.
SETTLE = 90
SM = "urn:xmpp:sm:3"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
CLIENT = "{jabber:client}"
HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' to='{}' "
          "xmlns:stream='http://etherx.jabber.org/streams'>")


class Stream:
    """A client's stream, in clear: on loopback, where the test says so."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.reader = self.writer = self.parser = None

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.server.starttls)
        await self.header()
        await self.authenticate()
        await self.header()
        self.write("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        await self.element()
        self.write(f"<enable xmlns='{SM}'/><presence/>")
        while (await self.element()).tag != f"{{{SM}}}enabled":
            pass

    async def header(self):
        self.parser, self.depth, self.ready = ET.XMLPullParser(("start", "end")), 0, []
        self.write(HEADER.format(self.server.domain))
        await self.element()

    async def authenticate(self):
        """SCRAM-SHA-256 (RFC 7677)."""
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n={self.name},r={nonce}"
        first = base64.b64encode(f"n,,{bare}".encode()).decode()
        self.write(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>")
        challenge = base64.b64decode((await self.element()).text).decode()
        said = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(said["s"]),
                                     int(said["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        last = f"c=biws,r={said['r']}"
        proof = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{challenge},{last}".encode(),
                            "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, proof))).decode()
        answer = base64.b64encode(f"{last},p={proof}".encode()).decode()
        self.write(f"<response xmlns='{SASL}'>{answer}</response>")
        assert (await self.element()).tag.endswith("success")

    def write(self, text):
        if self.writer.transport.is_closing():
            raise ConnectionError("the connection is gone")
        self.writer.write(text.encode())

    async def element(self):
        """The next first-level element."""
        while not self.ready:
            data = await self.reader.read(65_536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.parser.feed(data)
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "end" and self.depth == 1:
                    self.ready.append(element)
        return self.ready.pop(0)

    def close(self):
        if self.writer:
            self.writer.close()


class User:
    """Writes to one on the other server, and hears from that one, over as many streams as needed."""

    def __init__(self, server, other, number, count):
        self.stream = Stream(server, f"user{number}")
        self.to = f"user{number}@{other.domain}"
        self.waiting = list(range(count))  # not acknowledged, in order
        self.heard, self.again, self.errors = [], 0, []
        self.known = set()

    async def live(self):
        while True:
            try:
                await self.stream.open()
                await self.talk()
            except (OSError, ConnectionError, ET.ParseError, AssertionError, TypeError):
                await asyncio.sleep(0.1)
            finally:
                self.stream.close()

    async def talk(self):
        stream, sent, acknowledged, handled = self.stream, 0, 0, 0
        while True:
            while sent < len(self.waiting) and sent < WINDOW:
                number = self.waiting[sent]
                stream.write(f"<message to='{self.to}' type='chat' id='{number}'>"
                             f"<body>{number}</body></message>")
                sent += 1
                if sent == len(self.waiting) or sent == WINDOW:
                    stream.write(f"<r xmlns='{SM}'/>")
            element = await stream.element()
            if element.tag == f"{{{SM}}}a":
                # Counted since <enable/>; the presence is one.
                total = max(0, int(element.get("h")) - 1)
                done = total - acknowledged
                acknowledged = total
                del self.waiting[:done]
                sent -= done
                if sent:
                    stream.write(f"<r xmlns='{SM}'/>")
            elif element.tag == f"{{{SM}}}r":
                stream.write(f"<a xmlns='{SM}' h='{handled}'/>")
            elif element.tag in (CLIENT + "message", CLIENT + "presence", CLIENT + "iq"):
                handled += 1
                if element.tag == CLIENT + "message":
                    self.hear(element)

    def hear(self, message):
        if message.get("type") == "error":
            return self.errors.append(ET.tostring(message))
        number = int(message.findtext(CLIENT + "body"))
        if number in self.known:
            self.again += 1
        else:
            self.known.add(number)
            self.heard.append(number)


async def disturb(servers, users, chance):
    """Ends and starts one of the servers again and again, until all is said."""
    restarts = kills = 0
    while any(user.waiting for user in users):
        await asyncio.sleep(chance.uniform(0.2, 1.2))
        server = chance.choice(servers)
        if chance.random() < 0.5:
            await asyncio.to_thread(server.kill)
            kills += 1
        else:
            await asyncio.to_thread(server.terminate, 60)
            restarts += 1
        await asyncio.to_thread(server.start)
    return restarts, kills


async def go(servers):
    count = MESSAGES // (2 * USERS)
    pairs = (servers, servers[::-1])
    users = [User(one, other, number, count) for one, other in pairs for number in range(USERS)]
    lives = [asyncio.create_task(user.live()) for user in users]
    began = time.monotonic()
    restarts, kills = await disturb(servers, users, random.Random(SEED))
    end = time.monotonic() + SETTLE
    while any(len(user.heard) < count for user in users) and time.monotonic() < end:
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    for life in lives:
        life.cancel()
    print(f"{count * len(users)} messages, {restarts} restarts and {kills} kills in {took:.0f} s, "
          f"seed {SEED}; {sum(user.again for user in users)} came twice", flush=True)
    with test("nothing comes back as an error"):
        errors = [error for user in users for error in user.errors]
        assert not errors, errors[:3]
    with test("no message is lost"):
        lost = {f"from {user.to}": sorted(set(range(count)) - user.known)[:5] for user in users}
        assert not any(lost.values()), lost
    with test("those of one sender come in their order"):
        for user in users:
            assert user.heard == sorted(user.heard), user.to


def main(folder, cleanup):
    dns = Dns({}, "127.0.0.1")
    dns.start()
    cleanup.callback(dns.stop)
    world = _peer.World(folder, cleanup, _peer.CERTIFICATE, Authority(folder / "authority"), dns)
    servers = [Balcony(world, domain) for domain in DOMAINS]
    for server in servers:
        text = server.config.read_text().replace("[tls]\n", "[tls]\nrequired = false\n")
        text = text.replace(f'give_up = "{GIVE_UP}s"', 'give_up = "5m"')
        # Whoever sends faster than the other server is there is told so; here nobody shall be.
        text = text.replace("[federation]\n", '[federation]\nqueue = "128MiB"\n')
        server.config.write_text(text + "[offline]\nmessages = 100000\nbytes = \"128MiB\"\n")
        server.start()
        for number in range(USERS):
            server.add(f"user{number}", PASSWORD)
    asyncio.run(go(servers))


run(main)
