"""Two slixmpp contacts hear what the other publishes; a stranger reads what is for everybody; and on
a service everybody has nodes."""

import asyncio
import hashlib
from xml.etree import ElementTree as ET

from _client import Client, log_to, refused
from _report import run, test
from _server import Server

NAMES = ("romeo", "juliet", "tybalt")
PASSWORD = "wherefore art thou"
EVENT = "{http://jabber.org/protocol/pubsub#event}"
DEVICES = "urn:xmpp:omemo:2:devices"
BOOKMARKS = "urn:xmpp:bookmarks:1"
METADATA = "urn:xmpp:avatar:metadata"
NICK = "http://jabber.org/protocol/nick"
SERVICE = "pubsub.localhost"
IMAGE = b"\x89PNG not quite"


async def login(server, name, resource="here"):
    client = Client(server, f"{name}@localhost/{resource}", PASSWORD)
    for plugin in ("xep_0004", "xep_0030", "xep_0049", "xep_0054", "xep_0060", "xep_0084",
                   "xep_0115", "xep_0153", "xep_0163", "xep_0172", "xep_0402", "xep_0490"):
        client.register_plugin(plugin)
    client.add_event_handler("session_bind", lambda _: interest(client))
    return await client.login()


def interest(client):
    client.plugin["xep_0163"].add_interest([DEVICES, BOOKMARKS, METADATA, NICK])


def payload(text):
    return ET.fromstring(text)


def options(client, **fields):
    form = client.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden",
                   value="http://jabber.org/protocol/pubsub#publish-options")
    for name, value in fields.items():
        form.add_field(var=f"pubsub#{name}", value=value)
    return form


async def expect_item(client, owner, node, seconds=10):
    """The next notification of this node: the id of its item, and the message."""
    def matches(stanza):
        items = stanza.xml.find(f"{EVENT}event/{EVENT}items")
        return (stanza.name == "message" and items is not None and items.get("node") == node
                and stanza["from"] == owner)
    message = await client.expect(f"event of {node}", matches, seconds)
    assert message["type"] == "headline", message
    child = message.xml.find(f"{EVENT}event/{EVENT}items")[0]
    return child.get("id"), child


async def befriend(romeo, juliet):
    for one, other in ((romeo, juliet), (juliet, romeo)):
        one.send_presence(pto=other.boundjid.bare, ptype="subscribe")
        await other.expect_presence(one.boundjid.bare, "subscribe")
        other.send_presence(pto=one.boundjid.bare, ptype="subscribed")
        await one.expect_presence(other.boundjid.bare, "subscribed")


async def discover(juliet):
    with test("an account says that it has nodes (XEP-0163 §6.1)"):
        info = await juliet.plugin["xep_0030"].get_info(jid="juliet@localhost", timeout=10)
        info = info["disco_info"]
        assert ("pubsub", "pep") in {identity[:2] for identity in info["identities"]}, info
        for feature in ("#publish-options", "#auto-create", "#filtered-notifications"):
            assert "http://jabber.org/protocol/pubsub" + feature in info["features"], feature


async def avatars(romeo, juliet):
    avatar = {client: client.plugin["xep_0084"] for client in (romeo, juliet)}
    digest = hashlib.sha1(IMAGE).hexdigest()
    with test("a contact hears of an avatar, and fetches it (XEP-0084)"):
        everybody = options(juliet, access_model="open")
        await avatar[juliet].publish_avatar(IMAGE, options=everybody, timeout=10)
        info = {"id": digest, "type": "image/png", "bytes": len(IMAGE)}
        everybody = options(juliet, access_model="open")
        await avatar[juliet].publish_avatar_metadata([info], options=everybody, timeout=10)
        item, _ = await expect_item(romeo, "juliet@localhost", METADATA)
        assert item == digest, item
        found = await avatar[romeo].retrieve_avatar("juliet@localhost", item, timeout=10)
        data = found["pubsub"]["items"]["item"]["avatar_data"]["value"]
        assert data == IMAGE, data
    with test("whoever publishes hears of it too (XEP-0163 §4)"):
        await expect_item(juliet, "juliet@localhost", METADATA)
    with test("it is in the vCard, and its hash in presence (XEP-0398)"):
        vcard = await romeo.plugin["xep_0054"].get_vcard("juliet@localhost", timeout=10)
        assert vcard["vcard_temp"]["PHOTO"]["BINVAL"] == IMAGE, vcard
        romeo.inbox.clear()
        juliet.send_presence(pstatus="with an avatar")
        presence = await romeo.expect_presence("juliet@localhost/here", status="with an avatar")
        photo = presence.xml.find("{vcard-temp:x:update}x/{vcard-temp:x:update}photo")
        assert photo is not None and photo.text == digest, presence


