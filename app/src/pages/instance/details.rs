//! What else is known about an instance: facts, databases, server processes and details.

use leptos::either::Either;
use leptos::prelude::*;
use model::{FailureCode, Health, Instance, InstanceStatus, Origin};

use crate::api::instances::InstanceView;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::status_badge::{self, StatusBadge, StatusStyle};
use crate::components::time::AgoOr;
use crate::format;
use crate::labels;

/// The most important numbers.
#[component]
pub(super) fn Facts(view: InstanceView) -> impl IntoView {
    let newest = view.images.iter().find(|image| image.status == model::ImageStatus::Available);
    let partial = newest.and_then(labels::partial);
    let instance = view.instance;
    view! {
        <dl class="facts">
            <div>
                <dt>"Size"</dt>
                <dd>
                    {format::bytes_or_dash(instance.size_bytes)}
                    {instance.volume_bytes.map(|bytes| view! { <small>{format!(" of {}", format::bytes_or_dash(Some(bytes)))}</small> })}
                </dd>
            </div>
            <div>
                <dt>"Last image"</dt>
                <dd>
                    <AgoOr at=instance.last_image_at never="none"/>
                    {partial.map(|partial| view! { <small>{format!(" {partial}")}</small> })}
                </dd>
            </div>
            <div>
                <dt title="When an image of this instance was last restored and compared equal">"Last proven"</dt>
                <dd><AgoOr at=instance.last_proven_at/></dd>
            </div>
            <div><dt>"Images"</dt><dd>{format::count(view.images_total)}</dd></div>
            <div><dt>"Last checked"</dt><dd><AgoOr at=instance.health_at never="not yet"/></dd></div>
        </dl>
    }
    .into_any()
}

/// The panel of databases.
#[component]
pub(super) fn DatabasesPanel(names: Vec<String>) -> impl IntoView {
    let count = names.len();
    (count > 0).then(|| {
        view! {
            <Panel id="databases" title="Databases" note=move || count>
                <ul class="body tags">
                    {names.into_iter().map(|name| view! { <li><code>{name}</code></li> }).collect_view()}
                </ul>
            </Panel>
        }
    })
}

/// The panel of server processes, with a warning if a background worker is missing.
#[component]
pub(super) fn ProcessesPanel(instance: Instance) -> impl IntoView {
    let count = instance.workers.len();
    let missing = labels::missing_worker(&instance);
    (count > 0 || missing.is_some()).then(|| {
        view! {
            <Panel id="workers" title="Server processes" note=|| "From pg_stat_activity at the last check">
                {missing
                    .map(|worker| {
                        let effect = labels::MISSING_WORKER_EFFECT;
                        let fix = FailureCode::WorkerNotSeen.explanation().fix;
                        view! {
                            <p class="banner warn">
                                <Icon name="s-warn"/>
                                <span>{format!("The {worker} background worker is not running. {effect}")} " " {fix}</span>
                            </p>
                        }
                    })}
                <ul class="body tags">
                    {instance.workers.into_iter().map(|name| view! { <li><code>{name}</code></li> }).collect_view()}
                </ul>
            </Panel>
        }
    })
}

/// The panel of details.
#[component]
pub(super) fn DetailsPanel(view: InstanceView) -> impl IntoView {
    let instance = view.instance;
    let style = health(&instance);
    let since = if instance.origin == Origin::Managed { "Created" } else { "Added" };
    let source = instance.source_image.map(|image| {
        let name = match view.source_image {
            Some(name) => Either::Left(view! { <a class="mono" href=format!("/images/{image}")>{name}</a> }),
            None => Either::Right(view! { <span class="dim">"A deleted image"</span> }),
        };
        view! { <dt>"Restored from"</dt> <dd>{name}</dd> }
    });
    view! {
        <Panel id="about" title="Details">
            <dl class="body props">
                <dt>"Health"</dt>
                <dd><StatusBadge style/></dd>
                <dt>"Version"</dt>
                <dd>{instance.version.unwrap_or_else(|| format::DASH.to_owned())}</dd>
                <dt>"Type"</dt>
                <dd>{labels::image_type(instance.image_type)}</dd>
                <dt>"Origin"</dt>
                <dd>{instance.origin.as_str()}</dd>
                {instance.volume_bytes.map(|bytes| view! { <dt>"Volume"</dt> <dd>{format::gib(bytes)}</dd> })}
                {instance.dns_label.map(|label| view! { <dt>"DNS label"</dt> <dd class="mono">{label}</dd> })}
                {source}
                <dt>{since}</dt>
                <dd><time datetime=format::iso8601(instance.created_at)>{format::exact(instance.created_at)}</time></dd>
                <dt>"ID"</dt>
                <dd class="mono">{instance.id.to_string()}</dd>
            </dl>
        </Panel>
    }
    .into_any()
}

fn health(instance: &Instance) -> StatusStyle {
    match instance.health {
        _ if instance.status != InstanceStatus::Running => status_badge::instance(instance),
        Health::Ok if labels::missing_worker(instance).is_some() => {
            StatusStyle::new("warn", "s-warn", "needs attention")
        }
        Health::Ok => StatusStyle::new("ok", "s-up", "healthy"),
        Health::Down => StatusStyle::new("fail", "s-fail", "not responding"),
        Health::Unknown => StatusStyle::new("wait", "s-down", "not checked yet"),
    }
}
