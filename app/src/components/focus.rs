//! Keyboard focus. It moves only after navigation or user input, never because content was rendered again.

/// Focuses an element without scrolling to it.
#[cfg(feature = "hydrate")]
pub fn focus(element: &leptos::web_sys::Element) {
    use wasm_bindgen::JsCast;
    let options = web_sys::FocusOptions::new();
    options.set_prevent_scroll(true);
    if let Some(element) = element.dyn_ref::<web_sys::HtmlElement>() {
        // An element that is not focusable leaves the focus unchanged.
        let _ = element.focus_with_options(&options);
    }
}

/// Does nothing: on the server there is no focus.
#[cfg(not(feature = "hydrate"))]
pub fn focus(_: &leptos::web_sys::Element) {}
