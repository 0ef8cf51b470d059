//! The settings that Toygres appends to an instance's `postgresql.conf`.

/// The longest `cluster_name` in characters; PostgreSQL truncates longer ones.
const LONGEST_NAME: usize = 63;

/// The lines to append to the template's own. PostgreSQL uses the last value of a setting.
pub(super) fn settings(name: &str, preload: &[String]) -> String {
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let mut text = format!("# Added by Toygres.\ncluster_name = {}\n", quoted(&name));
    if !preload.is_empty() {
        let libraries: Vec<_> = preload.iter().map(|library| element(library)).collect();
        text.push_str(&format!("shared_preload_libraries = {}\n", quoted(&libraries.join(","))));
    }
    text
}

/// A quoted value on one line.
fn quoted(value: &str) -> String {
    let mut text = String::from("'");
    for c in value.chars() {
        match c {
            '\'' => text.push_str("''"),
            '\\' => text.push_str("\\\\"),
            // Not representable in a setting.
            '\0' => {}
            c if c.is_ascii_control() => text.push_str(&format!("\\{:03o}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

/// An element of a list of libraries, quoted if necessary.
fn element(library: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_$/.-".contains(c);
    if !library.is_empty() && library.chars().all(plain) {
        return library.to_owned();
    }
    format!("\"{}\"", library.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_do_not_end_a_value() {
        assert_eq!(quoted("plain"), "'plain'");
        assert_eq!(quoted("\"'\n${}: #\\\0"), "'\"''\\012${}: #\\\\'");
        let text = settings(&"x'\nport = 1\n".repeat(50), &["pg_cron".to_owned(), "a\", 'b".to_owned()]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("shared_preload_libraries = 'pg_cron,\"a\"\", ''b\"'\n"), "{text}");
    }

    #[test]
    fn list_of_the_template_is_kept_without_libraries() {
        assert!(!settings("orders", &[]).contains("shared_preload_libraries"));
    }
}
