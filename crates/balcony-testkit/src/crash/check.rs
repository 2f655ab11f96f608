//! Judges what clients have seen. Pure: facts in, violations out.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::observed::{AccountFacts, Archived, DeviceFacts, Fate, MessageId, Observed, Sent, Way};

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Promise {
    /// What was acknowledged is in the archives of both.
    Kept,
    /// Nothing is there twice.
    Once,
    /// What an archive has was sent by a party to it.
    Sent,
    /// Everything is acknowledged, or refused, in the end.
    Answered,
    /// Each device gets what is for it.
    Received,
    /// What one sender sends comes in its order, and is archived so.
    InOrder,
    /// What comes by the session comes in the order of the archive (XEP-0313 §3.1).
    ArchiveOrder,
    /// An id that came with a message finds this message in the archive (XEP-0359 §6).
    KnownId,
    /// A walk through the archive misses nothing and repeats nothing.
    Whole,
    /// Time does not run backwards within an archive.
    Time,
    /// The protocol itself.
    Protocol,
    /// The server comes back.
    Up,
}

/// How a promise was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// The message that it is about, if it is about one.
    pub message: Option<MessageId>,
    /// The device that noticed, if one did.
    pub device: Option<usize>,
    /// In words.
    pub what: String,
}

impl Violation {
    /// The server did not start again.
    #[must_use]
    pub fn down(why: String) -> Self {
        Self {
            promise: Promise::Up,
            message: None,
            device: None,
            what: why,
        }
    }

    /// A device could not do what it had to do in time.
    #[must_use]
    pub fn stuck(device: usize) -> Self {
        Self {
            promise: Promise::Answered,
            message: None,
            device: Some(device),
            what: format!("device {device} did not get through"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.what)
    }
}

/// Everything that is wrong.
#[must_use]
pub fn check(observed: &Observed) -> Vec<Violation> {
    let mut check = Check {
        observed,
        found: Vec::new(),
    };
    check.archives();
    for (number, device) in observed.devices.iter().enumerate() {
        device.sent.iter().for_each(|sent| check.sent(number, sent));
        check.received(number, device);
        check.first_receptions_in_order(number, device);
        check.live_in_archive_order(number, device);
        check.known_ids(number, device);
        check.catch_ups(number, device);
        let faults = device.faults.iter();
        faults.for_each(|fault| check.say(Promise::Protocol, None, Some(number), fault.clone()));
    }
    check.found
}

struct Check<'a> {
    observed: &'a Observed,
    found: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn say(
        &mut self,
        promise: Promise,
        message: Option<MessageId>,
        device: Option<usize>,
        what: String,
    ) {
        self.found.push(Violation {
            promise,
            message,
            device,
            what,
        });
    }

    fn account_of(&self, device: usize) -> Option<usize> {
        self.observed.devices.get(device).map(|facts| facts.account)
    }

