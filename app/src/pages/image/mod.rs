//! One image: what it holds, whether it is proven, what it was restored to, and the actions on it.

mod contents;
mod details;
mod dialogs;
mod header;
mod remarks;
#[cfg(all(test, feature = "ssr"))]
mod tests;

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use model::{ImageDetail, ImageStatus, Role};

use self::contents::Contents;
use self::details::{DetailsPanel, Facts, UsesPanel};
pub use self::dialogs::DeleteDialog;
use self::header::{ImageHeader, Problem};
use self::remarks::Remarks;
use crate::api::images::{DeleteImage, VerifyImage, get_image};
use crate::components::layout::use_current_user;
use crate::components::panel::Panel;
use crate::components::result_view::view_or_error;
use crate::error::UiError;
use crate::live::use_live;

/// The page of one image.
#[component]
pub fn ImagePage() -> impl IntoView {
    let live = use_live();
    let user = use_current_user();
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let detail = Resource::new(
        move || (id.get(), live.version()),
        |(id, _)| async move {
            let id = id.parse().map_err(|_| UiError::new("not_found", "Image not found."))?;
            get_image(id).await
        },
    );
    let query = use_query_map();
    let is_deleting = Memo::new(move |_| query.read().get_str("ask") == Some("delete"));
    let (verify, delete) = (ServerAction::<VerifyImage>::new(), ServerAction::<DeleteImage>::new());
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let (role, sudo) = (user.role().await, user.sudo().await);
                view_or_error(
                    detail.await,
                    move |detail| {
                        let image = detail.image.clone();
                        view! {
                            {move || is_deleting.get().then(|| view! { <DeleteDialog image=image.clone() action=delete/> })}
                            <ImageDetailView detail role sudo verify/>
                        }
                    },
                )
            })}
        </Transition>
    }
    .into_any()
}

/// The view of one image.
#[component]
pub fn ImageDetailView(
    /// The image with its manifest.
    detail: ImageDetail,
    /// The user's role.
    role: Role,
    /// Whether the user confirmed the password within the last minutes.
    sudo: bool,
    /// The action that verifies the image.
    verify: ServerAction<VerifyImage>,
) -> impl IntoView {
    view! {
        <ImageHeader image=detail.image.clone() role sudo verify/>
        <Problem image=detail.image.clone()/>
        <Remarks manifest=detail.manifest.clone()/>
        <Facts image=detail.image.clone()/>
        <div class="cols">
            <div>
                {match detail.manifest.clone() {
                    Some(manifest) => Either::Left(view! { <Contents manifest/> }),
                    None => Either::Right(view! { <NoContents status=detail.image.status/> }),
                }}
            </div>
            <div><UsesPanel detail=detail.clone()/><DetailsPanel detail/></div>
        </div>
    }
    .into_any()
}

#[component]
fn NoContents(status: ImageStatus) -> impl IntoView {
    let text = match status {
        ImageStatus::Creating => "The contents are listed when the backup is complete.",
        ImageStatus::Failed => "None. The backup was rolled back, so nothing is stored.",
        _ => "Contents not available.",
    };
    view! { <Panel id="contents" title="Contents"><p class="body sub">{text}</p></Panel> }
}
