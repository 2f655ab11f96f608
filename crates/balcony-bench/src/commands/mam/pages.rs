//! XEP-0313 Message Archive Management 1.1.3: users that ask for the last pages of their archives,
//! and what has to be true of a page.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Duration, Instant};

use balcony_proto::ns;
use memchr::memmem::{self, Finder};

use crate::error::{Error, Result};
use crate::measure::Histogram;
use crate::wire::{Bound, Engine, Load, markup};

/// Each session asks for the last page of its archive.
pub(super) struct Pages {
    askers: Vec<Asker>,
    size: usize,
    /// Fewer results than `size` are no page.
    whole: bool,
    /// Who has a page asks for it again.
    again: bool,
    asked: usize,
    count: u64,
    latency: Histogram,
    result: Finder<'static>,
}

/// One user and the page that is coming.
struct Asker {
    /// Of this query; its ids are made of it.
    number: u64,
    at: Instant,
    results: usize,
    /// Over the archive's ids of this page.
    digest: DefaultHasher,
    /// The ids of the first page, which are not to repeat.
    ids: HashSet<Vec<u8>>,
    /// What the first page was: the archive does not change, and neither do its pages.
    page: Option<u64>,
    /// Messages in the archive, where the server tells.
    archived: Option<u64>,
}

impl Pages {
    /// Pages of so many results, no fewer.
    pub(super) fn new(users: usize, size: usize) -> Pages {
        Pages {
            askers: (0..users).map(|_| Asker::new()).collect(),
            size,
            whole: true,
            again: false,
            asked: 0,
            count: 0,
            latency: Histogram::new(),
            result: Finder::new(b"<result "),
        }
    }

    /// To learn how many messages there are; there may be none.
    pub(super) fn of_any_size(users: usize) -> Pages {
        Pages {
            whole: false,
            ..Pages::new(users, 1)
        }
    }

    /// Every user asks once.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a page that is not as it has to be, [`Error::Timeout`].
    pub(super) fn round(&mut self, engine: &mut Engine, limit: Duration) -> Result<()> {
        self.again = false;
        self.ask_all(engine);
        engine.turn_until(self, limit, "the pages", |pages| pages.asked == 0)
    }

    /// Every user asks, and asks on.
    pub(super) fn begin(&mut self, engine: &mut Engine) {
        self.again = true;
        self.ask_all(engine);
    }

    /// Counts from here on.
    pub(super) fn forget(&mut self) {
        self.count = 0;
        self.latency = Histogram::new();
    }

    /// Pages that came.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Nobody asks on; the times from query to whole page.
    ///
    /// # Errors
    /// As [`Pages::round`].
    pub(super) fn end(&mut self, engine: &mut Engine, limit: Duration) -> Result<Histogram> {
        let latency = self.latency.clone();
        self.again = false;
        engine.turn_until(self, limit, "the last pages", |pages| pages.asked == 0)?;
        Ok(latency)
    }

    /// Messages in each archive, where the server tells.
    pub(super) fn archived(&self) -> impl Iterator<Item = Option<u64>> {
        self.askers.iter().map(|asker| asker.archived)
    }

    /// Those of the smallest archive; `None` where the server does not tell.
    pub(super) fn fewest(&self) -> Option<u64> {
        self.archived().min().flatten()
    }

    fn ask_all(&mut self, engine: &mut Engine) {
        self.asked = self.askers.len();
        for session in 0..self.askers.len() {
            self.ask(engine, session);
        }
    }

    fn ask(&mut self, engine: &mut Engine, session: usize) {
        let Some(asker) = self.askers.get_mut(session) else {
            return;
        };
        asker.begin();
        let (number, size) = (asker.number, self.size);
        // XEP-0059 §2.5: an empty `<before/>` asks for the last page.
        let query = format!(
            "<iq type='set' id='page{number}'><query xmlns='{}' queryid='q{number}'>\
             <set xmlns='{}'><max>{size}</max><before/></set></query></iq>",
            ns::MAM,
            ns::RSM
        );
        engine.send(session, query.as_bytes());
    }

    /// A page is over: what is wrong with it.
    fn take(&mut self, session: usize, answer: &[u8]) -> Option<&'static str> {
        let (size, whole) = (self.size, self.whole);
        let asker = self.askers.get_mut(session)?;
        if markup::attribute(answer, "type") != Some(b"result") {
            return Some("an error in place of a page");
        }
        if memmem::find(answer, b"<fin").is_none() {
            return Some("the end of a page without <fin/>");
        }
        asker.archived = total(answer);
        self.count += 1;
        self.latency
            .record_nanos(asker.at.elapsed().as_nanos() as u64);
        asker.end(size, whole)
    }
}

