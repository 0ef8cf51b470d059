//! The tokens of a Rust file: comments and test code are left out, strings and macros are kept.

use anyhow::bail;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The tokens of a file without the items that are marked `#[cfg(test)]` or `#[test]`. The order is that of the source.
///
/// # Errors
/// The text is not Rust.
pub(super) fn without_tests(text: &str) -> anyhow::Result<Vec<TokenTree>> {
    let Ok(stream) = text.parse::<TokenStream>() else { bail!("the file cannot be split into Rust tokens") };
    if is_test_file(&stream) {
        return Ok(Vec::new());
    }
    Ok(strip(stream))
}

/// Whether the file starts with `#![cfg(test)]`.
fn is_test_file(stream: &TokenStream) -> bool {
    let start: Vec<TokenTree> = stream.clone().into_iter().take(3).collect();
    matches!(&start[..], [hash, bang, TokenTree::Group(attribute)]
        if is_punct(hash, '#') && is_punct(bang, '!') && is_test(&attribute.stream().to_string()))
}

fn strip(stream: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut rest = stream.into_iter().peekable();
    while let Some(token) = rest.next() {
        match token {
            TokenTree::Punct(ref hash) if hash.as_char() == '#' => {
                if let Some(TokenTree::Group(attribute)) = rest.peek()
                    && attribute.delimiter() == Delimiter::Bracket
                    && is_test(&attribute.stream().to_string())
                {
                    skip_item(&mut rest);
                } else {
                    kept.push(token);
                }
            }
            TokenTree::Group(group) => {
                let inner = strip(group.stream()).into_iter().collect();
                let mut stripped = proc_macro2::Group::new(group.delimiter(), inner);
                stripped.set_span(group.span());
                kept.push(TokenTree::Group(stripped));
            }
            token => kept.push(token),
        }
    }
    kept
}

/// Whether an attribute removes its item from every build but that of the tests.
fn is_test(attribute: &str) -> bool {
    let attribute: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    attribute == "test" || attribute == "cfg(test)" || attribute.starts_with("cfg(all(test,")
}

/// Skips to the end of the item: its semicolon or its body. The braces of a `use` are no body.
fn skip_item(rest: &mut std::iter::Peekable<impl Iterator<Item = TokenTree>>) {
    let mut is_use = false;
    for token in rest.by_ref() {
        match token {
            TokenTree::Ident(word) if word == "use" => is_use = true,
            TokenTree::Punct(mark) if mark.as_char() == ';' => return,
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace && !is_use => return,
            _ => {}
        }
    }
}

/// Whether a token is this character.
pub(super) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// The line of a token, counted from 1.
pub(super) fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        without_tests(text).unwrap_or_default().into_iter().collect::<TokenStream>().to_string()
    }

    #[test]
    fn test_items_are_left_out() {
        assert_eq!(
            stripped("fn a() {} #[cfg(test)] mod tests { fn b() {} } struct C;"),
            "fn a () { } struct C ;"
        );
        assert_eq!(stripped("#[cfg(test)] use x::{y, z}; fn a() {}"), "fn a () { }");
        assert_eq!(stripped("mod m { #[test] fn b() {} }"), "mod m { }");
        assert_eq!(stripped("#![cfg(test)] fn a() {}"), "");
    }

    #[test]
    fn other_conditions_are_kept() {
        assert!(stripped("#[cfg(feature = \"ssr\")] fn a() {}").contains("fn a"));
        assert!(without_tests("fn a( {").is_err());
    }
}
