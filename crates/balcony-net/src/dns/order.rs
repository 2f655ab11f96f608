//! RFC 2782: in which order the targets of SRV records are tried, and what several answers mean
//! together. Pure, so that every rule can be tested.

use super::LookupError;

/// One SRV record, with the service that it was found under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// In A-labels without the dot at the end; empty for the root, which means "not offered".
    pub(super) target: String,
    /// Found under `_xmpps-…` (XEP-0368).
    pub(super) direct_tls: bool,
    /// DNSSEC proves it.
    pub(super) validated: bool,
}

/// What the two questions, `_xmpps-…` and `_xmpp-…`, say together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// Where the service is, not ordered yet.
    Records(Vec<Record>),
    /// There are records, and they say that the service is not available.
    NotOffered,
    /// There are no records, so that the domain's own addresses are to be tried.
    Nothing,
    /// It cannot be known.
    Failed(LookupError),
}

/// XEP-0368 §3: the records of both services are one list. An answer with no records is an empty
/// list here.
pub(super) fn merge(
    direct: Result<Vec<Record>, LookupError>,
    starttls: Result<Vec<Record>, LookupError>,
) -> Merged {
    let (direct, no_direct) = targets(direct);
    let (starttls, no_starttls) = targets(starttls);
    match (direct, starttls) {
        // DEVIATION: RFC 6120 §3.2.1 step 9 falls back when no answer comes. Whoever can suppress
        // an answer could choose the way then, and a domain that is hosted elsewhere would be
        // looked for at the wrong place; so this is a failure, and later it is asked again.
        (Ok(direct), Err(error)) if direct.is_empty() => Merged::Failed(error),
        (Err(error), Ok(starttls)) if starttls.is_empty() && !no_starttls => Merged::Failed(error),
        // Both fail for the same reason as a rule; the plain service is the one that all know.
        (Err(_), Err(error)) => Merged::Failed(error),
        (direct, starttls) => {
            let records: Vec<Record> = direct.into_iter().chain(starttls).flatten().collect();
            if !records.is_empty() {
                Merged::Records(records)
            } else if no_direct || no_starttls {
                // RFC 2782 "Target": decidedly not available; XEP-0368 §3: no fallback then.
                Merged::NotOffered
            } else {
                Merged::Nothing
            }
        }
    }
}

/// The records that lead somewhere, and whether one said "not offered".
pub(super) fn targets(
    answer: Result<Vec<Record>, LookupError>,
) -> (Result<Vec<Record>, LookupError>, bool) {
    let Ok(mut records) = answer else {
        return (answer, false);
    };
    let all = records.len();
    records.retain(|record| !record.target.is_empty());
    let refused = records.len() < all;
    (Ok(records), refused)
}