    fn forward(&self, account: usize) -> &'a [Archived] {
        let account = self.observed.accounts.get(account);
        account.map_or(&[], |account| account.forward.as_slice())
    }

    /// (a), (b): what became of a message in the two archives.
    fn sent(&mut self, device: usize, sent: &Sent) {
        if sent.fate == Fate::Open {
            let what = format!("{} was neither acknowledged nor refused", sent.id);
            self.say(Promise::Answered, Some(sent.id), Some(device), what);
        }
        for account in self.account_of(device).into_iter().chain([sent.to]) {
            let times = self.forward(account).iter().filter(|row| row.id == sent.id);
            match (times.count(), &sent.fate) {
                (0, Fate::Acknowledged) => {
                    let what = format!("{} was acknowledged; archive {account} lacks it", sent.id);
                    self.say(Promise::Kept, Some(sent.id), Some(device), what);
                }
                (0 | 1, _) => {}
                (times, _) => {
                    let what = format!("{} is {times} times in archive {account}", sent.id);
                    self.say(Promise::Once, Some(sent.id), Some(device), what);
                }
            }
        }
    }

    /// (c): each device of the recipient got it, and the sender's other devices did.
    fn received(&mut self, number: usize, device: &DeviceFacts) {
        let got: HashSet<MessageId> = device.received.iter().map(|one| one.id).collect();
        for (sender, facts) in self.observed.devices.iter().enumerate() {
            for sent in &facts.sent {
                let concerned = sent.to == device.account || facts.account == device.account;
                let due = concerned && sender != number && sent.fate == Fate::Acknowledged;
                if due && !got.contains(&sent.id) {
                    let what = format!("device {number} never got {}", sent.id);
                    self.say(Promise::Received, Some(sent.id), Some(number), what);
                }
            }
        }
    }

    fn first_receptions_in_order(&mut self, number: usize, device: &DeviceFacts) {
        let mut seen = HashSet::new();
        let first = device.received.iter().map(|one| one.id);
        let first = first.filter(|id| seen.insert(*id)).collect();
        let out_of_order = backwards(first);
        for (before, id) in out_of_order {
            let what = format!("device {number} got {id} only after {before}");
            self.say(Promise::InOrder, Some(id), Some(number), what);
        }
    }

    fn live_in_archive_order(&mut self, number: usize, device: &DeviceFacts) {
        let places = places(self.forward(device.account));
        let mut seen = HashSet::new();
        let mut last: Option<(u32, usize, MessageId)> = None;
        for one in &device.received {
            let first = seen.insert(one.id);
            let place = one.archive_id.as_deref().and_then(|id| places.get(id));
            let Some(&place) = place.filter(|_| first && one.way == Way::Live) else {
                continue;
            };
            if let Some((stream, before, id)) = last
                && stream == one.stream
                && place < before
            {
                let what = format!(
                    "device {number} got {} live after {id}, which stands behind it in the archive",
                    one.id
                );
                self.say(Promise::ArchiveOrder, Some(one.id), Some(number), what);
            }
            last = Some((one.stream, place, one.id));
        }
    }

    /// (d): an id that came is known, and means the same message.
    fn known_ids(&mut self, number: usize, device: &DeviceFacts) {
        let archive = self.forward(device.account);
        let places = places(archive);
        for one in &device.received {
            let Some(archive_id) = &one.archive_id else {
                continue;
            };
            let row = places.get(archive_id.as_str());
            let row = row.and_then(|place| archive.get(*place));
            let what = match row {
                Some(row) if row.id == one.id => continue,
                Some(row) => format!("{archive_id} came with {} and finds {}", one.id, row.id),
                None => format!("{archive_id} came with {} and is not known", one.id),
            };
            self.say(Promise::KnownId, Some(one.id), Some(number), what);
        }
    }

    /// (e): what a walk through the archive gave is a part of the whole without a gap.
    fn catch_ups(&mut self, number: usize, device: &DeviceFacts) {
        let archive = self.forward(device.account);
        let places = places(archive);
        for walk in &device.catch_ups {
            let after = walk.after.as_deref();
            let Some(start) = after.map_or(Some(0), |id| Some(places.get(id)? + 1)) else {
                let what = format!("device {number} caught up after {after:?}, which is gone");
                self.say(Promise::Whole, None, Some(number), what);
                continue;
            };
            let whole = archive.iter().skip(start).map(|row| &row.archive_id);
            let at = walk.ids.iter().zip(whole.clone());
            let same = at.take_while(|(came, there)| came == there).count();
            if same < walk.ids.len() {
                let what = format!(
                    "device {number} caught up after {after:?}; the {same}th of {} messages was \
                     not the next in the archive",
                    walk.ids.len()
                );
                let message = archive.get(start + same).map(|row| row.id);
                self.say(Promise::Whole, message, Some(number), what);
            }
        }
    }

    fn archives(&mut self) {
        for (number, account) in self.observed.accounts.iter().enumerate() {
            self.pages_agree(number, account);
            let ids = account.forward.iter().map(|row| row.id);
            for (before, id) in backwards(ids.collect()) {
                let what = format!("{id} stands behind {before} in archive {number}");
                self.say(Promise::InOrder, Some(id), None, what);
            }
            for pair in account.forward.windows(2) {
                if let [before, row] = pair
                    && row.stamp < before.stamp
                {
                    let what = format!("archive {number}: {} is earlier than before it", row.id);
                    self.say(Promise::Time, Some(row.id), None, what);
                }
            }
            for row in &account.forward {
                let sent = self.observed.devices.get(row.id.sender);
                let sent = sent.and_then(|facts| {
                    let found = facts.sent.iter().find(|sent| sent.id == row.id);
                    found.map(|sent| [facts.account, sent.to])
                });
                if !sent.is_some_and(|parties| parties.contains(&number)) {
                    let what = format!("archive {number} has {}, which is not its", row.id);
                    self.say(Promise::Sent, Some(row.id), None, what);
                }
            }
        }
    }

    fn pages_agree(&mut self, number: usize, account: &AccountFacts) {
        let others = [
            ("from the end", Some(&account.backward)),
            ("by after-id", account.by_field.as_ref()),
        ];
        for (how, other) in others {
            let Some(other) = other.filter(|other| **other != account.forward) else {
                continue;
            };
            let pairs = account.forward.iter().zip(other);
            let same = pairs.take_while(|(one, two)| one == two).count();
            let what = format!(
                "archive {number} has {} messages from the beginning and {} {how}; they part \
                 at the {same}th",
                account.forward.len(),
                other.len()
            );
            let message = account.forward.get(same).map(|row| row.id);
            self.say(Promise::Whole, message, None, what);
        }
        let ids: HashSet<&str> = places(&account.forward).into_keys().collect();
        if ids.len() < account.forward.len() {
            let what = format!("archive {number} has an id for two messages");
            self.say(Promise::Whole, None, None, what);
        }
    }
}

/// Where each id stands.
fn places(archive: &[Archived]) -> HashMap<&str, usize> {
    let rows = archive.iter().enumerate();
    rows.map(|(place, row)| (row.archive_id.as_str(), place))
        .collect()
}

/// Pairs of one sender's messages that stand in the wrong order: the later one, and the earlier
/// one that comes behind it. The same one twice is another matter.
fn backwards(ids: Vec<MessageId>) -> Vec<(MessageId, MessageId)> {
    let mut latest: HashMap<usize, MessageId> = HashMap::new();
    let mut found = Vec::new();
    for id in ids {
        let last = latest.entry(id.sender).or_insert(id);
        if id.n < last.n {
            found.push((*last, id));
        } else {
            *last = id;
        }
    }
    found
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
