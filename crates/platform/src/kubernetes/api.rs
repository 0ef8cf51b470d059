//! Idempotent creation and deletion of objects. Objects that do not belong to Toygres are never changed.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use model::{Failure, FailureCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::KubernetesPlatform;
use super::api_error::{answer, ask, failed, is_missing_or_replaced};
use super::names::{self, FIELD_MANAGER};
use crate::Result;

impl KubernetesPlatform {
    /// Applies an object on the server side.
    ///
    /// # Errors
    /// As [`require_ours`] and [`require_kept`] if an object of that name exists.
    pub(super) async fn apply<K>(&self, object: &K) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let (api, name, subject): (Api<K>, _, _) = (self.api(), object.name_any(), describe(object));
        let mut object = object.clone();
        if let Some(existing) = ask(&subject, api.get_opt(&name)).await? {
            require_ours(&existing, object.labels())?;
            require_kept(&existing)?;
            // The API server refuses the change if another object has the name by then.
            object.meta_mut().uid = existing.uid();
        }
        // Forced: fields of the template overwrite manual changes; all other fields are kept.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        ask(&subject, api.patch(&name, &params, &Patch::Apply(&object))).await
    }

    /// Deletes an object, if it exists and has our labels. Another object of that name is kept, which is no error.
    pub(super) async fn delete<K>(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        params: DeleteParams,
    ) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let (api, subject): (Api<K>, _) = (self.api(), format!("{} {name}", K::kind(&())));
        let existing = ask(&subject, api.get_opt(name)).await?;
        let Some(existing) = existing.filter(|existing| names::carries(existing, labels)) else {
            return Ok(());
        };
        let only_this = Preconditions { uid: existing.uid(), resource_version: None };
        match answer(&subject, api.delete(name, &params.preconditions(only_this))).await? {
            Err(error) if !is_missing_or_replaced(&error) => Err(failed(&subject, error)),
            _ => Ok(()),
        }
    }

    /// The claim of this name, regardless of its owner.
    pub(super) async fn claim(&self, name: &str) -> Result<Option<PersistentVolumeClaim>> {
        let subject = format!("PersistentVolumeClaim {name}");
        ask(&subject, self.api::<PersistentVolumeClaim>().get_opt(name)).await
    }

    /// The events about the object with this UID.
    pub(super) async fn events_about(&self, uid: Option<String>) -> Result<Vec<Event>> {
        let Some(uid) = uid else { return Ok(vec![]) };
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        Ok(ask("Events", self.api::<Event>().list(&about)).await?.items)
    }
}

/// Refuses an existing object that does not have our labels.
///
/// # Errors
/// [`FailureCode::NotOwned`].
pub(super) fn require_ours<K>(existing: &K, labels: &BTreeMap<String, String>) -> Result<()>
where
    K: Resource<DynamicType = ()>,
{
    if names::carries(existing, labels) {
        return Ok(());
    }
    let theirs = existing.labels();
    let manager = theirs.get(names::MANAGED_BY.0).map(String::as_str);
    let detail = match (manager, theirs.get(names::INSTANCE)) {
        (Some(manager), Some(id)) if manager == names::MANAGED_BY.1 => {
            format!("the object exists and belongs to the instance {id} of Toygres")
        }
        _ => "the object exists and was not created by Toygres for this purpose".to_owned(),
    };
    Err(Failure::new(FailureCode::NotOwned, detail).on(describe(existing)).into())
}

/// Refuses an existing object that is being deleted.
///
/// # Errors
/// [`FailureCode::PlatformUnavailable`]: the object can be created when the deletion is complete.
pub(super) fn require_kept<K>(existing: &K) -> Result<()>
where
    K: Resource<DynamicType = ()>,
{
    match existing.meta().deletion_timestamp {
        None => Ok(()),
        Some(_) => {
            let detail = "the previous object of this name is still being deleted";
            Err(Failure::new(FailureCode::PlatformUnavailable, detail).on(describe(existing)).into())
        }
    }
}

/// The kind and name of an object, as the subject of a failure.
pub(super) fn describe<K>(object: &K) -> String
where
    K: Resource<DynamicType = ()>,
{
    format!("{} {}", K::kind(&()), object.name_any())
}
