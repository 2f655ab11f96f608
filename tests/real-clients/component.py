"""slixmpp as an external component: what it and clients say to each other (XEP-0114), what it does
in the name of accounts by its own plugin (XEP-0356), and what it answers in place of the server
(XEP-0355)."""

import asyncio

from _client import Client, LoginFailed, log_to, slixmpp
from _client import refused as client_refused
from _component import (FRIAR, NAME, OF_ACCOUNTS, OF_HOST, ROMEO, SECRET, VERSION, Component,
                        condition, not_permitted, refused)
from _report import run, test
from _server import Server

HOST, OTHER = "localhost", "verona.example"
JULIET, NURSE, MERCUTIO = f"juliet@{HOST}", f"nurse@{HOST}", f"mercutio@{OTHER}"
TYBALT = f"tybalt@{HOST}"
PASSWORD = "my ghostly father's cell"
PLUGINS = ("xep_0030", "xep_0054", "xep_0092", "xep_0199")
PING, VCARD = "urn:xmpp:ping", "vcard-temp"

COMPONENT = f'[[component]]\nname = "{NAME}"\nsecret = "{SECRET}"\n'
# On one of the two hosts.
DELEGATION = (f'[[delegation]]\ncomponent = "{NAME}"\nhosts = ["{HOST}"]\n'
              f'namespace = "{VERSION}"\n')
GRANTS = (f'[[privilege]]\ncomponent = "{NAME}"\nhosts = ["{HOST}"]\nroster = "both"\n'
          f'message = "outgoing"\niq_get = ["{PING}"]\niq_set = ["{VCARD}"]\n'
          f'presence = "managed_entity"\n')
# On both, with less in some things and more in others.
OTHER_GRANTS = (f'[[privilege]]\ncomponent = "{NAME}"\nroster = "get"\n'
                f'iq_get = ["{PING}", "{VCARD}"]\niq_set = ["{PING}", "{VCARD}"]\n'
                f'presence = "roster"\n')


def roster_iq(component, of, **items):
    """A roster get, or a set of these, past the plugin and what it thinks of privileges."""
    if not items:
        return component.make_iq_get("jabber:iq:roster", ito=of, ifrom=NAME).send(timeout=10)
    iq = component.make_iq_set(ito=of, ifrom=NAME)
    iq["roster"]["items"] = items["items"]
    return iq.send(timeout=10)


def letter(sender, to, body):
    """A message to be wrapped. The namespace of a component's own stanzas is another one, and
    §5.3 of XEP-0356 has this."""
    message = slixmpp.Message(sto=to, sfrom=sender, stype="chat")
    message["body"] = body
    assert message.namespace == "jabber:client", message
    return message


def is_ping(stanza):
    return stanza.xml.get("type") == "get" and stanza.xml.find(f"{{{PING}}}ping") is not None


async def login(server, jid, **how):
    client = Client(server, jid, PASSWORD)
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    return await client.login(**how)


async def connecting(server):
    for what, name, secret, error in (
            ("with a wrong secret", NAME, SECRET + "!", "not-authorized"),
            ("by a name that is nobody's", f"padua.{HOST}", SECRET, "host-unknown")):
        with test(f"a component {what} is not let in (XEP-0114 §3)"):
            stranger = Component(server, name, secret)
            try:
                await stranger.login()
            except LoginFailed:
                assert stranger.errors == [error] and not stranger.inbox, stranger.errors
            else:
                raise AssertionError("it is in")
            await stranger.ended()
    component = Component(server)
    with test("a component with the right secret is let in (XEP-0114 §3)"):
        await component.login()
    return component


