//! Namespace names. Every other file takes them from here.

/// Content namespace of client streams (RFC 6120 §4.8.3).
pub const CLIENT: &str = "jabber:client";
/// Content namespace of streams between servers (RFC 6120 §4.8.3).
pub const SERVER: &str = "jabber:server";
/// Content namespace of components (XEP-0114 §3).
pub const COMPONENT: &str = "jabber:component:accept";
/// The stream's own elements (RFC 6120 §4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Conditions of stream errors (RFC 6120 §4.9.2).
pub const STREAM_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions of stanza errors (RFC 6120 §8.3.2).
pub const STANZA_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// STARTTLS (RFC 6120 §5.2).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL negotiation (RFC 6120 §6.2).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Resource binding (RFC 6120 §7.2).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The session request of RFC 3921, now a no-op that clients may still send.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// The `xml` prefix, bound in every document (Namespaces in XML 1.0 §3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The `xmlns` prefix, which nothing may be bound to (Namespaces in XML 1.0 §3).
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Extensible SASL Profile (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// Bind 2 (XEP-0386).
pub const BIND2: &str = "urn:xmpp:bind:0";
/// Fast Authentication Streamlining Tokens (XEP-0484).
pub const FAST: &str = "urn:xmpp:fast:0";
/// Client access management (XEP-0494).
pub const CLIENT_ACCESS: &str = "urn:xmpp:cam:0";
/// SASL upgrade tasks (XEP-0480).
pub const SASL_UPGRADE: &str = "urn:xmpp:sasl:upgrade:0";
/// The upgrade tasks of SCRAM (XEP-0480 §3).
pub const SCRAM_UPGRADE: &str = "urn:xmpp:scram-upgrade:0";
/// Instant Authentication Pipelining (XEP-0509).
pub const IAP: &str = "urn:xmpp:iap:0";
/// Client Access Management (XEP-0494).
pub const CAM: &str = "urn:xmpp:cam:0";
/// SASL channel-binding types (XEP-0440).
pub const SASL_CB: &str = "urn:xmpp:sasl-cb:0";
/// SASL SCRAM downgrade protection (XEP-0474).
pub const SSDP: &str = "urn:xmpp:ssdp:0";
/// Stream limits (XEP-0478).
pub const LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Framing of WebSocket connections (RFC 7395 §3.3).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// Server dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// Stream feature of server dialback with errors (XEP-0220 §2.4.2).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// Bidirectional server streams (XEP-0288).
pub const BIDI: &str = "urn:xmpp:bidi";
/// Stream feature of bidirectional server streams (XEP-0288 §2.1).
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// Application-specific stream and stanza error conditions shared by XEPs (XEP-0182).
pub const ERRORS: &str = "urn:xmpp:errors";

/// Roster (RFC 6121 §2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Stream feature of roster versioning (RFC 6121 §2.6.1, XEP-0237).
pub const ROSTER_VER: &str = "urn:xmpp:features:rosterver";
/// Stream feature of subscription pre-approval (RFC 6121 §3.4).
pub const SUB_PREAPPROVAL: &str = "urn:xmpp:features:pre-approval";

/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Software version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";
/// Entity time (XEP-0202).
pub const TIME: &str = "urn:xmpp:time";
/// Last activity (XEP-0012).
pub const LAST: &str = "jabber:iq:last";
/// Private XML storage (XEP-0049).
pub const PRIVATE: &str = "jabber:iq:private";
/// vcard-temp (XEP-0054).
pub const VCARD: &str = "vcard-temp";
/// Avatar hash in presence (XEP-0153).
pub const VCARD_UPDATE: &str = "vcard-temp:x:update";
/// In-band registration (XEP-0077).
pub const REGISTER: &str = "jabber:iq:register";
/// Stream feature of in-band registration (XEP-0077 §8).
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
/// Ad-hoc commands (XEP-0050).
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Service administration (XEP-0133); its command nodes begin with this and `#`.
pub const ADMIN: &str = "http://jabber.org/protocol/admin";
/// Data forms (XEP-0004).
pub const DATA_FORMS: &str = "jabber:x:data";
/// Out-of-band data in iq (XEP-0066).
pub const OOB: &str = "jabber:x:oob";
/// Result set management (XEP-0059).
pub const RSM: &str = "http://jabber.org/protocol/rsm";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Message processing hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Blocking command (XEP-0191).
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// Error condition of the blocking command (XEP-0191 §3.5).
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// Reports on who is blocked (XEP-0377).
pub const REPORTING: &str = "urn:xmpp:reporting:1";
/// What a server tells of itself over publish-subscribe (XEP-0485).
pub const SERVER_INFO: &str = "urn:xmpp:serverinfo:0";
/// External service discovery (XEP-0215).
pub const EXTDISCO: &str = "urn:xmpp:extdisco:2";
/// Unique and stable stanza ids (XEP-0359).
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// vCards in their fourth version (XEP-0292).
pub const VCARD4: &str = "urn:ietf:params:xml:ns:vcard-4.0";
/// The node of one's own vCard (XEP-0292 §4.1).
pub const VCARD4_NODE: &str = "urn:xmpp:vcard4";
/// The node of vCards of contacts (XEP-0292 §5).
pub const CONTACT_VCARDS: &str = "urn:xmpp:contacts";
/// Entity capabilities 2.0 (XEP-0390).
pub const CAPS2: &str = "urn:xmpp:caps";
/// Hashes (XEP-0300).
pub const HASHES: &str = "urn:xmpp:hashes:2";
/// Stream management (XEP-0198).
pub const SM: &str = "urn:xmpp:sm:3";
/// Privileged entity (XEP-0356).
pub const PRIVILEGE: &str = "urn:xmpp:privilege:2";
/// Namespace delegation (XEP-0355).
pub const DELEGATION: &str = "urn:xmpp:delegation:2";
/// Client state indication (XEP-0352).
pub const CSI: &str = "urn:xmpp:csi:0";
/// Message carbons (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// disco feature of the rules for which messages are copied (XEP-0280 §6.2).
pub const CARBONS_RULES: &str = "urn:xmpp:carbons:rules:0";
/// Stanza forwarding (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// Chat state notifications (XEP-0085).
pub const CHATSTATES: &str = "http://jabber.org/protocol/chatstates";
/// Message delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// Displayed markers (XEP-0333).
pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Direct invitations to rooms (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";
/// disco feature of offline storage (XEP-0160 §6).
pub const OFFLINE: &str = "msgoffline";
/// The authentication of XMPP before RFC 3920 (XEP-0078), known only to refuse it.
pub const IQ_AUTH: &str = "jabber:iq:auth";
/// Message archive management (XEP-0313).
pub const MAM: &str = "urn:xmpp:mam:2";
/// The feature of an archive that is queried by ids, and flips pages (XEP-0313 §7).
pub const MAM_EXTENDED: &str = "urn:xmpp:mam:2#extended";
/// Validation of form fields (XEP-0122).
pub const VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
/// Message retraction (XEP-0424).
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// Last message correction (XEP-0308).
pub const CORRECTION: &str = "urn:xmpp:message-correct:0";
/// Moderated message retraction (XEP-0425).
pub const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// The feature of an archive that keeps tombstones (XEP-0424 §4).
pub const RETRACT_TOMBSTONE: &str = "urn:xmpp:message-retract:1#tombstone";
/// Jingle message initiation (XEP-0353).
pub const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
/// Reactions (XEP-0444).
pub const REACTIONS: &str = "urn:xmpp:reactions:0";
/// OMEMO of XEP-0384 0.3, which clients speak.
pub const OMEMO_OLD: &str = "eu.siacs.conversations.axolotl";
/// OpenPGP (XEP-0373).
pub const OPENPGP: &str = "urn:xmpp:openpgp:0";
/// Stateless file sharing (XEP-0447).
pub const SFS: &str = "urn:xmpp:sfs:0";
/// OMEMO (XEP-0384).
pub const OMEMO: &str = "urn:xmpp:omemo:2";
/// Multi-user chat (XEP-0045).
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// Multi-user chat, what the room tells its occupants (XEP-0045 §17.2).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Lists of roles and affiliations of rooms (XEP-0045).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Configuration of rooms (XEP-0045).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// Rooms reflect the id of a message (XEP-0045 §7.4).
pub const MUC_STABLE_ID: &str = "http://jabber.org/protocol/muc#stable_id";
/// Ids of occupants (XEP-0421).
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// Versions of the lists of rooms (XEP-0463).
pub const MAV: &str = "urn:xmpp:muc:affiliations:1";
/// Hats of occupants (XEP-0317).
pub const HATS: &str = "urn:xmpp:hats:0";
/// Commands about hats, and their forms (XEP-0317 §3).
pub const HATS_COMMANDS: &str = "urn:xmpp:hats:commands";
/// Publish-subscribe (XEP-0060).
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Publish-subscribe notifications (XEP-0060 §7.1.2.1).
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Options of a publication (XEP-0060 §7.1.5).
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// What owners of publish-subscribe nodes ask for (XEP-0060 §8).
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// Conditions of publish-subscribe (XEP-0060 §17.2).
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// The form of a node's configuration (XEP-0060 §16.4.4).
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// The form of a subscription's options (XEP-0060 §16.4.2).
pub const SUBSCRIBE_OPTIONS: &str = "http://jabber.org/protocol/pubsub#subscribe_options";
/// The form by which owners approve subscriptions (XEP-0060 §16.4.1).
pub const SUBSCRIBE_AUTHORIZATION: &str =
    "http://jabber.org/protocol/pubsub#subscribe_authorization";
/// The form of what a node tells about itself (XEP-0060 §16.4.3).
pub const NODE_META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";
/// The data of an avatar (XEP-0084 §4.1).
pub const AVATAR_DATA: &str = "urn:xmpp:avatar:data";
/// What an avatar is (XEP-0084 §4.2).
pub const AVATAR_METADATA: &str = "urn:xmpp:avatar:metadata";
/// Avatars in vCards are those that are published (XEP-0398 §2).
pub const AVATAR_CONVERSION: &str = "urn:xmpp:pep-vcard-conversion:0";
/// Bookmarks as items (XEP-0402).
pub const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";
/// Bookmarks as items are those of private storage (XEP-0402 §6).
pub const BOOKMARKS_COMPAT: &str = "urn:xmpp:bookmarks:1#compat";
/// Bookmarks in private storage (XEP-0048).
pub const BOOKMARKS_STORAGE: &str = "storage:bookmarks";
/// What was displayed (XEP-0490).
pub const MDS: &str = "urn:xmpp:mds:displayed:0";
/// What was displayed may be said in a message (XEP-0490 §4.5.2).
pub const MDS_ASSIST: &str = "urn:xmpp:mds:server-assist:0";
/// Push notifications (XEP-0357).
pub const PUSH: &str = "urn:xmpp:push:0";
/// What a push notification tells (XEP-0357 §7).
pub const PUSH_SUMMARY: &str = "urn:xmpp:push:summary";
/// What a message is encrypted with (XEP-0380).
pub const ENCRYPTION: &str = "urn:xmpp:eme:0";
/// Invitations to calls (XEP-0482).
pub const CALL_INVITES: &str = "urn:xmpp:call-invites:0";
/// Extended stanza addressing (XEP-0033).
pub const ADDRESS: &str = "http://jabber.org/protocol/address";
/// Nicknames (XEP-0172).
pub const NICK: &str = "http://jabber.org/protocol/nick";
