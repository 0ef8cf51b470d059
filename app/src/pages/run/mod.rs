//! One run: what went wrong or how far it is, its steps, its log; live while it goes on.

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use leptos_router::params::ParamsMap;
use model::run::RunDetail;
use model::{Level, LogFilter, LogStretch, Role, RunState};

use crate::api::runs::{AcceptRun, CancelRun, RetryRun, RunView, get_run};
use crate::components::code::CopyButton;
use crate::components::confirm::ConfirmDialog;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::log_view::LogView;
use crate::components::log_window::LogWindow;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::receipt::ReceiptSlip;
use crate::components::result_view::view_or_error;
use crate::components::run_live::RunSignals;
use crate::components::run_progress::RunProgress;
use crate::components::status_badge::{self, StatusBadge};
use crate::components::step_table::StepTable;
use crate::components::time::{Ago, Elapsed};
use crate::error::UiError;

/// One run.
#[component]
pub fn RunPage() -> impl IntoView {
    let me = use_current_user();
    let params = use_params_map();
    let query = use_query_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    // Not fetched again at each change: the run's own stream brings what is new.
    let view = Resource::new(
        move || id.get(),
        move |id| {
            let (filter, stretch) = query.with_untracked(log_of);
            async move {
                let id = id.parse().map_err(|_| UiError::new("not_found", "There is no such run."))?;
                get_run(id, filter, stretch).await
            }
        },
    );
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let role = me.role().await;
                view_or_error(view.await, move |view| view! { <PageContent view role/> })
            })}
        </Transition>
    }
    .into_any()
}

/// Which lines of the log the address asks for.
fn log_of(query: &ParamsMap) -> (LogFilter, LogStretch) {
    let number = |name| query.get(name).and_then(|text| text.parse().ok());
    let level = query.get("level").and_then(|level| level.parse().ok()).unwrap_or(Level::Debug);
    let filter = LogFilter { search: query.get("q").unwrap_or_default(), level };
    let stretch = number("before").map(LogStretch::Before).or_else(|| number("after").map(LogStretch::After));
    (filter, stretch.unwrap_or_default())
}

#[component]
fn PageContent(view: RunView, role: Role) -> impl IntoView {
    let log = LogWindow::new(view.detail.run.id, view.filter, view.log);
    let signals = RunSignals::start(view.detail, log);
    let detail = signals.detail;
    let query = use_query_map();
    let ask = Memo::new(move |_| query.read().get("ask"));
    let cancel = ServerAction::<CancelRun>::new();
    let goes_on = Memo::new(move |_| {
        detail
            .with(|detail| matches!(detail.run.state, RunState::Running | RunState::Undoing))
            .then(|| detail.get().run)
    });
    let receipt = Memo::new(move |_| {
        detail.with(|detail| {
            detail
                .receipt
                .clone()
                .filter(|receipt| detail.run.state.has_ended() || receipt.difference_count > 0)
        })
    });
    let waits_for = Memo::new(move |_| {
        // Where its cause is known, it is on top already.
        detail.with(|detail| {
            let unknown = detail.diagnosis.is_none();
            detail.step_rows.iter().find_map(|step| step.waits_for.clone()).filter(|_| unknown)
        })
    });
    let steps = Signal::derive(move || detail.with(|detail| detail.step_rows.clone()));
    let count = move || {
        let done = detail.with(|detail| {
            detail.step_rows.iter().filter(|step| step.state == model::StepState::Done).count()
        });
        format!("{done} of {} done", detail.with(|detail| detail.step_rows.len()))
    };
    view! {
        <RunHead detail role/>
        {move || (ask.get().as_deref() == Some("cancel")).then(|| view! { <Cancel detail action=cancel/> })}
        {move || detail.with(problem)}
        {move || receipt.get().map(|receipt| view! { <ReceiptSlip receipt/> })}
        {move || goes_on.get().map(|run| view! { <RunProgress run waits_for=waits_for.get()/> })}
        <Panel id="steps" title="Steps" note=move || view! { {count} }>
            <StepTable steps/>
        </Panel>
        <LogView run=signals/>
    }
    .into_any()
}

