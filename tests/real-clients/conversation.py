"""Two clients with nothing in common, slixmpp (Python) and profanity (C, libstrophe), log in over
TLS, add each other, see each other's presence and chat; who is away gets the message later."""

import asyncio
import contextlib
import time

from _client import Client, log_to
from _profanity import Profanity
from _report import run, test
from _server import Server

JULIET, ROMEO = "juliet@localhost", "romeo@localhost"
PASSWORD = "deny thy father and refuse thy name"


async def become_contacts(juliet, romeo):
    with test("profanity is asked for a subscription and allows it"):
        juliet.send_presence(pto=ROMEO, ptype="subscribe")
        await juliet.expect_push(ROMEO, "none", ask="subscribe")
        await shows(romeo, "Received authorization request", JULIET)
        romeo.type(f"/sub allow {JULIET}")
        await juliet.expect_presence(ROMEO, "subscribed")
        await juliet.expect_push(ROMEO, "to")
        await juliet.expect_presence(f"{ROMEO}/orchard")
    with test("slixmpp is asked for a subscription and allows it"):
        romeo.type(f"/sub request {JULIET}")
        await juliet.expect_presence(ROMEO, "subscribe")
        juliet.send_presence(pto=ROMEO, ptype="subscribed")
        await juliet.expect_push(ROMEO, "both")
        await shows(romeo, "Subscription received from", JULIET)
        await shows(romeo, f"++ {JULIET} (balcony) is online")
    with test("both rosters say so"):
        await juliet.get_roster(timeout=10)
        assert juliet.client_roster[ROMEO]["subscription"] == "both", juliet.client_roster
        romeo.type("/roster")
        await shows(romeo, JULIET, "- both")


async def see_each_other(juliet, romeo):
    with test("profanity sees slixmpp's status"):
        juliet.send_presence(pshow="away", pstatus="on the balcony")
        await shows(romeo, f"++ {JULIET} (balcony) is away", "on the balcony")
    with test("slixmpp sees profanity's status"):
        romeo.type('/status set dnd "fencing with Tybalt"')
        await juliet.expect_presence(f"{ROMEO}/orchard", show="dnd", status="fencing with Tybalt")
        romeo.type("/status set online")
        await juliet.expect_presence(f"{ROMEO}/orchard", show="")
        juliet.send_presence()
        await shows(romeo, f"++ {JULIET} (balcony) is online")


async def chat(juliet, romeo):
    with test("slixmpp's words reach profanity"):
        juliet.send_message(ROMEO, "wherefore art thou <Roméo> & 🌹?", mtype="chat")
        romeo.type("/win 2")
        await shows(romeo, f"{JULIET}/balcony: wherefore art thou <Roméo> & 🌹?")
    with test("profanity's words reach slixmpp"):
        romeo.type(f"/msg {JULIET} I take thee at thy word: <Romeo> & 🌹")
        message = await juliet.expect_message("I take thee at thy word: <Romeo> & 🌹")
        assert str(message["from"]) == f"{ROMEO}/orchard" and message["type"] == "chat", message


async def profanity_is_away(juliet, romeo):
    with test("slixmpp sees profanity leave"):
        romeo.quit()
        await juliet.expect_presence(f"{ROMEO}/orchard", "unavailable")
    sent = time.time()
    with test("profanity, back by STARTTLS, gets what was said meanwhile, in order and with its time"):
        for line in ("good night,", "good night!"):
            juliet.send_message(ROMEO, line, mtype="chat")
        # Long enough that the time of the message and that of the login differ.
        await asyncio.sleep(2.5)
        romeo.start("force")
        await shows(romeo, "logged in successfully")
        await juliet.expect_presence(f"{ROMEO}/orchard")
        await sees_juliet(romeo)
        romeo.type("/win 2")
        line = await shows(romeo, ": good night,")
        times = [time.strftime("%H:%M:%S", time.gmtime(sent + n)) for n in (0, 1)]
        assert line.startswith(tuple(times)), f"sent at {times[0]}, shown: {line}"
        await shows(romeo, ": good night!")
        lines = romeo.screen()
        assert lines.index("good night,") < lines.index("good night!"), lines
    with test("profanity gets it once"):
        romeo.quit()
        romeo.start("legacy")
        await shows(romeo, "logged in successfully")
        await sees_juliet(romeo)
        assert "<< chat message" not in romeo.screen(), romeo.screen()


async def slixmpp_is_away(server, juliet, romeo):
    with test("profanity sees slixmpp leave"):
        await juliet.logout()
        await shows(romeo, f"-- {JULIET} (balcony) is offline")
    with test("slixmpp, back by direct TLS, gets what was said meanwhile, with its time"):
        romeo.type(f"/msg {JULIET} parting is such sweet sorrow")
        await shows(romeo, "parting is such sweet sorrow")
        juliet = Client(server, f"{JULIET}/balcony", PASSWORD, direct=True)
        await juliet.login()
        message = await juliet.expect_message("parting is such sweet sorrow")
        delay = message.xml.find("{urn:xmpp:delay}delay")
        assert delay is not None and delay.get("from") in (JULIET, "localhost"), message
    with test("slixmpp, back again, has its roster and presence"):
        await juliet.expect_presence(f"{ROMEO}/orchard")
        assert ROMEO in juliet.client_roster, juliet.client_roster
    await juliet.logout()


async def shows(romeo, *texts):
    """Waits for the terminal while slixmpp goes on."""
    return await asyncio.to_thread(romeo.expect, *texts)


async def sees_juliet(romeo):
    """profanity announces nobody who was there before it; it tells when asked."""
    for _ in range(10):
        romeo.type(f"/info {JULIET}")
        with contextlib.suppress(AssertionError):
            return await asyncio.to_thread(romeo.expect, "balcony (0), online", seconds=1)
    raise AssertionError(f"profanity does not see juliet:\n{romeo.screen()}")


async def hold(server, folder, cleanup):
    juliet = Client(server, f"{JULIET}/balcony", PASSWORD)
    romeo = Profanity(folder, cleanup, server, ROMEO, PASSWORD)
    with test("slixmpp logs in by STARTTLS"):
        await juliet.login()
    with test("profanity logs in by direct TLS"):
        romeo.start("legacy")
        await shows(romeo, "logged in successfully")
    await become_contacts(juliet, romeo)
    await see_each_other(juliet, romeo)
    await chat(juliet, romeo)
    await profanity_is_away(juliet, romeo)
    await slixmpp_is_away(server, juliet, romeo)
    romeo.quit()


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup).start()
    for jid in (JULIET, ROMEO):
        server.add(jid, PASSWORD)
    asyncio.run(hold(server, folder, cleanup))
    with test("the server ends with exit code 0"):
        assert server.terminate() == 0, server.process.returncode


run(main)
