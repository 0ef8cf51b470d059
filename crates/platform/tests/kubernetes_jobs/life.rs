//! A job's life: the conformance suite, what it leaves behind, and where it has its volume from.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use kube::api::DeleteParams;
use model::{ExitClass, InstanceId};
use platform::{JobSpec, JobState};
use serde_json::json;

use crate::conformance;
use crate::scratch::{in_namespace, until};
use crate::{pod_of, run, talking_job, tested, work};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn jobs_conform() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        conformance::jobs(&platform).await;
        conformance::stopping(&platform).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_job_leaves_goes_after_its_harvest() {
    in_namespace(async |scratch| {
        scratch.config.job_ttl_seconds = 1;
        let platform = tested(scratch).await;
        let job = talking_job(3);
        let (end, _) = run(&platform, &job).await;
        assert_eq!(end.result.map(|result| (result.class, result.events)), Some((ExitClass::Ok, 3)));
        let pod = pod_of(scratch, &job).await.expect("it stays until it was harvested");
        assert!(!serde_json::to_string(&pod).expect("JSON").contains(conformance::CANARY));
        scratch.all::<Secret>().get(&job.name).await.expect("its secret");
        platform.remove(&job.name).await.expect("remove");
        assert!(scratch.all::<Secret>().get_opt(&job.name).await.expect("look").is_none(), "at once");
        assert!(scratch.all::<ConfigMap>().get_opt(&job.name).await.expect("look").is_none(), "at once");
        until("Job and pod go by themselves", async || {
            let job = scratch.all::<Job>().get_opt(&job.name).await.expect("look");
            job.is_none().then_some(())
        })
        .await;

        // The same for one that was stopped and one that still works: these go at once.
        for stop in [true, false] {
            let (job, _) = work(&platform, 300).await;
            if stop {
                platform.stop(&job.name, Duration::from_secs(30)).await.expect("stop");
            }
            platform.remove(&job.name).await.expect("remove");
            assert!(scratch.all::<Job>().get_opt(&job.name).await.expect("look").is_none());
            until("its pod goes", async || pod_of(scratch, &job).await.is_none().then_some(())).await;
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_was_half_made_is_completed() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let job = talking_job(3);
        platform.launch(&job).await.expect("launch");
        // As if whoever launched had died in between.
        scratch.all::<ConfigMap>().delete(&job.name, &DeleteParams::default()).await.expect("delete");
        scratch.all::<Secret>().delete(&job.name, &DeleteParams::default()).await.expect("delete");
        platform.launch(&job).await.expect("launch again");
        let (end, _) = run(&platform, &job).await;
        assert_eq!(end.code, Some(0));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_job_that_is_deleted_is_missing() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let (job, events) = work(&platform, 300).await;
        scratch.all::<Job>().delete(&job.name, &DeleteParams::background()).await.expect("delete");
        events.try_collect::<Vec<_>>().await.expect("the events end");
        assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
        platform.stop(&job.name, Duration::from_secs(30)).await.expect("nothing to stop");
        platform.remove(&job.name).await.expect("nothing to remove");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_restore_has_the_volume_of_its_instance() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let id = InstanceId::from(uuid::Uuid::now_v7());
        let job = JobSpec { volume: Some(id), ..talking_job(1) };
        let error = platform.launch(&job).await.expect_err("there is no volume");
        assert!(error.to_string().contains(&id.to_string()), "{error}");
        let labels =
            json!({"app.kubernetes.io/managed-by": "toygres", "toygres.io/instance": id.to_string()});
        let claim = json!({
            "metadata": {"name": "orders", "labels": labels},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
        });
        scratch.make::<PersistentVolumeClaim>(claim).await;
        assert_eq!(run(&platform, &job).await.0.code, Some(0));
        let pod = pod_of(scratch, &job).await.expect("a pod");
        let volumes = serde_json::to_string(&pod.spec.expect("a spec").volumes).expect("JSON");
        assert!(volumes.contains(r#""claimName":"orders""#), "{volumes}");

        // Its finished pod, which is kept for people, does not hold the volume against whoever deletes it.
        platform.remove(&job.name).await.expect("remove");
        assert!(pod_of(scratch, &job).await.is_some(), "it stays for a while");
        platform.delete_volume(id).await.expect("delete the volume");
        assert!(scratch.all::<PersistentVolumeClaim>().get_opt("orders").await.expect("look").is_none());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_version_without_image_is_named_with_its_flag() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let error = platform
            .launch(&JobSpec { major: Some(8), ..talking_job(1) })
            .await
            .expect_err("no such version");
        let words = error.to_string();
        assert!(words.contains("PostgreSQL 8") && words.contains("TOYGRES_POSTGRES_IMAGES"), "{words}");
    })
    .await;
}
