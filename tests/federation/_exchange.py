"""What two servers have to do for each other's users, whichever servers they are.

    python3 _exchange.py FOLDER balcony|prosody|ejabberd balcony|prosody|ejabberd [MODE…]
"""

import asyncio
import contextlib
import sys
import time
from xml.etree import ElementTree as ET

import _peer
from _authority import Authority
from _balcony import GIVE_UP, Balcony
from _dns import Dns
from _ejabberd import Ejabberd
from _prosody import Prosody
from _client import Client, IqError, log_to
from _report import run, test

DOMAINS = {Balcony: "verona.example", Prosody: "padua.example", Ejabberd: "mantua.example"}
MODES = (_peer.CERTIFICATE, _peer.DIALBACK)
PASSWORD = "wherefore art thou"
PLUGINS = ("xep_0004", "xep_0030", "xep_0045", "xep_0059", "xep_0060", "xep_0092", "xep_0115",
           "xep_0163", "xep_0172", "xep_0199", "xep_0203", "xep_0313", "xep_0359")
NICK = "http://jabber.org/protocol/nick"
EVENT = "{http://jabber.org/protocol/pubsub#event}"
MUC_USER = "{http://jabber.org/protocol/muc#user}"
NOBODY = "nowhere.example"
# What an iq is answered with when its server cannot be reached (RFC 6120 §8.3.3.16, §8.3.3.17).
UNREACHABLE = {"remote-server-not-found", "remote-server-timeout"}
# Longer than a first connection takes: DNS, TLS and a proof in both directions.
CONNECT = 20
# No message waits longer than this for a server that is back.
RETRY = GIVE_UP + 5


async def login(server, name, resource="here"):
    client = Client(server, f"{name}@{server.domain}/{resource}", PASSWORD)
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    client.add_event_handler(
        "session_bind", lambda _: client.plugin["xep_0163"].add_interest([NICK]))
    client.home = server
    return await client.login()


def both_ways(one, other):
    return ((one, other), (other, one))


def say(sender, to, body):
    sender.send_message(mto=to, mbody=body, mtype="chat")


async def first(romeo, juliet):
    """Whether either can reach the other at all; there is no use in going on if not."""
    reached = 0
    for one, other in both_ways(romeo, juliet):
        way = f"{one.home.name} → {other.home.name}"
        with test(f"{way}: a message arrives"):
            say(one, other.boundjid.bare, f"the first by {way}")
            await other.expect_message(f"the first by {way}", str(one.boundjid), CONNECT)
            reached += 1
    return reached == 2


async def messages(romeo, juliet):
    for one, other in both_ways(romeo, juliet):
        way = f"{one.home.name} → {other.home.name}"
        with test(f"{way}: and many, in their order"):
            bodies = [f"{way} {number}" for number in range(100)]
            for body in bodies:
                say(one, str(other.boundjid), body)
            heard = [await other.expect("a line", lambda s: s.name == "message"
                                        and s["body"].startswith(way)) for _ in bodies]
            assert [message["body"] for message in heard] == bodies, heard
        with test(f"{way}: a message that is as long as clients may send"):
            body = "sweet sorrow " * 10_000
            say(one, str(other.boundjid), body)
            await other.expect("a long message", lambda s, body=body: s.name == "message"
                               and s["body"] == body)
        with test(f"{way}: nobody of that name"):
            one.send_message(mto=f"nobody@{other.home.domain}", mbody="hello", mtype="chat")
            answer = await one.expect("an error", lambda s: s.name == "message"
                                      and s["type"] == "error")
            assert answer["error"]["condition"] == "service-unavailable", answer


async def requests(romeo, juliet):
    for one, other in both_ways(romeo, juliet):
        way, there = f"{one.home.name} → {other.home.name}", other.home.domain
        with test(f"{way}: the server says what it can (XEP-0030)"):
            info = (await one.plugin["xep_0030"].get_info(jid=there, timeout=CONNECT))["disco_info"]
            assert any(kind[:2] == ("server", "im") for kind in info["identities"]), info
        with test(f"{way}: its services"):
            items = await one.plugin["xep_0030"].get_items(jid=there, timeout=CONNECT)
            assert other.home.rooms in {item[0] for item in items["disco_items"]["items"]}, items
        with test(f"{way}: the server answers a ping (XEP-0199)"):
            await one.plugin["xep_0199"].ping(there, timeout=CONNECT)
        with test(f"{way}: the server says which it is (XEP-0092)"):
            version = (await one.plugin["xep_0092"].get_version(jid=there, timeout=CONNECT))
            assert version["software_version"]["name"].lower() == other.home.name.lower(), version


