//! Relative times ("54 min ago") with the exact time in a tooltip. They are updated while the page is open.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::format;

/// The page's clock.
#[derive(Clone, Copy)]
pub struct Clock(RwSignal<DateTime<Utc>>);

impl Clock {
    /// Starts the clock. It ticks once a second in the browser; on the server it stands still.
    #[must_use]
    pub fn start() -> Self {
        let clock = Self::at(Utc::now());
        #[cfg(feature = "hydrate")]
        Effect::new(move |_| {
            let _ =
                set_interval_with_handle(move || clock.0.set(Utc::now()), std::time::Duration::from_secs(1));
        });
        clock
    }

    /// A clock that stands still, for tests.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(RwSignal::new(now))
    }

    /// The current time; the caller is updated every second.
    #[must_use]
    pub fn now(self) -> DateTime<Utc> {
        self.0.get()
    }

    /// The current time, without updates.
    #[must_use]
    pub fn now_untracked(self) -> DateTime<Utc> {
        self.0.get_untracked()
    }
}

/// The page's clock.
///
/// # Panics
/// If the app provides none.
#[must_use]
pub fn use_clock() -> Clock {
    expect_context()
}

/// A time, relative to now.
#[component]
pub fn Ago(
    /// The time.
    at: DateTime<Utc>,
) -> impl IntoView {
    let clock = use_clock();
    let text = Memo::new(move |_| format::relative(at, clock.now()));
    view! { <time datetime=format::iso8601(at) title=format::exact(at)>{move || text.get()}</time> }
}

/// A time relative to now, or a text if there is none.
#[component]
pub fn AgoOr(
    /// The time.
    at: Option<DateTime<Utc>>,
    /// The text without a time.
    #[prop(default = "never")]
    never: &'static str,
) -> impl IntoView {
    match at {
        Some(at) => leptos::either::Either::Left(view! { <Ago at/> }),
        None => leptos::either::Either::Right(view! { <span class="dim">{never}</span> }),
    }
}

/// The time until something is due: "in 8 s", or "now" once it is overdue.
#[component]
pub fn Due(
    /// When it is due.
    at: DateTime<Utc>,
) -> impl IntoView {
    let clock = use_clock();
    let text = Memo::new(move |_| format::until(at, clock.now()));
    view! { <time datetime=format::iso8601(at) title=format::exact(at)>{move || text.get()}</time> }
}

/// The duration of something, which grows while it runs.
#[component]
pub fn Elapsed(
    /// The start.
    from: DateTime<Utc>,
    /// The end; `None` while it runs.
    to: Option<DateTime<Utc>>,
) -> impl IntoView {
    let clock = use_clock();
    let text = Memo::new(move |_| match to {
        Some(to) => format::duration((to - from).num_milliseconds()),
        None => format::running_duration((clock.now() - from).num_milliseconds()),
    });
    view! { <span title=format::exact(from)>{move || text.get()}</span> }
}
