//! A run's log: live, followed, searched, by level, wrapped or not, downloaded whole. It asks for nothing itself.

use leptos::either::Either;
use leptos::prelude::*;
use model::{Level, LogLine};

use super::icon::Icon;
use super::run_live::RunSignals;
use super::state::{Look, State};
use super::time::Ago;
use crate::format;
use crate::live::Connection;

/// The log.
#[component]
pub fn LogView(
    /// The run's signals.
    run: RunSignals,
) -> impl IntoView {
    let search = RwSignal::new(String::new());
    let level = RwSignal::new(Level::Debug);
    let follow = RwSignal::new(true);
    let shown = Memo::new(move |_| {
        let (search, level) = (search.get().to_lowercase(), level.get());
        run.lines.with(|lines| {
            lines
                .iter()
                .filter(|line| line.level >= level)
                .filter(|line| {
                    search.is_empty()
                        || line.message.to_lowercase().contains(&search)
                        || line.step.to_lowercase().contains(&search)
                })
                .cloned()
                .collect::<Vec<_>>()
        })
    });
    let frame = NodeRef::<leptos::html::Div>::new();
    Effect::new(move |_| {
        shown.track();
        if let (true, Some(frame)) = (follow.get(), frame.get()) {
            frame.set_scroll_top(frame.scroll_height());
        }
    });
    let id = run.detail.with_untracked(|detail| detail.run.id);
    view! {
        <section class="log" aria-labelledby="log-h">
            <form class="bar" on:submit=move |event| event.prevent_default()>
                <h2 id="log-h">"Log"</h2>
                <div class="row grow">
                    <label class="vh" for="log-q">"Search the log"</label>
                    <input id="log-q" type="search" placeholder="search the log" prop:value=search on:input=move |event| search.set(event_target_value(&event))/>
                    <output for="log-q">{move || (!search.get().is_empty()).then(|| format!("{} lines", format::count(shown.get().len() as u64)))}</output>
                </div>
                <label class="check" for="log-l">
                    "Level "
                    <select id="log-l" on:change=move |event| level.set(event_target_value(&event).parse().unwrap_or(Level::Debug))>
                        <option value="debug" selected>"all"</option>
                        <option value="info">"info"</option>
                        <option value="warn">"warn"</option>
                        <option value="error">"error"</option>
                    </select>
                </label>
                <label class="check"><input type="checkbox" prop:checked=follow checked on:change=move |event| follow.set(event_target_checked(&event))/>" Follow"</label>
                <label class="check"><input type="checkbox" name="wrap"/>" Wrap"</label>
                <a class="btn small push" href=format!("/api/runs/{id}/log?format=text") download rel="external"><Icon name="download"/>"Download"</a>
            </form>
            <div class="lines" role="log" aria-live="off" aria-labelledby="log-h" tabindex="0" node_ref=frame>
                <ol>
                    <For each=move || shown.get() key=|line| line.n let:line>
                        <Line line/>
                    </For>
                </ol>
            </div>
            <p class="end"><End run/></p>
        </section>
    }
    .into_any()
}

#[component]
fn Line(line: LogLine) -> impl IntoView {
    let class = match line.level {
        Level::Warn => Some("lw"),
        Level::Error => Some("le"),
        _ => None,
    };
    let time = line.at.format("%H:%M:%S%.3f").to_string();
    view! {
        <li id=format!("L{}", line.n) class=class>
            <a href=format!("#L{}", line.n) rel="external">{line.n}</a>
            <time datetime=format::machine(line.at) title=format::exact(line.at)>{time}</time>
            <b>{line.level.as_str()}</b>
            <span>{line.message}</span>
        </li>
    }
}

#[component]
fn End(run: RunSignals) -> impl IntoView {
    let look = move || match (run.detail.with(|detail| detail.run.state.has_ended()), run.connection.get()) {
        (true, _) => Look::new("off", "s-ok", "whole"),
        (false, Connection::Open) => Look::new("run", "s-run", "live"),
        (false, Connection::Lost) => Look::new("warn", "s-warn", "the connection dropped; trying again"),
        (false, Connection::None) => Look::new("todo", "s-todo", "as of when the page was loaded"),
    };
    let span = move || {
        let total = run.detail.with(|detail| detail.log_lines);
        run.lines.with(|lines| match (lines.first(), lines.last()) {
            (Some(first), Some(last)) if first.n > 1 => {
                format!(
                    "lines {} to {} of {}; the download has all",
                    format::count(first.n),
                    format::count(last.n),
                    format::count(total.max(last.n))
                )
            }
            (Some(_), Some(last)) => format!("lines 1 to {}, no gap", format::count(last.n)),
            _ => "no lines yet".to_owned(),
        })
    };
    let last = move || run.lines.with(|lines| lines.last().map(|line| line.at));
    view! {
        {move || view! { <State look=look()/> }}
        <span>{span}</span>
        <span class="push">
            {move || match last() {
                Some(at) => Either::Left(view! { "last line " <Ago at/> }),
                None => Either::Right(()),
            }}
        </span>
    }
    .into_any()
}
