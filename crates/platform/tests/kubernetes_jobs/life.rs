//! A job's life: the conformance suite, the deletion of its objects, and its volume.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::DeleteParams;
use model::{ExitClass, FailureCode, InstanceId};
use platform::kubernetes::KubernetesConfig;
use platform::{JobSpec, JobState};
use serde_json::json;

use crate::conformance::{self, until};
use crate::namespace::in_namespace;
use crate::{log_test_job, pod_of, run, start};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn jobs_conform() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        conformance::jobs(&*platform).await;
        conformance::stopping(&*platform).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn objects_of_a_job_are_deleted_after_its_harvest() {
    in_namespace(async |namespace| {
        let config = KubernetesConfig { job_ttl_seconds: 1, ..namespace.config.clone() };
        let platform = namespace.open_with(config).await;
        let job = log_test_job(3);
        let (end, _) = run(&platform, &job).await;
        assert_eq!(end.result.map(|result| (result.class(), result.events)), Some((ExitClass::Ok, 3)));
        let pod = pod_of(namespace, &job).await.expect("the pod is kept until the harvest");
        assert!(!serde_json::to_string(&pod).expect("JSON").contains(conformance::CANARY));
        namespace.all::<Secret>().get(&job.name).await.expect("its Secret");
        platform.remove(&job.name).await.expect("remove");
        // The input immediately, the Job and its pod after the time to live.
        assert!(namespace.all::<Secret>().get_opt(&job.name).await.expect("get").is_none());
        assert!(namespace.all::<ConfigMap>().get_opt(&job.name).await.expect("get").is_none());
        until("the Job is deleted", async || {
            let job = namespace.all::<Job>().get_opt(&job.name).await.expect("get");
            job.is_none().then_some(())
        })
        .await;

        // A stopped job and one that still runs are deleted immediately.
        for stop in [true, false] {
            let (job, _) = start(&platform, 300).await;
            if stop {
                platform.stop(&job.name, Duration::from_secs(30)).await.expect("stop");
            }
            platform.remove(&job.name).await.expect("remove");
            assert!(namespace.all::<Job>().get_opt(&job.name).await.expect("get").is_none());
            until("its pod is deleted", async || pod_of(namespace, &job).await.is_none().then_some(())).await;
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn interrupted_launch_is_completed() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let job = log_test_job(3);
        platform.launch(&job).await.expect("launch");
        // The state after a launch that was interrupted when only the Job existed.
        namespace.all::<ConfigMap>().delete(&job.name, &DeleteParams::default()).await.expect("delete");
        namespace.all::<Secret>().delete(&job.name, &DeleteParams::default()).await.expect("delete");
        platform.launch(&job).await.expect("launch again");
        let (end, _) = run(&platform, &job).await;
        assert_eq!(end.code, Some(0));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn deleted_job_is_missing() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let (job, events) = start(&platform, 300).await;
        namespace.all::<Job>().delete(&job.name, &DeleteParams::background()).await.expect("delete");
        events.try_collect::<Vec<_>>().await.expect("the events end");
        assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
        platform.stop(&job.name, Duration::from_secs(30)).await.expect("stop a missing job");
        platform.remove(&job.name).await.expect("remove a missing job");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn restore_mounts_the_volume_of_its_instance() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let id = InstanceId::from(uuid::Uuid::now_v7());
        let job = JobSpec { volume: Some(id), ..log_test_job(1) };
        let error = platform.launch(&job).await.expect_err("the volume does not exist");
        assert_eq!(error.code(), FailureCode::VolumeLost);
        let labels =
            json!({"app.kubernetes.io/managed-by": "toygres", "toygres.io/instance": id.to_string()});
        let claim = json!({
            "metadata": {"name": "orders", "labels": labels},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
        });
        namespace.create_object::<PersistentVolumeClaim>(claim).await;
        assert_eq!(run(&platform, &job).await.0.code, Some(0));
        let pod = pod_of(namespace, &job).await.expect("a pod");
        let volumes = serde_json::to_string(&pod.spec.expect("a spec").volumes).expect("JSON");
        assert!(volumes.contains(r#""claimName":"orders""#), "{volumes}");

        // The finished pod is kept, but does not prevent the deletion of the volume.
        platform.remove(&job.name).await.expect("remove");
        assert!(pod_of(namespace, &job).await.is_some(), "kept for its time to live");
        platform.delete_volume(id).await.expect("delete the volume");
        let claims = namespace.all::<PersistentVolumeClaim>();
        assert!(claims.get_opt("orders").await.expect("get").is_none());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn version_without_a_container_image_is_refused() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let job = JobSpec { major: Some(8), ..log_test_job(1) };
        let error = platform.launch(&job).await.expect_err("version 8");
        assert_eq!(error.code(), FailureCode::ProgramsMissing);
        assert_eq!(error.failure().subject.as_deref(), Some("PostgreSQL 8"));
    })
    .await;
}
