//! Settings: where images go, and how those places are opened.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::{Actor, Role, StoreAuth, Transfer};

use super::settings_store_form::{ChangeAccess, NewStore};
use crate::api::stores::{
    AddStore, DefaultStore, ForgetStore, SetStoreAccess, StoreRow, TestStore, list_stores,
};
use crate::components::confirm::SudoGate;
use crate::components::empty_state::EmptyState;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::menu::Menu;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::format;

/// What can be done with the stores of the list.
#[derive(Clone, Copy)]
struct Actions {
    test: ServerAction<TestStore>,
    choose: ServerAction<DefaultStore>,
    forget: ServerAction<ForgetStore>,
}

/// Where images go.
#[component]
pub fn Stores(
    /// Who is looking.
    actor: Actor,
) -> impl IntoView {
    let (role, sudo) = (actor.role, actor.sudo);
    let actions =
        Actions { test: ServerAction::new(), choose: ServerAction::new(), forget: ServerAction::new() };
    let add = ServerAction::<AddStore>::new();
    let change = ServerAction::<SetStoreAccess>::new();
    let version = move || {
        let changes = [add.version().get(), change.version().get(), actions.choose.version().get()];
        changes.iter().sum::<usize>() + actions.forget.version().get()
    };
    let stores = Resource::new(version, |_| list_stores());
    let query = use_query_map();
    let tested = move || query.read().get_str("tested").is_some() && !actions.test.pending().get();
    let edited = Memo::new(move |_| query.read().get("edit"));
    view! {
        <Panel id="stores" title="Stores">
            <FormError error=action_error(actions.test)/>
            <FormError error=action_error(actions.choose)/>
            <FormError error=action_error(actions.forget)/>
            <div role="status">
                {move || {
                    tested()
                        .then(|| {
                            view! {
                                <p class="form-error ok">
                                    <Icon name="s-ok"/>
                                    <span>
                                        "The store works: an object was written, read back, listed and deleted, from the server and from a job."
                                    </span>
                                </p>
                            }
                        })
                }}
            </div>
            <Transition>
                {move || Suspend::new(async move {
                    view_or_error(stores.await, move |stores| view! { <StoreTable stores role actions/> })
                })}
            </Transition>
        </Panel>
        <Transition>
            {move || {
                let edited = edited.get().filter(|_| role >= Role::Admin);
                Suspend::new(async move {
                    let edited = edited?;
                    let store = stores.await.ok()?.into_iter().find(|store| store.id.to_string() == edited)?;
                    Some(view! {
                        <Panel id="access" title=format!("How {} is opened", store.name)>
                            {if sudo {
                                Either::Left(view! { <ChangeAccess store change/> })
                            } else {
                                Either::Right(view! { <SudoGate next="/settings?at=stores" what="Changing a store"/> })
                            }}
                        </Panel>
                    })
                })
            }}
        </Transition>
        {(role >= Role::Admin)
            .then(|| {
                view! {
                    <Panel id="new-store" title="New store">
                        {if sudo {
                            Either::Left(view! { <NewStore add/> })
                        } else {
                            Either::Right(view! { <SudoGate next="/settings?at=stores" what="Adding a store"/> })
                        }}
                    </Panel>
                }
            })}
    }
    .into_any()
}

#[component]
fn StoreTable(stores: Vec<StoreRow>, role: Role, actions: Actions) -> impl IntoView {
    if stores.is_empty() {
        let text =
            "New images have nowhere to go until an admin adds one here. The first one is chosen for them.";
        return view! { <EmptyState title="No store yet" text/> }.into_any();
    }
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Stores"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Store"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader">"Opened by"</th>
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

/// How a store is opened, in words.
fn opened_by(store: &StoreRow) -> (String, Option<String>) {
    let is_directory = store.url.starts_with("file:") || store.url.starts_with("pvc:");
    let (words, more) = match &store.access.auth {
        StoreAuth::Environment if is_directory => ("the file system", None),
        StoreAuth::Environment => ("the environment", None),
        StoreAuth::AzureIdentity { client_id, .. } => ("a workload identity", client_id.clone()),
        StoreAuth::AwsIdentity { role_arn, .. } => ("a web identity", Some(role_arn.clone())),
        StoreAuth::Secret { namespace, name } => ("a Secret", Some(format!("{namespace}/{name}"))),
        StoreAuth::Sealed => ("keys sealed in Toygres", None),
    };
    let carried = if store.access.transfer == Transfer::Azcopy { ", carried by azcopy" } else { "" };
    (format!("{words}{carried}"), more)
}

#[component]
fn StoreTableRow(store: StoreRow, role: Role, actions: Actions) -> impl IntoView {
    let id = store.id.to_string();
    let style = if store.is_default {
        StatusStyle::new("off", "s-proven", "new images go here")
    } else {
        StatusStyle::new("todo", "s-made", "kept for its images")
    };
    let (words, more) = opened_by(&store);
    let test = actions.test;
    let label = format!("Test {}", store.name);
    let menu = store.clone();
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">{store.name} <span class="sub mono">{store.url}</span></th>
            <td role="cell" data-k="State"><StatusBadge style/></td>
            <td role="cell" data-k="Opened by">{words} {more.map(|more| view! { <span class="sub mono">{more}</span> })}</td>
            <td role="cell" class="num" data-k="Images">{format::count(store.images)}</td>
            <td role="cell" class="num" data-k="Stored">{format::bytes(store.stored_bytes.unsigned_abs())}</td>
            <td role="cell" class="num act">
                <div class="actions end">
                    {(role >= Role::Operator)
                        .then(|| {
                            view! {
                                <ActionForm action=test>
                                    <input type="hidden" name="store" value=id/>
                                    <button class="btn small" aria-label=label disabled=move || test.pending().get()>
                                        {move || if test.pending().get() { "Testing…" } else { "Test" }}
                                    </button>
                                </ActionForm>
                            }
                        })}
                    {(role >= Role::Admin).then(|| view! { <StoreMenu store=menu actions/> })}
                </div>
            </td>
        </tr>
    }
    .into_any()
}

/// What an admin can do to a store.
#[component]
fn StoreMenu(store: StoreRow, actions: Actions) -> impl IntoView {
    let id = store.id.to_string();
    let again = id.clone();
    let edit = format!("/settings?at=stores&edit={id}#access");
    view! {
        <Menu label=format!("More for {}", store.name) class="btn icon small" button=|| view! { <Icon name="more"/> }>
            <li><a href=edit>"Change how it is opened…"</a></li>
            {(!store.is_default)
                .then(|| {
                    view! {
                        <li>
                            <ActionForm action=actions.choose>
                                <input type="hidden" name="store" value=again/>
                                <button>"Put new images here"</button>
                            </ActionForm>
                        </li>
                        <li>
                            <ActionForm action=actions.forget>
                                <input type="hidden" name="store" value=id/>
                                <button class="danger">"Forget the store"</button>
                            </ActionForm>
                        </li>
                    }
                })}
        </Menu>
    }
    .into_any()
}
