//! The state as rows: what outlives the process.
//!
//! Everything that certdrift knows is kept as entities, one row each: a live session, what one connector showed, an
//! alert, a message that waits. A row is a key and a value in JSON, so that a later version can add to it. Each stage
//! says what has changed since it was last asked, as [`Changes`]; whoever owns the state writes all of it in one
//! transaction, or none.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What kind of entity a row holds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Table {
    /// Facts about the whole: when the state began, the last number of a message.
    Whole,
    /// How far each log file was read.
    File,
    /// What was counted in each directory of logs.
    Directory,
    /// The same directories as the scope of session ids.
    Stream,
    /// Live sessions.
    Session,
    /// Certificates that live sessions refer to.
    Certificate,
    /// What each server showed on each connector.
    Ledger,
    /// What is found about each connector that is judged.
    Finding,
    /// Alerts that are firing.
    Alert,
    /// Messages that wait for a receiver.
    Message,
    /// Counts of each receiver.
    Receiver,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 11] = [
        Self::Whole,
        Self::File,
        Self::Directory,
        Self::Stream,
        Self::Session,
        Self::Certificate,
        Self::Ledger,
        Self::Finding,
        Self::Alert,
        Self::Message,
        Self::Receiver,
    ];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::File => "file",
            Self::Directory => "directory",
            Self::Stream => "stream",
            Self::Session => "session",
            Self::Certificate => "certificate",
            Self::Ledger => "ledger",
            Self::Finding => "finding",
            Self::Alert => "alert",
            Self::Message => "message",
            Self::Receiver => "receiver",
        }
    }
}

/// Rows to write and rows to remove. Of several changes to one row the last one counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    rows: BTreeMap<(Table, String), Option<String>>,
    fault: Option<String>,
}

impl Changes {
    /// The row is to hold this value.
    pub fn put(&mut self, table: Table, key: impl Into<String>, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.put_text(table, key.into(), text),
            Err(error) => {
                let fault = format!("a row of {} cannot be written: {error}", table.as_str());
                self.fault = Some(fault);
            }
        }
    }

    /// The row is to hold this text, which is JSON already.
    pub fn put_text(&mut self, table: Table, key: String, text: String) {
        self.rows.insert((table, key), Some(text));
    }

    /// The row is to be gone.
    pub fn remove(&mut self, table: Table, key: impl Into<String>) {
        self.rows.insert((table, key.into()), None);
    }

    /// Adds later changes.
    pub fn merge(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.fault = later.fault.or(self.fault.take());
    }

    /// Every row: table, key, and its value; `None`: it is to be gone.
    pub fn rows(&self) -> impl Iterator<Item = (Table, &str, Option<&str>)> {
        self.rows
            .iter()
            .map(|((table, key), value)| (*table, key.as_str(), value.as_deref()))
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.fault.is_none()
    }

    /// How many rows change.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many bytes of text they hold.
    pub fn bytes(&self) -> usize {
        let size = |((_, key), value): (&(Table, String), &Option<String>)| {
            key.len() + value.as_ref().map_or(0, String::len)
        };
        self.rows.iter().map(size).sum()
    }

    /// A value that cannot be written: a bug, and a reason not to write the others either.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

/// What was last written of rows that are few, and change in too many places to say each time that they have: all of
/// them are looked at, and those written whose text is another than before.
#[derive(Debug, Default)]
pub struct Written {
    sums: BTreeMap<Table, HashMap<String, Sum>>,
    /// Counts the times that all rows of a table were looked at.
    round: u64,
    /// The row that is looked at; kept, because mostly nothing has changed, and nothing need be allocated to see that.
    text: Vec<u8>,
}

/// Of the text of a row.
#[derive(Clone, Copy, Debug)]
struct Sum {
    sum: u64,
    /// When it was there last.
    round: u64,
}

impl Written {
    /// What is there already.
    pub fn of(saved: &Saved) -> Self {
        let mut written = Self::default();
        for table in [
            Table::Whole,
            Table::Directory,
            Table::Alert,
            Table::Receiver,
        ] {
            for (key, text) in saved.texts(table) {
                let sum = Sum {
                    sum: sum(text.as_bytes()),
                    round: 0,
                };
                let sums = written.sums.entry(table).or_default();
                sums.insert(key.to_owned(), sum);
            }
        }
        written
    }

    /// Adds one row to the changes, if it has changed.
    pub fn row(&mut self, table: Table, key: &str, value: &impl Serialize, changes: &mut Changes) {
        self.text.clear();
        let written = serde_json::to_writer(&mut self.text, value).ok();
        let Some(text) = written.and_then(|()| std::str::from_utf8(&self.text).ok()) else {
            // It says why.
            changes.put(table, key, value);
            return;
        };
        let now = Sum {
            sum: sum(text.as_bytes()),
            round: self.round,
        };
        let sums = self.sums.entry(table).or_default();
        let before = match sums.get_mut(key) {
            Some(known) => Some(std::mem::replace(known, now)),
            None => sums.insert(key.to_owned(), now),
        };
        if before.is_none_or(|before| before.sum != now.sum) {
            changes.put_text(table, key.to_owned(), text.to_owned());
        }
    }

