//! The form that creates an instance; a name is enough.

use leptos::either::Either;
use leptos::prelude::*;
use model::{PlatformInfo, Role};

use crate::api::instances::{CreateInstance, get_versions};
use crate::components::field::{ActionError, CheckField, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::platform_context::use_platform;
use crate::components::result_view::view_or_error;
use crate::components::target_fields::{ClusterFields, VersionField};
use crate::labels;

/// The page of a new instance.
#[component]
pub fn NewInstance() -> impl IntoView {
    let versions = Resource::new(|| (), |()| get_versions());
    let (platform, user) = (use_platform(), use_current_user());
    let action = ServerAction::<CreateInstance>::new();
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let loaded = match user.at_least(Role::Operator).await.and(versions.await) {
                    Ok(versions) => platform.info().await.map(|place| (place, versions)),
                    Err(error) => Err(error),
                };
                view_or_error(
                    loaded,
                    move |(place, versions)| view! { <NewInstanceView place versions action/> },
                )
            })}
        </Transition>
    }
    .into_any()
}

/// The view of a new instance: its form, or how to provide PostgreSQL.
#[component]
pub fn NewInstanceView(
    /// The platform that runs the instance.
    place: PlatformInfo,
    /// The versions that the platform can run: major version and full version.
    versions: Vec<(i32, String)>,
    /// The action that creates the instance.
    action: ServerAction<CreateInstance>,
) -> impl IntoView {
    let at = place.at();
    view! {
        <PageHeader
            title="New instance"
            crumbs=vec![("/instances".into(), "Instances".into())]
            sub=move || format!("Toygres starts a PostgreSQL server {at} and manages it.")
        >
            <a class="btn" href="/instances/add"><Icon name="link"/>"Connect existing server"</a>
        </PageHeader>
        {if versions.is_empty() {
            Either::Left(view! { <NoPostgres place/> })
        } else {
            Either::Right(view! { <NewForm place versions action/> })
        }}
    }
    .into_any()
}

#[component]
fn NewForm(
    place: PlatformInfo,
    versions: Vec<(i32, String)>,
    action: ServerAction<CreateInstance>,
) -> impl IntoView {
    let error = action_error(action);
    let newest = versions.iter().map(|(major, _)| *major).max();
    let newest = newest.map(|major| major.to_string()).unwrap_or_default();
    let on_kubernetes = place.is_kubernetes();
    view! {
        <Panel id="new" title="Configuration">
            <ActionForm action=action attr:class="body form">
                <FormError error fields=&["name", "password", "major", "image_type", "volume_gib", "dns_label"]/>
                <TextField name="name" label="Name" error required=true autofocus=true mono=true placeholder="orders-staging" hint="Lowercase letters, digits and hyphens; starts with a letter."/>
                <VersionField versions error value=newest/>
                <ClusterFields place error volume_gib="10" volume_hint="Plan for the growth of the data: a volume cannot shrink."/>
                <TextField name="password" label="Superuser password" error kind="password" autocomplete="new-password" hint="Leave empty to generate a password. You can reveal it later."/>
                <MoreOptions on_kubernetes error/>
                <div class="actions">
                    <button class="btn primary" disabled=move || action.pending().get()><Icon name="plus"/>"Create instance"</button>
                    <a class="btn" href="/instances">"Cancel"</a>
                </div>
            </ActionForm>
        </Panel>
    }
    .into_any()
}

#[component]
fn MoreOptions(on_kubernetes: bool, error: ActionError) -> impl IntoView {
    let hint = match on_kubernetes {
        true => {
            "Every user who can forward a port to the pod can then connect without a password. Always on for pg_durable, whose background worker connects over loopback."
        }
        false => {
            "Every account on the Toygres host can then connect without a password. Always on for pg_durable, whose background worker connects over loopback."
        }
    };
    view! {
        <details class="more-options">
            <summary>"More options"</summary>
            <div class="form">
                <SelectField name="image_type" label="Type" error options=labels::image_type_options() value="stock" hint="Backups and restores keep the type."/>
                <CheckField name="trust_loopback" label="Trust connections over loopback" error hint/>
            </div>
        </details>
    }
    .into_any()
}

/// What to do when the platform has no PostgreSQL to start.
#[component]
fn NoPostgres(place: PlatformInfo) -> impl IntoView {
    let (title, cause, fix) = match place.is_kubernetes() {
        true => (
            "No container image of PostgreSQL is configured",
            "The server's table of PostgreSQL container images is empty.",
            view! { "Add a container image for each major version to the server's configuration, then restart the server." }
                .into_any(),
        ),
        false => (
            "PostgreSQL is not installed on the Toygres host",
            "No PostgreSQL server was found in PATH, through pg_config, or in /usr/lib/postgresql.",
            view! { "Install PostgreSQL (Debian: " <code>"apt install postgresql"</code> "), then reload this page." }
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
                <dt>"Alternative"</dt>
                <dd><a href="/instances/add">"Connect existing server"</a></dd>
            </dl>
        </section>
    }
    .into_any()
}
