//! The text of a search box as a pattern for `ilike`.

/// A pattern that matches the trimmed text anywhere; `None` if the text is empty.
pub(crate) fn pattern(text: Option<&str>) -> Option<String> {
    let text = text?.replace('\0', "");
    let text = text.trim();
    (!text.is_empty()).then(|| containing(text))
}

/// A pattern that matches the text anywhere, with `%` and `_` taken literally.
pub(crate) fn containing(text: &str) -> String {
    let text = text.replace('\0', "").replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    format!("%{text}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_special_characters_literally() {
        assert_eq!(pattern(Some(" a_b%\\\0 ")).as_deref(), Some(r"%a\_b\%\\%"));
    }

    #[test]
    fn empty_search_has_no_pattern() {
        assert_eq!(pattern(Some(" \0")), None);
        assert_eq!(pattern(None), None);
    }
}