/// Orders by priority, and among equals by weight as RFC 2782 "Weight" says; at most `limit` of
/// them. `random` gets a number and answers one from 0 to it, both included.
pub(super) fn order(
    mut records: Vec<Record>,
    limit: usize,
    mut random: impl FnMut(u32) -> u32,
) -> Vec<Record> {
    // Any order will do among equals, but those of weight 0 have to come first.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::new();
    while ordered.len() < limit {
        let Some(priority) = records.first().map(|record| record.priority) else {
            break;
        };
        let group = records
            .iter()
            .take_while(|record| record.priority == priority);
        let weights = group.map(|record| u32::from(record.weight));
        let sum = weights.clone().fold(0, u32::saturating_add);
        let wanted = random(sum);
        let mut running = 0_u32;
        let chosen = weights.into_iter().position(|weight| {
            running = running.saturating_add(weight);
            running >= wanted
        });
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

/// A random number from 0 to `most`.
pub(super) fn random(most: u32) -> u32 {
    let mut bytes = [0; 8];
    // Without randomness the first of each group is taken: worse balanced, but connected.
    let _ = getrandom::fill(&mut bytes);
    let range = u64::from(most).saturating_add(1);
    let number = u64::from_le_bytes(bytes).checked_rem(range).unwrap_or(0);
    u32::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> Record {
        Record {
            priority,
            weight,
            port: 5269,
            target: target.to_owned(),
            direct_tls: false,
            validated: false,
        }
    }

    fn direct(priority: u16, weight: u16, target: &str) -> Record {
        Record {
            direct_tls: true,
            ..record(priority, weight, target)
        }
    }

    fn names(records: &[Record]) -> Vec<&str> {
        records
            .iter()
            .map(|record| record.target.as_str())
            .collect()
    }

    fn failure() -> LookupError {
        LookupError::TimedOut {
            domain: "example.org".to_owned(),
        }
    }

    #[test]
    fn lower_priorities_come_first_whatever_their_weight() {
        let records = vec![record(20, 100, "c"), record(5, 0, "a"), record(10, 1, "b")];
        assert_eq!(names(&order(records, 9, |sum| sum)), ["a", "b", "c"]);
    }

    #[test]
    fn the_first_whose_running_sum_reaches_the_number_is_taken() {
        let records = || vec![record(1, 60, "c"), record(1, 10, "a"), record(1, 30, "b")];
        // In the list they stand by weight: sums 10, 40, 100.
        for (number, first) in [
            (0, "a"),
            (10, "a"),
            (11, "b"),
            (40, "b"),
            (41, "c"),
            (100, "c"),
        ] {
            let ordered = order(records(), 1, |sum| {
                assert_eq!(sum, 100);
                number
            });
            assert_eq!(names(&ordered), [first], "{number}");
        }
    }

    #[test]
    fn what_was_taken_no_longer_counts() {
        let records = vec![record(1, 60, "c"), record(1, 10, "a"), record(1, 30, "b")];
        let mut sums = Vec::new();
        let ordered = order(records, 9, |sum| {
            sums.push(sum);
            sum
        });
        assert_eq!(names(&ordered), ["c", "b", "a"]);
        assert_eq!(sums, [100, 40, 10]);
    }

    #[test]
    fn weight_zero_is_chosen_by_zero_only() {
        let records = || vec![record(1, 5, "heavy"), record(1, 0, "zero")];
        assert_eq!(names(&order(records(), 1, |_| 0)), ["zero"]);
        assert_eq!(names(&order(records(), 1, |_| 1)), ["heavy"]);
    }

    #[test]
    fn no_more_than_the_limit_are_ordered() {
        let records = (0..100).map(|n| record(n, 0, "x")).collect();
        assert_eq!(order(records, 16, |_| 0).len(), 16);
    }

    #[test]
    fn the_weights_shape_the_choice() {
        let mut heavy = 0;
        for _ in 0..1000 {
            let records = vec![record(1, 1, "light"), record(1, 9, "heavy")];
            heavy += usize::from(names(&order(records, 1, random)) == ["heavy"]);
        }
        // Nine of eleven numbers choose it: 818 expected, and 700 is ten deviations away.
        assert!(heavy > 700 && heavy < 950, "{heavy}");
    }

    #[test]
    fn both_services_are_one_list() {
        let merged = merge(
            Ok(vec![direct(10, 0, "tls")]),
            Ok(vec![record(5, 0, "plain")]),
        );
        let Merged::Records(records) = merged else {
            panic!("{merged:?}");
        };
        assert_eq!(names(&order(records, 9, |_| 0)), ["plain", "tls"]);
    }

    #[test]
    fn a_root_target_is_a_refusal_without_fallback() {
        let none = || Ok(Vec::new());
        let refused = |tls| match tls {
            true => Ok(vec![direct(0, 0, "")]),
            false => Ok(vec![record(0, 0, "")]),
        };
        assert_eq!(merge(none(), refused(false)), Merged::NotOffered);
        assert_eq!(merge(refused(true), none()), Merged::NotOffered);
        assert_eq!(merge(refused(true), refused(false)), Merged::NotOffered);
        assert_eq!(merge(none(), none()), Merged::Nothing);
    }

    #[test]
    fn one_service_refused_leaves_the_other() {
        let merged = merge(Ok(vec![direct(0, 0, "")]), Ok(vec![record(0, 0, "plain")]));
        assert_eq!(merged, Merged::Records(vec![record(0, 0, "plain")]));
    }

    #[test]
    fn a_failed_question_never_leads_to_the_fallback() {
        assert_eq!(
            merge(Ok(Vec::new()), Err(failure())),
            Merged::Failed(failure())
        );
        assert_eq!(
            merge(Err(failure()), Ok(Vec::new())),
            Merged::Failed(failure())
        );
        assert_eq!(
            merge(Err(failure()), Err(failure())),
            Merged::Failed(failure())
        );
    }

    #[test]
    fn a_failed_question_does_not_spoil_the_others_records() {
        let plain = vec![record(0, 0, "plain")];
        assert_eq!(
            merge(Err(failure()), Ok(plain.clone())),
            Merged::Records(plain)
        );
        let tls = vec![direct(0, 0, "tls")];
        assert_eq!(merge(Ok(tls.clone()), Err(failure())), Merged::Records(tls));
    }
}
