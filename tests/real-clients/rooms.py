"""Two slixmpp clients talk in a room; a third comes later and reads what was said."""

import asyncio

from _client import Client, log_to, refused
from _device import Device
from _report import run, test
from _server import Server

NAMES = ("romeo", "juliet", "nurse")
PASSWORD = "wherefore art thou"
ROOM, CELL = "orchard@conference.localhost", "cell@conference.localhost"
PLUGINS = ("xep_0004", "xep_0030", "xep_0045", "xep_0059", "xep_0199", "xep_0313", "xep_0359")
MUC_USER = "{http://jabber.org/protocol/muc#user}"


async def login(server, name):
    client = Client(server, f"{name}@localhost/here", PASSWORD)
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    return await client.login()


class Joined:
    """What came to a client that entered a room."""

    def __init__(self, presence, subject, occupants, history):
        codes = presence.xml.iter(f"{MUC_USER}status")
        self.codes = {status.get("code") for status in codes}
        self.item = presence.xml.find(f"{MUC_USER}x/{MUC_USER}item")
        self.subject, self.history = subject["subject"], history
        self.occupants = [str(other["from"]) for other in occupants]


async def enter(client, nick, **wanted):
    muc = client.plugin["xep_0045"]
    return Joined(*await muc.join_muc_wait(ROOM, nick, timeout=10, **wanted))


async def talk(romeo, juliet):
    muc = {client: client.plugin["xep_0045"] for client in (romeo, juliet)}
    with test("a room is made by whoever enters it first, and waits for its configuration (§10.1)"):
        joined = await enter(romeo, "Romeo")
        assert {"201", "110"} <= joined.codes, joined.codes
        await refused(enter(juliet, "Juliet"), "item-not-found")
    with test("its owner says what it is to be (§10.2)"):
        form = await muc[romeo].get_room_config(ROOM, timeout=10)
        form.reply()
        values = {**form.get_values(), "muc#roomconfig_roomname": "Capulet's orchard",
                  "muc#roomconfig_persistentroom": True}
        form["type"] = "submit"
        form.set_values(values)
        await muc[romeo].set_room_config(ROOM, form, timeout=10)
        info = (await romeo.plugin["xep_0030"].get_info(jid=ROOM, timeout=10))["disco_info"]
        assert "muc_persistent" in info["features"], info
        assert ("conference", "text", None, "Capulet's orchard") in info["identities"], info
    with test("another comes in and sees who is there (§7.2)"):
        joined = await enter(juliet, "Juliet")
        assert joined.occupants[0] == f"{ROOM}/Romeo", joined.occupants
    with test("everybody hears what is said, in one order (§7.4)"):
        for number in range(20):
            speaker = (romeo, juliet)[number % 2]
            speaker.send_message(mto=ROOM, mbody=f"line {number}", mtype="groupchat")
        orders = []
        for client in (romeo, juliet):
            heard = [await client.expect("a line", lambda s: s.name == "message"
                                         and s["body"].startswith("line ")) for _ in range(20)]
            orders.append([message["body"] for message in heard])
        assert orders[0] == orders[1] and len(set(orders[0])) == 20, orders
    with test("a private message goes to one occupant (§7.5)"):
        juliet.send_message(mto=f"{ROOM}/Romeo", mbody="sweet, so would I", mtype="chat")
        await romeo.expect_message("sweet, so would I", f"{ROOM}/Juliet")
    with test("whoever is kicked is gone (§8.2)"):
        await muc[romeo].set_role(ROOM, "Juliet", "none", reason="Good night", timeout=10)
        gone = await juliet.expect_presence(f"{ROOM}/Juliet", "unavailable")
        codes = [status.get("code") for status in gone.xml.iter(f"{MUC_USER}status")]
        assert {"307", "110"} <= set(codes), codes
        await enter(juliet, "Juliet")
    with test("a nickname is changed (§7.6)"):
        await muc[juliet].set_self_nick(ROOM, "Capulet", timeout=10)
        await romeo.expect_presence(f"{ROOM}/Capulet")
    with test("the subject is changed by those who may (§8.1)"):
        muc[romeo].set_subject(ROOM, "Light through yonder window")
        await juliet.expect("the subject", lambda s: s.name == "message"
                            and s["subject"] == "Light through yonder window")


