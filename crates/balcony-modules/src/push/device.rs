//! When a device is told, as a machine without a clock of its own.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_store::PushRegistration;

/// After so many seconds a device that shows no life is told again of what comes. Whoever waits for
/// a message that a lost notification was about waits this long at most, and a service that
/// gets one in five minutes from a lively account can bear it.
const REPEAT: u32 = 5 * 60;

/// How long a service that cannot be reached is left alone, in seconds, after all tries for one
/// notification failed.
const REST: u32 = 60 * 60;

/// Notifications in a row that could not be brought to a service, each with all its tries, until
/// it counts as gone: a day of failures at least. Services are down for hours now and then, and a
/// client learns of this only when it registers again.
const FAILURES: u32 = 24;

/// One registration, and how far its device has been told.
pub(super) struct Device {
    pub(super) registration: Arc<PushRegistration>,
    told: Told,
    news: News,
    /// What came while it is being told.
    meanwhile: Option<Meanwhile>,
    /// When a session of it that is over showed life last.
    heard: Option<u32>,
    failures: u32,
}

/// What the device has not been told, or was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Messages since the device last showed life.
    pub(super) messages: u32,
    /// Who wrote the last one.
    pub(super) sender: Option<Jid>,
    /// Its text; `None` when that is not to be told, and when there is none.
    pub(super) body: Option<String>,
    /// Whether somebody wrote it in plain.
    pub(super) has_body: bool,
}

/// Times are uptime in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Nothing, or it was heard of since.
    Nothing,
    /// It is being told.
    Underway,
    /// It was told.
    At(u32),
    /// It cannot be told.
    NotBefore(u32),
}

/// Messages that came while a device is being told, and may be none of what it is told of.
#[derive(Clone, Copy, Debug)]
struct Meanwhile {
    /// When the device had shown life last, as they came.
    heard: u32,
    /// How many since then.
    messages: u32,
}

/// What is to be done when it was told, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Wait,
    /// It is to be told again, of what came after it had shown life.
    Again,
    /// Its service counts as gone.
    Gone,
}

/// What came of telling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The service took it, from whom it was begun at this time.
    Taken(u32),
    /// There is no need any more: the device is here.
    Needless,
    /// All tries failed; this is the time.
    Failed(u32),
}

impl Device {
    pub(super) fn new(registration: PushRegistration) -> Self {
        Self {
            registration: Arc::new(registration),
            told: Told::Nothing,
            news: News::default(),
            meanwhile: None,
            heard: None,
            failures: 0,
        }
    }

    /// There is news, with `messages` of it. `heard`: when its session last showed life, if it has
    /// one. Answers whether to tell the device now.
    pub(super) fn note(&mut self, news: &News, now: u32, heard: Option<u32>) -> bool {
        let heard = heard.max(self.heard);
        let lively = |since: u32| heard.is_some_and(|heard| heard >= since);
        let due = match self.told {
            Told::Underway => {
                self.note_meanwhile(news.messages, heard);
                false
            }
            Told::Nothing => true,
            Told::At(at) if lively(at) => {
                self.news.messages = 0;
                true
            }
            Told::At(at) => now.saturating_sub(at) >= REPEAT,
            Told::NotBefore(until) => now >= until,
        };
        let messages = self.news.messages.saturating_add(news.messages);
        self.news = News {
            messages,
            ..news.clone()
        };
        if due {
            self.told = Told::Underway;
        }
        due
    }

    fn note_meanwhile(&mut self, messages: u32, heard: Option<u32>) {
        let Some(heard) = heard else { return };
        let same_life = self.meanwhile.filter(|known| known.heard >= heard);
        let known = same_life.unwrap_or(Meanwhile { heard, messages: 0 });
        self.meanwhile = Some(Meanwhile {
            messages: known.messages.saturating_add(messages),
            ..known
        });
    }

    /// Its session is over, and showed life last at this time.
    pub(super) fn note_life(&mut self, heard: u32) {
        self.heard = self.heard.max(Some(heard));
    }

    /// What it is to be told.
    pub(super) fn news(&self) -> News {
        self.news.clone()
    }

