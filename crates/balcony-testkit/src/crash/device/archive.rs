//! XEP-0313 Message Archive Management 1.1.3 as a client uses it: page after page.

use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Stanza};
use balcony_proto::xep::date_time;
use balcony_proto::xep::rsm::{Page, PageRequest, Place};
use balcony_proto::xml::Element;

use super::super::observed::{Archived, MessageId};

/// How an archive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From behind a message, or from the beginning, by `<after/>`.
    Forward,
    /// From the end, by `<before/>`.
    Backward,
    /// As forward, by the field `after-id` (§4.1.3).
    Field,
}

/// A walk through an archive.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) direction: Direction,
    /// Behind which message it begins.
    pub(super) after: Option<String>,
    /// All that came.
    pub(super) rows: Vec<Archived>,
    /// Of the page under way.
    page: Vec<Archived>,
    page_size: usize,
    /// The id of the request under way.
    pub(super) query: String,
    /// The next page stands behind, or before, this one.
    from: Option<String>,
}

/// What the end of a page calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// There is more.
    NextPage,
    /// This was all.
    Done,
}

impl Walk {
    pub(super) fn new(direction: Direction, after: Option<String>, page_size: usize) -> Self {
        Self {
            direction,
            from: after.clone(),
            after,
            rows: Vec::new(),
            page: Vec::new(),
            page_size,
            query: String::new(),
        }
    }

    /// The request for the next page.
    pub(super) fn request(&mut self, id: String) -> Stanza {
        self.page.clear();
        let from = self.from.clone();
        let place = match (self.direction, &from) {
            (Direction::Forward, Some(id)) => Place::After(id.clone()),
            (Direction::Backward, Some(id)) => Place::Before(id.clone()),
            (Direction::Backward, None) => Place::Last,
            (Direction::Forward | Direction::Field, _) => Place::First,
        };
        let set = PageRequest {
            max: Some(self.page_size),
            place,
        };
        let form = from.filter(|_| self.direction == Direction::Field);
        let query = Element::new(ns::MAM, "query")
            .with_attr("queryid", id.clone())
            .with_children(form.map(|id| after_id(&id)))
            .with_child(set.to_element());
        self.query = id.clone();
        Stanza::iq(IqType::Set, id).with_element(query)
    }

    /// A message came, in `<result/>` (§4.2). False when it is not of this request.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn result(&mut self, result: &Element) -> Result<bool, String> {
        if result.attr("queryid") != Some(&self.query) {
            return Ok(false);
        }
        let row = read(result).ok_or_else(|| {
            let text = String::from_utf8_lossy(&result.to_bytes("")).into_owned();
            format!("the archive has what nobody sent: {text}")
        })?;
        self.page.push(row);
        Ok(true)
    }

    /// The page ends, with `<fin/>` (§4.2).
    ///
    /// # Errors
    /// What it says does not fit what came.
    pub(super) fn end_of_page(&mut self, fin: &Element) -> Result<Then, String> {
        let set = fin.child(ns::RSM, "set").ok_or("a <fin/> without <set/>")?;
        let said = Page::parse(set).ends;
        let ends = self.page.first().zip(self.page.last());
        let ends = ends.map(|(a, b)| (a.archive_id.clone(), b.archive_id.clone()));
        if said != ends {
            return Err(format!("a page with {ends:?} at its ends has {said:?}"));
        }
        let complete = matches!(fin.attr("complete"), Some("true" | "1"));
        if !complete && ends.is_none() {
            return Err("an empty page that is not the last".to_owned());
        }
        let page = std::mem::take(&mut self.page);
        match self.direction {
            Direction::Backward => {
                self.from = ends.map(|(first, _)| first);
                drop(self.rows.splice(..0, page));
            }
            Direction::Forward | Direction::Field => {
                self.from = ends.map(|(_, last)| last);
                self.rows.extend(page);
            }
        }
        Ok(match complete {
            true => Then::Done,
            false => Then::NextPage,
        })
    }
}

/// The form with `after-id` alone.
fn after_id(id: &str) -> Element {
    let field = |name: &str, value: &str| {
        Element::new(ns::DATA_FORMS, "field")
            .with_attr("var", name)
            .with_child(Element::new(ns::DATA_FORMS, "value").with_text(value))
    };
    Element::new(ns::DATA_FORMS, "x")
        .with_attr("type", "submit")
        .with_child(field("FORM_TYPE", ns::MAM).with_attr("type", "hidden"))
        .with_child(field("after-id", id))
}

fn read(result: &Element) -> Option<Archived> {
    let forwarded = result.child(ns::FORWARD, "forwarded")?;
    let stamp = forwarded.child(ns::DELAY, "delay")?.attr("stamp")?;
    let message = forwarded.child(ns::CLIENT, "message")?;
    Some(Archived {
        archive_id: result.attr("id")?.to_owned(),
        id: MessageId::parse(&message.child_text(ns::CLIENT, "body")?)?,
        stamp: date_time::parse(stamp)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(query: &str, n: u32) -> Element {
        let text = format!(
            "<result xmlns='urn:xmpp:mam:2' queryid='{query}' id='a{n}'>\
             <forwarded xmlns='urn:xmpp:forward:0'>\
             <delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>\
             <message xmlns='jabber:client'><body>message 0-{n}.</body></message></forwarded></result>"
        );
        Element::parse(text.as_bytes(), "").unwrap()
    }

    fn fin(complete: bool, first: u32, last: u32) -> Element {
        let text = format!(
            "<fin xmlns='urn:xmpp:mam:2' complete='{complete}'>\
             <set xmlns='http://jabber.org/protocol/rsm'>\
             <first>a{first}</first><last>a{last}</last></set></fin>"
        );
        Element::parse(text.as_bytes(), "").unwrap()
    }

    #[test]
    fn pages_are_put_together_in_both_directions() {
        for (direction, pages, from) in [
            (Direction::Forward, [[1, 2], [3, 4]], "<after>a2</after>"),
            (Direction::Backward, [[3, 4], [1, 2]], "<before>a3</before>"),
            (Direction::Field, [[1, 2], [3, 4]], "<value>a2</value>"),
        ] {
            let mut walk = Walk::new(direction, None, 2);
            for (number, [first, last]) in pages.into_iter().enumerate() {
                let query = format!("q{number}");
                let request = String::from_utf8(walk.request(query.clone()).to_bytes()).unwrap();
                assert_eq!(request.contains(from), number == 1, "{request}");
                assert_eq!(walk.result(&result("other", 9)), Ok(false));
                assert_eq!(walk.result(&result(&query, first)), Ok(true));
                assert_eq!(walk.result(&result(&query, last)), Ok(true));
                let then = walk.end_of_page(&fin(number == 1, first, last)).unwrap();
                assert_eq!(then == Then::Done, number == 1);
            }
            let ids: Vec<_> = walk
                .rows
                .iter()
                .map(|row| row.archive_id.as_str())
                .collect();
            assert_eq!(ids, ["a1", "a2", "a3", "a4"], "{direction:?}");
        }
    }

    #[test]
    fn a_page_that_says_other_ends_than_it_has_is_refused() {
        let mut walk = Walk::new(Direction::Forward, None, 2);
        walk.request("q".into());
        walk.result(&result("q", 1)).unwrap();
        assert!(walk.end_of_page(&fin(true, 1, 2)).is_err());
    }
}
