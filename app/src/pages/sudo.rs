//! The password once more, before something that cannot be taken back.

use leptos::prelude::*;

use crate::components::auth_layout::{AuthLayout, PasswordField, UsernameField, auth_error, next_path};

/// The password once more. The server's `POST /sudo` takes the form.
#[component]
pub fn Sudo() -> impl IntoView {
    let next = next_path();
    let error = auth_error(words);
    // The way back is the page without the question.
    let back = move || next.get().split('?').next().unwrap_or("/").to_owned();
    view! {
        <AuthLayout
            title="Your password, once more"
            sub="What comes next deletes something or shows a secret. The answer is good for 5 minutes; what you do is written to the audit."
        >
            <form method="post" action="/sudo" aria-label="Your password, once more">
                <input type="hidden" name="next" value=move || next.get()/>
                <UsernameField/>
                <PasswordField label="Password" error autofocus=true/>
                <button class="btn primary">"Go on"</button>
                <a class="btn" href=back>"Leave it"</a>
            </form>
        </AuthLayout>
    }
    .into_any()
}

fn words(code: &str) -> String {
    match code {
        "too_many" => "Too many tries. Wait a minute, then try again.",
        "unavailable" => "The server cannot reach its database just now. Try again in a moment.",
        _ => "That is not your password.",
    }
    .to_owned()
}
