//! The settings, in sections: account, stores, platform, users, tokens, audit log. Each section has an address.

mod account;
mod audit;
mod platform;
mod roles;
mod store_form;
mod store_table;
mod stores;
#[cfg(all(test, feature = "ssr"))]
mod tests;
mod tokens;
mod unused_objects;
mod users;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::{Actor, Role};

pub use self::account::AccountView;
use self::audit::Audit;
pub use self::audit::AuditView;
use self::platform::Platform;
pub use self::platform::PlatformView;
pub use self::store_table::{StoreActions, StoresView};
use self::stores::Stores;
use self::tokens::Tokens;
pub use self::tokens::TokensView;
pub use self::unused_objects::UnusedObjectsView;
use self::users::Users;
pub use self::users::{UserActions, UsersView};
use super::errors::NotFound;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::result_view::view_or_error;
use crate::error::UiError;

/// The sections: name in the address, title, the role that may see it.
const SECTIONS: [(&str, &str, Role); 6] = [
    ("account", "Account", Role::Viewer),
    ("stores", "Stores", Role::Viewer),
    ("platform", "Platform", Role::Viewer),
    ("users", "Users", Role::Admin),
    ("tokens", "Tokens", Role::Admin),
    ("audit", "Audit log", Role::Admin),
];

/// The settings page.
#[component]
pub fn Settings() -> impl IntoView {
    let user = use_current_user();
    let query = use_query_map();
    let section = Memo::new(move |_| query.read().get("at").unwrap_or_else(|| "account".to_owned()));
    view! {
        <PageHeader title="Settings"/>
        <Transition>
            {move || Suspend::new(async move {
                view_or_error(user.actor().await, move |actor| view! { <Sections actor section/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Sections(actor: Actor, section: Memo<String>) -> impl IntoView {
    view! {
        <SectionTabs role=actor.role section/>
        {move || section_view(&section.read(), actor.clone())}
    }
    .into_any()
}

/// The tabs of the sections that the role may see.
#[component]
pub fn SectionTabs(
    /// The user's role.
    role: Role,
    /// The name of the open section.
    section: Memo<String>,
) -> impl IntoView {
    view! {
        <nav class="tabs" aria-label="Settings">
            <ul>
                {SECTIONS
                    .into_iter()
                    .filter(|(_, _, required)| role >= *required)
                    .map(|(name, title, _)| {
                        let current = move || (section.read().as_str() == name).then_some("page");
                        view! { <li><a href=format!("/settings?at={name}") aria-current=current>{title}</a></li> }
                    })
                    .collect_view()}
            </ul>
        </nav>
    }
}

fn section_view(name: &str, actor: Actor) -> AnyView {
    let required = SECTIONS.iter().find(|section| section.0 == name).map(|section| section.2);
    match (name, required) {
        (_, Some(required)) if actor.role < required => {
            view_or_error::<(), ()>(Err(UiError::role(required, actor.role)), |()| ())
        }
        ("users", _) => view! { <Users actor/> }.into_any(),
        ("tokens", _) => view! { <Tokens sudo=actor.sudo/> }.into_any(),
        ("stores", _) => view! { <Stores actor/> }.into_any(),
        ("platform", _) => view! { <Platform actor/> }.into_any(),
        ("audit", _) => view! { <Audit/> }.into_any(),
        ("account", _) => view! { <AccountView actor/> }.into_any(),
        _ => view! { <NotFound/> }.into_any(),
    }
}
