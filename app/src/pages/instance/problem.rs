//! What is wrong with an instance, or what it waits for, at the top of its page.

use leptos::prelude::*;
use model::run::Diagnosis;
use model::{FailureCode, Health, Instance, InstanceStatus};

use crate::components::icon::Icon;
use crate::components::status_badge;
use crate::components::time::Ago;

/// The alert; nothing if the instance has no problem.
#[component]
pub(super) fn Problem(instance: Instance, diagnosis: Option<Diagnosis>) -> impl IntoView {
    let (tone, title, text) = describe(&instance)?;
    let icon = if tone == "warn" { "s-wait" } else { status_badge::instance(&instance).icon };
    Some(view! {
        <section class=format!("alert {tone}") role="alert">
            <h2><Icon name=icon/>{title}</h2>
            <dl>
                <dt>"Details"</dt>
                <dd>{text}</dd>
                {diagnosis
                    .map(|diagnosis| {
                        view! {
                            <dt>"Cause"</dt>
                            <dd>{diagnosis.cause}</dd>
                            <dt>"Fix"</dt>
                            <dd>{diagnosis.fix}</dd>
                        }
                    })}
                {instance.health_at.map(|at| view! { <dt>"Last checked"</dt><dd><Ago at/></dd> })}
                {instance
                    .run
                    .map(|run| view! { <dt>"Run"</dt><dd><a href=format!("/runs/{run}")>"View steps and log"</a></dd> })}
            </dl>
        </section>
    })
}

/// Tone, title and text of the problem.
fn describe(instance: &Instance) -> Option<(&'static str, &'static str, String)> {
    let detail = instance.health_detail.as_ref().map(ToString::to_string);
    Some(match (instance.status, instance.health) {
        (InstanceStatus::Creating | InstanceStatus::Starting, _) => {
            ("warn", "Waiting for an external resource", detail?)
        }
        (InstanceStatus::Running, Health::Ok) => {
            ("warn", "Data will be lost when the instance stops", detail?)
        }
        (InstanceStatus::Running, Health::Unknown) => ("warn", "Health check failed", detail?),
        (InstanceStatus::Running, Health::Down) => (
            "fail",
            "Server is not responding",
            detail.unwrap_or_else(|| "The last health check got no response.".to_owned()),
        ),
        (InstanceStatus::Failed, _) if instance.was_cancelled() => (
            "warn",
            "Creation cancelled",
            "The run was cancelled and rolled back. Retry the run, or delete this entry.".to_owned(),
        ),
        (InstanceStatus::Failed, _) if detail.is_some() => {
            let code = instance.health_detail.as_ref().map(|failure| failure.code);
            let title = match code {
                Some(FailureCode::DeletionIncomplete) => "Deletion incomplete",
                _ => "Creation incomplete",
            };
            ("fail", title, detail?)
        }
        (InstanceStatus::Failed, _) => (
            "fail",
            "Creation failed",
            "The run failed and was rolled back. The page of the run shows the error.".to_owned(),
        ),
        _ => return None,
    })
}
