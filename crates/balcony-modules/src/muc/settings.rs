//! `[muc]`: who may make rooms, and what a new one is.

use balcony_core::module::{Config as Server, Core, KeyKind, Section, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, PresenceType, Stanza, StanzaError};

use super::room::{Config, Rate, Rates};
use crate::keys::key;

/// `[muc]`; its domains are declared with the other domains of the server.
pub(super) static SECTION: Section = Section {
    name: "muc",
    doc: "",
    list: false,
    keys: &[
        key(
            "create",
            KeyKind::Choice(&["everyone", "accounts", "admins"]),
            "\"accounts\"",
            "Who may make rooms: everyone, also from other servers; the accounts of this server; \
             or the admins of a host.",
        ),
        key(
            "rooms_per_account",
            KeyKind::Int {
                min: 1,
                max: 100_000,
            },
            "100",
            "Rooms that one address may own on one domain; another one is refused with \
             `resource-constraint`. A hundred is more than people keep up with.",
        ),
        key(
            "occupants",
            KeyKind::Int {
                min: 1,
                max: 100_000,
            },
            "5000",
            "Nicknames in one room. Each new one is told to all others, and all others to it.",
        ),
        key(
            "message_bytes",
            KeyKind::Size {
                min: 1_024,
                max: 1 << 20,
            },
            "\"64KiB\"",
            "Bytes of a message to a room or one of its occupants; a larger one is refused with \
             `policy-violation`. A room sends each to everybody: the default holds a long text \
             encrypted for some hundred devices.",
        ),
        key(
            "presence_bytes",
            KeyKind::Size {
                min: 1_024,
                max: 1 << 20,
            },
            "\"8KiB\"",
            "The same for presence. What clients show of themselves takes about one kilobyte.",
        ),
        key(
            "messages_per_minute",
            KeyKind::Int {
                min: 1,
                max: 60_000,
            },
            "120",
            "Messages of one account that a room tells to everybody, in the long run, of whatever \
             content; one more is refused with `policy-violation`, to be tried again later. Two a \
             second are more than people write, with all that clients tell of their typing and \
             reading.",
        ),
        key(
            "message_burst",
            KeyKind::Int {
                min: 1,
                max: 10_000,
            },
            "50",
            "Messages of one account at once, after a rest: a client that sends what was written \
             while it was away, or a bot with the news of a night.",
        ),
        key(
            "presences_per_minute",
            KeyKind::Int {
                min: 1,
                max: 60_000,
            },
            "30",
            "How often one account may come into a room, take another nickname or show another \
             status there, in the long run. Whoever goes may always go.",
        ),
        key(
            "presence_burst",
            KeyKind::Int {
                min: 1,
                max: 10_000,
            },
            "20",
            "The same at once, after a rest: several devices that come in again after the server \
             or the network was away.",
        ),
        key(
            "public",
            KeyKind::Bool,
            "false",
            "Whether a new room is listed for everybody, until its owner decides.",
        ),
        key(
            "persistent",
            KeyKind::Bool,
            "false",
            "Whether a new room is there while nobody is in it, until its owner decides.",
        ),
        key(
            "archive",
            KeyKind::Bool,
            "true",
            "Whether a new room keeps an archive (XEP-0313), until its owner decides. What is \
             archived is on the disk before anybody in the room gets it.",
        ),
        key(
            "history",
            KeyKind::Int { min: 0, max: 1_000 },
            "20",
            "Messages of its history that a room sends a newcomer, until its owner decides. What \
             is older is in its archive.",
        ),
    ],
};

/// Occupants of one room.
pub(super) fn max_users(config: &Server) -> usize {
    let most: u32 = config.values(SECTION.name).int("occupants");
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// What one account may have a room tell to everybody.
pub(super) fn rates(config: &Server) -> Rates<'_> {
    let values = config.values(SECTION.name);
    let rate = |per_minute, burst| Rate {
        per_minute: values.int(per_minute),
        burst: values.int(burst),
    };
    Rates {
        messages: rate("messages_per_minute", "message_burst"),
        presence: rate("presences_per_minute", "presence_burst"),
        hosts: &config.hosts,
    }
}

/// §14.6: whether a stanza is too large to be told to everybody in a room.
pub(super) fn is_too_large(config: &Server, stanza: &Stanza) -> bool {
    let key = match stanza.kind {
        // What is no content of a room: an error quotes what it is about.
        _ if stanza.is_error() => return false,
        Kind::Message(_) => "message_bytes",
        Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => "presence_bytes",
        Kind::Presence(_) | Kind::Iq(_) => return false,
    };
    stanza.payload.len() > config.values(SECTION.name).size(key)
}

/// What a room is that somebody is about to make.
///
/// # Errors
/// `not-allowed` for whoever may not (XEP-0045 §7.2.11, §10.1.1), `resource-constraint` for whoever
/// has too many.
pub(super) async fn may_create(
    core: &Core,
    room: &Jid,
    owner: &Jid,
) -> Result<Config, StanzaError> {
    let server = core.config();
    let values = server.values(SECTION.name);
    let admin = core.is_admin_anywhere(owner);
    let allowed = match values.choice("create") {
        "everyone" => true,
        "accounts" => core.host(owner.domain()).is_some(),
        _ => admin,
    };
    if !(allowed || admin) {
        return Err(StanzaError::not_allowed().with_text("rooms are made by others here"));
    }
    let owned = core.store().rooms().owned_by(room.domain(), owner.as_str());
    let owned = owned.await.map_err(|cause| stanza_error(&cause))?;
    if owned >= values.int::<u32>("rooms_per_account") && !admin {
        let error = StanzaError::resource_constraint();
        return Err(error.with_text("you own as many rooms as one may here"));
    }
    Ok(Config {
        public: values.bool("public"),
        persistent: values.bool("persistent"),
        archive: values.bool("archive"),
        history: values.int("history"),
        ..Config::default()
    })
}
