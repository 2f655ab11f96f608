"""profanity (C, libstrophe) as the second device of an account: its own stream management and
carbons, which it turns on by itself, and the history that it fetches from the archive."""

import asyncio

from _client import log_to
from _device import Device
from _profanity import Profanity
from _report import run, test
from _server import Server

JULIET, ROMEO = "juliet@localhost", "romeo@localhost"
PASSWORD = "it is the east, and Juliet is the sun"


async def play(server, folder, cleanup):
    juliet = Device(server, f"{JULIET}/balcony", PASSWORD)
    romeo = Device(server, f"{ROMEO}/orchard", PASSWORD)
    for client in (juliet, romeo):
        await client.login()
    # Said before profanity was ever there.
    juliet.say(ROMEO, "how camest thou hither?")
    await romeo.hears(["how camest thou hither?"])
    romeo.say(JULIET, "with love's light wings")
    await juliet.hears(["with love's light wings"])
    profanity = Profanity(folder, cleanup, server, JULIET, PASSWORD)
    with test("profanity logs in, and turns stream management and carbons on"):
        profanity.start("legacy")
        await shows(profanity, "logged in successfully")
        await logs(profanity, "<enabled", "urn:xmpp:sm:3")
        await logs(profanity, "<enable", "urn:xmpp:carbons:2")
        # From here on it knows what the server can do.
        await logs(profanity, "connection_features_received")
    with test("it shows what was said before it was there (XEP-0313)"):
        profanity.type("/mam on")
        profanity.type(f"/msg {ROMEO}")
        await shows(profanity, "how camest thou hither?")
        await shows(profanity, "with love's light wings")
        lines = profanity.screen()
        assert lines.index("how camest") < lines.index("love's light wings"), lines
    with test("it shows what the other device says and hears (XEP-0280)"):
        juliet.say(ROMEO, "if they do see thee, they will murder thee")
        await shows(profanity, "if they do see thee, they will murder thee")
        romeo.say(f"{JULIET}/balcony", "I have night's cloak")
        await shows(profanity, "I have night's cloak")
    with test("the other device hears what it says"):
        profanity.type("by whose direction found'st thou out this place?")
        await juliet.hears(["by whose direction found'st thou out this place?"])
        await romeo.hears(["by whose direction found'st thou out this place?"])
    profanity.quit()
    await asyncio.gather(juliet.logout(), romeo.logout())


async def shows(profanity, *texts):
    """Waits for the terminal while slixmpp goes on."""
    return await asyncio.to_thread(profanity.expect, *texts)


async def logs(profanity, *texts):
    """Waits until a line of its own log holds all of this."""
    return await asyncio.to_thread(profanity.expect_logged, *texts)


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup).start()
    for jid in (JULIET, ROMEO):
        server.add(jid, PASSWORD)
    asyncio.run(play(server, folder, cleanup))
    with test("the server ends with exit code 0"):
        assert server.terminate() == 0, server.process.returncode


run(main)
