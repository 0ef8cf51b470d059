//! Settings: where images go, and what everybody did.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::page::Page;
use model::user::AuditRow;
use model::{Actor, Role};

use crate::api::settings::{AddStore, DefaultStore, StoreRow, TestStore, list_audit, list_stores};
use crate::components::ask::Locked;
use crate::components::empty::Empty;
use crate::components::field::{TextField, refused};
use crate::components::head::Panel;
use crate::components::icon::Icon;
use crate::components::pager::Pager;
use crate::components::refusal::Refusal;
use crate::components::shown::shown;
use crate::components::state::{Look, State};
use crate::components::time::Ago;
use crate::format;

/// Where images go.
#[component]
pub fn Stores(
    /// Who is looking.
    actor: Actor,
) -> impl IntoView {
    let (role, sudo) = (actor.role, actor.sudo);
    let test = ServerAction::<TestStore>::new();
    let add = ServerAction::<AddStore>::new();
    let choose = ServerAction::<DefaultStore>::new();
    let stores = Resource::new(move || add.version().get() + choose.version().get(), |_| list_stores());
    let query = use_query_map();
    let tested = move || query.read().get_str("tested").is_some() && !test.pending().get();
    view! {
        <Panel id="stores" title="Stores">
            <Refusal refused=refused(test)/>
            <Refusal refused=refused(choose)/>
            <div role="status">
                {move || {
                    tested()
                        .then(|| {
                            view! {
                                <p class="refusal ok">
                                    <Icon name="s-ok"/>
                                    <span>"The store works: an object was written, read back, listed and deleted."</span>
                                </p>
                            }
                        })
                }}
            </div>
            <Transition>
                {move || Suspend::new(async move {
                    shown(stores.await, move |stores| view! { <StoreTable stores role test choose/> })
                })}
            </Transition>
        </Panel>
        {(role >= Role::Admin)
            .then(|| {
                view! {
                    <Panel id="new-store" title="New store">
                        {if sudo {
                            Either::Left(view! { <NewStore add/> })
                        } else {
                            Either::Right(view! { <Locked next="/settings?at=stores" what="Adding a store"/> })
                        }}
                    </Panel>
                }
            })}
    }
    .into_any()
}

#[component]
fn NewStore(add: ServerAction<AddStore>) -> impl IntoView {
    let refused = refused(add);
    view! {
                        <ActionForm action=add attr:class="body form two">
                            <Refusal refused fields=&["name", "url"]/>
                            <TextField name="name" label="Name" refused required=true mono=true/>
                            <TextField name="url" label="Address" refused required=true mono=true placeholder="file:///srv/images" hint="A directory, as file:///…; it is tried before it is kept."/>
                            <div class="actions"><button class="btn primary"><Icon name="plus"/>"Add the store"</button></div>
                        </ActionForm>
    }
    .into_any()
}

#[component]
fn StoreTable(
    stores: Vec<StoreRow>,
    role: Role,
    test: ServerAction<TestStore>,
    choose: ServerAction<DefaultStore>,
) -> impl IntoView {
    if stores.is_empty() {
        let text =
            "New images have nowhere to go until an admin adds one here. The first one is chosen for them.";
        return view! { <Empty title="No store yet" text/> }.into_any();
    }
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Stores"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Store"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader" class="num">"Images"</th>
                        <th scope="col" role="columnheader" class="num">"Stored"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {stores.into_iter().map(|store| view! { <StoreTableRow store role test choose/> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn StoreTableRow(
    store: StoreRow,
    role: Role,
    test: ServerAction<TestStore>,
    choose: ServerAction<DefaultStore>,
) -> impl IntoView {
    let id = store.id.to_string();
    let again = id.clone();
    let look = if store.is_default {
        Look::new("off", "s-proven", "new images go here")
    } else {
        Look::new("todo", "s-made", "kept for its images")
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">{store.name.clone()} <span class="sub mono">{store.url}</span></th>
            <td role="cell" data-k="State"><State look/></td>
            <td role="cell" class="num" data-k="Images">{format::count(store.images)}</td>
            <td role="cell" class="num" data-k="Stored">{format::bytes(store.stored_bytes.unsigned_abs())}</td>
            <td role="cell" class="num act">
                <div class="actions end">
                    {(role >= Role::Operator)
                        .then(|| {
                            view! {
                                <ActionForm action=test>
                                    <input type="hidden" name="store" value=id/>
                                    <button class="btn small" aria-label=format!("Test {}", store.name) disabled=move || test.pending().get()>
                                        {move || if test.pending().get() { "Testing…" } else { "Test" }}
                                    </button>
                                </ActionForm>
                            }
                        })}
                    {(role >= Role::Admin && !store.is_default)
                        .then(|| {
                            view! {
                                <ActionForm action=choose>
                                    <input type="hidden" name="store" value=again/>
                                    <button class="btn small">"Put new images here"</button>
                                </ActionForm>
                            }
                        })}
                </div>
            </td>
        </tr>
    }
    .into_any()
}

/// What everybody did.
#[component]
pub fn Audit() -> impl IntoView {
    let query = use_query_map();
    let page = Memo::new(move |_| {
        query.read().get("page").and_then(|page| page.parse().ok()).unwrap_or(1_i64).max(1)
    });
    let rows = Resource::new(move || page.get(), list_audit);
    view! {
        <Panel id="audit" title="Audit" note=|| "what was done and what was refused; rows are only ever added">
            <Transition>
                {move || Suspend::new(async move {
                    shown(
                        rows.await,
                        |rows| {
                            if rows.rows.is_empty() {
                                Either::Left(view! { <Empty title="Nothing yet" text="Every change anybody makes is written here."/> })
                            } else {
                                Either::Right(view! { <AuditTable rows/> })
                            }
                        },
                    )
                })}
            </Transition>
        </Panel>
    }
    .into_any()
}

#[component]
fn AuditTable(rows: Page<AuditRow>) -> impl IntoView {
    let (page, pages, total) = (rows.page, rows.pages(), rows.total);
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Audit, the newest first"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"What"</th>
                        <th scope="col" role="columnheader">"Outcome"</th>
                        <th scope="col" role="columnheader">"To what"</th>
                        <th scope="col" role="columnheader">"Who"</th>
                        <th scope="col" role="columnheader">"When"</th>
                        <th scope="col" role="columnheader">"Run"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows.rows.into_iter().map(|row| view! { <AuditTableRow row/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager page pages total href=|page: i64| format!("/settings?at=audit&page={page}")/>
    }
    .into_any()
}

#[component]
fn AuditTableRow(row: AuditRow) -> impl IntoView {
    let look = if row.outcome == "ok" {
        Look::new("ok", "s-ok", "done")
    } else {
        Look::new("warn", "s-cancel", row.outcome.replace('_', " "))
    };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader" class="mono">{row.action}</th>
            <td role="cell" data-k="Outcome"><State look/></td>
            <td role="cell" data-k="To">{row.subject}</td>
            <td role="cell" data-k="By">{row.actor}</td>
            <td role="cell" data-k="When"><Ago at=row.at/></td>
            <td role="cell" data-k="Run">{row.run.map(|run| view! { <a class="mono" href=format!("/runs/{run}")>{run.short()}</a> })}</td>
        </tr>
    }
    .into_any()
}
