"""`balcony user trace` shows both streams of an account while they run, and no secret."""

import asyncio
import os
import pty
import subprocess
import time

from _client import Client, log_to
from _report import run, test
from _server import Server

JULIET, ROMEO = "juliet@localhost", "romeo@localhost"
PASSWORD = "wherefore"
CHANGE = ("<iq type='set' id='{id}' to='localhost'><query xmlns='jabber:iq:register'>"
          "<username>juliet</username><password>{password}</password></query></iq>")


class Trace:
    """The command, its output going to a file or to a terminal."""

    def __init__(self, server, cleanup, terminal=False):
        self.name = server.folder / ("trace-terminal" if terminal else "trace")
        self.text = ""
        self.reader, writer = pty.openpty() if terminal else os.pipe()
        line = [os.environ["BALCONY_BIN"], "user", "trace", JULIET, "--config", server.config]
        environment = {**os.environ, "TERM": "xterm"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=writer,
                                        stderr=writer, env=environment)
        os.close(writer)
        os.set_blocking(self.reader, False)
        cleanup.callback(self.end)

    async def expect(self, *texts, seconds=10):
        """Waits until it has shown a line with all of this; the answer is the line."""
        end = time.monotonic() + seconds
        while True:
            self.read()
            for line in self.text.splitlines():
                if all(text in line for text in texts):
                    return line
            assert time.monotonic() < end, f"no line with {texts}:\n{self.text}"
            await asyncio.sleep(0.05)

    def read(self):
        """Takes what it has written."""
        try:
            self.text += os.read(self.reader, 1 << 20).decode()
        except OSError:  # Nothing there, or the terminal is gone.
            pass

    def end(self):
        """Ends it and keeps what it showed."""
        self.process.terminate()
        self.process.wait()
        self.read()
        self.name.write_text(self.text)


async def directions(trace, juliet, romeo):
    with test("what the client writes is shown as its own"):
        juliet.send_message(ROMEO, "who is there?", mtype="chat")
        line = await trace.expect("who is there?")
        assert "client" in line and "<message" in line, line
    with test("what the server writes is shown as the server's"):
        romeo.send_message(f"{JULIET}/balcony", "by a name I know not", mtype="chat")
        line = await trace.expect("by a name I know not")
        assert "server" in line and f"{ROMEO}/orchard" in line, line
    with test("each piece is shown once"):
        juliet.send_message(ROMEO, "once", mtype="chat")
        await romeo.expect_message("once")
        await trace.expect("once")
        for word in ("who is there?", "by a name I know not", ">once<"):
            assert trace.text.count(word) == 1, trace.text
    with test("stanzas that wait for each other are shown once too"):
        many = "".join(f"<iq type='get' id='m{n}'><query xmlns='jabber:iq:roster'/></iq>"
                       for n in range(20))
        juliet.send_raw(many)
        await juliet.expect("the last answer", lambda s: s.name == "iq" and s["id"] == "m19")
        await trace.expect("id='m19'")
        for n in range(20):
            shown = [line for line in trace.text.splitlines() if "client" in line]
            assert "".join(shown).count(f"id='m{n}'") == 1, f"m{n}:\n{trace.text}"


async def secrets(trace, juliet):
    with test("a password is blanked"):
        juliet.send_raw(CHANGE.format(id="change1", password="secret-in-one-piece"))
        await juliet.expect("the answer", lambda s: s.name == "iq" and s["id"] == "change1")
        await trace.expect("client", "<username>juliet</username>")
        assert "secret-in-one-piece" not in trace.text, trace.text
    with test("a password that comes in two pieces is blanked too"):
        change = CHANGE.format(id="change2", password="first-half-second-half")
        at = change.index("-second")
        juliet.send_raw(change[:at])
        await asyncio.sleep(0.5)
        juliet.send_raw(change[at:])
        await juliet.expect("the answer", lambda s: s.name == "iq" and s["id"] == "change2")
        await trace.expect("change2")
        await asyncio.sleep(0.3)
        trace.read()
        assert "half" not in trace.text, trace.text
    with test("what follows the password is shown"):
        juliet.send_message(ROMEO, "no secret", mtype="chat")
        await trace.expect("no secret")


async def logins(server, trace, juliet):
    with test("a session that begins later is shown, and no SASL data"):
        await juliet.logout()
        juliet = await Client(server, f"{JULIET}/window", PASSWORD).login()
        await trace.expect(f"{JULIET}/window")
        await trace.expect("server", "jabber:iq:roster")
        for text in ("bixz", "biws", "eSws", PASSWORD):  # Base64 of n,,n= and y,, of SCRAM.
            assert text not in trace.text, trace.text
    with test("nobody else's stream is shown"):
        assert "not for her" not in trace.text, trace.text
    return juliet


async def play(server, cleanup):
    juliet = await Client(server, f"{JULIET}/balcony", PASSWORD).login()
    romeo = await Client(server, f"{ROMEO}/orchard", PASSWORD).login()
    trace = Trace(server, cleanup)
    await asyncio.sleep(0.5)
    await directions(trace, juliet, romeo)
    romeo.send_message(ROMEO, "not for her", mtype="chat")
    await secrets(trace, juliet)
    # Where accounts may change their password, it has changed.
    server.command("user", "passwd", JULIET, "--password-file", "-", stdin=PASSWORD + "\n")
    juliet = await logins(server, trace, juliet)
    with test("on a terminal the two are told apart by colour"):
        terminal = Trace(server, cleanup, terminal=True)
        await asyncio.sleep(0.5)
        romeo.send_message(f"{JULIET}/window", "in colour", mtype="chat")
        juliet.send_message(ROMEO, "in another colour", mtype="chat")
        one = await terminal.expect("in colour")
        other = await terminal.expect("in another colour")
        colours = [line[line.rindex("\x1b[", 0, line.index("<message")):][:5] for line in (one, other)]
        assert colours[0] != colours[1], terminal.text
    with test("the session does not notice when the watcher ends"):
        trace.end()
        juliet.send_message(ROMEO, "adieu", mtype="chat")
        await romeo.expect_message("adieu")
    await juliet.logout()
    await romeo.logout()


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup, {"localhost": 'registration = "open"'}).start()
    for jid in (JULIET, ROMEO):
        server.add(jid, PASSWORD)
    asyncio.run(play(server, cleanup))


run(main)