async def subscriptions(romeo, juliet):
    for one, other in both_ways(romeo, juliet):
        way = f"{one.home.name} → {other.home.name}"
        with test(f"{way}: a subscription is asked for, given, and presence comes (RFC 6121 §3.1)"):
            one.send_presence(pto=other.boundjid.bare, ptype="subscribe")
            await other.expect_presence(one.boundjid.bare, "subscribe")
            other.send_presence(pto=one.boundjid.bare, ptype="subscribed")
            await one.expect_presence(other.boundjid.bare, "subscribed")
            await one.expect_push(other.boundjid.bare, "both" if other is romeo else "to")
            await one.expect_presence(str(other.boundjid))
    for one, other in both_ways(romeo, juliet):
        way = f"{one.home.name} → {other.home.name}"
        with test(f"{way}: a change of presence"):
            one.send_presence(pshow="away", pstatus=f"to {way}")
            await other.expect_presence(str(one.boundjid), show="away", status=f"to {way}")


async def between_clients(romeo, juliet):
    for one, other in both_ways(romeo, juliet):
        with test(f"{one.home.name} → {other.home.name}: a contact's client answers (XEP-0030)"):
            info = await one.plugin["xep_0030"].get_info(jid=other.boundjid, timeout=CONNECT)
            assert NICK + "+notify" in info["disco_info"]["features"], info


async def again(romeo, juliet):
    """Either logs out and in; both are told of the other. The answer: both as they are now."""
    clients = [romeo, juliet]
    for at in (0, 1):
        one, other = clients[at], clients[1 - at]
        way = f"{one.home.name} → {other.home.name}"
        with test(f"{way}: who logs out is gone"):
            await one.logout()
            await other.expect_presence(str(one.boundjid), "unavailable")
        clients[at] = await login(one.home, one.boundjid.user)
        with test(f"{way}: who logs in is told of, and asks who is there (RFC 6121 §4.3)"):
            await other.expect_presence(str(clients[at].boundjid))
            await clients[at].expect_presence(str(other.boundjid))
    return clients


async def nicknames(romeo, juliet):
    for one, other in both_ways(romeo, juliet):
        way = f"{one.home.name} → {other.home.name}"
        with test(f"{way}: what a contact publishes comes to whoever wants it (XEP-0163 §4)"):
            await one.plugin["xep_0172"].publish_nick(f"by {way}", timeout=10)
            event = await other.expect("a nickname", lambda s: s.name == "message"
                                       and s["from"] == one.boundjid.bare
                                       and s.xml.find(f"{EVENT}event/{EVENT}items") is not None)
            assert f"by {way}" in ET.tostring(event.xml, "unicode"), event
        with test(f"{way}: and is read when asked for (XEP-0060 §6.5)"):
            answer = await other.plugin["xep_0060"].get_items(
                one.boundjid.bare, NICK, timeout=CONNECT)
            assert f"by {way}" in ET.tostring(answer.xml, "unicode"), answer


async def archives(romeo, juliet):
    for one, other in both_ways(romeo, juliet):
        way = f"{one.home.name} → {other.home.name}"
        with test(f"{way}: the archives of both have a message (XEP-0313)"):
            body = f"remember {way}"
            say(one, other.boundjid.bare, body)
            await other.expect_message(body)
            for client, peer in both_ways(one, other):
                # ejabberd and Prosody write a moment after they deliver.
                for _ in range(50):
                    if body in await archive(client, peer.boundjid.bare):
                        break
                    await asyncio.sleep(0.1)
                else:
                    raise AssertionError(f"not in the archive of {client.boundjid}")


