//! What an image holds: its databases with their tables, and its objects in the store.

use leptos::prelude::*;
use model::image::{Database, Manifest, Object, Table};

use crate::components::icon::Icon;
use crate::format;

/// How many tables of a database are listed, the largest first.
pub(super) const MAX_TABLES: usize = 200;

/// The contents.
#[component]
pub(super) fn Contents(manifest: Manifest) -> impl IntoView {
    let image = manifest.image;
    view! {
        {manifest
            .databases
            .into_iter()
            .map(|database| view! { <DatabasePanel database manifest=format!("/api/images/{image}")/> })
            .collect_view()}
        <ObjectsPanel objects=manifest.objects/>
    }
    .into_any()
}

#[component]
fn DatabasePanel(database: Database, manifest: String) -> impl IntoView {
    let summary = summary(&database);
    let properties = properties(&database);
    let mut tables = database.tables;
    tables.sort_by_key(|table| std::cmp::Reverse((table.bytes, table.rows)));
    let hidden = tables.len().saturating_sub(MAX_TABLES);
    tables.truncate(MAX_TABLES);
    view! {
        <details class="panel fold" open>
            <summary class="title"><h2 class="mono">{database.name}</h2><span class="sub">{summary}</span><span class="push"><Icon name="chevron"/></span></summary>
            <p class="body sub">{properties}</p>
            {(!tables.is_empty()).then(|| view! { <TableList tables/> })}
            {(hidden > 0)
                .then(|| {
                    let one = "smaller table is not listed here. ";
                    let many = "smaller tables are not listed here. ";
                    view! {
                        <p class="more sub">
                            {format::quantity(hidden as u64, one, many)}
                            <a href=manifest rel="external">"View manifest"</a>
                        </p>
                    }
                })}
        </details>
    }
    .into_any()
}

/// `12 tables, 4,000 rows, 3 sequences, 0 large objects, 29.7 MB`.
fn summary(database: &Database) -> String {
    let rows: u64 = database.tables.iter().map(|table| table.rows).sum();
    [
        format::quantity(database.tables.len() as u64, "table", "tables"),
        format::quantity(rows, "row", "rows"),
        format::quantity(database.sequences, "sequence", "sequences"),
        format::quantity(database.large_objects, "large object", "large objects"),
        format::bytes_or_dash(Some(database.bytes)),
    ]
    .join(", ")
}

/// `Owner: shop. Encoding: UTF8. Locale: C.UTF-8 (libc). Extensions: pg_trgm 1.6.`
fn properties(database: &Database) -> String {
    let Database { owner, encoding, locale_provider, collate, .. } = database;
    let extensions: Vec<String> = database
        .extensions
        .iter()
        .map(|extension| format!("{} {}", extension.name, extension.version))
        .collect();
    let extensions = if extensions.is_empty() {
        String::new()
    } else {
        format!(" Extensions: {}.", extensions.join(", "))
    };
    format!("Owner: {owner}. Encoding: {encoding}. Locale: {collate} ({locale_provider}).{extensions}")
}

#[component]
fn TableList(tables: Vec<Table>) -> impl IntoView {
    view! {
        <div class="wrap">
            <table class="cards" role="table">
                <caption class="vh">"Tables and their rows"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">"Table"</th>
                        <th scope="col" role="columnheader" class="num">"Rows"</th>
                        <th scope="col" role="columnheader" class="num" title="Size as COPY text, before compression">"Uncompressed"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    {tables
                        .into_iter()
                        .map(|table| {
                            view! {
                                <tr role="row">
                                    <th scope="row" role="rowheader" class="mono">{format!("{}.{}", table.schema, table.name)}</th>
                                    <td role="cell" class="num" data-k="Rows">{format::count(table.rows)}</td>
                                    <td role="cell" class="num" data-k="Uncompressed">{format::bytes(table.bytes)}</td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn ObjectsPanel(objects: Vec<Object>) -> impl IntoView {
    let count = format::count(objects.len() as u64);
    view! {
        <details class="panel fold">
            <summary class="title"><h2>"Objects in the store"</h2><span class="sub">{count}</span><span class="push"><Icon name="chevron"/></span></summary>
            <div class="wrap">
                <table class="cards" role="table">
                    <caption class="vh">"Objects of the image with their checksums"</caption>
                    <thead role="rowgroup">
                        <tr role="row">
                            <th scope="col" role="columnheader">"Object"</th>
                            <th scope="col" role="columnheader" class="num">"Size"</th>
                            <th scope="col" role="columnheader">"SHA-256"</th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">
                        {objects.into_iter().map(|object| view! { <ObjectRow object/> }).collect_view()}
                    </tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

#[component]
fn ObjectRow(object: Object) -> impl IntoView {
    let short: String = object.sha256.chars().take(16).collect();
    view! {
        <tr role="row">
            <th scope="row" role="rowheader" class="mono">{object.key}<span class="sub">{object.format}</span></th>
            <td role="cell" class="num" data-k="Size">{format::bytes(object.bytes)}</td>
            <td role="cell" class="mono" data-k="SHA-256" title=object.sha256>{format!("{short}…")}</td>
        </tr>
    }
    .into_any()
}
