//! An object of an export, and what its properties mean in all the ways in which PowerShell writes them.

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use crate::pipeline::certificate;
use crate::pipeline::shown::shown;

/// Longest text of a property, in characters: no distinguished name needs more.
const MAX_TEXT_CHARS: usize = 4096;
/// Most items of one property.
const MAX_ITEMS: usize = 1000;
/// How much of a wrong value is repeated, in characters.
const MAX_QUOTED_CHARS: usize = 60;

/// What is wrong with an object.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) what: String,
    /// `None`: to export anew.
    pub(super) remedy: Option<&'static str>,
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(what: T) -> Self {
        Self {
            what: what.into(),
            remedy: None,
        }
    }
}

impl Wrong {
    pub(super) fn with_remedy(what: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            what: what.into(),
            remedy: Some(remedy),
        }
    }
}

/// Properties by name. `Select-Object name` keeps the case in which it was typed, so case does not count.
#[derive(Debug)]
pub(super) struct Object {
    properties: Map<String, Value>,
}

impl Object {
    /// Reads a JSON object. How deeply it may be nested is limited by the parser (128).
    pub(super) fn read(json: &str) -> Result<Self, serde_json::Error> {
        let properties = serde_json::from_str(json)?;
        Ok(Self { properties })
    }

    /// The property, unless it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.find(name).filter(|value| !value.is_null())
    }

    /// Whether the property is there, null or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let mut properties = self.properties.iter();
        self.properties.get(name).or_else(|| {
            let found = properties.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        })
    }

    /// What to call the object in a message.
    pub(super) fn label(&self) -> Option<String> {
        ["Name", "DomainName", "Thumbprint"]
            .into_iter()
            .find_map(|name| text(self.get(name)?))
            .filter(|name| !name.contains('@'))
    }

    /// `Name`, without which an object cannot be told from others.
    pub(super) fn name(&self) -> Result<String, Wrong> {
        self.text("Name")?.ok_or_else(|| "has no Name".into())
    }

    /// A text, or what stands for it in an object; `None`: unknown or empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Wrong> {
        let text = self.get(name).and_then(text);
        if text
            .as_ref()
            .is_some_and(|text| text.chars().count() > MAX_TEXT_CHARS)
        {
            return Err(format!("{name} is longer than {MAX_TEXT_CHARS} characters").into());
        }
        Ok(text)
    }

    /// A truth value; `None`: unknown.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Wrong> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let word = match value {
            Value::Bool(value) => return Ok(Some(*value)),
            value => text(value).unwrap_or_default(),
        };
        match word.to_ascii_lowercase().as_str() {
            "true" | "$true" | "1" => Ok(Some(true)),
            "false" | "$false" | "0" => Ok(Some(false)),
            _ => Err(format!("{name} is {}, neither true nor false", quoted(&word)).into()),
        }
    }

    /// A value of an enumeration, by its word or its number; `Err`: another word.
    pub(super) fn word<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, &str, T)],
    ) -> Result<Option<T>, String> {
        let Some(word) = self.get(name).and_then(text) else {
            return Ok(None);
        };
        let found = words
            .iter()
            .find(|(known, number, _)| known.eq_ignore_ascii_case(&word) || *number == word);
        found
            .map(|(_, _, value)| Some(*value))
            .ok_or_else(|| quoted(&word))
    }

    /// A property of several values; an inner `None`: unknown, because it is not there or was cut off.
    ///
    /// `ConvertTo-Json` turns what lies below its `-Depth` into a text with blanks between the values. That can be
    /// undone only where no value holds a blank, as with hosts and addresses.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Wrong> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        let items = match value {
            Value::Null => Some(Vec::new()),
            Value::Array(items) => items.iter().map(text).collect(),
            Value::Object(wrapped) => match wrapped.get("value") {
                Some(Value::Array(items)) => items.iter().map(text).collect(),
                // A single value, as PowerShell unrolls a list of one.
                _ => text(value).map(|text| vec![text]),
            },
            Value::String(joined) if is_cut_off(joined) => None,
            Value::String(joined) => Some(
                joined
                    .split([' ', ',', ';'])
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            ),
            Value::Bool(_) | Value::Number(_) => None,
        };
        if items.as_ref().is_some_and(|items| items.len() > MAX_ITEMS) {
            return Err(format!("{name} has more than {MAX_ITEMS} values").into());
        }
        if let Some(items) = &items
            && items
                .iter()
                .any(|item| item.chars().count() > MAX_TEXT_CHARS)
        {
            return Err(
                format!("{name} holds a value of more than {MAX_TEXT_CHARS} characters").into(),
            );
        }
        Ok(items)
    }

    /// A certificate's name: a host in lower-case A-labels, or `<I>issuer<S>subject` as it is written.
    pub(super) fn certificate_name(&self, name: &str) -> Result<Option<String>, Wrong> {
        if let Some(Value::Object(identifier)) = self.get(name) {
            let part = |name: &str| identifier.get(name).and_then(text);
            if let Some(subject) = part("CertificateSubject") {
                let issuer = part("CertificateIssuer").map(|issuer| format!("<I>{issuer}"));
                return Ok(Some(format!("{}<S>{subject}", issuer.unwrap_or_default())));
            }
        }
        Ok(self.text(name)?.map(|text| {
            if text.starts_with('<') {
                return text;
            }
            certificate::dns_name(&text).unwrap_or_else(|| text.to_lowercase())
        }))
    }
}

/// A single value as a text. Objects of Exchange carry theirs in one of a few properties; a value that PowerShell has
/// wrapped, in `value`.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) if is_cut_off(text) => return None,
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Object(wrapped) => {
            let names = ["value", "Domain", "Address", "Expression", "Name"];
            let inner = names.into_iter().filter_map(|name| wrapped.get(name));
            // One level only: deeper there is nothing that belongs here.
            let mut inner = inner.filter(|inner| !inner.is_object());
            return inner.find_map(text);
        }
        Value::Null | Value::Array(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// What `ConvertTo-Json` and formatting cmdlets leave of a value that they did not write out.
fn is_cut_off(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("@{")
        || text.starts_with('{')
        || text.starts_with("System.")
        || text.starts_with("Microsoft.Exchange.")
}

/// A time: ISO 8601 with a zone, or `/Date(milliseconds)/`, with or without an offset that does not change it.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let Some(inside) = text.strip_prefix("/Date(") else {
        return text.parse().ok();
    };
    let inside = inside.strip_suffix(")/")?;
    // A minus sign in front belongs to a time before 1970.
    let offset = inside
        .char_indices()
        .skip(1)
        .find(|(_, c)| matches!(c, '+' | '-'));
    let end = offset.map_or(inside.len(), |(at, _)| at);
    Timestamp::from_millisecond(inside[..end].parse().ok()?).ok()
}

/// A value in back quotes, fit to be shown: no mail address is.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('@') {
        return "`…@…`".to_owned();
    }
    let mut cut: String = text.chars().take(MAX_QUOTED_CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("`{}`", shown(&cut))
}
