//! Live updates: one event stream for the whole page that says "something changed". It knows no data; who shows some fetches again.

use leptos::prelude::*;

/// How the event stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not tried yet: before WASM is there, or on the server.
    None,
    /// Open.
    Open,
    /// Lost; the browser is trying again.
    Lost,
}

/// The page's event stream. A resource that reads [`Live::version`] in its source is fetched again when something changed.
#[derive(Clone, Copy)]
pub struct Live {
    version: RwSignal<u64>,
    connection: RwSignal<Connection>,
}

impl Live {
    /// Opens the stream, in the browser, after hydration.
    #[must_use]
    pub fn start() -> Self {
        let live = Self { version: RwSignal::new(0), connection: RwSignal::new(Connection::None) };
        #[cfg(feature = "hydrate")]
        Effect::new(move |_| browser::open(live));
        live
    }

    /// Grows with each change on the server, at most twice a second.
    #[must_use]
    pub fn version(self) -> u64 {
        self.version.get()
    }

    /// How the stream is.
    #[must_use]
    pub fn connection(self) -> Connection {
        self.connection.get()
    }

    /// Has everything that is shown fetched again, after an action of this page's own.
    pub fn refetch(self) {
        self.version.update(|version| *version += 1);
    }
}

/// The page's event stream.
///
/// # Panics
/// Outside of the app.
#[must_use]
pub fn use_live() -> Live {
    expect_context()
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use leptos::prelude::*;
    use wasm_bindgen::JsCast;
    use wasm_bindgen::closure::Closure;
    use web_sys::{Event, EventSource};

    use super::{Connection, Live};

    /// Opens the stream and keeps it: what closes for good is opened anew.
    pub(super) fn open(live: Live) {
        // Nobody is logged in there; the stream would be error again and again.
        let path = window().location().pathname().unwrap_or_default();
        if path == "/login" {
            return;
        }
        let Ok(source) = EventSource::new("/api/events") else { return };
        let pending = Rc::new(Cell::new(false));
        let changed = Closure::<dyn Fn(Event)>::new(move |_| {
            if !pending.replace(true) {
                let pending = Rc::clone(&pending);
                set_timeout(
                    move || {
                        pending.set(false);
                        live.refetch();
                    },
                    Duration::from_millis(500),
                );
            }
        });
        let opened = Closure::<dyn Fn(Event)>::new(move |_| {
            let was = live.connection.get_untracked();
            live.connection.set(Connection::Open);
            if was == Connection::Lost {
                live.refetch();
            }
        });
        let lost = {
            let source = source.clone();
            Closure::<dyn Fn(Event)>::new(move |_| {
                live.connection.set(Connection::Lost);
                if source.ready_state() == EventSource::CLOSED {
                    // ActionError, not cut off. If nobody is logged in any more, this answer leads to the login page.
                    leptos::task::spawn_local(async {
                        let _ = crate::api::layout::get_current_user().await;
                    });
                    set_timeout(move || open(live), Duration::from_secs(3));
                }
            })
        };
        let _ = source.add_event_listener_with_callback("changed", changed.as_ref().unchecked_ref());
        source.set_onopen(Some(opened.as_ref().unchecked_ref()));
        source.set_onerror(Some(lost.as_ref().unchecked_ref()));
        // They live as long as the page.
        changed.forget();
        opened.forget();
        lost.forget();
    }
}
