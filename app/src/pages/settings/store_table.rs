//! The table of stores, with the actions on each.

use leptos::prelude::*;
use model::{Role, Store, StoreAuth, Transfer};

use crate::api::stores::{DefaultStore, RemoveStore, TestStore};
use crate::components::empty_state::EmptyState;
use crate::components::icon::Icon;
use crate::components::menu::Menu;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::format;

/// The actions on stores.
#[derive(Clone, Copy)]
pub struct StoreActions {
    pub(super) test: ServerAction<TestStore>,
    pub(super) make_default: ServerAction<DefaultStore>,
    pub(super) remove: ServerAction<RemoveStore>,
}

impl StoreActions {
    /// Creates the actions.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "actions belong to the reactive owner that creates them")]
    pub fn new() -> Self {
        Self { test: ServerAction::new(), make_default: ServerAction::new(), remove: ServerAction::new() }
    }
}

/// The view of all stores.
#[component]
pub fn StoresView(
    /// The stores.
    stores: Vec<Store>,
    /// The user's role.
    role: Role,
    /// The actions on a store.
    actions: StoreActions,
) -> impl IntoView {
    if stores.is_empty() {
        let text = "A backup needs a store. The first store that an admin adds becomes the default.";
        return view! { <EmptyState title="No stores yet" text/> }.into_any();
    }
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Stores"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Store"</th>
                        <th scope="col" role="columnheader">"Use"</th>
                        <th scope="col" role="columnheader">"Authentication"</th>
                        <th scope="col" role="columnheader" class="num">"Images"</th>
                        <th scope="col" role="columnheader" class="num">"Stored"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {stores.into_iter().map(|store| view! { <StoreTableRow store role actions/> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The label of a store's authentication, and the identity or Secret that it uses.
fn authentication(store: &Store) -> (String, Option<String>) {
    let is_directory = store.url.starts_with("file:") || store.url.starts_with("pvc:");
    let (label, identity) = match &store.access.auth {
        StoreAuth::Environment if is_directory => ("Local directory", None),
        StoreAuth::Environment => ("Environment variables", None),
        StoreAuth::AzureIdentity { client_id, .. } => ("Azure workload identity", client_id.clone()),
        StoreAuth::AwsIdentity { role_arn, .. } => ("AWS web identity", Some(role_arn.clone())),
        StoreAuth::Secret { namespace, name } => ("Secret", Some(format!("{namespace}/{name}"))),
        StoreAuth::Sealed => ("Access keys (encrypted)", None),
    };
    let transfer = if store.access.transfer == Transfer::Azcopy { ", azcopy" } else { "" };
    (format!("{label}{transfer}"), identity)
}

/// What the store contains beside its images: "3 objects that no image uses, 1.2 GB".
fn unused(store: &Store) -> Option<String> {
    let objects =
        (store.unused_objects > 0).then(|| format::quantity(store.unused_objects, "object", "objects"))?;
    Some(format!("{objects} that no image uses, {}", format::bytes(store.unused_bytes.unsigned_abs())))
}

#[component]
fn StoreTableRow(store: Store, role: Role, actions: StoreActions) -> impl IntoView {
    let (style, explanation) = if store.is_default {
        (StatusStyle::new("off", "s-proven", "default store"), "New images are written to this store")
    } else {
        (
            StatusStyle::new("todo", "s-made", "existing images"),
            "Existing images are kept; new ones go to the default store",
        )
    };
    let (authentication, identity) = authentication(&store);
    let check_failure =
        store.check_failure.as_ref().map(|failure| format!("Last check failed: {}", failure.message()));
    let unused = unused(&store);
    let (images, stored) = (format::count(store.images), format::bytes(store.stored_bytes.unsigned_abs()));
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                {store.name.clone()} <span class="sub mono">{store.url.clone()}</span>
                {check_failure.map(|reason| view! { <span class="sub">{reason}</span> })}
            </th>
            <td role="cell" data-k="Use"><StatusBadge style title=Some(explanation.to_owned())/></td>
            <td role="cell" data-k="Authentication">
                {authentication} {identity.map(|identity| view! { <span class="sub mono">{identity}</span> })}
            </td>
            <td role="cell" class="num" data-k="Images">{images}</td>
            <td role="cell" class="num" data-k="Stored">
                {stored} {unused.map(|unused| view! { <span class="sub">{unused}</span> })}
            </td>
            <td role="cell" class="num act">
                <div class="actions end">
                    {(role >= Role::Operator).then(|| view! { <TestButton store=store.clone() test=actions.test/> })}
                    {(role >= Role::Admin).then(|| view! { <StoreMenu store actions/> })}
                </div>
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn TestButton(store: Store, test: ServerAction<TestStore>) -> impl IntoView {
    view! {
        <ActionForm action=test>
            <input type="hidden" name="store" value=store.id.to_string()/>
            <button class="btn small" aria-label=format!("Test store {}", store.name) disabled=move || test.pending().get()>
                {move || if test.pending().get() { "Testing store…" } else { "Test store" }}
            </button>
        </ActionForm>
    }
    .into_any()
}

/// The menu of a store, for admins.
#[component]
fn StoreMenu(store: Store, actions: StoreActions) -> impl IntoView {
    let id = store.id;
    let edit = format!("/settings?at=stores&edit={id}#access");
    let change = (!store.is_default).then(|| {
        view! {
            <li>
                <ActionForm action=actions.make_default>
                    <input type="hidden" name="store" value=id.to_string()/>
                    <button>"Set as default store"</button>
                </ActionForm>
            </li>
            <li>
                <ActionForm action=actions.remove>
                    <input type="hidden" name="store" value=id.to_string()/>
                    <button class="danger">"Remove store"</button>
                </ActionForm>
            </li>
        }
    });
    view! {
        <Menu label=format!("More actions for {}", store.name) class="btn icon small" button=|| view! { <Icon name="more"/> }>
            <li><a href=edit>"Edit authentication…"</a></li>
            {change}
        </Menu>
    }
    .into_any()
}
