//! The step that shows the results of the checks and starts the restore.

use leptos::prelude::*;
use model::Image;
use model::restore::{Check, RestorePlan, Verdict};

use super::address::edit_query;
use crate::api::restore::{RestoreImage, RestoreView, TargetRequest};
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::format;
use crate::labels;

/// The panel with the results of the checks.
#[component]
pub(super) fn ChecksPanel(plan: RestorePlan) -> impl IntoView {
    let style = result(&plan);
    view! {
        <Panel id="checks" title="Pre-flight checks" note=move || view! { <StatusBadge style=style.clone()/> }>
            <ul class="checks">{plan.checks.into_iter().map(|check| view! { <CheckItem check/> }).collect_view()}</ul>
        </Panel>
    }
    .into_any()
}

/// The badge of all checks together.
fn result(plan: &RestorePlan) -> StatusStyle {
    match (plan.count(Verdict::Fail), plan.count(Verdict::Warn)) {
        (0, 0) => StatusStyle::new("ok", "s-ok", "Ready to restore"),
        (0, warnings) => {
            let warnings = format::quantity(warnings as u64, "warning", "warnings");
            StatusStyle::new("warn", "s-warn", format!("Ready, with {warnings}"))
        }
        (failed, _) => {
            let failed = format::quantity(failed as u64, "failed check", "failed checks");
            StatusStyle::new("fail", "s-fail", failed)
        }
    }
}

#[component]
fn CheckItem(check: Check) -> impl IntoView {
    let (tone, icon, label) = match check.verdict {
        Verdict::Ok => ("ok", "s-ok", "passed"),
        Verdict::Warn => ("warn", "s-warn", "warning"),
        Verdict::Fail => ("fail", "s-fail", "failed"),
    };
    view! {
        <li class=tone>
            <StatusBadge style=StatusStyle::new(tone, icon, label)/>
            <div>
                <h3>{check.found.trim_end_matches('.').to_owned()}</h3>
                {check.fix.map(|fix| view! { " " <p>{fix}</p> })}
            </div>
            <span class="mono">{check.subject.as_str()}</span>
        </li>
    }
}

/// The panel with the settings of the new instance and the button that starts the restore.
#[component]
pub(super) fn PlanPanel(
    view: RestoreView,
    plan: RestorePlan,
    action: ServerAction<RestoreImage>,
) -> impl IntoView {
    let request = view.request;
    let image = view.image.image;
    let full = plan.major.and_then(|major| view.versions.into_iter().find(|(known, _)| *known == major));
    let version = full.map(|(_, version)| version).or_else(|| plan.major.map(|major| major.to_string()));
    let cancel = format!("/images/{}", image.id);
    let can_start = plan.can_start();
    let back = format!("/images/{}/restore?{}", image.id, edit_query(&request));
    let (id, name) = (image.id.to_string(), plan.target.clone());
    view! {
        <Panel id="go" title=format!("Target {name}")>
            <div class="body stack">
                <Settings image plan version request=request.clone()/>
                <FormError error=action_error(action)/>
                <ActionForm action=action>
                    <input type="hidden" name="id" value=id/>
                    <input type="hidden" name="name" value=name/>
                    <input type="hidden" name="major" value=request.major/>
                    <input type="hidden" name="volume_gib" value=request.volume_gib/>
                    <input type="hidden" name="dns_label" value=request.dns_label/>
                    <div class="actions">
                        <button class="btn primary" disabled=move || !can_start || action.pending().get()><Icon name="restore"/>"Restore image"</button>
                        <a class="btn" href=back>"Edit target"</a>
                        <a class="btn" href=cancel>"Cancel"</a>
                        {(!can_start).then(|| view! { <span class="sub">"Resolve the errors above first."</span> })}
                    </div>
                </ActionForm>
            </div>
        </Panel>
    }
    .into_any()
}

#[component]
fn Settings(
    image: Image,
    plan: RestorePlan,
    version: Option<String>,
    request: TargetRequest,
) -> impl IntoView {
    let dash = || format::DASH.to_owned();
    let dns_label = Some(request.dns_label).filter(|label| !label.is_empty());
    view! {
        <dl class="props">
            <dt>"Version"</dt>
            <dd>{version.map_or_else(dash, |version| format!("PostgreSQL {}", format::version(&version)))}</dd>
            <dt>"Type"</dt>
            <dd>{labels::image_type(image.image_type)}</dd>
            <dt>"Password"</dt>
            <dd>"The password of the source when the image was created"</dd>
            <dt>"Required space"</dt>
            <dd>{plan.bytes.map_or_else(dash, |bytes| format!("about {}", format::bytes_or_dash(Some(bytes))))}</dd>
            {plan.volume_bytes.map(|bytes| view! { <dt>"Volume"</dt> <dd>{format::gib(bytes)}</dd> })}
            {dns_label.map(|label| view! { <dt>"DNS label"</dt> <dd class="mono">{label}</dd> })}
        </dl>
    }
}
