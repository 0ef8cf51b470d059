//! The log of a job: complete across interruptions, as far as the kubelet keeps it, and its end within a second.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use model::{AgentEvent, EventBody, FailureCode};

use crate::conformance::{end_of, until};
use crate::namespace::{client_config, in_namespace};
use crate::proxy::Proxy;
use crate::{log_test_job, pod_of, start};

/// The number of lines of a large log.
fn many() -> u64 {
    std::env::var("TOYGRES_TEST_LINES").map_or(200_000, |lines| lines.parse().expect("a number"))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn large_log_is_followed_by_eleven_requests() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let job = log_test_job(many());
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
                if last >= many() * part / 11 && part < 11 {
                    break;
                }
            }
        }
        println!(
            "{got} events in {:?}, {lost} lost to rotation, {} kB resident",
            began.elapsed(),
            resident()
        );
        assert_eq!((got + lost, last), (many() + 1, many() + 1), "the result is the last event");
        assert!(resident() < 200_000, "memory is bounded");
        assert_eq!(end_of(&*platform, &job.name).await.result.expect("a result").events, many());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn large_log_is_followed_over_an_interrupted_connection() {
    in_namespace(async |namespace| {
        let mut config = client_config().await;
        let proxy = Proxy::start(&mut config).await;
        let platform = namespace.open_through(config).await;
        let job = log_test_job(many());
        platform.launch(&job).await.expect("launch");
        let mut events = platform.events(&job.name, 0).await.expect("follow");
        let (mut last, mut lost, mut cuts) = (0, 0, 0);
        while let Some(event) = events.next().await {
            let event = event.expect("an interruption is not an error");
            if event.seq == 0 {
                // What the job waited for in a busy cluster.
                continue;
            }
            // After a rotation, also one before the first request, the kubelet has no older lines.
            assert!(event.seq > last, "{} after {last}", event.seq);
            lost += event.seq - last - 1;
            last = event.seq;
            if last > many() * (cuts + 1) / 11 && cuts < 10 {
                cuts += 1;
                proxy.close(cuts % 5 == 0);
                if cuts % 5 == 0 {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    proxy.close(false);
                }
            }
        }
        println!("{cuts} cuts, {lost} lost to rotation");
        assert_eq!((last, cuts), (many() + 1, 10));
    })
    .await;
}

/// The resident memory of this process in kB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn log_of_a_deleted_pod_is_complete() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let (job, events) = start(&platform, 300).await;
        let pod = pod_of(namespace, &job).await.expect("a pod");
        namespace.all::<Pod>().delete(&pod.name_any(), &DeleteParams::default()).await.expect("delete");
        let rest: Vec<AgentEvent> = events.try_collect().await.expect("events");
        assert!(
            rest.iter().any(|event| matches!(&event.body, EventBody::Result(_))),
            "the last event too: {rest:?}"
        );
        let end = end_of(&*platform, &job.name).await;
        let failure = end.failure.clone().expect("a failure");
        assert_eq!((end.code, failure.code, &end.result), (Some(143), FailureCode::JobDeleted, &None));
        assert_eq!(failure.subject, Some(pod.name_any()));
        until("the pod is deleted", async || pod_of(namespace, &job).await.is_none().then_some(())).await;
        assert_eq!(end_of(&*platform, &job.name).await, end, "the end is remembered");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn end_is_reported_within_a_second() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let job = log_test_job(1);
        platform.launch(&job).await.expect("launch");
        let admin = namespace.all::<Pod>();
        let ended = until("the kubelet reports the end", async || {
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
        println!("{late:?} after the kubelet's report");
        assert!(late < Duration::from_secs(1), "{late:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn unreachable_api_server_is_waited_for() {
    in_namespace(async |namespace| {
        let mut config = client_config().await;
        let proxy = Proxy::start(&mut config).await;
        let platform = namespace.open_through(config).await;
        let (job, events) = start(&platform, 8).await;
        proxy.close(true);
        let reopened = async {
            // The job ends during this time.
            tokio::time::sleep(Duration::from_secs(20)).await;
            proxy.close(false);
        };
        let (rest, ()) = tokio::join!(events.try_collect::<Vec<AgentEvent>>(), reopened);
        let rest = rest.expect("an unreachable API server is not an error");
        let numbers: Vec<u64> = rest.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (2..=numbers.len() as u64 + 1).collect::<Vec<_>>(), "without gaps");
        assert!(matches!(rest.last().map(|event| &event.body), Some(EventBody::Result(_))), "{rest:?}");
        assert_eq!(end_of(&*platform, &job.name).await.code, Some(12));
    })
    .await;
}
