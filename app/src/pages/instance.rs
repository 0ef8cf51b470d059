//! One instance: how it is, how to connect, its images, its databases, and what one can do with it.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use model::{Actor, Health, Image, Instance, InstanceStatus, Origin, Role};

use super::instance_ask::Question;
use crate::api::instances::{InstanceView, StartInstance, StopInstance, get_instance};
use crate::components::ask::ask_href;
use crate::components::back_up::{BackUpButton, can_back_up};
use crate::components::code::Code;
use crate::components::days::{DaysInFull, Legend};
use crate::components::empty::Empty;
use crate::components::field::refused;
use crate::components::frame::use_frame;
use crate::components::head::{Head, Panel};
use crate::components::icon::Icon;
use crate::components::refusal::Refusal;
use crate::components::run_rows::EndedRuns;
use crate::components::shown::shown;
use crate::components::state::{self, Look, State};
use crate::components::time::{Ago, AgoOr};
use crate::format;
use crate::live::use_live;

/// One instance.
#[component]
pub fn InstancePage() -> impl IntoView {
    let live = use_live();
    let frame = use_frame();
    let params = use_params_map();
    let name = Memo::new(move |_| params.read().get("name").unwrap_or_default());
    let view = Resource::new(move || (name.get(), live.version()), |(name, _)| get_instance(name));
    let query = use_query_map();
    let ask = Memo::new(move |_| query.read().get("ask"));
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let actor = frame.await.ok().map(|frame| frame.actor);
                shown(view.await, move |view| view! { <Whole view actor ask/> })
            })}
        </Transition>
    }
}

#[component]
fn Whole(view: InstanceView, actor: Option<Actor>, ask: Memo<Option<String>>) -> impl IntoView {
    let instance = view.instance.clone();
    let making = view.making;
    let making_name = instance.name.clone();
    let days = view.days.clone();
    let runs = view.runs.clone();
    view! {
        <InstanceHead instance=instance.clone() actor=actor.clone() making/>
        <Question instance=instance.clone() ask/>
        <Trouble instance=instance.clone()/>
        <Facts view=view.clone()/>
        <div class="cols">
            <div>
                <Panel id="days" title="Last 14 days" end=|| view! { <Legend/> }>
                    <div class="body"><DaysInFull name=making_name days making/></div>
                </Panel>
                <Images view=view.clone() actor=actor.clone()/>
                <Databases instance=instance.clone()/>
                {(!runs.is_empty())
                    .then(|| {
                        view! {
                            <Panel id="runs" title="Runs">
                                <EndedRuns runs caption="The last runs about this instance"/>
                                <a class="more" href=format!("/runs?instance={}", instance.id)>"All its runs"</a>
                            </Panel>
                        }
                    })}
            </div>
            <div>
                <Connect view=view.clone() actor/>
                <About view/>
            </div>
        </div>
    }
}

#[component]
fn InstanceHead(instance: Instance, actor: Option<Actor>, making: bool) -> impl IntoView {
    let (role, sudo) = actor.map_or((Role::Viewer, false), |actor| (actor.role, actor.sudo));
    let look = state::instance(&instance);
    let health = instance.health_detail.clone();
    let proven = instance.last_proven_at;
    let sub = {
        let instance = instance.clone();
        move || view! { {what(&instance)} " since " <Ago at=instance.created_at/> }
    };
    let page = format!("/instances/{}", instance.name);
    let states = move || {
        view! {
            <State look=look.clone() pill=true title=health.clone()/>
            {proven
                .map(|at| {
                    view! {
                        <span class="state ok pill"><Icon name="s-proven"/><span>"proven " <Ago at/></span></span>
                    }
                })}
        }
    };
    view! {
        <Head title=instance.name.clone() crumbs=vec![("/instances".into(), "Instances".into())] states sub>
            {(role >= Role::Operator)
                .then(|| {
                    let may = can_back_up(&instance) && !making;
                    view! {
                        {may.then(|| view! { <BackUpButton instance=instance.clone() primary=true/> })}
                        <StartStop instance=instance.clone()/>
                        <More page sudo role may instance/>
                    }
                })}
        </Head>
    }
}

