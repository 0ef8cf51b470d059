//! Snapshots of an instance's page and its dialogs.

use leptos::prelude::*;
use model::{Health, Instance, InstanceStatus, Origin, Role, RunState};

use super::{InstanceDetailView, InstanceDialog};
use crate::pages::fixtures::{actor, instance_view, named, partial, proven};
use crate::testing::assert_text;
use crate::testing::fixtures::{failure, instance, run};

#[test]
fn instance_page() {
    let images = vec![partial(), proven()];
    let view = instance_view(instance(), images, vec![run(RunState::Succeeded)]);
    assert_text("page_instance", move || {
        view! { <InstanceDetailView view actor=Some(actor(Role::Admin, true)) start=ServerAction::new()/> }
    });
}

#[test]
fn instance_page_of_a_server_that_does_not_respond() {
    let down = Instance {
        health: Health::Down,
        health_detail: Some(failure()),
        origin: Origin::External,
        ..named("billing")
    };
    let view = instance_view(down, vec![], vec![]);
    assert_text("page_instance_down", move || {
        view! { <InstanceDetailView view actor=Some(actor(Role::Viewer, false)) start=ServerAction::new()/> }
    });
}

#[test]
fn instance_page_without_its_background_worker() {
    let instance = Instance {
        image_type: model::ImageType::PgDurable,
        workers: vec!["checkpointer".to_owned()],
        ..named("billing")
    };
    let view = instance_view(instance, vec![], vec![]);
    assert_text("page_instance_without_worker", move || {
        view! { <InstanceDetailView view actor=Some(actor(Role::Viewer, false)) start=ServerAction::new()/> }
    });
}

#[test]
fn instance_page_after_a_failed_creation() {
    let failed = Instance {
        status: InstanceStatus::Failed,
        health: Health::Unknown,
        health_at: None,
        last_image_at: None,
        last_proven_at: None,
        run: Some(run(RunState::Failed).id),
        ..named("billing")
    };
    let view = instance_view(failed, vec![], vec![run(RunState::Failed)]);
    assert_text("page_instance_failed", move || {
        view! { <InstanceDetailView view actor=Some(actor(Role::Operator, false)) start=ServerAction::new()/> }
    });
}

#[test]
fn instance_dialogs() {
    let external = Instance { origin: Origin::External, ..instance() };
    for (name, dialog, instance) in [
        ("page_instance_backup", "backup", instance()),
        ("page_instance_stop", "stop", instance()),
        ("page_instance_delete", "delete", instance()),
        ("page_instance_disconnect", "delete", external),
    ] {
        let dialog = dialog.to_owned();
        assert_text(name, move || {
            view! { <InstanceDialog instance dialog stop=ServerAction::new() delete=ServerAction::new()/> }
        });
    }
}
