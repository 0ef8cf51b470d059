//! One instance: its condition, its images, how to connect, and the actions on it.

mod connect;
mod details;
mod dialogs;
mod header;
mod images;
mod problem;
#[cfg(all(test, feature = "ssr"))]
mod tests;

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use model::{Actor, Instance};

use self::connect::ConnectPanel;
use self::details::{DatabasesPanel, DetailsPanel, Facts, ProcessesPanel};
pub use self::dialogs::InstanceDialog;
use self::header::InstanceHeader;
use self::images::ImagesPanel;
use self::problem::Problem;
use crate::api::instances::{DeleteInstance, InstanceView, StartInstance, StopInstance, get_instance};
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::history_chart::{HistoryChart, Legend};
use crate::components::layout::use_current_user;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::run_rows::EndedRuns;
use crate::live::{Live, use_live};

/// The page of one instance.
#[component]
pub fn InstancePage() -> impl IntoView {
    let live = use_live();
    let user = use_current_user();
    let params = use_params_map();
    let name = Memo::new(move |_| params.read().get("name").unwrap_or_default());
    let view = Resource::new(move || (name.get(), live.version()), |(name, _)| get_instance(name));
    let query = use_query_map();
    let dialog = Memo::new(move |_| query.read().get("ask"));
    let actions = Actions::new(live);
    // A dialog loads its instance once: it must keep its input when other data changes.
    let dialog_instance = Resource::new(
        move || (name.get(), dialog.get().is_some()),
        |(name, is_open)| async move {
            if is_open { get_instance(name).await.ok().map(|view| view.instance) } else { None }
        },
    );
    view! {
        <Transition>
            {move || Suspend::new(async move {
                dialog_instance.await.map(|instance| view! { <OpenDialog instance dialog actions/> })
            })}
        </Transition>
        <Transition>
            {move || Suspend::new(async move {
                let actor = user.actor().await.ok();
                view_or_error(
                    view.await,
                    move |view| view! { <InstanceDetailView view actor start=actions.start/> },
                )
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn OpenDialog(instance: Instance, dialog: Memo<Option<String>>, actions: Actions) -> impl IntoView {
    move || {
        let (instance, dialog) = (instance.clone(), dialog.get().unwrap_or_default());
        view! { <InstanceDialog instance dialog stop=actions.stop delete=actions.delete/> }
    }
}

/// The actions of the page. The page owns them, so that an error stays visible when the data is loaded again.
#[derive(Clone, Copy)]
struct Actions {
    start: ServerAction<StartInstance>,
    stop: ServerAction<StopInstance>,
    delete: ServerAction<DeleteInstance>,
}

impl Actions {
    fn new(live: Live) -> Self {
        let actions =
            Self { start: ServerAction::new(), stop: ServerAction::new(), delete: ServerAction::new() };
        Effect::new(move |_| {
            if actions.start.version().get() + actions.stop.version().get() > 0 {
                live.refetch();
            }
        });
        actions
    }
}

/// The view of one instance.
#[component]
pub fn InstanceDetailView(
    /// The instance with its images and runs.
    view: InstanceView,
    /// The user; none without a login.
    actor: Option<Actor>,
    /// The action that starts the instance.
    start: ServerAction<StartInstance>,
) -> impl IntoView {
    let instance = view.instance.clone();
    let (chart_name, days, backing_up) = (instance.name.clone(), view.days.clone(), view.backing_up);
    view! {
        <InstanceHeader view=view.clone() actor=actor.clone() start/>
        <FormError error=action_error(start)/>
        <Problem instance=instance.clone() diagnosis=view.diagnosis.clone()/>
        <Facts view=view.clone()/>
        <div class="cols">
            <div>
                <Panel id="days" title="Last 14 days">
                    <div class="body stack wide"><HistoryChart name=chart_name days backing_up/><Legend/></div>
                </Panel>
                <ImagesPanel view=view.clone() actor=actor.clone()/>
                <DatabasesPanel names=instance.databases.clone()/>
                <RunsPanel view=view.clone()/>
                <ProcessesPanel instance/>
            </div>
            <div>
                <ConnectPanel view=view.clone() actor/>
                <DetailsPanel view/>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn RunsPanel(view: InstanceView) -> impl IntoView {
    (!view.runs.is_empty()).then(|| {
        view! {
            <Panel id="runs" title="Runs">
                <EndedRuns runs=view.runs caption="The most recent runs of this instance"/>
                <a class="more" href=format!("/runs?instance={}", view.instance.id)>"View all runs"</a>
            </Panel>
        }
    })
}
