"""slixmpp and what RFC 6121 says of rosters, presence and several resources."""

import asyncio

from slixmpp.xmlstream import ET

from _client import Client, log_to, refused
from _report import run, test
from _server import Server

JULIET, ROMEO, NURSE = "juliet@localhost", "romeo@localhost", "nurse@localhost"
PASSWORD = "my bounty is as boundless as the sea"
ROSTER = "{jabber:iq:roster}"


async def login(server, account, resource, **options):
    return await Client(server, f"{account}/{resource}", PASSWORD).login(**options)


async def roster_of(client, version):
    """Asks for the roster with this version; the answer is the query as it came, or None."""
    iq = client.make_iq_get()
    query = ET.SubElement(iq.xml, f"{ROSTER}query")
    query.set("ver", version)
    answer = await iq.send(timeout=10)
    return answer.xml.find(f"{ROSTER}query")


async def rosters(server):
    juliet = await login(server, JULIET, "balcony")
    chamber = await login(server, JULIET, "chamber")
    deaf = Client(server, f"{JULIET}/deaf", PASSWORD)
    deaf.get_roster = lambda timeout: asyncio.sleep(0)
    await deaf.login(presence=False)
    with test("a new contact is pushed to every resource that asked for the roster (§2.1.6)"):
        juliet.update_roster(ROMEO, name="Romeo", groups=["Lovers", "Enemies"])
        for client in (juliet, chamber):
            push = await client.expect_push(ROMEO, "none", name="Romeo")
            groups = {group.text for group in push.xml.iter(f"{ROSTER}group")}
            assert groups == {"Lovers", "Enemies"}, push
        await deaf.quiet("a push", lambda s: s.name == "iq" and s["type"] == "set")
    with test("a contact is renamed and moved"):
        chamber.update_roster(ROMEO, name="My Romeo", groups=["Husbands"])
        await juliet.expect_push(ROMEO, "none", name="My Romeo")
    with test("a roster that has not changed is not sent (§2.6.3)"):
        full = await roster_of(juliet, "")
        assert full is not None and len(full) == 1, full
        assert await roster_of(juliet, full.get("ver")) is None
    with test("an old version gets what it missed (§2.6.3)"):
        chamber.update_roster(NURSE, name="Nurse")
        push = await juliet.expect_push(NURSE, "none")
        query = await roster_of(juliet, full.get("ver"))
        if query is None:
            push = await juliet.expect_push(NURSE, "none")
            query = push.xml.find(f"{ROSTER}query")
        assert query.get("ver") not in (None, full.get("ver")), ET.tostring(query)
        assert NURSE in {item.get("jid") for item in query}, ET.tostring(query)
    with test("a contact is removed, and the other side is told (§2.5)"):
        juliet.del_roster_item(NURSE)
        await chamber.expect_push(NURSE, "remove")
    with test("what is not in the roster cannot be removed (§2.5.3)"):
        await refused(juliet.del_roster_item(NURSE), "item-not-found")
    with test("somebody else's roster is not shown (§2.1.5)"):
        iq = juliet.make_iq_get(ito=ROMEO)
        iq.enable("roster")
        await refused(iq.send(timeout=10), "forbidden")
    for client in (juliet, chamber, deaf):
        await client.logout()


async def subscriptions(server):
    juliet = await login(server, JULIET, "balcony")
    with test("a request waits, with its text, for who is away (§3.1.3)"):
        juliet.send_presence(pto=ROMEO, ptype="subscribe", pstatus="it is I")
        await juliet.expect_push(ROMEO, "none", ask="subscribe")
        romeo = await login(server, ROMEO, "orchard")
        await romeo.expect_presence(JULIET, "subscribe", status="it is I")
    with test("and comes again until it is answered"):
        await romeo.logout()
        romeo = await login(server, ROMEO, "orchard")
        await romeo.expect_presence(JULIET, "subscribe")
    with test("who allows it is seen at once (§3.1.5)"):
        romeo.send_presence(pto=JULIET, ptype="subscribed")
        await juliet.expect_presence(ROMEO, "subscribed")
        await juliet.expect_push(ROMEO, "to")
        await romeo.expect_push(JULIET, "from")
        await juliet.expect_presence(f"{ROMEO}/orchard")
    with test("who takes it back is gone (§3.2)"):
        romeo.send_presence(pto=JULIET, ptype="unsubscribed")
        await juliet.expect_presence(f"{ROMEO}/orchard", "unavailable")
        await juliet.expect_presence(ROMEO, "unsubscribed")
        await juliet.expect_push(ROMEO, "none")
    with test("pre-approval: the later request is answered by the server (§3.4)"):
        assert "preapproval" in juliet.features, juliet.features
        romeo.send_presence(pto=JULIET, ptype="subscribed")
        await romeo.expect_push(JULIET, "none", approved="true")
        juliet.send_presence(pto=ROMEO, ptype="subscribe")
        await juliet.expect_presence(ROMEO, "subscribed")
        await juliet.expect_push(ROMEO, "to")
    with test("a request to nobody is not answered with an account's absence"):
        juliet.send_presence(pto="rosaline@localhost", ptype="subscribe")
        await juliet.expect_push("rosaline@localhost", "none", ask="subscribe")
    await juliet.logout()
    await romeo.logout()


