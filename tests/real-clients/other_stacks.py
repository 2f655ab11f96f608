"""Further clients, each of a stack of its own: xmpp.js (JavaScript), which logs in by SASL2 and
Bind 2, and go-sendxmpp (Go), which is one of those that need PLAIN."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from _client import Client, log_to
from _report import Skipped, need, run, test
from _server import Server

JULIET, ROMEO = "juliet@localhost", "romeo@localhost"
PASSWORD = "I am fortune's fool"
# Where cargo xtask test has put xmpp.js: beside the Python environment.
LIBRARY = Path(sys.prefix).parent / "node"
SASL2, BIND2 = 'xmlns="urn:xmpp:sasl:2"', 'xmlns="urn:xmpp:bind:0"'


class XmppJs:
    """A client of xmpp.js as a process."""

    def __init__(self, server, folder, cleanup, service, trusted=True, password=PASSWORD):
        self.log = open(folder / "xmpp.js.log", "a")
        environment = dict(os.environ)
        if trusted:
            environment["NODE_EXTRA_CA_CERTS"] = str(server.authority.certificate)
        script = Path(__file__).parent / "xmpp.js" / "client.mjs"
        self.process = subprocess.Popen(
            [node(), script, LIBRARY, service, "localhost", "romeo", password, "orchard"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=environment)
        cleanup.callback(self.kill)
        self.lines = []

    def _read(self, *texts):
        for line in self.process.stdout:
            self.log.write(line)
            self.log.flush()
            self.lines.append(line)
            if all(text in line for text in texts):
                return line
        raise AssertionError(f"xmpp.js ended without {texts}: {''.join(self.lines)}")

    async def expect(self, *texts, seconds=15):
        """Waits for a line with all of this."""
        return await asyncio.wait_for(asyncio.to_thread(self._read, *texts), seconds)

    def send(self, xml):
        """Writes XML as it is."""
        self.process.stdin.write(xml + "\n")
        self.process.stdin.flush()

    async def quit(self):
        """Ends the stream; the answer is the exit code."""
        self.process.stdin.close()
        return await asyncio.to_thread(self.process.wait, 10)

    def kill(self):
        """Ends it in any case."""
        self.process.kill()
        self.process.wait()


def node():
    """Node.js, of the machine or of the Python environment."""
    ours = Path(sys.prefix) / "bin" / "node"
    return str(ours) if ours.exists() else need("node", "nodejs")


async def javascript(server, folder, cleanup, juliet):
    if not (LIBRARY / "node_modules" / "@xmpp" / "client").exists():
        raise Skipped(f"xmpp.js is not in {LIBRARY}: cargo xtask test installs it")
    services = {"STARTTLS": f"xmpp://localhost:{server.starttls}",
                "direct TLS": f"xmpps://localhost:{server.direct}"}
    for name, service in services.items():
        with test(f"xmpp.js, {name}: a certificate of an unknown authority is refused"):
            stranger = XmppJs(server, folder, cleanup, service, trusted=False)
            await stranger.expect("error", "certificate")
            stranger.kill()
        with test(f"xmpp.js, {name}: a wrong password is refused"):
            paris = XmppJs(server, folder, cleanup, service, password="Paris")
            await paris.expect("failed", "not-authorized")
            paris.kill()
        with test(f"xmpp.js, {name}: login by SASL2 and Bind 2"):
            romeo = XmppJs(server, folder, cleanup, service)
            await romeo.expect("sent <authenticate", SASL2, 'mechanism="SCRAM-SHA-1"', BIND2)
            success = await romeo.expect("read <success", SASL2, BIND2)
            assert f">{ROMEO}/orchard" in success, success
            # The tag and what the server adds (XEP-0386).
            jid = (await romeo.expect("online")).split()[1]
            assert jid.startswith(f"{ROMEO}/orchard"), jid
        with test(f"xmpp.js, {name}: chat both ways"):
            romeo.send("<presence/>")
            romeo.send(f"<message to='{JULIET}' type='chat'><body>from {name}</body></message>")
            await juliet.expect_message(f"from {name}", jid)
            juliet.send_message(jid, f"to <{name}> & 🌹", mtype="chat")
            await romeo.expect("read <message", f"to &lt;{name}&gt; &amp; 🌹", f'from="{JULIET}/')
        with test(f"xmpp.js, {name}: it leaves"):
            assert await romeo.quit() == 0


async def go(server, folder, juliet):
    program = need("go-sendxmpp")
    for name, port, flags in (("STARTTLS", server.starttls, []), ("direct TLS", server.direct, ["-t"])):
        def send(authority, words, port=port, flags=flags):
            environment = {**os.environ, "SSL_CERT_FILE": str(authority), "HOME": str(folder),
                           "SSL_CERT_DIR": str(folder / "no-such-folder")}
            line = [program, *flags, "-u", ROMEO, "-p", PASSWORD, "-j", f"localhost:{port}", JULIET]
            return subprocess.run(line, input=words, capture_output=True, text=True, timeout=20,
                                  env=environment, check=False)
        with test(f"go-sendxmpp, {name}: a certificate of an unknown authority is refused"):
            done = await asyncio.to_thread(send, os.devnull, "never said")
            assert done.returncode and "unknown authority" in done.stderr, done
        with test(f"go-sendxmpp, {name}: a message arrives"):
            done = await asyncio.to_thread(send, server.authority.certificate, f"by {name}")
            assert done.returncode == 0, done
            await juliet.expect("message", lambda s, words=f"by {name}": s.name == "message"
                                and s["body"].strip() == words)
    await juliet.quiet("message", lambda s: s.name == "message" and "never" in s["body"])


async def play(server, folder, cleanup):
    juliet = await Client(server, f"{JULIET}/balcony", PASSWORD).login()
    await go(server, folder, juliet)
    await javascript(server, folder, cleanup, juliet)
    await juliet.logout()


def main(folder, cleanup):
    log_to(folder)
    hosts = {"localhost": 'mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]'}
    server = Server(folder, cleanup, hosts).start()
    for jid in (JULIET, ROMEO):
        server.add(jid, PASSWORD)
    asyncio.run(play(server, folder, cleanup))


run(main)
