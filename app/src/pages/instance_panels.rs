//! The panels of an instance's page: its images, its databases, how to connect, what else is known.

use leptos::either::{Either, EitherOf3};
use leptos::prelude::*;
use model::{Actor, Health, Image, Instance, InstanceStatus, Role};

use crate::api::instances::InstanceView;
use crate::components::back_up::can_back_up;
use crate::components::code::CodeBlock;
use crate::components::confirm::confirm_href;
use crate::components::empty_state::EmptyState;
use crate::components::icon::Icon;
use crate::components::panel::Panel;
use crate::components::status_badge::{self, StatusBadge, StatusStyle};
use crate::components::time::Ago;
use crate::format;

/// Its newest images.
#[component]
pub fn Images(
    /// The instance.
    view: InstanceView,
    /// Who is looking.
    actor: Option<Actor>,
) -> impl IntoView {
    let may = actor.is_some_and(|actor| actor.is(Role::Operator));
    let instance = view.instance;
    let total = view.images_total;
    let name = instance.name.clone();
    view! {
        <Panel id="images" title="Images" note=move || format::count(total)>
            {if view.images.is_empty() {
                let text = if can_back_up(&instance) {
                    "Press Back up above: it makes the first one, and you watch it being made."
                } else {
                    "It can be backed up when it runs."
                };
                Either::Left(view! { <EmptyState title="No images yet" text/> })
            } else {
                Either::Right(view! { <ImageTable images=view.images may name=name.clone()/> })
            }}
            {(total > 5)
                .then(|| {
                    view! {
                        <a class="more" href=format!("/images?instance={name}")>
                            {format!("All {} images of {name}", format::count(total))}
                        </a>
                    }
                })}
        </Panel>
    }
    .into_any()
}

