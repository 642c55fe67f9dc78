//! How a file begins: what it is known by, and whether there is anything to know it by yet.

use std::io;
use std::time::Instant;

use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::disk::piece;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::position::Behind;
use crate::daemon::tail::position::Fingerprint;
use crate::daemon::tail::position::Hash;
use crate::daemon::tail::position::MAX_FINGERPRINT_BYTES;
use crate::daemon::tail::position::written;
use crate::daemon::tail::reading::MAX_CHUNK;
use crate::pipeline::lines::MIN_NUL_DAMAGE_BYTES;
use crate::pipeline::record::RowReader;

/// What the beginning of a file tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Beginning {
    /// There is no whole row yet.
    Waits,
    /// Which file it is.
    Known(Fingerprint),
    /// There will be no whole row, but there is something to read or to leave out. Other files may begin alike.
    Odd(Fingerprint),
}

/// What follows on a beginning without a row, whose end is NUL bytes.
enum Rest {
    /// Nothing but NUL bytes.
    Nuls,
    /// This is the first row.
    Row(Behind),
    /// Text, but no whole row yet.
    Text {
        /// Where the last piece of it begins, as far as it can become one.
        at: u64,
    },
    /// It cannot be read now.
    Unread,
}

impl Followed {
    /// What its beginning tells, as long as nothing was read. `newer`: a later file stands beside it.
    pub(super) fn begin(
        &mut self,
        handle: &mut impl Handle,
        newer: bool,
        now: Instant,
    ) -> io::Result<Beginning> {
        if self.seen >= self.size {
            // Nothing but half lines and NUL bytes was there, unless it has been seen longer since.
            if self.known_size() <= self.size {
                self.forget_glimpse();
            }
            self.size = self.size.min(self.current);
            self.seen = self.size;
            self.nul_tail = 0;
        }
        let head = head(handle, self.current)?;
        if let Some(fingerprint) = Fingerprint::of(&head) {
            return Ok(Beginning::Known(fingerprint));
        }
        if (head.len() as u64) < self.current.min(MAX_FINGERPRINT_BYTES as u64) {
            return Ok(Beginning::Waits);
        }
        match self.rest(handle, head.len() as u64, newer, now)? {
            Rest::Nuls => {}
            Rest::Row(row) => return Ok(Beginning::Known(behind(handle, &head, row)?)),
            Rest::Text { at } => {
                if self.is_done(newer, now) {
                    return Ok(Beginning::Odd(Fingerprint::covering(&head)));
                }
                self.scanned = Some((0, at));
                self.forget_glimpse();
                self.size = self.current;
                self.seen = self.size;
                self.headers_only = false;
                return Ok(Beginning::Waits);
            }
            Rest::Unread => return Ok(Beginning::Waits),
        }
        let text = written(&head).len();
        let at = self.current;
        self.scanned = (at > head.len() as u64).then_some((0, at));
        self.forget_glimpse();
        self.size = self.current;
        self.seen = self.size;
        self.nul_tail = self.size - text as u64;
        self.headers_only = is_header(&head[..text]);
        let lasting = self.lasts((0, self.size, self.nul_tail), now);
        if self.nul_tail >= MIN_NUL_DAMAGE_BYTES {
            let covered = if text == 0 { &head } else { &head[..text] };
            return Ok(if lasting {
                Beginning::Odd(Fingerprint::covering(covered))
            } else {
                Beginning::Waits
            });
        }
        if self.is_done(newer, now) {
            let last = head[..text].rsplit(|&byte| byte == b'\n').next();
            let last = last.map(|row| row.strip_suffix(b"\r").unwrap_or(row));
            if last.is_some_and(|row| RowReader::default().read(row).is_ok()) {
                return Ok(Beginning::Odd(Fingerprint::covering(&head[..text])));
            }
            self.finished = true;
        }
        Ok(Beginning::Waits)
    }

    /// It is read up to here from now on. As soon as that holds a row, it is known by the first one, and not by header lines
    /// or half a line, which other files may have as well.
    pub(super) fn learn(&mut self, handle: &mut impl Handle, to: u64) -> io::Result<()> {
        if self.fingerprint.is_some() && !self.is_odd {
            return Ok(());
        }
        let head = whole_head(handle, to)?;
        let read = self.offset.unwrap_or_default();
        let found = first_row(handle, &head, read, to)?;
        let Some(known) = self.fingerprint else {
            self.is_odd = found.is_none();
            self.fingerprint = found.or_else(|| Some(Fingerprint::covering(&head)));
            return Ok(());
        };
        if let Some(found) = found
            && known.is_in(handle)? == Some(true)
        {
            self.is_odd = false;
            self.fingerprint = Some(found);
        }
        Ok(())
    }

