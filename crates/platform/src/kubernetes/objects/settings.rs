//! What Toygres adds to an instance's `postgresql.conf`.

/// PostgreSQL keeps no more of a cluster's name.
const LONGEST_NAME: usize = 63;

/// The lines after the template's own, so that they win.
pub(super) fn settings(name: &str, preload: &[String]) -> String {
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let mut text = format!("# Added by Toygres.\ncluster_name = {}\n", quoted(&name));
    if !preload.is_empty() {
        let libraries: Vec<_> = preload.iter().map(|library| listed(library)).collect();
        text.push_str(&format!("shared_preload_libraries = {}\n", quoted(&libraries.join(","))));
    }
    text
}

/// A value in quotes; one that spans lines would end the setting in the middle.
fn quoted(value: &str) -> String {
    let mut text = String::from("'");
    for c in value.chars() {
        match c {
            '\'' => text.push_str("''"),
            '\\' => text.push_str("\\\\"),
            // No setting can hold it.
            '\0' => {}
            c if c.is_ascii_control() => text.push_str(&format!("\\{:03o}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

/// An element of a list of libraries.
fn listed(library: &str) -> String {
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
    fn a_value_stays_in_its_quotes_and_on_its_line() {
        assert_eq!(quoted("plain"), "'plain'");
        assert_eq!(quoted("\"'\n${}: #\\\0"), "'\"''\\012${}: #\\\\'");
        let text = settings(&"x'\nport = 1\n".repeat(50), &["pg_cron".to_owned(), "a\", 'b".to_owned()]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("shared_preload_libraries = 'pg_cron,\"a\"\", ''b\"'\n"), "{text}");
    }

    #[test]
    fn without_libraries_the_template_s_own_list_holds() {
        assert!(!settings("orders", &[]).contains("shared_preload_libraries"));
    }
}