/// `PostgreSQL 15.20, stock, managed by Toygres`.
fn what(instance: &Instance) -> String {
    let version = instance
        .version
        .clone()
        .map_or_else(|| "PostgreSQL".to_owned(), |version| format!("PostgreSQL {version}"));
    let origin = match instance.origin {
        Origin::Managed => "made by Toygres",
        Origin::External => "added",
    };
    format!("{version}, {}, {origin}", instance.image_type)
}

#[component]
fn StartStop(instance: Instance) -> impl IntoView {
    let start = ServerAction::<StartInstance>::new();
    let stop = ServerAction::<StopInstance>::new();
    let live = use_live();
    Effect::new(move |_| {
        if start.version().get() + stop.version().get() > 0 {
            live.changed();
        }
    });
    let managed = instance.origin == Origin::Managed;
    let name = instance.name.clone();
    let again = instance.name.clone();
    view! {
        {(managed && instance.status == InstanceStatus::Stopped)
            .then(|| {
                view! {
                    <ActionForm action=start>
                        <input type="hidden" name="name" value=name/>
                        <button class="btn primary" disabled=move || start.pending().get()><Icon name="play"/>"Start"</button>
                    </ActionForm>
                }
            })}
        {(managed && instance.status == InstanceStatus::Running)
            .then(|| {
                view! {
                    <ActionForm action=stop>
                        <input type="hidden" name="name" value=again/>
                        <button class="btn" disabled=move || stop.pending().get()><Icon name="stop"/>"Stop"</button>
                    </ActionForm>
                }
            })}
        <Refusal refused=refused(start)/>
        <Refusal refused=refused(stop)/>
    }
}

#[component]
fn More(page: String, sudo: bool, role: Role, may: bool, instance: Instance) -> impl IntoView {
    let word = if instance.origin == Origin::Managed { "Delete…" } else { "Forget…" };
    view! {
        <details class="menu">
            <summary class="btn icon" aria-label=format!("More for {}", instance.name)><Icon name="more"/></summary>
            <ul>
                {may
                    .then(|| {
                        view! { <li><a href=format!("{page}?ask=backup")><Icon name="backup"/>"Back up with options…"</a></li> }
                    })}
                <li><a href=format!("/images?instance={}", instance.name)><Icon name="images"/>"All its images"</a></li>
                <li><a href=format!("/runs?instance={}", instance.id)><Icon name="runs"/>"All its runs"</a></li>
                {(role >= Role::Admin && instance.status != InstanceStatus::Deleting)
                    .then(|| {
                        view! {
                            <li>
                                <a class="danger" href=ask_href(sudo, &page, "delete")><Icon name="trash"/>{word}</a>
                            </li>
                        }
                    })}
            </ul>
        </details>
    }
}

/// What is wrong with it, on top.
#[component]
fn Trouble(instance: Instance) -> impl IntoView {
    let (tone, title, text) = match (instance.status, instance.health) {
        (InstanceStatus::Failed, _) => (
            "fail",
            "It was not made",
            "The run that was to make it failed, and what it had done was undone. The run says why."
                .to_owned(),
        ),
        (InstanceStatus::Running, Health::Down) => (
            "fail",
            "It does not answer",
            instance.health_detail.clone().unwrap_or_else(|| "The last look found nobody there.".to_owned()),
        ),
        _ => return None,
    };
    let icon = state::instance(&instance).icon;
    Some(view! {
        <section class=format!("alert {tone}") role="alert">
            <h2><Icon name=icon/>{title}</h2>
            <dl>
                <dt>"What is known"</dt>
                <dd>{text}</dd>
                {instance
                    .health_at
                    .map(|at| view! { <dt>"Looked at"</dt><dd><Ago at/></dd> })}
                {instance
                    .run
                    .map(|run| view! { <dt>"Where to look"</dt><dd><a href=format!("/runs/{run}")>"The run"</a></dd> })}
            </dl>
        </section>
    })
}

