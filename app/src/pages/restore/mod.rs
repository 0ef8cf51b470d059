//! The restore wizard: image, target, checks, restore. Each step is an address, so that it works without WASM.

mod address;
mod plan;
mod target;
#[cfg(all(test, feature = "ssr"))]
mod tests;

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use model::restore::{RestorePlan, Verdict};

use self::plan::{ChecksPanel, PlanPanel};
use self::target::TargetPanel;
use crate::api::restore::{RestoreImage, RestoreView, get_restore};
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::result_view::view_or_error;
use crate::error::UiError;
use crate::format;

/// The page that restores one image.
#[component]
pub fn Restore() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let request = Memo::new(move |_| query.with(address::from_query));
    let action = ServerAction::<RestoreImage>::new();
    let view = Resource::new(
        move || (id.get(), request.get()),
        |(id, request)| async move {
            let id = id.parse().map_err(|_| UiError::new("not_found", "Image not found."))?;
            get_restore(id, request).await
        },
    );
    view! {
        <Transition>
            {move || Suspend::new(async move {
                view_or_error(view.await, move |view| view! { <RestoreWizardView view action/> })
            })}
        </Transition>
    }
    .into_any()
}

/// The view of the wizard: the target's form, or the plan once a target was given.
#[component]
pub fn RestoreWizardView(
    /// The image, the target and the plan.
    view: RestoreView,
    /// The action that starts the restore.
    action: ServerAction<RestoreImage>,
) -> impl IntoView {
    let image = view.image.image.clone();
    let page = format!("/images/{}", image.id);
    let crumbs = vec![("/images".into(), "Images".into()), (page, image.name.clone())];
    let version = image.version.as_deref().map(format::version).unwrap_or_default().to_owned();
    let sub = format!(
        "The restore creates a new instance from this image of {} (PostgreSQL {version}). Existing instances are never overwritten.",
        image.instance_name
    );
    view! {
        <PageHeader title=format!("Restore of {}", image.name) crumbs sub=move || sub.clone()/>
        <Steps view=view.clone()/>
        {match view.plan.clone() {
            None => Either::Left(view! { <TargetPanel view/> }),
            Some(plan) => {
                Either::Right(view! { <ChecksPanel plan=plan.clone()/> <PlanPanel view plan action/> })
            }
        }}
    }
    .into_any()
}

/// The steps of the wizard and the current one.
#[component]
fn Steps(view: RestoreView) -> impl IntoView {
    let current = if view.plan.is_some() { 3 } else { 2 };
    let target = if view.plan.is_some() { view.request.name.clone() } else { "Enter a name".to_owned() };
    let checks = view.plan.as_ref().map_or_else(|| "Pending".to_owned(), checks_label);
    let steps = [
        ("Image", view.image.image.name.clone()),
        ("Target", target),
        ("Checks", checks),
        ("Restore", "Restore, compare, start".to_owned()),
    ];
    view! {
        <ol class="wizard" aria-label="Steps of the restore">
            {(1..)
                .zip(steps)
                .map(|(n, (title, sub))| {
                    let number = match n < current {
                        true => Either::Left(view! { <Icon name="s-ok"/> <span class="vh">"Done:"</span> }),
                        false => Either::Right(n),
                    };
                    view! {
                        <li class:done=n < current aria-current=(n == current).then_some("step")>
                            <span class="no">{number}</span>
                            <b>{title}</b>
                            <span class="sub">{sub}</span>
                        </li>
                    }
                })
                .collect_view()}
        </ol>
    }
    .into_any()
}

fn checks_label(plan: &RestorePlan) -> String {
    match (plan.count(Verdict::Fail), plan.count(Verdict::Warn)) {
        (0, 0) => "Passed".to_owned(),
        (0, warnings) => format::quantity(warnings as u64, "warning", "warnings"),
        (failed, _) => format::quantity(failed as u64, "failed check", "failed checks"),
    }
}
