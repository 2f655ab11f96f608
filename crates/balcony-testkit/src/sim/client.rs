//! A client with its streams and connections, as an honest one keeps them (XEP-0198 §4, §5); what
//! it does against the rules it is told to do.

use std::collections::HashSet;
use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xml::Element;
use balcony_stream::initiating::{Bound, Resume, Resumption};

use super::facts::{Answer, Attempt, Came, Count, Got, Lost, Said, Side};
use super::line::enable;
use super::plan::Asks;
use crate::memory::End;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// To bind a resource, and be available.
    Bind,
    /// To ask for a stream, and to leave when it is not given.
    Ask,
    /// To ask for it, and to bind when it is not given.
    AskOrBind,
}

/// A stream that counts.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The full JID.
    pub(super) jid: String,
    /// Its name, once it is known.
    pub(super) previd: Option<String>,
    /// All that was said on it, since it counts.
    out: Vec<Out>,
    /// How much of that the server has handled.
    handled: u32,
    /// How many of the server's stanzas came.
    pub(super) top: u32,
    /// How many of these the server was told of.
    pub(super) acknowledged: u32,
}

#[derive(Clone, Debug)]
struct Out {
    bytes: String,
    message: Option<(u32, bool)>,
}

/// A connection.
pub(super) struct Line {
    pub(super) end: Arc<End>,
    pub(super) errand: Errand,
    /// It has this stream.
    pub(super) stream: Option<usize>,
    /// It asks for this stream: its name, what it says came, and who says so.
    pub(super) wish: Option<Wish>,
    /// Stanzas that came, in the stream's count; `None` while it does not count.
    count: Option<u32>,
    /// It said that it had less than it had: where the server goes on is seen by what comes first.
    low: bool,
    /// How much of what was said on the stream was written here.
    upto: usize,
    /// Nothing that is written here arrives.
    mute: bool,
    /// Nobody reads what comes here.
    pub(super) deaf: bool,
    /// We ended it.
    pub(super) left: bool,
    over: bool,
    condition: Option<String>,
}

/// What a connection says when it asks for a stream.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) stream: usize,
    pub(super) previd: String,
    pub(super) h: u32,
    pub(super) asks: Asks,
}

impl Wish {
    pub(super) fn to_resume(&self, jid: Jid) -> Resume {
        Resume {
            jid,
            previd: self.previd.clone(),
            h: self.h,
        }
    }
}

/// A client.
pub(super) struct Client {
    pub(super) account: Jid,
    pub(super) resource: String,
    pub(super) streams: Vec<Stream>,
    pub(super) lines: Vec<Line>,
    /// Where it says what it says.
    pub(super) current: Option<usize>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) side: Side,
    /// Full JIDs of others, and whether they are available.
    pub(super) presences: Vec<(String, bool)>,
    /// All stanzas that came to it over streams that do not count.
    pub(super) uncounted: Vec<String>,
    refused: HashSet<u32>,
    /// The server stops: connections that are not logged in are closed without a stream.
    pub(super) stopping: bool,
    /// It sends nothing again that would be handled twice if a count were too low: only what is
    /// archived.
    pub(super) careful: bool,
    /// What goes with the next stream.
    carried: Vec<Out>,
    pub(super) log: Vec<String>,
}

