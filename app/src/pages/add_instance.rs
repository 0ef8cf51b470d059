//! The form that adds an existing server as an instance; the connection is tested before it is saved.

use leptos::prelude::*;
use model::{Role, TlsMode};

use crate::api::instances::AddInstance as Add;
use crate::components::field::{ActionError, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::platform_context::use_platform;
use crate::components::result_view::view_or_error;
use crate::labels;

/// The fields that show their own errors.
const FIELDS: [&str; 9] =
    ["name", "host", "port", "username", "password", "secret_ref", "database", "tls", "image_type"];

/// The page that adds an existing server.
#[component]
pub fn AddInstance() -> impl IntoView {
    let action = ServerAction::<Add>::new();
    let (platform, user) = (use_platform(), use_current_user());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let kubernetes = platform.is_kubernetes().await;
                view_or_error(
                    user.at_least(Role::Operator).await,
                    move |_| view! { <AddInstanceView kubernetes action/> },
                )
            })}
        </Transition>
    }
    .into_any()
}

/// The view that adds an existing server.
#[component]
pub fn AddInstanceView(
    /// Whether the platform is Kubernetes, where a Secret can hold the password.
    kubernetes: bool,
    /// The action that adds the server.
    action: ServerAction<Add>,
) -> impl IntoView {
    let error = action_error(action);
    view! {
        <PageHeader
            title="Existing server"
            crumbs=vec![("/instances".into(), "Instances".into())]
            sub=|| "Toygres tests the connection when you add the server. Afterwards, it only reads from the server."
        >
            <a class="btn" href="/instances/new"><Icon name="plus"/>"New instance"</a>
        </PageHeader>
        <Panel id="add" title="Connection">
            <ActionForm action=action attr:class="body form two">
                <FormError error fields=&FIELDS/>
                <TextField name="name" label="Name" error required=true autofocus=true mono=true placeholder="orders-prod" hint="Lowercase letters, digits and hyphens; starts with a letter."/>
                <SelectField name="image_type" label="Type" error options=labels::image_type_options() value="stock" hint="Backups and restores keep the type."/>
                <ServerFields kubernetes error/>
                <TextField name="database" label="Initial database" error mono=true value="postgres" hint="The database of the first connection; backups include all databases."/>
                <SelectField name="tls" label="TLS" error options=tls_options() value="prefer"/>
                <div class="actions">
                    <button class="btn primary" disabled=move || action.pending().get()>
                        <Icon name="link"/>
                        {move || if action.pending().get() { "Connecting…" } else { "Connect server" }}
                    </button>
                    <a class="btn" href="/instances">"Cancel"</a>
                </div>
            </ActionForm>
        </Panel>
    }
    .into_any()
}

#[component]
fn ServerFields(kubernetes: bool, error: ActionError) -> impl IntoView {
    let (example, host_hint, password_hint) = match kubernetes {
        true => (
            "orders-db.shop",
            "Host name or IP address. For a Service of this cluster: service.namespace, or the full DNS name.",
            "Stored encrypted, never logged. Alternatively, name the Secret that holds it.",
        ),
        false => ("db.example.org", "Host name or IP address.", "Stored encrypted, never logged."),
    };
    view! {
        <TextField name="host" label="Host" error required=true mono=true placeholder=example hint=host_hint/>
        <TextField name="port" label="Port" error value="5432" mono=true/>
        <TextField name="username" label="User" error required=true mono=true value="postgres" hint="A complete backup requires a superuser."/>
        <TextField name="password" label="Password" error kind="password" autocomplete="new-password" hint=password_hint/>
        {kubernetes
            .then(|| {
                view! {
                    <TextField name="secret_ref" label="Secret with the password" error mono=true placeholder="shop/orders-postgres/password" hint="namespace/name/key. Toygres reads it at each use. Its namespace must be on the server's list, and it needs the label toygres.io/readable=true. Requires the role admin."/>
                }
            })}
    }
    .into_any()
}

fn tls_options() -> Vec<(String, String)> {
    let label = |mode| match mode {
        TlsMode::Disable => "disable: no TLS",
        TlsMode::Prefer => "prefer: TLS if the server supports it",
        TlsMode::Require => "require: TLS, certificate not verified",
        TlsMode::VerifyFull => "verify-full: TLS, certificate and host name verified",
    };
    let modes = [TlsMode::Prefer, TlsMode::Require, TlsMode::VerifyFull, TlsMode::Disable];
    modes.into_iter().map(|mode| (mode.to_string(), label(mode).to_owned())).collect()
}
