//! The list of runs, filtered by its address.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::page::Page;
use model::{Run, RunState};

use crate::api::runs::{RunFilter, list_runs};
use crate::components::empty_state::EmptyState;
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::pager::Pager;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::run_rows::EndedRuns;
use crate::live::use_live;
use crate::url;

/// The workflows, as the filter offers them.
const WORKFLOWS: [&str; 9] = [
    "create-image",
    "restore-image",
    "create-instance",
    "verify-image",
    "start-instance",
    "stop-instance",
    "delete-instance",
    "delete-image",
    "test-platform",
];

/// All runs.
#[component]
pub fn Runs() -> impl IntoView {
    let live = use_live();
    let query = use_query_map();
    let filter = Memo::new(move |_| {
        let query = query.read();
        let text = |name: &str| query.get_str(name).unwrap_or_default().to_owned();
        RunFilter {
            state: text("state"),
            workflow: text("workflow"),
            instance: text("instance"),
            image: text("image"),
            search: text("q"),
            page: text("page").parse().unwrap_or(1),
        }
    });
    let runs = Resource::new(move || (filter.get(), live.version()), |(filter, _)| list_runs(filter));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let filter = filter.get_untracked();
                view_or_error(runs.await, move |runs| view! { <PageContent runs filter/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn PageContent(runs: Page<Run>, filter: RunFilter) -> impl IntoView {
    let (pages, page, total) = (runs.pages(), runs.page, runs.total);
    let narrowed = filter != RunFilter { page: filter.page, ..RunFilter::default() };
    let paged = filter.clone();
    let href = Callback::new(move |(page,): (i64,)| address(&RunFilter { page, ..paged.clone() }));
    view! {
        <PageHeader title="Runs" sub=|| "Everything that Toygres did or is doing, step by step."/>
        <Filters filter/>
        <Panel id="runs" title="All" note=move || total>
            {if runs.rows.is_empty() {
                Either::Left(
                    view! {
                        <EmptyState
                            title=if narrowed { "Nothing found" } else { "No runs yet" }
                            text=if narrowed { "No run is like that." } else { "Create or add an instance, then back it up." }
                        >
                            <a class="btn" href=if narrowed { "/runs" } else { "/instances" }>
                                {if narrowed { "Show all runs" } else { "To the instances" }}
                            </a>
                        </EmptyState>
                    },
                )
            } else {
                Either::Right(view! { <EndedRuns runs=runs.rows caption="Runs, the newest first"/> })
            }}
            <Pager page pages total href/>
        </Panel>
    }
    .into_any()
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
    let options = |words: Vec<&'static str>, chosen: String| {
        words
            .into_iter()
            .map(move |word| view! { <option value=word selected=word == chosen>{word.replace('-', " ")}</option> })
            .collect_view()
    };
    view! {
        <form class="filters" method="get" action="/runs" role="search" aria-label="Filter the runs">
            <p class="field">
                <label for="q">"Search"</label>
                <input id="q" name="q" type="search" value=filter.search placeholder="title, instance, image, error"/>
            </p>
            <p class="field">
                <label for="state">"State"</label>
                <select id="state" name="state">
                    <option value="">"any"</option>
                    {options(RunState::ALL.iter().map(|state| state.as_str()).collect(), filter.state.clone())}
                </select>
            </p>
            <p class="field">
                <label for="workflow">"What"</label>
                <select id="workflow" name="workflow">
                    <option value="">"any"</option>
                    {options(WORKFLOWS.to_vec(), filter.workflow.clone())}
                </select>
            </p>
            <input type="hidden" name="instance" value=filter.instance/>
            <input type="hidden" name="image" value=filter.image/>
            <button class="btn"><Icon name="search"/>"Show"</button>
        </form>
    }
    .into_any()
}