async def talking(component, juliet):
    here = juliet.boundjid.full
    with test("messages go both ways (XEP-0114 §3)"):
        body = "banished <is> a \U0001f5e1 & \"death\""
        component.send_message(here, body, mtype="chat", mfrom=f"{ROMEO}/cell")
        told = await juliet.expect_message(body, f"{ROMEO}/cell")
        told.reply("it is the <lark> & no nightingale").send()
        answer = await component.expect_message("it is the <lark> & no nightingale", here)
        assert answer["to"] == f"{ROMEO}/cell", answer
    with test("pings go both ways, to a device that shows itself (XEP-0199, RFC 6121 §8.5.3.1)"):
        ping = component.plugin["xep_0199"].send_ping
        await ping(HOST, ifrom=NAME, timeout=10)
        await refused(ping(here, ifrom=f"{ROMEO}/cell", timeout=10), "service-unavailable")
        juliet.send_presence(pto=f"{ROMEO}/cell")
        await component.expect_presence(here, to=f"{ROMEO}/cell")
        await ping(here, ifrom=f"{ROMEO}/cell", timeout=10)
        for jid in (NAME, f"{ROMEO}/cell"):
            await juliet.plugin["xep_0199"].send_ping(jid, timeout=10)
            asked = await component.expect("ping", lambda s: is_ping(s) and s["to"] == jid)
            assert asked["from"] == here, asked
    with test("an error that the component answers comes back (RFC 6120 §8.3)"):
        iq = juliet.make_iq_get(ito=ROMEO)
        iq.append(slixmpp.xmlstream.ET.Element("{urn:example:poison}dram"))
        await client_refused(iq.send(timeout=10), "feature-not-implemented")
    with test("the component discovers the host and the client (XEP-0030 §3.1)"):
        info = (await component.disco.get_info(HOST, timeout=10))["disco_info"]
        assert ("server", "im") in {(i[0], i[1]) for i in info["identities"]}, info
        wanted = {PING, VCARD, "urn:xmpp:delegation:2"}
        assert wanted <= set(info["features"]), wanted - set(info["features"])
        info = await component.disco.get_info(here, ifrom=f"{ROMEO}/cell", timeout=10)
        info = info["disco_info"]
        assert ("client", "bot") in {(i[0], i[1]) for i in info["identities"]}, info
    with test("and the client the component (XEP-0030 §3.1, §4.1)"):
        items = (await juliet.plugin["xep_0030"].get_items(NAME, timeout=10))["disco_items"]
        assert items["items"] == {(ROMEO, None, "in exile")}, items
        info = (await juliet.plugin["xep_0030"].get_info(NAME, timeout=10))["disco_info"]
        assert ("gateway", "xmpp", None, "Mantua") in info["identities"], info
        assert PING in info["features"], info


async def befriending(server, component, juliet):
    here = juliet.boundjid.full
    with test("a client subscribes to somebody of the component (RFC 6121 §3.1)"):
        juliet.send_presence(pto=ROMEO, ptype="subscribe")
        await juliet.expect_push(ROMEO, "none", ask="subscribe")
        await component.expect_presence(JULIET, "subscribe", to=ROMEO)
        component.roster[ROMEO][JULIET].authorize()
        await juliet.expect_push(ROMEO, "to")
        await juliet.expect_presence(ROMEO)
        component.send_presence(pto=JULIET, pfrom=f"{ROMEO}/cell", pshow="dnd", pstatus="exiled")
        await juliet.expect_presence(f"{ROMEO}/cell", show="dnd", status="exiled")
    with test("and the other way round (RFC 6121 §3.1)"):
        component.roster[ROMEO][JULIET].subscribe()
        await juliet.expect_presence(ROMEO, "subscribe")
        juliet.send_presence(pto=ROMEO, ptype="subscribed")
        await juliet.expect_push(ROMEO, "both")
        await component.expect_presence(JULIET, "subscribed", to=ROMEO)
        await component.expect_presence(here, to=ROMEO)
    with test("who comes online and the component's people see each other (RFC 6121 §4.2, §4.3)"):
        window = await login(server, f"{JULIET}/window")
        await component.expect_presence(JULIET, "probe", to=ROMEO)
        await component.expect_presence(f"{JULIET}/window", to=ROMEO)
        await window.expect_presence(ROMEO)
        await window.logout()
        await component.expect_presence(f"{JULIET}/window", "unavailable", to=ROMEO)
    with test("who is removed from the roster is told (RFC 6121 §2.5.2)"):
        await juliet.del_roster_item(ROMEO)
        await juliet.expect_push(ROMEO, "remove")
        for kind in ("unsubscribe", "unsubscribed"):
            await component.expect_presence(JULIET, kind, to=ROMEO)
        await component.expect_presence(here, "unavailable", to=ROMEO)