async def nicknames(romeo, juliet):
    with test("a contact hears of a nickname (XEP-0172)"):
        await juliet.plugin["xep_0172"].publish_nick("Capulet's daughter", timeout=10)
        _, item = await expect_item(romeo, "juliet@localhost", NICK)
        assert item[0].text == "Capulet's daughter", ET.tostring(item)


async def devices(romeo, juliet):
    with test("devices find each other's keys (XEP-0384 §5.3)"):
        for number, client in enumerate((romeo, juliet)):
            keys = payload(f"<devices xmlns='urn:xmpp:omemo:2'><device id='{number}'/></devices>")
            await client.plugin["xep_0060"].publish(
                None, DEVICES, id="current", payload=keys, timeout=10,
                options=options(client, access_model="open"))
        for client, other, number in ((romeo, "juliet", "1"), (juliet, "romeo", "0")):
            _, item = await expect_item(client, f"{other}@localhost", DEVICES)
            assert item[0][0].get("id") == number, ET.tostring(item)


async def strangers(tybalt, juliet):
    pubsub = tybalt.plugin["xep_0060"]
    with test("a stranger reads a node that is for everybody (XEP-0060 §4.5)"):
        found = await pubsub.get_items("juliet@localhost", DEVICES, timeout=10)
        assert len(found["pubsub"]["items"]) == 1, found
    with test("and no other (§6.5.9)"):
        await refused(pubsub.get_items("juliet@localhost", NICK, timeout=10), "not-authorized")
        await refused(pubsub.get_items("juliet@localhost", BOOKMARKS, timeout=10), "not-allowed")
        await refused(pubsub.publish("juliet@localhost", DEVICES, timeout=10, id="current",
                                     payload=payload("<devices xmlns='urn:xmpp:omemo:2'/>")),
                      "forbidden")
    with test("and heard nothing"):
        await tybalt.quiet("events", lambda s: s.xml.find(f"{EVENT}event") is not None)
    with test("until it subscribes (§6.1)"):
        await pubsub.subscribe("juliet@localhost", DEVICES, timeout=10)
        await expect_item(tybalt, "juliet@localhost", DEVICES)
    with test("a node for other options is not published to (§7.1.5)"):
        await refused(juliet.plugin["xep_0060"].publish(
            None, DEVICES, id="current", payload=payload("<devices xmlns='urn:xmpp:omemo:2'/>"),
            options=options(juliet, access_model="whitelist"), timeout=10), "conflict")


async def bookmarks(juliet):
    with test("a bookmark is an item, and in private storage (XEP-0402 §5.3)"):
        room = payload(f"<conference xmlns='{BOOKMARKS}' name='Orchard' autojoin='true'/>")
        private = options(juliet, persist_items="true", max_items="max", access_model="whitelist",
                          send_last_published_item="never")
        await juliet.plugin["xep_0060"].publish(None, BOOKMARKS, id="orchard@chat.localhost",
                                                payload=room, options=private, timeout=10)
        item, _ = await expect_item(juliet, "juliet@localhost", BOOKMARKS)
        assert item == "orchard@chat.localhost", item
        iq = juliet.make_iq_get()
        query = payload("<query xmlns='jabber:iq:private'>"
                        "<storage xmlns='storage:bookmarks'/></query>")
        iq.append(query)
        found = await iq.send(timeout=10)
        room = found.xml.find(".//{storage:bookmarks}conference")
        assert room is not None and room.get("jid") == "orchard@chat.localhost", found


