//! Commands and values with a button that copies them.

use leptos::prelude::*;

use super::icon::Icon;
use super::toast::use_toasts;

/// A text in a box, with a button that copies it.
#[component]
pub fn CodeBlock(
    /// The text.
    #[prop(into)]
    text: String,
    /// What the button copies, such as "the command".
    #[prop(default = "the text")]
    what: &'static str,
) -> impl IntoView {
    view! {
        <div class="code">
            <pre tabindex="0"><code>{breakable(&text)}</code></pre>
            <CopyButton text what/>
        </div>
    }
    .into_any()
}

/// The text with a possible line break after each `/` and `@`, so that a port is not split.
fn breakable(text: &str) -> impl IntoView + use<> {
    let parts = text.split_inclusive(['/', '@']).map(|part| view! { {part.to_owned()} <wbr/> });
    parts.collect_view()
}

/// A button that copies a text to the clipboard. It is hidden until WASM is loaded.
#[component]
pub fn CopyButton(
    /// The text.
    #[prop(into)]
    text: String,
    /// What the text is, such as "the ID".
    #[prop(default = "the text")]
    what: &'static str,
) -> impl IntoView {
    let ready = RwSignal::new(false);
    Effect::new(move |_| ready.set(true));
    let toasts = use_toasts();
    let text = StoredValue::new(text);
    view! {
        <button
            type="button"
            class="btn icon small"
            hidden=move || !ready.get()
            aria-label=format!("Copy {what}")
            title=format!("Copy {what}")
            on:click=move |_| {
                copy(&text.get_value());
                toasts.show(format!("Copied {what}."));
            }
        >
            <Icon name="copy"/>
        </button>
    }
    .into_any()
}

#[cfg(feature = "hydrate")]
fn copy(text: &str) {
    // The promise is not awaited: the browser itself reports that access to the clipboard was denied.
    let _ = window().navigator().clipboard().write_text(text);
}

#[cfg(not(feature = "hydrate"))]
fn copy(_: &str) {}
