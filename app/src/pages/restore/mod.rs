//! The restore wizard: image, name, check, confirm. Each step is an address, so that it works without WASM.

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use leptos_router::params::ParamsMap;
use model::restore::{Check, RestorePlan, Verdict};

use crate::api::restore::{RestoreImage, RestoreView, TargetRequest, get_restore};
use crate::components::field::{TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::components::status_badge::{StatusBadge, StatusStyle};
use crate::components::target_fields::{ClusterFields, VersionField};
use crate::error::UiError;
use crate::format;
use crate::url;

/// The wizard for one image.
#[component]
pub fn Restore() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let request = Memo::new(move |_| query.with(request));
    let action = ServerAction::<RestoreImage>::new();
    let view = Resource::new(
        move || (id.get(), request.get()),
        |(id, request)| async move {
            let id = id.parse().map_err(|_| UiError::new("not_found", "There is no such image."))?;
            get_restore(id, request).await
        },
    );
    view! {
        <Transition>
            {move || Suspend::new(async move { view_or_error(view.await, move |view| view! { <PageContent view action/> }) })}
        </Transition>
    }
    .into_any()
}

/// What the address has of the instance to be.
fn request(query: &ParamsMap) -> TargetRequest {
    let text = |name| query.get(name).unwrap_or_default().trim().to_owned();
    TargetRequest {
        name: text("name"),
        major: text("major"),
        volume_gib: text("volume_gib"),
        dns_label: text("dns_label"),
        change: query.get("change").is_some(),
    }
}

#[component]
fn PageContent(view: RestoreView, action: ServerAction<RestoreImage>) -> impl IntoView {
    let image = view.image.image.clone();
    let page = format!("/images/{}", image.id);
    let crumbs = vec![("/images".into(), "Images".into()), (page, image.name.clone())];
    let sub = {
        let (source, version) = (image.instance_name.clone(), image.version.clone().unwrap_or_default());
        move || {
            format!(
                "A copy of {source}, PostgreSQL {version}, with the source's password. Nothing that exists is written over."
            )
        }
    };
    view! {
        <PageHeader title=format!("Restore {}", image.name) crumbs sub/>
        <Way view=view.clone()/>
        {match view.plan.clone() {
            None => Either::Left(view! { <Target view/> }),
            Some(plan) => Either::Right(view! { <Plan view plan action/> }),
        }}
    }
    .into_any()
}