#[component]
fn ImageTable(images: Vec<Image>, may: bool, name: String) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">{format!("Images of {name}, newest first")}</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Image"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader" class="num">"Data"</th>
                        <th scope="col" role="columnheader" class="num">"Stored"</th>
                        <th scope="col" role="columnheader">"Made"</th>
                        <th scope="col" role="columnheader"><span class="vh">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {images.into_iter().map(|image| view! { <ImageRow image may/> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn ImageRow(image: Image, may: bool) -> impl IntoView {
    let restorable = may && image.status == model::ImageStatus::Available;
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name mono" href=format!("/images/{}", image.id) title=image.name.clone()>{image.name.clone()}</a>
            </th>
            <td role="cell" data-k="State"><StatusBadge style=status_badge::image(&image) title=image.error.clone()/></td>
            <td role="cell" class="num" data-k="Data">{format::bytes_or_dash(image.source_bytes)}</td>
            <td role="cell" class="num" data-k="Stored">{format::bytes_or_dash(image.stored_bytes)}</td>
            <td role="cell" data-k="Made"><Ago at=image.created_at/></td>
            <td role="cell" class="num act">
                {restorable
                    .then(|| {
                        view! {
                            <a
                                class="btn small"
                                href=format!("/images/{}/restore", image.id)
                                aria-label=format!("Restore {}", image.name)
                            >
                                <Icon name="restore"/>
                                "Restore…"
                            </a>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}

/// Its databases.
#[component]
pub fn Databases(
    /// The instance.
    instance: Instance,
) -> impl IntoView {
    let many = instance.databases.len();
    (many > 0).then(|| {
        view! {
            <Panel id="databases" title="Databases" note=move || many>
                <ul class="body tags">
                    {instance.databases.into_iter().map(|name| view! { <li><code>{name}</code></li> }).collect_view()}
                </ul>
            </Panel>
        }
    })
}

/// Its background processes, and whether one is missed.
#[component]
pub fn Workers(
    /// The instance.
    instance: Instance,
) -> impl IntoView {
    let many = instance.workers.len();
    let missing = instance.missing_worker().filter(|_| instance.health_at.is_some() && many > 0);
    (many > 0).then(|| {
        view! {
            <Panel id="workers" title="Background workers" note=|| "by backend_type, at the last look">
                {missing
                    .map(|libraries| {
                        view! {
                            <p class="banner warn">
                                <Icon name="s-warn"/>
                                <span>
                                    {format!("No worker of {} is among them: what it should do is not done.", libraries.join(" or "))}
                                </span>
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

/// How to connect to it.
#[component]
pub fn Connect(
    /// The instance.
    view: InstanceView,
    /// Who is looking.
    actor: Option<Actor>,
) -> impl IntoView {
    let instance = view.instance;
    let page = format!("/instances/{}", instance.name);
    let secret_ref = instance.secret_ref.clone();
    let outside = view.port_forward;
    let in_a_pod = outside.is_some();
    let reveal =
        actor.filter(|actor| actor.is(Role::Admin)).map(|actor| confirm_href(actor.sudo, &page, "password"));
    let show = |value: Option<String>| value.unwrap_or_else(|| format::DASH.to_owned());
    view! {
        <Panel id="connect" title="Connect">
            <div class="body stack">
                <dl class="props">
                    <dt>"Host"</dt>
                    <dd class="mono">{show(instance.host)}</dd>
                    <dt>"Port"</dt>
                    <dd class="mono">{show(instance.port.map(|port| port.to_string()))}</dd>
                    <dt>"User"</dt>
                    <dd class="mono">{instance.username}</dd>
                    <dt>"Password"</dt>
                    <dd>
                        {match reveal {
                            _ if secret_ref.is_some() => {
                                EitherOf3::C(view! { "in the Secret " <span class="mono">{secret_ref}</span> })
                            }
                            Some(href) => {
                                EitherOf3::A(view! { <a class="btn small" href=href><Icon name="lock"/>"Reveal…"</a> })
                            }
                            None => EitherOf3::B(view! { <span class="dim">"an admin can reveal it"</span> }),
                        }}
                    </dd>
                    <dt>"TLS"</dt>
                    <dd class="mono">{instance.tls.as_str()}</dd>
                </dl>
                {view.connection.map(|text| view! { <CodeBlock text what="the connection string"/> })}
                {outside
                        .map(|command| {
                            view! {
                                <p class="sub">"From outside of the cluster, first open a way, then connect to port 15432 of your own machine:"</p>
                                <CodeBlock text=command what="the command"/>
                            }
                        })}
                {(instance.trust_loopback && !in_a_pod)
                    .then(|| {
                        view! {
                            <p class="banner warn">
                                <Icon name="s-warn"/>
                                <span>
                                    "Whoever can connect over loopback on this machine needs no password: every local account and program can read and change everything in it."
                                </span>
                            </p>
                        }
                    })}
            </div>
        </Panel>
    }
    .into_any()
}

/// What else is known of it.
#[component]
pub fn About(
    /// The instance.
    view: InstanceView,
) -> impl IntoView {
    let instance = view.instance;
    let source = instance.source_image.map(|image| {
        view! {
            <dt>"Restored from"</dt>
            <dd>
                {match view.source_image {
                    Some(name) => Either::Left(view! { <a class="mono" href=format!("/images/{image}")>{name}</a> }),
                    None => Either::Right(view! { <span class="dim">"an image that was deleted since"</span> }),
                }}
            </dd>
        }
    });
    let volume = instance.volume_bytes.map(|bytes| view! { <dt>"Volume"</dt> <dd>{format::gib(bytes)}</dd> });
    let dns =
        instance.dns_label.clone().map(|label| view! { <dt>"DNS label"</dt> <dd class="mono">{label}</dd> });
    let style = match instance.health {
        _ if instance.status != InstanceStatus::Running => status_badge::instance(&instance),
        Health::Ok => StatusStyle::new("ok", "s-up", "answers"),
        Health::Down => StatusStyle::new("fail", "s-fail", "does not answer"),
        Health::Unknown => StatusStyle::new("wait", "s-down", "nobody looked yet"),
    };
    view! {
        <Panel id="about" title="About">
            <div class="body">
                <dl class="props">
                    <dt>"Health"</dt>
                    <dd><StatusBadge style/></dd>
                    <dt>"Version"</dt>
                    <dd>{instance.version.unwrap_or_else(|| format::DASH.to_owned())}</dd>
                    <dt>"Type"</dt>
                    <dd>{instance.image_type.as_str()}</dd>
                    <dt>"Origin"</dt>
                    <dd>{instance.origin.as_str()}</dd>
                    {volume}
                    {dns}
                    {source}
                    <dt>"Since"</dt>
                    <dd><time datetime=format::iso8601(instance.created_at)>{format::exact(instance.created_at)}</time></dd>
                    <dt>"Id"</dt>
                    <dd class="mono">{instance.id.to_string()}</dd>
                </dl>
            </div>
        </Panel>
    }
    .into_any()
}
