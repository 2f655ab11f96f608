//! How often one account may have a room tell something to everybody (XEP-0045 §13.6).
//!
//! By account and not by session or nickname: leaving, coming back or a second device buys nothing.
//! There is no limit for the room as a whole, by which a few could silence all the others; what a
//! crowd says is for slow mode (XEP-0500) and for moderators. But the addresses of another server
//! are what that server says they are, as many as it likes: so those that are nothing to the room
//! share what one crowd of people may say.

use balcony_core::module::HostConfig;
use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::stanza::{ErrorType, StanzaError};

use super::{Affiliation, State};

/// Accounts whose pace is remembered before those who have rested are forgotten: some more than a
/// large room has.
pub(super) const MANY: usize = 10_000;

/// As how many accounts those of one other domain count together that are on no list of the room:
/// more than talk at the same time in the liveliest rooms, and few enough to be put out one by one.
const CROWD: u32 = 20;

const MINUTE: i64 = 60 * 1_000_000;

/// How much of one kind an account may have told.
#[derive(Clone, Copy, Debug)]
pub(in crate::muc) struct Rate {
    /// In the long run; at least 1.
    pub(in crate::muc) per_minute: u32,
    /// At once, after a rest; at least 1.
    pub(in crate::muc) burst: u32,
}

/// How much an account may have told.
#[derive(Clone, Copy, Debug)]
pub(in crate::muc) struct Rates<'c> {
    pub(in crate::muc) messages: Rate,
    pub(in crate::muc) presence: Rate,
    /// The hosts of this server, whose accounts are each limited alone.
    pub(in crate::muc) hosts: &'c [HostConfig],
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::muc) enum Told {
    /// A message, of whatever content.
    Message,
    /// Coming in, another nickname, another status. Who goes may always go.
    Presence,
}

/// The buckets of all who said something a short while ago.
#[derive(Debug, Default)]
pub(super) struct Paces(Map<(Whose, Told), Bucket>);

/// Who takes from a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    /// An account, by its bare JID.
    Account(Jid),
    /// Everybody of a domain who is on no list of the room.
    Crowd(Jid),
}

/// A token bucket, as the moment at which it is full again: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full: i64,
}

impl Bucket {
    /// Takes a token, if there is one.
    fn take(&mut self, rate: Rate, now: i64) -> bool {
        let token = MINUTE / i64::from(rate.per_minute.max(1));
        let empty = now.saturating_add(token.saturating_mul(i64::from(rate.burst.max(1))));
        // A clock that was set back, or a rate that is another now, makes nobody wait for longer
        // than an empty bucket does.
        self.full = self.full.clamp(now, empty);
        let full = self.full.saturating_add(token);
        let is_there = full <= empty;
        if is_there {
            self.full = full;
        }
        is_there
    }
}

