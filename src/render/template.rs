//! A message → a body of one's own, by a template in `MiniJinja`.
//!
//! A template writes JSON: whatever `{{ … }}` prints is a whole JSON value, quotes included, so that no text from a log
//! can end a string and begin a key. What cannot be right is told when the configuration is read, not in the night: each
//! template is tried with samples whose texts are as nasty as they can be.

use jiff::Timestamp;
use minijinja::AutoEscape;
use minijinja::Environment;
use minijinja::Error;
use minijinja::UndefinedBehavior;
use minijinja::value::Serde;
use serde_json::json;

use crate::render::message::Message;
use crate::render::message::ReasonText;
use crate::render::message::within;
use crate::render::sample;
use crate::render::teams;

/// What rendering may cost: some hundred times what a large template needs, and some milliseconds.
const FUEL: u64 = 200_000;
/// Longest body, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The one name in the environment.
const NAME: &str = "template";

/// A template that has been tried.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    /// Where it comes from, for people.
    origin: String,
}

impl Template {
    /// Takes a template into use. `origin` says where it comes from, a file or a key; messages begin with it.
    ///
    /// # Errors
    /// What is wrong with it, with the line, on one line.
    pub fn new(origin: &str, text: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Json);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("truncate", |text: &str, most: usize| within(text, most));
        environment.add_filter("escape_markdown", teams::escape);
        // What `tojson` makes counts as finished JSON; this makes it a text again, to stand in a string.
        environment.add_filter("as_text", |text: &str| text.to_owned());
        environment
            .add_template_owned(NAME, text.to_owned())
            .map_err(|error| explain(origin, &error))?;
        let template = Self {
            environment,
            origin: origin.to_owned(),
        };
        for (kind, notice, minimal) in sample::nasty() {
            let message = Message::new(&notice, "receiver", "http://certdrift:10056/", minimal);
            let tried = template.body(&message);
            tried.map_err(|wrong| format!("{wrong} (tried with {kind})"))?;
        }
        Ok(template)
    }

    /// The body for one message.
    ///
    /// # Errors
    /// What went wrong, with the line, on one line.
    pub fn body(&self, message: &Message) -> Result<String, String> {
        let origin = &self.origin;
        let template = self.environment.get_template(NAME);
        let context = Serde(context(message));
        let rendered = template.and_then(|template| template.render(context));
        let body = rendered.map_err(|error| explain(origin, &error))?;
        let body = body.trim();
        if body.len() > MAX_BODY_BYTES {
            return Err(format!(
                "{origin}: makes a body of more than {MAX_BODY_BYTES} bytes"
            ));
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(body) {
            Ok(_) => Ok(body.to_owned()),
            Err(error) => Err(format!(
                "{origin}: what it makes is no JSON: {error} of that; `{{{{ … }}}}` prints a whole value with its quotes, so \
                 write {{\"text\": {{{{ \"Alert: \" ~ summary }}}}}}, not {{\"text\": \"Alert: {{{{ summary }}}}\"}}"
            )),
        }
    }
}

fn explain(origin: &str, error: &Error) -> String {
    let line = error.line().map(|line| format!(":{line}"));
    let line = line.unwrap_or_default();
    let kind = error.kind();
    match error.detail() {
        Some(detail) => format!("{origin}{line}: {kind}: {detail}"),
        None => format!("{origin}{line}: {kind}"),
    }
}

/// What a template can use; `deploy/templates/README.md` documents it.
fn context(message: &Message) -> serde_json::Value {
    let reasons: Vec<_> = message.reasons.iter().map(reason).collect();
    json!({
        "status": message.status(),
        "firing": !message.is_resolved,
        "minimal": message.is_minimal,
        "alertname": message.alertname,
        "headline": message.headline,
        "severity": message.severity.as_str(),
        "sign": message.sign(),
        "server": message.server,
        "connector": message.connector,
        "place": message.place,
        "places": message.places,
        "summary": message.summary,
        "description": message.joined(|it| &it.message, "\n"),
        "expected": message.joined(|it| &it.expected, "; "),
        "observed": message.joined(|it| &it.observed, "; "),
        "action": message.joined(|it| &it.action, "\n"),
        "reasons": reasons,
        "starts_at": message.starts_at.to_string(),
        "starts_at_seconds": message.starts_at.as_second(),
        "ends_at": message.ends_at.map(|end| end.to_string()),
        "ends_at_seconds": message.ends_at.map(Timestamp::as_second),
        "key": message.key,
        "id": message.id,
        "receiver": message.receiver,
        "runbook_url": message.runbook_url,
        "external_url": message.external_url,
    })
}

fn reason(reason: &ReasonText) -> serde_json::Value {
    json!({
        "code": reason.code,
        "expected": reason.expected,
        "observed": reason.observed,
        "message": reason.message,
        "action": reason.action,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Template::new("t.json", text).unwrap_err()
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, expected) in [
            ("{\n{{ summary }", "t.json:2: syntax error"),
            ("{\n\"a\": {{ sumary }}}", "t.json:2: undefined value"),
            ("\n\n{{ summary|shorten }}", "t.json:3: unknown filter"),
            (
                "{\"a\": {{ reasons[0].nothing }}}",
                "t.json:1: undefined value",
            ),
            ("{% include \"other\" %}", "t.json:1: "),
            (
                "{\"a\": \"x {{ summary }}\"}",
                "t.json: what it makes is no JSON: ",
            ),
            (
                "{\"a\": \"{{ summary|safe }}\"}",
                "t.json: what it makes is no JSON: ",
            ),
            ("", "t.json: what it makes is no JSON: "),
            (
                "{% for a in range(100000) %}{% for b in range(100000) %}1{% endfor %}{% endfor %}",
                "t.json:1: ",
            ),
            ("{{ \"x\" * 10000000000 }}", "t.json:1: "),
        ] {
            let wrong = wrong(text);
            assert!(wrong.starts_with(expected), "{wrong}");
            assert!(!wrong.contains('\n'), "{wrong}");
        }
    }

    #[test]
    fn what_goes_wrong_only_when_it_is_over_or_minimal_is_told_at_once_too() {
        let only_firing = "{% if firing %}{}{% else %}{{ nothing }}{% endif %}";
        assert!(wrong(only_firing).contains("(tried with a resolved alert)"));
        let whole_only = "{\"a\": {{ reasons[0].code }}}";
        assert!(wrong(whole_only).contains("(tried with a minimal message)"));
    }

    #[test]
    fn values_are_escaped_as_json() {
        let text = "{\"a\": {{ summary }}, \"b\": {{ \"x\" ~ connector }}, \"n\": {{ places }}, \"e\": {{ ends_at }}}";
        let template = Template::new("t.json", text).unwrap();
        for (_, notice, minimal) in sample::nasty() {
            let message = Message::new(&notice, "r", "http://localhost/", minimal);
            let body = template.body(&message).unwrap();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["a"], message.summary);
            assert_eq!(body["b"], format!("x{}", message.connector));
            assert_eq!(body["n"], message.places);
            assert_eq!(body["e"].is_null(), message.ends_at.is_none());
        }
    }
}
