//! Settings: where instances and jobs live, and what can be started there.

use leptos::prelude::*;
use model::{Actor, Place, Role};

use crate::api::instances::get_versions;
use crate::api::runs::TestPlatform;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::panel::Panel;
use crate::components::platform_context::use_platform;
use crate::components::result_view::view_or_error;

/// Where instances and jobs live.
#[component]
pub fn Platform(
    /// Who is looking.
    actor: Actor,
) -> impl IntoView {
    let here = use_platform();
    let test = ServerAction::<TestPlatform>::new();
    let versions = Resource::new(|| (), |()| get_versions());
    view! {
        <Panel id="platform" title="Where instances live">
            <FormError error=action_error(test)/>
            <Transition>
                {move || Suspend::new(async move {
                    let versions = versions.await;
                    view_or_error(here.place().await, move |place| view! { <Facts place versions=versions.unwrap_or_default()/> })
                })}
            </Transition>
            {(actor.role >= Role::Operator)
                .then(|| {
                    view! {
                        <ActionForm action=test attr:class="body form">
                            <p class="sub">"A job that only says ten lines: shows that jobs start here, are followed, and end."</p>
                            <div class="actions"><button class="btn">"Test jobs"</button></div>
                        </ActionForm>
                    }
                })}
        </Panel>
    }
    .into_any()
}

#[component]
fn Facts(place: Place, versions: Vec<(i32, String)>) -> impl IntoView {
    let (kind, name, how) = match place.is_kubernetes() {
        true => (
            "Kubernetes",
            "Namespace",
            "An instance is a StatefulSet with a volume and a Service; a job is a Job. kubectl shows them by the label app.kubernetes.io/managed-by=toygres.",
        ),
        false => (
            "this machine",
            "Directory",
            "An instance is a directory and a server on a loopback port; a job is a process of its own, which outlives the server.",
        ),
    };
    let versions: Vec<String> = versions.into_iter().map(|(_, version)| version).collect();
    let versions = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
    view! {
        <div class="body stack wide">
            <dl class="props">
                <dt>"Platform"</dt>
                <dd>{kind}</dd>
                <dt>{name}</dt>
                <dd class="mono">{place.name}</dd>
                <dt>"PostgreSQL"</dt>
                <dd>{versions}</dd>
            </dl>
            <p class="sub">{how}</p>
        </div>
    }
}
