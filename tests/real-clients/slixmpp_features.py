"""slixmpp and the small extensions, by its own plugins for them."""

import asyncio
import datetime

from slixmpp.xmlstream import ElementBase

from _client import Client, log_to, refused
from _report import run, test
from _server import Server

JULIET, ROMEO, ADMIN, HOST = "juliet@localhost", "romeo@localhost", "prince@localhost", "localhost"
PASSWORD = "a plague o' both your houses"
PLUGINS = ("xep_0004", "xep_0012", "xep_0030", "xep_0049", "xep_0050", "xep_0054", "xep_0092",
           "xep_0115", "xep_0133", "xep_0191", "xep_0199", "xep_0202")
COMMAND = "http://jabber.org/protocol/admin#"


class Notes(ElementBase):
    """Something to keep in private XML storage."""

    name = plugin_attrib = "notes"
    namespace = "storage:rosternotes"
    interfaces = {"text"}
    sub_interfaces = interfaces


async def login(server, jid):
    client = Client(server, f"{jid}/here", PASSWORD)
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    return await client.login()


async def asking(juliet):
    ask = juliet.plugin
    with test("disco: the server says what it is, and can (XEP-0030 §3.1)"):
        info = (await ask["xep_0030"].get_info(jid=HOST, timeout=10))["disco_info"]
        assert ("server", "im") in {(i[0], i[1]) for i in info["identities"]}, info
        wanted = {"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items",
                  "urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time", "jabber:iq:last",
                  "urn:xmpp:blocking", "jabber:iq:register", "http://jabber.org/protocol/commands"}
        assert wanted <= set(info["features"]), wanted - set(info["features"])
    with test("disco: items are answered (XEP-0030 §4.1)"):
        answer = await ask["xep_0030"].get_items(jid=HOST, timeout=10)
        assert answer.xml.find("{http://jabber.org/protocol/disco#items}query") is not None
    with test("disco: the own account is a registered one (XEP-0030 §3.1, registrar)"):
        info = (await ask["xep_0030"].get_info(jid=JULIET, timeout=10, local=False))["disco_info"]
        assert ("account", "registered") in {(i[0], i[1]) for i in info["identities"]}, info
    with test("disco: a node that is not there (XEP-0030 §7)"):
        await refused(ask["xep_0030"].get_info(jid=HOST, node="nowhere", timeout=10),
                      "item-not-found")
    with test("disco: an account tells strangers what nobody's does (XEP-0030 §8)"):
        for jid in (ROMEO, "rosaline@localhost"):
            await refused(ask["xep_0030"].get_info(jid=jid, timeout=10), "service-unavailable")
    with test("ping, of the server and of the own account (XEP-0199 §4)"):
        for jid in (HOST, JULIET, None):
            assert await ask["xep_0199"].ping(jid, timeout=10) >= 0
    with test("the version, and no operating system (XEP-0092)"):
        answer = await ask["xep_0092"].get_version(HOST, timeout=10)
        query = answer.xml.find("{jabber:iq:version}query")
        told = {child.tag.split("}")[1]: child.text for child in query}
        assert told["name"] == "Balcony" and told["version"] and "os" not in told, told
    with test("the time (XEP-0202)"):
        answer = await ask["xep_0202"].get_entity_time(HOST, timeout=10)
        # slixmpp's own reading of it puts a second Z behind the time.
        told = answer.xml.findtext("{urn:xmpp:time}time/{urn:xmpp:time}utc")
        then = datetime.datetime.fromisoformat(told.replace("Z", "+00:00"))
        away = abs(datetime.datetime.now(datetime.timezone.utc) - then)
        assert away < datetime.timedelta(seconds=5), told
    with test("how long the server has been up (XEP-0012 §4)"):
        answer = await ask["xep_0012"].get_last_activity(HOST, timeout=10)
        assert 0 <= answer["last_activity"]["seconds"] < 200, answer


async def keeping(juliet, romeo):
    with test("a vCard is kept, and shown to others (XEP-0054 §3)"):
        vcard = juliet.plugin["xep_0054"].make_vcard()
        vcard["FN"], vcard["NICKNAME"] = "Juliet <Capulet> & Co.", "Jule"
        await juliet.plugin["xep_0054"].publish_vcard(vcard, timeout=10)
        for who, jid in ((juliet, None), (romeo, JULIET)):
            answer = await who.plugin["xep_0054"].get_vcard(jid, local=False, timeout=10)
            assert answer["vcard_temp"]["FN"] == "Juliet <Capulet> & Co.", answer
    with test("nobody else's vCard can be changed (XEP-0054 §3.2)"):
        try:
            await romeo.plugin["xep_0054"].publish_vcard(vcard, jid=JULIET, timeout=10)
        except Exception as error:
            assert error.condition in ("forbidden", "not-allowed", "service-unavailable"), error
        else:
            raise AssertionError("changed")
    with test("private XML is kept, for its owner alone (XEP-0049 §2)"):
        for client in (juliet, romeo):
            client.plugin["xep_0049"].register(Notes)
        notes = Notes()
        notes["text"] = "wherefore <art> thou"
        await juliet.plugin["xep_0049"].store(notes, timeout=10)
        answer = await juliet.plugin["xep_0049"].retrieve("notes", timeout=10)
        assert answer["private"]["notes"]["text"] == "wherefore <art> thou", answer
        answer = await romeo.plugin["xep_0049"].retrieve("notes", timeout=10)
        assert answer["private"]["notes"]["text"] == "", answer