impl Asker {
    fn new() -> Asker {
        Asker {
            number: 0,
            at: Instant::now(),
            results: 0,
            digest: DefaultHasher::new(),
            ids: HashSet::new(),
            page: None,
            archived: None,
        }
    }

    fn begin(&mut self) {
        self.number += 1;
        self.at = Instant::now();
        self.results = 0;
        self.digest = DefaultHasher::new();
    }

    /// A result came: true when it is one of this query, and its id a new one.
    fn result(&mut self, result: &[u8]) -> bool {
        let query = markup::attribute(result, "queryid").unwrap_or_default();
        let id = markup::attribute(result, "id").unwrap_or_default();
        if id.is_empty() || query.strip_prefix(b"q").and_then(markup::decimal) != self.short() {
            return false;
        }
        self.results += 1;
        self.digest.write(id);
        self.page.is_some() || self.ids.insert(id.to_vec())
    }

    fn short(&self) -> Option<u32> {
        u32::try_from(self.number).ok()
    }

    /// All of the page came: what is wrong with it.
    fn end(&mut self, size: usize, whole: bool) -> Option<&'static str> {
        if self.results > size || whole && self.results < size {
            return Some("the end of a page that has not as many messages as it should");
        }
        let page = self.digest.finish();
        if self.page.is_some_and(|former| former != page) {
            return Some("the end of a page with other messages than before");
        }
        self.page = Some(page);
        self.ids = HashSet::new();
        None
    }
}

/// XEP-0059 §2.6: how many messages there are in all.
fn total(answer: &[u8]) -> Option<u64> {
    const COUNT: &[u8] = b"<count>";
    let digits = answer.get(memmem::find(answer, COUNT)? + COUNT.len()..)?;
    let end = memchr::memchr(b'<', digits)?;
    markup::decimal(digits.get(..end)?).map(u64::from)
}

impl Load for Pages {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if markup::is(stanza, "message") {
            let Some(begin) = self.result.find(stanza) else {
                return Ok(());
            };
            let result = stanza.get(begin..).unwrap_or_default();
            let asker = self.askers.get_mut(session);
            if asker.is_some_and(|asker| !asker.result(result)) {
                let who = engine.who(session);
                return Err(Error::unexpected(who, "a result out of place", stanza));
            }
            return Ok(());
        }
        let id = markup::attribute(stanza, "id").unwrap_or_default();
        if !markup::is(stanza, "iq") || !id.starts_with(b"page") {
            return Ok(());
        }
        if let Some(wrong) = self.take(session, stanza) {
            return Err(Error::unexpected(engine.who(session), wrong, stanza));
        }
        match self.again {
            true => self.ask(engine, session),
            false => self.asked -= 1,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(asker: &mut Asker, ids: &[&str]) -> bool {
        asker.begin();
        let query = asker.number;
        let result = |id: &&str| format!("<result xmlns='x' queryid='q{query}' id='{id}'>");
        ids.iter().all(|id| asker.result(result(id).as_bytes()))
    }

    #[test]
    fn a_page_is_whole_and_the_same_every_time() {
        let mut asker = Asker::new();
        assert!(page(&mut asker, &["a", "b"]));
        assert_eq!(asker.end(2, true), None);
        assert!(page(&mut asker, &["a", "b"]));
        assert_eq!(asker.end(2, true), None);
        assert!(page(&mut asker, &["b", "a"]));
        assert!(asker.end(2, true).is_some(), "another order");
        assert!(page(&mut asker, &["a"]));
        assert!(asker.end(2, true).is_some(), "too few");
        assert!(page(&mut asker, &["a", "b", "c"]));
        assert!(asker.end(2, false).is_some(), "too many");
    }

    #[test]
    fn results_belong_to_the_query_and_come_once() {
        let mut asker = Asker::new();
        assert!(!page(&mut asker, &["a", "a"]));
        let mut asker = Asker::new();
        asker.begin();
        assert!(!asker.result(b"<result queryid='q7' id='a'>"));
        assert!(!asker.result(b"<result queryid='q1'>"));
        assert!(asker.result(b"<result id='a' queryid='q1'>"));
    }

    #[test]
    fn the_size_of_an_archive_is_read_where_it_is_told() {
        let fin = b"<iq type='result'><fin><set><first index='0'>a</first><count>150</count></set>";
        assert_eq!(total(fin), Some(150));
        assert_eq!(total(b"<iq type='result'><fin/></iq>"), None);
        assert_eq!(total(b"<count>many</count>"), None);
    }
}
