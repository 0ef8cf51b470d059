//! How to connect to an instance.

use leptos::either::EitherOf3;
use leptos::prelude::*;
use model::{Actor, Role};

use crate::api::instances::InstanceView;
use crate::components::code::CodeBlock;
use crate::components::confirm::confirm_href;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::format;

/// The panel with the connection's parameters.
#[component]
pub(super) fn ConnectPanel(view: InstanceView, actor: Option<Actor>) -> impl IntoView {
    let instance = view.instance;
    let page = format!("/instances/{}", instance.name);
    let reveal =
        actor.filter(|actor| actor.is(Role::Admin)).map(|actor| confirm_href(actor.sudo, &page, "password"));
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| format::DASH.to_owned());
    let on_kubernetes = view.port_forward.is_some();
    view! {
        <Panel id="connect" title="Connection">
            <div class="body stack">
                <dl class="props">
                    <dt>"Host"</dt>
                    <dd class="mono">{or_dash(instance.host)}</dd>
                    <dt>"Port"</dt>
                    <dd class="mono">{or_dash(instance.port.map(|port| port.to_string()))}</dd>
                    <dt>"User"</dt>
                    <dd class="mono">{instance.username}</dd>
                    <dt>"Password"</dt>
                    <dd><Password secret_ref=instance.secret_ref reveal/></dd>
                    <dt>"TLS"</dt>
                    <dd class="mono">{instance.tls.as_str()}</dd>
                </dl>
                {view.connection.map(|text| view! { <CodeBlock text what="the connection string"/> })}
                {view
                    .port_forward
                    .map(|command| {
                        view! {
                            <p class="sub">"From outside of the cluster, forward a port first, then connect to port 15432 of localhost:"</p>
                            <CodeBlock text=command what="the command"/>
                        }
                    })}
                {instance.trust_loopback.then(|| view! { <LoopbackWarning on_kubernetes/> })}
            </div>
        </Panel>
    }
    .into_any()
}

#[component]
fn Password(secret_ref: Option<String>, reveal: Option<String>) -> impl IntoView {
    match (secret_ref, reveal) {
        (Some(secret), _) => EitherOf3::A(view! { "In the Secret " <span class="mono">{secret}</span> }),
        (None, Some(href)) => {
            EitherOf3::B(view! { <a class="btn small" href=href><Icon name="lock"/>"Reveal password…"</a> })
        }
        (None, None) => EitherOf3::C(view! { <span class="dim">"Only an admin can reveal it"</span> }),
    }
}

#[component]
fn LoopbackWarning(on_kubernetes: bool) -> impl IntoView {
    let text = match on_kubernetes {
        true => {
            "Connections over loopback need no password. Every program in the pod, and every user who can forward a port to it, can read and change all data."
        }
        false => {
            "Connections over loopback on the Toygres host need no password. Every account and program on that host can read and change all data."
        }
    };
    view! {
        <p class="banner warn">
            <Icon name="s-warn"/>
            <span>{text}</span>
        </p>
    }
}
