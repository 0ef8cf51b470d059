//! Settings: one's account, how pages look, and for admins accounts, tokens, stores and the audit. A section each, by address.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::{Actor, Role};

use super::settings_access::{Tokens, Users};
use super::settings_platform::Platform;
use super::settings_state::Audit;
use super::settings_stores::Stores;
use crate::api::settings::SetAppearance;
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::error::UiError;
use leptos::server_fn::ServerFn;

/// The sections: name in the address, title, the role that sees it.
const SECTIONS: [(&str, &str, Role); 6] = [
    ("account", "Account", Role::Viewer),
    ("stores", "Stores", Role::Viewer),
    ("platform", "Platform", Role::Viewer),
    ("users", "Users", Role::Admin),
    ("tokens", "Tokens", Role::Admin),
    ("audit", "Audit", Role::Admin),
];

/// Settings.
#[component]
pub fn Settings() -> impl IntoView {
    let me = use_current_user();
    let query = use_query_map();
    let at = Memo::new(move |_| query.read().get("at").unwrap_or_else(|| "account".to_owned()));
    view! {
        <PageHeader title="Settings"/>
        <Transition>
            {move || Suspend::new(async move { view_or_error(me.actor().await, move |actor| view! { <Sections actor at/> }) })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Sections(actor: Actor, at: Memo<String>) -> impl IntoView {
    let role = actor.role;
    view! {
        <nav class="tabs" aria-label="Settings">
            <ul>
                {SECTIONS
                    .into_iter()
                    .filter(|(_, _, needs)| role >= *needs)
                    .map(|(name, title, _)| {
                        let current = move || (at.read().as_str() == name).then_some("page");
                        view! { <li><a href=format!("/settings?at={name}") aria-current=current>{title}</a></li> }
                    })
                    .collect_view()}
            </ul>
        </nav>
        {move || {
            let actor = actor.clone();
            let at = at.read();
            let needs = SECTIONS.iter().find(|(name, _, _)| *name == at.as_str()).map(|(_, _, needs)| *needs);
            match (at.as_str(), needs) {
                (_, Some(needs)) if role < needs => {
                    view_or_error::<(), ()>(Err(UiError::role(needs, role)), |()| ())
                }
                ("users", _) => view! { <Users actor/> }.into_any(),
                ("tokens", _) => view! { <Tokens sudo=actor.sudo/> }.into_any(),
                ("stores", _) => view! { <Stores actor/> }.into_any(),
                ("platform", _) => view! { <Platform actor/> }.into_any(),
                ("audit", _) => view! { <Audit/> }.into_any(),
                ("account", _) => view! { <Account actor/> }.into_any(),
                _ => view! { <super::errors::NotFound/> }.into_any(),
            }
        }}
    }
    .into_any()
}

#[component]
fn Account(actor: Actor) -> impl IntoView {
    let may = match actor.role {
        Role::Viewer => "look at everything but secrets",
        Role::Operator => "back up, restore into a new instance, start, stop, cancel and try again",
        Role::Admin => "do everything: delete, reveal passwords, change stores and accounts",
    };
    view! {
        <Panel id="account" title="Account">
            <div class="body stack wide">
                <dl class="props">
                    <dt>"User name"</dt>
                    <dd>{actor.name}</dd>
                    <dt>"Role"</dt>
                    <dd>{actor.role.as_str()} <span class="sub">{format!(" · may {may}")}</span></dd>
                    <dt>"Password asked again"</dt>
                    <dd>
                        {if actor.sudo { "within the last 5 minutes" } else { "before deleting, revealing and changing stores" }}
                    </dd>
                </dl>
                <div class="actions">
                    <a class="btn" href="/password"><Icon name="lock"/>"Change password…"</a>
                    <form method="post" action="/logout"><button class="btn"><Icon name="out"/>"Log out"</button></form>
                </div>
            </div>
        </Panel>
        <Appearance/>
    }
    .into_any()
}

/// Light or dark. A plain form on purpose: the answer is the page, drawn anew.
#[component]
fn Appearance() -> impl IntoView {
    let choices = [("system", "As the system has it"), ("light", "Light"), ("dark", "Dark")];
    let chosen = crate::scheme().unwrap_or_else(|| "system".to_owned());
    view! {
        <Panel id="appearance" title="Appearance">
            <form class="body row" method="post" action=SetAppearance::url()>
                {choices
                    .into_iter()
                    .map(|(value, words)| {
                        let pressed = chosen == value;
                        view! {
                            <button class="btn" name="scheme" value=value aria-pressed=pressed.to_string()>
                                {if pressed { Either::Left(view! { <Icon name="s-ok"/> }) } else { Either::Right(()) }}
                                {words}
                            </button>
                        }
                    })
                    .collect_view()}
            </form>
        </Panel>
    }
    .into_any()
}
