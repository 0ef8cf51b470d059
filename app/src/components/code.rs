//! Text to take away: a command or a value with a button that copies it. Without WASM one selects it.

use leptos::prelude::*;

use super::icon::Icon;
use super::toast::use_toasts;

/// A text in a box of its own, and a button that copies it.
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
            <pre tabindex="0"><code>{text.clone()}</code></pre>
            <CopyButton text what/>
        </div>
    }
    .into_any()
}

/// A button that copies a text; it appears with WASM, for without it could do nothing.
#[component]
pub fn CopyButton(
    /// The text.
    #[prop(into)]
    text: String,
    /// What it is, such as "the whole id".
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
    // The promise is not awaited: what a browser refuses it says itself.
    let _ = window().navigator().clipboard().write_text(text);
}

#[cfg(not(feature = "hydrate"))]
fn copy(_: &str) {}
