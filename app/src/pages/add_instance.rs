//! An instance that exists already: where it is and as whom to connect; it is tried before it is kept.

use leptos::prelude::*;
use model::Role;

use crate::api::instances::AddInstance as Add;
use crate::components::field::{ActionError, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::components::layout::use_current_user;
use crate::components::page_header::PageHeader;
use crate::components::panel::Panel;
use crate::components::platform_context::use_platform;
use crate::components::result_view::view_or_error;

/// An instance that exists already.
#[component]
pub fn AddInstance() -> impl IntoView {
    let action = ServerAction::<Add>::new();
    let error = action_error(action);
    let (here, me) = (use_platform(), use_current_user());
    view! {
        <PageHeader
            title="Add an instance"
            crumbs=vec![("/instances".into(), "Instances".into())]
            sub=|| "A server that you already have. Toygres connects to it once now, and later only reads from it."
        >
            <a class="btn" href="/instances/new"><Icon name="plus"/>"New instance instead"</a>
        </PageHeader>
        <Transition>
            {move || Suspend::new(async move {
                let kubernetes = here.is_kubernetes().await;
                view_or_error(me.at_least(Role::Operator).await, move |_| view! { <AddForm action error kubernetes/> })
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn AddForm(action: ServerAction<Add>, error: ActionError, kubernetes: bool) -> impl IntoView {
    let tls = [
        ("prefer", "prefer: if the server has it"),
        ("require", "require: always, unchecked"),
        ("verify-full", "verify-full: always, certificate and host checked"),
        ("disable", "disable: never"),
    ];
    let types = [("stock", "PostgreSQL as it comes"), ("pg_durable", "with pg_durable")];
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
    };
    let (example, hint, password) = match kubernetes {
        true => (
            "orders-db.shop",
            "A name or an address, no URL. A server of the cluster by its Service: service.namespace, or the full DNS name.",
            "Kept encrypted; written to no log. Or leave it where it is:",
        ),
        false => ("db.example.org", "A name or an address, no URL.", "Kept encrypted; written to no log."),
    };
    view! {
        <Panel id="add" title="Where it is">
            <ActionForm action=action attr:class="body form two">
                <FormError
                    error
                    fields=&["name", "host", "port", "username", "password", "secret_ref", "database", "tls", "image_type"]
                />
                <TextField name="name" label="Name here" error required=true autofocus=true mono=true placeholder="orders-prod" hint="Lowercase letters, digits and hyphens; begins with a letter."/>
                <SelectField name="image_type" label="Type" error options=owned(&types) value="stock" hint="Kept through back-up and restore."/>
                <TextField name="host" label="Host" error required=true mono=true placeholder=example hint=hint/>
                <TextField name="port" label="Port" error value="5432" mono=true/>
                <TextField name="username" label="User" error required=true mono=true value="postgres" hint="Backing up everything needs a superuser."/>
                <TextField name="password" label="Password" error kind="password" autocomplete="new-password" hint=password/>
                {kubernetes
                    .then(|| {
                        view! {
                            <TextField name="secret_ref" label="Or a Secret that holds it" error mono=true placeholder="shop/orders-postgres/password" hint="namespace/name/key. Read each time it is used, if its namespace is listed and it carries the label toygres.io/readable=true. For admins."/>
                        }
                    })}
                <TextField name="database" label="Database to connect to first" error mono=true value="postgres"/>
                <SelectField name="tls" label="TLS" error options=owned(&tls) value="prefer"/>
                <div class="actions">
                    <button class="btn primary" disabled=move || action.pending().get()>
                        <Icon name="link"/>
                        {move || if action.pending().get() { "Connecting…" } else { "Connect and add" }}
                    </button>
                    <a class="btn" href="/instances">"Not now"</a>
                </div>
            </ActionForm>
        </Panel>
    }
    .into_any()
}
