//! What a provider answered, taken out of the library's words: status, code, sentence. The library has types for them and
//! keeps them to itself.

/// What was answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The HTTP status, if anybody answered.
    pub(crate) status: Option<u16>,
    /// The provider's own code.
    pub(crate) code: Option<String>,
    /// The provider's sentence, or the last cause: one short line.
    pub(crate) words: String,
}

/// The longest quotation.
const LONGEST: usize = 300;

impl Answer {
    /// Reads the error.
    pub(crate) fn of(error: &object_store::Error) -> Self {
        let text = Self::chain(error);
        let status = after(&text, "status code: ").or_else(|| after(&text, "Server returned error response"));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let code = between(&text, "<Code>", "</Code>")
            .or_else(|| directory_code(&text))
            .or_else(|| between(&text, "(code: ", ")"))
            .filter(|code| !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
        let said = between(&text, "<Message>", "</Message>")
            .or_else(|| between(&text, "\"error_description\":\"", "\""));
        let words = one_line(&said.map_or_else(|| last_cause(error), str::to_owned));
        Self { status, code: code.map(str::to_owned), words }
    }

    /// Whether somebody answered in whom no provider speaks: a proxy's page, another server at the endpoint. That an object
    /// is missing must not be believed of them.
    pub(crate) fn is_foreign(&self) -> bool {
        self.code.is_none() && !self.words.ends_with("Not Found:")
    }

    /// Everything that the error and its causes say.
    pub(crate) fn chain(error: &object_store::Error) -> String {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push('\n');
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Microsoft Entra's code, which stands in a sentence.
fn directory_code(text: &str) -> Option<&str> {
    let code = &text[text.find("AADSTS")?..];
    let end = code[6..].find(|c: char| !c.is_ascii_digit()).map_or(code.len(), |end| end + 6);
    Some(&code[..end])
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn between<'a>(text: &'a str, mark: &str, end: &str) -> Option<&'a str> {
    after(text, mark)?.split_once(end).map(|(inside, _)| inside)
}

/// The innermost cause: the library's own words around it name addresses and durations.
fn last_cause(error: &object_store::Error) -> String {
    let mut last: &(dyn std::error::Error + 'static) = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// One line of reasonable length: what follows the first line is the request's id and the time.
fn one_line(text: &str) -> String {
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    let line = line.split("\\r\\n").next().unwrap_or_default().trim().trim_end_matches('.');
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str) -> Answer {
        Answer::of(&object_store::Error::Generic { store: "test", source: words.to_owned().into() })
    }

    #[test]
    fn status_code_and_sentence_are_found() {
        let answer = said(
            "Error performing PUT https://a in 3ms - Server returned non-2xx status code: 403 Forbidden: <?xml?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is not authorized.\nRequestId:1</Message></Error>",
        );
        assert_eq!(answer.status, Some(403));
        assert_eq!(answer.code.as_deref(), Some("AuthorizationPermissionMismatch"));
        assert_eq!(answer.words, "This request is not authorized");
        let answer = said(
            r#"Server returned non-2xx status code: 401 Unauthorized: {"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity record found for presented assertion subject 'x'. Trace ID: 1\r\nTime"}"#,
        );
        assert_eq!((answer.status, answer.code.as_deref()), (Some(401), Some("AADSTS700213")));
        assert!(answer.words.starts_with("AADSTS700213: No matching"), "{}", answer.words);
        assert_eq!(said("connection closed").status, None);
    }
}
