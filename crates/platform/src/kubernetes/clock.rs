//! The cluster's clock. Its objects carry times of the API server, which the clock of this machine may differ from.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::DateTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;

/// The API server's time, read from its answers. Clones share it.
#[derive(Clone, Default)]
pub(super) struct ClusterClock(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl ClusterClock {
    /// A client whose answers set the clock.
    pub(super) fn watching(&self, client: Client) -> Client {
        let (clock, namespace) = (self.clone(), client.default_namespace().to_owned());
        let watched = tower::service_fn(move |request| {
            let (clock, client) = (clock.clone(), client.clone());
            async move {
                let answer = client.send(request).await?;
                // RFC 9110, section 6.6.1
                clock.set(answer.headers().get("date").and_then(|date| date.to_str().ok()));
                Ok::<_, kube::Error>(answer)
            }
        });
        Client::new(watched, namespace)
    }

    /// Sets the clock, unless the date is missing or invalid.
    fn set(&self, date: Option<&str>) {
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(time) = date.and_then(|date| Timestamp::from_second(date.timestamp()).ok()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, Instant::now()));
        }
    }

    /// The time now; that of this machine if no answer had one.
    pub(super) fn now(&self) -> Timestamp {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.and_then(|(time, at)| time.checked_add(at.elapsed()).ok()).unwrap_or_else(Timestamp::now)
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    #[tokio::test]
    async fn time_is_that_of_the_api_server() {
        let clock = ClusterClock::default();
        let server = tower::service_fn(|_: Request<Body>| async {
            let answer =
                Response::builder().header("date", "Sun, 06 Nov 1994 08:49:37 GMT").body(Body::empty());
            Ok::<_, std::io::Error>(answer.expect("an answer"))
        });
        let client = clock.watching(Client::new(server, "default"));
        assert!(clock.now() > "2026-01-01T00:00:00Z".parse().expect("a time"));
        client.send(Request::new(Body::empty())).await.expect("an answer");
        let ahead = clock.now().duration_since("1994-11-06T08:49:37Z".parse().expect("a time"));
        assert!((0..60).contains(&ahead.as_secs()), "{ahead}");
    }
}
