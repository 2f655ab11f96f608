"""slixmpp as an external component: a gateway to Mantua, privileged where the server lets it."""

import asyncio
import contextlib

from _client import IqError, LoginFailed, Stream, slixmpp
from slixmpp.plugins.xep_0297 import Forwarded
from slixmpp.plugins.xep_0356.permissions import Permissions
from slixmpp.plugins.xep_0356.privilege import XEP_0356
from slixmpp.xmlstream import ElementBase, register_stanza_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

PLUGINS = ("xep_0030", "xep_0054", "xep_0092", "xep_0199", "xep_0297", "xep_0356")
ROMEO = "romeo@mantua.localhost"
NAME, SECRET = "mantua.localhost", "the pass to <Mantua> & back"
FRIAR = "Friar John"
VERSION = "jabber:iq:version"
DELEGATION = "urn:xmpp:delegation:2"
# Of the host and of accounts, what the component says it has of the namespace.
OF_HOST, OF_ACCOUNTS = VERSION + "#of-mantua", VERSION + "#of-exiles"


class Delegated(ElementBase):
    """A namespace that is the component's."""

    name = plugin_attrib = "delegated"
    namespace, plugin_multi_attrib = DELEGATION, "all_delegated"
    interfaces = {"namespace"}


class Delegation(ElementBase):
    """What is delegated, or a request that is; slixmpp has nothing for this document."""

    name = plugin_attrib = "delegation"
    namespace = DELEGATION


class Component(Stream, slixmpp.ComponentXMPP):
    """A component that answers no subscription by itself."""

    # None is collected while the loop runs: asyncio complains of the tasks that it leaves.
    former = []

    def __init__(self, server, name=NAME, secret=SECRET):
        super().__init__(name, secret, "127.0.0.1", server.components)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.privilege, self.disco = self.plugin["xep_0356"], self.plugin["xep_0030"]
        self.disco.add_identity("gateway", "xmpp", "Mantua")
        self.disco.add_item(ROMEO, "in exile")
        for separator, feature in ("::", OF_HOST), (":bare:", OF_ACCOUNTS):
            self.disco.add_feature(feature, node=f"{DELEGATION}{separator}{VERSION}")
        # The plugin keeps these in its classes: what a former component was granted is no news.
        XEP_0356.granted_privileges.clear()
        Permissions.iq.clear()
        self.watch()
        self.former.append(self)
        self.begun = asyncio.Event()
        self.add_event_handler("session_start", lambda _: self.begun.set())
        # What it answers to delegated requests, and those it was asked.
        self.answers, self.asked = self.result, []
        register_stanza_plugin(slixmpp.Iq, Delegation)
        register_stanza_plugin(slixmpp.Message, Delegation)
        register_stanza_plugin(Delegation, Delegated, iterable=True)
        register_stanza_plugin(Delegation, Forwarded)
        self.register_handler(Callback("Delegated", StanzaPath("iq@type=set/delegation"),
                                       self._answer))
        self.register_handler(Callback("Pushed", StanzaPath("iq@type=set/roster"),
                                       lambda push: push.reply().send()))

    async def login(self, seconds=10):
        """Connects, and is let in or not."""
        self.begun.clear()
        self.gone.clear()
        self.connect()
        waits = [asyncio.ensure_future(event.wait()) for event in (self.begun, self.gone)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not self.begun.is_set():
            self.cancel_connection_attempt()
            raise LoginFailed(f"{self.errors or 'nothing came'}")
        self.whitespace_keepalive = False
        return self

    async def advertised(self, host="localhost", seconds=10):
        """Takes the message that says what it may on a host; the answer is what the plugin has."""
        await self.expect(f"privileges on {host}", lambda s: s.name == "message"
                          and s["from"] == host and _has(s, "urn:xmpp:privilege:2", "privilege"),
                          seconds)
        return self.privilege.granted_privileges[host]

    async def delegated(self, seconds=10):
        """Takes the message that says what is delegated to it."""
        message = await self.expect("delegations", lambda s: s.name == "message"
                                    and _has(s, DELEGATION, "delegation"), seconds)
        return [each["namespace"] for each in message["delegation"]["all_delegated"]]

    def result(self, request):
        """The proper answer to a delegated request for the version."""
        answer = request.reply()
        answer["software_version"]["name"] = FRIAR
        return answer

    def _answer(self, iq):
        request = iq["delegation"]["forwarded"]["stanza"]
        self.asked.append(request)
        inner = self.answers(request)
        answer = iq.reply()
        if inner is None:
            answer["error"]["condition"] = "not-allowed"
        else:
            answer["delegation"]["forwarded"].append(inner)
        answer.send()


def _has(stanza, namespace, name):
    return stanza.xml.find(f"{{{namespace}}}{name}") is not None


def condition(stanza):
    """The condition of an error that came to a component. slixmpp looks for errors in
    jabber:client, and in the namespace of components only for all streams of a process."""
    error = stanza.xml.find("{jabber:component:accept}error")
    assert stanza.xml.get("type") == "error" and error is not None, stanza
    namespace = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
    return next(child.tag.removeprefix(namespace) for child in error
                if child.tag.startswith(namespace) and child.tag != f"{namespace}text")


async def refused(awaitable, wanted):
    """The component's request is answered with this error."""
    try:
        await asyncio.wait_for(awaitable, 10)
    except IqError as error:
        assert condition(error.iq) == wanted, f"{condition(error.iq)} instead of {wanted}"
    else:
        raise AssertionError(f"no error instead of {wanted}")


@contextlib.contextmanager
def not_permitted():
    """The plugin does not even ask the server."""
    try:
        yield
    except PermissionError:
        return
    raise AssertionError("the plugin thinks that it may")