async def read_later(nurse, romeo):
    with test("whoever comes later gets the history and the subject (§7.2.13, §7.2.15)"):
        joined = await enter(nurse, "Nurse", maxstanzas=5)
        assert len(joined.history) == 5, joined.history
        assert joined.subject == "Light through yonder window", joined.subject
    with test("and reads what was said before in the room's archive (XEP-0313)"):
        lines = []
        async for row in nurse.plugin["xep_0313"].iterate(jid=ROOM, rsm={"max": 7}):
            lines.append(row["mam_result"]["forwarded"]["stanza"]["body"])
        lines = [line for line in lines if line.startswith("line ")]
        assert len(lines) == len(set(lines)) == 20, lines
    with test("and is asked whether it is there (XEP-0410)"):
        await nurse.plugin["xep_0199"].ping(f"{ROOM}/Nurse", timeout=10)
        await refused(romeo.plugin["xep_0030"].get_info(jid=f"{ROOM}/Nobody", timeout=10),
                      "item-not-found")


async def stay(server):
    phones = []
    for name in NAMES[:2]:
        phone = Device(server, f"{name}@localhost/phone", PASSWORD)
        for plugin in PLUGINS:
            phone.register_plugin(plugin)
        await phone.login()
        await enter(phone, f"{name}'s phone", maxstanzas=0)
        phones.append(phone)
    with test("over an orderly restart, whoever resumes is still in the room (XEP-0198 §5)"):
        assert await asyncio.to_thread(server.terminate) == 0, server.process.returncode
        await asyncio.gather(*(phone.ended() for phone in phones))
        await asyncio.to_thread(server.start)
        for phone in phones:
            await phone.resume()
        romeo, juliet = phones
        romeo.send_message(mto=ROOM, mbody="still here", mtype="groupchat")
        for phone in phones:
            await phone.expect_message("still here", f"{ROOM}/romeo's phone")
        juliet.send_message(mto=f"{ROOM}/romeo's phone", mbody="and I", mtype="chat")
        await romeo.expect_message("and I", f"{ROOM}/juliet's phone")
    for phone in phones:
        await phone.logout()


async def rooms_of(client):
    items = await client.plugin["xep_0030"].get_items(jid="conference.localhost", timeout=10)
    return {item[0] for item in items["disco_items"]["items"]}


async def pass_away(server):
    with test("a room that was not to last goes after a crash (§10.1.1)"):
        romeo = await login(server, "romeo")
        muc = romeo.plugin["xep_0045"]
        await muc.join_muc_wait(CELL, "Romeo", timeout=10)
        form = await muc.get_room_config(CELL, timeout=10)
        form.reply()
        form["type"] = "submit"
        form.set_values({**form.get_values(), "muc#roomconfig_publicroom": True})
        await muc.set_room_config(CELL, form, timeout=10)
        assert CELL in await rooms_of(romeo)
        server.kill()
        server.start()
        romeo = await login(server, "romeo")
        for _ in range(100):
            if CELL not in await rooms_of(romeo):
                break
            await asyncio.sleep(0.2)
        else:
            raise AssertionError("it is still listed")
        await refused(romeo.plugin["xep_0030"].get_info(jid=CELL, timeout=10), "item-not-found")
    await romeo.logout()


async def outlast(server):
    with test("the server is killed, and the room is as it was"):
        server.kill()
        server.start()
        romeo = await login(server, "romeo")
        joined = await enter(romeo, "Romeo")
        assert joined.subject == "Light through yonder window", joined.subject
        assert joined.item.get("affiliation") == "owner", joined.item.attrib
        info = (await romeo.plugin["xep_0030"].get_info(jid=ROOM, timeout=10))["disco_info"]
        assert ("conference", "text", None, "Capulet's orchard") in info["identities"], info
    with test("its owner ends it (§10.9)"):
        await romeo.plugin["xep_0045"].destroy(ROOM, timeout=10)
        await refused(romeo.plugin["xep_0030"].get_info(jid=ROOM, timeout=10), "item-not-found")
    await romeo.logout()


async def play(server):
    romeo, juliet = [await login(server, name) for name in NAMES[:2]]
    await talk(romeo, juliet)
    nurse = await login(server, "nurse")
    await read_later(nurse, romeo)
    await stay(server)
    await pass_away(server)
    await outlast(server)


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup).start()
    for name in NAMES:
        server.add(f"{name}@localhost", PASSWORD)
    asyncio.run(play(server))


run(main)
