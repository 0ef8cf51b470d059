//! The login page.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::components::auth_layout::{AuthLayout, PasswordField, auth_error, next_path};

/// The login page.
#[component]
pub fn Login() -> impl IntoView {
    let query = use_query_map();
    let next = next_path();
    let error = auth_error(message);
    let username = Memo::new(move |_| query.read().get_str("username").map(str::to_owned));
    view! { <LoginView next username error/> }
}

/// The view of the login page. The server's `POST /login` receives the form.
#[component]
pub fn LoginView(
    /// Where to go after the login.
    next: Memo<String>,
    /// The user name of the last attempt.
    username: Memo<Option<String>>,
    /// The error of the last attempt.
    error: Memo<Option<String>>,
) -> impl IntoView {
    view! {
        <AuthLayout title="Log in" sub="PostgreSQL backups, proven by restoring them.">
            <form method="post" action="/login" aria-label="Log in">
                <input type="hidden" name="next" value=move || next.get()/>
                <p class="field">
                    <label for="username">"User name"</label>
                    <input
                        id="username"
                        name="username"
                        value=move || username.get()
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
                <summary class="sub">"First login?"</summary>
                <p class="sub">
                    "At its first start, the server printed a one-time password for the user " <b>"admin"</b>
                    " in its terminal. If the server has no terminal, its log names the file that contains the password. After the login, you choose a new password."
                </p>
            </details>
        </AuthLayout>
    }
    .into_any()
}

fn message(code: &str) -> String {
    match code {
        "too_many" => "Too many attempts. Wait a minute, then try again.",
        "unavailable" => "The server cannot reach its state database. Try again in a moment.",
        _ => "Incorrect user name or password.",
    }
    .to_owned()
}
