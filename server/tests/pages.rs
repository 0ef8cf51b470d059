//! Pages under concurrent load: each has its own Content-Security-Policy.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use toygres::{Toygres, log_in, psql};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_pages_have_their_own_policies() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("favicon.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    let toygres = Toygres::start_with(|server| {
        server.env("LEPTOS_SITE_ROOT", site.path()).env("RUST_LOG", "info");
    });
    let client = log_in(&toygres).await;
    // A browser requests the icon while pages are rendered.
    let mut loads = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (client, page, icon) = (client.clone(), toygres.url("/runs"), toygres.url("/favicon.svg"));
        loads.spawn(async move {
            for _ in 0..60 {
                let url = if n % 2 == 0 { &page } else { &icon };
                let answer = client.get(url).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
                let body = answer.text().await.unwrap();
                if n % 2 == 0 {
                    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
                    let nonce = nonce.unwrap_or_else(|| panic!("a page has no policy: {policy}"));
                    assert!(body.contains(nonce), "a page has the policy of another page");
                } else {
                    assert!(!policy.contains("nonce"), "a file has a page's policy: {policy}");
                }
            }
        });
    }
    while let Some(load) = loads.join_next().await {
        load.unwrap();
    }
    assert!(!toygres.log().contains("without a Content-Security-Policy"), "{}", toygres.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_require_the_role_that_may_submit_them() {
    let toygres = Toygres::start();
    let client = log_in(&toygres).await;
    let pages = ["/instances/new", "/instances/add"];
    let status = async |page: &str| client.get(toygres.url(page)).send().await.unwrap().status().as_u16();
    for page in pages {
        assert_eq!(status(page).await, 200, "{page}");
    }
    psql(&toygres.database, "update toygres.account set role = 'viewer'");
    for page in pages {
        assert_eq!(status(page).await, 403, "{page}");
    }
    for page in ["/", "/instances", "/images", "/runs"] {
        assert_eq!(status(page).await, 200, "{page}");
    }
}
