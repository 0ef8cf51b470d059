//! A run's log: live, followed, searched, by level, wrapped or not, downloaded whole. Without WASM its form and its
//! links do the same by address.

use std::time::Duration;

use leptos::either::Either;
use leptos::html::Div;
use leptos::prelude::*;
use model::{Level, LogFilter, LogLine, LogStretch, RunId};

use super::icon::Icon;
use super::log_window::LogWindow;
use super::run_live::RunSignals;
use super::status_badge::{StatusBadge, StatusStyle};
use super::time::Ago;
use crate::format;
use crate::live::Connection;
use crate::url;

/// How long typing must rest before it is searched for.
const REST: Duration = Duration::from_millis(250);
/// How many lines before one that the address names are shown with it.
const BEFORE: i64 = 20;

/// Levels are a minimum.
const LEVELS: [(Level, &str); 4] = [
    (Level::Debug, "everything"),
    (Level::Info, "info and graver"),
    (Level::Warn, "warnings and errors"),
    (Level::Error, "errors"),
];

/// The log.
#[component]
pub fn LogView(
    /// The run's signals.
    run: RunSignals,
) -> impl IntoView {
    let window = run.log;
    let follow = window.follow;
    let frame = NodeRef::<Div>::new();
    let keep = StoredValue::new(None::<i32>);
    keep_the_place(window, follow, frame, keep);
    go_to_the_line_of_the_address(window, follow);
    let id = run.detail.with_untracked(|detail| detail.run.id);
    let earlier = move |_| {
        follow.set(false);
        keep.set_value(frame.get_untracked().map(|frame| frame.scroll_height() - frame.scroll_top()));
        window.load_earlier();
    };
    let to_the_end = move |_| {
        follow.set(true);
        window.load(LogStretch::Last);
    };
    let first = move || window.lines.with(|lines| lines.first().map_or(0, |line| line.n));
    let last = move || window.lines.with(|lines| lines.last().map_or(0, |line| line.n));
    view! {
        <section class="log" aria-labelledby="log-h" id="log">
            <Bar window follow id/>
            <div class="lines" role="log" aria-live="off" aria-labelledby="log-h" tabindex="0" node_ref=frame>
                <More shown=window.earlier window words="Load earlier lines" href=move |filter| address("before", first(), filter) act=earlier/>
                <ol>
                    <For each=move || window.lines.get() key=|line| line.n let:line>
                        <Line line filter=window.filter/>
                    </For>
                </ol>
                <More shown=window.later window words="Load later lines" href=move |filter| address("after", last(), filter) act=move |_| window.load_later()/>
                <More shown=window.later window words="Go to the end" href=move |filter| address("", 0, filter) act=to_the_end/>
            </div>
            <p class="end"><End run/></p>
        </section>
    }
    .into_any()
}

/// Where the same is shown without WASM.
fn address(side: &str, n: i64, filter: &LogFilter) -> String {
    let side = if side.is_empty() { String::new() } else { format!("{side}={n}&") };
    format!("?{side}q={}&level={}#log", url::encode(&filter.search), filter.level)
}

#[component]
fn More(
    shown: RwSignal<bool>,
    window: LogWindow,
    words: &'static str,
    href: impl Fn(&LogFilter) -> String + Send + Sync + Copy + 'static,
    act: impl Fn(()) + Send + Sync + Copy + 'static,
) -> impl IntoView {
    move || {
        shown.get().then(|| {
            view! {
                <p class="further">
                    <a
                        class="btn small"
                        href=move || window.filter.with(href)
                        aria-disabled=move || window.loading.get().then_some("true")
                        on:click=move |event| {
                            event.prevent_default();
                            if !window.loading.get_untracked() {
                                act(());
                            }
                        }
                    >
                        {words}
                    </a>
                </p>
            }
        })
    }
}

/// Follows the end, or, when lines came in above, stays at what is being read.
fn keep_the_place(
    window: LogWindow,
    follow: RwSignal<bool>,
    frame: NodeRef<Div>,
    keep: StoredValue<Option<i32>>,
) {
    Effect::new(move |_| {
        window.lines.track();
        let follow = follow.get() && !window.later.get();
        let Some(frame) = frame.get() else { return };
        let kept = keep.try_update_value(Option::take).flatten();
        match kept {
            Some(below) => frame.set_scroll_top(frame.scroll_height() - below),
            None if follow => frame.set_scroll_top(frame.scroll_height()),
            None => {}
        }
    });
}

/// A link to a line, `#L1204`, works also when the line is not among those that the page began with.
fn go_to_the_line_of_the_address(window: LogWindow, follow: RwSignal<bool>) {
    let aim = RwSignal::new(None::<i64>);
    Effect::new(move |_| {
        let hash = location().hash().unwrap_or_default();
        let Some(n) = hash.strip_prefix("#L").and_then(|n| n.parse::<i64>().ok()) else { return };
        follow.set(false);
        if !window.lines.with_untracked(|lines| lines.iter().any(|line| line.n == n)) {
            aim.set(Some(n));
            window.load(LogStretch::After((n - BEFORE).max(0)));
        }
    });
    Effect::new(move |_| {
        let there = |n: &i64| window.lines.with(|lines| lines.iter().any(|line| line.n == *n));
        if let Some(n) = aim.get().filter(there) {
            aim.set(None);
            // Once the line is drawn, going there once more finds it.
            request_animation_frame(move || {
                let _ = location().set_hash("");
                let _ = location().set_hash(&format!("L{n}"));
            });
        }
    });
}

