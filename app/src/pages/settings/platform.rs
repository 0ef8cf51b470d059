//! Settings: the platform that runs instances and jobs, and its PostgreSQL versions.

use leptos::prelude::*;
use model::client_version::{first_fixed, has_fixed_clients};
use model::{Actor, PlatformInfo, Role};

use crate::api::instances::get_versions;
use crate::api::runs::TestPlatform;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::platform_context::use_platform;
use crate::components::result_view::view_or_error;

/// The section of the platform.
#[component]
pub(super) fn Platform(actor: Actor) -> impl IntoView {
    let platform = use_platform();
    let test = ServerAction::<TestPlatform>::new();
    let versions = Resource::new(|| (), |()| get_versions());
    view! {
        <Panel id="platform" title="Platform">
            <FormError error=action_error(test)/>
            <Transition>
                {move || Suspend::new(async move {
                    let versions = versions.await.unwrap_or_default();
                    view_or_error(
                        platform.info().await,
                        move |place| view! { <PlatformView place versions/> },
                    )
                })}
            </Transition>
            {(actor.role >= Role::Operator)
                .then(|| {
                    view! {
                        <ActionForm action=test attr:class="body stack">
                            <p class="sub">"The test runs one job that writes ten log lines. It checks that jobs start, end and deliver their logs."</p>
                            <div class="actions"><button class="btn">"Test jobs"</button></div>
                        </ActionForm>
                    }
                })}
        </Panel>
    }
    .into_any()
}

/// The view of the platform.
#[component]
pub fn PlatformView(
    /// The platform.
    place: PlatformInfo,
    /// Its PostgreSQL versions: major version and full version.
    versions: Vec<(i32, String)>,
) -> impl IntoView {
    let (kind, location, explanation) = match place.is_kubernetes() {
        true => (
            "Kubernetes",
            "Namespace",
            "An instance is a StatefulSet with a PersistentVolumeClaim and a Service. A job is a Kubernetes Job. All objects have the label app.kubernetes.io/managed-by=toygres.",
        ),
        false => (
            "Local",
            "Directory",
            "An instance is a directory and a server on a loopback port. A job is a process that continues when the Toygres server restarts.",
        ),
    };
    let vulnerable: Vec<String> = versions
        .iter()
        .filter(|(_, version)| has_fixed_clients(version) == Some(false))
        .map(|(major, version)| match first_fixed(*major) {
            Some(first) => format!("{version} (upgrade to {first} or newer)"),
            None => version.clone(),
        })
        .collect();
    let versions: Vec<String> = versions.into_iter().map(|(_, version)| version).collect();
    let versions = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
    view! {
        <div class="body stack wide">
            <dl class="props">
                <dt>"Platform"</dt>
                <dd>{kind}</dd>
                <dt>{location}</dt>
                <dd class="mono">{place.name}</dd>
                <dt>"PostgreSQL"</dt>
                <dd>{versions}</dd>
            </dl>
            {(!vulnerable.is_empty())
                .then(|| {
                    view! {
                        <p class="banner warn">
                            <Icon name="s-warn"/>
                            <span>{format!("Programs with known vulnerabilities: PostgreSQL {}.", vulnerable.join(", "))}</span>
                        </p>
                    }
                })}
            <p class="sub">{explanation}</p>
        </div>
    }
    .into_any()
}
