//! What a list says while it is empty: what is missing, and what to press.

use leptos::prelude::*;

/// An empty list. The children are what to press.
#[component]
pub fn EmptyState(
    /// What is not there, such as "No images yet".
    #[prop(into)]
    title: String,
    /// What would bring it here.
    #[prop(into)]
    text: String,
    /// What to press.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <svg class="blocks" viewBox="0 0 45 14" aria-hidden="true" inner_html=GHOSTS></svg>
            <h3>{title}</h3>
            <p>{text}</p>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </div>
    }
    .into_any()
}

const GHOSTS: &str = concat!(
    r#"<rect class="todo" x=".75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
    r#"<rect class="todo" x="12.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
    r#"<rect class="todo" x="24.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
    r#"<rect class="todo" x="36.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
);
