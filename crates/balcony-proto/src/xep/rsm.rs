//! XEP-0059 Result Set Management 1.0: asking for a page, and saying where it stands.

use std::ops::Range;

use crate::ns;
use crate::stanza::StanzaError;
use crate::xml::Element;

/// Which page is wanted: `<set/>` in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most (§2.1). `None`: not said; 0 asks for the count alone (§2.7).
    pub max: Option<usize>,
    /// Where it stands.
    pub place: Place,
}

/// Where the page stands in the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// At the beginning.
    #[default]
    First,
    /// Right after this item (§2.2).
    After(String),
    /// Right before this item (§2.3).
    Before(String),
    /// At the end (§2.5).
    Last,
    /// From this item on, counted from 0 (§2.6).
    Index(usize),
}

/// Which page it is: `<set/>` in a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The position of the first item in the whole, counted from 0.
    pub index: Option<usize>,
    /// The ids of the first and the last item; `None`: the page is empty.
    pub ends: Option<(String, String)>,
    /// How many items there are in all. `None`: not known.
    pub count: Option<usize>,
}

impl PageRequest {
    /// The `<set/>` among the children of a query. `None`: the whole is wanted.
    ///
    /// # Errors
    /// `bad-request` for numbers that are none, and for two places at once.
    pub fn within(query: &Element) -> Result<Option<Self>, StanzaError> {
        query
            .child(ns::RSM, "set")
            .map(PageRequest::parse)
            .transpose()
    }

    /// Reads a `<set/>`.
    ///
    /// # Errors
    /// As [`PageRequest::within`].
    pub fn parse(set: &Element) -> Result<Self, StanzaError> {
        let text = |name: &str| set.child_text(ns::RSM, name);
        let number = |name: &str| {
            let read = |text: String| text.trim().parse().map_err(|_| StanzaError::bad_request());
            text(name).map(read).transpose()
        };
        let place = match (text("after"), text("before"), number("index")?) {
            (None, None, None) => Place::First,
            // §2.2: without an item to follow, the page begins before the first.
            (Some(id), None, None) if id.is_empty() => Place::First,
            (Some(id), None, None) => Place::After(id),
            (None, Some(id), None) if id.is_empty() => Place::Last,
            (None, Some(id), None) => Place::Before(id),
            (None, None, Some(index)) => Place::Index(index),
            _ => return Err(StanzaError::bad_request()),
        };
        Ok(PageRequest {
            max: number("max")?,
            place,
        })
    }

    /// The `<set/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let (name, text) = match &self.place {
            Place::First => ("", String::new()),
            Place::After(id) => ("after", id.clone()),
            Place::Before(id) => ("before", id.clone()),
            Place::Last => ("before", String::new()),
            Place::Index(index) => ("index", index.to_string()),
        };
        let max = self.max.map(|max| child("max", &max.to_string()));
        let place = (!name.is_empty()).then(|| child(name, &text));
        Element::new(ns::RSM, "set").with_children(max.into_iter().chain(place))
    }

    /// The page of a list that is held as a whole, at most `limit` items, and what to say about it.
    ///
    /// # Errors
    /// `item-not-found` when there is no item of the id that the page is to stand next to (§2.4).
    pub fn page<T>(
        &self,
        list: &[T],
        limit: usize,
        id: impl Fn(&T) -> String,
    ) -> Result<(Range<usize>, Page), StanzaError> {
        let max = self.max.unwrap_or(limit).min(limit);
        let position = |wanted: &str| {
            let found = list.iter().position(|item| id(item) == wanted);
            found.ok_or_else(StanzaError::item_not_found)
        };
        let ending_at = |end: usize| end.saturating_sub(max)..end;
        let range = match &self.place {
            Place::First => 0..max,
            Place::After(wanted) => {
                let start = position(wanted)? + 1;
                start..start.saturating_add(max)
            }
            Place::Before(wanted) => ending_at(position(wanted)?),
            Place::Last => ending_at(list.len()),
            Place::Index(index) => *index..index.saturating_add(max),
        };
        let range = range.start.min(list.len())..range.end.min(list.len());
        let items = list.get(range.clone()).unwrap_or_default();
        let ends = items.first().zip(items.last());
        let page = Page {
            index: ends.is_some().then_some(range.start),
            ends: ends.map(|(first, last)| (id(first), id(last))),
            count: Some(list.len()),
        };
        Ok((range, page))
    }
}

impl Page {
    /// Reads a `<set/>` of a result.
    #[must_use]
    pub fn parse(set: &Element) -> Self {
        let first = set.child(ns::RSM, "first");
        Page {
            index: first.and_then(|first| first.attr("index")?.parse().ok()),
            ends: first
                .map(Element::text)
                .zip(set.child_text(ns::RSM, "last")),
            count: set
                .child_text(ns::RSM, "count")
                .and_then(|count| count.parse().ok()),
        }
    }

    /// The `<set/>` (§2.2).
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut set = Element::new(ns::RSM, "set");
        if let Some((first, last)) = &self.ends {
            let index = self.index.map(|index| index.to_string());
            set.push(child("first", first).with_opt_attr("index", index));
            set.push(child("last", last));
        }
        set.with_children(self.count.map(|count| child("count", &count.to_string())))
    }
}

fn child(name: &'static str, text: &str) -> Element {
    Element::new(ns::RSM, name).with_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Condition;

    const LIST: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn page(place: Place, max: usize) -> Result<(Range<usize>, Page), StanzaError> {
        let request = PageRequest {
            max: Some(max),
            place,
        };
        let again = PageRequest::parse(&request.to_element());
        assert_eq!(again.as_ref(), Ok(&request), "written and read back");
        request.page(&LIST, 3, |item| (*item).to_owned())
    }

    #[test]
    fn pages_stand_where_they_were_asked_for() {
        for (place, max, expected) in [
            (Place::First, 2, 0..2),
            (Place::First, 99, 0..3),
            (Place::After("b".into()), 2, 2..4),
            (Place::After("d".into()), 2, 4..5),
            (Place::After("e".into()), 2, 5..5),
            (Place::Before("c".into()), 1, 1..2),
            (Place::Before("c".into()), 3, 0..2),
            (Place::Last, 2, 3..5),
            (Place::Index(1), 2, 1..3),
            (Place::Index(usize::MAX), 2, 5..5),
            (Place::First, 0, 0..0),
        ] {
            let (range, page) = page(place.clone(), max).unwrap();
            assert_eq!(range, expected, "{place:?} {max}");
            assert_eq!(page.count, Some(5));
            assert_eq!(page.ends.is_none(), range.is_empty());
            assert_eq!(Page::parse(&page.to_element()), page);
        }
    }

    #[test]
    fn an_item_that_is_gone_is_not_found() {
        let error = page(Place::After("x".into()), 2).unwrap_err();
        assert_eq!(error.condition, Condition::ItemNotFound);
    }

    #[test]
    fn nonsense_is_a_bad_request() {
        for inside in [
            "<max>-1</max>",
            "<index>x</index>",
            "<after>a</after><before/>",
        ] {
            let text = format!("<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>");
            let set = Element::parse(text.as_bytes(), "").unwrap();
            let error = PageRequest::parse(&set).unwrap_err();
            assert_eq!(error.condition, Condition::BadRequest, "{inside}");
        }
    }
}
