//! Live updates: one event stream per page that reports changes on the server. It carries no data: resources that depend on
//! it are fetched again.

use leptos::prelude::*;

/// The state of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not opened: on the server, or before hydration.
    None,
    /// Open.
    Open,
    /// Lost; the browser reconnects.
    Lost,
}

/// The page's event stream. A resource that reads [`Live::version`] in its source is fetched again after each change.
#[derive(Clone, Copy)]
pub struct Live {
    version: RwSignal<u64>,
    connection: RwSignal<Connection>,
}

impl Live {
    /// Opens the stream after hydration; on the server, says at which position in the changes the page is rendered. What
    /// changes between the two is not lost: the stream begins with it.
    #[must_use]
    pub fn start() -> Self {
        let live = Self { version: RwSignal::new(0), connection: RwSignal::new(Connection::None) };
        let seen = SharedValue::<String>::new(position).into_inner();
        #[cfg(feature = "hydrate")]
        Effect::new(move |_| browser::open(live, seen.clone()));
        #[cfg(not(feature = "hydrate"))]
        drop(seen);
        live
    }

    /// The number of changes seen. It grows at most twice a second.
    #[must_use]
    pub fn version(self) -> u64 {
        self.version.get()
    }

    /// The state of the stream.
    #[must_use]
    pub fn connection(self) -> Connection {
        self.connection.get()
    }

    /// Fetches all resources again, as after an action of this page.
    pub fn refetch(self) {
        self.version.update(|version| *version += 1);
    }
}

/// The position in the changes of the server that renders the page. The browser gets the server's.
fn position() -> String {
    #[cfg(feature = "ssr")]
    if let Some(services) = use_context::<control::Services>() {
        return services.change_position();
    }
    String::new()
}

/// The page's event stream.
///
/// # Panics
/// If the app provides none.
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

    /// Opens the stream, and reopens it after 3 seconds if the browser closes it.
    pub(super) fn open(live: Live, seen: String) {
        // Without a session the server rejects the stream.
        let path = window().location().pathname().unwrap_or_default();
        if path == "/login" {
            return;
        }
        let Ok(source) = EventSource::new(&format!("/api/events?seen={seen}")) else { return };
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
                    // The server rejected the stream. If the session has expired, this request redirects to the login page.
                    leptos::task::spawn_local(async {
                        let _ = crate::api::layout::get_current_user().await;
                    });
                    let seen = seen.clone();
                    set_timeout(move || open(live, seen), Duration::from_secs(3));
                }
            })
        };
        let _ = source.add_event_listener_with_callback("changed", changed.as_ref().unchecked_ref());
        source.set_onopen(Some(opened.as_ref().unchecked_ref()));
        source.set_onerror(Some(lost.as_ref().unchecked_ref()));
        // The handlers are needed until the page is closed.
        changed.forget();
        opened.forget();
        lost.forget();
    }
}
