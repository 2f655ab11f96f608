//! What went over a device's streams, for the person who has to find out why.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Lines that are kept of a device: some minutes of its load.
const LINES: usize = 20_000;

/// The streams of one device, in lines.
#[derive(Debug)]
pub struct Journal {
    begun: Instant,
    lines: VecDeque<(Duration, Mark, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Sent,
    Came,
    Event,
}

impl Journal {
    /// An empty one; its lines tell the time since `begun`.
    #[must_use]
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            lines: VecDeque::new(),
        }
    }

    /// Notes what was sent.
    pub fn sent(&mut self, text: &[u8]) {
        self.note(Mark::Sent, String::from_utf8_lossy(text).into_owned());
    }

    /// Notes what came.
    pub fn came(&mut self, text: String) {
        self.note(Mark::Came, text);
    }

    /// Notes what happened to the stream. The same once more, as when nobody listens, is not noted.
    pub fn event(&mut self, text: impl Into<String>) {
        let text = text.into();
        let last = self.lines.back();
        if !last.is_some_and(|(_, mark, last)| *mark == Mark::Event && *last == text) {
            self.note(Mark::Event, text);
        }
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.lines.iter().map(spell)
    }

    fn note(&mut self, mark: Mark, text: String) {
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((self.begun.elapsed(), mark, text));
    }

    /// What concerns a text: the last `most` of the lines that have it in them, each with the count
    /// that comes next, and of those that tell of the stream itself.
    #[must_use]
    pub fn tail(&self, about: &str, most: usize) -> Vec<String> {
        let mut count_next = false;
        let mut concerns = |mark: Mark, text: &str| {
            let of_stream = mark == Mark::Event || STREAM.iter().any(|word| text.starts_with(word));
            let of_text = !about.is_empty() && text.contains(about) && !text.contains("<result ");
            let count = count_next && text.starts_with("<a ");
            count_next = of_text || (count_next && !count);
            of_stream || of_text || count
        };
        let lines = self.lines.iter();
        let found = lines.filter(|(_, mark, text)| concerns(*mark, text));
        let found: Vec<_> = found.collect();
        let skipped = found.len().saturating_sub(most);
        found.into_iter().skip(skipped).map(spell).collect()
    }
}

/// What tells of the stream itself.
const STREAM: [&str; 3] = ["<enabled ", "<resumed ", "<failed "];

fn spell((at, mark, text): &(Duration, Mark, String)) -> String {
    let mark = match mark {
        Mark::Sent => ">",
        Mark::Came => "<",
        Mark::Event => "--",
    };
    format!("{:>9.3} {mark} {text}", at.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tail_tells_of_a_message_and_of_the_stream() {
        let mut journal = Journal::new(Instant::now());
        journal.event("connected");
        journal.came("<a xmlns='urn:xmpp:sm:3' h='0'/>".into());
        journal.sent(b"<message><body>one</body></message>");
        journal.came("<message><body>two</body></message>".into());
        journal.came("<a xmlns='urn:xmpp:sm:3' h='1'/>".into());
        let tail = journal.tail("<body>one<", 10);
        assert_eq!(tail.len(), 3);
        assert!(tail[1].contains("> <message>") && tail[2].contains("h='1'"));
        assert_eq!(journal.tail("<body>one<", 1), tail[2..]);
    }
}
