//! Toasts: short confirmations that disappear after a few seconds. Important messages are shown on the page as well.

use leptos::prelude::*;

/// The toast that is shown.
#[derive(Clone, Copy)]
pub struct Toasts(RwSignal<Option<String>>);

impl Toasts {
    /// Without a toast.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "created once, by the app")]
    pub fn new() -> Self {
        Self(RwSignal::new(None))
    }

    /// Shows a message for 6 seconds; it replaces the current one.
    pub fn show(self, message: impl Into<String>) {
        self.0.set(Some(message.into()));
        #[cfg(feature = "hydrate")]
        set_timeout(move || self.0.set(None), std::time::Duration::from_secs(6));
    }
}

/// The toasts.
///
/// # Panics
/// If the app provides none.
#[must_use]
pub fn use_toasts() -> Toasts {
    expect_context()
}

/// The region in which the toast is shown.
#[component]
pub fn ToastRegion() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <div class="toasts" role="status">
            {move || toasts.0.get().map(|message| view! { <p class="toast">{message}</p> })}
        </div>
    }
    .into_any()
}
