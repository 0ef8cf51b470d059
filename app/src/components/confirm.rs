//! A question before something is done that cannot be taken back. It has an address of its own (`?ask=…`), so that it
//! works without WASM, with the back button, and again after the password was asked for.

use leptos::prelude::*;

use super::focus::focus;
use super::icon::Icon;
use crate::url;

/// A question above the page. The children are its form.
#[component]
pub fn ConfirmDialog(
    /// The question, such as "Delete orders?".
    #[prop(into)]
    title: String,
    /// Whether it is about losing something.
    #[prop(optional)]
    danger: bool,
    /// The form.
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

/// Stands in the place of a form that needs sudo mode, so that nothing is typed before the password was asked for.
#[component]
pub fn SudoGate(
    /// Where the form is.
    next: &'static str,
    /// What the form does, such as "Making an account".
    what: &'static str,
) -> impl IntoView {
    view! {
        <div class="body row">
            <a class="btn" href=format!("/sudo?next={}", url::encode(next))><Icon name="lock"/>"Unlock…"</a>
            <span class="sub">{what} " asks for your password first; the answer is good for 5 minutes."</span>
        </div>
    }
    .into_any()
}

/// Where a question is asked that needs sudo mode: straight away, or after the password.
#[must_use]
pub fn confirm_href(sudo: bool, page: &str, question: &str) -> String {
    let target = format!("{page}?ask={question}");
    if sudo { target } else { format!("/sudo?next={}", url::encode(&target)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_waits_for_the_password() {
        assert_eq!(confirm_href(true, "/instances/a", "delete"), "/instances/a?ask=delete");
        assert_eq!(confirm_href(false, "/instances/a", "delete"), "/sudo?next=/instances/a%3Fask%3Ddelete");
    }
}
