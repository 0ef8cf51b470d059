//! The way in.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::components::auth_layout::{AuthLayout, PasswordField, auth_error, next_path};

/// The way in. The server's `POST /login` takes the form.
#[component]
pub fn Login() -> impl IntoView {
    let query = use_query_map();
    let next = next_path();
    let error = auth_error(words);
    let name = move || query.read().get_str("username").map(str::to_owned);
    view! {
        <AuthLayout title="Log in" sub="Images of PostgreSQL, restored and proven.">
            <form method="post" action="/login" aria-label="Log in">
                <input type="hidden" name="next" value=move || next.get()/>
                <p class="field">
                    <label for="username">"User name"</label>
                    <input
                        id="username"
                        name="username"
                        value=name
                        autocomplete="username"
                        autocapitalize="none"
                        spellcheck="false"
                        required
                        autofocus
                    />
                </p>
                <PasswordField label="Password" error/>
                <button class="btn primary">"Log in"</button>
            </form>
            <details class="aside">
                <summary class="sub">"First start?"</summary>
                <p class="sub">
                    "The server printed a one-time password for " <b>"admin"</b>
                    " where it was started; without a terminal it is in the file that the log names. It is good for one log-in and asks for a new one."
                </p>
            </details>
        </AuthLayout>
    }
    .into_any()
}

fn words(code: &str) -> String {
    match code {
        "too_many" => "Too many tries. Wait a minute, then try again.",
        "unavailable" => "The server cannot reach its database just now. Try again in a moment.",
        _ => "User name and password do not go together.",
    }
    .to_owned()
}
