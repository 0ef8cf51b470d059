//! The bars around a run's log: the form above it, the status below it.

use std::time::Duration;

use leptos::either::Either;
use leptos::prelude::*;
use model::{Level, LogFilter, LogStretch, RunId};

use super::icon::Icon;
use super::log_window::LogWindow;
use super::run_live::RunSignals;
use super::status_badge::{StatusBadge, StatusStyle};
use super::time::Ago;
use crate::format;
use crate::live::Connection;

/// The pause in typing after which the search starts.
const DEBOUNCE: Duration = Duration::from_millis(250);

/// The minimum levels.
const LEVELS: [(Level, &str); 4] = [
    (Level::Debug, "All levels"),
    (Level::Info, "Info and above"),
    (Level::Warn, "Warnings and errors"),
    (Level::Error, "Errors"),
];

/// Search, level, follow, wrap and download.
#[component]
pub fn LogBar(
    /// The lines that the page holds.
    window: LogWindow,
    /// The run.
    id: RunId,
) -> impl IntoView {
    let keystrokes = StoredValue::new(0_u64);
    let on_search = move |event| {
        let search = event_target_value(&event);
        let keystroke = keystrokes.get_value() + 1;
        keystrokes.set_value(keystroke);
        set_timeout(
            move || {
                if keystrokes.try_get_value() == Some(keystroke) {
                    window.search(LogFilter { search, ..window.filter.get_untracked() });
                }
            },
            DEBOUNCE,
        );
    };
    let on_level = move |event| {
        let level = event_target_value(&event).parse().unwrap_or(Level::Debug);
        window.search(LogFilter { level, ..window.filter.get_untracked() });
    };
    let on_follow = move |event| {
        let follows = event_target_checked(&event);
        window.follow.set(follows);
        if follows && window.later.get_untracked() {
            window.load(LogStretch::Last);
        }
    };
    let initial = window.filter.get_untracked();
    let matches = move || {
        let filtered = window.filter.with(|filter| !filter.is_empty());
        match window.loading.get() {
            true => Some("searching…".to_owned()),
            false => filtered.then(|| format::quantity(window.matches.get(), "line", "lines")),
        }
    };
    view! {
        <form class="bar" method="get" on:submit=move |event| event.prevent_default()>
            <h2 id="log-h">"Log"</h2>
            <div class="row grow">
                <label class="vh" for="log-q">"Search the log"</label>
                <input id="log-q" name="q" type="search" placeholder="Search all lines" value=initial.search on:input=on_search/>
                <output for="log-q">{matches}</output>
            </div>
            <label class="check" for="log-l">
                "Show "
                <select id="log-l" name="level" on:change=on_level>
                    {LEVELS
                        .into_iter()
                        .map(|(level, label)| view! { <option value=level.as_str() selected=level == initial.level>{label}</option> })
                        .collect_view()}
                </select>
            </label>
            <noscript><button class="btn small">"Search"</button></noscript>
            <label class="check"><input type="checkbox" prop:checked=window.follow checked on:change=on_follow/>" Follow log"</label>
            <label class="check"><input type="checkbox" id="log-wrap" class="wraps"/>" Wrap lines"</label>
            <a class="btn small push" href=format!("/api/runs/{id}/log?format=text") download rel="external"><Icon name="download"/>"Download log"</a>
        </form>
    }
    .into_any()
}

/// Whether the log is live, which lines are shown, and the age of the last one.
#[component]
pub fn LogStatus(
    /// The run's signals.
    run: RunSignals,
) -> impl IntoView {
    let window = run.log;
    let has_ended = Memo::new(move |_| run.detail.with(|detail| detail.run.state.has_ended()));
    let style = move || match (has_ended.get(), run.connection.get()) {
        (true, _) => StatusStyle::new("off", "s-ok", "ended"),
        (false, Connection::Open) => StatusStyle::new("run", "s-run", "live"),
        (false, Connection::Lost) => StatusStyle::new("warn", "s-warn", "connection lost; reconnecting"),
        (false, Connection::None) => StatusStyle::new("todo", "s-todo", "not live"),
    };
    let last = move || window.lines.with(|lines| lines.last().map(|line| line.at));
    view! {
        {move || view! { <StatusBadge style=style()/> }}
        <span>{move || shown_lines(window, has_ended.get())}</span>
        <span class="push">
            {move || match last() {
                Some(at) => Either::Left(view! { "last line " <Ago at/> }),
                None => Either::Right(()),
            }}
        </span>
    }
    .into_any()
}

/// Which lines are shown, out of how many.
fn shown_lines(window: LogWindow, has_ended: bool) -> String {
    let newest = window.newest.get();
    let total = format::quantity(newest, "line", "lines");
    let filtered = window.filter.with(|filter| !filter.is_empty());
    window.lines.with(|lines| match (lines.first(), lines.last()) {
        _ if newest == 0 => if has_ended { "no lines" } else { "no lines yet" }.to_owned(),
        (None, _) if filtered => format!("no matches in {total}"),
        _ if filtered => {
            let matches = format::quantity(window.matches.get(), "match", "matches");
            match i64::try_from(lines.len()) {
                Ok(shown) if shown < window.matches.get() => {
                    format!("{} of {matches} in {total}", format::count(shown))
                }
                _ => format!("{matches} in {total}"),
            }
        }
        (Some(first), Some(last)) if first.n > 1 || last.n < newest => format!(
            "lines {} to {} of {}; the download contains all",
            format::count(first.n),
            format::count(last.n),
            format::count(newest)
        ),
        _ => format!("{total}, complete"),
    })
}
