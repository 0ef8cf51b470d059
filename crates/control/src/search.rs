//! What somebody typed into a search box, as a pattern of SQL's `ilike`.

/// The pattern that finds the text anywhere, its own `%` and `_` taken for themselves; none where nothing was typed.
pub(crate) fn pattern(text: Option<&str>) -> Option<String> {
    let text = text?.replace('\0', "");
    let text = text.trim().replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    (!text.is_empty()).then(|| format!("%{text}%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_what_was_typed_and_nothing_else() {
        assert_eq!(pattern(Some(" a_b%\\\0 ")).as_deref(), Some(r"%a\_b\%\\%"));
        assert_eq!(pattern(Some(" \0")), None);
        assert_eq!(pattern(None), None);
    }
}
