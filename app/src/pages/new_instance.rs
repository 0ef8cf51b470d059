//! A new instance: a name is enough.

use leptos::either::Either;
use leptos::prelude::*;
use model::{Place, Role};

use crate::api::instances::{CreateInstance, get_versions};
use crate::components::field::{CheckField, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::platform_context::use_platform;
use crate::components::result_view::view_or_error;
use crate::components::target_fields::{ClusterFields, VersionField};

/// A new instance.
#[component]
pub fn NewInstance() -> impl IntoView {
    let versions = Resource::new(|| (), |()| get_versions());
    let (here, me) = (use_platform(), use_current_user());
    view! {
        <PageHeader
            title="New instance"
            crumbs=vec![("/instances".into(), "Instances".into())]
            sub=move || {
                view! {
                    <Suspense>
                        {move || Suspend::new(async move {
                            let at = here.place().await.map(|place| place.at()).unwrap_or_default();
                            format!("Toygres starts a PostgreSQL server {at} and looks after it.")
                        })}
                    </Suspense>
                }
            }
        >
            <a class="btn" href="/instances/add"><Icon name="link"/>"Add an existing one instead"</a>
        </PageHeader>
        <Transition>
            {move || Suspend::new(async move {
                let found = match me.at_least(Role::Operator).await.and(versions.await) {
                    Ok(versions) => here.place().await.map(|place| (place, versions)),
                    Err(error) => Err(error),
                };
                view_or_error(
                    found,
                    |(place, versions)| {
                        if versions.is_empty() {
                            Either::Left(view! { <NoPostgres place/> })
                        } else {
                            Either::Right(view! { <NewForm place versions/> })
                        }
                    },
                )
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn NewForm(place: Place, versions: Vec<(i32, String)>) -> impl IntoView {
    let action = ServerAction::<CreateInstance>::new();
    let error = action_error(action);
    let newest = versions.iter().map(|(major, _)| *major).max();
    // In a pod loopback is always trusted: nobody but the pod is there.
    let trust = (!place.is_kubernetes()).then_some(
        "Whoever has an account on this machine then needs no password for it. pg_durable always has this, for its worker connects that way.",
    );
    let types = vec![
        ("stock".to_owned(), "PostgreSQL as it comes".to_owned()),
        ("pg_durable".to_owned(), "with pg_durable, which runs work inside the database".to_owned()),
    ];
    view! {
        <Panel id="new" title="What it shall be">
            <ActionForm action=action attr:class="body form">
                <FormError error fields=&["name", "password", "major", "image_type", "volume_gib", "dns_label"]/>
                <TextField name="name" label="Name" error required=true autofocus=true mono=true placeholder="orders-staging" hint="Lowercase letters, digits and hyphens; begins with a letter."/>
                <VersionField versions error value=newest.map(|major| major.to_string()).unwrap_or_default()/>
                <ClusterFields place error volume_gib="10" volume_hint="As large as the data will be in a year; a volume does not shrink."/>
                <TextField name="password" label="Password of the superuser" error kind="password" autocomplete="new-password" hint="Left empty, a long one is made up. You can reveal it later."/>
                <details class="more-options">
                    <summary>"More options"</summary>
                    <div class="form">
                        <SelectField name="image_type" label="Type" error options=types value="stock" hint="Kept through back-up and restore."/>
                        {trust
                            .map(|hint| {
                                view! { <CheckField name="trust_loopback" label="Trust connections over loopback" error hint/> }
                            })}
                    </div>
                </details>
                <div class="actions">
                    <button class="btn primary" disabled=move || action.pending().get()><Icon name="plus"/>"Create the instance"</button>
                    <a class="btn" href="/instances">"Not now"</a>
                </div>
            </ActionForm>
        </Panel>
    }
    .into_any()
}

/// There is nothing to start.
#[component]
fn NoPostgres(place: Place) -> impl IntoView {
    let (title, cause, fix) = match place.is_kubernetes() {
        true => (
            "No image of PostgreSQL is configured",
            "The server's table of PostgreSQL images is empty.",
            view! { "Add an image for each major version to the server's configuration, and restart it." }.into_any(),
        ),
        false => (
            "There is no PostgreSQL on this machine to start",
            "Toygres looked in PATH, asked pg_config, and looked in /usr/lib/postgresql.",
            view! { "Install a server, on Debian with " <code>"apt install postgresql"</code> ", and load this page again." }
                .into_any(),
        ),
    };
    view! {
        <section class="alert warn">
            <h2><Icon name="s-warn"/>{title}</h2>
            <dl>
                <dt>"Cause"</dt>
                <dd>{cause}</dd>
                <dt>"Fix"</dt>
                <dd>{fix}</dd>
                <dt>"Or"</dt>
                <dd><a href="/instances/add">"Add a server that runs elsewhere"</a>"."</dd>
            </dl>
        </section>
    }
    .into_any()
}
