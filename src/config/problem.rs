//! What is wrong with a configuration: every problem with its position, its key and the way out.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_yaml::{Location, Spanned};

use crate::config::keys::Key;

/// Longest name of a server, connector or receiver, in characters; Exchange itself allows 64.
const MAX_NAME_CHARS: usize = 128;
/// Longest other text, in characters: no path, address or distinguished name needs more.
const MAX_TEXT_CHARS: usize = 4096;
/// Most items of one list.
const MAX_ITEMS: usize = 1000;
/// Most problems that are printed; whoever has more has made one mistake many times.
const MAX_PRINTED: usize = 20;
/// How much of a wrong value is repeated in the message, in characters.
const MAX_QUOTED_CHARS: usize = 60;

/// A configuration that cannot be used. Nothing of it has taken effect: a daemon that already runs keeps the old one.
///
/// Prints one line per problem, `file:line:column: path.of.key: what is wrong; expected …; did you mean …?`, or
/// `file: what is wrong; expected …` when the file could not be read at all. Never holds a URL or a secret.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl ConfigError {
    /// The file could not be read, or not as text.
    pub(super) fn of_file(file: &Path, problem: Problem) -> Self {
        Self {
            file: file.to_owned(),
            problems: vec![problem],
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for (index, problem) in self.problems.iter().take(MAX_PRINTED).enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{file}:{problem}")?;
        }
        match self.problems.len().saturating_sub(MAX_PRINTED) {
            0 => Ok(()),
            more => write!(f, "\n{file}: {more} more problems"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Problem {
    /// Line and column from 1, and the key; `None`: the file as a whole.
    place: Option<(u64, u64, Key)>,
    wrong: String,
    expected: Option<String>,
    nearest: Option<&'static str>,
}

impl Problem {
    /// Something about the file as a whole; `remedy` is a sentence of its own.
    pub(super) fn file(wrong: impl fmt::Display, remedy: &str) -> Self {
        Self {
            place: None,
            wrong: format!("{wrong}; {remedy}"),
            expected: None,
            nearest: None,
        }
    }

    /// Something at a line and column, both from 1. What is expected there is looked up by the key.
    pub(super) fn at(line: u64, column: u64, key: Key, wrong: impl Into<String>) -> Self {
        Self {
            expected: key.expected().map(str::to_owned),
            place: Some((line, column, key)),
            wrong: wrong.into(),
            nearest: None,
        }
    }

    /// Replaces what the key expects by something narrower.
    pub(super) fn expecting(self, expected: impl Into<String>) -> Self {
        Self {
            expected: Some(expected.into()),
            ..self
        }
    }

    /// Replaces what is expected of the file as a whole, for a file of another kind.
    pub(super) fn expecting_at_top(self, expected: &str) -> Self {
        match &self.place {
            Some((_, _, key)) if *key == Key::default() => self.expecting(expected),
            _ => self,
        }
    }

    /// Adds what was probably meant.
    pub(super) fn meaning(self, nearest: Option<&'static str>) -> Self {
        Self { nearest, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((line, column, key)) if *key == Key::default() => {
                write!(f, "{line}:{column}: (top level): {}", self.wrong)?;
            }
            Some((line, column, key)) => write!(f, "{line}:{column}: {key}: {}", self.wrong)?,
            None => write!(f, " {}", self.wrong)?,
        }
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        match self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// The problems found so far.
///
/// Reading goes on after one, so that all of them are told at once: what is wrong is noted here and from then on counts
/// as left out. No harm can come of that, for [`Problems::finish`] lets nothing through once anything is noted.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// The value, unless there was a problem.
    pub(super) fn finish<T>(mut self, file: &Path, value: T) -> Result<T, ConfigError> {
        if self.found.is_empty() {
            return Ok(value);
        }
        let position = |problem: &Problem| {
            problem
                .place
                .as_ref()
                .map(|(line, column, _)| (*line, *column))
        };
        self.found.sort_by_key(position);
        Err(ConfigError {
            file: file.to_owned(),
            problems: self.found,
        })
    }

    /// Notes a problem.
    pub(super) fn note(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Notes what is wrong with the value of `key`.
    pub(super) fn add(&mut self, key: &Key, at: Location, wrong: impl Into<String>) {
        let problem = Problem::at(at.line(), at.column(), key.clone(), wrong);
        self.found.push(problem);
    }

    /// What a text means, after the checks that every text has to pass; `None` too if it was left out.
    pub(super) fn text<'a, T>(
        &mut self,
        key: &Key,
        typed: impl Into<Option<&'a Spanned<String>>>,
        meaning: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.expandable_text(key, typed, |text| {
            no_expansion(text)?;
            meaning(text)
        })
    }

    /// The same for a text in which `meaning` itself looks after `${…}`.
    pub(super) fn expandable_text<'a, T>(
        &mut self,
        key: &Key,
        typed: impl Into<Option<&'a Spanned<String>>>,
        meaning: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let typed = typed.into()?;
        let text = typed.value.trim();
        match printable(text, MAX_TEXT_CHARS).and_then(|()| meaning(text)) {
            Ok(meaning) => Some(meaning),
            Err(Wrong { what, nearest }) => {
                let at = typed.referenced;
                let problem = Problem::at(at.line(), at.column(), key.clone(), what);
                self.found.push(problem.meaning(nearest));
                None
            }
        }
    }

    /// A name of a server, connector or receiver.
    pub(super) fn name<'a>(
        &mut self,
        key: &Key,
        typed: impl Into<Option<&'a Spanned<String>>>,
    ) -> Option<String> {
        self.text(key, typed, |text| {
            printable(text, MAX_NAME_CHARS)?;
            Ok(text.to_owned())
        })
    }

    /// Reads the items of a list, which may be left out, and goes on after a wrong one.
    pub(super) fn list<'a, T: 'a, U>(
        &mut self,
        key: &Key,
        typed: impl Into<Option<&'a Vec<Spanned<T>>>>,
        mut item: impl FnMut(&mut Self, Key, &Spanned<T>) -> Option<U>,
    ) -> Vec<U> {
        let typed = typed.into().map_or(&[][..], Vec::as_slice);
        if let Some(beyond) = typed.get(MAX_ITEMS) {
            let wrong = format!("has more than {MAX_ITEMS} items");
            self.add(key, beyond.referenced, wrong);
            return Vec::new();
        }
        let items = typed.iter().enumerate();
        items
            .filter_map(|(index, typed)| item(self, key.item(index), typed))
            .collect()
    }
}

/// What is wrong with a text, in words that follow the key: `is …`, `has no …`.
#[derive(Debug)]
pub(super) struct Wrong {
    what: String,
    nearest: Option<&'static str>,
}

impl Wrong {
    /// A word that is none of the known ones.
    pub(super) fn word(typed: &str, nearest: Option<&'static str>) -> Self {
        Self {
            what: format!("{} is not known", quoted(typed)),
            nearest,
        }
    }
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(what: T) -> Self {
        Self {
            what: what.into(),
            nearest: None,
        }
    }
}

fn printable(text: &str, max_chars: usize) -> Result<(), Wrong> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.chars().count() > max_chars {
        return Err(format!("is longer than {max_chars} characters").into());
    }
    if text.chars().any(char::is_control) {
        return Err(
            "holds a control character, for which YAML takes `\\t`, `\\n` and others in double quotes; single quotes keep \
             backslashes"
                .into(),
        );
    }
    Ok(())
}

/// Refuses `${…}`: a value that looks expanded and is not would be worse than an error.
pub(super) fn no_expansion(text: &str) -> Result<(), Wrong> {
    let Some((_, rest)) = text.split_once("${") else {
        return Ok(());
    };
    let name = rest.split_once('}').map_or("", |(name, _)| name);
    let name = if looks_like_a_key(name) { name } else { "…" };
    Err(format!(
        "`${{{name}}}` is not expanded; the only expansion is `${{CREDENTIALS_DIRECTORY}}`, where a file \
         with a secret is named, as in `url_file`"
    )
    .into())
}

/// Whether a text is shaped like a key, so that it may be repeated even where a secret could have been typed.
pub(super) fn looks_like_a_key(text: &str) -> bool {
    /// A signing secret is longer.
    const MAX_KEY_CHARS: usize = 40;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && text.len() <= MAX_KEY_CHARS && text.chars().all(word)
}

/// A value in back quotes, escaped and shortened.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for c in text.chars().take(MAX_QUOTED_CHARS) {
        let escaped = c.escape_debug();
        // Writing to a string cannot fail; quotes need no escape between back quotes.
        let _ = if matches!(c, '"' | '\'' | '\\') {
            out.write_char(c)
        } else {
            write!(out, "{escaped}")
        };
    }
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}
