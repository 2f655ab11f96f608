//! RFC 6121 Appendix A.1: the states of a subscription, and the stanzas that move it.

use balcony_proto::stanza::PresenceType;
use balcony_store::Subscription;

use crate::roster::Standing;

/// A presence stanza that manages subscriptions (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Subscribe,
    Unsubscribe,
    Subscribed,
    Unsubscribed,
}

impl Verb {
    /// `None` for presence that does not manage subscriptions.
    pub(crate) fn of(presence: PresenceType) -> Option<Self> {
        match presence {
            PresenceType::Subscribe => Some(Self::Subscribe),
            PresenceType::Unsubscribe => Some(Self::Unsubscribe),
            PresenceType::Subscribed => Some(Self::Subscribed),
            PresenceType::Unsubscribed => Some(Self::Unsubscribed),
            _ => None,
        }
    }
}

/// The nine states of Appendix A.1, from the perspective of the user. A contact that is not in
/// the roster is in [`State::None`] or [`State::NoneIn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    None,
    NoneOut,
    NoneIn,
    NoneOutIn,
    To,
    ToIn,
    From,
    FromOut,
    Both,
}

impl State {
    /// The state of a roster item and a request that waits for the user. What the tables do not
    /// know, such as a request of somebody who is subscribed already, is read as the nearest.
    pub(crate) fn of(standing: Standing, pending_in: bool) -> Self {
        match (standing.subscription, standing.ask, pending_in) {
            (Subscription::None, false, false) => Self::None,
            (Subscription::None, true, false) => Self::NoneOut,
            (Subscription::None, false, true) => Self::NoneIn,
            (Subscription::None, true, true) => Self::NoneOutIn,
            (Subscription::To, _, false) => Self::To,
            (Subscription::To, _, true) => Self::ToIn,
            (Subscription::From, false, _) => Self::From,
            (Subscription::From, true, _) => Self::FromOut,
            (Subscription::Both, ..) => Self::Both,
        }
    }

    /// The part of the state that the roster item shows.
    pub(crate) fn subscription(self) -> Subscription {
        match self {
            Self::None | Self::NoneOut | Self::NoneIn | Self::NoneOutIn => Subscription::None,
            Self::To | Self::ToIn => Subscription::To,
            Self::From | Self::FromOut => Subscription::From,
            Self::Both => Subscription::Both,
        }
    }

    /// Pending out: the item says `ask='subscribe'`.
    pub(crate) fn pending_out(self) -> bool {
        matches!(self, Self::NoneOut | Self::NoneOutIn | Self::FromOut)
    }

    /// Pending in: a request waits for the user.
    pub(crate) fn pending_in(self) -> bool {
        matches!(self, Self::NoneIn | Self::NoneOutIn | Self::ToIn)
    }

    /// Whether the contact receives the user's presence.
    pub(crate) fn shows_presence(self) -> bool {
        matches!(self, Self::From | Self::FromOut | Self::Both)
    }
}