    /// Adds the rows that have changed, and those that are gone. These are all of the table.
    pub fn rows<T: Serialize>(
        &mut self,
        table: Table,
        rows: impl IntoIterator<Item = (impl AsRef<str>, T)>,
        changes: &mut Changes,
    ) {
        self.round += 1;
        for (key, value) in rows {
            self.row(table, key.as_ref(), &value, changes);
        }
        let Some(sums) = self.sums.get_mut(&table) else {
            return;
        };
        sums.retain(|key, sum| {
            let is_there = sum.round == self.round;
            if !is_there {
                changes.remove(table, key.as_str());
            }
            is_there
        });
    }
}

/// A map whose keys are no texts, as a list of pairs: `#[serde(with = "pairs")]`.
pub mod pairs {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;

    /// # Errors
    /// The serializer's.
    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Vec::deserialize(deserializer).map(BTreeMap::from_iter)
    }
}

fn sum(text: &[u8]) -> u64 {
    FixedState::default().hash_one(text)
}

/// All rows of a state.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Saved {
    rows: BTreeMap<Table, BTreeMap<String, String>>,
}

/// A row that holds something else than it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreadable {
    /// The row's table.
    pub table: Table,
    /// The row's key.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = self.table.as_str();
        write!(f, "row {:?} of {table}: {}", self.key, self.why)
    }
}

impl Saved {
    /// Puts in a row as it was written.
    pub fn insert(&mut self, table: Table, key: String, value: String) {
        self.rows.entry(table).or_default().insert(key, value);
    }

    /// What it becomes by these changes.
    pub fn apply(&mut self, changes: &Changes) {
        for (table, key, value) in changes.rows() {
            let rows = self.rows.entry(table).or_default();
            match value {
                Some(value) => rows.insert(key.to_owned(), value.to_owned()),
                None => rows.remove(key),
            };
        }
        self.rows.retain(|_, rows| !rows.is_empty());
    }

    /// The keys and texts of a table, ordered by key.
    pub fn texts(&self, table: Table) -> impl Iterator<Item = (&str, &str)> {
        self.rows
            .get(&table)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The rows of a table, ordered by key.
    ///
    /// # Errors
    /// For each row that does not hold what it should: the state is damaged.
    pub fn rows<T: DeserializeOwned>(
        &self,
        table: Table,
    ) -> impl Iterator<Item = Result<(&str, T), Unreadable>> {
        self.texts(table).map(move |(key, text)| {
            let value = serde_json::from_str(text).map_err(|error| Unreadable {
                table,
                key: key.to_owned(),
                why: error.to_string(),
            })?;
            Ok((key, value))
        })
    }

    /// One row; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn row<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &str,
    ) -> Result<Option<T>, Unreadable> {
        let Some(text) = self.rows.get(&table).and_then(|rows| rows.get(key)) else {
            return Ok(None);
        };
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| Unreadable {
                table,
                key: key.to_owned(),
                why: error.to_string(),
            })
    }

    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.rows.values().all(BTreeMap::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_row_counts() {
        let mut changes = Changes::default();
        changes.put(Table::Alert, "a", &1);
        changes.put(Table::Alert, "a", &2);
        changes.put(Table::Message, "a", &3);
        let mut later = Changes::default();
        later.remove(Table::Message, "a");
        changes.merge(later);
        let rows: Vec<_> = changes.rows().collect();
        let expected = [(Table::Alert, "a", Some("2")), (Table::Message, "a", None)];
        assert_eq!(rows, expected);
        assert_eq!((changes.len(), changes.bytes()), (2, 3));
        let mut saved = Saved::default();
        saved.insert(Table::Message, "a".to_owned(), "0".to_owned());
        saved.apply(&changes);
        assert_eq!(saved.row(Table::Alert, "a"), Ok(Some(2)));
        assert_eq!(saved.row::<u32>(Table::Message, "a"), Ok(None));
    }

    #[test]
    fn a_value_that_cannot_be_written_or_read_is_named() {
        let mut changes = Changes::default();
        changes.put(Table::Alert, "a", &BTreeMap::from([((1, 2), 3)]));
        assert!(changes.fault().is_some() && !changes.is_empty());
        let mut saved = Saved::default();
        saved.insert(Table::Alert, "a".to_owned(), "{".to_owned());
        let error = saved.rows::<u32>(Table::Alert).next();
        let error = error.and_then(Result::err).map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.starts_with("row \"a\" of alert: ")));
        assert!(saved.row::<u32>(Table::Alert, "a").is_err());
    }

    #[test]
    fn tables_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> =
            Table::ALL.iter().map(|it| it.as_str()).collect();
        assert_eq!(names.len(), Table::ALL.len());
    }
}
