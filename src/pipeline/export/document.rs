//! Bytes of a file → objects with their places.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::pipeline::export::Kind;
use crate::pipeline::export::MAX_BYTES;
use crate::pipeline::export::MAX_OBJECTS;
use crate::pipeline::export::Object;
use crate::pipeline::export::Problem;
use crate::pipeline::export::Wrong;
use crate::pipeline::export::object;
use crate::pipeline::export::object::quoted;
use crate::pipeline::shown::shown;

/// The text of an export, known to be JSON, and how it is cut into objects.
pub(super) struct Document<'a> {
    text: Cow<'a, str>,
    kind: Kind,
    /// When the export was made, if the script wrote it.
    pub(super) exported_at: Option<Timestamp>,
}

impl<'a> Document<'a> {
    pub(super) fn read(bytes: &'a [u8], kind: Kind) -> Result<Self, Problem> {
        if bytes.len() > MAX_BYTES {
            let what = format!("is larger than {MAX_BYTES} bytes");
            return Err(Problem::of_file(what, rewrite(kind)));
        }
        let text = decoded(bytes, kind)?;
        let first = text.trim_start().chars().next();
        match first {
            None => return Err(Problem::of_file("is empty", half_written(kind))),
            Some('[' | '{') => {}
            Some(_) => return Err(no_json(&text, kind)),
        }
        let mut document = Self {
            text,
            kind,
            exported_at: None,
        };
        document.exported_at = document.envelope()?.and_then(|it| it.exported_at());
        Ok(document)
    }

    /// What `read` makes of each object; the first that it does not like ends it.
    pub(super) fn all<T>(
        &self,
        mut read: impl FnMut(&Object) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Problem> {
        let items = self.items()?;
        if items.len() > self.kind.max_objects() {
            let what = format!("holds more than {} objects", self.kind.max_objects());
            return Err(Problem::of_file(what, rewrite(self.kind)));
        }
        let objects = items.iter().enumerate();
        objects
            .map(|(index, raw)| {
                let object = Object::read(raw.get())
                    .map_err(|error| self.no_object(index, raw.get(), &error))?;
                read(&object).map_err(|wrong| self.wrong_object(index, raw.get(), &object, &wrong))
            })
            .collect()
    }

    /// The objects, or the only one.
    fn items(&self) -> Result<Vec<&RawValue>, Problem> {
        if let Some(Envelope {
            value: Some(value), ..
        }) = self.envelope()?
        {
            return self.list(value.get());
        }
        if self.text.trim_start().starts_with('[') {
            return self.list(&self.text);
        }
        let single = serde_json::from_str(&self.text);
        single
            .map(|raw| vec![raw])
            .map_err(|error| self.broken(&self.text, &error))
    }

    fn list<'b>(&self, text: &'b str) -> Result<Vec<&'b RawValue>, Problem> {
        let list: Result<Items<'b>, _> = serde_json::from_str(text);
        list.map(|items| items.0)
            .map_err(|error| self.broken(text, &error))
    }

    /// Windows PowerShell writes some arrays as `{"value": […], "Count": 2}`, and a script can say in the same place
    /// when it ran.
    fn envelope(&self) -> Result<Option<Envelope<'_>>, Problem> {
        if !self.text.trim_start().starts_with('{') {
            return Ok(None);
        }
        let envelope: Envelope<'_> =
            serde_json::from_str(&self.text).map_err(|error| self.broken(&self.text, &error))?;
        let is_list = |value: &&RawValue| value.get().starts_with('[');
        Ok(envelope
            .value
            .as_ref()
            .is_some_and(is_list)
            .then_some(envelope))
    }

    /// JSON that does not go on as it should, in a part of the text.
    fn broken(&self, part: &str, error: &serde_json::Error) -> Problem {
        let (line, column) = self.place_in(part, error);
        let (what, remedy) = match error.classify() {
            serde_json::error::Category::Eof => ("ends in the middle", half_written(self.kind)),
            _ => ("is no valid JSON", rewrite(self.kind)),
        };
        let what = if error.to_string().starts_with(TOO_MANY) {
            format!("holds more than {MAX_OBJECTS} objects")
        } else {
            what.to_owned()
        };
        Problem {
            place: Some((line, column)),
            what,
            remedy,
        }
    }

    fn no_object(&self, index: usize, part: &str, error: &serde_json::Error) -> Problem {
        Problem {
            place: Some(self.place_in(part, error)),
            what: format!(
                "item {} is no object with properties, or nested too deeply",
                index + 1
            ),
            remedy: rewrite(self.kind),
        }
    }

    fn wrong_object(&self, index: usize, part: &str, object: &Object, wrong: &Wrong) -> Problem {
        let name = object.label().map(|name| format!(" ({:?})", shown(&name)));
        Problem {
            place: Some(self.place(part, 0)),
            what: format!(
                "object {}{}: {}",
                index + 1,
                name.unwrap_or_default(),
                wrong.what
            ),
            remedy: match wrong.remedy {
                Some(remedy) => remedy.to_owned(),
                None => rewrite(self.kind),
            },
        }
    }

    /// Where an error in a part of the text lies in the whole.
    fn place_in(&self, part: &str, error: &serde_json::Error) -> (usize, usize) {
        let lines = part.split_inclusive('\n');
        let before: usize = lines
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        self.place(part, before + error.column().saturating_sub(1))
    }

    /// Line and column of a byte of a part of the text.
    fn place(&self, part: &str, offset: usize) -> (usize, usize) {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let at = (start + offset).min(self.text.len());
        let before = String::from_utf8_lossy(&self.text.as_bytes()[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default();
        (line, column.chars().count() + 1)
    }
}

/// What PowerShell or a script puts around the list.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, alias = "Value")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ExportedAt")]
    exported_at: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn exported_at(&self) -> Option<Timestamp> {
        let value = serde_json::from_str(self.exported_at?.get()).ok()?;
        object::time(&object::text(&value)?)
    }
}