async def archive(client, peer):
    lines = client.plugin["xep_0313"].iterate(with_jid=peer, rsm={"max": 50}, reverse=True)
    bodies = []
    async for row in lines:
        bodies.append(row["mam_result"]["forwarded"]["stanza"]["body"])
        if len(bodies) == 50:
            break
    return bodies


async def make_room(owner, room):
    """Enters it and takes the configuration as it is."""
    muc = owner.plugin["xep_0045"]
    await muc.join_muc_wait(room, "Owner", timeout=10)
    form = await muc.get_room_config(room, timeout=10)
    form.reply()
    form["type"] = "submit"
    form.set_values(form.get_values())
    await muc.set_room_config(room, form, timeout=10)


async def rooms(romeo, juliet):
    for owner, guest in both_ways(romeo, juliet):
        way, room = f"{guest.home.name} → {owner.home.name}", f"orchard@{owner.home.rooms}"
        with test(f"{way}: a room with history is entered (XEP-0045 §7.2)"):
            await make_room(owner, room)
            for number in range(3):
                owner.send_message(mto=room, mbody=f"before {number}", mtype="groupchat")
                await owner.expect_message(f"before {number}", f"{room}/Owner")
            _, _, others, history = await guest.plugin["xep_0045"].join_muc_wait(
                room, "Guest", timeout=CONNECT, maxstanzas=20)
            assert f"{room}/Owner" in [str(other["from"]) for other in others], others
            bodies = [message["body"] for message in history]
            assert bodies == [f"before {number}" for number in range(3)], bodies
            await owner.expect_presence(f"{room}/Guest")
        with test(f"{way}: both hear what is said in the room, in one order (§7.4)"):
            for number in range(20):
                (owner, guest)[number % 2].send_message(
                    mto=room, mbody=f"line {number}", mtype="groupchat")
            orders = []
            for client in (owner, guest):
                heard = [await client.expect("a line", lambda s: s.name == "message"
                                             and s["from"].bare == room
                                             and s["body"].startswith("line ")) for _ in range(20)]
                orders.append([message["body"] for message in heard])
            assert orders[0] == orders[1] and len(set(orders[0])) == 20, orders
        with test(f"{way}: a private message (§7.5)"):
            for one, nick, other in ((owner, "Guest", guest), (guest, "Owner", owner)):
                say(one, f"{room}/{nick}", f"only for {nick}")
                await other.expect_message(f"only for {nick}")
        with test(f"{way}: the room's archive (XEP-0313)"):
            lines = [row["mam_result"]["forwarded"]["stanza"]["body"]
                     async for row in guest.plugin["xep_0313"].iterate(jid=room, rsm={"max": 50})]
            assert len([line for line in lines if line.startswith("line ")]) == 20, lines
        with test(f"{way}: whoever is kicked is gone (§8.2)"):
            await owner.plugin["xep_0045"].set_role(room, "Guest", "none", timeout=10)
            gone = await guest.expect_presence(f"{room}/Guest", "unavailable")
            assert "307" in {s.get("code") for s in gone.xml.iter(f"{MUC_USER}status")}, gone
            await owner.expect_presence(f"{room}/Guest", "unavailable")


def to_nobody(client):
    """A message to a domain without a server; it may come to its end while others are tested."""
    client.send_message(mto=f"who@{NOBODY}", mbody="hello", mtype="chat")


async def absences(romeo, juliet):
    for one in (romeo, juliet):
        with test(f"{one.home.name}: a request to a domain without a server"):
            await refused_as_unreachable(one, NOBODY)
        with test(f"{one.home.name}: a message to a domain without a server"):
            answer = await one.expect("an error", lambda s: s.name == "message"
                                      and s["type"] == "error" and s["from"].domain == NOBODY,
                                      GIVE_UP + 10)
            assert answer["error"]["condition"] in UNREACHABLE, answer


async def arrives(client, body, sender):
    """Waits for a message; the answer: the client as it is then. What comes to ejabberd at the
    moment in which a client logs in stays there for its next login."""
    end = time.monotonic() + RETRY
    while client.home.name == "ejabberd" and time.monotonic() < end:
        try:
            await client.expect_message(body, sender, 3)
            return client
        except AssertionError:
            await client.logout()
            client = await login(client.home, client.boundjid.local)
    await client.expect_message(body, sender, RETRY)
    return client


