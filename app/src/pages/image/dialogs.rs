//! The dialog that deletes an image.

use leptos::prelude::*;
use model::Image;

use crate::api::images::DeleteImage;
use crate::components::confirm::ConfirmDialog;
use crate::components::field::{TextField, action_error};
use crate::components::form_error::FormError;
use crate::components::icon::Icon;
use crate::format;

/// The dialog that deletes an image.
#[component]
pub fn DeleteDialog(
    /// The image.
    image: Image,
    /// The action that deletes it.
    action: ServerAction<DeleteImage>,
) -> impl IntoView {
    let error = action_error(action);
    let back = format!("/images/{}", image.id);
    let consequence = match image.stored_bytes {
        Some(_) => format!(
            "Its objects in the store ({}) will be permanently deleted. Instances that were restored from it are kept.",
            format::bytes_or_dash(image.stored_bytes)
        ),
        None => "The image will be removed from the list. The store holds no objects of it.".to_owned(),
    };
    view! {
        <ConfirmDialog title=format!("Delete {}?", image.name) danger=true>
            <p>{consequence}</p>
            <FormError error fields=&["confirm"]/>
            <ActionForm action=action attr:class="form">
                <input type="hidden" name="id" value=image.id.to_string()/>
                <TextField name="confirm" label=format!("Type {} to confirm", image.name) error required=true mono=true/>
                <div class="actions">
                    <button class="btn danger primary" disabled=move || action.pending().get()><Icon name="trash"/>"Delete image"</button>
                    <a class="btn" href=back>"Cancel"</a>
                </div>
            </ActionForm>
        </ConfirmDialog>
    }
    .into_any()
}
