//! The list of runs; its address holds the search, the filter and the page.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;
use model::page::Page;
use model::{Run, RunState, WorkflowName};

use crate::api::runs::{RunFilter, list_runs};
use crate::components::empty_state::EmptyState;
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::pager::Pager;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::run_rows::EndedRuns;
use crate::components::status_badge;
use crate::live::use_live;
use crate::{format, url};

/// The page of all runs.
#[component]
pub fn Runs() -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(from_query));
    let runs = Resource::new(move || (filter.get(), live.version()), |(filter, _)| list_runs(filter));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let filter = filter.get_untracked();
                view_or_error(runs.await, move |runs| view! { <RunsView runs filter/> })
            })}
        </Transition>
    }
    .into_any()
}

fn from_query(query: &ParamsMap) -> RunFilter {
    let text = |name: &str| query.get_str(name).unwrap_or_default().to_owned();
    RunFilter {
        state: text("state"),
        workflow: text("workflow"),
        instance: text("instance"),
        image: text("image"),
        search: text("q"),
        page: text("page").parse().unwrap_or(1),
    }
}

/// The view of all runs.
#[component]
pub fn RunsView(
    /// One page of runs.
    runs: Page<Run>,
    /// The filter of the address.
    filter: RunFilter,
) -> impl IntoView {
    let (pages, page, total) = (runs.pages(), runs.page, runs.total);
    let is_filtered = filter != RunFilter { page: filter.page, ..RunFilter::default() };
    let subject = subject(&filter, &runs.rows);
    let paged = filter.clone();
    let href = Callback::new(move |(page,): (i64,)| address(&RunFilter { page, ..paged.clone() }));
    view! {
        <PageHeader title="Runs" sub=|| "A run is one operation, such as a backup or a restore, with its steps and its log."/>
        <Filters filter/>
        <Panel
            id="runs"
            title=if is_filtered { "Matching runs" } else { "All runs" }
            note=move || format::count(total)
            end=move || {
                subject
                    .clone()
                    .map(|subject| view! { <span class="sub">{subject}</span> <a class="btn small" href="/runs">"View all runs"</a> })
            }
        >
            {if runs.rows.is_empty() {
                Either::Left(view! { <NoRuns is_filtered/> })
            } else {
                Either::Right(view! { <EndedRuns runs=runs.rows caption="Runs, newest first"/> })
            }}
            <Pager page pages total href/>
        </Panel>
    }
    .into_any()
}

/// The instance or image that the list is limited to: no field of the form shows it.
fn subject(filter: &RunFilter, runs: &[Run]) -> Option<String> {
    let name = |of: fn(&Run) -> Option<&String>| runs.first().and_then(of).cloned().unwrap_or_default();
    match (filter.instance.is_empty(), filter.image.is_empty()) {
        (false, _) => Some(format!("Only runs of instance {}", name(|run| run.instance_name.as_ref()))),
        (true, false) => Some(format!("Only runs of image {}", name(|run| run.image_name.as_ref()))),
        (true, true) => None,
    }
}

#[component]
fn NoRuns(is_filtered: bool) -> impl IntoView {
    if is_filtered {
        view! {
            <EmptyState title="No runs found" text="No run matches the filter.">
                <a class="btn" href="/runs">"View all runs"</a>
            </EmptyState>
        }
    } else {
        view! {
            <EmptyState title="No runs yet" text="Create an instance or connect an existing server, then back it up.">
                <a class="btn" href="/instances">"View instances"</a>
            </EmptyState>
        }
    }
}

fn address(filter: &RunFilter) -> String {
    let pairs = [
        ("state", &filter.state),
        ("workflow", &filter.workflow),
        ("instance", &filter.instance),
        ("image", &filter.image),
        ("q", &filter.search),
    ];
    let mut query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", url::encode(value)))
        .collect();
    query.push(format!("page={}", filter.page));
    format!("/runs?{}", query.join("&"))
}

#[component]
fn Filters(filter: RunFilter) -> impl IntoView {
    let states = RunState::ALL.iter().map(|state| (state.as_str(), status_badge::run(*state).label));
    let workflows =
        WorkflowName::ALL.iter().filter_map(|name| Some((name.as_str(), label(*name)?.to_owned())));
    view! {
        <form class="filters" method="get" action="/runs" role="search" aria-label="Filter runs">
            <p class="field grow">
                <label for="q">"Search"</label>
                <input id="q" name="q" type="search" value=filter.search placeholder="Title, instance, image or error"/>
            </p>
            <p class="field">
                <label for="state">"State"</label>
                <select id="state" name="state">{options(states, &filter.state)}</select>
            </p>
            <p class="field">
                <label for="workflow">"Workflow"</label>
                <select id="workflow" name="workflow">{options(workflows, &filter.workflow)}</select>
            </p>
            <input type="hidden" name="instance" value=filter.instance/>
            <input type="hidden" name="image" value=filter.image/>
            <button class="btn"><Icon name="search"/>"Apply filter"</button>
        </form>
    }
    .into_any()
}

/// The label of a workflow in the filter; none if it cannot be selected.
fn label(workflow: WorkflowName) -> Option<&'static str> {
    Some(match workflow {
        WorkflowName::CreateImage => "Back up",
        WorkflowName::RestoreImage => "Restore image",
        WorkflowName::CreateInstance => "Create instance",
        WorkflowName::VerifyImage => "Verify image",
        WorkflowName::DeleteImage => "Delete image",
        WorkflowName::DeleteInstance => "Delete instance",
        WorkflowName::StartInstance => "Start instance",
        WorkflowName::StopInstance => "Stop instance",
        WorkflowName::TestPlatform => "Test jobs",
        WorkflowName::Unknown => return None,
    })
}

/// The options of a select field: any, or one of `choices`, which are values and labels.
fn options(choices: impl Iterator<Item = (&'static str, String)>, chosen: &str) -> impl IntoView {
    let choices = choices
        .map(|(value, label)| view! { <option value=value selected=value == chosen>{label}</option> })
        .collect_view();
    view! { <option value="">"Any"</option> {choices} }
}