async def being_told(component, juliet):
    with test("the plugin knows what is granted, and on which host (XEP-0356 §4.2, §5.2, §6.2)"):
        granted = await component.advertised()
        found = granted.roster, granted.message, dict(granted.iq), granted.presence
        assert found == ("both", "outgoing", {PING: "get", VCARD: "set"}, "managed_entity"), found
        assert list(component.privilege.granted_privileges) == [HOST]
    with test("a component that comes late is told who is there (XEP-0356 §8)"):
        await component.expect_presence(juliet.boundjid.full, to=NAME)


async def rosters(component, juliet):
    privilege = component.privilege
    with test("it is told of changes in rosters (XEP-0356 §4.4)"):
        await juliet.update_roster(NURSE, name="Nurse", groups=["Servants"])
        push = await component.expect_push(NURSE, "none", name="Nurse")
        assert push["from"] == JULIET and push["to"] == NAME, push
    with test("it reads a roster (XEP-0356 §4.3)"):
        answer = await privilege.get_roster(JULIET, timeout=10)
        items = answer["roster"]["items"]
        assert answer["from"] == JULIET and set(items) == {NURSE}, answer
        assert (items[NURSE]["name"], items[NURSE]["groups"]) == ("Nurse", ["Servants"]), items
    with test("it changes a roster, as its owner could (XEP-0356 §4.3, RFC 6121 §2.1.2.5)"):
        new = {"name": "Cousin", "subscription": "both", "groups": ["Capulet", "Duellists"]}
        await privilege.set_roster(JULIET, {TYBALT: new}, timeout=10)
        push = await juliet.expect_push(TYBALT, "none", name="Cousin")
        assert sorted(push["roster"]["items"][TYBALT]["groups"]) == new["groups"], push
        await component.expect_push(TYBALT, "none", name="Cousin")
        await privilege.set_roster(JULIET, {TYBALT: {"subscription": "remove"}}, timeout=10)
        for who in (juliet, component):
            await who.expect_push(TYBALT, "remove")
        left = (await privilege.get_roster(JULIET, timeout=10))["roster"]["items"]
        assert set(left) == {NURSE}, left
    with test("no roster of a host where nothing is granted (XEP-0356 §4.3)"):
        with not_permitted():
            await privilege.get_roster(MERCUTIO, timeout=10)
        await refused(roster_iq(component, MERCUTIO), "forbidden")
        await refused(roster_iq(component, MERCUTIO, items={TYBALT: {"name": "x"}}), "forbidden")


async def messages(component, nurse):
    privilege, here = component.privilege, nurse.boundjid.full
    error = lambda s: s.name == "message" and s["type"] == "error"
    with test("it sends messages in the name of an account and of the host (XEP-0356 §5.3)"):
        for sender in (JULIET, HOST):
            privilege.send_privileged_message(letter(sender, here, f"in the name of {sender}"))
            told = await nurse.expect_message(f"in the name of {sender}")
            assert told["from"] == sender and told["to"] == here, told
            assert NAME not in str(told), told
    with test("not in the name of a device (XEP-0356 §5.1)"):
        privilege.send_privileged_message(letter(f"{JULIET}/balcony", here, "of a device"))
        assert condition(await component.expect("error", error)) == "forbidden"
    with test("not in the name of another host's account (XEP-0356 §5.1)"):
        with not_permitted():
            privilege.send_privileged_message(letter(MERCUTIO, here, "of a stranger"))
        # As if it had been granted.
        privilege.granted_privileges[OTHER].message = "outgoing"
        privilege.send_privileged_message(letter(MERCUTIO, here, "of a stranger"))
        answer = await component.expect("error", error)
        assert condition(answer) == "forbidden" and answer["from"] == OTHER, answer
        del privilege.granted_privileges[OTHER]
    with test("and what was refused is not delivered"):
        privilege.send_privileged_message(letter(JULIET, here, "the last one"))
        await nurse.expect_message("the last one")
        assert not [s for s in nurse.inbox if s.name == "message"], nurse.inbox


