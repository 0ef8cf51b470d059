//! The log: every line that the kubelet still has, past every break, and its end within a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use model::{AgentEvent, EventBody};
use platform::Platform;

use crate::conformance::{Tested, end_of};
use crate::proxy::Proxy;
use crate::scratch::{client_config, in_namespace, until};
use crate::{pod_of, talking_job, tested, work};

/// How many lines a flood has.
fn flood() -> u64 {
    std::env::var("TOYGRES_TEST_LINES").map_or(200_000, |lines| lines.parse().expect("a number"))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_flood_is_followed_past_ten_breaks() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let job = talking_job(flood());
        platform.launch(&job).await.expect("launch");
        let (mut last, mut got, mut lost, began) = (0, 0, 0, Instant::now());
        for part in 1..=11 {
            let mut events = platform.events(&job.name, last).await.expect("follow");
            while let Some(event) = events.try_next().await.expect("events") {
                if event.seq == 0 {
                    continue;
                }
                assert!(event.seq > last, "{} after {last}", event.seq);
                lost += event.seq - last - 1;
                got += 1;
                last = event.seq;
                if last >= flood() * part / 11 && part < 11 {
                    break;
                }
            }
        }
        println!(
            "{got} events in {:?}, {lost} lost to rotation, {} kB resident",
            began.elapsed(),
            resident()
        );
        assert_eq!((got + lost, last), (flood() + 1, flood() + 1), "the result is the last event");
        assert!(resident() < 200_000, "memory is bounded");
        assert_eq!(end_of(&platform, &job.name).await.result.expect("a result").events, flood());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_flood_is_followed_by_a_connection_that_is_cut() {
    in_namespace(async |scratch| {
        let mut config = client_config().await;
        let proxy = Proxy::start(&mut config).await;
        let platform = scratch.platform_by(config).await;
        let job = talking_job(flood());
        platform.launch(&job).await.expect("launch");
        let mut events = platform.events(&job.name, 0).await.expect("follow");
        let (mut last, mut lost, mut cuts) = (0, 0, 0);
        while let Some(event) = events.next().await {
            let event = event.expect("a break is nothing to speak of");
            if event.seq == 0 {
                // What a busy cluster made it wait for.
                continue;
            }
            // A kubelet that rotated the log meanwhile, also before anybody followed, has no older lines.
            assert!(event.seq > last, "{} after {last}", event.seq);
            lost += event.seq - last - 1;
            last = event.seq;
            if last > flood() * (cuts + 1) / 11 && cuts < 10 {
                cuts += 1;
                proxy.close(cuts % 5 == 0);
                if cuts % 5 == 0 {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    proxy.close(false);
                }
            }
        }
        println!("{cuts} cuts, {lost} lost to rotation");
        assert_eq!((last, cuts), (flood() + 1, 10));
    })
    .await;
}

/// This process' resident memory in kB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("our memory");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_is_deleted_took_no_line_with_it() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let (job, events) = work(&platform, 300).await;
        let pod = pod_of(scratch, &job).await.expect("a pod");
        scratch.all::<Pod>().delete(&pod.name_any(), &DeleteParams::default()).await.expect("delete");
        let rest: Vec<AgentEvent> = events.try_collect().await.expect("events");
        assert!(
            rest.iter().any(|event| matches!(&event.body, EventBody::Result(_))),
            "the last one too: {rest:?}"
        );
        let end = end_of(&platform, &job.name).await;
        let reason = end.reason.expect("words");
        assert_eq!((end.code, end.fatal, end.result), (Some(143), false, None), "{reason}");
        assert!(reason.contains(&pod.name_any()) && reason.contains("deleted while it worked"), "{reason}");
        until("the pod is gone", async || pod_of(scratch, &job).await.is_none().then_some(())).await;
        let later = end_of(&platform, &job.name).await;
        assert_eq!((later.code, later.reason), (Some(143), Some(reason)), "it is remembered");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_end_is_seen_within_a_second() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let job = talking_job(1);
        platform.launch(&job).await.expect("launch");
        let admin = scratch.all::<Pod>();
        let ended = until("the kubelet says that it ended", async || {
            let pod = admin.list(&ListParams::default()).await.expect("list").items.pop()?;
            let statuses = pod.status?.container_statuses?;
            statuses.first()?.state.as_ref()?.terminated.is_some().then(Instant::now)
        });
        let followed = async {
            let events = platform.events(&job.name, 0).await.expect("follow");
            events.try_collect::<Vec<_>>().await.expect("events");
            Instant::now()
        };
        let (ended, followed) = tokio::join!(ended, followed);
        let late = followed.saturating_duration_since(ended);
        println!("{late:?} after the kubelet said so");
        assert!(late < Duration::from_secs(1), "{late:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_cluster_that_does_not_answer_is_waited_for() {
    in_namespace(async |scratch| {
        let mut config = client_config().await;
        let proxy = Proxy::start(&mut config).await;
        let platform: Tested = Arc::new(scratch.platform_by(config).await);
        let (job, events) = work(&platform, 8).await;
        proxy.close(true);
        let opened = async {
            // The job ends meanwhile.
            tokio::time::sleep(Duration::from_secs(20)).await;
            proxy.close(false);
        };
        let (rest, ()) = tokio::join!(events.try_collect::<Vec<AgentEvent>>(), opened);
        let rest = rest.expect("nothing to speak of");
        let numbers: Vec<u64> = rest.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (2..=numbers.len() as u64 + 1).collect::<Vec<_>>(), "gapless");
        assert!(matches!(rest.last().map(|event| &event.body), Some(EventBody::Result(_))), "{rest:?}");
        assert_eq!(end_of(&platform, &job.name).await.code, Some(12));
    })
    .await;
}
