//! Form fields: a label, an input, and under it the hint or what was wrong. What was typed stays, with WASM and without.

use leptos::prelude::*;

use super::icon::Icon;
use crate::error::UiError;

/// The refusal that a form shows, if its last try was refused.
pub type Refused = Signal<Option<UiError>>;

/// The refusal of a server action's last try.
#[must_use]
pub fn refused<T, S>(action: ServerAction<S>) -> Refused
where
    T: Send + Sync + Clone + 'static,
    S: leptos::server_fn::ServerFn<Output = T, Error = UiError> + Clone + Send + Sync + 'static,
{
    let value = action.value();
    let pending = action.pending();
    Signal::derive(move || if pending.get() { None } else { value.get().and_then(Result::err) })
}

/// What was wrong with one field.
fn error_of(refused: Refused, name: &'static str) -> Memo<Option<String>> {
    Memo::new(move |_| {
        refused.with(|refused| {
            refused
                .as_ref()
                .filter(|error| error.field.as_deref() == Some(name))
                .map(|error| error.message.clone())
        })
    })
}

/// What was typed before the page was rendered again, without WASM.
fn typed_before(refused: Refused, name: &str, or: Option<String>) -> Option<String> {
    refused.with_untracked(|refused| refused.as_ref().and_then(|error| error.typed.get(name).cloned())).or(or)
}

/// One line of text.
#[component]
pub fn TextField(
    /// The field's name in the form; its id too.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// The form's refusal.
    #[prop(into)]
    refused: Refused,
    /// What it means, under it.
    #[prop(optional, into)]
    hint: Option<String>,
    /// What stands in it at first.
    #[prop(optional, into)]
    value: Option<String>,
    /// `text`, `password`, `number`, …
    #[prop(default = "text")]
    kind: &'static str,
    /// For the browser's memory.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// Whether it must be filled in.
    #[prop(optional)]
    required: bool,
    /// Whether the cursor is here when the page opens.
    #[prop(optional)]
    autofocus: bool,
    /// An example, in grey.
    #[prop(optional, into)]
    placeholder: Option<String>,
    /// In the typeface of names and keys.
    #[prop(optional)]
    mono: bool,
) -> impl IntoView {
    let error = error_of(refused, name);
    let value = if kind == "password" { None } else { typed_before(refused, name, value) };
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
                aria-invalid=move || error.get().map(|_| "true")
                aria-describedby=described
            />
            <FieldNote id=note error hint/>
        </p>
    }
    .into_any()
}

/// Several lines of text.
#[component]
pub fn AreaField(
    /// The field's name in the form; its id too.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// The form's refusal.
    #[prop(into)]
    refused: Refused,
    /// What it means, under it.
    #[prop(into)]
    hint: String,
    /// What stands in it at first.
    #[prop(into)]
    value: String,
) -> impl IntoView {
    let error = error_of(refused, name);
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
                aria-invalid=move || error.get().map(|_| "true")
                aria-describedby=described
            >
                {value}
            </textarea>
            <FieldNote id=note error hint=Some(hint)/>
        </p>
    }
    .into_any()
}

/// One of several choices.
#[component]
pub fn SelectField(
    /// The field's name in the form; its id too.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// The form's refusal.
    #[prop(into)]
    refused: Refused,
    /// Values and their words.
    options: Vec<(String, String)>,
    /// Which one is chosen at first.
    #[prop(optional, into)]
    value: Option<String>,
    /// What it means, under it.
    #[prop(optional, into)]
    hint: Option<String>,
) -> impl IntoView {
    let error = error_of(refused, name);
    let chosen = typed_before(refused, name, value);
    let note = format!("{name}-note");
    let described = note.clone();
    view! {
        <p class="field">
            <label for=name>{label}</label>
            <select id=name name=name aria-invalid=move || error.get().map(|_| "true") aria-describedby=described>
                {options
                    .into_iter()
                    .map(|(value, words)| {
                        let selected = chosen.as_deref() == Some(value.as_str());
                        view! { <option value=value selected=selected>{words}</option> }
                    })
                    .collect_view()}
            </select>
            <FieldNote id=note error hint/>
        </p>
    }
    .into_any()
}

/// What was wrong with a field, or else what it means.
#[component]
fn FieldNote(id: String, error: Memo<Option<String>>, hint: Option<String>) -> impl IntoView {
    view! {
        <span id=id class="note" aria-live="polite">
            {move || match error.get() {
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

/// A box to tick.
#[component]
pub fn CheckField(
    /// The field's name in the form; its id too.
    name: &'static str,
    /// What ticking it means.
    #[prop(into)]
    label: String,
    /// The form's refusal.
    #[prop(into)]
    refused: Refused,
    /// What one should know, under it.
    #[prop(optional, into)]
    hint: Option<String>,
) -> impl IntoView {
    let checked = typed_before(refused, name, None).is_some_and(|typed| !typed.is_empty());
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

/// Names to tick, any number of them; the server function takes them as a list.
#[component]
pub fn ChoicesField(
    /// The list's name in the form.
    name: &'static str,
    /// What is chosen from.
    choices: Vec<String>,
    /// The title.
    #[prop(into)]
    label: String,
    /// What ticking none or some means.
    #[prop(into)]
    hint: String,
    /// The form's refusal; what was ticked is in it, a line each.
    #[prop(into)]
    refused: Refused,
) -> impl IntoView {
    let ticked = typed_before(refused, name, None).unwrap_or_default();
    view! {
        <fieldset class="field">
            <legend>{label}</legend>
            <span class="hint">{hint}</span>
            {choices
                .into_iter()
                .enumerate()
                .map(|(i, choice)| {
                    let checked = ticked.lines().any(|line| line == choice);
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
