//! The layout of the login and password pages, and their fields. The server's own handlers receive the forms.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::icon::{Icon, Mark};
use crate::api::layout::get_current_user;
use crate::url::safe_path;

/// A page without navigation.
#[component]
pub fn AuthLayout(
    /// The title.
    #[prop(into)]
    title: String,
    /// The line below the title.
    #[prop(into)]
    sub: String,
    /// The form.
    children: Children,
) -> impl IntoView {
    view! {
        <Title text=title.clone()/>
        <div class="auth">
            <main id="main">
                <div class="stack">
                    <Mark/>
                    <h1>{title}</h1>
                    <p class="sub">{sub}</p>
                </div>
                {children()}
            </main>
            <footer class="sub dim">{concat!("Toygres ", env!("CARGO_PKG_VERSION"))}</footer>
        </div>
    }
    .into_any()
}

/// The path to continue at, from the query: always a path of this site.
#[must_use]
pub fn next_path() -> Memo<String> {
    let query = use_query_map();
    Memo::new(move |_| safe_path(query.read().get_str("next").unwrap_or_default()).to_owned())
}

/// The message for the error code in the query.
#[must_use]
pub fn auth_error(message: fn(&str) -> String) -> Memo<Option<String>> {
    let query = use_query_map();
    Memo::new(move |_| query.read().get_str("error").map(message))
}

/// The name of the current user in a hidden field, which tells password managers whose password is asked for. The server
/// ignores it.
#[component]
pub fn UsernameField() -> impl IntoView {
    let user = Resource::new(|| (), |()| get_current_user());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let name = user.await.map(|actor| actor.name).unwrap_or_default();
                view! { <input type="text" autocomplete="username" value=name hidden readonly/> }
            })}
        </Transition>
    }
    .into_any()
}

/// A password field with its error.
#[component]
pub fn PasswordField(
    /// The field's name and element id.
    #[prop(default = "password")]
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// `current-password` or `new-password`.
    #[prop(default = "current-password")]
    autocomplete: &'static str,
    /// The error message.
    #[prop(optional)]
    error: Option<Memo<Option<String>>>,
    /// The hint below the field.
    #[prop(optional)]
    hint: Option<&'static str>,
    /// Whether the field has the focus when the page opens.
    #[prop(optional)]
    autofocus: bool,
) -> impl IntoView {
    let message = move || error.and_then(|error| error.get());
    let note = format!("{name}-note");
    let described = note.clone();
    view! {
        <p class="field">
            <label for=name>{label}</label>
            <input
                id=name
                name=name
                type="password"
                autocomplete=autocomplete
                required
                autofocus=autofocus
                aria-invalid=move || message().map(|_| "true")
                aria-describedby=described
            />
            <span id=note class="note">
                {move || {
                    message()
                        .map(|message| view! { <span class="error" role="alert"><Icon name="s-warn"/>" "{message}</span> })
                }}
                {hint.map(|hint| view! { <span class="hint">{hint}</span> })}
            </span>
        </p>
    }
    .into_any()
}