    /// It was told, or was not. Whether it is to be told again at once: it is being told then.
    pub(super) fn settle(&mut self, outcome: Outcome) -> Next {
        let meanwhile = self.meanwhile.take();
        self.told = match outcome {
            Outcome::Taken(at) => {
                self.failures = 0;
                if let Some(missed) = meanwhile.filter(|missed| missed.heard >= at) {
                    self.news.messages = missed.messages;
                    self.told = Told::Underway;
                    return Next::Again;
                }
                Told::At(at)
            }
            Outcome::Needless => {
                self.news = News::default();
                Told::Nothing
            }
            Outcome::Failed(now) => {
                self.failures += 1;
                Told::NotBefore(now.saturating_add(REST))
            }
        };
        match self.failures >= FAILURES {
            true => Next::Gone,
            false => Next::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device::new(PushRegistration {
            jid: "push.example".into(),
            node: "a".into(),
            options: None,
            resource: "phone".into(),
            created: 1,
            disabled: None,
        })
    }

    fn one() -> News {
        News {
            messages: 1,
            ..News::default()
        }
    }

    #[test]
    fn a_silent_device_is_told_once_and_again_after_a_while() {
        let mut device = device();
        assert!(device.note(&one(), 100, Some(50)));
        assert!(
            !device.note(&one(), 101, Some(50)),
            "while it is being told"
        );
        device.settle(Outcome::Taken(100));
        assert!(!device.note(&one(), 102, Some(50)));
        assert!(!device.note(&one(), 100 + REPEAT - 1, None));
        assert!(device.note(&one(), 100 + REPEAT, None));
        assert_eq!(device.news().messages, 5);
    }

    #[test]
    fn a_device_that_showed_life_is_told_of_what_came_after() {
        let mut device = device();
        assert!(device.note(&one(), 100, None));
        device.settle(Outcome::Taken(100));
        assert!(!device.note(&one(), 110, Some(99)));
        assert!(device.note(&one(), 120, Some(115)));
        assert_eq!(device.news().messages, 1);
        device.settle(Outcome::Taken(120));
        assert!(!device.note(&one(), 121, Some(115)));
        device.note_life(130);
        device.note_life(90);
        assert!(device.note(&one(), 140, None));
    }

    #[test]
    fn what_comes_while_it_is_told_and_after_it_showed_life_is_told_too() {
        let mut device = device();
        assert!(device.note(&one(), 100, Some(50)));
        // It has not been there since: it is told of these, or knows that there is something.
        assert!(!device.note(&one(), 101, Some(50)));
        // It was here, has seen all that, and is gone again.
        assert!(!device.note(&one(), 110, Some(105)));
        assert!(!device.note(&one(), 111, Some(105)));
        assert_eq!(device.settle(Outcome::Taken(100)), Next::Again);
        assert_eq!(device.news().messages, 2);
        assert!(!device.note(&one(), 112, Some(105)));
        assert_eq!(device.settle(Outcome::Taken(112)), Next::Wait);
        assert!(!device.note(&one(), 113, Some(105)));
    }

    #[test]
    fn a_service_that_fails_rests_and_at_last_counts_as_gone() {
        let mut device = device();
        let mut now = 0;
        for _ in 1..FAILURES {
            assert!(device.note(&one(), now, None));
            assert_eq!(device.settle(Outcome::Failed(now)), Next::Wait);
            assert!(!device.note(&one(), now + REST - 1, None));
            now += REST;
        }
        assert!(device.note(&one(), now, None));
        assert_eq!(device.settle(Outcome::Failed(now)), Next::Gone);
        // One success in between, and it begins anew.
        let mut device = self::device();
        for _ in 1..FAILURES {
            device.settle(Outcome::Failed(0));
        }
        device.settle(Outcome::Taken(0));
        assert_eq!(device.settle(Outcome::Failed(0)), Next::Wait);
    }

    #[test]
    fn a_device_that_is_here_is_told_of_what_comes_when_it_is_not() {
        let mut device = device();
        assert!(device.note(&one(), 100, None));
        device.settle(Outcome::Needless);
        assert!(device.note(&one(), 101, Some(50)));
        assert_eq!(device.news().messages, 1);
    }
}
