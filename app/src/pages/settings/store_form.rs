//! The forms of a store's address and access. They contain the fields of all kinds of authentication: the style sheet shows
//! those of the selected kind, and the server ignores the others.

use leptos::prelude::*;
use model::{Store, StoreAccess, StoreAuth, StoreAuthKind, Transfer};

use crate::api::stores::{AddStore, SetStoreAccess};
use crate::components::field::{ActionError, AreaField, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;

/// The fields that show their own errors.
const FIELDS: [&str; 21] = [
    "name",
    "url",
    "access[auth]",
    "access[endpoint]",
    "access[region]",
    "access[root_certificate]",
    "access[transfer]",
    "access[client_id]",
    "access[tenant_id]",
    "access[authority_host]",
    "access[role_arn]",
    "access[sts_endpoint]",
    "access[secret_namespace]",
    "access[secret_name]",
    "access[account_key]",
    "access[sas_token]",
    "access[access_key_id]",
    "access[secret_access_key]",
    "access[reading_sas_token]",
    "access[reading_access_key_id]",
    "access[reading_secret_access_key]",
];

fn auth_options() -> Vec<(String, String)> {
    let label = |kind: StoreAuthKind| match kind {
        StoreAuthKind::Environment => "Local directory, or environment variables",
        StoreAuthKind::AzureIdentity => "Azure workload identity",
        StoreAuthKind::AwsIdentity => "AWS web identity",
        StoreAuthKind::Secret => "Kubernetes Secret",
        StoreAuthKind::Sealed => "Access keys (encrypted)",
    };
    StoreAuthKind::ALL.iter().map(|kind| (kind.to_string(), label(*kind).to_owned())).collect()
}

fn transfer_options() -> Vec<(String, String)> {
    let label = |transfer: Transfer| match transfer {
        Transfer::ObjectStore => "Built-in",
        Transfer::Azcopy => "azcopy (Azure workload identity only; must be installed for jobs)",
    };
    Transfer::ALL.iter().map(|one| (one.to_string(), label(*one).to_owned())).collect()
}

/// The form that adds a store.
#[component]
pub(super) fn NewStore(add: ServerAction<AddStore>) -> impl IntoView {
    let error = action_error(add);
    view! {
        <ActionForm action=add attr:class="body form two by-kind">
            <FormError error fields=&FIELDS/>
            <TextField name="name" label="Name" error required=true mono=true/>
            <TextField name="url" label="Address" error required=true mono=true placeholder="az://account/container/images" hint="file:///directory, pvc://claim/prefix, az://account/container/prefix or s3://bucket/prefix. The server and a job test the store before it is saved."/>
            <AccessFields error access=StoreAccess::default()/>
            <div class="actions">
                <button class="btn primary" disabled=move || add.pending().get()>
                    <Icon name="plus"/>
                    {move || if add.pending().get() { "Testing store…" } else { "Add store" }}
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}

/// The form that changes the authentication and the endpoint of a store.
#[component]
pub(super) fn EditAccess(store: Store, edit: ServerAction<SetStoreAccess>) -> impl IntoView {
    let error = action_error(edit);
    view! {
        <ActionForm action=edit attr:class="body form two by-kind">
            <FormError error fields=&FIELDS/>
            <input type="hidden" name="store" value=store.id.to_string()/>
            <AccessFields error access=store.access/>
            <div class="actions">
                <button class="btn primary" disabled=move || edit.pending().get()>
                    <Icon name="s-ok"/>
                    {move || if edit.pending().get() { "Testing store…" } else { "Save store" }}
                </button>
                <a class="btn" href="/settings?at=stores">"Cancel"</a>
            </div>
        </ActionForm>
    }
    .into_any()
}

#[component]
fn AccessFields(error: ActionError, access: StoreAccess) -> impl IntoView {
    let kind = access.auth.kind().to_string();
    view! {
        <SelectField name="access[auth]" label="Authentication" error options=auth_options() value=kind/>
        <AzureFields error auth=access.auth.clone()/>
        <AwsFields error auth=access.auth.clone()/>
        <SecretFields error auth=access.auth.clone()/>
        <KeyFields error/>
        <EndpointFields error access/>
    }
    .into_any()
}

#[component]
fn AzureFields(error: ActionError, auth: StoreAuth) -> impl IntoView {
    let (client, tenant, authority) = match auth {
        StoreAuth::AzureIdentity { client_id, tenant_id, authority_host } => {
            (client_id, tenant_id, authority_host)
        }
        _ => (None, None, None),
    };
    view! {
        <fieldset class="group" data-kind="azure_identity">
            <legend>"Azure workload identity"</legend>
            <TextField name="access[client_id]" label="Client ID" error mono=true value=client.unwrap_or_default() hint="Client ID of the application or managed identity. Default: the value of the pod."/>
            <TextField name="access[tenant_id]" label="Tenant ID" error mono=true value=tenant.unwrap_or_default() hint="Default: the value of the pod."/>
            <TextField name="access[authority_host]" label="Authority host" error mono=true value=authority.unwrap_or_default() placeholder="https://login.microsoftonline.com" hint="Required only outside the public Azure cloud."/>
        </fieldset>
    }
    .into_any()
}

#[component]
fn AwsFields(error: ActionError, auth: StoreAuth) -> impl IntoView {
    let (role, sts) = match auth {
        StoreAuth::AwsIdentity { role_arn, sts_endpoint } => (role_arn, sts_endpoint),
        _ => (String::new(), None),
    };
    view! {
        <fieldset class="group" data-kind="aws_identity">
            <legend>"AWS web identity"</legend>
            <TextField name="access[role_arn]" label="Role ARN" error mono=true value=role placeholder="arn:aws:iam::123456789012:role/toygres"/>
            <TextField name="access[sts_endpoint]" label="STS endpoint" error mono=true value=sts.unwrap_or_default() hint="Default: the endpoint of AWS."/>
        </fieldset>
    }
    .into_any()
}

#[component]
fn SecretFields(error: ActionError, auth: StoreAuth) -> impl IntoView {
    let (namespace, name) = match auth {
        StoreAuth::Secret { namespace, name } => (namespace, name),
        _ => (String::new(), String::new()),
    };
    view! {
        <fieldset class="group" data-kind="secret">
            <legend>"Kubernetes Secret"</legend>
            <TextField name="access[secret_namespace]" label="Namespace" error mono=true value=namespace/>
            <TextField name="access[secret_name]" label="Secret" error mono=true value=name hint="Requires the keys account_key or sas_token, or access_key_id and secret_access_key, and the label toygres.io/readable=true."/>
        </fieldset>
    }
    .into_any()
}

/// The fields of access keys. Stored keys are never sent to the browser.
#[component]
fn KeyFields(error: ActionError) -> impl IntoView {
    view! {
        <fieldset class="group" data-kind="sealed">
            <legend>"Access keys"</legend>
            <p class="hint">"Stored encrypted and never shown again. Leave all fields empty to keep the stored keys."</p>
            <TextField name="access[account_key]" label="Azure: account key" kind="password" error/>
            <TextField name="access[sas_token]" label="Azure: SAS token" kind="password" error hint="With the permissions read, write, list and delete for containers and objects."/>
            <TextField name="access[access_key_id]" label="S3: access key ID" kind="password" error/>
            <TextField name="access[secret_access_key]" label="S3: secret access key" kind="password" error/>
            <TextField name="access[session_token]" label="S3: session token" kind="password" error hint="Only for temporary credentials."/>
            <p class="hint">"Keys for reading are optional. Restores and verifications get them instead of the keys above. They must read and list, create objects below logs, and delete nothing."</p>
            <TextField name="access[reading_sas_token]" label="Azure: SAS token for reading" kind="password" error hint="Without it, Toygres derives one from the account key."/>
            <TextField name="access[reading_access_key_id]" label="S3: access key ID for reading" kind="password" error/>
            <TextField name="access[reading_secret_access_key]" label="S3: secret access key for reading" kind="password" error/>
        </fieldset>
    }
    .into_any()
}

#[component]
fn EndpointFields(error: ActionError, access: StoreAccess) -> impl IntoView {
    let transfer = access.transfer.to_string();
    view! {
        <fieldset class="group">
            <legend>"Connection"</legend>
            <TextField name="access[endpoint]" label="Endpoint" error mono=true value=access.endpoint.unwrap_or_default() placeholder="https://minio.example.com:9000" hint="Default: the endpoint of Azure or AWS."/>
            <TextField name="access[region]" label="Region" error mono=true value=access.region.unwrap_or_default() placeholder="us-east-1" hint="The region of the bucket."/>
            <AreaField name="access[root_certificate]" label="Root certificate" error value=access.root_certificate.unwrap_or_default() hint="PEM. Required if a private authority issued the certificate."/>
            <SelectField name="access[transfer]" label="Transfer tool" error options=transfer_options() value=transfer/>
        </fieldset>
    }
    .into_any()
}