impl Client {
    pub(super) fn new(account: Jid, resource: &str) -> Client {
        Client {
            account,
            resource: resource.to_owned(),
            streams: Vec::new(),
            lines: Vec::new(),
            current: None,
            attempts: Vec::new(),
            side: Side::default(),
            presences: Vec::new(),
            uncounted: Vec::new(),
            stopping: false,
            careful: false,
            refused: HashSet::new(),
            carried: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Notes a connection that is about to log in.
    pub(super) fn open(&mut self, end: Arc<End>, errand: Errand, wish: Option<Wish>) -> usize {
        let line = self.lines.len();
        if let Some(wish) = &wish {
            self.attempts.push(Attempt {
                line,
                asks: wish.asks,
                answer: None,
                cut: false,
            });
        }
        self.lines.push(Line {
            end,
            errand,
            stream: None,
            wish,
            count: None,
            low: false,
            upto: 0,
            mute: false,
            deaf: false,
            left: false,
            over: false,
            condition: None,
        });
        line
    }

    /// What a connection of this client would ask for now.
    pub(super) fn wish(&self, stream: usize, asks: Asks) -> Option<Wish> {
        let known = self.streams.get(stream)?;
        let name = known.previd.as_deref()?;
        Some(Wish {
            stream,
            previd: match asks {
                Asks::Forged => name.chars().rev().collect(),
                Asks::Truncated => name.chars().take(21).collect(),
                _ => name.to_owned(),
            },
            h: match asks {
                Asks::TooLow => known.acknowledged.saturating_sub(1),
                Asks::TooHigh => known.top + 1_000,
                _ => known.top,
            },
            asks,
        })
    }

    fn note(&mut self, line: usize, what: &str) {
        let name = self.account.local().unwrap_or_default();
        self.log.push(format!("{name}/{line} {what}"));
    }

    pub(super) fn fault(&mut self, what: String) {
        self.side.faults.push(what);
    }

    fn line(&mut self, line: usize) -> Option<&mut Line> {
        self.lines.get_mut(line)
    }

    fn write(&mut self, line: usize, bytes: &str) {
        self.note(line, &format!("> {bytes}"));
        if let Some(line) = self.lines.get(line).filter(|line| !line.mute) {
            line.end.send(bytes.as_bytes());
        }
    }

    fn write_element(&mut self, line: usize, element: &Element) {
        let bytes = element.to_bytes(ns::CLIENT);
        self.write(line, &String::from_utf8_lossy(&bytes));
    }

    /// Nothing that is written on this connection arrives from now on.
    pub(super) fn mute(&mut self, line: usize) {
        if let Some(line) = self.line(line) {
            line.mute = true;
        }
    }

    /// The client sends nothing more on this connection, and still reads.
    pub(super) fn half_close(&mut self, line: usize) {
        self.mute(line);
        if let Some(line) = self.line(line) {
            line.left = true;
            line.end.close();
        }
    }

    /// Nothing gets through any more.
    pub(super) fn die(&mut self, line: usize) {
        self.mute(line);
        if let Some(line) = self.line(line) {
            line.deaf = true;
            line.end.stop_reading(true);
        }
    }

    /// The full JID of a stream.
    pub(super) fn jid_of(&self, stream: usize) -> String {
        let known = self.streams.get(stream);
        known.map(|stream| stream.jid.clone()).unwrap_or_default()
    }

    /// Whether something gets through on this connection.
    pub(super) fn is_live(&self, line: usize) -> bool {
        let known = self.lines.get(line);
        known.is_some_and(|line| !line.over && !line.left && !line.mute && !line.deaf)
    }

    /// Whether stanzas are counted on this connection.
    pub(super) fn counts(&self, line: usize) -> bool {
        let known = self.lines.get(line);
        known.is_some_and(|line| line.count.is_some())
    }

    /// The first stream is the one that is spoken on.
    pub(super) fn went_on(&self) -> bool {
        let spoken = self.current.filter(|line| self.is_live(*line));
        spoken.and_then(|line| self.lines.get(line)?.stream) == Some(0)
    }

    /// Asks how much is handled, and says how much came.
    pub(super) fn ask(&mut self) {
        if let Some(line) = self.current {
            self.acknowledge(line);
            self.write(line, "<r xmlns='urn:xmpp:sm:3'/>");
        }
    }

    /// Cuts a connection.
    pub(super) fn cut(&mut self, line: usize) {
        self.note(line, "is cut");
        if let Some(attempt) = self.attempts.iter_mut().find(|one| one.line == line) {
            attempt.cut = attempt.answer.is_none();
        }
        if let Some(line) = self.line(line) {
            line.left = true;
            line.deaf = true;
            line.mute = true;
            line.end.close();
        }
        self.ended(line);
    }

    /// Ends a stream, or breaks its rules; what comes is read to its end.
    pub(super) fn leave(&mut self, line: usize, by: &str) {
        if self.lines.get(line).is_some_and(|line| !line.over) {
            self.write(line, by);
            if let Some(line) = self.line(line) {
                line.left = true;
            }
        }
    }

    /// A classic login is through: the resource is bound, or the stream asked for.
    pub(super) fn authenticated(&mut self, line: usize) {
        let wish = self.lines.get(line).and_then(|line| line.wish.clone());
        match wish {
            Some(wish) => {
                let resume = Element::new(ns::SM, "resume")
                    .with_attr("h", wish.h.to_string())
                    .with_attr("previd", wish.previd);
                self.write_element(line, &resume);
            }
            None => self.bind(line),
        }
    }

    fn bind(&mut self, line: usize) {
        let resource = Element::new(ns::BIND, "resource").with_text(&self.resource);
        let iq = Element::new(ns::CLIENT, "iq")
            .with_attr("type", "set")
            .with_attr("id", "bind")
            .with_child(Element::new(ns::BIND, "bind").with_child(resource));
        self.write_element(line, &iq);
    }

    /// A login of SASL2 is through.
    pub(super) fn bound_inline(&mut self, line: usize, bound: &Bound) {
        match bound.resumption {
            Some(Resumption::Resumed(h)) => return self.resumed(line, h),
            Some(Resumption::Failed(h)) => self.failed(line, h),
            None => {}
        }
        if self.lines.get(line).is_some_and(|line| line.left) {
            return;
        }
        let jid = bound.jid.to_string();
        let enabled = bound.bound.iter().find(|one| one.is(ns::SM, "enabled"));
        self.begin(line, jid, false);
        match enabled.and_then(|one| one.attr("id")) {
            Some(name) => self.enabled(line, name),
            // The store could not; the client does without.
            None => self.note(line, "counts nothing"),
        }
    }

    /// The connection was not let in.
    pub(super) fn refused(&mut self, line: usize, why: String) {
        self.answered(line, Answer::Ended(why));
    }

    fn answered(&mut self, line: usize, answer: Answer) {
        self.note(line, &format!("is answered {answer:?}"));
        if let Some(attempt) = self.attempts.iter_mut().find(|one| one.line == line) {
            attempt.answer.get_or_insert(answer);
        }
    }

    /// A stream of its own begins, on which stanzas are counted from now on.
    fn begin(&mut self, line: usize, jid: String, asks: bool) {
        self.note(line, &format!("is {jid}"));
        if let Some(resource) = jid.split_once('/').map(|(_, resource)| resource) {
            self.resource = resource.to_owned();
        }
        let stream = self.streams.len();
        let presence = Out {
            bytes: "<presence/>".to_owned(),
            message: None,
        };
        let carried = std::mem::take(&mut self.carried);
        self.streams.push(Stream {
            jid,
            out: std::iter::once(presence).chain(carried).collect(),
            ..Stream::default()
        });
        if let Some(line) = self.line(line) {
            line.stream = Some(stream);
        }
        self.current = Some(line);
        if asks {
            self.write_element(line, &enable());
        }
        self.flush(line);
    }

    fn enabled(&mut self, line: usize, name: &str) {
        let Some(known) = self.line(line) else { return };
        known.count = Some(0);
        let stream = known.stream;
        if let Some(stream) = stream.and_then(|stream| self.streams.get_mut(stream)) {
            stream.previd = Some(name.to_owned());
        }
    }

    fn resumed(&mut self, line: usize, h: u32) {
        self.answered(line, Answer::Resumed(h));
        let Some(wish) = self.lines.get(line).and_then(|line| line.wish.clone()) else {
            return self.fault("resumed, and nobody asked".to_owned());
        };
        self.counted(wish.stream, h);
        let base = self.streams.get_mut(wish.stream).map_or(0, |stream| {
            stream.acknowledged = stream.acknowledged.max(wish.h);
            stream.acknowledged
        });
        let low = wish.asks == Asks::TooLow;
        if let Some(line) = self.line(line) {
            line.stream = Some(wish.stream);
            line.low = low;
            // Who says less than before gets what it had not acknowledged.
            line.count = Some(if low { base } else { wish.h });
            line.upto = h as usize;
        }
        if wish.asks != Asks::Stranger {
            self.current = Some(line);
            self.flush(line);
        }
    }

    fn failed(&mut self, line: usize, h: Option<u32>) {
        self.answered(line, Answer::Failed(h));
        let Some(known) = self.lines.get(line) else {
            return;
        };
        let (errand, wish) = (known.errand, known.wish.clone());
        let Some(wish) = wish else { return };
        if let Some(h) = h {
            self.counted(wish.stream, h);
        }
        if errand == Errand::Ask {
            return self.leave(line, "</stream:stream>");
        }
        // What is known not to be handled goes over the next stream; of the rest nobody knows.
        if let (Some(h), Some(stream)) = (h, self.streams.get_mut(wish.stream)) {
            let rest = stream.out.split_off((h as usize).min(stream.out.len()));
            let careful = self.careful;
            let again = |out: &Out| out.message.is_some_and(|(_, lasting)| lasting || !careful);
            self.carried = rest.into_iter().filter(again).collect();
        }
    }

    /// The server has handled so much of a stream.
    fn counted(&mut self, stream: usize, h: u32) {
        let Some(known) = self.streams.get_mut(stream) else {
            return;
        };
        self.side.counts.push(Count {
            stream,
            h,
            before: known.handled,
            sent: u32::try_from(known.out.len()).unwrap_or(u32::MAX),
        });
        known.handled = known.handled.max(h);
    }

    /// Writes what was not written on this connection yet.
    fn flush(&mut self, line: usize) {
        let Some(known) = self.lines.get_mut(line) else {
            return;
        };
        let stream = known.stream.and_then(|stream| self.streams.get(stream));
        let Some(stream) = stream else { return };
        let new: Vec<String> = stream
            .out
            .iter()
            .skip(known.upto)
            .map(|out| out.bytes.clone())
            .collect();
        known.upto = stream.out.len();
        for bytes in new {
            self.write(line, &bytes);
        }
    }

    /// Says something on its stream; where it has no connection, when it has one again.
    pub(super) fn say(&mut self, bytes: String, message: Option<(u32, bool)>) {
        let Some(stream) = self.streams.len().checked_sub(1) else {
            return;
        };
        // Of its streams it speaks on the one that it used last.
        let spoken = self.current.and_then(|line| self.lines.get(line)?.stream);
        if let Some(stream) = self.streams.get_mut(spoken.unwrap_or(stream)) {
            stream.out.push(Out { bytes, message });
        }
        if let Some(line) = self.current {
            self.flush(line);
        }
    }

    /// An element came on a connection.
    pub(super) fn came(&mut self, line: usize, element: &Element) {
        if self.lines.get(line).is_none_or(|line| line.deaf) {
            return;
        }
        let bytes = String::from_utf8_lossy(&element.to_bytes(ns::CLIENT)).into_owned();
        self.note(line, &format!("< {bytes}"));
        match (element.ns(), element.name()) {
            (ns::SM, name) => self.management(line, name, element),
            (ns::STREAMS, "error") => {
                let condition = element.children().next().map(|one| one.name().to_owned());
                if let Some(line) = self.line(line) {
                    line.condition = condition;
                }
            }
            (ns::CLIENT, _) => self.stanza(line, element, bytes),
            _ => {}
        }
    }

    fn management(&mut self, line: usize, name: &str, element: &Element) {
        let h = element.attr("h").and_then(|h| h.parse().ok());
        match (name, h) {
            ("enabled", _) => self.enabled(line, element.attr("id").unwrap_or_default()),
            ("resumed", Some(h)) => self.resumed(line, h),
            ("failed", h) => {
                let asked = self
                    .lines
                    .get(line)
                    .map(|line| (line.errand, line.wish.is_some()));
                self.failed(line, h);
                if asked == Some((Errand::AskOrBind, true)) {
                    self.bind(line);
                }
            }
            ("r", _) => self.acknowledge(line),
            ("a", Some(h)) => {
                if let Some(stream) = self.lines.get(line).and_then(|line| line.stream) {
                    self.counted(stream, h);
                }
            }
            _ => {}
        }
    }

    /// Tells the server what came. Not while another connection asks for the stream: that one has
    /// said already what came.
    pub(super) fn acknowledge(&mut self, line: usize) {
        let asks = self.attempts.iter().any(|attempt| {
            attempt.asks != Asks::Stranger && attempt.answer.is_none() && !attempt.cut
        });
        let Some(known) = self.lines.get(line) else {
            return;
        };
        let (Some(count), Some(stream)) = (known.count, known.stream) else {
            return;
        };
        if asks || known.mute || self.current != Some(line) {
            return;
        }
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.acknowledged = stream.acknowledged.max(count);
        }
        self.write(line, &format!("<a xmlns='{}' h='{count}'/>", ns::SM));
    }

    fn stanza(&mut self, line: usize, element: &Element, bytes: String) {
        let id = element.attr("id").unwrap_or_default().to_owned();
        if id == "bind" {
            let jid = element
                .child(ns::BIND, "bind")
                .and_then(|b| b.child_text(ns::BIND, "jid"));
            if let Some(jid) = jid {
                self.begin(line, jid, true);
            }
            return;
        }
        let number = id.strip_prefix('m').and_then(|number| number.parse().ok());
        let kind = element.attr("type");
        match (element.name(), kind, number) {
            ("message", Some("error"), Some(number)) => {
                self.refused.insert(number);
            }
            ("message", _, Some(number)) => {
                let stream = self.lines.get(line).and_then(|line| line.stream);
                self.side.got.push(Got {
                    number,
                    for_account: element.attr("to") == Some(self.account.as_str()),
                    stream,
                });
            }
            ("presence", None | Some("unavailable"), _) => {
                let from = element.attr("from").unwrap_or_default();
                if from.contains('/') && !from.starts_with(self.account.as_str()) {
                    self.presences.push((from.to_owned(), kind.is_none()));
                }
            }
            _ => {}
        }
        self.count(line, bytes, number.filter(|_| kind != Some("error")));
    }

    fn count(&mut self, line: usize, bytes: String, message: Option<u32>) {
        let Some(known) = self.lines.get_mut(line) else {
            return;
        };
        let (Some(count), Some(stream)) = (known.count, known.stream) else {
            return self.uncounted.push(bytes);
        };
        let before = match std::mem::take(&mut known.low) {
            true => self
                .side
                .came
                .iter()
                .rfind(|came| came.stream == stream && came.bytes == bytes),
            false => None,
        };
        let position = before.map_or(count + 1, |came| came.position);
        known.count = Some(position);
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.top = stream.top.max(position);
        }
        self.side.came.push(Came {
            stream,
            line,
            position,
            bytes,
            message,
        });
    }

