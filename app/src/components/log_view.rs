//! A run's log: live or ended, with search, level filter, follow and wrap. Without WASM, its form and its links do the
//! same by address.

use leptos::either::Either;
use leptos::html::Div;
use leptos::prelude::*;
use model::{Level, LogFilter, LogLine, LogStretch};

use super::log_bar::{LogBar, LogStatus};
use super::log_window::LogWindow;
use super::run_live::RunSignals;
use crate::{format, url};

/// The number of lines shown before a line that the address names.
const LINES_BEFORE_TARGET: i64 = 20;

/// The log of a run.
#[component]
pub fn LogView(
    /// The run's signals.
    run: RunSignals,
) -> impl IntoView {
    let window = run.log;
    let follow = window.follow;
    let frame = NodeRef::<Div>::new();
    let distance_to_end = StoredValue::new(None::<i32>);
    keep_scroll_position(window, frame, distance_to_end);
    scroll_to_target_line(window);
    let id = run.detail.with_untracked(|detail| detail.run.id);
    let load_earlier = move |()| {
        follow.set(false);
        distance_to_end
            .set_value(frame.get_untracked().map(|frame| frame.scroll_height() - frame.scroll_top()));
        window.load_earlier();
    };
    let go_to_end = move |()| {
        follow.set(true);
        window.load(LogStretch::Last);
    };
    let first = move || window.lines.with(|lines| lines.first().map_or(0, |line| line.n));
    let last = move || window.lines.with(|lines| lines.last().map_or(0, |line| line.n));
    view! {
        <section class="log" aria-labelledby="log-h" id="log">
            <LogBar window id/>
            <div class="lines" role="log" aria-live="off" aria-labelledby="log-h" tabindex="0" node_ref=frame>
                <MoreLink shown=window.earlier window label="Load earlier lines" href=move |filter| address("before", first(), filter) load=load_earlier/>
                <ol>
                    <For each=move || window.lines.get() key=|line| line.n let:line>
                        <Line line filter=window.filter/>
                    </For>
                </ol>
                <MoreLink shown=window.later window label="Load later lines" href=move |filter| address("after", last(), filter) load=move |()| window.load_later()/>
                <MoreLink shown=window.later window label="Go to the end" href=move |filter| address("", 0, filter) load=go_to_end/>
            </div>
            <p class="end"><LogStatus run/></p>
        </section>
    }
    .into_any()
}

/// The address of a range of lines, for use without WASM.
fn address(side: &str, n: i64, filter: &LogFilter) -> String {
    let side = if side.is_empty() { String::new() } else { format!("{side}={n}&") };
    format!("?{side}q={}&level={}#log", url::encode(&filter.search), filter.level)
}

/// A link that loads more lines.
#[component]
fn MoreLink(
    shown: RwSignal<bool>,
    window: LogWindow,
    label: &'static str,
    href: impl Fn(&LogFilter) -> String + Send + Sync + Copy + 'static,
    load: impl Fn(()) + Send + Sync + Copy + 'static,
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
                                load(());
                            }
                        }
                    >
                        {label}
                    </a>
                </p>
            }
        })
    }
}

/// Follows the end; when earlier lines were inserted, keeps the visible lines in place.
fn keep_scroll_position(window: LogWindow, frame: NodeRef<Div>, distance_to_end: StoredValue<Option<i32>>) {
    Effect::new(move |_| {
        window.lines.track();
        let follows = window.follow.get() && !window.later.get();
        let Some(frame) = frame.get() else { return };
        match distance_to_end.try_update_value(Option::take).flatten() {
            Some(distance) => frame.set_scroll_top(frame.scroll_height() - distance),
            None if follows => frame.set_scroll_top(frame.scroll_height()),
            None => {}
        }
    });
}

/// Scrolls to the line that the address names (`#L1204`); loads it first if the page does not hold it.
fn scroll_to_target_line(window: LogWindow) {
    let target = RwSignal::new(None::<i64>);
    let holds = move |n: i64| move |lines: &Vec<LogLine>| lines.iter().any(|line| line.n == n);
    Effect::new(move |_| {
        let hash = location().hash().unwrap_or_default();
        let Some(n) = hash.strip_prefix("#L").and_then(|n| n.parse::<i64>().ok()) else { return };
        window.follow.set(false);
        if !window.lines.with_untracked(holds(n)) {
            target.set(Some(n));
            window.load(LogStretch::After((n - LINES_BEFORE_TARGET).max(0)));
        }
    });
    Effect::new(move |_| {
        if let Some(n) = target.get().filter(|n| window.lines.with(holds(*n))) {
            target.set(None);
            // The browser scrolls when the hash changes, once the line is drawn.
            request_animation_frame(move || {
                let _ = location().set_hash("");
                let _ = location().set_hash(&format!("L{n}"));
            });
        }
    });
}

#[component]
fn Line(line: LogLine, filter: RwSignal<LogFilter>) -> impl IntoView {
    let class = match line.level {
        Level::Warn => Some("lw"),
        Level::Error => Some("le"),
        _ => None,
    };
    let time = line.at.format("%H:%M:%S%.3f").to_string();
    let text = filter.with_untracked(|filter| highlighted(&line.message, &filter.search));
    view! {
        <li id=format!("L{}", line.n) class=class>
            <a href=format!("#L{}", line.n) rel="external">{line.n}</a>
            <time datetime=format::iso8601(line.at) title=format::exact(line.at)>{time}</time>
            <b>{line.level.as_str()}</b>
            <span>{text}</span>
        </li>
    }
}

/// The text with the first match of the search marked.
fn highlighted(text: &str, search: &str) -> impl IntoView + use<> {
    let at = (!search.is_empty()).then(|| text.to_lowercase().find(&search.to_lowercase())).flatten();
    // Lowercase letters can differ in length; offsets that do not fit mark nothing.
    let parts = at.and_then(|at| {
        let end = at + search.len();
        Some((text.get(..at)?.to_owned(), text.get(at..end)?.to_owned(), text.get(end..)?.to_owned()))
    });
    match parts {
        Some((before, found, after)) => Either::Left(view! { {before}<mark>{found}</mark>{after} }),
        None => Either::Right(text.to_owned()),
    }
}
