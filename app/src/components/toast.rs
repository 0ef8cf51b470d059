//! A short word about what was done, read out and gone after a while; whatever matters is on the page as well.

use leptos::prelude::*;

/// The word that is shown now.
#[derive(Clone, Copy)]
pub struct Toasts(RwSignal<Option<String>>);

impl Toasts {
    /// None yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "made once, by the app")]
    pub fn new() -> Self {
        Self(RwSignal::new(None))
    }

    /// Says it.
    pub fn show(self, words: impl Into<String>) {
        self.0.set(Some(words.into()));
        #[cfg(feature = "hydrate")]
        set_timeout(move || self.0.set(None), std::time::Duration::from_secs(6));
    }
}

/// Where to say things.
///
/// # Panics
/// Outside of the app.
#[must_use]
pub fn use_toasts() -> Toasts {
    expect_context()
}

/// Where they are shown.
#[component]
pub fn ToastRegion() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <div class="toasts" role="status">
            {move || toasts.0.get().map(|words| view! { <p class="toast">{words}</p> })}
        </div>
    }
    .into_any()
}
