//! Error pages: what happened, and where to go next.

use leptos::prelude::*;
use leptos_meta::Title;

use super::icon::Mark;
#[cfg(feature = "ssr")]
use super::icon::Sprite;
use crate::error::UiError;

/// A page that shows only an error.
#[component]
pub fn ErrorPage(
    /// The error.
    error: UiError,
) -> impl IntoView {
    let title = title(error.status());
    let code = format!("{} {}", error.status(), error.code);
    view! {
        <Title text=title/>
        <ErrorBody title message=error.message code/>
    }
    .into_any()
}

#[component]
fn ErrorBody(title: &'static str, message: String, code: String) -> impl IntoView {
    view! {
        <section class="error-page">
            <Mark plan=true/>
            <div class="stack">
                <h1>{title}</h1>
                <p>{message}</p>
                <p class="sub mono">{code}</p>
                <div class="actions">
                    <a class="btn" href="/">"Go to overview"</a>
                    <a class="btn" href="" rel="external">"Reload page"</a>
                </div>
            </div>
        </section>
    }
}

/// An error as a complete HTML document, without scripts and without data from the state database, for requests that no
/// page can be rendered for, such as while the database is unavailable.
///
/// With `reload`, the browser requests the address again every 5 seconds.
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
                    <main class="error-document" id="main">
                        <ErrorBody title message=message.to_owned() code/>
                        {reload.then(|| view! { <p class="sub">"This page reloads every 5 seconds."</p> })}
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
        404 => "Page not found",
        403 => "Access denied",
        401 => "Login required",
        503 => "Service unavailable",
        _ => "Internal error",
    }
}
