//! The overview never says that all is well above a problem.

use leptos::prelude::*;
use model::overview::OverviewInstance;
use model::{Role, Run, RunState};

use super::OverviewView;
use super::summary::Summary;
use crate::pages::fixtures;
use crate::testing::assert_text;
use crate::testing::fixtures::{now, run};

/// The summary as the page shows it.
fn summary(instances: Vec<OverviewInstance>, attention: usize) -> String {
    let page = fixtures::overview(instances, vec![]);
    let summary = Summary::new(&page.overview, attention, now());
    let counts = summary.counts.iter().map(|(remark, count)| format!("{count} {}", remark.label()));
    let badge = summary.style().map_or_else(|| "no badge".to_owned(), |style| style.label);
    format!("{badge}: {}{}", summary.sentence, counts.collect::<Vec<_>>().join(", "))
}

#[test]
fn fleet_is_protected_only_if_every_instance_is_healthy_and_protected() {
    let all = vec![fixtures::protected("a"), fixtures::protected("bb")];
    assert_eq!(summary(all, 0), "protected: All 2 instances are healthy and protected.");
    let one = vec![fixtures::protected("a")];
    assert_eq!(summary(one, 0), "protected: The instance is healthy and protected.");
}

#[test]
fn unprotected_instances_are_counted() {
    for (instance, label) in [
        (fixtures::without_image("bb"), "without an image"),
        (fixtures::with_old_image("bb"), "without a recent image"),
        (fixtures::with_failed_attempt("bb"), "without a recent image"),
        (fixtures::with_partial_image("bb"), "with a partial image"),
        (fixtures::with_unproven_image("bb"), "with an unproven image"),
        (fixtures::down("bb"), "not responding"),
        (fixtures::without_worker("bb"), "without the background worker"),
    ] {
        let text = summary(vec![fixtures::protected("a"), instance], 0);
        assert_eq!(text, format!("needs attention: 1 protected, 1 {label}"));
    }
}

#[test]
fn stopped_instance_is_neither_healthy_nor_a_problem() {
    let text = summary(vec![fixtures::protected("a"), fixtures::stopped("bb")], 0);
    assert_eq!(text, "no badge: 1 protected, 1 stopped");
}

#[test]
fn items_that_need_attention_come_first() {
    let text = summary(vec![fixtures::protected("a")], 2);
    assert_eq!(text, "needs attention: 2 items need attention.");
}

#[test]
fn overview_page() {
    let instances = vec![
        fixtures::protected("a"),
        fixtures::without_image("bb"),
        fixtures::with_partial_image("ccc"),
        fixtures::down("dddd"),
    ];
    let stuck = Run { title: "Back up billing".to_owned(), ..run(RunState::Stuck) };
    let page = fixtures::overview(instances, vec![run(RunState::Running), run(RunState::Undoing), stuck]);
    assert_text("page_overview", move || view! { <OverviewView page role=Role::Operator/> });
    let page = fixtures::overview(vec![fixtures::protected("a")], vec![]);
    assert_text("page_overview_protected", move || view! { <OverviewView page role=Role::Viewer/> });
}

#[test]
fn first_start_page() {
    let page = fixtures::overview(vec![], vec![]);
    let bare = crate::api::overview::OverviewPage { has_store: false, versions: vec![], ..page.clone() };
    assert_text("page_first_start", move || view! { <OverviewView page role=Role::Operator/> });
    assert_text("page_first_start_bare", move || view! { <OverviewView page=bare role=Role::Viewer/> });
}
