//! The list of instances.

use leptos::either::Either;
use leptos::prelude::*;
use model::{Health, InstanceStatus, Role};

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

/// The page of all instances.
#[component]
pub fn Instances() -> impl IntoView {
    let live = use_live();
    let user = use_current_user();
    let instances = Resource::new(move || live.version(), |_| list_instances());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = user.role().await;
                view_or_error(instances.await, move |rows| view! { <InstancesView rows role/> })
            })}
        </Transition>
    }
    .into_any()
}

/// The view of all instances; those with a problem come first.
#[component]
pub fn InstancesView(
    /// The instances.
    mut rows: Vec<InstanceRow>,
    /// The user's role.
    role: Role,
) -> impl IntoView {
    rows.sort_by_key(|row| !matches!(condition(row), Condition::NotResponding | Condition::Failed));
    let sub = summary(&rows);
    let count = rows.len();
    let rows: Vec<_> = rows.into_iter().map(|row| (row.instance, row.days, row.backing_up)).collect();
    view! {
        <PageHeader title="Instances" sub=move || sub.clone()>
            {(role >= Role::Operator)
                .then(|| {
                    view! {
                        <a class="btn primary" href="/instances/new"><Icon name="plus"/>"New instance"</a>
                        <a class="btn" href="/instances/add"><Icon name="link"/>"Connect existing server"</a>
                    }
                })}
        </PageHeader>
        <Panel id="instances" title="All instances" note=move || count end=move || (count > 0).then(|| view! { <Legend/> })>
            {if rows.is_empty() {
                Either::Left(
                    view! {
                        <EmptyState
                            title="No instances yet"
                            text="Create a PostgreSQL server, or connect an existing one."
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

/// The conditions that the summary counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Running,
    NotResponding,
    Failed,
    Stopped,
    Other,
}

fn condition(row: &InstanceRow) -> Condition {
    match (row.instance.status, row.instance.health) {
        (InstanceStatus::Running, Health::Down) => Condition::NotResponding,
        (InstanceStatus::Failed, _) => Condition::Failed,
        (InstanceStatus::Running, _) => Condition::Running,
        (InstanceStatus::Stopped, _) => Condition::Stopped,
        _ => Condition::Other,
    }
}

/// `2 running, 1 not responding; 2 without a proven image`.
fn summary(rows: &[InstanceRow]) -> String {
    let count = |of: Condition| rows.iter().filter(|row| condition(row) == of).count();
    let counts = [
        (count(Condition::Running), "running"),
        (count(Condition::NotResponding), "not responding"),
        (count(Condition::Failed), "failed"),
        (count(Condition::Stopped), "stopped"),
        (count(Condition::Other), "changing"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, label)| format!("{count} {label}")).collect();
    let unproven = rows.iter().filter(|row| row.instance.last_proven_at.is_none()).count();
    match unproven {
        0 => counts.join(", "),
        unproven => format!("{}; {unproven} without a proven image", counts.join(", ")),
    }
}