async def service(server, romeo, juliet):
    """XEP-0060 on a domain of its own."""
    pubsub = {client: client.plugin["xep_0060"] for client in (romeo, juliet)}
    with test("a host names its service, which lists a new node (XEP-0060 §5.2)"):
        items = await romeo.plugin["xep_0030"].get_items(jid="localhost", timeout=10)
        assert SERVICE in {item[0] for item in items["disco_items"]["items"]}, items
        await pubsub[juliet].create_node(SERVICE, "news", timeout=10)
        items = await romeo.plugin["xep_0030"].get_items(jid=SERVICE, timeout=10)
        assert "news" in {item[1] for item in items["disco_items"]["items"]}, items
    with test("who subscribes hears of it (§6.1, §7.1)"):
        await pubsub[romeo].subscribe(SERVICE, "news", timeout=10)
        note = payload("<note xmlns='urn:example:notes'>one</note>")
        await pubsub[juliet].publish(SERVICE, "news", id="a", payload=note, timeout=10)
        item, _ = await expect_item(romeo, SERVICE, "news")
        assert item == "a", item
    with test("an owner lets in who asks (§8.6)"):
        form = juliet.plugin["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden",
                       value="http://jabber.org/protocol/pubsub#node_config")
        form.add_field(var="pubsub#access_model", value="authorize")
        await pubsub[juliet].create_node(SERVICE, "letters", config=form, timeout=10)
        answer = await pubsub[romeo].subscribe(SERVICE, "letters", timeout=10)
        assert answer["pubsub"]["subscription"]["subscription"] == "pending", answer
        asked = await juliet.expect("a request", lambda s: s.name == "message"
                                    and s.xml.find("{jabber:x:data}x") is not None)
        reply = juliet.make_message(mto=SERVICE)
        reply["id"] = asked["id"]
        form = asked["form"]
        form.reply()
        form.set_values({"pubsub#allow": True, "pubsub#node": "letters",
                         "pubsub#subscriber_jid": "romeo@localhost"})
        reply.append(form.xml)
        reply.send()
        await romeo.expect("the approval", lambda s: s.name == "message"
                           and s.xml.find(f".//{EVENT}subscription[@subscription='subscribed']")
                           is not None)
    await juliet.logout()
    await romeo.logout()
    with test("what was answered is there after a crash, ten times"):
        for number in range(10):
            juliet = await login(server, "juliet", f"life{number}")
            note = payload(f"<note xmlns='urn:example:notes'>{number}</note>")
            pubsub = juliet.plugin["xep_0060"]
            await pubsub.publish(SERVICE, "news", id=f"n{number}", payload=note, timeout=10)
            await pubsub.publish(None, NICK, id=f"n{number}", timeout=10, payload=payload(
                f"<nick xmlns='{NICK}'>{number}</nick>"))
            server.kill()
            server.start()
        juliet = await login(server, "juliet", "after")
        pubsub = juliet.plugin["xep_0060"]
        found = await pubsub.get_items(SERVICE, "news", timeout=10)
        ids = [item["id"] for item in found["pubsub"]["items"]]
        assert ids == ["a"] + [f"n{number}" for number in range(10)], ids
        found = await pubsub.get_items("juliet@localhost", NICK, timeout=10)
        ids = [item["id"] for item in found["pubsub"]["items"]]
        assert ids == ["n9"], ids
    with test("and its subscriptions"):
        found = await pubsub.get_node_subscriptions(SERVICE, "letters", timeout=10)
        subscriptions = found["pubsub_owner"]["subscriptions"]
        assert [str(one["jid"]) for one in subscriptions] == ["romeo@localhost"], found
    await juliet.logout()


async def outlast(server):
    with test("the server is killed; who comes back gets the last items (XEP-0163 §4.3.4)"):
        server.kill()
        server.start()
        romeo = await login(server, "romeo", "again")
        _, item = await expect_item(romeo, "juliet@localhost", NICK)
        assert item[0].text == "Capulet's daughter", ET.tostring(item)
        await expect_item(romeo, "juliet@localhost", METADATA)
        await expect_item(romeo, "juliet@localhost", DEVICES)
        await expect_item(romeo, "romeo@localhost", DEVICES)
    await romeo.logout()


async def play(server):
    romeo, juliet, tybalt = [await login(server, name) for name in NAMES]
    await befriend(romeo, juliet)
    await discover(juliet)
    await avatars(romeo, juliet)
    await nicknames(romeo, juliet)
    await devices(romeo, juliet)
    await bookmarks(juliet)
    await strangers(tybalt, juliet)
    await outlast(server)
    await service(server, await login(server, "romeo"), await login(server, "juliet"))


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup).start()
    for name in NAMES:
        server.add(f"{name}@localhost", PASSWORD)
    asyncio.run(play(server))


run(main)
