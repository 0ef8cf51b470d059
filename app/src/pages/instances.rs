//! The list of instances.

use leptos::prelude::*;

use crate::api::instances::list_instances;
use crate::components::head::{Head, Panel};
use crate::components::shown::shown;
use crate::components::state::{self, State};
use crate::live::use_live;

/// All instances.
#[component]
pub fn Instances() -> impl IntoView {
    let live = use_live();
    let instances = Resource::new(move || live.version(), |_| list_instances());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                shown(instances.await, |instances| {
                    view! {
                        <Head title="Instances">
                            <a class="btn primary" href="/instances/new">"New instance"</a>
                        </Head>
                        <Panel id="instances" title="Instances">
                            <ul>
                                {instances
                                    .into_iter()
                                    .map(|instance| {
                                        view! { <li>{instance.name.clone()} <State look=state::instance(&instance)/></li> }
                                    })
                                    .collect_view()}
                            </ul>
                        </Panel>
                    }
                })
            })}
        </Transition>
    }
}
