//! XEP-0502 MUC Activity Indicator 0.1.0: how many messages an hour a room has.

use balcony_proto::ns;
use balcony_proto::stanza::Payload;

/// The field of `muc#roominfo` (§3.1).
pub(in crate::muc) const FIELD: &str = "{urn:xmpp:muc-activity}message-activity";

/// A day, and the hour that is not over (§5).
const COUNTERS: usize = 25;

const HOUR: i64 = 3_600 * 1_000_000;

/// Messages of each of the last hours, the one that is not over first.
#[derive(Debug, Default)]
pub(in crate::muc) struct Activity {
    counters: [u32; COUNTERS],
    /// The hour of the first counter, since the Unix epoch. `None`: nothing was counted yet.
    hour: Option<i64>,
    /// Counters that are of hours in which this was looked after.
    known: usize,
}

impl Activity {
    /// A message was said.
    pub(in crate::muc) fn note(&mut self, now: i64, payload: &Payload) {
        self.shift(now);
        // §4: neither what has no text nor a correction of one (XEP-0308).
        let counts = payload.find(ns::CLIENT, "body").is_some()
            && payload.find(ns::CORRECTION, "replace").is_none();
        if let Some(first) = self.counters.first_mut().filter(|_| counts) {
            *first = first.saturating_add(1);
        }
    }

    /// Messages an hour. `None`: there is no whole hour of which it is known.
    pub(in crate::muc) fn hourly(&mut self, now: i64) -> Option<String> {
        self.shift(now);
        let hours = u32::try_from(self.known).ok().filter(|hours| *hours > 0)?;
        let past = self.counters.iter().skip(1).take(self.known);
        let sum: u64 = past.map(|count| u64::from(*count)).sum();
        let hundredths = sum.saturating_mul(100) / u64::from(hours);
        Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
    }

    /// Brings the counters to this hour.
    fn shift(&mut self, now: i64) {
        let hour = now.div_euclid(HOUR);
        let passed = hour - self.hour.unwrap_or(hour);
        self.hour = Some(hour.max(self.hour.unwrap_or(hour)));
        let passed = usize::try_from(passed).unwrap_or(0).min(COUNTERS);
        self.counters.rotate_right(passed % COUNTERS);
        self.counters
            .iter_mut()
            .take(passed)
            .for_each(|count| *count = 0);
        self.known = (self.known + passed).min(COUNTERS - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::xml::Element;

    fn said(child: Element) -> Payload {
        Payload::from_elements(&[child])
    }

    #[test]
    fn whole_hours_of_the_last_day_count() {
        let body = said(Element::new(ns::CLIENT, "body").with_text("Ay me"));
        let state = said(Element::new(ns::CHATSTATES, "active"));
        let mut activity = Activity::default();
        for _ in 0..3 {
            activity.note(0, &body);
            activity.note(0, &state);
        }
        assert_eq!(activity.hourly(HOUR - 1), None);
        assert_eq!(activity.hourly(HOUR).as_deref(), Some("3.00"));
        activity.note(HOUR, &body);
        assert_eq!(activity.hourly(3 * HOUR).as_deref(), Some("1.33"));
        // A clock that is set back changes nothing.
        assert_eq!(activity.hourly(0).as_deref(), Some("1.33"));
        assert_eq!(activity.hourly(24 * HOUR).as_deref(), Some("0.16"));
        assert_eq!(activity.hourly(25 * HOUR).as_deref(), Some("0.04"));
        assert_eq!(activity.hourly(90 * HOUR).as_deref(), Some("0.00"));
    }
}
