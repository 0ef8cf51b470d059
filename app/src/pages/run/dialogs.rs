//! The dialog that cancels a run.

use leptos::prelude::*;
use model::WorkflowName;
use model::run::RunDetail;

use crate::api::runs::CancelRun;
use crate::components::confirm::ConfirmDialog;
use crate::components::field::action_error;
use crate::components::form_error::FormError;
use crate::components::icon::Icon;

/// The dialog that cancels a run.
#[component]
pub(super) fn CancelDialog(detail: RwSignal<RunDetail>, action: ServerAction<CancelRun>) -> impl IntoView {
    let (id, title, workflow) =
        detail.with_untracked(|detail| (detail.run.id, detail.run.title.clone(), detail.run.workflow));
    let back = format!("/runs/{id}");
    view! {
        <ConfirmDialog title=format!("Cancel \u{201c}{title}\u{201d}?")>
            <p>{consequence(workflow)}</p>
            <FormError error=action_error(action)/>
            <ActionForm action=action>
                <input type="hidden" name="id" value=id.to_string()/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="s-cancel"/>"Cancel run"</button>
                    // "Cancel" would be ambiguous here.
                    <a class="btn" href=back>"Close"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}

/// What is left after the run was cancelled.
fn consequence(workflow: WorkflowName) -> &'static str {
    match workflow {
        WorkflowName::DeleteInstance | WorkflowName::DeleteImage => {
            "The current step stops now. Data that is already deleted cannot be recovered, and what remains may not be usable: delete it again to remove the rest."
        }
        _ => {
            "The current step stops now, and the completed steps are rolled back. Incomplete results are deleted, and existing data is not changed."
        }
    }
}
