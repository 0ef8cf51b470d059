//! Server-sent events: whoever comes back gets what was missed, once.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use serde_json::{Value, json};
use toygres::{Toygres, log_in, psql, succeeds};

/// What one connection was told: the numbers of lines, the id of its last event, up to where it was skipped, and whether
/// it came to the end.
struct Told {
    lines: Vec<i64>,
    id: Option<i64>,
    skipped: Option<i64>,
    ended: bool,
}

/// Listens until the end, or until so many log events came.
async fn listen(client: &reqwest::Client, url: &str, last: Option<i64>, most: usize) -> Told {
    let mut request = client.get(url);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut told = Told { lines: Vec::new(), id: last, skipped: None, ended: false };
    let (mut text, mut events) = (String::new(), 0);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text += &String::from_utf8_lossy(&chunk);
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            match field("event:") {
                Some("log") => {
                    let lines: Vec<Value> = serde_json::from_str(field("data:").unwrap()).unwrap();
                    told.lines.extend(lines.iter().map(|line| line["n"].as_i64().unwrap()));
                    told.id = field("id:").map(|id| id.parse().unwrap());
                    events += 1;
                }
                Some("skipped") => told.skipped = field("data:").map(|to| to.parse().unwrap()),
                Some("end") => told.ended = true,
                _ => {}
            }
            text = rest.to_owned();
            if told.ended || events == most {
                return told;
            }
        }
    }
    told
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke_off() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let made: Value = client
        .post(toygres.url("/api/instances"))
        .json(&json!({ "name": "followed" }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let run = made["run_id"].as_str().unwrap();
    let url = toygres.url(&format!("/api/runs/{run}/events"));
    // The connection breaks after each event; the browser comes back with the id of the last one.
    let (mut lines, mut last, mut connections) = (Vec::new(), None, 0);
    loop {
        let told = listen(&client, &url, last, 1).await;
        lines.extend(told.lines);
        (last, connections) = (told.id, connections + 1);
        if told.ended {
            break;
        }
    }
    succeeds(&client, &toygres, run).await;
    assert!(connections > 3, "{connections} connections only");
    let count = i64::try_from(lines.len()).unwrap();
    assert_eq!(lines, (1..=count).collect::<Vec<i64>>(), "each line once, in order");
    // The header counts, also against an older place in the address.
    let half = count / 2;
    let told = listen(&client, &format!("{url}?after=0"), Some(half), usize::MAX).await;
    assert!(told.ended);
    assert_eq!(told.lines, (half + 1..=count).collect::<Vec<i64>>());
    let told = listen(&client, &url, Some(count), usize::MAX).await;
    assert!(told.ended && told.lines.is_empty());
    // Who shows the newest lines only is told what it does not get, and gets those.
    let told = listen(&client, &format!("{url}?after=0&jump=2"), None, usize::MAX).await;
    assert!(told.ended);
    assert_eq!((told.skipped, told.lines), (Some(count - 2), vec![count - 1, count]));
    let told = listen(&client, &format!("{url}?jump={count}"), None, usize::MAX).await;
    assert_eq!((told.skipped, told.lines.len()), (None, usize::try_from(count).unwrap()));
}

#[tokio::test]
async fn a_page_hears_of_an_instance_that_no_run_changed() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let mut stream = client.get(toygres.url("/api/events")).send().await.unwrap();
    let mut hears = async || {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(10), stream.chunk()).await;
        String::from_utf8_lossy(&chunk.expect("nothing was told").unwrap().unwrap()).into_owned()
    };
    let added = "insert into toygres.instance (id, name, platform, origin, status, image_type, username, database, tls, host, port)
         select gen_random_uuid(), 'added', id, 'external', 'running', 'stock', 'postgres', 'postgres', 'prefer', 'db.test', 5432
         from toygres.platform";
    for change in [added, "update toygres.instance set health = 'down'", "delete from toygres.instance"] {
        psql(&toygres.database, change);
        assert!(hears().await.contains("event: changed"), "{change}");
    }
}
