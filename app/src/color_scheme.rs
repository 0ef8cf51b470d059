//! The color scheme that the user selected in the settings.

/// `light` or `dark`, from the cookie of the request; `None` means the system's.
#[cfg(feature = "ssr")]
pub(crate) fn scheme() -> Option<String> {
    crate::api::cookies::scheme(&leptos::prelude::use_context::<http::request::Parts>()?)
}

/// `light` or `dark`, from the document; `None` means the system's.
#[cfg(not(feature = "ssr"))]
pub(crate) fn scheme() -> Option<String> {
    leptos::prelude::document().document_element()?.get_attribute("data-scheme")
}
