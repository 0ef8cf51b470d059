//! The list of runs, filtered by its address.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use model::page::Page;
use model::{Run, RunState};

use crate::api::runs::{WantedRuns, list_runs};
use crate::components::ask::escaped;
use crate::components::empty::Empty;
use crate::components::head::{Head, Panel};
use crate::components::icon::Icon;
use crate::components::pager::Pager;
use crate::components::run_rows::EndedRuns;
use crate::components::shown::shown;
use crate::live::use_live;

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
    let wanted = Memo::new(move |_| {
        let query = query.read();
        let text = |name: &str| query.get_str(name).unwrap_or_default().to_owned();
        WantedRuns {
            state: text("state"),
            workflow: text("workflow"),
            instance: text("instance"),
            image: text("image"),
            search: text("q"),
            page: text("page").parse().unwrap_or(1),
        }
    });
    let runs = Resource::new(move || (wanted.get(), live.version()), |(wanted, _)| list_runs(wanted));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let wanted = wanted.get_untracked();
                shown(runs.await, move |runs| view! { <Whole runs wanted/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Whole(runs: Page<Run>, wanted: WantedRuns) -> impl IntoView {
    let (pages, page, total) = (runs.pages(), runs.page, runs.total);
    let narrowed = wanted != WantedRuns { page: wanted.page, ..WantedRuns::default() };
    let paged = wanted.clone();
    let href = Callback::new(move |(page,): (i64,)| address(&WantedRuns { page, ..paged.clone() }));
    view! {
        <Head title="Runs" sub=|| "Everything that Toygres did or is doing, step by step."/>
        <Filters wanted/>
        <Panel id="runs" title="All" note=move || total>
            {if runs.rows.is_empty() {
                Either::Left(
                    view! {
                        <Empty
                            title=if narrowed { "Nothing found" } else { "No runs yet" }
                            text=if narrowed { "No run is like that." } else { "Create or add an instance, then back it up." }
                        >
                            <a class="btn" href=if narrowed { "/runs" } else { "/instances" }>
                                {if narrowed { "Show all runs" } else { "To the instances" }}
                            </a>
                        </Empty>
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

fn address(wanted: &WantedRuns) -> String {
    let pairs = [
        ("state", &wanted.state),
        ("workflow", &wanted.workflow),
        ("instance", &wanted.instance),
        ("image", &wanted.image),
        ("q", &wanted.search),
    ];
    let mut query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    query.push(format!("page={}", wanted.page));
    format!("/runs?{}", query.join("&"))
}

#[component]
fn Filters(wanted: WantedRuns) -> impl IntoView {
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
                <input id="q" name="q" type="search" value=wanted.search placeholder="title, instance, image, error"/>
            </p>
            <p class="field">
                <label for="state">"State"</label>
                <select id="state" name="state">
                    <option value="">"any"</option>
                    {options(RunState::ALL.iter().map(|state| state.as_str()).collect(), wanted.state.clone())}
                </select>
            </p>
            <p class="field">
                <label for="workflow">"What"</label>
                <select id="workflow" name="workflow">
                    <option value="">"any"</option>
                    {options(WORKFLOWS.to_vec(), wanted.workflow.clone())}
                </select>
            </p>
            <input type="hidden" name="instance" value=wanted.instance/>
            <input type="hidden" name="image" value=wanted.image/>
            <button class="btn"><Icon name="search"/>"Show"</button>
        </form>
    }
    .into_any()
}
