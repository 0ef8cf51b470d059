//! Confirmation dialogs. A dialog has its own address (`?ask=…`), so that it works without WASM, with the back button, and
//! after the password was confirmed.

use leptos::prelude::*;

use super::focus::focus;
use super::icon::Icon;
use crate::url;

/// A dialog above the page. The children are its text and its form.
#[component]
pub fn ConfirmDialog(
    /// The title, such as "Delete orders?".
    #[prop(into)]
    title: String,
    /// Whether the action loses data.
    #[prop(optional)]
    danger: bool,
    /// The text and the form.
    children: Children,
) -> impl IntoView {
    let heading = NodeRef::<leptos::html::H2>::new();
    Effect::new(move |_| {
        if let Some(heading) = heading.get() {
            focus(&heading);
        }
    });
    view! {
        <section class=if danger { "confirm fail" } else { "confirm" } aria-labelledby="confirm-h">
            <h2 id="confirm-h" tabindex="-1" node_ref=heading>{title}</h2>
            {children()}
        </section>
    }
    .into_any()
}

/// Replaces a form that needs sudo mode, so that the password is confirmed before the form is filled in.
#[component]
pub fn SudoGate(
    /// The address of the form.
    next: &'static str,
    /// What the form does, such as "Creating a user".
    what: &'static str,
) -> impl IntoView {
    view! {
        <div class="body row">
            <a class="btn" href=sudo_href(next)><Icon name="lock"/>"Confirm password…"</a>
            <span class="sub">{what} " requires your password. You will not be asked again for 5 minutes."</span>
        </div>
    }
    .into_any()
}

/// The address of a dialog that needs sudo mode: the dialog itself, or the password page that leads to it.
#[must_use]
pub fn confirm_href(sudo: bool, page: &str, dialog: &str) -> String {
    let target = format!("{page}?ask={dialog}");
    if sudo { target } else { sudo_href(&target) }
}

fn sudo_href(next: &str) -> String {
    format!("/sudo?next={}", url::encode(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirm_href_leads_to_the_password_page_outside_of_sudo_mode() {
        assert_eq!(confirm_href(true, "/instances/a", "delete"), "/instances/a?ask=delete");
        assert_eq!(confirm_href(false, "/instances/a", "delete"), "/sudo?next=/instances/a%3Fask%3Ddelete");
    }
}
