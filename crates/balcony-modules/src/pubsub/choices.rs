//! What the fields of a node's configuration may be, and in which words (XEP-0060 §16.4.4).

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

pub(super) const ACCESS: [(AccessModel, &str, &str); 4] = [
    (AccessModel::Open, "open", "Everybody"),
    (AccessModel::Presence, "presence", "Who sees my presence"),
    (AccessModel::Roster, "roster", "Groups of my contacts"),
    (AccessModel::Whitelist, "whitelist", "Whom I have listed"),
];
pub(super) const PUBLISH: [(PublishModel, &str, &str); 3] = [
    (PublishModel::Publishers, "publishers", "Publishers"),
    (PublishModel::Subscribers, "subscribers", "Subscribers"),
    (PublishModel::Open, "open", "Everybody"),
];
pub(super) const LAST: [(SendLast, &str, &str); 3] = [
    (SendLast::Never, "never", "Never"),
    (SendLast::OnSub, "on_sub", "To new subscribers"),
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
