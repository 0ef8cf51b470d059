//! Instances in a cluster: a volume, and a server on it made of a Secret, a ConfigMap, a Service and a StatefulSet. The
//! id is in the labels of all of them, and the volume, which comes first and goes last, tells their name.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, PodSpec, Secret as SecretObject, Service,
};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use model::InstanceId;
use tokio::time::Instant;

use super::KubernetesPlatform;
use super::apply::{ask, refuse_ending, refuse_foreign};
use super::names::{self, FIELD_MANAGER};
use super::objects::{server, volume};
use crate::{Endpoint, Error, InstanceSpec, Result, Secret};

/// How often a pod or a volume that is to go is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long Kubernetes gives a pod that does not say how long it may take.
const USUAL_GRACE: i64 = 30;
/// How much longer than its grace a pod may take, and how long a volume may.
const PATIENCE: Duration = Duration::from_secs(30);

impl KubernetesPlatform {
    pub(super) async fn apply_volume(&self, spec: &InstanceSpec) -> Result<()> {
        server::check_dns_label(spec.dns_label.as_deref())?;
        let claim = volume::volume(spec, &self.config, &self.templates.volume)?;
        match self.claim(&claim.name_any()).await? {
            // It stays as it is: a volume cannot shrink or change its class.
            Some(there) => {
                refuse_foreign(&there, claim.labels())?;
                refuse_ending(&there)
            }
            None => self.apply(&claim).await.map(drop),
        }
    }

    pub(super) async fn apply_server(&self, spec: &InstanceSpec, password: &Secret) -> Result<()> {
        let parts = server::parts(spec, password, &self.config, &self.templates)?;
        // An empty one in its place would look like an instance that lost all its data.
        let claim = self.claim(&parts.server.name_any()).await?.ok_or_else(|| {
            Error::Impossible(format!(
                "The volume of {} is not there: namespace {} has no PersistentVolumeClaim {}.",
                spec.name,
                self.config.namespace,
                parts.server.name_any()
            ))
        })?;
        refuse_foreign(&claim, parts.server.labels())?;
        refuse_ending(&claim)?;
        self.apply(&parts.secret).await?;
        self.apply(&parts.config).await?;
        self.apply(&parts.service).await?;
        self.apply(&parts.server).await?;
        Ok(())
    }

    pub(super) async fn endpoint_of(&self, id: InstanceId) -> Result<Option<Endpoint>> {
        Ok(self.server_of(id).await?.map(|server| Endpoint {
            host: format!("{}.{}.svc", server.name_any(), self.config.namespace),
            port: server::PORT,
        }))
    }

    /// Lets the server run (1) or has it stopped (0), and then returns when its pod is gone.
    pub(super) async fn scale(&self, id: InstanceId, replicas: i32) -> Result<()> {
        let Some(server) = self.server_of(id).await? else {
            return match replicas {
                0 => Ok(()),
                _ => Err(Error::Impossible(format!(
                    "Namespace {} has no StatefulSet of instance {id}: its server was never deployed, or deleted.",
                    self.config.namespace
                ))),
            };
        };
        if replicas == 0
            && server.spec.as_ref().is_some_and(|spec| spec.replicas != Some(0))
            && let Some(words) = self.doom(&server.name_any()).await?
        {
            return Err(Error::Impossible(words));
        }
        let change = serde_json::json!({ "spec": { "replicas": replicas } });
        let how = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.api::<StatefulSet>();
        ask("scale the server", api.patch(&server.name_any(), &how, &Patch::Merge(&change))).await?;
        if replicas == 0 { self.until_stopped(id).await } else { Ok(()) }
    }

    /// A volume that somebody deleted stays as long as its pod runs, and goes with it.
    pub(super) async fn doom(&self, name: &str) -> Result<Option<String>> {
        let deleted = self.claim(name).await?.and_then(|claim| claim.metadata.deletion_timestamp);
        Ok(deleted.map(|_| {
            format!(
                "Somebody deleted the PersistentVolumeClaim {name}: all data go as soon as this server stops. Back it up now; what is backed up can be restored into another instance."
            )
        }))
    }

    pub(super) async fn remove_server(&self, id: InstanceId) -> Result<()> {
        let labels = names::instance_labels(id);
        for name in self.names_of(id).await? {
            self.delete::<Service>(&name, &labels, DeleteParams::default()).await?;
            self.delete::<ConfigMap>(&name, &labels, DeleteParams::default()).await?;
            self.delete::<SecretObject>(&name, &labels, DeleteParams::default()).await?;
            // Last: it tells the name to whoever goes on after a crash, should the volume be gone.
            self.delete::<StatefulSet>(&name, &labels, DeleteParams::background()).await?;
        }
        self.until_stopped(id).await
    }

