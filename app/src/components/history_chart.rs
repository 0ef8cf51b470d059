//! An instance's days, a block each, and under them how large the images were and how long they took.

use chrono::{Datelike, Days as DaysOf, NaiveDate, Utc};
use leptos::prelude::*;
use model::image::DayOfImages;

use crate::format;

/// How many days are drawn.
pub const DAYS: u64 = 14;
/// From one block to the next.
const PITCH: usize = 12;

/// How one day is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayStatus {
    /// An image of that day was proven.
    Proven,
    /// One was made.
    Made,
    /// One is being made.
    Making,
    /// All tries failed.
    Failed,
    /// None was made.
    None,
}

impl DayStatus {
    fn of(day: Option<&DayOfImages>) -> Self {
        match day {
            Some(day) if day.proven > 0 => Self::Proven,
            Some(day) if day.made > 0 => Self::Made,
            Some(day) if day.failed > 0 => Self::Failed,
            _ => Self::None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Proven => "made and proven",
            Self::Made => "made, not proven yet",
            Self::Making => "being made",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }
}

/// The last days up to today, each with what is known of it.
fn laid_out(days: &[DayOfImages]) -> Vec<(NaiveDate, Option<&DayOfImages>)> {
    let today = Utc::now().date_naive();
    (0..DAYS)
        .rev()
        .filter_map(|back| today.checked_sub_days(DaysOf::new(back)))
        .map(|date| (date, days.iter().find(|day| day.day == date)))
        .collect()
}

fn looks(days: &[DayOfImages], backing_up: bool) -> Vec<(NaiveDate, DayStatus)> {
    let mut looks: Vec<_> =
        laid_out(days).into_iter().map(|(date, day)| (date, DayStatus::of(day))).collect();
    if backing_up && let Some(today) = looks.last_mut() {
        today.1 = DayStatus::Making;
    }
    looks
}

fn sentence(name: &str, looks: &[(NaiveDate, DayStatus)]) -> String {
    let many = |style| looks.iter().filter(|(_, l)| *l == style).count();
    let (proven, made, failed) = (many(DayStatus::Proven), many(DayStatus::Made), many(DayStatus::Failed));
    let backing_up = if many(DayStatus::Making) > 0 { ", one is being made" } else { "" };
    format!(
        "{name}, the last {DAYS} days: {proven} proven, {made} made and not proven, {failed} failed{backing_up}"
    )
}

/// An instance's last days as a row of blocks.
#[component]
pub fn HistoryStrip(
    /// The instance's name.
    name: String,
    /// What is known of its days.
    days: Vec<DayOfImages>,
    /// Whether an image is being made now.
    #[prop(optional)]
    backing_up: bool,
    /// With the letters of the days under them.
    #[prop(optional)]
    tall: bool,
) -> impl IntoView {
    let looks = looks(&days, backing_up);
    let label = sentence(&name, &looks);
    let inner: String = looks
        .iter()
        .enumerate()
        .map(|(i, (date, style))| {
            let letter = if tall {
                let letter = &date.weekday().to_string()[..1];
                format!(r#"<text x="{}" y="24">{letter}</text>"#, i * PITCH + 4)
            } else {
                String::new()
            };
            let title = format!("<title>{}, {}</title>", date.format("%a %-d %b"), style.words());
            format!("<g>{title}{}{letter}</g>", day_block(i * PITCH, *style))
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

/// Days, and below each how large its image was and how long it took.
#[component]
pub fn HistoryChart(
    /// The instance's name.
    name: String,
    /// What is known of its days.
    days: Vec<DayOfImages>,
    /// Whether an image is being made now.
    backing_up: bool,
) -> impl IntoView {
    let sizes =
        laid_out(&days).iter().map(|(_, day)| day.and_then(|day| day.stored_bytes)).collect::<Vec<_>>();
    let durations =
        laid_out(&days).iter().map(|(_, day)| day.and_then(|day| day.duration_ms)).collect::<Vec<_>>();
    let stored = |bytes: i64| format::bytes(bytes.unsigned_abs());
    view! {
        <div class="history">
            <div>
            <span class="k">"Images"</span>
            <HistoryStrip name=name.clone() days backing_up tall=true/>
            </div>
            <Bars name="Stored" of=name.clone() values=sizes words=stored/>
            <Bars name="Took" of=name values=durations words=format::duration/>
        </div>
    }
    .into_any()
}

/// One row of bars, a bar a day, beside its newest number.
#[component]
fn Bars(name: &'static str, of: String, values: Vec<Option<i64>>, words: fn(i64) -> String) -> impl IntoView {
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
                        words(*value),
                    )
                }
                None => format!(r#"<rect class="grid" x="{}" y="16" width="9" height="1"/>"#, i * PITCH),
            })
            .collect();
        let range = if least == most { words(most) } else { format!("{} to {}", words(least), words(most)) };
        view! {
            <div>
            <span class="k">{name}</span>
            <svg
                class="chart bars"
                viewBox="0 0 165 18"
                role="img"
                aria-label=format!("{of}, {}, the last {DAYS} days: {range}", name.to_lowercase())
                inner_html=inner
            ></svg>
            <span class="v">
                <b>{last.and_then(|last| values[last]).map(words)}</b>
                <span class="sub">{(least != most).then_some(range)}</span>
            </span>
            </div>
        }
    })
}

/// The words for the shapes of days.
#[component]
pub fn Legend() -> impl IntoView {
    view! {
        <ul class="legend">
            {[DayStatus::Proven, DayStatus::Made, DayStatus::Making, DayStatus::Failed, DayStatus::None]
                .into_iter()
                .map(|style| {
                    view! {
                        <li>
                            <svg class="blocks" viewBox="0 0 9 14" aria-hidden="true" inner_html=day_block(0, style)></svg>
                            {style.words()}
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
    .into_any()
}

fn day_block(x: usize, style: DayStatus) -> String {
    match style {
        DayStatus::Proven => format!(r#"<rect class="p" x="{x}" y="1" width="9" height="12" rx="1.5"/>"#),
        DayStatus::Made => {
            format!(r#"<rect class="m" x="{x}.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#)
        }
        DayStatus::Making => format!(
            r#"<rect class="m" x="{x}.75" y="1.75" width="7.5" height="10.5" rx="1"/><rect class="r" x="{x}.75" y="7" width="7.5" height="5.25" rx="1"/>"#
        ),
        DayStatus::Failed => format!(r#"<path class="x" d="M{x} 0m1.5 3.5l6 6.5m0-6.500l-6 6.500"/>"#),
        DayStatus::None => format!(r#"<rect class="g" x="{}.5" y="11" width="4" height="2" rx="1"/>"#, x + 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(back: u64, made: i32, proven: i32, failed: i32) -> DayOfImages {
        let day = Utc::now().date_naive().checked_sub_days(DaysOf::new(back)).expect("a day");
        DayOfImages { day, made, failed, proven, stored_bytes: None, duration_ms: None }
    }

    #[test]
    fn a_day_is_green_only_when_proven() {
        let days = [day(0, 1, 0, 1), day(1, 1, 1, 0), day(2, 0, 0, 2)];
        let looks = looks(&days, false);
        assert_eq!(looks.len(), 14);
        let seen: Vec<_> = looks.iter().rev().take(4).map(|(_, style)| *style).collect();
        assert_eq!(seen, [DayStatus::Made, DayStatus::Proven, DayStatus::Failed, DayStatus::None]);
    }

    #[test]
    fn what_is_being_made_stands_today() {
        assert_eq!(looks(&[], true).last().map(|(_, style)| *style), Some(DayStatus::Making));
    }
}
