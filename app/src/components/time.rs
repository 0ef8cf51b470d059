//! Times as people ask for them, "54 min ago", with the exact one on hover; they grow older while the page is open.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::format;

/// The page's clock.
#[derive(Clone, Copy)]
pub struct Clock(RwSignal<DateTime<Utc>>);

impl Clock {
    /// Starts it; it ticks in the browser only.
    #[must_use]
    pub fn start() -> Self {
        let clock = Self(RwSignal::new(Utc::now()));
        #[cfg(feature = "hydrate")]
        Effect::new(move |_| {
            let _ =
                set_interval_with_handle(move || clock.0.set(Utc::now()), std::time::Duration::from_secs(1));
        });
        clock
    }

    /// What it shows.
    #[must_use]
    pub fn now(self) -> DateTime<Utc> {
        self.0.get()
    }
}

/// The page's clock.
///
/// # Panics
/// Outside of the app.
#[must_use]
pub fn use_clock() -> Clock {
    expect_context()
}

/// A moment, relative to now.
#[component]
pub fn Ago(
    /// When.
    at: DateTime<Utc>,
) -> impl IntoView {
    let clock = use_clock();
    let text = Memo::new(move |_| format::relative(at, clock.now()));
    view! { <time datetime=format::iso8601(at) title=format::exact(at)>{move || text.get()}</time> }
}

/// A moment relative to now, or other words where there is none.
#[component]
pub fn AgoOr(
    /// When, if ever.
    at: Option<DateTime<Utc>>,
    /// The words for never.
    #[prop(default = "never")]
    never: &'static str,
) -> impl IntoView {
    match at {
        Some(at) => leptos::either::Either::Left(view! { <Ago at/> }),
        None => leptos::either::Either::Right(view! { <span class="dim">{never}</span> }),
    }
}

/// How long something has taken, or is taking.
#[component]
pub fn Elapsed(
    /// When it began.
    from: DateTime<Utc>,
    /// When it ended; it goes on if it has not.
    to: Option<DateTime<Utc>>,
) -> impl IntoView {
    let clock = use_clock();
    let text = Memo::new(move |_| {
        let until = to.unwrap_or_else(|| clock.now());
        // A running one counts whole seconds: tenths would flicker.
        let milliseconds = (until - from).num_milliseconds();
        format::duration(if to.is_some() || milliseconds >= 10_000 {
            milliseconds
        } else {
            milliseconds / 1000 * 1000
        })
    });
    view! { <span title=format::exact(from)>{move || text.get()}</span> }
}
