//! The list of instances.

use leptos::either::Either;
use leptos::prelude::*;
use model::{InstanceStatus, Role};

use crate::api::instances::{InstanceRow, list_instances};
use crate::components::empty_state::EmptyState;
use crate::components::history_chart::Legend;
use crate::components::icon::Icon;
use crate::components::instance_table::InstanceTable;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::live::use_live;

/// All instances.
#[component]
pub fn Instances() -> impl IntoView {
    let live = use_live();
    let me = use_current_user();
    let instances = Resource::new(move || live.version(), |_| list_instances());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = me.role().await;
                view_or_error(instances.await, move |rows| view! { <List rows role/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn List(rows: Vec<InstanceRow>, role: Role) -> impl IntoView {
    let sub = summary(&rows);
    let many = rows.len();
    let rows: Vec<_> = rows.into_iter().map(|row| (row.instance, row.days, row.backing_up)).collect();
    view! {
        <PageHeader title="Instances" sub=move || sub.clone()>
            {(role >= Role::Operator)
                .then(|| {
                    view! {
                        <a class="btn primary" href="/instances/new"><Icon name="plus"/>"New instance"</a>
                        <a class="btn" href="/instances/add"><Icon name="link"/>"Add an existing one"</a>
                    }
                })}
        </PageHeader>
        <Panel id="instances" title="All" note=move || many end=move || (many > 0).then(|| view! { <Legend/> })>
            {if rows.is_empty() {
                Either::Left(
                    view! {
                        <EmptyState
                            title="No instances yet"
                            text="Toygres can start a PostgreSQL server, or look after one that you already have."
                        />
                    },
                )
            } else {
                Either::Right(view! { <InstanceTable rows role/> })
            }}
        </Panel>
    }
    .into_any()
}

fn summary(rows: &[InstanceRow]) -> String {
    let running = rows.iter().filter(|row| row.instance.status == InstanceStatus::Running).count();
    match rows.iter().filter(|row| row.instance.last_proven_at.is_none()).count() {
        _ if rows.is_empty() => "None yet.".to_owned(),
        0 => format!("{running} of {} running; each had an image proven.", rows.len()),
        1 => format!("{running} of {} running; 1 never had an image proven.", rows.len()),
        never => format!("{running} of {} running; {never} never had an image proven.", rows.len()),
    }
}