#[component]
fn Facts(view: InstanceView) -> impl IntoView {
    let instance = view.instance;
    view! {
        <dl class="facts">
            <div><dt>"Size"</dt><dd>{format::bytes_or_nothing(instance.size_bytes)}</dd></div>
            <div><dt>"Last image"</dt><dd><AgoOr at=instance.last_image_at never="none yet"/></dd></div>
            <div><dt>"Last proven"</dt><dd><AgoOr at=instance.last_proven_at/></dd></div>
            <div><dt>"Images"</dt><dd>{format::count(view.images_total)}</dd></div>
            <div>
                <dt>"Looked at"</dt>
                <dd><AgoOr at=instance.health_at never="not yet"/></dd>
            </div>
        </dl>
    }
}

#[component]
fn Images(view: InstanceView, actor: Option<Actor>) -> impl IntoView {
    let may = actor.is_some_and(|actor| actor.is(Role::Operator));
    let instance = view.instance;
    let total = view.images_total;
    let name = instance.name.clone();
    view! {
        <Panel id="images" title="Images" note=move || format::count(total)>
            {if view.images.is_empty() {
                Either::Left(
                    view! { <Empty title="No images yet" text="Press Back up above: it makes the first one, and you watch it being made."/> },
                )
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
}

#[component]
fn ImageRow(image: Image, may: bool) -> impl IntoView {
    let restorable = may && image.status == model::ImageStatus::Available;
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a class="name mono" href=format!("/images/{}", image.id)>{image.name.clone()}</a>
            </th>
            <td role="cell" data-k="State"><State look=state::image(&image) title=image.error.clone()/></td>
            <td role="cell" class="num" data-k="Data">{format::bytes_or_nothing(image.source_bytes)}</td>
            <td role="cell" class="num" data-k="Stored">{format::bytes_or_nothing(image.stored_bytes)}</td>
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
}

#[component]
fn Databases(instance: Instance) -> impl IntoView {
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

#[component]
fn Connect(view: InstanceView, actor: Option<Actor>) -> impl IntoView {
    let instance = view.instance;
    let page = format!("/instances/{}", instance.name);
    let reveal =
        actor.filter(|actor| actor.is(Role::Admin)).map(|actor| ask_href(actor.sudo, &page, "password"));
    let show = |value: Option<String>| value.unwrap_or_else(|| format::NOTHING.to_owned());
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
                            Some(href) => {
                                Either::Left(view! { <a class="btn small" href=href><Icon name="lock"/>"Reveal…"</a> })
                            }
                            None => Either::Right(view! { <span class="dim">"an admin can reveal it"</span> }),
                        }}
                    </dd>
                    <dt>"TLS"</dt>
                    <dd class="mono">{instance.tls.as_str()}</dd>
                </dl>
                {view.connection.map(|text| view! { <Code text what="the connection string"/> })}
                {instance
                    .trust_loopback
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
}

#[component]
fn About(view: InstanceView) -> impl IntoView {
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
    let look = match instance.health {
        Health::Ok => Look::new("ok", "s-up", "answers"),
        Health::Down => Look::new("fail", "s-fail", "does not answer"),
        Health::Unknown => Look::new("wait", "s-down", "nobody looked yet"),
    };
    view! {
        <Panel id="about" title="About">
            <div class="body">
                <dl class="props">
                    <dt>"Health"</dt>
                    <dd><State look/></dd>
                    <dt>"Version"</dt>
                    <dd>{instance.version.unwrap_or_else(|| format::NOTHING.to_owned())}</dd>
                    <dt>"Type"</dt>
                    <dd>{instance.image_type.as_str()}</dd>
                    <dt>"Origin"</dt>
                    <dd>{instance.origin.as_str()}</dd>
                    {source}
                    <dt>"Since"</dt>
                    <dd><time datetime=format::machine(instance.created_at)>{format::exact(instance.created_at)}</time></dd>
                    <dt>"Id"</dt>
                    <dd class="mono">{instance.id.to_string()}</dd>
                </dl>
            </div>
        </Panel>
    }
}
