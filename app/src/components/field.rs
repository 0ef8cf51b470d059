//! Form fields: a label, an input, and below it the hint or the error. The input is kept, with and without WASM.

use leptos::prelude::*;

use super::icon::Icon;
use crate::error::UiError;

/// The error of a form's last submission, if it failed.
pub type ActionError = Signal<Option<UiError>>;

/// The error of a server action's last call; `None` while a call is pending.
#[must_use]
pub fn action_error<T, S>(action: ServerAction<S>) -> ActionError
where
    T: Send + Sync + Clone + 'static,
    S: leptos::server_fn::ServerFn<Output = T, Error = UiError> + Clone + Send + Sync + 'static,
{
    let value = action.value();
    let pending = action.pending();
    Signal::derive(move || if pending.get() { None } else { value.get().and_then(Result::err) })
}

/// The message of an error that belongs to the field `name`.
fn field_message(error: ActionError, name: &'static str) -> Memo<Option<String>> {
    Memo::new(move |_| {
        error.with(|error| {
            error
                .as_ref()
                .filter(|error| error.field.as_deref() == Some(name))
                .map(|error| error.message.clone())
        })
    })
}

/// The input of the last submission, for a form that is rendered again without WASM; `default` if there is none.
fn previous_input(error: ActionError, name: &str, default: Option<String>) -> Option<String> {
    error.with_untracked(|error| error.as_ref().and_then(|error| error.input.get(name).cloned())).or(default)
}

/// A one-line text field.
#[component]
pub fn TextField(
    /// The field's name in the form and its element id.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// The form's error.
    #[prop(into)]
    error: ActionError,
    /// The hint below the field; the error replaces it.
    #[prop(optional, into)]
    hint: Option<String>,
    /// The initial value.
    #[prop(optional, into)]
    value: Option<String>,
    /// `text`, `password`, `number`, …
    #[prop(default = "text")]
    kind: &'static str,
    /// The `autocomplete` attribute.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// Whether the browser requires a value.
    #[prop(optional)]
    required: bool,
    /// Whether the field has the focus when the page opens.
    #[prop(optional)]
    autofocus: bool,
    /// An example value.
    #[prop(optional, into)]
    placeholder: Option<String>,
    /// Whether the text is monospaced, as for names and keys.
    #[prop(optional)]
    mono: bool,
) -> impl IntoView {
    let message = field_message(error, name);
    let value = if kind == "password" { None } else { previous_input(error, name, value) };
    let note = format!("{name}-note");
    let described = note.clone();
    view! {
        <p class="field">
            <label for=name>{label}</label>
            <input
                id=name
                name=name
                type=kind
                class:mono=mono
                value=value
                placeholder=placeholder
                required=required
                autofocus=autofocus
                autocomplete=autocomplete
                autocapitalize="none"
                spellcheck="false"
                aria-invalid=move || message.get().map(|_| "true")
                aria-describedby=described
            />
            <FieldNote id=note message hint/>
        </p>
    }
    .into_any()
}

/// A multi-line text field.
#[component]
pub fn AreaField(
    /// The field's name in the form and its element id.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// The form's error.
    #[prop(into)]
    error: ActionError,
    /// The hint below the field; the error replaces it.
    #[prop(into)]
    hint: String,
    /// The initial value.
    #[prop(into)]
    value: String,
) -> impl IntoView {
    let message = field_message(error, name);
    let note = format!("{name}-note");
    let described = note.clone();
    view! {
        <p class="field">
            <label for=name>{label}</label>
            <textarea
                id=name
                name=name
                class="mono"
                rows="3"
                spellcheck="false"
                aria-invalid=move || message.get().map(|_| "true")
                aria-describedby=described
            >
                {value}
            </textarea>
            <FieldNote id=note message hint=Some(hint)/>
        </p>
    }
    .into_any()
}

/// A select field.
#[component]
pub fn SelectField(
    /// The field's name in the form and its element id.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// The form's error.
    #[prop(into)]
    error: ActionError,
    /// Values and their labels.
    options: Vec<(String, String)>,
    /// The initial value.
    #[prop(optional, into)]
    value: Option<String>,
    /// The hint below the field; the error replaces it.
    #[prop(optional, into)]
    hint: Option<String>,
) -> impl IntoView {
    let message = field_message(error, name);
    let chosen = previous_input(error, name, value);
    let note = format!("{name}-note");
    let described = note.clone();
    view! {
        <p class="field">
            <label for=name>{label}</label>
            <select id=name name=name aria-invalid=move || message.get().map(|_| "true") aria-describedby=described>
                {options
                    .into_iter()
                    .map(|(value, label)| {
                        let selected = chosen.as_deref() == Some(value.as_str());
                        view! { <option value=value selected=selected>{label}</option> }
                    })
                    .collect_view()}
            </select>
            <FieldNote id=note message hint/>
        </p>
    }
    .into_any()
}

/// The error of a field, or else its hint.
#[component]
fn FieldNote(id: String, message: Memo<Option<String>>, hint: Option<String>) -> impl IntoView {
    view! {
        <span id=id class="note" aria-live="polite">
            {move || match message.get() {
                Some(message) => {
                    leptos::either::Either::Left(
                        view! { <span class="error"><Icon name="s-warn"/>" "{message}</span> },
                    )
                }
                None => leptos::either::Either::Right(hint.clone().map(|hint| view! { <span class="hint">{hint}</span> })),
            }}
        </span>
    }
    .into_any()
}

/// A checkbox.
#[component]
pub fn CheckField(
    /// The field's name in the form and its element id.
    name: &'static str,
    /// The label beside the box.
    #[prop(into)]
    label: String,
    /// The form's error.
    #[prop(into)]
    error: ActionError,
    /// The hint below the box.
    #[prop(optional, into)]
    hint: Option<String>,
) -> impl IntoView {
    let checked = previous_input(error, name, None).is_some_and(|value| !value.is_empty());
    view! {
        <p class="field">
            <label class="check">
                <input type="checkbox" name=name id=name value="true" checked=checked/>
                <span>{label}</span>
            </label>
            {hint.map(|hint| view! { <span class="hint">{hint}</span> })}
        </p>
    }
}

/// A list of checkboxes, which the server function receives as a `Vec`.
#[component]
pub fn ChoicesField(
    /// The name of the list in the form.
    name: &'static str,
    /// The names that can be selected.
    choices: Vec<String>,
    /// The legend.
    #[prop(into)]
    label: String,
    /// The hint below the legend.
    #[prop(into)]
    hint: String,
    /// The form's error; its input holds the selected names, one a line.
    #[prop(into)]
    error: ActionError,
) -> impl IntoView {
    let selected = previous_input(error, name, None).unwrap_or_default();
    view! {
        <fieldset class="field">
            <legend>{label}</legend>
            <span class="hint">{hint}</span>
            {choices
                .into_iter()
                .enumerate()
                .map(|(i, choice)| {
                    let checked = selected.lines().any(|line| line == choice);
                    view! {
                        <label class="check">
                            <input type="checkbox" name=format!("{name}[{i}]") value=choice.clone() checked=checked/>
                            <code>{choice}</code>
                        </label>
                    }
                })
                .collect_view()}
        </fieldset>
    }
    .into_any()
}
