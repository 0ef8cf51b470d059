//! A network that drops everything between a worker and the database without closing a connection, or loses a reply.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Test;
use crate::fixture::Fixture;
use crate::proxy::Proxy;
use crate::script::Script;

/// The options of a worker's pool that connects through the proxy.
fn through(proxy: &Proxy, db: &PgConnectOptions) -> (PgPoolOptions, PgConnectOptions) {
    let options = workflow::pool_options().max_connections(10).acquire_timeout(Duration::from_secs(10));
    (options, db.clone().host("127.0.0.1").port(proxy.port()))
}

#[sqlx::test(migrations = "../../migrations")]
async fn runs_continue_after_a_silent_network_and_lose_no_attempt(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let proxy = Proxy::start(&db).await?;
    let fixture = Fixture::new(db.clone()).await?;
    let (options, connect) = through(&proxy, &db);
    let _worker = fixture.worker_on(options.connect_with(connect).await?, "one");
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(fixture.start(&Script { blocks: vec!["B".into()], ..Script::default() }).await?);
    }
    fixture.until_called("B1", runs.len()).await?;
    for run in &runs {
        // One more lost worker would fail the run.
        fixture.execute(*run, "update toygres.run set claims = 10 where id = $1").await?;
    }
    // The worker's search for due runs waits for this lock: its response will be lost.
    let mut lock = fixture.db.begin().await?;
    sqlx::query("lock table toygres.run in access exclusive mode").execute(&mut *lock).await?;
    let waiting = "select exists (select from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock' and query like '%due_at%')";
    while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&fixture.db).await? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.block();
    lock.rollback().await?;
    fixture.recorder.open_gate();
    let held = "select exists (select from toygres.run where lease_until > clock_timestamp())";
    while sqlx::query_scalar::<_, bool>(held).fetch_one(&fixture.db).await? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.unblock();
    for run in runs {
        assert_eq!(fixture.end(run).await?, "succeeded", "{:?}", fixture.error_code(run).await?);
        assert_eq!(fixture.steps(run).await?, ["A done 1", "B done 1", "C done 1"]);
    }
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn half_open_connection_of_the_listener_is_replaced(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let proxy = Proxy::start(&db).await?;
    let fixture = Fixture::new(db.clone()).await?;
    let (options, connect) = through(&proxy, &db);
    let stop = CancellationToken::new();
    let (send, mut changed) = mpsc::unbounded_channel();
    let listening = workflow::listen(options.connect_lazy_with(connect), stop.clone(), move |run| {
        let _ = send.send(run);
    });
    let listening = tokio::spawn(listening);
    assert_eq!(changed.recv().await, Some(None));
    proxy.block();
    // Nothing arrives over the open connection any more.
    fixture.start(&Script::default()).await?;
    proxy.unblock();
    assert_eq!(changed.recv().await, Some(None), "the connection was not replaced");
    let run = fixture.start(&Script::default()).await?;
    while changed.recv().await != Some(Some(run.0)) {}
    stop.cancel();
    Ok(listening.await?)
}

#[sqlx::test(migrations = "../../migrations")]
async fn lost_replies_repeat_no_attempt(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let proxy = Proxy::start(&db).await?;
    let fixture = Fixture::new(db.clone()).await?;
    let (options, connect) = through(&proxy, &db);
    let _worker = fixture.worker_on(options.connect_with(connect).await?, "one");
    // Every second request of a run, among them those that commit. The test ends when a run needs fewer requests.
    for number in (0..).step_by(2) {
        fixture.recorder.clear();
        proxy.lose_reply_after(number);
        let run = fixture.start(&Script::default()).await?;
        assert_eq!(
            fixture.end(run).await?,
            "succeeded",
            "request {number}: {:?}",
            fixture.error_code(run).await?
        );
        assert_eq!(fixture.steps(run).await?, ["A done 1", "B done 1", "C done 1"], "request {number}");
        let calls = fixture.recorder.calls();
        for step in ["A1", "B1", "C1"] {
            let times = calls.iter().filter(|call| call.starts_with(step)).count();
            assert!((1..=2).contains(&times), "request {number}: {step} was called {times} times");
        }
        assert_eq!(fixture.locks().await?, 0, "request {number}");
        if !proxy.has_lost_reply() {
            assert!(number > 10, "no reply was lost: the test tests nothing");
            break;
        }
    }
    Ok(())
}

/// A call of `begin` that is dropped between its request and the response, as at a lost claim or a client that disconnects.
#[sqlx::test(migrations = "../../migrations")]
async fn cancelled_begin_leaves_no_transaction(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db.clone()).await?;
    let one = workflow::pool_options().max_connections(1).connect_with(db).await?;
    let mut connection = one.acquire().await?;
    {
        let mut begin = std::pin::pin!(sqlx::Connection::begin(&mut *connection));
        assert!(futures::poll!(begin.as_mut()).is_pending(), "the request was answered at once");
    }
    drop(connection);
    sqlx::query("create table written ()").execute(&one).await?;
    sqlx::query("insert into written default values").execute(&one).await?;
    let seen: i64 = sqlx::query_scalar("select count(*) from written").fetch_one(&fixture.db).await?;
    assert_eq!(seen, 1);
    Ok(())
}
