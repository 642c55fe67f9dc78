//! The JSON Schema of the configuration, for editors: what may stand where, what it expects, and which words there are.
//!
//! Keys come from the parser (`shape`), descriptions from the table behind its error messages. What is added here are
//! forms that a text must have. None of them is stricter than the parser: what is refused in an editor must never be a
//! file that certdrift takes. The other way round there is much that only certdrift can tell.

mod shape;

use serde_json::{Map, Value, json};

use crate::config::connector::ACCEPTABLE;
use crate::config::keys::Key;
use crate::config::schema::shape::{Field, Shape};
use crate::config::typed;

/// A whole number and a unit.
const DURATION: &str = r"^\s*[0-9]+\s*[smhd]\s*$";
/// The same, or a share.
const THRESHOLD: &str = r"^\s*([0-9]+\s*[smhd]|\+?0*[1-9][0-9]?\s*%)\s*$";

/// The form of a text.
enum Form {
    Pattern(&'static str),
    /// One of these, in any case.
    Words(&'static [&'static str]),
}

/// The texts that have a form.
const FORMS: [(&str, Form); 11] = [
    (
        "sources[].first_read",
        Form::Pattern(r"^\s*(all|[0-9]+\s*[smhd])\s*$"),
    ),
    (
        "connectors[].expected.inbound_connectors[].connector_type",
        Form::Words(&["OnPremises", "Partner"]),
    ),
    ("connectors[].accept[]", Form::Words(&ACCEPTABLE)),
    ("connectors[].silent_after", Form::Pattern(DURATION)),
    ("alerts.expiry.warning", Form::Pattern(THRESHOLD)),
    ("alerts.expiry.critical", Form::Pattern(THRESHOLD)),
    ("alerts.rollout_window", Form::Pattern(DURATION)),
    (
        "receivers[].severities[]",
        Form::Words(&["critical", "warning", "information"]),
    ),
    (
        "receivers[].alertmanager.resend_interval",
        Form::Pattern(DURATION),
    ),
    (
        "receivers[].heartbeat.method",
        Form::Words(&["GET", "POST"]),
    ),
    ("receivers[].heartbeat.interval", Form::Pattern(DURATION)),
];

/// Mappings that must have exactly one of several keys.
const EITHER: [(&str, &[&str]); 6] = [
    (
        "receivers[]",
        &[
            "webhook",
            "alertmanager",
            "pagerduty",
            "slack",
            "teams",
            "heartbeat",
        ],
    ),
    ("receivers[].webhook", &["url", "url_file"]),
    ("receivers[].alertmanager", &["urls", "urls_file"]),
    ("receivers[].slack", &["url", "url_file"]),
    ("receivers[].teams", &["url", "url_file"]),
    ("receivers[].heartbeat", &["url", "url_file"]),
];

/// The schema, draft 7, which editors know best.
///
/// # Errors
/// When the parser asks for something that the schema has no words for; a test sees to it that it does not.
pub fn schema() -> Result<Value, String> {
    let shape = Shape::of::<typed::File>().map_err(|error| error.to_string())?;
    let mut schema = describe(&shape, &Key::default(), false);
    schema.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    schema.insert("title".to_owned(), json!("Configuration of certdrift"));
    Ok(Value::Object(schema))
}

fn describe(shape: &Shape, key: &Key, is_optional: bool) -> Map<String, Value> {
    let mut schema = match shape {
        // YAML without quotes makes numbers of some texts; the parser takes them as they were typed.
        Shape::Text => typed_as(&["string", "number", "boolean"], is_optional),
        Shape::Flag => {
            let mut schema = typed_as(&["boolean", "string"], is_optional);
            let words = pattern_of(&["true", "yes", "on", "y", "false", "no", "off", "n"]);
            schema.insert("pattern".to_owned(), json!(words));
            schema
        }
        Shape::List(item) => {
            let mut schema = typed_as(&["array"], is_optional);
            let item = describe(item, &key.item(0), false);
            schema.insert("items".to_owned(), Value::Object(item));
            schema
        }
        Shape::Mapping(fields) => mapping(fields, key, is_optional),
    };
    if let Some(expected) = key.expected() {
        schema.insert("description".to_owned(), json!(sentence(expected)));
    }
    let form = FORMS.iter().find(|(of, _)| *of == key.pattern());
    match form.map(|(_, form)| form) {
        Some(Form::Pattern(pattern)) => {
            schema.insert("pattern".to_owned(), json!(pattern));
        }
        // Editors offer what an `enum` lists.
        Some(Form::Words(words)) => {
            let any_case = json!([{ "enum": words }, { "pattern": pattern_of(words) }]);
            schema.insert("anyOf".to_owned(), any_case);
        }
        None => {}
    }
    schema
}

fn typed_as(types: &[&str], is_optional: bool) -> Map<String, Value> {
    let mut types = types.to_vec();
    // A key without a value is as good as none.
    types.extend(is_optional.then_some("null"));
    let types = match &types[..] {
        [only] => json!(only),
        several => json!(several),
    };
    Map::from_iter([("type".to_owned(), types)])
}

fn mapping(fields: &[Field], key: &Key, is_optional: bool) -> Map<String, Value> {
    let mut schema = typed_as(&["object"], is_optional);
    let properties = fields.iter().map(|field| {
        let child = describe(&field.shape, &key.child(field.name), field.is_optional);
        (field.name.to_owned(), Value::Object(child))
    });
    schema.insert("properties".to_owned(), Value::Object(properties.collect()));
    schema.insert("additionalProperties".to_owned(), json!(false));
    let required = fields.iter().filter(|field| !field.is_optional);
    let required: Vec<&str> = required.map(|field| field.name).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    let either = EITHER.iter().find(|(of, _)| *of == key.pattern());
    if let Some((_, keys)) = either {
        // A key without a value does not count, so what is asked for is a value that is not null.
        let one = keys.iter().map(|key| {
            json!({ "required": [key], "properties": { (*key): { "not": { "type": "null" } } } })
        });
        let one: Value = one.collect();
        // What is not there at all need not have one of them.
        schema.insert(
            "anyOf".to_owned(),
            json!([{ "type": "null" }, { "oneOf": one }]),
        );
    }
    schema
}

/// One of these words in any case, with blanks around it. Regular expressions of JSON Schema have no flags.
fn pattern_of(words: &[&str]) -> String {
    let any_case = |c: char| {
        if c.is_ascii_alphabetic() {
            format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase())
        } else {
            c.to_string()
        }
    };
    let words = words
        .iter()
        .map(|word| word.chars().map(any_case).collect());
    let words: Vec<String> = words.collect();
    format!(r"^\s*({})\s*$", words.join("|"))
}

/// The words of an error message as a sentence of their own.
fn sentence(expected: &str) -> String {
    let mut letters = expected.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str() + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_belongs_to_a_key() {
        let forms = FORMS.iter().map(|(key, _)| *key);
        for pattern in forms.chain(EITHER.iter().map(|(key, _)| *key)) {
            assert!(Key::of_pattern(pattern).expected().is_some(), "{pattern}");
        }
    }

    #[test]
    fn words_are_taken_in_any_case() {
        assert_eq!(
            pattern_of(&["On_1", "no"]),
            r"^\s*([Oo][Nn]_1|[Nn][Oo])\s*$"
        );
    }
}
