//! The page that asks for the password again before an action that is destructive or reveals a secret.

use leptos::prelude::*;

use crate::components::auth_layout::{AuthLayout, PasswordField, UsernameField, auth_error, next_path};

/// The page that asks for the password again.
#[component]
pub fn Sudo() -> impl IntoView {
    let next = next_path();
    let error = auth_error(message);
    view! { <SudoView next error><UsernameField/></SudoView> }
}

/// The view that asks for the password again. The server's `POST /sudo` receives the form.
#[component]
pub fn SudoView(
    /// Where to go afterwards.
    next: Memo<String>,
    /// The error of the last attempt.
    error: Memo<Option<String>>,
    /// The hidden field with the user name, for password managers.
    children: Children,
) -> impl IntoView {
    // Cancel returns to the page without its dialog.
    let back = move || next.get().split('?').next().unwrap_or("/").to_owned();
    view! {
        <AuthLayout
            title="Password confirmation"
            sub="The next action requires your password. You will not be asked again for 5 minutes. This action is recorded in the audit log."
        >
            <form method="post" action="/sudo" aria-label="Password confirmation">
                <input type="hidden" name="next" value=move || next.get()/>
                {children()}
                <PasswordField label="Password" error autofocus=true/>
                <button class="btn primary">"Confirm password"</button>
                <a class="btn" href=back>"Cancel"</a>
            </form>
        </AuthLayout>
    }
    .into_any()
}

fn message(code: &str) -> String {
    match code {
        "too_many" => "Too many attempts. Wait a minute, then try again.",
        "unavailable" => "The server cannot reach its state database. Try again in a moment.",
        _ => "Incorrect password.",
    }
    .to_owned()
}
