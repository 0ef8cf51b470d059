//! A log of 200,000 lines: its page is small, its search covers all lines, and its download is streamed.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use futures::StreamExt;
use serde_json::Value;
use toygres::{NAME, PASSWORD, Toygres, psql};

const RUN: &str = "0190d0b8-6d5f-7000-8000-00000000c0de";
const LINES: usize = 200_000;

async fn log_in(toygres: &Toygres) -> reqwest::Client {
    let client = reqwest::Client::builder().cookie_store(true).build().unwrap();
    let form = [("username", NAME), ("password", PASSWORD)];
    client.post(toygres.url("/login")).form(&form).send().await.unwrap();
    client
}

/// Inserts an ended run with lines of 200 bytes; every 10,000th is an error.
fn fill(toygres: &Toygres) {
    psql(
        &toygres.database,
        &format!(
            "insert into toygres.run (id, name, version, pool, input, labels, state, due_at, finished_at)
                 values ('{RUN}', 'create-image', 1, 'none', '{{}}', '{{\"title\": \"Back up orders\"}}', 'succeeded', null, now());
             insert into toygres.log_chunk (run_id, first, last, lines)
                 select '{RUN}', c, c + 499, (select jsonb_agg(jsonb_build_object('at', '2026-11-24T00:00:00Z',
                     'level', case when n % 10000 = 0 then 'error' else 'info' end, 'step', 'RunBackupJob',
                     'message', 'Line ' || n || ' of 100% ' || repeat('x', 180)) order by n) from generate_series(c, c + 499) n)
                 from generate_series(1, {LINES}, 500) c;
             insert into toygres.run_log values ('{RUN}', {LINES})"
        ),
    );
}

/// The numbers of the lines in a page.
fn shown(page: &str) -> Vec<usize> {
    page.split("<li id=\"L").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn downloaded_log_has_no_forged_lines() {
    let toygres = Toygres::start();
    // As an earlier version stored it.
    psql(
        &toygres.database,
        &format!(
            "insert into toygres.run (id, name, version, pool, input, labels, state, due_at, finished_at)
                 values ('{RUN}', 'create-image', 1, 'none', '{{}}', '{{}}', 'succeeded', null, now());
             insert into toygres.log_chunk (run_id, first, last, lines)
                 select '{RUN}', 1, 1, jsonb_build_array(jsonb_build_object('at', '2026-11-24T00:00:00Z', 'level', 'error',
                     'step', 'RunBackupJob', 'message', E'crash\\n2 2026-11-24T00:00:00Z info X forged\\r\\u001b[2K\\u202edna'));
             insert into toygres.run_log values ('{RUN}', 1)"
        ),
    );
    let client = log_in(&toygres).await;
    let answer = client.get(toygres.url(&format!("/api/runs/{RUN}/log?format=text"))).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert_eq!(
        text,
        "1 2026-11-24T00:00:00.000Z error RunBackupJob crash\\n2 2026-11-24T00:00:00Z info X forged\\r\\u{1b}[2K\\u{202e}dna\n"
    );
}

#[tokio::test]
async fn large_log_is_paged_searched_and_streamed() {
    let toygres = Toygres::start();
    fill(&toygres);
    let client = log_in(&toygres).await;
    let page = async |query: &str| {
        let url = toygres.url(&format!("/runs/{RUN}{query}"));
        client.get(url).send().await.unwrap().text().await.unwrap()
    };

    let last = page("").await;
    assert_eq!(shown(&last), (LINES - 499..=LINES).collect::<Vec<_>>());
    assert!(last.len() < 2_000_000, "the page has {} bytes", last.len());
    assert_eq!(shown(&page("?before=101").await), (1..=100).collect::<Vec<_>>());
    assert_eq!(shown(&page("?after=777").await), (778..=1277).collect::<Vec<_>>());
    assert_eq!(shown(&page("?q=line+123456+of").await), [123_456]);
    assert_eq!(shown(&page("?level=error").await), (1..=20).map(|n| n * 10_000).collect::<Vec<_>>());

    let search = async |query: &str| {
        let answer = client.get(toygres.url(&format!("/api/runs/{RUN}/log?{query}"))).send().await.unwrap();
        let total: usize = answer.headers()["x-total-count"].to_str().unwrap().parse().unwrap();
        let lines: Vec<Value> = answer.json().await.unwrap();
        (total, lines.iter().map(|line| line["n"].as_u64().unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(search("level=error&before=100000&limit=3").await, (20, vec![70_000, 80_000, 90_000]));
    assert_eq!(search("level=error&after=150000&limit=2").await, (20, vec![160_000, 170_000]));
    assert_eq!(search("search=LINE%207%20OF%20100%25").await, (1, vec![7]));
    assert_eq!(search("search=L_ne").await, (0, vec![]));

    let before = toygres.peak_memory();
    let answer = client.get(toygres.url(&format!("/api/runs/{RUN}/log?format=text"))).send().await.unwrap();
    let (mut lines, mut bytes) = (0, 0);
    let mut stream = answer.bytes_stream();
    while let Some(part) = stream.next().await {
        let part = part.unwrap();
        bytes += part.len();
        lines += part.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(lines, LINES);
    assert!(bytes > 40_000_000, "{bytes} bytes were received");
    let grown = toygres.peak_memory() - before;
    assert!(grown < 24_000_000, "the server grew by {grown} bytes for a download of {bytes}");
}
