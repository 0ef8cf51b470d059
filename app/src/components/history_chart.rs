//! An instance's backup history: one block a day, above the size and duration of each day's image.

use chrono::{Datelike, Days, NaiveDate};
use leptos::prelude::*;
use model::image::DayOfImages;

use super::time::use_clock;
use crate::format;

/// The number of days.
const DAYS: u64 = 14;
/// The distance between two blocks.
const PITCH: usize = 12;

/// The best result of a day's backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DayStatus {
    /// An image of the day was proven.
    Proven,
    /// An image was created, and none was proven.
    Created,
    /// A backup is running.
    InProgress,
    /// All backups failed.
    Failed,
    /// There was no backup.
    None,
}

impl DayStatus {
    const ALL: [Self; 5] = [Self::Proven, Self::Created, Self::InProgress, Self::Failed, Self::None];

    fn of(day: Option<&DayOfImages>) -> Self {
        match day {
            Some(day) if day.proven > 0 => Self::Proven,
            Some(day) if day.created > 0 => Self::Created,
            Some(day) if day.failed > 0 => Self::Failed,
            _ => Self::None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Created => "not proven",
            Self::InProgress => "in progress",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }
}

/// The last days up to `today`, each with its images.
fn by_date(days: &[DayOfImages], today: NaiveDate) -> Vec<(NaiveDate, Option<&DayOfImages>)> {
    (0..DAYS)
        .rev()
        .filter_map(|back| today.checked_sub_days(Days::new(back)))
        .map(|date| (date, days.iter().find(|day| day.day == date)))
        .collect()
}

fn statuses(days: &[DayOfImages], today: NaiveDate, backing_up: bool) -> Vec<(NaiveDate, DayStatus)> {
    let mut statuses: Vec<_> =
        by_date(days, today).into_iter().map(|(date, day)| (date, DayStatus::of(day))).collect();
    if backing_up && let Some(today) = statuses.last_mut() {
        today.1 = DayStatus::InProgress;
    }
    statuses
}

/// The drawing as text, for screen readers.
fn summary(name: &str, statuses: &[(NaiveDate, DayStatus)]) -> String {
    let counts =
        DayStatus::ALL.into_iter().filter(|status| *status != DayStatus::None).filter_map(|status| {
            let count = statuses.iter().filter(|(_, of_day)| *of_day == status).count();
            (count > 0).then(|| format!("{count} {}", status.label()))
        });
    let counts: Vec<String> = counts.collect();
    let counts = if counts.is_empty() { "no backups".to_owned() } else { counts.join(", ") };
    format!("{name}, last {DAYS} days: {counts}")
}

/// An instance's last days as a row of blocks.
#[component]
pub fn HistoryStrip(
    /// The instance's name.
    name: String,
    /// The images of each day.
    days: Vec<DayOfImages>,
    /// Whether a backup is running.
    #[prop(optional)]
    backing_up: bool,
    /// Whether the weekdays are written below the blocks.
    #[prop(optional)]
    tall: bool,
) -> impl IntoView {
    let today = use_clock().now_untracked().date_naive();
    let statuses = statuses(&days, today, backing_up);
    let label = summary(&name, &statuses);
    let inner: String = statuses
        .iter()
        .enumerate()
        .map(|(i, (date, status))| {
            let letter = if tall {
                let letter = &date.weekday().to_string()[..1];
                format!(r#"<text x="{}" y="24">{letter}</text>"#, i * PITCH + 4)
            } else {
                String::new()
            };
            let title = format!("<title>{}, {}</title>", date.format("%a %-d %b"), status.label());
            format!("<g>{title}{}{letter}</g>", draw_day(i * PITCH, *status))
        })
        .collect();
    let height = if tall { 26 } else { 14 };
    view! {
        <svg
            class=if tall { "blocks tall" } else { "blocks" }
            viewBox=format!("0 0 165 {height}")
            role="img"
            aria-label=label
            inner_html=inner
        ></svg>
    }
    .into_any()
}

/// The last days, and below each day the size and the duration of its image.
#[component]
pub fn HistoryChart(
    /// The instance's name.
    name: String,
    /// The images of each day.
    days: Vec<DayOfImages>,
    /// Whether a backup is running.
    backing_up: bool,
) -> impl IntoView {
    let today = use_clock().now_untracked().date_naive();
    let values = |value: fn(&DayOfImages) -> Option<i64>| {
        by_date(&days, today).into_iter().map(|(_, day)| day.and_then(value)).collect::<Vec<_>>()
    };
    let sizes = values(|day| day.stored_bytes);
    let durations = values(|day| day.duration_ms);
    let stored = |bytes: i64| format::bytes(bytes.unsigned_abs());
    view! {
        <div class="history">
            <div>
            <span class="k">"Images"</span>
            <HistoryStrip name=name.clone() days backing_up tall=true/>
            </div>
            <Bars name="Stored" of=name.clone() values=sizes format=stored/>
            <Bars name="Duration" of=name values=durations format=format::duration/>
        </div>
    }
    .into_any()
}

/// A row of bars, one a day, beside the newest value.
#[component]
fn Bars(
    name: &'static str,
    of: String,
    values: Vec<Option<i64>>,
    format: fn(i64) -> String,
) -> impl IntoView {
    let known: Vec<i64> = values.iter().flatten().copied().collect();
    let (least, most) = (known.iter().min().copied().unwrap_or(0), known.iter().max().copied().unwrap_or(0));
    (!known.is_empty()).then(|| {
        let last = values.iter().rposition(Option::is_some);
        let inner: String = values
            .iter()
            .enumerate()
            .map(|(i, value)| match value {
                Some(value) => {
                    let height = (*value as f64 / most.max(1) as f64 * 16.0).max(1.0);
                    let class = if Some(i) == last { "bar last" } else { "bar" };
                    format!(
                        r#"<rect class="{class}" x="{}" y="{:.1}" width="9" height="{height:.1}" rx="1"><title>{}</title></rect>"#,
                        i * PITCH,
                        17.0 - height,
                        format(*value),
                    )
                }
                None => format!(r#"<rect class="grid" x="{}" y="16" width="9" height="1"/>"#, i * PITCH),
            })
            .collect();
        let range =
            if least == most { format(most) } else { format!("{} to {}", format(least), format(most)) };
        view! {
            <div>
            <span class="k">{name}</span>
            <svg
                class="chart bars"
                viewBox="0 0 165 18"
                role="img"
                aria-label=format!("{of}, {}, last {DAYS} days: {range}", name.to_lowercase())
                inner_html=inner
            ></svg>
            <span class="v">
                <b>{last.and_then(|last| values[last]).map(format)}</b>
                <span class="sub">{(least != most).then_some(range)}</span>
            </span>
            </div>
        }
    })
}

/// The legend of the blocks.
#[component]
pub fn Legend() -> impl IntoView {
    view! {
        <ul class="legend">
            {DayStatus::ALL
                .into_iter()
                .map(|status| {
                    view! {
                        <li>
                            <svg class="blocks" viewBox="0 0 9 14" aria-hidden="true" inner_html=draw_day(0, status)></svg>
                            {status.label()}
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
    .into_any()
}

fn draw_day(x: usize, status: DayStatus) -> String {
    match status {
        DayStatus::Proven => format!(r#"<rect class="p" x="{x}" y="1" width="9" height="12" rx="1.5"/>"#),
        DayStatus::Created => {
            format!(r#"<rect class="m" x="{x}.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#)
        }
        DayStatus::InProgress => format!(
            r#"<rect class="m" x="{x}.75" y="1.75" width="7.5" height="10.5" rx="1"/><rect class="r" x="{x}.75" y="7" width="7.5" height="5.25" rx="1"/>"#
        ),
        DayStatus::Failed => format!(r#"<path class="x" d="M{x} 0m1.5 3.5l6 6.5m0-6.500l-6 6.500"/>"#),
        DayStatus::None => {
            format!(r#"<rect class="g" x="{}" y="10.5" width="7" height="2.5" rx="1"/>"#, x + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 3, 12).expect("a valid date");

    fn day(back: u64, created: i32, proven: i32, failed: i32) -> DayOfImages {
        DayOfImages {
            day: TODAY - Days::new(back),
            created,
            failed,
            proven,
            stored_bytes: None,
            duration_ms: None,
        }
    }

    #[test]
    fn day_is_proven_only_if_an_image_of_it_was_proven() {
        let days = [day(0, 1, 0, 1), day(1, 1, 1, 0), day(2, 0, 0, 2)];
        let statuses = statuses(&days, TODAY, false);
        assert_eq!(statuses.len(), 14);
        let newest: Vec<_> = statuses.iter().rev().take(4).map(|(_, status)| *status).collect();
        assert_eq!(newest, [DayStatus::Created, DayStatus::Proven, DayStatus::Failed, DayStatus::None]);
    }

    #[test]
    fn running_backup_is_shown_today() {
        let newest = statuses(&[], TODAY, true).last().map(|(_, status)| *status);
        assert_eq!(newest, Some(DayStatus::InProgress));
    }

    #[test]
    fn summary_counts_the_days_of_each_status() {
        let days = [day(0, 1, 0, 1), day(1, 1, 1, 0)];
        let text = summary("orders", &statuses(&days, TODAY, false));
        assert_eq!(text, "orders, last 14 days: 1 proven, 1 not proven");
        assert_eq!(summary("orders", &statuses(&[], TODAY, false)), "orders, last 14 days: no backups");
    }
}
