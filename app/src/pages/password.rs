//! The page that changes the user's own password.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::components::auth_layout::{PasswordField, UsernameField, auth_error, next_path};
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;

/// The page that changes the user's own password.
#[component]
pub fn Password() -> impl IntoView {
    let query = use_query_map();
    let next = next_path();
    let error = auth_error(message);
    // The login opens this page with `next` after a one-time password only.
    let is_first = Memo::new(move |_| query.read().get_str("next").is_some());
    let is_new = Memo::new(move |_| query.read().get_str("field") == Some("new"));
    let old_error = Memo::new(move |_| error.get().filter(|_| !is_new.get()));
    let new_error = Memo::new(move |_| error.get().filter(|_| is_new.get()));
    view! { <PasswordView next is_first old_error new_error><UsernameField/></PasswordView> }
}

/// The view that changes the user's own password. The server's `POST /password` receives the form, because the session
/// changes with the password.
#[component]
pub fn PasswordView(
    /// Where to go afterwards.
    next: Memo<String>,
    /// Whether a one-time password must be replaced.
    is_first: Memo<bool>,
    /// The error of the current password.
    old_error: Memo<Option<String>>,
    /// The error of the new password.
    new_error: Memo<Option<String>>,
    /// The hidden field with the user name, for password managers.
    children: Children,
) -> impl IntoView {
    let sub = move || {
        if is_first.get() {
            "Choose a new password to continue. The one-time password is no longer valid afterwards."
        } else {
            "Changing the password logs out all of your other sessions."
        }
    };
    view! {
        <PageHeader title="Password" sub=move || sub/>
        <Panel id="password" title="New password">
            <form class="body form" method="post" action="/password">
                <input type="hidden" name="next" value=move || next.get()/>
                {children()}
                <PasswordField name="old" label="Current password" error=old_error autofocus=true/>
                <PasswordField
                    name="new"
                    label="New password"
                    autocomplete="new-password"
                    error=new_error
                    hint="At least 8 characters."
                />
                <div class="actions">
                    <button class="btn primary">"Change password"</button>
                    {move || (!is_first.get()).then(|| view! { <a class="btn" href="/settings">"Cancel"</a> })}
                </div>
            </form>
        </Panel>
    }
    .into_any()
}

fn message(code: &str) -> String {
    match code {
        "too_many" => "Too many attempts. Wait a minute, then try again.",
        "short" => "The password must have at least 8 characters.",
        "same" => "The new password must differ from the current one.",
        _ => "Incorrect current password.",
    }
    .to_owned()
}
