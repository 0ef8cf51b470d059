//! Making and deleting objects so that a repeat changes nothing, and so that nobody else's object is ever touched.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::KubernetesPlatform;
use super::names::{self, FIELD_MANAGER};
use crate::{Error, Result};

/// How long the cluster may take to answer one call. The client tries again by itself, and for longer.
const CALL: Duration = Duration::from_secs(30);

impl KubernetesPlatform {
    /// Applies an object on the server's side. One of that name that does not carry our labels is an error that names it.
    pub(super) async fn apply<K>(&self, object: &K) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = self.api();
        let name = object.name_any();
        let mut object = object.clone();
        if let Some(there) = ask("look for the object", api.get_opt(&name)).await? {
            refuse_foreign(&there, object.labels())?;
            refuse_ending(&there)?;
            // A namesake that is made in between is refused by the API server.
            object.meta_mut().uid = there.uid();
        }
        // Forced: whoever else set one of our fields by hand loses it; all other fields stay as they were set.
        let how = PatchParams::apply(FIELD_MANAGER).force();
        ask("apply the object", api.patch(&name, &how, &Patch::Apply(&object))).await
    }

    /// Deletes an object if it is there and carries our labels; returns whether it was there. Somebody else's of that
    /// name stays, and is no error: what we made is gone.
    pub(super) async fn delete<K>(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        how: DeleteParams,
    ) -> Result<bool>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = self.api();
        let there = ask("look for the object", api.get_opt(name)).await?;
        let Some(there) = there.filter(|there| names::carries(there, labels)) else { return Ok(false) };
        // A namesake that was made in between is not ours to delete.
        let only_this = Preconditions { uid: there.uid(), resource_version: None };
        match answer("delete the object", api.delete(name, &how.preconditions(only_this))).await? {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(true),
            Err(error) => Err(refused(error)),
        }
    }
}

/// An object that does not carry our labels is somebody else's.
pub(super) fn refuse_foreign<K>(there: &K, labels: &BTreeMap<String, String>) -> Result<()>
where
    K: Resource<DynamicType = ()>,
{
    if names::carries(there, labels) {
        return Ok(());
    }
    let theirs = there.labels();
    let whose = match (theirs.get(names::MANAGED_BY.0).map(String::as_str), theirs.get(names::INSTANCE)) {
        (Some(ours), Some(id)) if ours == names::MANAGED_BY.1 => format!("is of Toygres' instance {id}"),
        _ => "was not made by Toygres for this".to_owned(),
    };
    Err(Error::Foreign(format!(
        "{} is there already and {whose}. Rename or delete it, or choose another name.",
        in_words(there)
    )))
}

/// What is being deleted takes no changes any more.
pub(super) fn refuse_ending<K>(there: &K) -> Result<()>
where
    K: Resource<DynamicType = ()>,
{
    match there.meta().deletion_timestamp {
        None => Ok(()),
        Some(_) => {
            Err(Error::Transient(anyhow::anyhow!("{} is still being deleted; wait for it.", in_words(there))))
        }
    }
}

/// An object, as a sentence names it.
fn in_words<K>(object: &K) -> String
where
    K: Resource<DynamicType = ()>,
{
    let namespace = object.namespace().unwrap_or_default();
    format!("{} {} in namespace {namespace}", K::kind(&()), object.name_any())
}

/// What the API server's refusal means: some are final, the rest may pass.
pub(super) fn refused(error: kube::Error) -> Error {
    match &error {
        // Quota is refused with 403 as well, and may be free again a minute later.
        kube::Error::Api(status) if status.code == 403 && status.message.contains("exceeded quota") => {
            Error::Transient(anyhow::anyhow!("the namespace's quota is used up: {}", status.message))
        }
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
            Error::Impossible(format!("The cluster refused it: {}", status.message))
        }
        kube::Error::Api(status) => {
            Error::Transient(anyhow::anyhow!("the cluster answered {}: {}", status.code, status.message))
        }
        _ => Error::Transient(anyhow::Error::new(error).context("ask the cluster")),
    }
}

/// What the cluster answers to one call; no answer may be one the next time.
pub(super) async fn answer<T>(
    what: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<kube::Result<T>> {
    tokio::time::timeout(CALL, call).await.map_err(|_| {
        Error::Transient(anyhow::anyhow!("{what}: the cluster did not answer within {} s", CALL.as_secs()))
    })
}

/// The same where no answer but the wanted one is a good one.
pub(super) async fn ask<T>(what: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    asking(what, answer(what, call).await?)
}

/// The same where the call has a name of its own.
pub(super) fn asking<T>(what: &'static str, answer: std::result::Result<T, kube::Error>) -> Result<T> {
    answer.map_err(|error| match refused(error) {
        Error::Transient(error) => Error::Transient(error.context(what)),
        other => other,
    })
}