async def resources(server):
    romeo = await login(server, ROMEO, "orchard")
    low, high, shy = [await login(server, JULIET, name) for name in ("low", "high", "shy")]
    low.send_presence(ppriority=1)
    high.send_presence(ppriority=5)
    shy.send_presence(ppriority=-1)
    for client, priority in ((low, 1), (high, 5), (shy, -1)):
        await low.expect_presence(client.boundjid.full, priority=priority)
    with test("a chat message to the account goes to the highest priority (§8.5.2.1.1)"):
        romeo.send_message(JULIET, "chat", mtype="chat")
        await high.expect_message("chat")
    with test("a headline goes to all that are not negative (§8.5.2.1.1)"):
        romeo.send_message(JULIET, "headline", mtype="headline")
        for client in (low, high):
            await client.expect_message("headline")
    with test("a negative priority gets neither"):
        await shy.quiet("message", lambda s: s.name == "message")
    with test("a message to a resource goes there, whatever its priority (§8.5.3.1)"):
        romeo.send_message(f"{JULIET}/shy", "shy", mtype="chat")
        await shy.expect_message("shy")
    with test("a message to a resource that is gone goes to the account (§8.5.3.2.1)"):
        romeo.send_message(f"{JULIET}/gone", "gone", mtype="chat")
        await high.expect_message("gone")
    with test("an iq to a resource that is gone is refused (§8.5.3.2.3)"):
        iq = romeo.make_iq_get(queryxmlns="jabber:iq:version", ito=f"{JULIET}/gone")
        await refused(iq.send(timeout=10), "service-unavailable")
    with test("a message to nobody is refused (§8.5.1)"):
        romeo.send_message("rosaline@localhost", "are you there?", mtype="chat")
        error = await romeo.expect("error", lambda s: s.name == "message" and s["type"] == "error")
        assert error["error"]["condition"] == "service-unavailable", error
    with test("own resources see each other leave (§4.5.2)"):
        await low.logout()
        await high.expect_presence(f"{JULIET}/low", "unavailable")
    with test("a resource that is bound again replaces the old session, or gets another name"):
        twin = await login(server, JULIET, "high")
        if twin.boundjid == high.boundjid:
            await high.ended()
            assert high.errors == ["conflict"], high.errors
    for client in (romeo, high, shy, twin):
        await client.logout()


async def directed(server):
    nurse = await login(server, NURSE, "house")
    juliet = await login(server, JULIET, "balcony")
    with test("directed presence reaches who is no contact (§4.6.3)"):
        juliet.send_presence(pto=NURSE, pstatus="for you alone")
        await nurse.expect_presence(f"{JULIET}/balcony", status="for you alone")
    with test("and its end does, even when the connection just breaks (§4.6.3)"):
        juliet.leave()
        await nurse.expect_presence(f"{JULIET}/balcony", "unavailable")
    with test("a stanza in somebody else's name ends the stream (RFC 6120 §4.9.3.9)"):
        juliet = await login(server, JULIET, "balcony")
        juliet.send_raw(f"<message from='{ROMEO}' to='{NURSE}'><body>I am he</body></message>")
        await juliet.ended()
        assert juliet.errors == ["invalid-from"], juliet.errors
        await nurse.quiet("message", lambda s: s.name == "message")
    await nurse.logout()


async def play(server):
    await rosters(server)
    await subscriptions(server)
    await resources(server)
    await directed(server)


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup).start()
    for jid in (JULIET, ROMEO, NURSE):
        server.add(jid, PASSWORD)
    asyncio.run(play(server))


run(main)
