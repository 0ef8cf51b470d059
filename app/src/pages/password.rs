//! A new password for oneself.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::components::auth_layout::{PasswordField, UsernameField, auth_error, next_path};
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;

/// A new password for oneself. The server's `POST /password` takes the form, for the session changes with it.
#[component]
pub fn Password() -> impl IntoView {
    let query = use_query_map();
    let next = next_path();
    let error = auth_error(words);
    // The log-in comes here only with a one-time password, and says where to go on.
    let first = Memo::new(move |_| query.read().get_str("next").is_some());
    let current_error =
        Memo::new(move |_| (query.read().get_str("field") != Some("new")).then(|| error.get()).flatten());
    let new_error =
        Memo::new(move |_| (query.read().get_str("field") == Some("new")).then(|| error.get()).flatten());
    view! {
        <PageHeader
            title="Change password"
            sub=move || move || {
                if first.get() {
                    "The one-time password has done its work. Choose one of your own to go on."
                } else {
                    "All your other sessions are logged out when it changes."
                }
            }
        />
        <Panel id="password" title="New password">
            <form class="body form" method="post" action="/password">
                <input type="hidden" name="next" value=move || next.get()/>
                <UsernameField/>
                <PasswordField name="old" label="Password until now" error=current_error autofocus=true/>
                <PasswordField
                    name="new"
                    label="New password"
                    autocomplete="new-password"
                    error=new_error
                    hint="8 characters or more. Length counts, odd signs do not."
                />
                <div class="actions">
                    <button class="btn primary">"Change password"</button>
                    {move || (!first.get()).then(|| view! { <a class="btn" href="/settings">"Keep the old one"</a> })}
                </div>
            </form>
        </Panel>
    }
    .into_any()
}

fn words(code: &str) -> String {
    match code {
        "too_many" => "Too many tries. Wait a minute, then try again.",
        "short" => "A password has 8 characters or more.",
        "same" => "That is the old one.",
        _ => "That is not your password until now.",
    }
    .to_owned()
}
