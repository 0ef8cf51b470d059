//! Numbers and times as people read them: three digits, two units, decimal bytes. It knows no markup.

use chrono::{DateTime, Datelike, Utc};

/// What stands where there is nothing.
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
    // 999.5 would be written as 1000.
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

/// Bytes as the database counts them, or a dash.
#[must_use]
pub fn bytes_or_dash(value: Option<i64>) -> String {
    value.map_or_else(|| DASH.to_owned(), |value| bytes(value.max(0).unsigned_abs()))
}

/// `29.4 of 48.2 GB`: the unit once, where it is one.
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

/// `1 image`, `3 images`.
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

/// The time between two moments.
#[must_use]
pub fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    duration((to - from).num_milliseconds())
}

fn one_unit(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..5_184_000 => format!("{} d", seconds / 86_400),
        5_184_000..63_072_000 => format!("{} months", seconds / 2_592_000),
        _ => format!("{} years", seconds / 31_536_000),
    }
}

/// `54 min ago`, `in 22 h`, `just now`.
#[must_use]
pub fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).num_seconds() {
        -4..=4 => "just now".to_owned(),
        past @ 5.. => format!("{} ago", one_unit(past)),
        future => format!("in {}", one_unit(-future)),
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

/// For `datetime` attributes.
#[must_use]
pub fn iso8601(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How much of `total` is done, from 0 to 1; none while the total is unknown.
#[must_use]
pub fn fraction(done: u64, total: Option<u64>) -> Option<f64> {
    total.filter(|total| *total > 0).map(|total| (done as f64 / total as f64).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_decimal_units() {
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
    fn volumes_are_written_in_gib() {
        assert_eq!(gib(10 << 30), "10 GiB");
        assert_eq!(gib(5 << 29), "2.5 GiB");
    }

    #[test]
    fn a_shared_unit_is_written_once() {
        assert_eq!(bytes_of(29_400_000_000, 48_200_000_000), "29.4 of 48.2 GB");
        assert_eq!(bytes_of(500_000, 48_200_000_000), "500 kB of 48.2 GB");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(7_i64), "7");
        assert_eq!(count(1204_i64), "1,204");
        assert_eq!(count(214_880_117_i64), "214,880,117");
    }

    #[test]
    fn durations_have_two_units_at_most() {
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
    fn times_are_relative() {
        let now = DateTime::from_timestamp(1_773_281_645, 0).expect("a moment");
        let at = |seconds| now - chrono::TimeDelta::seconds(seconds);
        assert_eq!(relative(at(2), now), "just now");
        assert_eq!(relative(at(3_240), now), "54 min ago");
        assert_eq!(relative(at(-79_300), now), "in 22 h");
        assert_eq!(relative(at(86_400 * 3), now), "3 d ago");
    }
}
