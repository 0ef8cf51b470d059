//! Snapshot tests: components and pages are rendered on the server from fixtures, and their visible text is compared with
//! `app/snapshots/*.snap`. `cargo insta review` accepts changes.
//!
//! A page is tested through the component that receives its data, not through the one that fetches it:
//!
//! ```ignore
//! testing::assert_text("page_runs", || view! { <PageContent runs=fixtures::page(runs) filter/> });
//! ```

pub(crate) mod fixtures;
mod text;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::components::Router;
use leptos_router::location::RequestUrl;

use crate::components::back_up::BackUpAction;
use crate::components::time::Clock;
use crate::components::toast::Toasts;
use crate::live::Live;

/// Renders a view as the page `/`, with the contexts that the app and its layout provide and that need no server
/// function. The clock stands at [`fixtures::now`].
pub(crate) fn html<V: IntoView + 'static>(view: impl FnOnce() -> V + Send + 'static) -> String {
    Owner::new().with(|| {
        provide_meta_context();
        provide_context(RequestUrl::new("/"));
        provide_context(Clock::at(fixtures::now()));
        provide_context(Live::start());
        provide_context(Toasts::new());
        BackUpAction::provide();
        view! { <Router>{view()}</Router> }.to_html()
    })
}

/// Compares the visible text of a view with the snapshot `name`.
#[track_caller]
pub(crate) fn assert_text<V: IntoView + 'static>(
    name: &'static str,
    view: impl FnOnce() -> V + Send + 'static,
) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text::of_html(&html(view))));
}
