//! The forms that say where a store is and how it is opened. All fields of all kinds are in them; style shows those of the
//! chosen kind, and the server ignores the others.

use leptos::prelude::*;
use model::{StoreAccess, StoreAuth, StoreAuthKind, Transfer};

use crate::api::stores::{AddStore, SetStoreAccess, StoreRow};
use crate::components::field::{ActionError, AreaField, SelectField, TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;

/// The fields that show their own refusals.
const FIELDS: [&str; 18] = [
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
];

fn kinds() -> Vec<(String, String)> {
    let words = |kind: StoreAuthKind| match kind {
        StoreAuthKind::Environment => {
            "What the server and jobs have: a directory, or AZURE_* and AWS_* variables"
        }
        StoreAuthKind::AzureIdentity => "Azure: workload identity",
        StoreAuthKind::AwsIdentity => "AWS: a role, by web identity",
        StoreAuthKind::Secret => "A Secret of the cluster, read when used",
        StoreAuthKind::Sealed => "Keys typed here, sealed in Toygres",
    };
    StoreAuthKind::ALL.iter().map(|kind| (kind.to_string(), words(*kind).to_owned())).collect()
}

fn transfers() -> Vec<(String, String)> {
    let words = |transfer: Transfer| match transfer {
        Transfer::ObjectStore => "Toygres itself",
        Transfer::Azcopy => "azcopy (Azure by workload identity; must be where jobs run)",
    };
    Transfer::ALL.iter().map(|one| (one.to_string(), words(*one).to_owned())).collect()
}

/// The form that adds a store.
#[component]
pub fn NewStore(
    /// What it does.
    add: ServerAction<AddStore>,
) -> impl IntoView {
    let error = action_error(add);
    view! {
        <ActionForm action=add attr:class="body form two by-kind">
            <FormError error fields=&FIELDS/>
            <TextField name="name" label="Name" error required=true mono=true/>
            <TextField name="url" label="Address" error required=true mono=true placeholder="az://account/container/images" hint="file:///directory, pvc://claim/prefix, az://account/container/prefix or s3://bucket/prefix. It is tried, by the server and by a job, before it is kept."/>
            <AccessFields error access=StoreAccess::default()/>
            <div class="actions">
                <button class="btn primary" disabled=move || add.pending().get()>
                    <Icon name="plus"/>
                    {move || if add.pending().get() { "Trying it, here and in a job…" } else { "Add the store" }}
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}

/// The form that opens a store in another way, or with other keys.
#[component]
pub fn ChangeAccess(
    /// The store.
    store: StoreRow,
    /// What it does.
    change: ServerAction<SetStoreAccess>,
) -> impl IntoView {
    let error = action_error(change);
    view! {
        <ActionForm action=change attr:class="body form two by-kind">
            <FormError error fields=&FIELDS/>
            <input type="hidden" name="store" value=store.id.to_string()/>
            <AccessFields error access=store.access/>
            <div class="actions">
                <button class="btn primary" disabled=move || change.pending().get()>
                    <Icon name="s-ok"/>
                    {move || if change.pending().get() { "Trying it, here and in a job…" } else { "Try it and keep it" }}
                </button>
                <a class="btn" href="/settings?at=stores">"Leave it as it is"</a>
            </div>
        </ActionForm>
    }
    .into_any()
}

#[component]
fn AccessFields(error: ActionError, access: StoreAccess) -> impl IntoView {
    let kind = access.auth.kind().to_string();
    let (client, tenant, authority) = match &access.auth {
        StoreAuth::AzureIdentity { client_id, tenant_id, authority_host } => {
            (client_id.clone(), tenant_id.clone(), authority_host.clone())
        }
        _ => (None, None, None),
    };
    let (role, sts) = match &access.auth {
        StoreAuth::AwsIdentity { role_arn, sts_endpoint } => (role_arn.clone(), sts_endpoint.clone()),
        _ => (String::new(), None),
    };
    let (namespace, secret) = match &access.auth {
        StoreAuth::Secret { namespace, name } => (namespace.clone(), name.clone()),
        _ => (String::new(), String::new()),
    };
    view! {
        <SelectField name="access[auth]" label="Opened by" error options=kinds() value=kind/>
        <fieldset class="group" data-kind="azure_identity">
            <legend>"Workload identity of Azure"</legend>
            <TextField name="access[client_id]" label="Client id" error mono=true value=client.unwrap_or_default() hint="Of the application or managed identity; the pod's own if empty."/>
            <TextField name="access[tenant_id]" label="Tenant id" error mono=true value=tenant.unwrap_or_default() hint="The pod's own if empty."/>
            <TextField name="access[authority_host]" label="Authority" error mono=true value=authority.unwrap_or_default() placeholder="https://login.microsoftonline.com" hint="For other clouds than the public one."/>
        </fieldset>
        <fieldset class="group" data-kind="aws_identity">
            <legend>"Web identity of AWS"</legend>
            <TextField name="access[role_arn]" label="Role" error mono=true value=role placeholder="arn:aws:iam::123456789012:role/toygres"/>
            <TextField name="access[sts_endpoint]" label="STS endpoint" error mono=true value=sts.unwrap_or_default() hint="If not Amazon's own."/>
        </fieldset>
        <fieldset class="group" data-kind="secret">
            <legend>"Secret of the cluster"</legend>
            <TextField name="access[secret_namespace]" label="Namespace" error mono=true value=namespace/>
            <TextField name="access[secret_name]" label="Secret" error mono=true value=secret hint="It holds account_key or sas_token, or access_key_id and secret_access_key; its label toygres.io/readable=true lets Toygres read it."/>
        </fieldset>
        <SealedKeys error/>
        <fieldset class="group">
            <legend>"Where the service is"</legend>
            <TextField name="access[endpoint]" label="Endpoint" error mono=true value=access.endpoint.unwrap_or_default() placeholder="https://minio.example.com:9000" hint="If it is not Azure's or Amazon's own address."/>
            <TextField name="access[region]" label="Region" error mono=true value=access.region.unwrap_or_default() placeholder="us-east-1" hint="Of a bucket."/>
            <AreaField name="access[root_certificate]" label="Root certificate" error value=access.root_certificate.unwrap_or_default() hint="In PEM, if the service's certificate is of an authority of your own."/>
            <SelectField name="access[transfer]" label="Carried by" error options=transfers() value=access.transfer.to_string()/>
        </fieldset>
    }
    .into_any()
}

/// Keys, never shown again.
#[component]
fn SealedKeys(error: ActionError) -> impl IntoView {
    view! {
        <fieldset class="group" data-kind="sealed">
            <legend>"Keys"</legend>
            <p class="hint">"They are sealed with Toygres' key and never shown again. Where some are kept already, they stay if all of these are left empty."</p>
            <TextField name="access[account_key]" label="Azure: account key" kind="password" error/>
            <TextField name="access[sas_token]" label="Azure: SAS" kind="password" error hint="With read, write, list and delete, for containers and objects."/>
            <TextField name="access[access_key_id]" label="S3: access key id" kind="password" error/>
            <TextField name="access[secret_access_key]" label="S3: secret access key" kind="password" error/>
            <TextField name="access[session_token]" label="S3: session token" kind="password" error hint="Only for keys that end by themselves."/>
        </fieldset>
    }
    .into_any()
}