/// Where one is on the road.
#[component]
fn Way(view: RestoreView) -> impl IntoView {
    let at = if view.plan.is_some() { 3 } else { 2 };
    let name = if view.plan.is_some() { view.request.name.clone() } else { "type it below".to_owned() };
    let verdict = match view.plan.as_ref().map(RestorePlan::may_go) {
        None => "comes next".to_owned(),
        Some(true) => "nothing in the way".to_owned(),
        Some(false) => "something in the way".to_owned(),
    };
    let steps = [
        ("Image", view.image.image.name.clone()),
        ("Target", name),
        ("Check", verdict),
        ("Restore", "fills, compares, starts".to_owned()),
    ];
    view! {
        <ol class="wizard" aria-label="Steps of the restore">
            {(1..)
                .zip(steps)
                .map(|(n, (title, sub))| {
                    view! {
                        <li aria-current=(n == at).then_some("step")>
                            <span class="no">{n}</span>
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

#[component]
fn Target(view: RestoreView) -> impl IntoView {
    let error = view.error.clone();
    let error = Signal::derive(move || error.clone());
    let back = format!("/images/{}", view.image.image.id);
    let TargetRequest { name, major, volume_gib, dns_label, .. } = view.request;
    let source = view.image.image.major.map(|major| major.to_string()).unwrap_or_default();
    let major = if major.is_empty() { source } else { major };
    let data = view.image.manifest.as_ref().map(|manifest| manifest.source.bytes);
    let volume_hint = match data {
        Some(_) => format!(
            "The data take {}; what is proposed leaves half as much again and room for the WAL. Not smaller than the data.",
            format::bytes_or_dash(data)
        ),
        None => "Not smaller than the data of the image.".to_owned(),
    };
    view! {
        <Panel id="target" title="The instance to be">
            <form method="get" class="body form">
                <FormError error fields=&["name", "major", "volume_gib", "dns_label"]/>
                <TextField
                    name="name"
                    label="Name"
                    error
                    value=name
                    required=true
                    autofocus=true
                    mono=true
                    hint="Lowercase letters, digits and hyphens."
                />
                {(view.versions.len() > 1)
                    .then(|| {
                        view! {
                            <VersionField versions=view.versions value=major error hint="The source's, or a newer one. There is no way back to an older one."/>
                        }
                    })}
                <ClusterFields place=view.place volume_gib volume_hint dns_label error/>
                <div class="actions">
                    <button class="btn primary"><Icon name="prove"/>"Check"</button>
                    <a class="btn" href=back>"Not now"</a>
                </div>
            </form>
        </Panel>
    }
    .into_any()
}

#[component]
fn Plan(view: RestoreView, plan: RestorePlan, action: ServerAction<RestoreImage>) -> impl IntoView {
    let error = action_error(action);
    let image = view.image.image;
    let may_go = plan.may_go();
    let chosen = view.request;
    let back = format!("/images/{}/restore?{}", image.id, address(&chosen));
    let id = image.id.to_string();
    let name = plan.target.clone();
    let count = |verdict| plan.checks.iter().filter(|check| check.verdict == verdict).count();
    let (fails, warns) = (count(Verdict::Fail), count(Verdict::Warn));
    let (title, tone, icon) = match (fails, warns) {
        (0, 0) => ("Nothing stands in the way".to_owned(), "ok", "s-ok"),
        (0, n) => {
            (format!("It will go; know {n} thing{} before", if n == 1 { "" } else { "s" }), "warn", "s-warn")
        }
        (n, _) => (format!("{n} thing{} in the way", if n == 1 { " is" } else { "s are" }), "fail", "s-fail"),
    };
    let size = plan.bytes.map(|bytes| format!("about {}", format::bytes_or_dash(Some(bytes))));
    view! {
        <Panel id="checks" title="What was checked" note=move || view! { <StatusBadge style=StatusStyle::new(tone, icon, title.clone())/> }>
            <ul class="checks">
                {plan.checks.into_iter().map(|check| view! { <OneCheck check/> }).collect_view()}
            </ul>
        </Panel>
        <Panel id="go" title=format!("Restore into {name}")>
            <div class="body stack">
                <dl class="props">
                    <dt>"Version"</dt>
                    <dd>{plan.major.map_or_else(|| "–".to_owned(), |major| format!("PostgreSQL {major}"))}</dd>
                    <dt>"Type"</dt>
                    <dd>{image.image_type.as_str()}</dd>
                    <dt>"Password"</dt>
                    <dd>"the source's, as of when the image was made"</dd>
                    <dt>"Size"</dt>
                    <dd>{size}</dd>
                    {plan.volume_bytes.map(|bytes| view! { <dt>"Volume"</dt> <dd>{format::gib(bytes)}</dd> })}
                    {(!chosen.dns_label.is_empty())
                        .then(|| view! { <dt>"DNS label"</dt> <dd class="mono">{chosen.dns_label.clone()}</dd> })}
                </dl>
                <FormError error/>
                <ActionForm action=action>
                    <input type="hidden" name="id" value=id/>
                    <input type="hidden" name="name" value=name/>
                    <input type="hidden" name="major" value=chosen.major/>
                    <input type="hidden" name="volume_gib" value=chosen.volume_gib/>
                    <input type="hidden" name="dns_label" value=chosen.dns_label/>
                    <div class="actions">
                        <button class="btn primary" disabled=move || !may_go || action.pending().get()><Icon name="restore"/>"Restore"</button>
                        <a class="btn" href=back>"Change it"</a>
                        {(!may_go).then(|| view! { <span class="sub">"First mend what is red above."</span> })}
                    </div>
                </ActionForm>
            </div>
        </Panel>
    }
    .into_any()
}

/// The way back to what was typed.
fn address(chosen: &TargetRequest) -> String {
    let pairs = [
        ("name", &chosen.name),
        ("major", &chosen.major),
        ("volume_gib", &chosen.volume_gib),
        ("dns_label", &chosen.dns_label),
    ];
    let typed = pairs.iter().filter(|(_, value)| !value.is_empty());
    let typed: String = typed.map(|(name, value)| format!("&{name}={}", url::encode(value))).collect();
    format!("change=1{typed}")
}

#[component]
fn OneCheck(check: Check) -> impl IntoView {
    let (tone, icon, word) = match check.verdict {
        Verdict::Ok => ("ok", "s-ok", "fine"),
        Verdict::Warn => ("warn", "s-warn", "know this"),
        Verdict::Fail => ("fail", "s-fail", "in the way"),
    };
    view! {
        <li class=tone>
            <StatusBadge style=StatusStyle::new(tone, icon, word)/>
            <div>
                <h3>{check.found}</h3>
                {check.fix.map(|fix| view! { " " <p>{fix}</p> })}
            </div>
            <span class="mono">{check.subject}</span>
        </li>
    }
}
