//! The event stream of one run: its row, its steps and its log. It resumes after the last line that was received.

use leptos::prelude::*;
use model::run::RunDetail;

use super::log_window::LogWindow;
use crate::live::Connection;

/// The signals of a run's page.
#[derive(Clone, Copy)]
pub struct RunSignals {
    /// The run with its steps.
    pub detail: RwSignal<RunDetail>,
    /// Its log.
    pub log: LogWindow,
    /// The state of the stream; [`Connection::None`] before it is opened and after the run has ended.
    pub connection: RwSignal<Connection>,
}

impl RunSignals {
    /// Starts with the data that the server rendered; in the browser, the stream updates it.
    #[must_use]
    pub fn start(detail: RunDetail, log: LogWindow) -> Self {
        let signals =
            Self { detail: RwSignal::new(detail), log, connection: RwSignal::new(Connection::None) };
        #[cfg(feature = "hydrate")]
        Effect::new(move |_| browser::open(signals));
        signals
    }
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::time::Duration;

    use leptos::prelude::*;
    use wasm_bindgen::JsCast;
    use wasm_bindgen::closure::Closure;
    use web_sys::{Event, EventSource, MessageEvent};

    use super::RunSignals;
    use crate::components::log_window::MAX_DRAWN;
    use crate::live::Connection;

    pub(super) fn open(signals: RunSignals) {
        let (Some(detail), Some(last)) =
            (signals.detail.try_get_untracked(), signals.log.newest.try_get_untracked())
        else {
            return;
        };
        if detail.run.state.has_ended() && last >= detail.log_lines {
            return;
        }
        let Ok(source) =
            EventSource::new(&format!("/api/runs/{}/events?after={last}&jump={MAX_DRAWN}", detail.run.id))
        else {
            return;
        };
        let mut kept: Vec<Closure<dyn Fn(Event)>> = Vec::new();
        let mut on = |name: &str, handle: Box<dyn Fn(Event)>| {
            let closure = Closure::<dyn Fn(Event)>::new(handle);
            let _ = source.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
            kept.push(closure);
        };
        on(
            "run",
            Box::new(move |event| {
                if let Some(detail) = read(&event) {
                    signals.detail.try_set(detail);
                }
            }),
        );
        on(
            "log",
            Box::new(move |event| {
                if let (Some(lines), false) = (read(&event), signals.log.lines.is_disposed()) {
                    signals.log.add(lines);
                }
            }),
        );
        on(
            "skipped",
            Box::new(move |event| {
                if let (Some(to), false) = (read(&event), signals.log.lines.is_disposed()) {
                    signals.log.skip(to);
                }
            }),
        );
        let ended = source.clone();
        on(
            "end",
            Box::new(move |_| {
                ended.close();
                signals.connection.try_set(Connection::None);
            }),
        );
        on(
            "open",
            Box::new(move |_| {
                signals.connection.try_set(Connection::Open);
            }),
        );
        let lost = source.clone();
        on(
            "error",
            Box::new(move |_| {
                signals.connection.try_set(Connection::Lost);
                // A stream that the browser has closed is reopened after the last line.
                if lost.ready_state() == EventSource::CLOSED && !signals.detail.is_disposed() {
                    set_timeout(move || open(signals), Duration::from_secs(3));
                }
            }),
        );
        let kept = StoredValue::new_local(kept);
        on_cleanup(move || {
            source.close();
            kept.dispose();
        });
    }

    fn read<T: serde::de::DeserializeOwned>(event: &Event) -> Option<T> {
        let text = event.dyn_ref::<MessageEvent>()?.data().as_string()?;
        serde_json::from_str(&text).ok()
    }
}
