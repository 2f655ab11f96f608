//! What clients have seen: the facts that the checker judges.

use std::fmt;

/// The n-th message that a device wrote. Its body says it, so that it is known wherever it comes
/// up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The device that wrote it, by its number.
    pub sender: usize,
    /// From 1, in the order in which they were written.
    pub n: u32,
}

impl MessageId {
    /// The body of the message.
    #[must_use]
    pub fn body(self) -> String {
        format!("message {self}.")
    }

    /// Reads a body.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        let id = body.strip_prefix("message ")?.strip_suffix('.')?;
        let (sender, n) = id.split_once('-')?;
        Some(Self {
            sender: sender.parse().ok()?,
            n: n.parse().ok()?,
        })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sender, self.n)
    }
}

/// What the server said of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Open,
    /// It counts as handled (XEP-0198 §4).
    Acknowledged,
    /// It was answered with an error, whose condition this is.
    Refused(String),
}

/// A message that a device sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Which.
    pub id: MessageId,
    /// The account that it is for, by its number.
    pub to: usize,
    /// What the server said of it.
    pub fate: Fate,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the session, as it was sent.
    Live,
    /// By the session, with a note that it is late (XEP-0203).
    Late,
    /// From the archive.
    Archive,
}

/// A message that a device got.
#[derive(Clone, Debug)]
pub struct Reception {
    /// Which.
    pub id: MessageId,
    /// Its id in the archive of the device's account (XEP-0359). `None`: it carried none.
    pub archive_id: Option<String>,
    /// How it came.
    pub way: Way,
    /// On which of the device's streams, counted from 1; a stream that is resumed stays the same.
    pub stream: u32,
}

/// A message as the archive has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Its id in the archive.
    pub archive_id: String,
    /// Which.
    pub id: MessageId,
    /// When the server took it on: microseconds since the Unix epoch.
    pub stamp: i64,
}

/// A walk through an archive that came to its end while others wrote.
#[derive(Clone, Debug)]
pub struct CatchUp {
    /// Behind which message it began. `None`: at the beginning.
    pub after: Option<String>,
    /// The ids that came, in order.
    pub ids: Vec<String>,
}

/// What a device saw.
#[derive(Clone, Debug, Default)]
pub struct DeviceFacts {
    /// Its account, by its number.
    pub account: usize,
    /// What it sent, in order.
    pub sent: Vec<Sent>,
    /// What it got, in the order in which it took it in.
    pub received: Vec<Reception>,
    /// Its walks through the archive.
    pub catch_ups: Vec<CatchUp>,
    /// What the server did that no server may, in words.
    pub faults: Vec<String>,
}

/// An archive at the end, read in several ways.
#[derive(Clone, Debug, Default)]
pub struct AccountFacts {
    /// Page by page from the beginning.
    pub forward: Vec<Archived>,
    /// Page by page from the end, brought into the same order.
    pub backward: Vec<Archived>,
    /// By the field `after-id` (XEP-0313 §4.1.3). `None`: the server does not have it.
    pub by_field: Option<Vec<Archived>>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// By their numbers.
    pub devices: Vec<DeviceFacts>,
    /// By their numbers.
    pub accounts: Vec<AccountFacts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_its_message_and_nothing_else_does() {
        let id = MessageId { sender: 3, n: 17 };
        assert_eq!(MessageId::parse(&id.body()), Some(id));
        for body in ["", "message 3-17", "message 3.", "message x-1."] {
            assert_eq!(MessageId::parse(body), None, "{body}");
        }
    }
}
