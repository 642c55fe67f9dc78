//! A request as plain data: what is sent, and what of it must not be shown.

use std::fmt;

use reqwest::Method;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use secrecy::SecretString;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(not shown)";
/// Shorter texts are no secrets, and hiding them would make holes in words.
const LEAST_SECRET_BYTES: usize = 6;

/// A request that is ready to be sent. `Display` shows it without its secrets.
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Its headers; secret values are marked as sensitive.
    pub headers: HeaderMap,
    /// Its body; `None`: it has none.
    pub body: Option<String>,
    secrets: Vec<SecretString>,
}

impl Request {
    /// A request without body.
    pub fn new(method: Method, url: Url) -> Self {
        let mut request = Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            secrets: Vec::new(),
        };
        for part in secret_parts(&request.url) {
            request.hide(&SecretString::from(part));
        }
        request
    }

    /// A POST of JSON.
    pub fn post(url: Url, body: String) -> Self {
        let mut request = Self::new(Method::POST, url);
        request.set(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(body);
        request
    }

    /// Sets a header, in place of one with this name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Sets a header whose value is a secret.
    ///
    /// # Errors
    /// When it holds a character that no header may hold.
    pub fn set_secret(&mut self, name: HeaderName, value: &SecretString) -> Result<(), String> {
        let mut header = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            format!("the value of {name} holds a character that no header may hold")
        })?;
        header.set_sensitive(true);
        self.hide(value);
        self.set(name, header);
        Ok(())
    }

    /// Remembers something that must not be shown.
    pub fn hide(&mut self, secret: &SecretString) {
        if secret.expose_secret().len() >= LEAST_SECRET_BYTES {
            self.secrets.push(secret.clone());
        }
    }

    /// A text without the secrets of this request: receivers like to repeat what they were sent.
    pub fn masked(&self, text: &str) -> String {
        let mut secrets: Vec<&str> = self
            .secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            .collect();
        // The longest first, so that none leaves a piece of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }
}

/// The parts of an address that let somebody post there.
fn secret_parts(url: &Url) -> Vec<String> {
    let mut parts = vec![url.as_str().to_owned(), url.username().to_owned()];
    parts.extend(url.password().map(str::to_owned));
    parts.extend(url.query().map(str::to_owned));
    parts.push(url.path().to_owned());
    let segments = url.path_segments().into_iter().flatten();
    parts.extend(segments.filter(|it| !is_word(it)).map(str::to_owned));
    parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    parts
}

/// Whether a part of a path is an ordinary word, such as `services` or `enqueue`, whose absence would tell nothing.
fn is_word(segment: &str) -> bool {
    const MAX_WORD_BYTES: usize = 12;
    segment.len() <= MAX_WORD_BYTES && segment.bytes().all(|byte| byte.is_ascii_lowercase())
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.url.scheme(), self.url.host_str().unwrap_or_default());
        let port = self.url.port().map(|port| format!(":{port}"));
        let port = port.unwrap_or_default();
        let method = &self.method;
        writeln!(f, "{method} {scheme}://{host}{port}/{HIDDEN}")?;
        for (name, value) in &self.headers {
            match value.to_str() {
                Ok(value_text) if !value.is_sensitive() => {
                    writeln!(f, "{name}: {}", self.masked(value_text))?;
                }
                _ => writeln!(f, "{name}: {HIDDEN}")?,
            }
        }
        let Some(body) = &self.body else {
            return writeln!(f);
        };
        // Laid out for people; what is sent has no blanks.
        let document = serde_json::from_str::<serde_json::Value>(body);
        let pretty = document.and_then(|document| serde_json::to_string_pretty(&document));
        let shown = pretty.as_ref().unwrap_or(body);
        writeln!(f, "\n{}\n", self.masked(shown))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use reqwest::header::AUTHORIZATION;

    use super::*;

    #[test]
    fn a_request_is_shown_without_its_secrets() {
        let url = "https://user:hunter22@hooks.contoso.com:8443/T000/planted?sig=planted%2Bmore";
        let body = r#"{"routing_key":"planted-key","text":"planted+more"}"#.to_owned();
        let mut request = Request::post(Url::parse(url).unwrap(), body);
        request.hide(&SecretString::from("planted-key"));
        let token = SecretString::from("Bearer planted-token");
        request.set_secret(AUTHORIZATION, &token).unwrap();
        let shown = request.to_string();
        let expected = "POST https://hooks.contoso.com:8443/(not shown)
content-type: application/json
authorization: (not shown)

{
  \"routing_key\": \"(not shown)\",
  \"text\": \"(not shown)\"
}

";
        assert_eq!(shown, expected);
        let echoed = request.masked("no hook at /T000/planted for user hunter22");
        assert_eq!(echoed, "no hook at (not shown) for user (not shown)");
    }
}