    /// What follows on a beginning that ends at `head`. Each look goes on where the one before has come to; what is
    /// concluded is concluded from all of it, because NUL bytes may have become text in any order.
    fn rest(
        &self,
        handle: &mut impl Handle,
        head: u64,
        newer: bool,
        now: Instant,
    ) -> io::Result<Rest> {
        let known = self.scanned.filter(|&(_, to)| to <= self.current);
        let from = known.map_or(head, |(_, to)| to);
        let found = rest(handle, from, self.current)?;
        let concludes = matches!(found, Rest::Row(_)) || self.is_done(newer, now);
        if from > head && concludes {
            return rest(handle, head, self.current);
        }
        Ok(found)
    }
}

impl Fingerprint {
    /// Whether a file begins so; `None`: it ends before that is clear.
    pub(super) fn is_in(self, handle: &mut impl Handle) -> io::Result<Option<bool>> {
        let bytes = self.bytes_in(handle)?;
        Ok((bytes.len() == self.length()).then(|| Hash::of(&bytes) == self.hash))
    }

    /// What a file has where this was, as far as it is there.
    pub(super) fn bytes_in(self, handle: &mut impl Handle) -> io::Result<Vec<u8>> {
        let covered = usize::from(self.covered);
        let mut bytes = piece(handle, 0, covered)?;
        if let Some(row) = self.behind
            && bytes.len() == covered
        {
            bytes.extend(piece(handle, row.at, usize::from(row.length))?);
        }
        Ok(bytes)
    }
}

/// A file that begins so, known by its first row, if one ends before `end`; none does before `from`.
fn first_row(
    handle: &mut impl Handle,
    head: &[u8],
    from: u64,
    end: u64,
) -> io::Result<Option<Fingerprint>> {
    if let Some(fingerprint) = Fingerprint::of(head) {
        return Ok(Some(fingerprint));
    }
    let length = head.len() as u64;
    let mut found = rest(handle, from.max(length), end)?;
    if matches!(found, Rest::Row(_)) && from > length {
        found = rest(handle, length, end)?;
    }
    match found {
        Rest::Row(row) => behind(handle, head, row).map(Some),
        Rest::Nuls | Rest::Text { .. } => Ok(None),
        Rest::Unread => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The beginning of a file, as far as a fingerprint covers it, and nothing less.
fn whole_head(handle: &mut impl Handle, end: u64) -> io::Result<Vec<u8>> {
    let head = head(handle, end)?;
    if (head.len() as u64) < end.min(MAX_FINGERPRINT_BYTES as u64) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(head)
}

/// Whether a file of this size has something that it can be known by: its first row is whole, wherever that is.
pub(super) fn has_beginning(handle: &mut impl Handle, size: u64) -> io::Result<bool> {
    let head = whole_head(handle, size)?;
    Ok(first_row(handle, &head, 0, size)?.is_some())
}

/// The beginning of a file of the given size, as far as a fingerprint covers.
fn head(handle: &mut impl Handle, size: u64) -> io::Result<Vec<u8>> {
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    piece(handle, 0, wanted.min(MAX_FINGERPRINT_BYTES))
}

/// Looks for the first row behind NUL bytes, which are known up to `at`. However many pieces of text stand between them, no
/// byte is read much more than once.
fn rest(handle: &mut impl Handle, mut at: u64, end: u64) -> io::Result<Rest> {
    let length = |at: u64| usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
    let mut last = None;
    while at < end {
        let chunk = piece(handle, at, length(at).min(MAX_CHUNK))?;
        let mut next = 0;
        while let Some(text) = chunk[next..].iter().position(|&byte| byte != 0) {
            next += text;
            let start = at + next as u64;
            let wanted = length(start).min(MAX_FINGERPRINT_BYTES);
            let Some(text) = chunk.get(next..next + wanted) else {
                break;
            };
            if let Some(row) = Fingerprint::of(text) {
                let (at, length) = (start, row.covered);
                return Ok(Rest::Row(Behind { at, length }));
            }
            // It is only a part of one that more NUL bytes follow, or the end of the file.
            last = Some(start);
            next += written(text).len();
        }
        let is_text = chunk.get(next).is_some_and(|&byte| byte != 0);
        let looked = if is_text { next } else { chunk.len() };
        if looked == 0 {
            return Ok(Rest::Unread);
        }
        at += looked as u64;
    }
    Ok(last.map_or(Rest::Nuls, |at| Rest::Text { at }))
}

/// A beginning without a row, together with the first row.
fn behind(handle: &mut impl Handle, head: &[u8], row: Behind) -> io::Result<Fingerprint> {
    let fingerprint = Fingerprint {
        behind: Some(row),
        ..Fingerprint::covering(head)
    };
    let bytes = fingerprint.bytes_in(handle)?;
    if bytes.len() < fingerprint.length() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Fingerprint {
        hash: Hash::of(&bytes),
        ..fingerprint
    })
}

/// Whether there are only header lines, the last one perhaps not yet whole.
fn is_header(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    text.split_inclusive(|&byte| byte == b'\n')
        .all(|line| line.starts_with(b"#") || line.trim_ascii().is_empty())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests;