async def blocking(juliet, romeo):
    block = juliet.plugin["xep_0191"]
    with test("who is blocked cannot send a message (XEP-0191 §3)"):
        assert await block.get_blocked_jids(timeout=10) == set()
        await block.block(ROMEO, timeout=10)
        assert {str(jid) for jid in await block.get_blocked_jids(timeout=10)} == {ROMEO}
        romeo.send_message(JULIET, "blocked", mtype="chat")
        error = await romeo.expect("error", lambda s: s.name == "message" and s["type"] == "error")
        assert error["error"]["condition"] == "service-unavailable", error
    with test("and the one who blocked cannot send either (XEP-0191 §3.2)"):
        juliet.send_message(ROMEO, "to the blocked", mtype="chat")
        error = await juliet.expect("error", lambda s: s.name == "message" and s["type"] == "error")
        told = error.xml.find(".//{urn:xmpp:blocking:errors}blocked")
        assert error["error"]["condition"] == "not-acceptable" and told is not None, error
    with test("who is unblocked can (XEP-0191 §3.4)"):
        await block.unblock(ROMEO, timeout=10)
        romeo.send_message(JULIET, "unblocked", mtype="chat")
        await juliet.expect_message("unblocked")
        await juliet.quiet("what was blocked", lambda s: s.name == "message" and s["body"] == "blocked")


async def administration(server, prince, juliet):
    async def command(client, name, sessionid=None, **fields):
        form = None
        if fields:
            form = client.plugin["xep_0004"].make_form(ftype="submit")
            form.add_field("FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/admin")
            for var, value in fields.items():
                form.add_field(var.replace("_", "-") if var == "password_verify" else var, value=value)
        return await client.plugin["xep_0050"].send_command(
            HOST, COMMAND + name, payload=form, sessionid=sessionid, timeout=10,
            action="complete" if fields else "execute")

    async def complete(name, **fields):
        first = (await command(prince, name))["command"]
        assert first["status"] == "executing" and first["form"]["fields"], first
        done = (await command(prince, name, first["sessionid"], **fields))["command"]
        assert done["status"] == "completed", done
        return done

    with test("an admin is shown the commands, others are not (XEP-0050 §3.1, XEP-0133 §6)"):
        items = (await prince.plugin["xep_0050"].get_commands(HOST, timeout=10))["disco_items"]
        nodes = {node for _, node, _ in items["items"]}
        wanted = {COMMAND + name for name in ("add-user", "delete-user", "get-registered-users-list")}
        assert wanted <= nodes, nodes
        items = (await juliet.plugin["xep_0050"].get_commands(HOST, timeout=10))["disco_items"]
        assert not items["items"], items
    with test("others may not run them (XEP-0133 §6)"):
        await refused(command(juliet, "get-registered-users-list"), "forbidden")
    with test("an account is added, and can log in (XEP-0133 §4.1)"):
        await complete("add-user", accountjid="paris@localhost", password=PASSWORD,
                       password_verify=PASSWORD)
        paris = await Client(server, "paris@localhost/here", PASSWORD).login()
    with test("accounts are listed (XEP-0133 §4.20)"):
        done = await complete("get-registered-users-list", max_items="100")
        listed = done["form"]["values"]["registereduserjids"]
        listed = listed.split("\n") if isinstance(listed, str) else listed
        assert sorted(listed) == sorted([JULIET, ROMEO, ADMIN, "paris@localhost"]), listed
    with test("an account is deleted, and its session ends (XEP-0133 §4.2)"):
        await complete("delete-user", accountjids="paris@localhost")
        await paris.ended()
        assert "paris" not in server.command("user", "list")


async def absence(juliet, romeo):
    with test("how long a contact has been away (XEP-0012 §3), and only a contact's (§6)"):
        await refused(romeo.plugin["xep_0012"].get_last_activity(JULIET, timeout=10), "forbidden")
        romeo.send_presence(pto=JULIET, ptype="subscribe")
        await juliet.expect_presence(ROMEO, "subscribe")
        juliet.send_presence(pto=ROMEO, ptype="subscribed")
        await romeo.expect_push(JULIET, "to")
        await juliet.logout()
        await romeo.expect_presence(f"{JULIET}/here", "unavailable")
        # Her presence may end a moment before the time of it is stored.
        await asyncio.sleep(0.5)
        answer = await romeo.plugin["xep_0012"].get_last_activity(JULIET, timeout=10)
        assert 0 <= answer["last_activity"]["seconds"] < 60, answer


async def play(server):
    juliet, romeo, prince = [await login(server, jid) for jid in (JULIET, ROMEO, ADMIN)]
    await asking(juliet)
    await keeping(juliet, romeo)
    await blocking(juliet, romeo)
    await administration(server, prince, juliet)
    await absence(juliet, romeo)
    await asyncio.gather(romeo.logout(), prince.logout())


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup, {HOST: f'admins = ["{ADMIN}"]'}).start()
    for jid in (JULIET, ROMEO, ADMIN):
        server.add(jid, PASSWORD)
    asyncio.run(play(server))


run(main)
