//! XEP-0082 XMPP Date and Time Profiles 1.1.1: the DateTime profile, always written in UTC.

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Writes microseconds since the Unix epoch as `2002-09-10T23:08:25Z` (§3.2), with milliseconds
/// only where they are not zero.
#[must_use]
pub fn format_utc(micros: i64) -> String {
    let (year, month, day) = civil(micros.div_euclid(DAY));
    let millis = micros.rem_euclid(DAY) / 1_000;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, fraction) = (millis / 1_000 % 60, millis % 1_000);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}");
    if fraction != 0 {
        text.push_str(&format!(".{fraction:03}"));
    }
    text.push('Z');
    text
}

/// Reads a DateTime of any time zone (§3.2) as microseconds since the Unix epoch. `None` when it
/// is not one. More digits than six after the second are dropped.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once('T')?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':').map(number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    // 60 is a leap second.
    let sound = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hours < 24
        && minutes < 60
        && seconds <= 60
        && year <= 9_999;
    let seconds = (hours * 60 + minutes - offset(zone)?) * 60 + seconds;
    sound.then_some(days(year, month, day) * DAY + seconds * 1_000_000 + micros(fraction)?)
}

/// Minutes east of UTC of `Z`, `+01:00` or `-05:30` (§3.2).
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn micros(fraction: &str) -> Option<i64> {
    let digits = fraction.get(..fraction.len().min(6))?;
    if digits.is_empty() {
        return Some(0);
    }
    number(&format!("{digits:0<6}"))
}

fn number(digits: &str) -> Option<i64> {
    let sound = !digits.is_empty() && digits.len() <= 6;
    (sound && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Year, month and day of a count of days since 1970-01-01. Years begin in March here, so that the
/// leap day comes last; 400 of them have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468;
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The other way round.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_and_read() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_031_699_305_000_000, "2002-09-10T23:08:25Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_123_000, "2024-02-29T23:59:59.123Z"),
            (-1_000_000, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(format_utc(micros), text);
            assert_eq!(parse(text), Some(micros), "{text}");
        }
    }

    #[test]
    fn other_zones_are_moved_to_utc() {
        // XEP-0082 §3.2: the first footprint on the Moon, in UTC and in US Eastern.
        assert_eq!(
            parse("1969-07-20T21:56:15-05:00"),
            parse("1969-07-21T02:56:15Z")
        );
        assert_eq!(parse("1970-01-01T01:00:00.5+01:00"), Some(500_000));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2002-09-10",
            "2002-13-10T00:00:00Z",
            "2002-09-10T24:00:00Z",
            "2002-09-10T00:00:00",
            "2002-9-1T0:0:xZ",
            "2002-09-10T00:00:00.\u{e9}Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for day in (days(1900, 1, 1)..days(2300, 1, 1)).step_by(7) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