impl State {
    /// Whether an account may have the room tell something to everybody now; it counts then.
    ///
    /// # Errors
    /// `policy-violation`, of type `wait` (RFC 6120 §8.3.3.12).
    pub(in crate::muc) fn keep_pace(
        &mut self,
        account: &Jid,
        told: Told,
        rates: &Rates<'_>,
        now: i64,
    ) -> Result<(), StanzaError> {
        let rate = match told {
            Told::Message => rates.messages,
            Told::Presence => rates.presence,
        };
        let is_ours = |host: &HostConfig| host.name == account.domain();
        let in_crowd =
            !rates.hosts.iter().any(is_ours) && self.affiliation(account) < Affiliation::Member;
        let Paces(paces) = &mut self.paces;
        if paces.len() >= MANY {
            paces.retain(|_, bucket| bucket.full > now);
            // So many at once are not slowed down one by one.
            if paces.len() >= MANY {
                paces.clear();
            }
        }
        let mut take = |whose, rate| paces.entry((whose, told)).or_default().take(rate, now);
        let crowd = Rate {
            per_minute: rate.per_minute.saturating_mul(CROWD),
            burst: rate.burst.saturating_mul(CROWD),
        };
        let may = take(Whose::Account(account.compact()), rate)
            && (!in_crowd || take(Whose::Crowd(account.domain_jid()), crowd));
        if may {
            return Ok(());
        }
        let mut error = StanzaError::policy_violation();
        error.etype = ErrorType::Wait;
        let what = match told {
            Told::Message => "messages",
            Told::Presence => "changes of presence",
        };
        Err(error.with_text(format!("{} {what} a minute in this room", rate.per_minute)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use balcony_proto::stanza::Condition;

    const SECOND: i64 = 1_000_000;
    const NOW: i64 = 1_000 * SECOND;

    const RATES: Rates<'static> = Rates {
        messages: Rate {
            per_minute: 60,
            burst: 3,
        },
        presence: Rate {
            per_minute: 6,
            burst: 1,
        },
        hosts: &[],
    };

    fn room() -> State {
        let jid = Jid::parse("coven@chat.localhost").unwrap();
        State::new(jid, Config::default(), [7; 64])
    }

    fn make_member(room: &mut State, who: &str) {
        let listed = super::super::Listed {
            affiliation: Affiliation::Member,
            nick: None,
            reason: None,
        };
        room.enlist(&Jid::parse(who).unwrap(), Some(listed));
    }

    /// How many of ten are let through.
    fn ten(room: &mut State, who: &str, told: Told, now: i64) -> usize {
        let account = Jid::parse(who).unwrap();
        let all = (0..10).filter(|_| room.keep_pace(&account, told, &RATES, now).is_ok());
        all.count()
    }

    #[test]
    fn a_burst_is_let_through_and_then_as_many_as_the_rate_says() {
        let mut room = room();
        let mut say = |now| ten(&mut room, "hag66@localhost", Told::Message, now);
        assert_eq!(say(NOW), 3);
        assert_eq!(say(NOW), 0);
        assert_eq!(say(NOW + SECOND - 1), 0);
        assert_eq!(say(NOW + SECOND), 1);
        assert_eq!(say(NOW + 3 * SECOND), 2);
        assert_eq!(say(NOW + 60 * SECOND), 3);
    }

    #[test]
    fn each_account_and_each_kind_has_its_own() {
        let mut room = room();
        assert_eq!(ten(&mut room, "hag66@localhost", Told::Message, NOW), 3);
        assert_eq!(ten(&mut room, "hag66@localhost", Told::Presence, NOW), 1);
        assert_eq!(ten(&mut room, "crone1@localhost", Told::Message, NOW), 3);
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nobody_for_long() {
        let mut room = room();
        make_member(&mut room, "hag66@localhost");
        assert_eq!(ten(&mut room, "hag66@localhost", Told::Message, NOW), 3);
        assert_eq!(ten(&mut room, "hag66@localhost", Told::Message, 0), 0);
        assert_eq!(ten(&mut room, "hag66@localhost", Told::Message, SECOND), 1);
    }

    #[test]
    fn strangers_of_one_domain_share_what_a_crowd_may_say() {
        let mut room = room();
        let mut say = |who: String| ten(&mut room, &who, Told::Message, NOW);
        let said: usize = (0..100).map(|n| say(format!("{n}@far.example"))).sum();
        assert_eq!(said, 3 * 20);
        assert_eq!(say("witch@near.example".to_owned()), 3);
        make_member(&mut room, "hag66@far.example");
        assert_eq!(ten(&mut room, "hag66@far.example", Told::Message, NOW), 3);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut room = room();
        for number in 0..=MANY / 2 {
            let account = Jid::parse(&format!("witch@far{number}.example")).unwrap();

            // Each fills two places. The first half has rested when the table is full.
            let now = NOW + if number < MANY / 4 { 0 } else { 60 * SECOND };
            let kept = room.keep_pace(&account, Told::Message, &RATES, now);
            assert!(kept.is_ok(), "{number}");
        }
        assert_eq!(room.paces.0.len(), MANY / 2 + 2);
        let slow = Jid::parse("hag66@localhost").unwrap();
        let refused = (0..4).map(|_| room.keep_pace(&slow, Told::Message, &RATES, NOW));
        let refused = refused.last().unwrap().unwrap_err();
        assert_eq!(refused.condition, Condition::PolicyViolation);
        assert_eq!(refused.etype, ErrorType::Wait);
    }
}
