"""slixmpp as a client whose stanzas a test waits for."""

import asyncio
import logging
import sys
import time

from _report import SKIPPED

try:
    import slixmpp
except ImportError:
    print("slixmpp is not installed (Python package of that name)")
    sys.exit(SKIPPED)
from slixmpp.exceptions import IqError, XMPPError  # noqa: F401, for the scripts
from slixmpp.xmlstream import tostring


class LoginFailed(Exception):
    """The client is not logged in; the text says why."""


def log_to(folder):
    """Keeps the streams of all slixmpp clients of a script."""
    logging.basicConfig(filename=folder / "slixmpp.log", level=logging.DEBUG, force=True,
                        format="%(relativeCreated)d %(name)s %(message)s")


class Stream:
    """A stream of slixmpp, whoever's, that keeps every stanza until the test asks for it."""

    def watch(self):
        """Begins to keep what comes; to be called once, within the event loop."""
        self.inbox, self.came, self.errors = [], asyncio.Event(), []
        self.add_filter("in", self._keep)
        self.gone = asyncio.Event()
        self.add_event_handler("disconnected", lambda _: self.gone.set())
        self.add_event_handler("stream_error", lambda error: self.errors.append(error["condition"]))

    async def logout(self):
        """Ends the stream."""
        await self.disconnect(wait=5)

    async def ended(self, seconds=10):
        """Waits until the server has ended the stream."""
        await asyncio.wait_for(self.gone.wait(), seconds)

    def leave(self):
        """The connection is gone without a word."""
        self.cancel_connection_attempt()
        self.transport.abort()

    async def expect(self, what, matches, seconds=10):
        """Takes the first stanza for which `matches` is true, waiting for it."""
        end = time.monotonic() + seconds
        while True:
            for at, stanza in enumerate(self.inbox):
                if matches(stanza):
                    return self.inbox.pop(at)
            self.came.clear()
            try:
                await asyncio.wait_for(self.came.wait(), max(0.0, end - time.monotonic()))
            except asyncio.TimeoutError:
                seen = "\n    ".join(tostring(s.xml) for s in self.inbox)
                raise AssertionError(f"{self.requested_jid}: no {what}; it has:\n    {seen}") from None

    async def expect_message(self, body, sender=None, seconds=10):
        """Takes the message with this body."""
        return await self.expect(f"message {body!r}", lambda s: s.name == "message"
                                 and s["body"] == body and _is_from(s, sender), seconds)

    async def expect_presence(self, sender, kind="available", seconds=10, **values):
        """Takes a presence of this type with, say, `status` or `show` as given."""
        def matches(s):
            if s.name != "presence" or not _is_from(s, sender):
                return False
            typed = s.xml.get("type", "available") == kind
            return typed and all(s[key] == value for key, value in values.items())
        return await self.expect(f"presence {kind} {values} of {sender}", matches, seconds)

    async def expect_push(self, jid, subscription, seconds=10, **values):
        """Takes the roster push that says this of a contact."""
        def matches(s):
            if s.name != "iq" or s["type"] != "set":
                return False
            item = s.xml.find("{jabber:iq:roster}query/{jabber:iq:roster}item")
            wanted = {"jid": jid, "subscription": subscription, **values}
            return item is not None and all(item.get(k) == v for k, v in wanted.items())
        return await self.expect(f"push of {jid}: {subscription} {values}", matches, seconds)

    async def quiet(self, what, matches, seconds=0.7):
        """Nothing of this kind comes: what was sent before is answered, and some time is over."""
        try:
            await self.expect(what, matches, seconds)
        except AssertionError:
            return
        raise AssertionError(f"{self.requested_jid}: got {what}")

    def _keep(self, stanza):
        if isinstance(stanza, (slixmpp.Message, slixmpp.Presence, slixmpp.Iq)):
            self.inbox.append(stanza)
            self.came.set()
        return stanza


class Client(Stream, slixmpp.ClientXMPP):
    """A client that keeps every stanza until the test asks for it, and answers no subscription
    by itself."""

    def __init__(self, server, jid, password, direct=False, mech=None, authority=None):
        super().__init__(jid, password, sasl_mech=mech)
        self.ca_certs = (authority or server.authority).certificate
        self.enable_direct_tls, self.enable_starttls = direct, not direct
        self.listener = server.direct if direct else server.starttls
        self.roster.auto_authorize = self.roster.auto_subscribe = None
        self.watch()
        self.outcome = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: self._settle(None))
        for event in ("failed_all_auth", "connection_failed", "ssl_invalid_chain"):
            self.add_event_handler(event, lambda why, name=event: self._fail(name, why))

    async def login(self, presence=True, seconds=20):
        """Logs in, asks for the roster, and is available unless told otherwise."""
        self.connect("127.0.0.1", self.listener)
        await asyncio.wait_for(asyncio.shield(self.outcome), seconds)
        self.whitespace_keepalive = False
        await self.get_roster(timeout=10)
        if presence:
            self.send_presence()
            await self.expect("its own presence", lambda s: s.name == "presence"
                              and s["from"] == self.boundjid)
        return self

    def _settle(self, error):
        if not self.outcome.done():
            self.outcome.set_result(None) if error is None else self.outcome.set_exception(error)

    def _fail(self, name, why):
        self.cancel_connection_attempt()
        self._settle(LoginFailed(f"{name}: {why}"))


def _is_from(stanza, sender):
    if sender is None:
        return True
    return str(stanza["from"]) == sender or stanza["from"].bare == sender


async def refused(awaitable, condition):
    """The request is answered with this error."""
    try:
        await awaitable
    except XMPPError as error:
        assert error.condition == condition, f"{error.condition} instead of {condition}"
    else:
        raise AssertionError(f"no error instead of {condition}")
