//! Random faults over a mixed load, then checks that nothing is stuck, lost or left behind: `cargo xtask soak`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod client;
mod faults;
mod load;
mod oracle;
mod resources;
#[path = "../toygres/mod.rs"]
mod toygres;

use std::time::{Duration, Instant};

use client::Client;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use resources::Resources;
use toygres::Toygres;

/// How many users send requests at the same time.
const USERS: u64 = 3;
/// How long to wait for the end of all runs after the last fault.
const SETTLES_WITHIN: Duration = Duration::from_secs(300);

/// The seed without a setting: a test that is repeated makes the same decisions.
const SEED: u64 = 1;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn random_faults_leave_nothing_stuck_lost_or_behind() {
    let seed = setting("TOYGRES_SOAK_SEED").unwrap_or(SEED);
    let length = Duration::from_secs(60 * setting("TOYGRES_SOAK_MINUTES").unwrap_or(5));
    println!("seed {seed}, {} min", length.as_secs() / 60);
    let mut toygres = Toygres::start_with(quiet);
    let client = Client::new(&toygres);

    // Faults that end the server fill the first half. In the second half it must not grow.
    let half = Instant::now() + length / 2;
    let end = half + length / 2;
    let users: Vec<_> = (0..USERS)
        .map(|user| {
            tokio::spawn(load::user(client.clone(), StdRng::seed_from_u64(seed + 1 + user), user, end))
        })
        .collect();
    let mut rng = StdRng::seed_from_u64(seed);
    faults::inject(&mut toygres, &mut rng, half, true).await;
    let mut used = Vec::new();
    while Instant::now() < end {
        used.push(Resources::of(&toygres));
        let until = end.min(Instant::now() + Duration::from_secs(rng.random_range(10..20)));
        faults::inject(&mut toygres, &mut rng, until, false).await;
    }
    for user in users {
        user.await.unwrap();
    }
    client.print_counts();

    oracle::settles(&client, &toygres, SETTLES_WITHIN).await;
    oracle::check_runs(&client).await;
    oracle::check_images(&client, &toygres).await;
    oracle::check_leftovers(&client, &toygres).await;
    used.push(Resources::of(&toygres));
    resources::assert_flat(&used);
    assert!(toygres.stop().success(), "{}", toygres.log());
}

/// A soak at the level debug would write gigabytes.
fn quiet(server: &mut std::process::Command) {
    server.env("RUST_LOG", "info");
}