async def requests(component, juliet, nurse):
    privilege, here = component.privilege, nurse.boundjid.full

    def ask(kind, plugin, to, **fields):
        iq = component.make_iq(itype=kind, ito=to, ifrom=JULIET)
        iq.enable(plugin)
        for key, value in fields.items():
            iq[plugin][key] = value
        return asyncio.wait_for(privilege.send_privileged_iq(iq, "in her name"), 10)

    with test("it may ask no more than the account (XEP-0356 §9, RFC 6121 §8.5.3.1)"):
        answer = await ask("get", "ping", here)
        assert answer["type"] == "error", answer
        assert answer["error"]["condition"] == "service-unavailable", answer
    nurse.send_presence(pto=JULIET)
    await juliet.expect_presence(here)
    with test("it asks in the name of an account (XEP-0356 §6.3)"):
        answer = await ask("get", "ping", here)
        assert (answer["type"], answer["from"], answer["to"]) == ("result", here, JULIET), answer
        assert answer["id"] == "in her name", answer
        asked = await nurse.expect("ping", is_ping)
        assert asked["from"] == JULIET and NAME not in str(asked), asked
    with test("it changes what is an account's (XEP-0356 §6.3)"):
        answer = await ask("set", "vcard_temp", JULIET, FN="Juliet <Montague> & Co.")
        assert answer["type"] == "result", answer
        vcard = await juliet.plugin["xep_0054"].get_vcard(local=False, timeout=10)
        assert vcard["vcard_temp"]["FN"] == "Juliet <Montague> & Co.", vcard
    with test("an error is told in the same way (XEP-0356 §6.3)"):
        answer = await ask("get", "ping", f"{NURSE}/nowhere")
        assert answer["type"] == "error", answer
        assert answer["error"]["condition"] == "service-unavailable", answer
    granted = privilege.granted_privileges[HOST].iq
    for what, kind, plugin, namespace in (
            ("of another type", "set", "ping", PING),
            ("in another namespace", "get", "software_version", VERSION)):
        with test(f"a request {what} is refused (XEP-0356 §6.3)"):
            with not_permitted():
                await ask(kind, plugin, here)
            # As if it had been granted.
            before, granted[namespace] = granted[namespace], "both"
            try:
                await refused(ask(kind, plugin, here), "forbidden")
            finally:
                granted[namespace] = before
    with test("and is not delivered"):
        await ask("get", "ping", here)
        await nurse.expect("ping", is_ping)
        assert not [s for s in nurse.inbox if s["from"] == JULIET], nurse.inbox


async def watching(server, component):
    with test("it is told who comes and goes, and no more than that (XEP-0356 §7.1, §7.3)"):
        mercutio = await login(server, f"{MERCUTIO}/street")
        tybalt = await login(server, f"{TYBALT}/square", presence=False)
        tybalt.send_presence(pshow="chat", pstatus="Good e'en")
        tybalt.send_presence(pshow="away")
        await tybalt.logout()
        first = await component.expect_presence(f"{TYBALT}/square", to=NAME)
        assert (first["show"], first["status"]) == ("chat", "Good e'en"), first
        await component.expect_presence(f"{TYBALT}/square", "unavailable", to=NAME)
        rest = [s for s in component.inbox if s.name == "presence"
                and s["from"].bare in (TYBALT, MERCUTIO)]
        assert not rest, rest
    await mercutio.logout()


