//! A new instance: a name is enough.

use leptos::either::Either;
use leptos::prelude::*;

use crate::api::instances::{CreateInstance, get_versions};
use crate::components::field::{CheckField, SelectField, TextField, refused};
use crate::components::head::{Head, Panel};
use crate::components::icon::Icon;
use crate::components::refusal::Refusal;
use crate::components::shown::shown;

/// A new instance.
#[component]
pub fn NewInstance() -> impl IntoView {
    let versions = Resource::new(|| (), |()| get_versions());
    view! {
        <Head
            title="New instance"
            crumbs=vec![("/instances".into(), "Instances".into())]
            sub=|| "Toygres starts a PostgreSQL server on this machine and looks after it."
        >
            <a class="btn" href="/instances/add"><Icon name="link"/>"Add an existing one instead"</a>
        </Head>
        <Transition>
            {move || Suspend::new(async move {
                shown(
                    versions.await,
                    |versions| {
                        if versions.is_empty() { Either::Left(view! { <NoPostgres/> }) } else { Either::Right(view! { <NewForm versions/> }) }
                    },
                )
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn NewForm(versions: Vec<(i32, String)>) -> impl IntoView {
    let action = ServerAction::<CreateInstance>::new();
    let refused = refused(action);
    let newest = versions.iter().map(|(major, _)| *major).max();
    let majors = versions
        .into_iter()
        .map(|(major, version)| (major.to_string(), format!("PostgreSQL {version}")))
        .collect();
    let types = vec![
        ("stock".to_owned(), "PostgreSQL as it comes".to_owned()),
        ("pg_durable".to_owned(), "with pg_durable, which runs work inside the database".to_owned()),
    ];
    view! {
        <Panel id="new" title="What it shall be">
            <ActionForm action=action attr:class="body form">
                <Refusal refused fields=&["name", "password", "major", "image_type"]/>
                <TextField name="name" label="Name" refused required=true autofocus=true mono=true placeholder="orders-staging" hint="Lowercase letters, digits and hyphens; begins with a letter."/>
                <SelectField name="major" label="Version" refused options=majors value=newest.map(|major| major.to_string()).unwrap_or_default()/>
                <TextField name="password" label="Password of the superuser" refused kind="password" autocomplete="new-password" hint="Left empty, a long one is made up. You can reveal it later."/>
                <details class="more-options">
                    <summary>"More options"</summary>
                    <div class="form">
                        <SelectField name="image_type" label="Type" refused options=types value="stock" hint="Kept through back-up and restore."/>
                        <CheckField name="trust_loopback" label="Trust connections over loopback" refused hint="Whoever has an account on this machine then needs no password for it. pg_durable always has this, for its worker connects that way."/>
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
fn NoPostgres() -> impl IntoView {
    view! {
        <section class="alert warn">
            <h2><Icon name="s-warn"/>"There is no PostgreSQL on this machine to start"</h2>
            <dl>
                <dt>"Cause"</dt>
                <dd>"Toygres looked in PATH, asked pg_config, and looked in /usr/lib/postgresql."</dd>
                <dt>"Fix"</dt>
                <dd>"Install a server, on Debian with " <code>"apt install postgresql"</code> ", and load this page again."</dd>
                <dt>"Or"</dt>
                <dd><a href="/instances/add">"Add a server that runs elsewhere"</a>"."</dd>
            </dl>
        </section>
    }
    .into_any()
}
