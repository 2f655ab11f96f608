//! Time spans and sizes as people write them: `"30s"`, `"7d"`, `"256KiB"`.

use std::time::Duration;

/// Units of time with their length in milliseconds, the longest first.
const TIMES: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Units of size with their length in bytes. Both families stand here because both are written;
/// what we show uses the binary one.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a time span; `None` where it is not a whole number and a unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &TIMES).map(Duration::from_millis)
}

/// Reads a size in bytes; `None` where it is not a whole number and a unit.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// Writes a time span in the longest unit that holds it exactly.
pub fn show_duration(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    // Weeks are read but not written: "7d" is how people say it.
    show(millis, TIMES.get(1..).unwrap_or(&TIMES), "s")
}

/// Writes a size in the longest binary unit that holds it exactly.
pub fn show_size(bytes: u64) -> String {
    let binary = SIZES
        .iter()
        .filter(|(unit, _)| unit.len() != 2)
        .copied()
        .collect::<Vec<_>>();
    show(bytes, &binary, "B")
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim_start();
    let length = units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, length)| *length)?;
    number.parse::<u64>().ok()?.checked_mul(length)
}

fn show(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    if value == 0 {
        return format!("0{zero}");
    }
    let fits = units
        .iter()
        .find(|(_, length)| value.is_multiple_of(*length));
    fits.map_or_else(
        || value.to_string(),
        |(unit, length)| format!("{}{unit}", value / length),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_need_a_unit() {
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("5 m"), Some(Duration::from_secs(300)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2w"), parse_duration("14d"));
        for wrong in [
            "30",
            "s",
            "",
            "-1s",
            "1.5h",
            "5 minutes",
            "99999999999999999w",
        ] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn binary_and_decimal_sizes_differ() {
        assert_eq!(parse_size("256KiB"), Some(262_144));
        assert_eq!(parse_size("10kB"), Some(10_000));
        assert_eq!(parse_size("10 B"), Some(10));
        for wrong in ["10k", "10KB", "KiB", "1e3B", "99999999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["30s", "5m", "7d", "1500ms", "1h", "0s"] {
            assert_eq!(
                parse_duration(text).map(show_duration).as_deref(),
                Some(text)
            );
        }
        for text in ["256KiB", "10000B", "1MiB", "3GiB", "0B"] {
            assert_eq!(parse_size(text).map(show_size).as_deref(), Some(text));
        }
    }
}
