//! Rows of form A: a certificate in five rows, one value each.
//!
//! The same certificate comes again and again, so its rows are kept as they are until all of them are there: then most are
//! known by their bytes, and nobody has to read them.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Gaps;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::certificate::capped;
use crate::pipeline::certificate::dn::MAX_NAME_BYTES;
use crate::pipeline::certificate::dns_names;
use crate::pipeline::certificate::serial;
use crate::pipeline::record::Cell;

/// How many bytes of rows a block holds before it reads them; several times what a public certificate takes. What is
/// longer is read at once, and kept within the limits of a certificate.
const MAX_UNREAD_BYTES: usize = 4096;
/// Room for the rows of most blocks.
const USUAL_BYTES: usize = 512;
/// What stands before each row that was not read yet: its field, whether its quotes are doubled, and its length.
const HEAD: usize = 1 + 1 + 4;

/// The values of a block, in the order of its rows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// `Certificate subject`.
    Subject,
    /// `Certificate issuer name`.
    Issuer,
    /// `Certificate serial number`.
    Serial,
    /// `Certificate thumbprint`.
    Thumbprint,
    /// `Certificate alternate names`.
    Names,
}

impl Field {
    const ALL: [Self; 5] = [
        Self::Subject,
        Self::Issuer,
        Self::Serial,
        Self::Thumbprint,
        Self::Names,
    ];

    /// Which value a row holds, by its `context`; `None`: it belongs to no block.
    pub fn of(context: &[u8]) -> Option<Self> {
        match context {
            b"Certificate subject" => Some(Self::Subject),
            b"Certificate issuer name" => Some(Self::Issuer),
            b"Certificate serial number" => Some(Self::Serial),
            b"Certificate thumbprint" => Some(Self::Thumbprint),
            b"Certificate alternate names" => Some(Self::Names),
            _ => None,
        }
    }
}

/// A block while its rows come in.
///
/// The rows that begin another certificate's block carry the same labels as those of ours, and the row in front of them
/// that tells whose they are may be lost. So a value that stands where it cannot stand in this block ends it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Block {
    /// What was read.
    found: Certificate,
    last: Option<Field>,
    /// Rows that were not, each behind its [`HEAD`].
    unread: Vec<u8>,
    /// Whether those are all there were.
    is_unread: bool,
}

/// What is kept of a block over a restart.
#[derive(Deserialize, Serialize)]
struct Stored {
    found: Certificate,
    last: Option<Field>,
}

/// What a row did to a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BlockStep {
    /// It was taken, and more may follow.
    Continues,
    /// It was the last one.
    Complete,
    /// It does not belong to the block.
    NotPart,
}

impl Block {
    /// An empty block.
    pub fn start() -> Self {
        Self {
            found: Certificate {
                thumbprint: None,
                subject: String::new(),
                issuer: None,
                serial: None,
                names: Vec::new(),
                not_before: None,
                not_after: None,
                validity_from: None,
                gaps: Gaps {
                    dn_uncut: false,
                    names_incomplete: true,
                },
            },
            last: None,
            unread: Vec::new(),
            is_unread: true,
        }
    }

    /// Takes the value of a row.
    pub fn row(&mut self, field: Field, data: Cell<'_>) -> BlockStep {
        if self.last >= Some(field) {
            return BlockStep::NotPart;
        }
        self.last = Some(field);
        let raw = data.raw();
        match u32::try_from(raw.len()) {
            Ok(length) if self.unread.len() + HEAD + raw.len() <= MAX_UNREAD_BYTES => {
                if self.unread.is_empty() {
                    self.unread.reserve(USUAL_BYTES);
                }
                self.unread
                    .extend([field as u8, u8::from(data.is_doubled())]);
                self.unread.extend(length.to_le_bytes());
                self.unread.extend(raw);
            }
            _ => {
                self.read_all();
                self.read(field, &data.bytes());
            }
        }
        if field == Field::Names {
            BlockStep::Complete
        } else {
            BlockStep::Continues
        }
    }

    /// All rows of a complete block, as they can be compared with those of another; `None`: it is not complete, or some
    /// of it was read before.
    pub(super) fn rows(&self) -> Option<&[u8]> {
        let is_whole = self.is_unread && self.last == Some(Field::Names);
        is_whole.then_some(&self.unread)
    }

    /// What is there. A block that was cut short is flagged as incomplete: that it began says that a certificate was
    /// offered, so there is one even if nothing of it came.
    pub fn finish(mut self) -> Certificate {
        self.read_all();
        self.found
    }

    fn read_all(&mut self) {
        self.is_unread = false;
        let unread = std::mem::take(&mut self.unread);
        let mut rest = &unread[..];
        while let Some((&[field, doubled, a, b, c, d], behind)) = rest.split_first_chunk::<HEAD>() {
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            let (raw, behind) = behind.split_at(length.min(behind.len()));
            if let Some(field) = Field::ALL.get(usize::from(field)) {
                self.read(*field, &Cell::new(raw, doubled != 0).bytes());
            }
            rest = behind;
        }
    }

    fn read(&mut self, field: Field, data: &[u8]) {
        // Looks at many bytes at once, which the lossy way does not.
        let text =
            std::str::from_utf8(data).map_or_else(|_| String::from_utf8_lossy(data), Cow::Borrowed);
        let text = text.trim();
        match field {
            Field::Subject => {
                capped(text).clone_into(&mut self.found.subject);
                self.found.gaps.dn_uncut |= text.len() > MAX_NAME_BYTES;
            }
            Field::Issuer => {
                self.found.issuer = Some(capped(text).to_owned());
                self.found.gaps.dn_uncut |= text.len() > MAX_NAME_BYTES;
            }
            Field::Serial => self.found.serial = serial(text),
            Field::Thumbprint => self.found.thumbprint = Thumbprint::parse(text),
            Field::Names => {
                (self.found.names, self.found.gaps.names_incomplete) = dns_names(text);
            }
        }
    }
}

impl From<Stored> for Block {
    fn from(Stored { found, last }: Stored) -> Self {
        Self {
            found,
            last,
            unread: Vec::new(),
            is_unread: last.is_none(),
        }
    }
}

impl From<Block> for Stored {
    fn from(mut block: Block) -> Self {
        block.read_all();
        Self {
            found: block.found,
            last: block.last,
        }
    }
}

#[cfg(test)]
mod tests;
