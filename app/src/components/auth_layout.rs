//! The two pages before one is inside: a mark, a question, a button. The server's own handlers take the forms.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::icon::{Icon, Mark};
use crate::api::layout::get_current_user;
use crate::url::safe_path;

/// A page with nothing around it.
#[component]
pub fn AuthLayout(
    /// The title.
    #[prop(into)]
    title: String,
    /// The quiet line below it.
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

/// Where to go afterwards: a path of this site, whatever the address says.
#[must_use]
pub fn next_path() -> Memo<String> {
    let query = use_query_map();
    Memo::new(move |_| safe_path(query.read().get_str("next").unwrap_or_default()).to_owned())
}

/// What the address says went wrong, in words.
#[must_use]
pub fn auth_error(words: fn(&str) -> String) -> Memo<Option<String>> {
    let query = use_query_map();
    Memo::new(move |_| query.read().get_str("error").map(words))
}

/// Whose password is asked for, so that the browser offers the right one. Nobody sees it, and the server does not read it.
#[component]
pub fn UsernameField() -> impl IntoView {
    let me = Resource::new(|| (), |()| get_current_user());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let name = me.await.map(|actor| actor.name).unwrap_or_default();
                view! { <input type="text" autocomplete="username" value=name hidden readonly/> }
            })}
        </Transition>
    }
    .into_any()
}

/// The password's field and what was wrong with it.
#[component]
pub fn PasswordField(
    /// The field's name; its id too.
    #[prop(default = "password")]
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// `current-password` or `new-password`.
    #[prop(default = "current-password")]
    autocomplete: &'static str,
    /// What was wrong.
    #[prop(optional)]
    error: Option<Memo<Option<String>>>,
    /// What it should be like.
    #[prop(optional)]
    hint: Option<&'static str>,
    /// Whether the cursor is here when the page opens.
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
