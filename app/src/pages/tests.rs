//! Snapshots of the lists, the forms and the pages without a login.

use leptos::prelude::*;
use model::{ImageStatus, Role, RunState};

use super::add_instance::AddInstanceView;
use super::errors::NotFound;
use super::fixtures;
use super::images::ImagesView;
use super::instances::InstancesView;
use super::login::LoginView;
use super::new_instance::NewInstanceView;
use super::password::PasswordView;
use super::runs::RunsView;
use super::sudo::SudoView;
use crate::api::images::{Catalogue, ImageFilter};
use crate::api::runs::RunFilter;
use crate::testing::assert_text;
use crate::testing::fixtures::{image, run};

fn memo<T: Clone + PartialEq + Send + Sync + 'static>(value: T) -> Memo<T> {
    Memo::new(move |_| value.clone())
}

#[test]
fn instances_list_counts_states_and_puts_problems_first() {
    let rows = [
        fixtures::protected("a"),
        fixtures::without_image("bb"),
        fixtures::down("ccc"),
        fixtures::stopped("dddd"),
    ];
    let rows: Vec<_> = rows.into_iter().map(fixtures::list_row).collect();
    assert_text("page_instances", move || view! { <InstancesView rows role=Role::Operator/> });
    assert_text("page_instances_empty", || view! { <InstancesView rows=vec![] role=Role::Operator/> });
}

#[test]
fn new_instance_form() {
    let versions = vec![(17, "17.10".to_owned()), (15, "15.20".to_owned())];
    assert_text("page_new_instance", move || {
        view! { <NewInstanceView place=fixtures::place(false) versions action=ServerAction::new()/> }
    });
    assert_text("page_new_instance_no_postgres", || {
        view! { <NewInstanceView place=fixtures::place(false) versions=vec![] action=ServerAction::new()/> }
    });
}

#[test]
fn add_instance_form_offers_a_secret_on_kubernetes() {
    assert_text(
        "page_add_instance",
        || view! { <AddInstanceView kubernetes=false action=ServerAction::new()/> },
    );
    assert_text("page_add_instance_kubernetes", || {
        view! { <AddInstanceView kubernetes=true action=ServerAction::new()/> }
    });
}

#[test]
fn images_list_shows_partial_images_and_failed_attempts() {
    let corrupt = model::Image { status: ImageStatus::Corrupt, ..image() };
    let long_name = model::Image { name: "n".repeat(63), ..fixtures::proven() };
    let catalogue = Catalogue {
        images: fixtures::page(vec![long_name, fixtures::partial(), corrupt]),
        instances: vec!["orders".to_owned()],
        failed_attempts: 3,
        may: true,
    };
    let empty = Catalogue { images: fixtures::page(vec![]), ..catalogue.clone() };
    let filtered = empty.clone();
    let by_name = ImageFilter { search: "nightly".to_owned(), ..ImageFilter::default() };
    assert_text("page_images", move || view! { <ImagesView catalogue filter=ImageFilter::default()/> });
    assert_text("page_images_empty", move || {
        view! { <ImagesView catalogue=empty filter=ImageFilter::default()/> }
    });
    assert_text("page_images_no_match", move || view! { <ImagesView catalogue=filtered filter=by_name/> });
}

#[test]
fn runs_list_names_a_filter_that_its_form_does_not_show() {
    let runs = fixtures::page(RunState::ALL.iter().map(|state| run(*state)).collect());
    let of_instance = RunFilter {
        instance: image().instance.map(|id| id.to_string()).unwrap_or_default(),
        ..RunFilter::default()
    };
    assert_text("page_runs", move || view! { <RunsView runs filter=of_instance/> });
    assert_text("page_runs_empty", || {
        view! { <RunsView runs=fixtures::page(vec![]) filter=RunFilter::default()/> }
    });
}

#[test]
fn pages_without_a_login() {
    assert_text("page_login", || {
        let error = Some("Incorrect user name or password.".to_owned());
        view! { <LoginView next=memo("/".to_owned()) username=memo(Some("ann".to_owned())) error=memo(error)/> }
    });
    assert_text("page_sudo", || {
        view! { <SudoView next=memo("/images/3?ask=delete".to_owned()) error=memo(None)>""</SudoView> }
    });
    assert_text("page_not_found", || view! { <NotFound/> });
}

#[test]
fn password_form_requires_a_new_password_after_the_first_login() {
    for (name, is_first) in [("page_password", false), ("page_password_first", true)] {
        assert_text(name, move || {
            view! {
                <PasswordView next=memo("/".to_owned()) is_first=memo(is_first) old_error=memo(None) new_error=memo(None)>
                    ""
                </PasswordView>
            }
        });
    }
}
