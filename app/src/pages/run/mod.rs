//! One run: its error or its progress, its steps and its log; live until it ends.

mod alert;
mod dialogs;
mod header;
#[cfg(all(test, feature = "ssr"))]
mod tests;

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use leptos_router::params::ParamsMap;
use model::run::{Receipt, RunDetail};
use model::{Level, LogFilter, LogStretch, Role, RunState, StepState};

use self::alert::alert;
use self::dialogs::CancelDialog;
use self::header::RunHeader;
use crate::api::runs::{RunView, get_run};
use crate::components::layout::use_current_user;
use crate::components::log_view::LogView;
use crate::components::log_window::LogWindow;
use crate::components::panel::Panel;
use crate::components::receipt::ReceiptSlip;
use crate::components::result_view::view_or_error;
use crate::components::run_live::RunSignals;
use crate::components::run_progress::RunProgress;
use crate::components::step_table::StepTable;
use crate::error::UiError;

/// The page of one run.
#[component]
pub fn RunPage() -> impl IntoView {
    let user = use_current_user();
    let params = use_params_map();
    let query = use_query_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    // Loaded once: the run's event stream delivers the changes.
    let view = Resource::new(
        move || id.get(),
        move |id| {
            let (filter, stretch) = query.with_untracked(log_query);
            async move {
                let id = id.parse().map_err(|_| UiError::new("not_found", "Run not found."))?;
                get_run(id, filter, stretch).await
            }
        },
    );
    let cancelling = Memo::new(move |_| query.read().get_str("ask") == Some("cancel"));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = user.role().await;
                view_or_error(view.await, move |view| view! { <RunDetailView view role cancelling/> })
            })}
        </Transition>
    }
    .into_any()
}

/// The lines of the log that the address asks for.
fn log_query(query: &ParamsMap) -> (LogFilter, LogStretch) {
    let number = |name| query.get(name).and_then(|text| text.parse().ok());
    let level = query.get("level").and_then(|level| level.parse().ok()).unwrap_or(Level::Debug);
    let filter = LogFilter { search: query.get("q").unwrap_or_default(), level };
    let stretch = number("before").map(LogStretch::Before).or_else(|| number("after").map(LogStretch::After));
    (filter, stretch.unwrap_or_default())
}

/// The view of one run.
#[component]
pub fn RunDetailView(
    /// The run with its steps and a stretch of its log.
    view: RunView,
    /// The user's role.
    role: Role,
    /// Whether the dialog that cancels the run is open.
    #[prop(into)]
    cancelling: Signal<bool>,
) -> impl IntoView {
    let log = LogWindow::new(view.detail.run.id, view.filter, view.log);
    let signals = RunSignals::start(view.detail, log);
    let detail = signals.detail;
    let cancel = ServerAction::new();
    let active = Memo::new(move |_| detail.with(active_run));
    let receipt = Memo::new(move |_| detail.with(final_receipt));
    let waits_for = Memo::new(move |_| detail.with(unexplained_wait));
    let steps = Signal::derive(move || detail.with(|detail| detail.step_rows.clone()));
    view! {
        <RunHeader detail role/>
        {move || cancelling.get().then(|| view! { <CancelDialog detail action=cancel/> })}
        {move || detail.with(alert)}
        {move || receipt.get().map(|receipt| view! { <ReceiptSlip receipt/> })}
        {move || active.get().map(|run| view! { <RunProgress run waits_for=waits_for.get()/> })}
        <Panel id="steps" title="Steps" note=move || move || detail.with(steps_label)>
            <StepTable steps/>
        </Panel>
        <LogView run=signals/>
    }
    .into_any()
}

/// The run, while it is running or rolling back.
fn active_run(detail: &RunDetail) -> Option<model::Run> {
    matches!(detail.run.state, RunState::Running | RunState::Undoing).then(|| detail.run.clone())
}

/// The receipt, once the run has ended or a difference was found.
fn final_receipt(detail: &RunDetail) -> Option<Receipt> {
    let receipt = detail.receipt.clone()?;
    (detail.run.state.has_ended() || receipt.difference_count > 0).then_some(receipt)
}

/// What the step waits for, unless the alert explains it.
fn unexplained_wait(detail: &RunDetail) -> Option<String> {
    let waits_for = detail.step_rows.iter().find_map(|step| step.waits_for.clone());
    waits_for.filter(|_| detail.diagnosis.is_none()).map(|failure| failure.to_string())
}

/// `3 of 7 done`, `2 of 4 rolled back`: how far the steps are.
fn steps_label(detail: &RunDetail) -> String {
    let count = |state| detail.step_rows.iter().filter(|step| step.state == state).count();
    let started = detail.step_rows.iter().filter(|step| step.attempt > 0).count();
    match detail.run.state {
        RunState::Running | RunState::Succeeded => {
            format!("{} of {} done", count(StepState::Done), detail.step_rows.len())
        }
        RunState::Undoing | RunState::Failed | RunState::Cancelled | RunState::Stuck => {
            format!("{} of {started} rolled back", count(StepState::Undone))
        }
    }
}