#[component]
fn RunHead(detail: RwSignal<RunDetail>, role: Role) -> impl IntoView {
    let retry = ServerAction::<RetryRun>::new();
    let accept = ServerAction::<AcceptRun>::new();
    let run = detail.with_untracked(|detail| detail.run.clone());
    let id = run.id;
    let state = Memo::new(move |_| detail.with(|detail| detail.run.state));
    let cancelling = Memo::new(move |_| detail.with(|detail| detail.run.cancel));
    let states =
        move || view! { {move || view! { <StatusBadge style=status_badge::run(state.get()) pill=true/> }} };
    let sub = {
        let run = run.clone();
        move || {
            let instance = run.instance_name.clone().zip(run.instance);
            let image = run.image_name.clone().zip(run.image);
            view! {
                {instance.map(|(name, _)| view! { "instance " <a href=format!("/instances/{name}")>{name.clone()}</a> ", " })}
                {image.map(|(name, id)| view! { "image " <a class="mono" href=format!("/images/{id}")>{name}</a> ", " })}
                "started by " {run.started_by.clone()} " " <Ago at=run.created_at/> ", took "
                {move || {
                    let (from, to) = detail.with(|detail| (detail.run.created_at, detail.run.finished_at));
                    view! { <Elapsed from to/> }
                }}
                ", run " <span class="mono">{run.id.short()}</span> " " <CopyButton text=run.id.to_string() what="the run's id"/>
            }
        }
    };
    let may = role >= Role::Operator;
    view! {
        <PageHeader title=run.title.clone() crumbs=vec![("/runs".into(), "Runs".into())] states sub>
            {move || {
                (may && state.get() == RunState::Running && !cancelling.get())
                    .then(|| view! { <a class="btn danger" href=format!("/runs/{id}?ask=cancel")><Icon name="s-cancel"/>"Cancel and undo…"</a> })
            }}
            {move || {
                (may && matches!(state.get(), RunState::Failed | RunState::Cancelled | RunState::Stuck))
                    .then(|| {
                        let word = if state.get() == RunState::Stuck { "Undo again" } else { "Try again" };
                        view! {
                            <ActionForm action=retry>
                                <input type="hidden" name="id" value=id.to_string()/>
                                <button class="btn primary" disabled=move || retry.pending().get()><Icon name="runs"/>{word}</button>
                            </ActionForm>
                        }
                    })
            }}
            {move || {
                (may && state.get() == RunState::Stuck)
                    .then(|| {
                        view! {
                            <ActionForm action=accept>
                                <input type="hidden" name="id" value=id.to_string()/>
                                <button class="btn" disabled=move || accept.pending().get()>"I have undone it"</button>
                            </ActionForm>
                        }
                    })
            }}
            <FormError error=action_error(retry)/>
            <FormError error=action_error(accept)/>
        </PageHeader>
    }
    .into_any()
}

#[component]
fn Cancel(detail: RwSignal<RunDetail>, action: ServerAction<CancelRun>) -> impl IntoView {
    let (id, title) = detail.with_untracked(|detail| (detail.run.id, detail.run.title.clone()));
    let back = format!("/runs/{id}");
    view! {
        <ConfirmDialog title=format!("Cancel \u{201c}{title}\u{201d}?")>
            <p>"What is being done stops at once, and what was done is undone: nothing half-made is left. What was there before stays."</p>
            <FormError error=action_error(action)/>
            <ActionForm action=action>
                <input type="hidden" name="id" value=id.to_string()/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="s-cancel"/>"Cancel and undo"</button>
                    <a class="btn" href=back>"Let it go on"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

/// What went wrong, on top: the error, its cause, the way out.
fn problem(detail: &RunDetail) -> Option<AnyView> {
    let run = &detail.run;
    let first = detail.step_rows.iter().find_map(|step| step.error.clone());
    let (tone, icon, title) = match run.state {
        RunState::Failed => ("fail", "s-fail", "It failed, and what was done was undone"),
        RunState::Stuck => ("stuck", "s-stuck", "It is stuck: a person is needed"),
        RunState::Undoing if !run.cancel || run.error.is_some() => {
            ("undo", "s-undo", "It failed; what was done is being undone")
        }
        RunState::Undoing => ("undo", "s-undo", "It was cancelled; what was done is being undone"),
        RunState::Running => return waiting(detail),
        _ => return None,
    };
    let error = run.error.clone().or(first);
    let diagnosis = detail.diagnosis.clone();
    let step =
        run.step.clone().filter(|_| run.state == RunState::Stuck).map(|step| model::run::step_words(&step));
    let ticket = format!("run {}, {} version {}", run.id, run.workflow, run.version);
    Some(
        view! {
            <section class=format!("alert {tone}")>
                <h2><Icon name=icon/>{title}</h2>
                <dl>
                    {error.map(|error| view! { <dt>"Error"</dt> <dd>{error}</dd> })}
                    {step
                        .map(|step| {
                            view! {
                                <dt>"What to do"</dt>
                                <dd>
                                    {format!("The undo of \u{201c}{step}\u{201d} did not work. Remove its cause and press Undo again; or undo it by hand and press I have undone it. Until then what the run uses stays locked.")}
                                </dd>
                            }
                        })}
                    {diagnosis
                        .map(|known| {
                            view! {
                                <dt>"Cause"</dt>
                                <dd>{known.cause}</dd>
                                <dt>"Fix"</dt>
                                <dd>{known.fix}</dd>
                                <dt>"What it means"</dt>
                                <dd>{known.meaning}</dd>
                            }
                        })}
                    <dt>"For a ticket"</dt>
                    <dd class="mono">{ticket}</dd>
                </dl>
            </section>
        }
        .into_any(),
    )
}

/// What it waits for, where one can do something about it.
fn waiting(detail: &RunDetail) -> Option<AnyView> {
    let words = detail.step_rows.iter().find_map(|step| step.waits_for.clone())?;
    let known = detail.diagnosis.clone()?;
    Some(
        view! {
            <section class="alert warn">
                <h2><Icon name="s-wait"/>"It waits for something outside of Toygres"</h2>
                <dl>
                    <dt>"Waits for"</dt>
                    <dd>{words}</dd>
                    <dt>"Cause"</dt>
                    <dd>{known.cause}</dd>
                    <dt>"Fix"</dt>
                    <dd>{known.fix}</dd>
                </dl>
            </section>
        }
        .into_any(),
    )
}