/// The items of a list, of which there may be too many to keep.
struct Items<'a>(Vec<&'a RawValue>);

const TOO_MANY: &str = "too many objects";

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element()? {
            if kept.len() == MAX_OBJECTS {
                return Err(de::Error::custom(TOO_MANY));
            }
            kept.push(item);
        }
        Ok(Items(kept))
    }
}

/// UTF-8 with or without byte order mark, and UTF-16, which is what `>` and `Out-File` of Windows PowerShell write.
fn decoded(bytes: &[u8], kind: Kind) -> Result<Cow<'_, str>, Problem> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        match text {
            Ok(text) if bytes.len().is_multiple_of(2) => Ok(Cow::Owned(text)),
            _ => Err(Problem::of_file(
                "is UTF-16 that breaks off within a character",
                half_written(kind),
            )),
        }
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        // JSON begins with an ASCII character, so a zero behind it gives UTF-16 away.
        [first, 0, ..] if *first != 0 => wide(bytes, u16::from_le_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|error| not_utf8(bytes, &error, kind))
        }
    }
}

fn not_utf8(bytes: &[u8], error: &std::str::Utf8Error, kind: Kind) -> Problem {
    if error.error_len().is_none() {
        return Problem::of_file("ends in the middle", half_written(kind));
    }
    let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    Problem {
        place: Some((line, column.chars().count() + 1)),
        what: "is neither UTF-8 nor UTF-16".to_owned(),
        remedy: "write it with `Out-File -Encoding utf8`".to_owned(),
    }
}

fn no_json(text: &str, kind: Kind) -> Problem {
    let start = text.trim_start();
    let first = start.lines().next().unwrap_or_default();
    let what = if start.starts_with("<Objs") || start.starts_with("#< CLIXML") {
        "is CLIXML, not JSON".to_owned()
    } else {
        format!("is no JSON: it begins with {}", quoted(first))
    };
    Problem::of_file(what, rewrite(kind))
}

fn rewrite(kind: Kind) -> String {
    format!(
        "write it anew with `{} | ConvertTo-Json -Depth 4`",
        kind.cmdlet()
    )
}

fn half_written(kind: Kind) -> String {
    format!(
        "if it is still being written, this passes; otherwise {}",
        rewrite(kind)
    )
}