async def restart(romeo, juliet, orderly):
    """Juliet's server goes and comes back. The answer: Juliet as she is then."""
    there, way = juliet.home, f"{romeo.home.name} → {juliet.home.name}"
    how = "an orderly restart" if orderly else "a crash"
    await asyncio.to_thread(there.terminate if orderly else there.kill)
    await juliet.ended()
    with test(f"{way}: over {how}, a request is refused at once"):
        await refused_as_unreachable(romeo, there.domain)
    keeps = romeo.home.name == "Balcony"
    if keeps:
        say(romeo, f"juliet@{there.domain}", f"said during {how}")
    await asyncio.to_thread(there.start)
    juliet = await login(there, "juliet")
    if keeps:
        with test(f"{way}: over {how}, a message waits and arrives"):
            juliet = await arrives(juliet, f"said during {how}", str(romeo.boundjid))
    for one, other in both_ways(romeo, juliet):
        with test(f"{one.home.name} → {other.home.name}: after {how} of {there.name}, a message"):
            say(one, other.boundjid.bare, f"after {how}")
            await other.expect_message(f"after {how}", str(one.boundjid), RETRY)
    return juliet


async def restart_with_a_message(romeo, juliet):
    """Both servers are down for a while, Balcony with a message to be sent."""
    here, there = romeo.home, juliet.home
    await asyncio.to_thread(there.kill)
    with test(f"{here.name} → {there.name}: a message outlives the server that is to send it"):
        say(romeo, f"juliet@{there.domain}", "said before both were down")
        # Answered behind it: the server has the message.
        await romeo.plugin["xep_0199"].ping(here.domain, timeout=10)
        await asyncio.to_thread(here.kill)
        await asyncio.to_thread(here.start)
        await asyncio.to_thread(there.start)
        juliet = await login(there, "juliet")
        await arrives(juliet, "said before both were down", str(romeo.boundjid))


async def refused_as_unreachable(client, domain, seconds=10):
    begun = time.monotonic()
    try:
        await client.plugin["xep_0199"].send_ping(domain, timeout=seconds)
    except IqError as error:
        assert error.condition in UNREACHABLE, error.condition
    else:
        raise AssertionError("it is answered")
    assert time.monotonic() - begun < seconds


async def exchange(here, there):
    for server, name in ((here, "romeo"), (there, "juliet")):
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.add, name, PASSWORD)
    romeo, juliet = await login(here, "romeo"), await login(there, "juliet")
    if not await first(romeo, juliet):
        return
    await messages(romeo, juliet)
    await requests(romeo, juliet)
    await subscriptions(romeo, juliet)
    await between_clients(romeo, juliet)
    await nicknames(romeo, juliet)
    romeo, juliet = await again(romeo, juliet)
    to_nobody(romeo)
    to_nobody(juliet)
    await archives(romeo, juliet)
    await rooms(romeo, juliet)
    await absences(romeo, juliet)
    juliet = await restart(romeo, juliet, orderly=True)
    if here.name == "Balcony":
        juliet = await restart(romeo, juliet, orderly=False)
        await restart_with_a_message(romeo, juliet)


def main(folder, cleanup, kinds, modes=MODES):
    """One exchange for each mode, between new servers of these two kinds."""
    log_to(folder)
    for mode in modes:
        begun = time.monotonic()
        with contextlib.ExitStack() as servers:
            # Whatever ends the script early ends these too.
            cleanup.push(servers)
            place = folder / mode
            dns = Dns({}).start()
            servers.callback(dns.stop)
            world = _peer.World(place, servers, mode, Authority(place / "ca"), dns)
            here, there = (kind(world, DOMAINS[kind]) for kind in kinds)
            print(f"{mode}: {here.name} and {there.name}", flush=True)
            asyncio.run(exchange(here, there))
        print(f"{mode}: {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    KINDS = {kind.name.lower(): kind for kind in DOMAINS}
    run(lambda folder, cleanup: main(folder, cleanup, [KINDS[name] for name in sys.argv[2:4]],
                                     sys.argv[4:] or MODES))
