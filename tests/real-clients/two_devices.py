"""slixmpp on two devices of one account, with its own stream management, carbons and archive: both
show the same history after a socket was cut, after an orderly restart, and after a kill."""

import asyncio
import time

from _client import log_to
from _device import Device
from _report import run, test
from _server import Server

JULIET, ROMEO = "juliet@localhost", "romeo@localhost"
BALCONY, CHAMBER, ORCHARD = f"{JULIET}/balcony", f"{JULIET}/chamber", f"{ROMEO}/orchard"
PASSWORD = "what's in a name? that which we call a rose"
# Messages of one client that the server may owe an acknowledgement for; slixmpp asks after five.
OPEN = 12
# Of each sender, heard before the server is killed: well in the middle, and soon there.
ENOUGH = 25
# Messages that each sender writes to its socket right before: more than are handled by then.
BURST = 40


async def chat(balcony, chamber, romeo):
    with test("what one device says or hears, the other hears too (XEP-0280)"):
        romeo.say(JULIET, "to the account")
        romeo.say(BALCONY, "to the balcony")
        romeo.say(CHAMBER, "to the chamber")
        balcony.say(ROMEO, "from the balcony")
        chamber.say(ROMEO, "from the chamber")
        theirs = ["to the account", "to the balcony", "to the chamber"]
        await balcony.hears([*theirs, "from the chamber"])
        await chamber.hears([*theirs, "from the balcony"])
        await romeo.hears(["from the balcony", "from the chamber"])
    with test("the server acknowledges what it has (XEP-0198 §4)"):
        for client in (balcony, chamber, romeo):
            await client.all_acknowledged()


async def cut(balcony, chamber, romeo):
    with test("a device that was cut off takes its session up again (XEP-0198 §5)"):
        for number in range(3):
            chamber.say(ROMEO, f"just before the cut {number}")
        await chamber.cut()
        meanwhile = [f"meanwhile {number}" for number in range(9)]
        for to, body in zip((JULIET, CHAMBER, BALCONY) * 3, meanwhile):
            romeo.say(to, body)
        balcony.say(ROMEO, "from the balcony meanwhile")
        await balcony.hears(meanwhile)
        await romeo.hears(["from the balcony meanwhile"])
        await chamber.resume()
    with test("and nothing is lost, in either direction"):
        await chamber.hears([*meanwhile, "from the balcony meanwhile"])
        await chamber.all_acknowledged()
        said = [f"just before the cut {number}" for number in range(3)]
        await romeo.hears(said)
        await balcony.hears(said)
    with test("and it goes on as before, carbons too"):
        romeo.say(BALCONY, "and then to the balcony")
        chamber.say(ROMEO, "and then from the chamber")
        await chamber.hears(["and then to the balcony"])
        await balcony.hears(["and then from the chamber"])


async def restart(server, balcony, chamber, romeo):
    with test("the sessions outlast an orderly restart, with what waits in them"):
        await chamber.cut()
        romeo.say(JULIET, "before the restart")
        romeo.say(CHAMBER, "before the restart, to the chamber")
        await balcony.hears(["before the restart", "before the restart, to the chamber"])
        begun = time.monotonic()
        code = await asyncio.to_thread(server.terminate)
        took = time.monotonic() - begun
        assert code == 0, code
        await asyncio.gather(balcony.ended(), romeo.ended())
        await asyncio.to_thread(server.start)
        for client in (romeo, balcony, chamber):
            await client.resume()
        await chamber.hears(["before the restart", "before the restart, to the chamber"])
    with test("the server did not wait for their clients"):
        # It gives what does not end by itself five seconds; a session that waits is none of it.
        assert took < 5, took
    with test("and they go on as before, carbons too"):
        romeo.say(CHAMBER, "after the restart")
        chamber.say(ROMEO, "after the restart, from the chamber")
        balcony.say(ROMEO, "after the restart, from the balcony")
        await balcony.hears(["after the restart", "after the restart, from the chamber"])
        await chamber.hears(["after the restart", "after the restart, from the balcony"])
        await romeo.hears(["after the restart, from the chamber", "after the restart, from the balcony"])
        for client in (balcony, chamber, romeo):
            await client.all_acknowledged()
    with test("until now everybody was told everything once"):
        for client in (balcony, chamber, romeo):
            assert not client.twice(), (client.boundjid, client.twice())
    with test("and in the order of the archive"):
        for client in (balcony, chamber, romeo):
            in_order(client, await client.archive())


