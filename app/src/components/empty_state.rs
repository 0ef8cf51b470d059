//! The placeholder of an empty list: a title, an explanation, and the next action.

use leptos::prelude::*;

/// The placeholder of an empty list. The children are its actions.
#[component]
pub fn EmptyState(
    /// The title, such as "No images yet".
    #[prop(into)]
    title: String,
    /// How to fill the list.
    #[prop(into)]
    text: String,
    /// The actions.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <svg class="blocks" viewBox="0 0 45 14" aria-hidden="true" inner_html=BLOCKS></svg>
            <h3>{title}</h3>
            <p>{text}</p>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </div>
    }
    .into_any()
}

const BLOCKS: &str = concat!(
    r#"<rect class="todo" x=".75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
    r#"<rect class="todo" x="12.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
    r#"<rect class="todo" x="24.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
    r#"<rect class="todo" x="36.75" y="1.75" width="7.5" height="10.5" rx="1"/>"#,
);