    /// A connection is over.
    pub(super) fn ended(&mut self, line: usize) {
        let Some(known) = self.lines.get_mut(line).filter(|line| !line.over) else {
            return;
        };
        known.over = true;
        let (condition, left) = (known.condition.clone(), known.left);
        let (had, stream, deaf) = (known.stream.is_some(), known.stream, known.deaf);
        self.note(line, &format!("is over: {condition:?}"));
        let answer = condition.clone().unwrap_or_default();
        if !left && !deaf && (had || !answer.is_empty()) {
            self.side.lost.push(Lost { line, condition });
        }
        if !answer.is_empty() {
            self.answered(line, Answer::Ended(answer));
        } else if self.stopping && !had {
            self.answered(line, Answer::Ended("the server stops".to_owned()));
        }
        if self.current == Some(line) {
            let mut others = self.lines.iter();
            self.current = others.rposition(|other| {
                !other.over && !other.left && other.stream.is_some() && other.stream == stream
            });
            if let Some(line) = self.current {
                self.flush(line);
            }
        }
    }

    /// The connections that have the stream, as far as the client knows.
    pub(super) fn holders(&self, stream: usize) -> Vec<usize> {
        let lines = self.lines.iter().enumerate();
        let live = lines.filter(|(_, line)| line.stream == Some(stream));
        let live = live.map(|(number, _)| number);
        live.filter(|line| self.is_live(*line)).collect()
    }

    /// What became of all that was said.
    pub(super) fn finish(&mut self) {
        for stream in &self.streams {
            for (place, out) in stream.out.iter().enumerate() {
                let Some((number, lasting)) = out.message else {
                    continue;
                };
                let handled = place < stream.handled as usize;
                self.side.said.push(Said {
                    number,
                    lasting,
                    taken: handled && !self.refused.contains(&number),
                });
            }
        }
    }
}