async def delegating(component, juliet, nurse):
    async def version(jid):
        answer = await juliet.plugin["xep_0092"].get_version(jid, timeout=10)
        assert answer["from"] == jid, answer
        return answer["software_version"]["name"]

    with test("it is told what is delegated to it (XEP-0355 §4.2)"):
        assert await component.delegated() == [VERSION]
    with test("it answers for the host and for accounts (XEP-0355 §4.3)"):
        for jid in (HOST, JULIET, NURSE):
            assert await version(jid) == FRIAR
            asked = component.asked.pop()
            assert asked["from"] == juliet.boundjid and asked["to"] == jid, asked
    with test("not for devices, nor for a host without it (XEP-0355 §4.3)"):
        assert await version(nurse.boundjid.full) == "Slixmpp"
        assert await version(OTHER) == "Balcony"
        assert not component.asked, component.asked
    with test("what it asks itself, the server answers (XEP-0355 §4.3.1)"):
        answer = await component.plugin["xep_0092"].get_version(HOST, ifrom=NAME, timeout=10)
        assert answer["software_version"]["name"] == "Balcony", answer
        assert not component.asked, component.asked

    def changed(key, value):
        def answers(request):
            answer = component.result(request)
            answer[key] = value
            return answer
        return answers

    for what, answers in (("with another id", changed("id", "another")),
                          ("to somebody else", changed("to", NURSE)),
                          ("from somebody else", changed("from", TYBALT)),
                          ("that is an error", lambda _: None)):
        with test(f"an answer {what} is none (XEP-0355 §4.3)"):
            component.answers = answers
            await client_refused(version(HOST), "service-unavailable")
            assert component.asked.pop()["to"] == HOST
    component.answers = component.result
    with test("discovery says what it says (XEP-0355 §7.2.1, §7.2.2)"):
        for jid, feature in (HOST, OF_HOST), (JULIET, OF_ACCOUNTS):
            found = await features(juliet, jid, lambda found: feature in found)
            assert VERSION not in found and not {OF_HOST, OF_ACCOUNTS} - {feature} & found, found


