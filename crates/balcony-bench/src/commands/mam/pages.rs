//! XEP-0313 Message Archive Management 1.1.3: users that ask for the last pages of their archives,
//! and what has to be true of a page.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;
use std::time::{Duration, Instant};

use balcony_proto::ns;
use memchr::memmem::{self, Finder};

use crate::error::{Error, Result};
use crate::measure::Histogram;
use crate::order::Faults;
use crate::traffic::{Due, Kind, Pace, Paced};
use crate::wire::{Bound, Engine, Load, markup};

/// Each of some sessions asks for the last page of its archive.
pub(crate) struct Pages {
    /// The session of the first one.
    first: usize,
    askers: Vec<Asker>,
    size: usize,
    /// Fewer results than `size` are no page.
    whole: bool,
    /// Who has a page asks for it again.
    again: bool,
    /// When somebody asks, where that does not depend on who has a page.
    due: Option<Due>,
    count: u64,
    latency: Histogram,
    result: Finder<'static>,
}

/// One user.
struct Asker {
    /// Of its last query; the ids of a query are made of its number.
    number: u32,
    /// Those whose pages are coming, the oldest first.
    queries: Vec<Query>,
    /// The ids of the first page, which are not to repeat.
    ids: HashSet<Vec<u8>>,
    /// What the first page was: the archive does not change, and neither do its pages.
    page: Option<u64>,
    /// Messages in the archive, where the server tells.
    archived: Option<u64>,
}

/// A page that is coming.
struct Query {
    number: u32,
    since: Instant,
    results: usize,
    /// Over the archive's ids of this page.
    digest: DefaultHasher,
}

impl Pages {
    /// Pages of so many results, no fewer, of the archives of these sessions.
    pub(crate) fn new(sessions: Range<usize>, size: usize) -> Pages {
        Pages {
            first: sessions.start,
            askers: sessions.map(|_| Asker::new()).collect(),
            size,
            whole: true,
            again: false,
            due: None,
            count: 0,
            latency: Histogram::new(),
            result: Finder::new(b"<result "),
        }
    }

    /// To learn how many messages there are; there may be none.
    pub(super) fn of_any_size(sessions: Range<usize>) -> Pages {
        Pages {
            whole: false,
            ..Pages::new(sessions, 1)
        }
    }

    /// Every user asks once.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a page that is not as it has to be, [`Error::Timeout`].
    pub(crate) fn round(&mut self, engine: &mut Engine, limit: Duration) -> Result<()> {
        self.again = false;
        self.ask_all(engine);
        engine.turn_until(self, limit, "the pages", |pages| pages.is_settled())
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
        let now = Instant::now();
        for asker in 0..self.askers.len() {
            self.ask(engine, asker, now);
        }
    }

    fn ask(&mut self, engine: &mut Engine, asker: usize, since: Instant) {
        let session = self.first + asker;
        let Some(asker) = self.askers.get_mut(asker) else {
            return;
        };
        let (number, size) = (asker.begin(since), self.size);
        // XEP-0059 §2.5: an empty `<before/>` asks for the last page.
        let query = format!(
            "<iq type='set' id='page{number}'><query xmlns='{}' queryid='q{number}'>\
             <set xmlns='{}'><max>{size}</max><before/></set></query></iq>",
            ns::MAM,
            ns::RSM
        );
        engine.send(session, query.as_bytes());
    }

    /// The page of a query is over: what is wrong with it.
    fn take(&mut self, asker: usize, number: Option<u32>, answer: &[u8]) -> Option<&'static str> {
        let (size, whole) = (self.size, self.whole);
        let asker = self.askers.get_mut(asker)?;
        if markup::attribute(answer, "type") != Some(b"result") {
            return Some("an error in place of a page");
        }
        if memmem::find(answer, b"<fin").is_none() {
            return Some("the end of a page without <fin/>");
        }
        asker.archived = total(answer);
        let Some(query) = number.and_then(|number| asker.remove(number)) else {
            return Some("the end of a page that nobody asked for");
        };
        self.count += 1;
        self.latency
            .record_nanos(query.since.elapsed().as_nanos() as u64);
        asker.end(&query, size, whole)
    }
}

impl Asker {
    fn new() -> Asker {
        Asker {
            number: 0,
            queries: Vec::new(),
            ids: HashSet::new(),
            page: None,
            archived: None,
        }
    }

