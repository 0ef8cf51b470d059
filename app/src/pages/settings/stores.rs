//! Settings: the stores of images.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::{Actor, Role, Store};

use super::store_form::{EditAccess, NewStore};
use super::store_table::{StoreActions, StoresView};
use super::unused_objects::UnusedObjectsView;
use crate::api::stores::{AddStore, SetStoreAccess, TestStore, list_stores, list_unused_objects};
use crate::components::confirm::SudoGate;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;

/// The section of stores.
#[component]
pub(super) fn Stores(actor: Actor) -> impl IntoView {
    let (role, sudo) = (actor.role, actor.sudo);
    let actions = StoreActions::new();
    let add = ServerAction::<AddStore>::new();
    let edit = ServerAction::<SetStoreAccess>::new();
    let version = move || {
        let changes = [add.version().get(), edit.version().get(), actions.make_default.version().get()];
        changes.iter().sum::<usize>() + actions.remove.version().get()
    };
    let stores = Resource::new(version, |_| list_stores());
    let unused = Resource::new(version, |_| list_unused_objects());
    let query = use_query_map();
    let edited = Memo::new(move |_| query.read().get("edit").filter(|_| role >= Role::Admin));
    view! {
        <Panel id="stores" title="Stores" note=|| "Object stores or directories that hold images">
            <FormError error=action_error(actions.test)/>
            <FormError error=action_error(actions.make_default)/>
            <FormError error=action_error(actions.remove)/>
            <TestResult test=actions.test/>
            <Transition>
                {move || Suspend::new(async move {
                    view_or_error(stores.await, move |stores| view! { <StoresView stores role actions/> })
                })}
            </Transition>
        </Panel>
        <Transition>
            {move || {
                let edited = edited.get();
                Suspend::new(async move {
                    let edited = edited?;
                    let store = stores.await.ok()?.into_iter().find(|store| store.id.to_string() == edited)?;
                    Some(view! { <EditPanel store sudo edit/> })
                })
            }}
        </Transition>
        <Transition>
            {move || Suspend::new(async move {
                view_or_error(unused.await, |prefixes| view! { <UnusedObjectsView prefixes/> })
            })}
        </Transition>
        {(role >= Role::Admin).then(|| view! { <NewStorePanel sudo add/> })}
    }
    .into_any()
}

/// The message after a successful test.
#[component]
fn TestResult(test: ServerAction<TestStore>) -> impl IntoView {
    let query = use_query_map();
    let has_passed = move || query.read().get_str("tested").is_some() && !test.pending().get();
    view! {
        <div role="status">
            {move || {
                has_passed()
                    .then(|| {
                        view! {
                            <p class="form-error ok">
                                <Icon name="s-ok"/>
                                <span>
                                    "Store test passed: the server and a job each wrote, read, listed and deleted an object."
                                </span>
                            </p>
                        }
                    })
            }}
        </div>
    }
}

#[component]
fn EditPanel(store: Store, sudo: bool, edit: ServerAction<SetStoreAccess>) -> impl IntoView {
    view! {
        <Panel id="access" title=format!("Authentication of {}", store.name)>
            {if sudo {
                Either::Left(view! { <EditAccess store edit/> })
            } else {
                Either::Right(view! { <SudoGate next="/settings?at=stores" what="Changing a store"/> })
            }}
        </Panel>
    }
}

#[component]
fn NewStorePanel(sudo: bool, add: ServerAction<AddStore>) -> impl IntoView {
    view! {
        <Panel id="new-store" title="New store">
            {if sudo {
                Either::Left(view! { <NewStore add/> })
            } else {
                Either::Right(view! { <SudoGate next="/settings?at=stores" what="Adding a store"/> })
            }}
        </Panel>
    }
}
