//! Instances in a cluster: a volume, and a server on it that consists of a Secret, a ConfigMap, a Service and a StatefulSet.
//! All carry the instance's ID as a label, and the same name. The volume is created first and deleted last.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, PodSpec, Secret as SecretObject, Service,
};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use model::{Failure, FailureCode, InstanceId};
use tokio::time::Instant;

use super::KubernetesPlatform;
use super::api::{describe, require_kept, require_ours};
use super::api_error::ask;
use super::names::{self, FIELD_MANAGER};
use super::objects::{server, volume};
use crate::{Endpoint, InstanceSpec, Result, Secret};

/// How often a pod or claim whose deletion is awaited is looked up.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The grace period of a pod that does not set one, in seconds.
const DEFAULT_GRACE: i64 = 30;
/// How long a pod may take to end beyond its grace period, and how long a claim may take to be deleted.
const DELETION_LIMIT: Duration = Duration::from_secs(30);

impl KubernetesPlatform {
    pub(super) async fn apply_volume(&self, spec: &InstanceSpec) -> Result<()> {
        server::check_dns_label(spec.dns_label.as_deref())?;
        let claim = volume::volume(spec, &self.config, &self.templates.volume)?;
        match self.claim(&claim.name_any()).await? {
            // Not changed: a volume can neither shrink nor change its storage class.
            Some(existing) => {
                require_ours(&existing, claim.labels())?;
                require_kept(&existing)
            }
            None => self.apply(&claim).await.map(drop),
        }
    }

    pub(super) async fn apply_server(&self, spec: &InstanceSpec, password: &Secret) -> Result<()> {
        let parts = server::parts(spec, password, &self.config, &self.templates)?;
        // Never replaced by an empty volume: that would look like an instance without its data.
        let claim = self.claim(&parts.server.name_any()).await?.ok_or_else(|| {
            Failure::new(FailureCode::VolumeLost, "the PersistentVolumeClaim does not exist")
                .on(parts.server.name_any())
        })?;
        require_ours(&claim, parts.server.labels())?;
        require_kept(&claim)?;
        self.apply(&parts.secret).await?;
        self.apply(&parts.config).await?;
        self.apply(&parts.service).await?;
        self.apply(&parts.server).await?;
        Ok(())
    }

    pub(super) async fn endpoint_of(&self, id: InstanceId) -> Result<Option<Endpoint>> {
        Ok(self.server_of(id).await?.map(|server| Endpoint {
            host: format!("{}.{}.svc", server.name_any(), self.config.namespace),
            port: names::POSTGRES_PORT,
        }))
    }

