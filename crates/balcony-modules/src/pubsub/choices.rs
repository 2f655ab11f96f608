//! What the fields of a node's configuration may be, and in which words (XEP-0060 §16.4.4).

use balcony_proto::jid::Jid;
use balcony_proto::xep::data_form::{Field, FieldType};

use super::access::{AccessModel, PublishModel};

/// How many items a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaxItems {
    /// So many.
    Of(u32),
    /// As many as the server allows (`max`).
    Most,
}

/// When the last item is sent to somebody without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendLast {
    Never,
    /// When they subscribe.
    OnSub,
    /// And when they come online.
    OnSubAndPresence,
}

/// How a notification is sent (§16.4.4, `pubsub#notification_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notification {
    /// For who is there (§12.7).
    Headline,
    /// Kept for who is absent, too.
    Normal,
}

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On an account, which owns it and whose contacts hear of it (XEP-0163).
    Account,
    /// On a service, which knows neither contacts nor presence.
    Service,
}

impl Place {
    /// Where the nodes of an owner are.
    pub(super) fn of(owner: &Jid) -> Place {
        match owner.local() {
            Some(_) => Place::Account,
            None => Place::Service,
        }
    }

    /// Who may be let in to its nodes.
    pub(super) fn access_models(self) -> &'static [Choice<AccessModel>] {
        match self {
            Place::Account => &ACCESS,
            Place::Service => &SERVICE_ACCESS,
        }
    }

    /// When last items may be sent.
    pub(super) fn send_last(self) -> &'static [Choice<SendLast>] {
        match self {
            Place::Account => &LAST,
            Place::Service => &SERVICE_LAST,
        }
    }
}

/// A value, the word for it, and what it means.
type Choice<T> = (T, &'static str, &'static str);

const OPEN: Choice<AccessModel> = (AccessModel::Open, "open", "Everybody");
const AUTHORIZE: Choice<AccessModel> = (
    AccessModel::Authorize,
    "authorize",
    "Whose subscription was approved",
);
const WHITELIST: Choice<AccessModel> = (
    AccessModel::Whitelist,
    "whitelist",
    "Whom an owner has listed",
);
pub(super) const ACCESS: [Choice<AccessModel>; 5] = [
    OPEN,
    (AccessModel::Presence, "presence", "Who sees my presence"),
    (AccessModel::Roster, "roster", "Groups of my contacts"),
    AUTHORIZE,
    WHITELIST,
];
const SERVICE_ACCESS: [Choice<AccessModel>; 3] = [OPEN, AUTHORIZE, WHITELIST];
pub(super) const NOTIFICATION: [Choice<Notification>; 2] = [
    (Notification::Headline, "headline", "To who is there"),
    (
        Notification::Normal,
        "normal",
        "Kept for who is absent, too",
    ),
];
pub(super) const PUBLISH: [Choice<PublishModel>; 3] = [
    (PublishModel::Publishers, "publishers", "Publishers"),
    (PublishModel::Subscribers, "subscribers", "Subscribers"),
    (PublishModel::Open, "open", "Everybody"),
];
const NEVER: Choice<SendLast> = (SendLast::Never, "never", "Never");
const ON_SUB: Choice<SendLast> = (SendLast::OnSub, "on_sub", "To new subscribers");
const SERVICE_LAST: [Choice<SendLast>; 2] = [NEVER, ON_SUB];
pub(super) const LAST: [Choice<SendLast>; 3] = [
    NEVER,
    ON_SUB,
    (
        SendLast::OnSubAndPresence,
        "on_sub_and_presence",
        "To new subscribers and to who comes online",
    ),
];

fn word<T: PartialEq + Copy>(all: &[(T, &'static str, &str)], one: T) -> &'static str {
    let found = all.iter().find(|(other, _, _)| *other == one);
    found.map_or("", |(_, word, _)| word)
}

pub(super) fn read<T: Copy>(all: &[(T, &str, &str)], text: &str) -> Option<T> {
    let found = all.iter().find(|(_, word, _)| *word == text);
    found.map(|(one, _, _)| *one)
}

pub(super) fn choice<T: PartialEq + Copy>(
    var: &str,
    label: &str,
    all: &[(T, &'static str, &str)],
    chosen: T,
) -> Field {
    let field = Field::new(FieldType::ListSingle, var).labelled(label);
    let offered = all.iter();
    let field = offered.fold(field, |field, (_, word, label)| {
        field.with_choice(*word, *label)
    });
    field.with_value(word(all, chosen))
}

impl AccessModel {
    pub(super) fn as_str(self) -> &'static str {
        word(&ACCESS, self)
    }
}

impl PublishModel {
    pub(super) fn as_str(self) -> &'static str {
        word(&PUBLISH, self)
    }
}

impl MaxItems {
    pub(super) fn written(self) -> String {
        match self {
            MaxItems::Of(number) => number.to_string(),
            MaxItems::Most => "max".to_owned(),
        }
    }

    /// How many it is where the server allows `limit`.
    pub(super) fn within(self, limit: u32) -> u32 {
        match self {
            MaxItems::Of(number) => number.min(limit),
            MaxItems::Most => limit,
        }
    }
}
