"""slixmpp at the door: TLS and what it proves, every mechanism, wrong passwords, and accounts
made, changed and removed from the client (XEP-0077)."""

import asyncio

from _client import Client, LoginFailed, log_to, refused
from _report import run, test
from _server import Authority, Server

PASSWORD = "Montague & Capulet"


async def fails(client, reason, presence=True):
    """The login fails, and for this reason."""
    try:
        await client.login(presence)
    except LoginFailed as error:
        assert reason in str(error), error
    else:
        raise AssertionError("logged in")
    finally:
        await client.logout()


async def tls(server, folder):
    stranger = Authority(folder, "stranger")
    for direct in (False, True):
        name = "direct TLS" if direct else "STARTTLS"
        with test(f"{name}: a client that does not know the authority goes no further"):
            client = Client(server, "juliet@localhost/b", PASSWORD, direct, authority=stranger)
            await fails(client, "connection_failed" if direct else "ssl_invalid_chain")
        with test(f"{name}: a client that wants another host's certificate gets that"):
            client = Client(server, "juliet@open.example/b", PASSWORD, direct)
            await client.login()
            names = client.transport.get_extra_info("peercert")["subjectAltName"]
            assert names == (("DNS", "open.example"),), names
            await client.logout()
        with test(f"{name}: TLS 1.3"):
            client = Client(server, "juliet@localhost/b", PASSWORD, direct)
            await client.login()
            assert client.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
            await client.logout()
        with test(f"{name}: TLS 1.2, where slixmpp binds SCRAM to what RFC 9266 gave up"):
            client = Client(server, "juliet@localhost/b", PASSWORD, direct)
            client.ssl_context.maximum_version = client.ssl_context.minimum_version.TLSv1_2
            await client.login()
            assert client.transport.get_extra_info("ssl_object").version() == "TLSv1.2"
            await client.logout()


async def mechanisms(server):
    for mech in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        with test(f"login by {mech}"):
            client = Client(server, "juliet@localhost/b", PASSWORD, mech=mech)
            await client.login()
            offered = client.plugin["feature_mechanisms"].mech_list
            assert "PLAIN" not in offered and f"{mech}-PLUS" in offered, offered
            await client.logout()
    with test("PLAIN is neither offered nor taken"):
        client = Client(server, "juliet@localhost/b", PASSWORD, mech="PLAIN")
        await fails(client, "failed_all_auth")
    with test("a host that names PLAIN takes it"):
        client = Client(server, "juliet@open.example/b", PASSWORD, mech="PLAIN")
        await (await client.login()).logout()
    with test("ANONYMOUS where the host names it"):
        client = Client(server, "open.example", "")
        await client.login()
        assert client.boundjid.user and client.boundjid.domain == "open.example", client.boundjid
        await client.logout()
    for jid in ("juliet@localhost/b", "rosaline@localhost/b"):
        with test(f"a wrong password of {jid} is refused"):
            client = Client(server, jid, "Paris")
            seen = []
            client.add_event_handler("failed_auth", lambda failure: seen.append(failure["condition"]))
            await fails(client, "failed_all_auth")
            assert set(seen) == {"not-authorized"}, seen
    with test("a host that is not served is refused"):
        client = Client(server, "juliet@verona.example/b", PASSWORD)
        client.add_event_handler("disconnected", lambda _: client._fail("disconnected", client.errors))
        await fails(client, "host-unknown")


def registering(server, jid, password):
    """A client that makes its account before it logs in."""
    client = Client(server, jid, password)
    client.register_plugin("xep_0077")
    client.asked = client.refusal = None

    async def register(form):
        client.asked = form["register"]["fields"]
        iq = client.make_iq_set()
        iq["register"]["username"] = client.requested_jid.user
        iq["register"]["password"] = password
        try:
            await iq.send(timeout=10)
        except Exception as error:
            client.refusal = error
            client._fail("register", error)

    client.add_event_handler("register", register)
    return client


def scram(server, jid, password):
    """A client that does not try PLAIN and ANONYMOUS as well."""
    return Client(server, jid, password, mech="SCRAM-SHA-256")


async def registration(server):
    with test("an account is made and used"):
        nurse = registering(server, "nurse@open.example/b", "old password")
        await nurse.login()
        assert {"username", "password"} <= set(nurse.asked), nurse.asked
    with test("a name that is taken is refused with conflict"):
        again = registering(server, "nurse@open.example/c", "another password")
        await fails(again, "register")
        assert again.refusal.condition == "conflict", again.refusal
    with test("the account says that it is registered"):
        form = await nurse.plugin["xep_0077"].get_registration(timeout=10)
        fields = form["register"]
        assert fields["registered"] and fields["username"] == "nurse", form
    with test("its password is changed"):
        await nurse.plugin["xep_0077"].change_password("new password", jid="open.example", timeout=10)
        await fails(scram(server, "nurse@open.example/d", "old password"), "failed_all_auth")
        await (await Client(server, "nurse@open.example/d", "new password").login()).logout()
    with test("a removed account is gone, and its session with it"):
        await nurse.plugin["xep_0077"].cancel_registration(timeout=10)
        await nurse.ended()
        await fails(scram(server, "nurse@open.example/b", "new password"), "failed_all_auth")
        assert "nurse" not in server.command("user", "list"), "still listed"
    with test("a closed host offers no registration"):
        romeo = registering(server, "romeo@localhost/b", PASSWORD)
        await fails(romeo, "failed_all_auth")
        assert romeo.asked is None, romeo.asked
    with test("on a closed host a password can be changed as well"):
        juliet = Client(server, "juliet@localhost/b", PASSWORD)
        juliet.register_plugin("xep_0077")
        await juliet.login()
        await juliet.plugin["xep_0077"].change_password("another password", timeout=10)
        await juliet.logout()
        await (await Client(server, "juliet@localhost/b", "another password").login()).logout()
    with test("somebody else's password cannot"):
        juliet = Client(server, "juliet@localhost/b", "another password")
        await juliet.login()
        iq = juliet.make_iq_set(ito="romeo@open.example")
        juliet.register_plugin("xep_0077")
        iq["register"]["username"], iq["register"]["password"] = "juliet", "stolen from her"
        await refused(iq.send(timeout=10), "service-unavailable")
        await juliet.logout()


async def play(server, folder):
    await tls(server, folder)
    await mechanisms(server)
    await registration(server)


def main(folder, cleanup):
    log_to(folder)
    everything = 'registration = "open"\nmechanisms = ["SCRAM-SHA-256", "PLAIN"]\nanonymous = true'
    # With TLS 1.2 slixmpp first tries three mechanisms that it cannot do.
    limits = "[limits]\nlogin_attempts = 6\n"
    server = Server(folder, cleanup, {"localhost": "", "open.example": everything}, limits).start()
    for jid in ("juliet@localhost", "juliet@open.example"):
        server.add(jid, PASSWORD)
    asyncio.run(play(server, folder))


run(main)
