//! What a program of the model has led to, and whether that is right.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Read as _;

use super::*;
use crate::daemon::tail::Change;
use crate::daemon::tail::Loss;
use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::position::Fingerprint;
use crate::daemon::tail::position::MAX_FINGERPRINT_BYTES;
use crate::pipeline::file::LogFile;

/// A loss as it was told: the beginning of the file, its name, how often something of it had been read, and what.
pub(super) type Reported = (Option<Fingerprint>, String, u64, Loss);

/// What a transaction holds.
#[derive(Clone, Default)]
pub(super) struct Committed {
    pub(super) positions: BTreeMap<FileId, Position>,
    pub(super) applied: BTreeMap<u64, u32>,
    pub(super) losses: Vec<Reported>,
    /// How often something of a file was read, or stood there anew.
    reads: BTreeMap<FileId, u64>,
    pub(super) found: u64,
    /// Files that were gone and came back.
    returned: BTreeSet<FileId>,
}

impl Committed {
    pub(super) fn knows(&self, fingerprint: Option<Fingerprint>) -> bool {
        let mut positions = self.positions.values();
        fingerprint.is_some() && positions.any(|position| position.fingerprint == fingerprint)
    }

    /// Ranges that follow on each other are one, unless the file was read in between: then other bytes stand there.
    pub(super) fn joined_losses(&self) -> Vec<Reported> {
        let mut losses = self.losses.clone();
        losses.sort_by_key(|(.., loss)| loss.from);
        let mut joined: Vec<Reported> = Vec::new();
        for (fingerprint, name, reads, loss) in losses {
            let known = joined
                .iter_mut()
                .find(|(known, known_name, known_reads, before)| {
                    *known == fingerprint
                        && *known_name == name
                        && *known_reads == reads
                        && before.from + before.bytes == loss.from
                });
            match known {
                Some((.., before)) => before.bytes += loss.bytes,
                None => joined.push((fingerprint, name, reads, loss)),
            }
        }
        joined
    }

    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Bytes {
                bytes, position, ..
            }
            | Event::Finished {
                bytes, position, ..
            } => {
                let begin = position.offset.unwrap() - bytes.len() as u64;
                let mut log = LogFile::from(begin, None);
                let mut count = |row: &crate::pipeline::record::Row<'_>| {
                    *self.applied.entry(row.session().0).or_default() += 1;
                };
                log.feed(&bytes, &mut count);
                log.take_unfinished(&mut count);
                if !bytes.is_empty() {
                    *self.reads.entry(position.file).or_default() += 1;
                }
                self.positions.insert(position.file, position);
            }
            Event::Lost { loss, position, .. } => {
                let reads = self.reads.get(&position.file).copied().unwrap_or_default();
                let name = position.name.to_string();
                self.losses.push((position.fingerprint, name, reads, loss));
                self.positions.insert(position.file, position);
            }
            Event::Changed {
                change, position, ..
            } => {
                let found = match change {
                    Change::Returned { found } => {
                        self.returned.insert(position.file);
                        Some(found)
                    }
                    // What is lost from then on is other bytes.
                    Change::Rewritten => {
                        *self.reads.entry(position.file).or_default() += 1;
                        None
                    }
                    // An old copy came back first; then one that holds more could be read.
                    Change::Moved if self.returned.contains(&position.file) => {
                        let read = position.offset.unwrap_or_default();
                        Some(position.size.saturating_sub(read))
                    }
                    _ => None,
                };
                if let Some(found) = found {
                    self.found += found;
                    // What comes back is not lost any more; what follows on it still is, and so is a half line.
                    let end = position.offset.unwrap_or_default() + found;
                    let rests: Vec<_> = self
                        .losses
                        .iter()
                        .filter(|(fingerprint, .., loss)| {
                            let goes_on = loss.from <= end && loss.from + loss.bytes > end;
                            *fingerprint == position.fingerprint && goes_on
                        })
                        .map(|(fingerprint, name, reads, loss)| {
                            let rest = Loss {
                                from: end,
                                bytes: loss.from + loss.bytes - end,
                                ..*loss
                            };
                            (*fingerprint, name.clone(), *reads, rest)
                        })
                        .collect();
                    self.losses.extend(rests);
                }
                self.positions.insert(position.file, position);
            }
            Event::PassedOver { positions } => {
                self.positions.extend(
                    positions
                        .into_iter()
                        .map(|position| (position.file, position)),
                );
            }
            Event::Forgotten { file } => {
                self.positions.remove(&file);
            }
            Event::CaughtUp { .. } | Event::Alive | Event::Looked { .. } => {}
        }
    }
}

pub(super) fn told(event: &Event) -> String {
    match event {
        Event::Bytes {
            bytes, position, ..
        } => {
            let rows: Vec<u64> = rows_in(bytes, 0, u64::MAX).collect();
            format!(
                "bytes {:?} {} to {:?} rows {rows:?}",
                position.file, position.name, position.offset
            )
        }
        Event::Finished {
            bytes, position, ..
        } => format!(
            "finished {:?} {} {}",
            position.file,
            position.name,
            bytes.len()
        ),
        Event::Lost { loss, position, .. } => {
            format!("lost {:?} {} {loss:?}", position.file, position.name)
        }
        Event::Changed {
            change, position, ..
        } => {
            format!(
                "{change:?} {:?} {} at {:?} of {}",
                position.file, position.name, position.offset, position.size
            )
        }
        Event::Looked { look, .. } => format!("looked {:?}", look.troubles().next()),
        other => format!("{other:?}"),
    }
}

/// A file that can always be read.
struct Whole<'a>(&'a [u8]);

impl Handle for Whole<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap().min(self.0.len());
        (&self.0[at..]).read(buffer)
    }
}

/// What a file is known by that holds this; `None`: nothing yet.
pub(super) fn known_by(bytes: &[u8]) -> Option<Fingerprint> {
    let text = bytes.iter().rposition(|&byte| byte != 0);
    let text = text.map_or(0, |last| last + 1);
    if text < MAX_FINGERPRINT_BYTES {
        return Fingerprint::of(&bytes[..text]);
    }
    let mut file = Followed::new(FileId(0), "", None, clock::instant());
    file.learn(&mut Whole(bytes), bytes.len() as u64).unwrap();
    file.fingerprint
}

/// Whether a file that holds this is known by that.
pub(super) fn is_known_by(bytes: &[u8], fingerprint: Fingerprint) -> bool {
    fingerprint.is_in(&mut Whole(bytes)).unwrap() == Some(true)
}

/// What tells a file from others.
pub(super) fn begin(bytes: &[u8]) -> Vec<u8> {
    let known = known_by(bytes).map(|known| known.bytes_in(&mut Whole(bytes)).unwrap());
    known.unwrap_or_default()
}

/// The ids of the rows that lie wholly in a range.
pub(super) fn rows_in(bytes: &[u8], from: u64, to: u64) -> impl Iterator<Item = u64> {
    let mut at = 0;
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter_map(move |line| {
            // NUL bytes before a row are no part of it.
            let nuls = line
                .iter()
                .rposition(|&byte| byte == 0)
                .map_or(0, |last| last + 1);
            let start = at + nuls as u64;
            at += line.len() as u64;
            let row = &line[nuls..];
            let is_row = row.ends_with(b"\n") && row.starts_with(b"2026-") && row.len() > 60;
            let is_row =
                is_row && row.split(|&byte| byte == b',').count() == 9 && start >= from && at <= to;
            is_row.then(|| {
                u64::from_str_radix(std::str::from_utf8(&row[27..43]).unwrap(), 16).unwrap()
            })
        })
}