async def features(client, jid, holds, seconds=5):
    """What discovery says of somebody, once this is true of it: the server may have to ask."""
    for _ in range(seconds * 10):
        info = await client.plugin["xep_0030"].get_info(jid, timeout=10, local=False)
        found = set(info["disco_info"]["features"])
        if holds(found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{jid} has {sorted(found)}")


async def being_away(server, component, juliet):
    with test("while it is gone, nobody answers for it (XEP-0114, XEP-0355 §4.3)"):
        await component.logout()
        for jid in (HOST, JULIET):
            await client_refused(juliet.plugin["xep_0092"].get_version(jid, timeout=5),
                                 "service-unavailable")
        juliet.send_message(ROMEO, "is he gone?", mtype="chat")
        error = await juliet.expect("error", lambda s: s.name == "message" and s["type"] == "error")
        assert error["error"]["condition"] == "service-unavailable", error
        await client_refused(juliet.plugin["xep_0199"].send_ping(NAME, timeout=5),
                             "service-unavailable")
    component = Component(server)
    with test("when it is back, it is told everything again, and answers"):
        assert not component.privilege.granted_privileges
        await component.login()
        granted = await component.advertised()
        assert granted.iq == {PING: "get", VCARD: "set"}, granted.iq
        assert await component.delegated() == [VERSION]
        await component.expect_presence(juliet.boundjid.full, to=NAME)
        answer = await juliet.plugin["xep_0092"].get_version(HOST, timeout=10)
        assert answer["software_version"]["name"] == FRIAR, answer
    return component


async def reloading(server, component, juliet, nurse):
    privilege = component.privilege

    async def reload(grants):
        server.config.write_text(server.config.read_text().split(COMPONENT)[0] + COMPONENT + grants)
        await asyncio.to_thread(server.command, "reload")

    with test("after a reload the plugin knows the new privileges within 2 seconds"):
        await reload(OTHER_GRANTS + DELEGATION)
        told = await asyncio.gather(*(component.advertised(host, 2) for host in (HOST, OTHER)))
        for host, granted in zip((HOST, OTHER), told):
            found = granted.roster, dict(granted.iq), granted.presence
            assert found == ("get", {PING: "both", VCARD: "both"}, "roster"), (host, found)
    with test("what is new is allowed"):
        answer = await privilege.get_roster(MERCUTIO, timeout=10)
        assert answer["from"] == MERCUTIO and not answer["roster"]["items"], answer
        iq = component.make_iq_get(ito=JULIET, ifrom=JULIET)
        iq.enable("vcard_temp")
        answer = await asyncio.wait_for(privilege.send_privileged_iq(iq), 10)
        assert answer["vcard_temp"]["FN"] == "Juliet <Montague> & Co.", answer
    with test("what is withdrawn is refused, whatever the plugin thinks"):
        # To the plugin, who may read may change.
        change = privilege.set_roster(JULIET, {TYBALT: {"name": "x"}}, timeout=10)
        await refused(change, "forbidden")
        privilege.granted_privileges[HOST].message = "outgoing"
        privilege.send_privileged_message(letter(JULIET, nurse.boundjid.full, "withdrawn"))
        error = await component.expect("error", lambda s: s.name == "message"
                                       and s["type"] == "error")
        assert condition(error) == "forbidden" and error["from"] == HOST, error
        assert set((await privilege.get_roster(JULIET, timeout=10))["roster"]["items"]) == {NURSE}
    with test("what is no more delegated is the server's again, in 2 seconds"):
        await reload(OTHER_GRANTS)
        assert await component.delegated(seconds=2) == []
        answer = await juliet.plugin["xep_0092"].get_version(HOST, timeout=10)
        assert answer["software_version"]["name"] == "Balcony", answer
        found = await features(juliet, HOST, lambda found: VERSION in found)
        assert OF_HOST not in found, found
    with test("without any privileges everything is refused, and nothing is told"):
        await reload("")
        told = await asyncio.gather(*(component.advertised(host, 2) for host in (HOST, OTHER)))
        for granted in told:
            found = granted.roster, granted.message, granted.presence
            assert found == ("none", "none", "none"), found
        await refused(roster_iq(component, JULIET), "forbidden")
        component.inbox.clear()
        await juliet.update_roster(NURSE, name="Angelica")
        await juliet.expect_push(NURSE, "none", name="Angelica")
        await nurse.logout()
        await juliet.expect_presence(nurse.boundjid.full, "unavailable")
        # What it would have been told would have come before this.
        await component.plugin["xep_0199"].send_ping(HOST, ifrom=NAME, timeout=10)
        rest = [s for s in component.inbox if s["from"].bare in (JULIET, NURSE)]
        assert not rest, rest
    with test("a component with another secret than the new one is put out"):
        config = server.config.read_text().replace(SECRET, "another")
        server.config.write_text(config)
        component.gone.clear()
        await asyncio.to_thread(server.command, "reload")
        await asyncio.wait_for(component.gone.wait(), 5)


async def play(server):
    juliet = await login(server, f"{JULIET}/balcony")
    component = await connecting(server)
    await being_told(component, juliet)
    await talking(component, juliet)
    await befriending(server, component, juliet)
    nurse = await login(server, f"{NURSE}/hall")
    await rosters(component, juliet)
    await messages(component, nurse)
    await requests(component, juliet, nurse)
    await watching(server, component)
    await delegating(component, juliet, nurse)
    component = await being_away(server, component, juliet)
    await reloading(server, component, juliet, nurse)
    await juliet.logout()


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup, {HOST: "", OTHER: ""}, COMPONENT + GRANTS + DELEGATION,
                    components=True).start()
    for jid in (JULIET, NURSE, TYBALT, MERCUTIO):
        server.add(jid, PASSWORD)
    asyncio.run(play(server))


run(main)
