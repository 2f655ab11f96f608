//! What a device takes in: by its session at once, or after the archive has told what came before.

use std::collections::HashSet;

use balcony_proto::ns;
use balcony_proto::xml::Element;

use super::super::observed::{Archived, MessageId, Reception, Way};

/// The messages of a device.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// What was taken in, in order.
    pub(super) received: Vec<Reception>,
    seen: HashSet<String>,
    /// The archive's id of the newest message.
    last: Option<String>,
    /// What came by the session while the archive is being read. `None`: it is not.
    held: Option<Vec<Reception>>,
    /// The stream, by its number.
    stream: u32,
}

impl Inbox {
    /// Another stream: what was held back is forgotten, for the archive has it. What comes by the
    /// session waits from now on, until the archive has told what came before.
    pub(super) fn new_stream(&mut self) {
        self.stream += 1;
        self.held = Some(Vec::new());
    }

    /// The archive is read from behind the message that this answers; what comes by the session
    /// waits, so that everything is taken in in the order of the archive.
    pub(super) fn hold(&mut self) -> Option<String> {
        self.held.get_or_insert_default();
        self.last.clone()
    }

    /// The archive was read to its end.
    pub(super) fn release(&mut self) {
        for reception in self.held.take().unwrap_or_default() {
            self.take(reception);
        }
    }

    /// Begins at the beginning of the archive again.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// A message came by the session.
    pub(super) fn live(&mut self, id: MessageId, archive_id: Option<String>, late: bool) {
        let reception = Reception {
            id,
            archive_id,
            way: if late { Way::Late } else { Way::Live },
            stream: self.stream,
        };
        match &mut self.held {
            Some(held) => held.push(reception),
            None => self.take(reception),
        }
    }

    /// A message came from the archive.
    pub(super) fn archived(&mut self, row: &Archived) {
        self.take(Reception {
            id: row.id,
            archive_id: Some(row.archive_id.clone()),
            way: Way::Archive,
            stream: self.stream,
        });
    }

    fn take(&mut self, reception: Reception) {
        // What comes a second time is older than the newest.
        if let Some(id) = &reception.archive_id
            && self.seen.insert(id.clone())
        {
            self.last = Some(id.clone());
        }
        self.received.push(reception);
    }
}

/// What a message from the session brings: the message itself or, in a copy (XEP-0280), another.
pub(super) fn read(message: &Element, account: &str) -> Option<(MessageId, Option<String>, bool)> {
    let copies = ["received", "sent"];
    let copy = copies
        .iter()
        .find_map(|name| message.child(ns::CARBONS, name));
    let inner = copy
        .filter(|_| message.attr("from") == Some(account))
        .and_then(|copy| copy.child(ns::FORWARD, "forwarded"))
        .and_then(|forwarded| forwarded.child(ns::CLIENT, "message"));
    let message = inner.unwrap_or(message);
    let id = MessageId::parse(&message.child_text(ns::CLIENT, "body")?)?;
    // XEP-0359 §6: only one by our own account counts.
    let ours = |child: &&Element| {
        child.is(ns::STANZA_ID, "stanza-id") && child.attr("by") == Some(account)
    };
    let stanza_id = message.children().find(ours);
    let archive_id = stanza_id
        .and_then(|child| child.attr("id"))
        .map(str::to_owned);
    let late = message.child(ns::DELAY, "delay").is_some();
    Some((id, archive_id, late))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> MessageId {
        MessageId { sender: 0, n }
    }

    fn row(n: u32) -> Archived {
        Archived {
            archive_id: format!("a{n}"),
            id: id(n),
            stamp: 0,
        }
    }

    #[test]
    fn what_comes_while_the_archive_is_read_is_taken_in_behind_it() {
        let mut inbox = Inbox::default();
        inbox.new_stream();
        inbox.live(id(1), Some("a1".into()), false);
        assert_eq!(inbox.hold(), None, "it came before the archive was read");
        inbox.release();
        assert_eq!(inbox.hold().as_deref(), Some("a1"));
        inbox.live(id(4), Some("a4".into()), false);
        inbox.live(id(2), Some("a2".into()), true);
        (2..=3).for_each(|n| inbox.archived(&row(n)));
        inbox.release();
        let order: Vec<_> = inbox.received.iter().map(|one| one.id.n).collect();
        assert_eq!(order, [1, 2, 3, 4, 2]);
        assert_eq!(
            inbox.hold().as_deref(),
            Some("a4"),
            "a repetition is not news"
        );
    }

    #[test]
    fn a_message_and_a_copy_of_one_are_read_alike() {
        let message = "<message xmlns='jabber:client' to='b@localhost'><body>message 0-7.</body>\
            <stanza-id xmlns='urn:xmpp:sid:0' by='a@localhost' id='theirs'/>\
            <stanza-id xmlns='urn:xmpp:sid:0' by='b@localhost' id='ours'/></message>";
        let copy = |from: &str| {
            format!(
                "<message xmlns='jabber:client' from='{from}'><received xmlns='urn:xmpp:carbons:2'>\
                 <forwarded xmlns='urn:xmpp:forward:0'>{message}</forwarded></received></message>"
            )
        };
        let read = |text: &str| read(&Element::parse(text.as_bytes(), "").unwrap(), "b@localhost");
        let expected = Some((id(7), Some("ours".to_owned()), false));
        assert_eq!(read(message), expected);
        assert_eq!(read(&copy("b@localhost")), expected);
        assert_eq!(read(&copy("evil@localhost")), None);
    }
}
