"""Certificates and configuration are replaced while people are logged in; the server stops
properly, and after a restart everything is there."""

import asyncio
import contextlib
import signal
import socket

from _client import Client, log_to
from _report import run, test
from _server import Server

JULIET, ROMEO = "juliet@localhost", "romeo@localhost"
PASSWORD = "parting is such sweet sorrow"


def serial(server, host="localhost"):
    """Number of the certificate that a new client is shown."""
    with contextlib.closing(server.tls(host)) as connection:
        return connection.getpeercert()["serialNumber"]


async def ping(client):
    """A session that is alive answers and is answered."""
    iq = client.make_iq_get(ito="localhost")
    iq.append(slixmpp_element("ping", "urn:xmpp:ping"))
    await iq.send(timeout=10)


def slixmpp_element(name, namespace):
    from slixmpp.xmlstream import ET
    return ET.Element(f"{{{namespace}}}{name}")


async def certificates(server, juliet):
    with test("balcony reload: a new handshake sees the new certificate, the old session stays"):
        before = serial(server)
        server.authority.certify("localhost", server.certificates)
        assert serial(server) == before, "replaced without a reload"
        server.command("reload")
        assert serial(server) != before, "still the old certificate"
        await ping(juliet)
    with test("SIGHUP does the same"):
        before = serial(server)
        server.authority.certify("localhost", server.certificates)
        server.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            if serial(server) != before:
                break
            await asyncio.sleep(0.1)
        assert serial(server) != before, "still the old certificate"
        await ping(juliet)
    with test("a certificate that cannot be read is refused and changes nothing"):
        before = serial(server)
        (server.certificates / "localhost.crt").write_text("Queen Mab\n")
        refused(server)
        assert serial(server) == before
        await ping(juliet)
    server.authority.certify("localhost", server.certificates)


async def configuration(server, juliet):
    good = server.config.read_text()
    with test("a configuration that is wrong is refused, with the line and the nearest key"):
        server.config.write_text(good + '\n[auth]\niteration = 20000\n')
        reason = refused(server)
        line = str(good.count("\n") + 3)
        assert "iterations" in reason and line in reason, reason
        await ping(juliet)
    server.config.write_text(good)
    with test("a host that is added is served at once"):
        server.authority.certify("mantua.example", server.certificates)
        server.config.write_text(good + '\n[[host]]\nname = "mantua.example"\n')
        server.command("reload")
        server.add("romeo@mantua.example", PASSWORD)
        romeo = await Client(server, "romeo@mantua.example/exile", PASSWORD).login()
        await romeo.logout()
        await ping(juliet)


def refused(server):
    """Reloads in vain; the answer is the reason."""
    try:
        server.command("reload")
    except RuntimeError as error:
        return str(error)
    raise AssertionError("it was accepted")


async def stop(server, juliet, romeo):
    silent = socket.create_connection(("127.0.0.1", server.starttls), 10)
    with test("SIGTERM ends every stream with system-shutdown"):
        code = asyncio.ensure_future(asyncio.to_thread(server.terminate))
        for client in (juliet, romeo):
            await client.ended(15)
            assert client.errors == ["system-shutdown"], client.errors
            assert client.disconnect_reason == "End of stream", client.disconnect_reason
    with test("and closes connections that said nothing"):
        silent.settimeout(15)
        while await asyncio.to_thread(silent.recv, 4096):
            pass
    with test("and the exit code is 0"):
        assert await code == 0


async def restart(server):
    server.start()
    with test("after the restart the roster and the waiting message are there"):
        juliet = await Client(server, f"{JULIET}/balcony", PASSWORD).login()
        assert juliet.client_roster[ROMEO]["name"] == "my Romeo", juliet.client_roster
        await juliet.expect_message("it is the lark")
        await juliet.logout()
    with test("Ctrl-C stops it as well"):
        server.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(server.process.wait, 20) == 0


async def play(server):
    juliet = await Client(server, f"{JULIET}/balcony", PASSWORD).login()
    romeo = await Client(server, f"{ROMEO}/orchard", PASSWORD, direct=True).login()
    await certificates(server, juliet)
    await configuration(server, juliet)
    with test("data from before the stop"):
        juliet.update_roster(ROMEO, name="my Romeo")
        await juliet.expect_push(ROMEO, "none", name="my Romeo")
        # From now on she takes no messages (RFC 6121 §8.5.2.1.1), so this one waits.
        juliet.send_presence(ppriority=-1)
        await juliet.expect_presence(JULIET, priority=-1)
        romeo.send_message(JULIET, "it is the lark", mtype="chat")
        await ping(romeo)
    await stop(server, juliet, romeo)
    await restart(server)


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup).start()
    for jid in (JULIET, ROMEO):
        server.add(jid, PASSWORD)
    asyncio.run(play(server))


run(main)