    /// Starts the server (1 replica), or stops it (0) and waits until its pod does not exist any more.
    pub(super) async fn scale(&self, id: InstanceId, replicas: i32) -> Result<()> {
        let Some(server) = self.server_of(id).await? else {
            let detail = "the StatefulSet does not exist: it was never deployed, or was deleted";
            return match replicas {
                0 => Ok(()),
                _ => Err(Failure::new(FailureCode::Refused, detail).on(format!("instance {id}")).into()),
            };
        };
        let runs = server.spec.as_ref().is_some_and(|spec| spec.replicas != Some(0));
        if replicas == 0
            && runs
            && let Some(failure) = self.claim_terminating(&server.name_any()).await?
        {
            return Err(failure.into());
        }
        let change = serde_json::json!({ "spec": { "replicas": replicas } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let servers = self.api::<StatefulSet>();
        ask(&describe(&server), servers.patch(&server.name_any(), &params, &Patch::Merge(&change))).await?;
        if replicas == 0 { self.wait_until_stopped(id).await } else { Ok(()) }
    }

    /// The failure of a server whose claim was deleted: the volume exists until the pod ends.
    pub(super) async fn claim_terminating(&self, name: &str) -> Result<Option<Failure>> {
        let deleted = self.claim(name).await?.and_then(|claim| claim.metadata.deletion_timestamp);
        Ok(deleted.map(|time| {
            let detail = format!("the PersistentVolumeClaim was deleted at {}", time.0);
            Failure::new(FailureCode::VolumeTerminating, detail).on(name)
        }))
    }

    pub(super) async fn remove_server(&self, id: InstanceId) -> Result<()> {
        let labels = names::instance_labels(id);
        for name in self.names_of(id).await? {
            self.delete::<Service>(&name, &labels, DeleteParams::default()).await?;
            self.delete::<ConfigMap>(&name, &labels, DeleteParams::default()).await?;
            self.delete::<SecretObject>(&name, &labels, DeleteParams::default()).await?;
            // Last: if the claim does not exist, a repeated call finds the name here.
            self.delete::<StatefulSet>(&name, &labels, DeleteParams::background()).await?;
        }
        self.wait_until_stopped(id).await
    }

    pub(super) async fn remove_volume(&self, id: InstanceId) -> Result<()> {
        self.remove_server(id).await?;
        let labels = names::instance_labels(id);
        for name in self.names_of(id).await? {
            self.delete::<PersistentVolumeClaim>(&name, &labels, DeleteParams::default()).await?;
            // Otherwise the finished pod of a restore would keep the claim for its job's time to live.
            self.remove_harvested_jobs(|pod| mounts(pod, &name)).await?;
            let deadline = Instant::now() + DELETION_LIMIT;
            while let Some(claim) = self.claim(&name).await?.filter(|claim| names::carries(claim, &labels)) {
                if Instant::now() > deadline {
                    return Err(self.claim_in_use(&claim).await?.into());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    pub(super) async fn instance_ids(&self) -> Result<Vec<InstanceId>> {
        let all = ListParams::default().labels(&format!("{},{}", names::ours(), names::INSTANCE));
        let claims = self.api::<PersistentVolumeClaim>();
        let claims = ask("PersistentVolumeClaims", claims.list_metadata(&all)).await?;
        let servers = ask("StatefulSets", self.api::<StatefulSet>().list_metadata(&all)).await?;
        let labels = claims.iter().map(ResourceExt::labels).chain(servers.iter().map(ResourceExt::labels));
        let ids: BTreeSet<InstanceId> =
            labels.filter_map(|labels| labels.get(names::INSTANCE)?.parse().ok()).collect();
        Ok(ids.into_iter().collect())
    }

    /// The StatefulSet of an instance, unless it is being deleted.
    pub(super) async fn server_of(&self, id: InstanceId) -> Result<Option<StatefulSet>> {
        let of_instance = ListParams::default().labels(&names::of_instance(id));
        let servers = ask("StatefulSets", self.api::<StatefulSet>().list(&of_instance)).await?;
        Ok(servers.items.into_iter().find(|server| server.metadata.deletion_timestamp.is_none()))
    }

    /// The pods of an instance's server: at most one, except during a replacement.
    pub(super) async fn pods_of(&self, id: InstanceId) -> Result<Vec<Pod>> {
        let (app, postgres) = names::APP;
        let of_server = format!("{},{app}={postgres}", names::of_instance(id));
        Ok(ask("Pods", self.api::<Pod>().list(&ListParams::default().labels(&of_server))).await?.items)
    }

    /// The name of an instance's parts; none if no part exists.
    async fn names_of(&self, id: InstanceId) -> Result<BTreeSet<String>> {
        let of_instance = ListParams::default().labels(&names::of_instance(id));
        let claims = self.api::<PersistentVolumeClaim>();
        let claims = ask("PersistentVolumeClaims", claims.list_metadata(&of_instance)).await?;
        let servers = ask("StatefulSets", self.api::<StatefulSet>().list_metadata(&of_instance)).await?;
        let names = claims.iter().map(ResourceExt::name_any);
        Ok(names.chain(servers.iter().map(ResourceExt::name_any)).collect())
    }

    /// Waits until the server has no pod: for the pod's grace period and a little longer.
    async fn wait_until_stopped(&self, id: InstanceId) -> Result<()> {
        let begun = Instant::now();
        while let Some(pod) = self.pods_of(id).await?.first() {
            let spec = pod.spec.clone().unwrap_or_default();
            let grace = spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE);
            if begun.elapsed() > DELETION_LIMIT + Duration::from_secs(grace.max(0).unsigned_abs()) {
                let node = spec.node_name.unwrap_or_default();
                let detail = format!("the pod did not end within its grace period on node {node}");
                return Err(Failure::new(FailureCode::NodeLost, detail).on(pod.name_any()).into());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// The failure of a claim that is not deleted in time.
    async fn claim_in_use(&self, claim: &PersistentVolumeClaim) -> Result<Failure> {
        let pods = ask("Pods", self.api::<Pod>().list(&ListParams::default())).await?;
        let name = claim.name_any();
        let uses = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| mounts(spec, &name));
        let detail = match pods.iter().find(uses) {
            Some(pod) => format!("the pod {} uses the PersistentVolumeClaim", pod.name_any()),
            None => format!("the PersistentVolumeClaim has the finalizers {}", claim.finalizers().join(", ")),
        };
        Ok(Failure::new(FailureCode::PlatformUnavailable, detail).on(name))
    }
}

/// Whether a pod mounts the claim.
fn mounts(pod: &PodSpec, claim: &str) -> bool {
    let volumes = pod.volumes.iter().flatten();
    volumes.flat_map(|volume| &volume.persistent_volume_claim).any(|mounted| mounted.claim_name == claim)
}
