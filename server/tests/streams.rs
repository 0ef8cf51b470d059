//! Server-sent events: a client that reconnects receives every missed event once.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use serde_json::{Value, json};
use toygres::{Toygres, log_in, psql, succeeds};

/// What one connection received.
struct Received {
    /// The numbers of the log lines.
    lines: Vec<i64>,
    /// The id of the last event.
    id: Option<i64>,
    /// The number of the last skipped line.
    skipped: Option<i64>,
    /// Whether the event `end` arrived.
    ended: bool,
}

/// Receives events until the end, or until `most` log events arrived.
async fn listen(client: &reqwest::Client, url: &str, last: Option<i64>, most: usize) -> Received {
    let mut request = client.get(url);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut received = Received { lines: Vec::new(), id: last, skipped: None, ended: false };
    let (mut text, mut events) = (String::new(), 0);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text += &String::from_utf8_lossy(&chunk);
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            match field("event:") {
                Some("log") => {
                    let lines: Vec<Value> = serde_json::from_str(field("data:").unwrap()).unwrap();
                    received.lines.extend(lines.iter().map(|line| line["n"].as_i64().unwrap()));
                    received.id = field("id:").map(|id| id.parse().unwrap());
                    events += 1;
                }
                Some("skipped") => received.skipped = field("data:").map(|to| to.parse().unwrap()),
                Some("end") => received.ended = true,
                _ => {}
            }
            text = rest.to_owned();
            if received.ended || events == most {
                return received;
            }
        }
    }
    received
}

#[tokio::test]
async fn stream_continues_after_a_broken_connection() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let created: Value = client
        .post(toygres.url("/api/instances"))
        .json(&json!({ "name": "followed" }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let run = created["run_id"].as_str().unwrap();
    let url = toygres.url(&format!("/api/runs/{run}/events"));
    // The connection breaks after each event, and the client reconnects with the id of the last one.
    let (mut lines, mut last, mut connections) = (Vec::new(), None, 0);
    loop {
        let received = listen(&client, &url, last, 1).await;
        lines.extend(received.lines);
        (last, connections) = (received.id, connections + 1);
        if received.ended {
            break;
        }
    }
    succeeds(&client, &toygres, run).await;
    assert!(connections > 3, "{connections} connections only");
    let count = i64::try_from(lines.len()).unwrap();
    assert_eq!(lines, (1..=count).collect::<Vec<i64>>(), "lines are missing, repeated or out of order");
    // The header overrides the query.
    let half = count / 2;
    let received = listen(&client, &format!("{url}?after=0"), Some(half), usize::MAX).await;
    assert!(received.ended);
    assert_eq!(received.lines, (half + 1..=count).collect::<Vec<i64>>());
    let received = listen(&client, &url, Some(count), usize::MAX).await;
    assert!(received.ended && received.lines.is_empty());
    // A client that shows the newest lines only learns which lines were skipped.
    let received = listen(&client, &format!("{url}?after=0&jump=2"), None, usize::MAX).await;
    assert!(received.ended);
    assert_eq!((received.skipped, received.lines), (Some(count - 2), vec![count - 1, count]));
    let received = listen(&client, &format!("{url}?jump={count}"), None, usize::MAX).await;
    assert_eq!((received.skipped, received.lines.len()), (None, usize::try_from(count).unwrap()));
    // The stream of a run whose lines were deleted after the retention ends, too.
    psql(&toygres.database, "truncate toygres.log_chunk");
    let received = listen(&client, &url, None, usize::MAX).await;
    assert!(received.ended && received.lines.is_empty());
}

#[tokio::test]
async fn changed_instance_sends_an_event_without_a_run() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let mut stream = client.get(toygres.url("/api/events")).send().await.unwrap();
    let mut next_event = async || {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(10), stream.chunk()).await;
        String::from_utf8_lossy(&chunk.expect("no event arrived").unwrap().unwrap()).into_owned()
    };
    let added = "insert into toygres.instance (id, name, platform, origin, status, image_type, username, database, tls, host, port)
         select gen_random_uuid(), 'added', id, 'external', 'running', 'stock', 'postgres', 'postgres', 'prefer', 'db.test', 5432
         from toygres.platform";
    for change in [added, "update toygres.instance set health = 'down'", "delete from toygres.instance"] {
        psql(&toygres.database, change);
        assert!(next_event().await.contains("event: changed"), "{change}");
    }
}

/// What changes between the rendering of a page and the opening of its stream is not lost.
#[tokio::test]
async fn stream_begins_with_a_change_that_the_page_has_not_seen() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let events = |seen: &str| client.get(toygres.url(&format!("/api/events?seen={seen}"))).send();
    let mut stream = events("of-another-process").await.unwrap();
    let limit = std::time::Duration::from_secs(10);
    let chunk =
        tokio::time::timeout(limit, stream.chunk()).await.expect("no event arrived").unwrap().unwrap();
    assert!(String::from_utf8_lossy(&chunk).contains("event: changed"));
}
