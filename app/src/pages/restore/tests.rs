//! Snapshots of the restore wizard.

use leptos::prelude::*;

use super::RestoreWizardView;
use crate::pages::fixtures::restore_view;
use crate::testing::assert_text;

#[test]
fn restore_wizard() {
    for (name, verdicts) in [
        ("page_restore_target", None),
        ("page_restore_ready", Some(&["ok"][..])),
        ("page_restore_warnings", Some(&["warn", "warn", "ok"][..])),
        ("page_restore_blocked", Some(&["fail", "warn"][..])),
    ] {
        let view = restore_view(verdicts);
        assert_text(name, move || view! { <RestoreWizardView view action=ServerAction::new()/> });
    }
}
