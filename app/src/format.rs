//! Text for numbers and times: three significant digits, at most two units, decimal bytes. It knows no markup.

use chrono::{DateTime, Datelike, Utc};

/// Stands for a missing value.
pub const DASH: &str = "–";

/// `48.2 GB`: three digits, decimal units.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.5 would be rounded to 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", three_digits(value), UNITS[unit])
}

/// `12 GiB`, the unit of volumes.
#[must_use]
pub fn gib(bytes: i64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib.fract() == 0.0 { format!("{gib:.0} GiB") } else { format!("{gib:.1} GiB") }
}

/// A size from the database, or a dash.
#[must_use]
pub fn bytes_or_dash(value: Option<i64>) -> String {
    value.map_or_else(|| DASH.to_owned(), |value| bytes(value.max(0).unsigned_abs()))
}

/// `29.4 of 48.2 GB`: a common unit is written once.
#[must_use]
pub fn bytes_of(done: u64, total: u64) -> String {
    let (done, total) = (bytes(done), bytes(total));
    match (done.split_once(' '), total.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {total}"),
        _ => format!("{done} of {total}"),
    }
}

/// `84 MB/s`.
#[must_use]
pub fn rate(bytes_a_second: u64) -> String {
    format!("{}/s", bytes(bytes_a_second))
}

fn three_digits(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// `1,204`.
#[must_use]
pub fn count(value: impl Into<i128>) -> String {
    let value: i128 = value.into();
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if value < 0 {
        text.push('−');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 image`, `3 images`: a count with its noun.
#[must_use]
pub fn quantity(value: impl Into<i128>, one: &str, many: &str) -> String {
    let value = value.into();
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// `3.2 s`, `8 min 51 s`, `5 h 43 min`, `3 d 4 h`: two units at most.
#[must_use]
pub fn duration(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0 if milliseconds < 100 => format!("{milliseconds} ms"),
        0..10 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The duration of something that still runs, in whole seconds: `0 s`, `8 min 51 s`.
#[must_use]
pub fn running_duration(milliseconds: i64) -> String {
    match milliseconds.max(0) / 1000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => duration(seconds * 1000),
    }
}

/// The number of units nearest to a duration: 48 hours and 99 days are still written as hours and days.
fn nearest_unit(seconds: i64) -> String {
    let nearest = |unit: i64| (seconds + unit / 2) / unit;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3570 => format!("{} min", nearest(60)),
        3570..171_000 => format!("{} h", nearest(3600)),
        171_000..8_596_800 => format!("{} d", nearest(86_400)),
        8_596_800..61_800_300 => format!("{} months", nearest(2_629_800)),
        _ => format!("{} years", nearest(31_557_600)),
    }
}

/// `54 min ago`, `in 22 h`, `just now`.
#[must_use]
pub fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).num_seconds() {
        -4..=4 => "just now".to_owned(),
        past @ 5.. => format!("{} ago", nearest_unit(past)),
        future => format!("in {}", nearest_unit(-future)),
    }
}

/// `in 8 s`, or `now` once it is overdue.
#[must_use]
pub fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (at - now).num_seconds() {
        ..=0 => "now".to_owned(),
        seconds => format!("in {}", nearest_unit(seconds)),
    }
}

/// `15.20` of `15.20 (Debian 15.20-0+deb12u1)`.
#[must_use]
pub fn version(full: &str) -> &str {
    full.split_whitespace().next().unwrap_or(full)
}

/// `2026-03-12 02:14:05 UTC`.
#[must_use]
pub fn exact(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `12 Mar 2026`.
#[must_use]
pub fn day(at: DateTime<Utc>) -> String {
    format!("{} {}", at.day(), at.format("%b %Y"))
}

/// `2026-03-12T02:14:05Z`, for `datetime` attributes.
#[must_use]
pub fn iso8601(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The completed fraction of `total`, from 0 to 1; `None` while the total is unknown.
#[must_use]
pub fn fraction(done: u64, total: Option<u64>) -> Option<f64> {
    total.filter(|total| *total > 0).map(|total| (done as f64 / total as f64).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_decimal_units() {
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (48_212_334, "48.2 MB"),
            (112_000_000_000, "112 GB"),
            (999_600, "1.00 MB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn gib_keeps_one_decimal() {
        assert_eq!(gib(10 << 30), "10 GiB");
        assert_eq!(gib(5 << 29), "2.5 GiB");
    }

    #[test]
    fn bytes_of_writes_a_common_unit_once() {
        assert_eq!(bytes_of(29_400_000_000, 48_200_000_000), "29.4 of 48.2 GB");
        assert_eq!(bytes_of(500_000, 48_200_000_000), "500 kB of 48.2 GB");
    }

    #[test]
    fn count_groups_thousands() {
        assert_eq!(count(7_i64), "7");
        assert_eq!(count(1204_i64), "1,204");
        assert_eq!(count(214_880_117_i64), "214,880,117");
    }

    #[test]
    fn duration_has_at_most_two_units() {
        for (value, text) in [
            (40, "40 ms"),
            (3_200, "3.2 s"),
            (59_000, "59 s"),
            (531_000, "8 min 51 s"),
            (20_580_000, "5 h 43 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(value), text);
        }
    }

    #[test]
    fn running_duration_counts_whole_seconds() {
        for (value, text) in [(0, "0 s"), (3_700, "3 s"), (61_500, "1 min 1 s")] {
            assert_eq!(running_duration(value), text);
        }
    }

    #[test]
    fn until_is_now_when_overdue() {
        let now = DateTime::from_timestamp(1_773_281_645, 0).expect("a valid time");
        assert_eq!(until(now + chrono::TimeDelta::seconds(3), now), "in 3 s");
        assert_eq!(until(now - chrono::TimeDelta::seconds(3), now), "now");
    }

    #[test]
    fn relative_rounds_to_the_nearest_unit() {
        let now = DateTime::from_timestamp(1_773_281_645, 0).expect("a valid time");
        let at = |seconds| now - chrono::TimeDelta::seconds(seconds);
        assert_eq!(relative(at(2), now), "just now");
        assert_eq!(relative(at(3_240), now), "54 min ago");
        assert_eq!(relative(at(-79_300), now), "in 22 h");
        assert_eq!(relative(at(59 * 60 + 40), now), "1 h ago");
        assert_eq!(relative(at(3600 + 59 * 60), now), "2 h ago");
        assert_eq!(relative(at(86_400 * 3), now), "3 d ago");
        assert_eq!(relative(at(-86_400 * 89), now), "in 89 d");
        assert_eq!(relative(at(86_400 * 120), now), "4 months ago");
        assert_eq!(relative(at(86_400 * 725), now), "2 years ago");
    }
}