#[component]
fn Bar(window: LogWindow, follow: RwSignal<bool>, id: RunId) -> impl IntoView {
    let typed = StoredValue::new(0_u64);
    let on_search = move |event| {
        let search = event_target_value(&event);
        let turn = typed.get_value() + 1;
        typed.set_value(turn);
        set_timeout(
            move || {
                if typed.try_get_value() == Some(turn) {
                    window.search(LogFilter { search, ..window.filter.get_untracked() });
                }
            },
            REST,
        );
    };
    let on_level = move |event| {
        let level = event_target_value(&event).parse().unwrap_or(Level::Debug);
        window.search(LogFilter { level, ..window.filter.get_untracked() });
    };
    let on_follow = move |event| {
        let follows = event_target_checked(&event);
        follow.set(follows);
        if follows && window.later.get_untracked() {
            window.load(LogStretch::Last);
        }
    };
    let at_first = window.filter.get_untracked();
    let found = move || {
        let words = window
            .filter
            .with(|filter| !filter.is_empty())
            .then(|| format::quantity(window.matches.get(), "line", "lines"));
        if window.loading.get() { Some("looking…".to_owned()) } else { words }
    };
    view! {
        <form class="bar" method="get" on:submit=move |event| event.prevent_default()>
            <h2 id="log-h">"Log"</h2>
            <div class="row grow">
                <label class="vh" for="log-q">"Search the log"</label>
                <input id="log-q" name="q" type="search" placeholder="search all lines" value=at_first.search on:input=on_search/>
                <output for="log-q">{found}</output>
            </div>
            <label class="check" for="log-l">
                "Show "
                <select id="log-l" name="level" on:change=on_level>
                    {LEVELS
                        .into_iter()
                        .map(|(level, words)| view! { <option value=level.as_str() selected=level == at_first.level>{words}</option> })
                        .collect_view()}
                </select>
            </label>
            <noscript><button class="btn small">"Search"</button></noscript>
            <label class="check"><input type="checkbox" prop:checked=follow checked on:change=on_follow/>" Follow"</label>
            <label class="check"><input type="checkbox" id="log-wrap" class="wraps"/>" Wrap"</label>
            <a class="btn small push" href=format!("/api/runs/{id}/log?format=text") download rel="external"><Icon name="download"/>"Download"</a>
        </form>
    }
    .into_any()
}

#[component]
fn Line(line: LogLine, filter: RwSignal<LogFilter>) -> impl IntoView {
    let class = match line.level {
        Level::Warn => Some("lw"),
        Level::Error => Some("le"),
        _ => None,
    };
    let time = line.at.format("%H:%M:%S%.3f").to_string();
    let text = filter.with_untracked(|filter| marked(&line.message, &filter.search));
    view! {
        <li id=format!("L{}", line.n) class=class>
            <a href=format!("#L{}", line.n) rel="external">{line.n}</a>
            <time datetime=format::iso8601(line.at) title=format::exact(line.at)>{time}</time>
            <b>{line.level.as_str()}</b>
            <span>{text}</span>
        </li>
    }
}

/// The text with what was searched for marked.
fn marked(text: &str, search: &str) -> impl IntoView + use<> {
    let at = (!search.is_empty()).then(|| text.to_lowercase().find(&search.to_lowercase())).flatten();
    // Where lowercase letters are longer or shorter, places differ; then nothing is marked.
    let parts = at.and_then(|at| {
        let end = at + search.len();
        Some((text.get(..at)?.to_owned(), text.get(at..end)?.to_owned(), text.get(end..)?.to_owned()))
    });
    match parts {
        Some((before, found, after)) => Either::Left(view! { {before}<mark>{found}</mark>{after} }),
        None => Either::Right(text.to_owned()),
    }
}

#[component]
fn End(run: RunSignals) -> impl IntoView {
    let window = run.log;
    let style = move || match (run.detail.with(|detail| detail.run.state.has_ended()), run.connection.get()) {
        (true, _) => StatusStyle::new("off", "s-ok", "whole"),
        (false, Connection::Open) => StatusStyle::new("run", "s-run", "live"),
        (false, Connection::Lost) => {
            StatusStyle::new("warn", "s-warn", "the connection dropped; trying again")
        }
        (false, Connection::None) => StatusStyle::new("todo", "s-todo", "as of when the page was loaded"),
    };
    let last = move || window.lines.with(|lines| lines.last().map(|line| line.at));
    view! {
        {move || view! { <StatusBadge style=style()/> }}
        <span>{move || span(window)}</span>
        <span class="push">
            {move || match last() {
                Some(at) => Either::Left(view! { "last line " <Ago at/> }),
                None => Either::Right(()),
            }}
        </span>
    }
    .into_any()
}

/// Which lines are shown, of how many.
fn span(window: LogWindow) -> String {
    let newest = window.newest.get();
    let filtered = window.filter.with(|filter| !filter.is_empty());
    window.lines.with(|lines| match (lines.first(), lines.last()) {
        _ if newest == 0 => "no lines yet".to_owned(),
        _ if filtered => format!(
            "{} of {} found, out of {}",
            format::count(lines.len() as u64),
            format::count(window.matches.get()),
            format::quantity(newest, "line", "lines")
        ),
        (Some(first), Some(last)) if first.n > 1 || last.n < newest => format!(
            "lines {} to {} of {}; the download has all",
            format::count(first.n),
            format::count(last.n),
            format::count(newest)
        ),
        _ => format!("lines 1 to {}, no gap", format::count(newest)),
    })
}