async def kill(server, balcony, chamber, romeo):
    for client in (balcony, chamber, romeo):
        await client.catch_up()
    with test("the server is killed in the middle of the talk"):
        over = asyncio.Event()
        talkers = ((romeo, JULIET, "romeo"), (balcony, ROMEO, "balcony"), (chamber, ROMEO, "chamber"))
        talk = [asyncio.create_task(talking(*talker, over)) for talker in talkers]
        for hearer, name in ((romeo, "balcony"), (romeo, "chamber"), (chamber, "romeo")):
            await hearer.hears([f"{name} {number}" for number in range(ENOUGH)])
        over.set()
        await asyncio.gather(*talk)
        for client, to, name in talkers:
            for number in range(BURST):
                client.say(to, f"{name}, before the end {number}")
        for client in (balcony, chamber, romeo):
            await asyncio.wait_for(client.waiting_queue.join(), 10)
        # These are said to a server that is gone.
        for client, to, name in talkers:
            client.say(to, f"{name}, too late")
        server.kill()
        for client in (balcony, chamber, romeo):
            await client.ended()
            await asyncio.wait_for(client.waiting_queue.join(), 10)
        assert all(client.unacked for client in (balcony, chamber, romeo)), "all was acknowledged"
    with test("its sessions are over, and the clients bind new ones"):
        await asyncio.to_thread(server.start)
        for client in (romeo, balcony, chamber):
            await client.login()
            assert [names for names, _ in client.failures] == [["item-not-found"]], client.failures
    with test("what it had acknowledged is in the archive"):
        for client in (romeo, balcony, chamber):
            await client.catch_up()
            archived = {line.key for line in client.fetched.values()}
            lost = [line for key, (line, _) in client.said.items()
                    if key not in client.unacked and key not in archived]
            assert not lost, lost
    with test("and what else it says that it had handled, and no more (XEP-0198 §5)"):
        for client in (romeo, balcony, chamber):
            archived = {line.key for line in client.fetched.values()}
            (_, handled), unacked = client.failures[0], list(client.unacked)
            assert 0 <= handled <= len(unacked), client.failures
            there = [key in archived for key in unacked]
            assert there == [place < handled for place in range(len(unacked))], (handled, there)
    with test("the rest is said again, and all is acknowledged"):
        for client in (romeo, balcony, chamber):
            await client.say_again()
        for client in (romeo, balcony, chamber):
            await client.all_acknowledged()
    with test("and it goes on as before, carbons too"):
        romeo.say(BALCONY, "good night, good night!")
        chamber.say(ROMEO, "till it be morrow")
        await chamber.hears(["good night, good night!"])
        await balcony.hears(["till it be morrow"])
    with test("each was told of new messages in the order of the archive"):
        for client in (balcony, chamber, romeo):
            await client.all_acknowledged()
            await client.catch_up()
            in_order(client, client.fetched)


async def away(balcony, chamber, romeo):
    with test("devices that come back in the middle of the talk hear everything once"):
        for client in (balcony, chamber):
            await client.all_acknowledged()
            await client.logout()
            await client.ended()
        for number in range(2 * BURST):
            romeo.say(JULIET, f"nobody is there {number}")
        await romeo.all_acknowledged()
        places = [len(client.told) for client in (balcony, chamber)]
        over = asyncio.Event()
        talk = asyncio.create_task(talking(romeo, JULIET, "is anybody there", over))
        # With carbons from before they are available, as a modern client binds.
        for client in (balcony, chamber):
            await client.login(presence=False)
        for client in (balcony, chamber):
            client.send_presence()
        for client, place in zip((balcony, chamber), places):
            await client.until("told enough", lambda: len(client.told) > place + 3 * BURST)
        over.set()
        await talk
        romeo.say(JULIET, "so there you are")
        for client, place in zip((balcony, chamber), places):
            await client.hears(["so there you are"])
            assert not client.twice(place), (client.boundjid, client.twice(place))


async def talking(client, to, name, over):
    """Says one thing after another, as fast as the server takes it."""
    number = 0
    while not over.is_set():
        if len(client.unacked) < OPEN:
            client.say(to, f"{name} {number}")
            number += 1
            # What came meanwhile is handled before the next one is said.
            await asyncio.sleep(0)
        else:
            waiting = asyncio.create_task(client.until("ready", lambda: len(client.unacked) < OPEN))
            ended = asyncio.create_task(over.wait())
            await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
            for task in (waiting, ended):
                task.cancel()
            await asyncio.gather(waiting, ended, return_exceptions=True)


async def compare(balcony, chamber, romeo):
    for client in (balcony, chamber, romeo):
        await client.all_acknowledged()
        await client.catch_up()
    with test("both devices have the same history, by id, sender and text, in the same order"):
        ours, theirs = list(balcony.history().items()), list(chamber.history().items())
        assert ours == theirs, sorted(set(ours) ^ set(theirs))
    with test("it is whole, and has everything once"):
        said = {**balcony.said, **chamber.said, **romeo.said}
        for client in (balcony, romeo):
            had = sorted(client.history().values())
            wanted = sorted(line for line, _ in said.values())
            assert had == wanted, sorted(set(had) ^ set(wanted)) or "something is there twice"
    with test("a device that knows nothing yet finds the same (XEP-0313)"):
        for client in (balcony, chamber):
            fresh = await client.archive()
            assert list(fresh.items()) == list(client.history().items()), client.boundjid


def in_order(client, archive):
    """What it was told has the order of the archive, each message where it came first."""
    places = {id: place for place, id in enumerate(archive)}
    told = [places[id] for id in dict.fromkeys(id for id, _ in client.told)]
    wrong = [(a, b) for a, b in zip(told, told[1:]) if a > b]
    assert not wrong, f"{client.boundjid} was told {wrong} in the wrong order"


async def play(server):
    balcony, chamber, romeo = [Device(server, jid, PASSWORD) for jid in (BALCONY, CHAMBER, ORCHARD)]
    with test("slixmpp logs in with stream management and carbons, on two devices"):
        for client in (balcony, chamber, romeo):
            await client.login()
    await chat(balcony, chamber, romeo)
    await cut(balcony, chamber, romeo)
    await restart(server, balcony, chamber, romeo)
    await kill(server, balcony, chamber, romeo)
    await away(balcony, chamber, romeo)
    await compare(balcony, chamber, romeo)
    await asyncio.gather(*(client.logout() for client in (balcony, chamber, romeo)))


def main(folder, cleanup):
    log_to(folder)
    server = Server(folder, cleanup).start()
    for jid in (JULIET, ROMEO):
        server.add(jid, PASSWORD)
    asyncio.run(play(server))
    with test("the server ends with exit code 0"):
        assert server.terminate() == 0, server.process.returncode


run(main)
