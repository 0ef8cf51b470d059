//! The background workers that an instance must have, by the names of their libraries.

use crate::image_type::ImageType;

/// The library of instances of type pg_durable.
pub const PG_DURABLE: &str = "pg_durable";

/// The libraries of which one must have a background worker before an instance is `running`: none for stock PostgreSQL.
/// For pg_durable it is pg_durable, or any library that the platform preloads instead for this type.
#[must_use]
pub fn awaited(image_type: ImageType, preload: &[String]) -> Vec<String> {
    let own = preload.is_empty() || preload.iter().any(|library| library == PG_DURABLE);
    match image_type {
        ImageType::Stock => Vec::new(),
        ImageType::PgDurable if own => vec![PG_DURABLE.to_owned()],
        ImageType::PgDurable => preload.to_vec(),
    }
}

/// Whether one of the backend types of a server belongs to one of these libraries. A `backend_type` is free text of the
/// library, such as `pg_cron launcher`. It matches if it contains the library's name, ignoring case and punctuation.
#[must_use]
pub fn seen(libraries: &[String], backend_types: &[String]) -> bool {
    libraries.is_empty()
        || libraries.iter().any(|library| {
            let library = letters(library);
            !library.is_empty() && backend_types.iter().any(|worker| letters(worker).contains(&library))
        })
}

/// The letters and digits of a text, in lowercase.
fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn stock_server_needs_no_worker() {
        let none = awaited(ImageType::Stock, &strings(&["pg_stat_statements"]));
        assert!(none.is_empty() && seen(&none, &[]));
    }

    #[test]
    fn worker_of_another_library_does_not_count_for_pg_durable() {
        let awaited = awaited(ImageType::PgDurable, &strings(&["pg_cron", "pg_durable"]));
        assert_eq!(awaited, ["pg_durable"]);
        assert!(!seen(&awaited, &strings(&["checkpointer", "pg_cron launcher"])));
        assert!(seen(&awaited, &strings(&["pg_durable worker 1"])));
        assert!(seen(&awaited, &strings(&["PG Durable: background worker"])));
    }

    #[test]
    fn library_that_the_platform_preloads_instead_counts() {
        let awaited = awaited(ImageType::PgDurable, &strings(&["pg_cron"]));
        assert!(seen(&awaited, &strings(&["walwriter", "pg_cron launcher"])));
        assert!(!seen(&awaited, &strings(&["walwriter"])));
    }
}
