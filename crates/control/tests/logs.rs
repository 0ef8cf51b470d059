//! A run's log while it grows.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use model::{LogFilter, LogStretch, RunId};
use sqlx::PgPool;
use world::World;

/// A page of the log says what it holds: no line of it is newer than its newest, or whoever goes on from there gets it twice.
#[sqlx::test(migrations = "../../migrations")]
async fn a_page_is_of_one_moment(db: PgPool) {
    let world = World::new(&db).await;
    let run = RunId::new();
    sqlx::query("insert into toygres.run (id, name, version, pool, input, labels) values ($1, 'none', 1, 'none', '{}', '{\"title\": \"none\"}')")
        .bind(run.0)
        .execute(&db)
        .await
        .unwrap();
    let writes = async {
        for n in 0..400 {
            let line = sqlx::query("select toygres.log_line($1, 'info', 'step', $2)");
            line.bind(run.0).bind(format!("line {n}")).execute(&db).await.unwrap();
        }
    };
    let reads = async {
        let searched = LogFilter { search: "line".to_owned(), ..LogFilter::default() };
        for n in 0..400 {
            let filter = if n % 2 == 0 { LogFilter::default() } else { searched.clone() };
            let page =
                control::runs::log_page(&world.services, run, &filter, LogStretch::Last, 500).await.unwrap();
            let last = page.lines.last().map_or(0, |line| line.n);
            assert_eq!((last, page.matches), (page.newest, page.newest));
        }
    };
    tokio::join!(writes, reads);
    world.end().await;
}
