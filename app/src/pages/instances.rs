//! The list of instances.

use leptos::either::Either;
use leptos::prelude::*;
use model::{InstanceStatus, Role};

use crate::api::instances::{InstanceRow, list_instances};
use crate::components::days::Legend;
use crate::components::empty::Empty;
use crate::components::frame::use_me;
use crate::components::head::{Head, Panel};
use crate::components::icon::Icon;
use crate::components::instance_table::InstanceTable;
use crate::components::shown::shown;
use crate::live::use_live;

/// All instances.
#[component]
pub fn Instances() -> impl IntoView {
    let live = use_live();
    let me = use_me();
    let instances = Resource::new(move || live.version(), |_| list_instances());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = me.role().await;
                shown(instances.await, move |rows| view! { <List rows role/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn List(rows: Vec<InstanceRow>, role: Role) -> impl IntoView {
    let sub = summary(&rows);
    let many = rows.len();
    let rows: Vec<_> = rows.into_iter().map(|row| (row.instance, row.days, row.making)).collect();
    view! {
        <Head title="Instances" sub=move || sub.clone()>
            {(role >= Role::Operator)
                .then(|| {
                    view! {
                        <a class="btn primary" href="/instances/new"><Icon name="plus"/>"New instance"</a>
                        <a class="btn" href="/instances/add"><Icon name="link"/>"Add an existing one"</a>
                    }
                })}
        </Head>
        <Panel id="instances" title="All" note=move || many end=move || (many > 0).then(|| view! { <Legend/> })>
            {if rows.is_empty() {
                Either::Left(
                    view! {
                        <Empty
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
