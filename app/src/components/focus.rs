//! Where the keyboard is: moved only when a person went somewhere, never because something was drawn anew.

/// Puts the focus on an element, without scrolling to it.
#[cfg(feature = "hydrate")]
pub fn focus(element: &leptos::web_sys::Element) {
    use wasm_bindgen::JsCast;
    let options = web_sys::FocusOptions::new();
    options.set_prevent_scroll(true);
    if let Some(element) = element.dyn_ref::<web_sys::HtmlElement>() {
        // An element that cannot take the focus leaves it where it is.
        let _ = element.focus_with_options(&options);
    }
}

/// On the server nothing has the focus.
#[cfg(not(feature = "hydrate"))]
pub fn focus(_: &leptos::web_sys::Element) {}