    pub(super) async fn remove_volume(&self, id: InstanceId) -> Result<()> {
        self.remove_server(id).await?;
        let labels = names::instance_labels(id);
        for name in self.names_of(id).await? {
            self.delete::<PersistentVolumeClaim>(&name, &labels, DeleteParams::default()).await?;
            // The finished pod of a restore would hold it until its job's time to live is over.
            self.remove_harvested_jobs(|pod| mounts(pod, &name)).await?;
            let deadline = Instant::now() + PATIENCE;
            while let Some(claim) = self.claim(&name).await?.filter(|claim| names::carries(claim, &labels)) {
                if Instant::now() > deadline {
                    return Err(Error::Transient(anyhow::anyhow!(self.who_holds(&claim).await?)));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    pub(super) async fn instance_ids(&self) -> Result<Vec<InstanceId>> {
        let all = ListParams::default().labels(&format!("{},{}", names::ours(), names::INSTANCE));
        let claims = ask("list the volumes", self.api::<PersistentVolumeClaim>().list_metadata(&all)).await?;
        let servers = ask("list the servers", self.api::<StatefulSet>().list_metadata(&all)).await?;
        let labels = claims.iter().map(ResourceExt::labels).chain(servers.iter().map(ResourceExt::labels));
        let ids: BTreeSet<InstanceId> =
            labels.filter_map(|labels| labels.get(names::INSTANCE)?.parse().ok()).collect();
        Ok(ids.into_iter().collect())
    }

    /// The StatefulSet of an instance.
    pub(super) async fn server_of(&self, id: InstanceId) -> Result<Option<StatefulSet>> {
        let of_it = ListParams::default().labels(&names::of_instance(id));
        let servers = ask("list the servers", self.api::<StatefulSet>().list(&of_it)).await?;
        Ok(servers.items.into_iter().find(|server| server.metadata.deletion_timestamp.is_none()))
    }

    /// The server's pods: one, and at times none.
    pub(super) async fn pods_of(&self, id: InstanceId) -> Result<Vec<Pod>> {
        let (app, postgres) = names::APP;
        let of_it = ListParams::default().labels(&format!("{},{app}={postgres}", names::of_instance(id)));
        Ok(ask("list the servers' pods", self.api::<Pod>().list(&of_it)).await?.items)
    }

    /// A claim of this name, whosever.
    pub(super) async fn claim(&self, name: &str) -> Result<Option<PersistentVolumeClaim>> {
        ask("look for the volume", self.api::<PersistentVolumeClaim>().get_opt(name)).await
    }

    /// The names of an instance's parts: one, and none when all are gone.
    async fn names_of(&self, id: InstanceId) -> Result<BTreeSet<String>> {
        let of_it = ListParams::default().labels(&names::of_instance(id));
        let claims =
            ask("list the volumes", self.api::<PersistentVolumeClaim>().list_metadata(&of_it)).await?;
        let servers = ask("list the servers", self.api::<StatefulSet>().list_metadata(&of_it)).await?;
        Ok(claims
            .iter()
            .map(ResourceExt::name_any)
            .chain(servers.iter().map(ResourceExt::name_any))
            .collect())
    }

    /// Waits until no pod of a server that is to stop is left: as long as the pod may take, and a little.
    async fn until_stopped(&self, id: InstanceId) -> Result<()> {
        let begun = Instant::now();
        while let Some(pod) = self.pods_of(id).await?.first() {
            let spec = pod.spec.clone().unwrap_or_default();
            let grace = spec.termination_grace_period_seconds.unwrap_or(USUAL_GRACE);
            if begun.elapsed() > PATIENCE + Duration::from_secs(grace.max(0).unsigned_abs()) {
                return Err(Error::Transient(anyhow::anyhow!(
                    "The pod {} on node {} does not end. If the node is lost, delete it: kubectl delete node {1}",
                    pod.name_any(),
                    spec.node_name.unwrap_or_default()
                )));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Says what a volume that does not go is waiting for.
    async fn who_holds(&self, claim: &PersistentVolumeClaim) -> Result<String> {
        let pods = ask("list the pods", self.api::<Pod>().list(&ListParams::default())).await?;
        let name = claim.name_any();
        let holds = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| mounts(spec, &name));
        Ok(match pods.iter().find(holds) {
            Some(pod) => format!("The volume {name} is still used by the pod {}.", pod.name_any()),
            None => format!(
                "The volume {name} is not gone yet: {} must be satisfied first.",
                claim.finalizers().join(", ")
            ),
        })
    }
}

/// Whether a pod of this kind mounts the claim.
fn mounts(pod: &PodSpec, claim: &str) -> bool {
    let volumes = pod.volumes.iter().flatten();
    volumes.flat_map(|volume| &volume.persistent_volume_claim).any(|mounted| mounted.claim_name == claim)
}
