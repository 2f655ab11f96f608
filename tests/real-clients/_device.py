"""slixmpp as one of several devices of an account: stream management, carbons, and a history that
it keeps from what it is told and what it fetches."""

import asyncio
import collections
import time

from _client import Client

PLUGINS = ("xep_0198", "xep_0280", "xep_0297", "xep_0313", "xep_0359")
MAM = "{urn:xmpp:mam:2}"
CONDITIONS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
# Results asked for at a time: few, so that every history has several pages.
PAGE = 20

# A message as a history has it; `key` is the id that its sender gave it.
Line = collections.namedtuple("Line", "sender body key")


class Device(Client):
    """A client that knows of each of its own messages whether the server has it."""

    def __init__(self, server, jid, password):
        super().__init__(server, jid, password)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.sm, self.carbons = self.plugin["xep_0198"], self.plugin["xep_0280"]
        # By archive id, in the order in which they came; each list for itself.
        self.told, self.fetched = [], {}
        # Own messages by their key: all, and those that the server has not acknowledged.
        self.said, self.unacked = {}, {}
        # For each resumption that failed: its conditions, and how many of the unacknowledged
        # messages are handled by its count; None without one.
        self.failures = []
        self.add_event_handler("message", self._heard)
        self.add_event_handler("carbon_received", lambda m: self._heard(m["carbon_received"]))
        self.add_event_handler("carbon_sent", lambda m: self._heard(m["carbon_sent"]))
        self.add_event_handler("stanza_acked", self._acknowledged)
        self.add_event_handler("sm_failed", self._not_resumed)

    async def login(self, presence=True, seconds=20):
        """Binds a new session, with stream management and carbons. A former one that the server
        takes up again makes it fail."""
        self.outcome, self.gone = asyncio.get_running_loop().create_future(), asyncio.Event()
        self.inbox.clear()
        enabled = self._next("sm_enabled")
        await super().login(presence, seconds)
        answer = await asyncio.wait_for(enabled, 10)
        assert answer["resume"] and answer["id"], answer
        await self.carbons.enable(timeout=10)
        return self

    async def resume(self, seconds=20):
        """Connects again and takes the former session up; a new one makes it fail."""
        self.gone = asyncio.Event()
        resumed, bound = self._next("session_resumed"), self._next("session_start")
        jid = self.boundjid
        self.connect("127.0.0.1", self.listener)
        done, _ = await asyncio.wait((resumed, bound), timeout=seconds,
                                     return_when=asyncio.FIRST_COMPLETED)
        assert resumed in done, f"{jid} is {'bound anew' if bound in done else 'not back'}"
        assert self.boundjid == jid, self.boundjid
        return self

    async def cut(self):
        """The connection is gone without a word, once what was said is written to it."""
        await asyncio.wait_for(self.waiting_queue.join(), 10)
        self.leave()
        await self.ended()

    def say(self, to, body):
        """Sends a chat message."""
        message = self.make_message(to, body, mtype="chat")
        key = message["id"]
        self.said[key] = self.unacked[key] = Line(str(self.boundjid), body, key), to
        message.send()

    async def say_again(self):
        """Sends what was not acknowledged once more, but for what the archive has already."""
        archived = {line.key for line in self.fetched.values()}
        for key, (line, to) in list(self.unacked.items()):
            del self.unacked[key]
            if key not in archived:
                del self.said[key]
                self.say(to, line.body)

    async def until(self, what, holds, seconds=20):
        """Waits until this is true; it is asked with each stanza and acknowledgement."""
        end = time.monotonic() + seconds
        while not holds():
            self.came.clear()
            try:
                await asyncio.wait_for(self.came.wait(), max(0.0, end - time.monotonic()))
            except asyncio.TimeoutError:
                raise AssertionError(f"{self.boundjid}: not {what}") from None

    async def hears(self, bodies, seconds=20):
        """Waits until it was told all of these."""
        wanted = set(bodies)
        heard = lambda: wanted <= {line.body for _, line in self.told}
        try:
            await self.until("heard", heard, seconds)
        except AssertionError:
            missing = wanted - {line.body for _, line in self.told}
            raise AssertionError(f"{self.boundjid} does not hear {sorted(missing)}") from None

    async def all_acknowledged(self):
        """Waits until the server has all that was said."""
        await asyncio.wait_for(self.waiting_queue.join(), 10)
        self.sm.request_ack()
        await self.until("acknowledged", lambda: not self.unacked)

    async def catch_up(self):
        """Fetches what the archive has behind the last message that was fetched."""
        lines = await self.archive(next(reversed(self.fetched), None))
        assert not self.fetched.keys() & lines.keys(), "a message was fetched twice"
        self.fetched.update(lines)

    async def archive(self, after=None):
        """What the archive has behind this id, or all of it; by id, in its order."""
        lines = {}
        while True:
            rsm = {"max": PAGE} if after is None else {"max": PAGE, "after": after}
            answer = await self.plugin["xep_0313"].retrieve(rsm=rsm, timeout=10)
            for result in answer["mam"]["results"]:
                id, message = result["mam_result"]["id"], result["mam_result"]["forwarded"]["stanza"]
                assert id not in lines, f"{id} came twice"
                lines[id] = _line(message)
            fin = answer.xml.find(f"{MAM}fin")
            if fin.get("complete") == "true":
                return lines
            after = answer["mam_fin"]["rsm"]["last"]
            assert after, answer

    def twice(self, since=0):
        """What it was told more than once, of the messages from this place on."""
        counts = collections.Counter(self.told[since:])
        return [line for (_, line), count in counts.items() if count > 1]

    def history(self):
        """All that is known by id, in the order of the archive as far as it was fetched; what was
        only told stands at the end."""
        lines = dict(self.fetched)
        for id, line in self.told:
            known = lines.setdefault(id, line)
            assert known == line, f"{id} is {known} and {line}"
        return lines

    def _heard(self, message):
        if message["type"] != "chat" or not message["body"]:
            return
        ids = [element.get("id") for element in message.xml.findall("{urn:xmpp:sid:0}stanza-id")
               if element.get("by") == self.boundjid.bare]
        assert len(ids) == 1, f"{ids} are the archive's ids of {message}"
        self.told.append((ids[0], _line(message)))
        self.came.set()

    def _acknowledged(self, stanza):
        self.unacked.pop(stanza["id"], None)
        self.came.set()

    def _not_resumed(self, failed):
        names = [child.tag.removeprefix(CONDITIONS) for child in failed.xml]
        handled = failed.xml.get("h")
        self.failures.append((names, None if handled is None else int(handled) - self.sm.last_ack))

    def _next(self, event):
        """What comes with the next event of this name."""
        future = asyncio.get_running_loop().create_future()
        self.add_event_handler(event, lambda what: future.done() or future.set_result(what),
                               disposable=True)
        return future


def _line(message):
    return Line(str(message["from"]), message["body"], message["id"])
