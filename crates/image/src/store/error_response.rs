//! The error response of a provider, parsed from the text of object_store's errors: status, code and message.
//! object_store has types for them but does not export them.
//!
//! Foreign text: object_store, and the responses that it quotes.

use super::causes;

/// The parts of an error response. Without a response (no connection, no answer) there is only a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorResponse {
    /// The HTTP status.
    pub(crate) status: Option<u16>,
    /// The provider's own error code.
    pub(crate) code: Option<String>,
    /// The provider's sentence, the title of a page, or the innermost cause: one line.
    pub(crate) message: String,
    /// Whether the body does not have the form of any provider: a proxy, or another server at the endpoint.
    pub(crate) is_foreign: bool,
    /// Whether the request was the exchange of a workload's token, and not one to the store.
    pub(crate) is_token_request: bool,
    /// The HTTP method of the request.
    pub(crate) method: Option<String>,
}

/// The maximum length of a message in characters.
const MAX_MESSAGE: usize = 300;

impl ErrorResponse {
    /// Parses an error.
    pub(crate) fn of(error: &object_store::Error) -> Self {
        let text = chain(error);
        let innermost = innermost(error);
        let response = after(&innermost, "status code: ");
        let status = response.and_then(|response| response.get(..3)?.parse().ok());
        let body = response.and_then(|response| after(response, ": ")).map(str::trim);
        let code = between(&text, "<Code>", "</Code>")
            .or_else(|| entra_code(&text))
            .or_else(|| between(&text, "(code: ", ")"))
            .or_else(|| between(&text, "\"error\":\"", "\""))
            .filter(|code| is_code(code));
        // The response for one object of a bulk deletion in Azure has the status as its code.
        let of_object = code.and_then(|code| code.parse().ok());
        let (status, code) = (status.or(of_object), code.filter(|_| of_object.is_none()));
        Self {
            status,
            code: code.map(str::to_owned),
            message: one_line(sentence(&text, body.unwrap_or(&innermost))),
            is_foreign: status.is_some() && code.is_none() && body.is_some_and(|body| !body.is_empty()),
            is_token_request: text.contains("performing token request")
                || text.contains("POST REDACTED") && !text.contains("bulk delete"),
            method: method(&text).map(str::to_owned),
        }
    }

    /// Whether a server answered.
    pub(crate) fn is_answer(&self) -> bool {
        self.status.is_some() || self.code.is_some()
    }
}

/// `403 AccessDenied: Access Denied`.
impl std::fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status.map(|status| status.to_string());
        // The message of Entra begins with the code.
        let code = self.code.clone().filter(|code| !self.message.starts_with(code));
        let head: Vec<String> = status.into_iter().chain(code).collect();
        match (head.is_empty(), self.message.is_empty()) {
            (true, _) => f.write_str(&self.message),
            (false, true) => f.write_str(&head.join(" ")),
            (false, false) => write!(f, "{}: {}", head.join(" "), self.message),
        }
    }
}

/// The texts of an error and its causes, one a line.
pub(crate) fn chain(error: &object_store::Error) -> String {
    causes::of(error).map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn innermost(error: &object_store::Error) -> String {
    causes::of(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The provider's sentence; without one the title or text of a page.
fn sentence<'a>(text: &'a str, body: &'a str) -> &'a str {
    // Azure Storage tells the causes of AuthenticationFailed apart in this element.
    between(text, "<AuthenticationErrorDetail>", "</AuthenticationErrorDetail>")
        .or_else(|| between(text, "<Message>", "</Message>"))
        .or_else(|| between(text, "\"error_description\":\"", "\""))
        .or_else(|| between(body, "<title>", "</title>"))
        .unwrap_or_else(|| if between(body, "<Code>", "</Code>").is_some() { "" } else { body })
}

fn is_code(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_')
}

/// The error code of Microsoft Entra, which is part of a sentence.
fn entra_code(text: &str) -> Option<&str> {
    let code = &text[text.find("AADSTS")?..];
    let end = code[6..].find(|c: char| !c.is_ascii_digit()).map_or(code.len(), |end| end + 6);
    Some(&code[..end])
}

/// The method of the last `Error performing PUT https://…`.
fn method(text: &str) -> Option<&str> {
    let methods = text.split("Error performing ").skip(1).filter_map(|rest| rest.split(' ').next());
    methods.filter(|method| method.bytes().all(|b| b.is_ascii_uppercase())).last()
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn between<'a>(text: &'a str, mark: &str, end: &str) -> Option<&'a str> {
    after(text, mark)?.split_once(end).map(|(inside, _)| inside)
}

/// The first line, shortened. Further lines of providers are the request's id and the time.
fn one_line(text: &str) -> String {
    let line = text.trim_start().split(['\n', '\r']).next().unwrap_or_default();
    let line = line.split("\\r\\n").next().unwrap_or_default().trim().trim_end_matches('.');
    line.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> ErrorResponse {
        ErrorResponse::of(&object_store::Error::Generic { store: "test", source: text.to_owned().into() })
    }

    #[test]
    fn response_of_azure_storage_is_parsed() {
        let azure = response(
            "Error performing PUT https://acme.blob.core.windows.net/images/x in 3ms - Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is not authorized to perform this operation using this permission.\nRequestId:1\nTime:2026-01-27T10:00:00Z</Message></Error>",
        );
        assert_eq!(azure.status, Some(403));
        assert_eq!(azure.code.as_deref(), Some("AuthorizationPermissionMismatch"));
        assert_eq!(azure.method.as_deref(), Some("PUT"));
        assert!(!azure.is_foreign && !azure.is_token_request);
        assert_eq!(
            azure.to_string(),
            "403 AuthorizationPermissionMismatch: This request is not authorized to perform this operation using this permission"
        );
    }

    #[test]
    fn response_of_entra_is_parsed() {
        let entra = response(
            r#"Error performing token request: Error performing POST https://login.microsoftonline.com/t/oauth2/v2.0/token in 90ms - Server returned non-2xx status code: 401 Unauthorized: {"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity record found for presented assertion subject 'x'. Trace ID: 1\r\nTime"}"#,
        );
        assert_eq!((entra.status, entra.code.as_deref()), (Some(401), Some("AADSTS700213")));
        assert!(entra.is_token_request && !entra.is_foreign);
        assert!(entra.to_string().starts_with("401: AADSTS700213: No matching"), "{entra}");
    }

    #[test]
    fn page_of_another_server_is_foreign_and_an_empty_body_is_not() {
        let page = response(
            "Server returned non-2xx status code: 404 Not Found: <html><head><title>Squid</title></head></html>",
        );
        assert!(page.is_foreign);
        assert_eq!(page.to_string(), "404: Squid");
        assert!(!response("Server returned non-2xx status code: 404 Not Found: ").is_foreign);
    }

    #[test]
    fn error_without_a_response_has_its_innermost_cause() {
        let lost = response("connection closed before message completed");
        assert!(!lost.is_answer());
        assert_eq!(lost.to_string(), "connection closed before message completed");
    }
}
