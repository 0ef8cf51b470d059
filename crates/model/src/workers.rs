//! Which background workers an instance must have. It knows names alone; who sees workers is a probe.

use crate::image::ImageType;

/// The library that an instance of type pg_durable is about.
pub const PG_DURABLE: &str = "pg_durable";

/// The libraries of which one must have a background worker before an instance is `running`: none for stock PostgreSQL;
/// for pg_durable its own, or, where a platform preloads something else for this type, any of those.
#[must_use]
pub fn awaited(image_type: ImageType, preload: &[String]) -> Vec<String> {
    let own = preload.is_empty() || preload.iter().any(|library| library == PG_DURABLE);
    match image_type {
        ImageType::Stock => Vec::new(),
        ImageType::PgDurable if own => vec![PG_DURABLE.to_owned()],
        ImageType::PgDurable => preload.to_vec(),
    }
}

/// Whether a worker of one of these libraries is among the backend types of a server. A `backend_type` is free text that
/// the library chooses, such as `pg_cron launcher`: it counts if it has the library's name in it, however punctuated.
#[must_use]
pub fn seen(libraries: &[String], backend_types: &[String]) -> bool {
    libraries.is_empty()
        || libraries.iter().any(|library| {
            let library = letters(library);
            !library.is_empty() && backend_types.iter().any(|worker| letters(worker).contains(&library))
        })
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn stock_awaits_nothing() {
        let none = awaited(ImageType::Stock, &words(&["pg_stat_statements"]));
        assert!(none.is_empty() && seen(&none, &[]));
    }

    #[test]
    fn another_librarys_worker_does_not_stand_in_for_pg_durable() {
        let awaited = awaited(ImageType::PgDurable, &words(&["pg_cron", "pg_durable"]));
        assert_eq!(awaited, ["pg_durable"]);
        assert!(!seen(&awaited, &words(&["checkpointer", "pg_cron launcher"])));
        assert!(seen(&awaited, &words(&["pg_durable worker 1"])));
        assert!(seen(&awaited, &words(&["PG Durable: background worker"])));
    }

    #[test]
    fn a_platform_that_preloads_something_else_awaits_that() {
        let awaited = awaited(ImageType::PgDurable, &words(&["pg_cron"]));
        assert!(seen(&awaited, &words(&["walwriter", "pg_cron launcher"])));
        assert!(!seen(&awaited, &words(&["walwriter"])));
    }
}