    /// Another query: its number.
    fn begin(&mut self, since: Instant) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.queries.push(Query {
            number: self.number,
            since,
            results: 0,
            digest: DefaultHasher::new(),
        });
        self.number
    }

    fn remove(&mut self, number: u32) -> Option<Query> {
        let at = self.queries.iter().position(|query| query.number == number);
        at.map(|at| self.queries.remove(at))
    }

    /// A result came: true when it is one of a query that is under way, and its id a new one.
    fn result(&mut self, result: &[u8]) -> bool {
        let number = markup::attribute(result, "queryid").unwrap_or_default();
        let number = number.strip_prefix(b"q").and_then(markup::decimal);
        let id = markup::attribute(result, "id").unwrap_or_default();
        let mut queries = self.queries.iter_mut();
        let Some(query) = queries.find(|query| Some(query.number) == number) else {
            return false;
        };
        query.results += 1;
        query.digest.write(id);
        !id.is_empty() && (self.page.is_some() || self.ids.insert(id.to_vec()))
    }

    /// All of the page came: what is wrong with it.
    fn end(&mut self, query: &Query, size: usize, whole: bool) -> Option<&'static str> {
        if query.results > size || whole && query.results < size {
            return Some("the end of a page that has not as many messages as it should");
        }
        let page = query.digest.finish();
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
        let Some(number) = session.checked_sub(self.first) else {
            return Ok(());
        };
        if markup::is(stanza, "message") {
            let Some(begin) = self.result.find(stanza) else {
                return Ok(());
            };
            let result = stanza.get(begin..).unwrap_or_default();
            let asker = self.askers.get_mut(number);
            if asker.is_some_and(|asker| !asker.result(result)) {
                let who = engine.who(session);
                return Err(Error::unexpected(who, "a result out of place", stanza));
            }
            return Ok(());
        }
        let id = markup::attribute(stanza, "id").unwrap_or_default();
        let query = id.strip_prefix(b"page");
        let (Some(query), true) = (query, markup::is(stanza, "iq")) else {
            return Ok(());
        };
        if let Some(wrong) = self.take(number, markup::decimal(query), stanza) {
            return Err(Error::unexpected(engine.who(session), wrong, stanza));
        }
        if self.again {
            self.ask(engine, number, Instant::now());
        }
        Ok(())
    }
}

impl Paced for Pages {
    fn pump(&mut self, engine: &mut Engine, now: Instant) -> Result<()> {
        while let Some(due) = &mut self.due
            && let Some(at) = due.pop(now)
        {
            let asker = due.count as usize % self.askers.len().max(1);
            self.ask(engine, asker, at);
        }
        Ok(())
    }

    fn next(&self) -> Option<Instant> {
        self.due.as_ref().map(Due::next)
    }

    fn is_settled(&self) -> bool {
        self.askers.iter().all(|asker| asker.queries.is_empty())
    }
}

impl Kind for Pages {
    /// A window of any size is one page for each user.
    fn begin(&mut self, engine: &mut Engine, pace: Pace) {
        self.due = Due::new(pace, Instant::now());
        self.again = self.due.is_none();
        if self.again {
            self.ask_all(engine);
        }
    }

    fn forget(&mut self) {
        self.count = 0;
        self.latency = Histogram::new();
    }

    fn done(&self) -> f64 {
        self.count as f64
    }

    fn stop(&mut self, _: &mut Engine) {
        self.again = false;
        self.due = None;
    }

    fn latency(&self) -> &Histogram {
        &self.latency
    }

    fn faults(&self) -> Faults {
        let under_way = self.askers.iter().map(|asker| asker.queries.len() as u64);
        Faults {
            lost: under_way.sum(),
            ..Faults::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of these ids as it comes: its query, unless a result was out of place.
    fn page(asker: &mut Asker, ids: &[&str]) -> Option<Query> {
        let query = asker.begin(Instant::now());
        let result = |id: &&str| format!("<result xmlns='x' queryid='q{query}' id='{id}'>");
        let fine = ids.iter().all(|id| asker.result(result(id).as_bytes()));
        asker.remove(query).filter(|_| fine)
    }

    #[test]
    fn a_page_is_whole_and_the_same_every_time() {
        let mut asker = Asker::new();
        let mut end = |ids: &[&str], whole| {
            let query = page(&mut asker, ids).unwrap();
            asker.end(&query, 2, whole)
        };
        assert_eq!(end(&["a", "b"], true), None);
        assert_eq!(end(&["a", "b"], true), None);
        assert!(end(&["b", "a"], true).is_some(), "another order");
        assert!(end(&["a"], true).is_some(), "too few");
        assert!(end(&["a", "b", "c"], false).is_some(), "too many");
    }

    #[test]
    fn results_belong_to_the_query_and_come_once() {
        let mut asker = Asker::new();
        assert!(page(&mut asker, &["a", "a"]).is_none());
        let mut asker = Asker::new();
        asker.begin(Instant::now());
        assert!(!asker.result(b"<result queryid='q7' id='a'>"));
        assert!(!asker.result(b"<result queryid='q1'>"));
        assert!(asker.result(b"<result id='a' queryid='q1'>"));
    }

    #[test]
    fn queries_of_one_user_may_be_under_way_together() {
        let mut asker = Asker::new();
        let first = page(&mut asker, &["a", "b"]).unwrap();
        assert_eq!(asker.end(&first, 2, true), None);
        let numbers = [0, 1].map(|_| asker.begin(Instant::now()));
        for id in ["a", "b"] {
            for number in numbers {
                let result = format!("<result queryid='q{number}' id='{id}'>");
                assert!(asker.result(result.as_bytes()));
            }
        }
        for number in numbers {
            let query = asker.remove(number).unwrap();
            assert_eq!(asker.end(&query, 2, true), None);
        }
        assert!(asker.remove(numbers[0]).is_none());
    }

    #[test]
    fn the_size_of_an_archive_is_read_where_it_is_told() {
        let fin = b"<iq type='result'><fin><set><first index='0'>a</first><count>150</count></set>";
        assert_eq!(total(fin), Some(150));
        assert_eq!(total(b"<iq type='result'><fin/></iq>"), None);
        assert_eq!(total(b"<count>many</count>"), None);
    }
}
