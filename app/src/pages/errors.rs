//! Pages that say why there is nothing else to see: what happened, and the way out.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::components::icon::Mark;
#[cfg(feature = "ssr")]
use crate::components::icon::Sprite;
use crate::components::shown::answer_with;
use crate::error::UiError;

/// No page has this address.
#[component]
pub fn NotFound() -> impl IntoView {
    let error = UiError::new("not_found", "No page has this address. It may have been moved, or mistyped.");
    answer_with(&error);
    view! { <ErrorPage error/> }
}

/// A page that is nothing but an error.
#[component]
pub fn ErrorPage(
    /// The error.
    error: UiError,
) -> impl IntoView {
    let title = title(error.status());
    let code = format!("{} {}", error.status(), error.code);
    view! {
        <Title text=title/>
        <Nowhere title message=error.message code/>
    }
    .into_any()
}

#[component]
fn Nowhere(title: &'static str, message: String, code: String) -> impl IntoView {
    view! {
        <section class="nowhere">
            <Mark plan=true/>
            <div class="stack">
                <h1>{title}</h1>
                <p>{message}</p>
                <p class="sub mono">{code}</p>
                <div class="actions">
                    <a class="btn" href="/">"To the overview"</a>
                    <a class="btn" href="" rel="external">"Load it again"</a>
                </div>
            </div>
        </section>
    }
}

/// A refusal as a document of its own, without scripts and without asking anybody: for when no page can be rendered, as
/// while the database is away. One that will pass loads itself again.
#[cfg(feature = "ssr")]
#[must_use]
pub fn document(options: &LeptosOptions, status: u16, code: &str, message: &str, reload: bool) -> String {
    let title = title(status);
    let code = format!("{status} {code}");
    let style = format!("/{}/{}.css", options.site_pkg_dir, options.output_name);
    let body = Owner::new().with(|| {
        view! {
            <html lang="en">
                <head>
                    <meta charset="utf-8"/>
                    <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"/>
                    <meta name="color-scheme" content="light dark"/>
                    {reload.then(|| view! { <meta http-equiv="refresh" content="5"/> })}
                    <title>{format!("{title} · Toygres")}</title>
                    <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                    <link rel="stylesheet" href=style/>
                </head>
                <body>
                    <main class="alone" id="main">
                        <Nowhere title message=message.to_owned() code/>
                        {reload.then(|| view! { <p class="sub">"This page looks again by itself every few seconds."</p> })}
                    </main>
                    <Sprite/>
                </body>
            </html>
        }
        .to_html()
    });
    format!("<!DOCTYPE html>{body}")
}

fn title(status: u16) -> &'static str {
    match status {
        404 => "Not here",
        403 => "Not allowed",
        401 => "Not logged in",
        503 => "Not available now",
        _ => "That did not work",
    }
}
