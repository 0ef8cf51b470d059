//! What the lists say about images: which protect their instance, and how many there are.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use control::images::ImageQuery;
use sqlx::PgPool;
use uuid::Uuid;
use world::World;

/// An image of an instance: its status, the databases that it holds and that the source had, and whether it is proven.
async fn insert(db: &PgPool, instance: Uuid, name: &str, status: &str, held: i32, proven: bool) {
    sqlx::query(
        "insert into toygres.image (id, name, instance, instance_name, image_type, status, username, databases,
             source_databases, stored_bytes, store, prefix, manifest, created_by, proven_at)
         select gen_random_uuid(), $1, $2, 'orders', 'stock', $3, 'postgres', $4, 6, 1000, s.id, 'p', '{}', 'admin',
             case when $5 then clock_timestamp() end from toygres.store s",
    )
    .bind(name)
    .bind(instance)
    .bind(status)
    .bind(held)
    .bind(proven)
    .execute(db)
    .await
    .unwrap();
}

#[sqlx::test(migrations = "../../migrations")]
async fn partial_image_does_not_protect_its_instance_and_failed_ones_are_not_counted(db: PgPool) {
    let world = World::new(&db).await;
    let orders = Uuid::now_v7();
    sqlx::query(
        "insert into toygres.instance (id, name, origin, image_type, status, platform, host, port, database, username, tls)
         select $1, 'orders', 'external', 'stock', 'running', id, 'db.example.com', 5432, 'postgres', 'postgres', 'prefer' from toygres.platform",
    )
    .bind(orders)
    .execute(&db)
    .await
    .unwrap();
    insert(&db, orders, "partial", "available", 1, true).await;
    insert(&db, orders, "failed", "failed", 6, false).await;
    let images = async || {
        let instance = control::instances::get(&world.services, "orders").await.unwrap();
        let overview = control::overview::get(&world.services).await.unwrap();
        let proven: i32 = overview.instances[0].days.iter().map(|day| day.proven).sum();
        (instance.last_image_at.is_some(), instance.last_proven_at.is_some(), proven, overview.counts.images)
    };
    assert_eq!(images().await, (false, false, 0, 1));
    insert(&db, orders, "complete", "available", 6, false).await;
    assert_eq!(images().await, (true, false, 0, 2));

    let query = ImageQuery { page: 99, per_page: 1, ..ImageQuery::default() };
    let page = control::images::list(&world.services, query).await.unwrap();
    assert_eq!((page.total, page.page, page.rows.len()), (2, 2, 1), "the last page instead of an empty one");
    let stores = control::stores::list(&world.services).await.unwrap();
    assert_eq!((stores[0].images, stores[0].stored_bytes), (2, 2000));
    world.end().await;
}
