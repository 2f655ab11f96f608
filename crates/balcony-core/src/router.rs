//! Where a stanza goes: the rules of RFC 6120 §10 and RFC 6121 §8, as pure functions.
//!
//! `docs/routing.md` shows the same as a table, with a conversation for each cell.

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, MessageType, PresenceType};

/// Who handles an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host we serve, itself (RFC 6121 §8.2, RFC 6120 §10.5.2).
    Host,
    /// A bare or full JID on a host we serve.
    Account,
    /// A domain of a service of ours, or an address at it.
    Service,
    /// Anything else.
    Remote,
}

/// What a domainpart is to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A host with accounts.
    Host,
    /// One of a service.
    Service,
    /// Somebody else's.
    Foreign,
}

/// Tells who handles an address, given what its domainpart is.
#[must_use]
pub fn place(to: &Jid, domain: Domain) -> Place {
    match (domain, to.local()) {
        (Domain::Foreign, _) => Place::Remote,
        (Domain::Service, _) => Place::Service,
        (Domain::Host, Some(_)) => Place::Account,
        (Domain::Host, None) => Place::Host,
    }
}

/// What the delivery rules need to know of the addressed account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// The address is a bare JID.
    Bare,
    /// A full JID that a connected resource has.
    Matched,
    /// A full JID that no connected resource has.
    Unmatched,
}

/// What to do with a stanza for an account (RFC 6121 §8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// To the session with that full JID.
    Matching,
    /// To the available resources with the highest non-negative priority.
    MostAvailable,
    /// To all available resources with a non-negative priority.
    NonNegative,
    /// To all available resources, whatever their priority.
    AllAvailable,
    /// Nobody takes it now: `Stage::Undelivered` keeps it, or the sender gets an error.
    Undelivered,
    /// The sender gets `service-unavailable`.
    Bounce,
    /// Nothing happens.
    Ignore,
}

/// The rule for a message or presence. `receptive` tells whether there is an available resource
/// with a non-negative priority. Subscriptions and probes never come this far.
#[must_use]
pub fn rule(kind: Kind, addressed: Addressed, receptive: bool) -> Rule {
    match kind {
        Kind::Message(message) => message_rule(message, addressed, receptive),
        Kind::Presence(presence) => presence_rule(presence, addressed),
        // RFC 6121 §8.5.3.1, §8.5.3.2.3. A bare JID is answered for by the server, §8.5.2.1.3.
        Kind::Iq(_) => match addressed {
            Addressed::Matched => Rule::Matching,
            Addressed::Bare | Addressed::Unmatched => Rule::Bounce,
        },
    }
}

/// RFC 6121 §8.5.4, Table 1.
fn message_rule(message: MessageType, addressed: Addressed, receptive: bool) -> Rule {
    use MessageType::{Chat, Error, Groupchat, Headline, Normal};
    match (addressed, message) {
        // §8.5.3.1: a message for a connected resource is delivered, whatever its priority.
        (Addressed::Matched, _) => Rule::Matching,
        // §8.5.2.1.1: no available resource gets it; an error about an error would be a loop.
        (_, Error) => Rule::Ignore,
        (_, Groupchat) => Rule::Bounce,
        (Addressed::Bare, Normal) if receptive => Rule::NonNegative,
        // §8.5.4, the note: without an opt-in, chat goes to the most available resources.
        (Addressed::Bare | Addressed::Unmatched, Chat) if receptive => Rule::MostAvailable,
        (Addressed::Bare, Headline) if receptive => Rule::NonNegative,
        (Addressed::Bare, Normal) | (_, Chat) => Rule::Undelivered,
        // §8.5.2.2.1
        (Addressed::Bare, Headline) => Rule::Ignore,
        // §8.5.3.2.1: (b) tells the sender more than silence does.
        (Addressed::Unmatched, Normal | Headline) => Rule::Bounce,
    }
}

/// RFC 6121 §8.5.2.1.2, §8.5.3.1 and §8.5.3.2.2.
fn presence_rule(presence: PresenceType, addressed: Addressed) -> Rule {
    use PresenceType::{Available, Error, Unavailable};
    match (presence, addressed) {
        (Available | Unavailable | Error, Addressed::Matched) => Rule::Matching,
        (Available | Unavailable, Addressed::Bare) => Rule::AllAvailable,
        _ => Rule::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Addressed::{Bare, Matched, Unmatched};
    use MessageType::{Chat, Error, Groupchat, Headline, Normal};

    /// RFC 6121 §8.5.4, Table 1, row by row: normal, chat, groupchat, headline.
    #[test]
    fn messages_follow_the_table() {
        use Rule::{Bounce, Ignore, Matching, MostAvailable, NonNegative, Undelivered};
        let table = [
            (Bare, false, [Undelivered, Undelivered, Bounce, Ignore]),
            (Unmatched, false, [Bounce, Undelivered, Bounce, Bounce]),
            (Matched, false, [Matching; 4]),
            (
                Bare,
                true,
                [NonNegative, MostAvailable, Bounce, NonNegative],
            ),
            (Matched, true, [Matching; 4]),
            (Unmatched, true, [Bounce, MostAvailable, Bounce, Bounce]),
        ];
        for (addressed, receptive, expected) in table {
            for (kind, expected) in [Normal, Chat, Groupchat, Headline]
                .into_iter()
                .zip(expected)
            {
                let rule = rule(Kind::Message(kind), addressed, receptive);
                assert_eq!(
                    rule, expected,
                    "{kind:?} {addressed:?} receptive {receptive}"
                );
            }
        }
    }

    #[test]
    fn an_error_is_delivered_to_its_resource_or_ignored() {
        assert_eq!(rule(Kind::Message(Error), Matched, true), Rule::Matching);
        assert_eq!(rule(Kind::Message(Error), Bare, true), Rule::Ignore);
        assert_eq!(rule(Kind::Message(Error), Unmatched, true), Rule::Ignore);
    }

    #[test]
    fn presence_for_a_missing_resource_is_ignored() {
        let available = Kind::Presence(PresenceType::Available);
        assert_eq!(rule(available, Unmatched, true), Rule::Ignore);
        assert_eq!(rule(available, Bare, false), Rule::AllAvailable);
        assert_eq!(rule(available, Matched, false), Rule::Matching);
    }
}
