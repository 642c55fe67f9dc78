//! Bytes of one file → whole lines, and what has to be left out.
//!
//! Only whole lines are handed on, so the offset is always the start of the first line that is not, and a position needs
//! no more than that. A half line at the end is read again when there is more of it.

use std::io;
use std::time::Instant;

use memchr::memchr2;
use memchr::memrchr;

use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::disk::fill;
use crate::daemon::tail::disk::piece;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::file::NUL_PATIENCE;
use crate::daemon::tail::file::before;
use crate::daemon::tail::position::Hash;
use crate::daemon::tail::position::MAX_ANCHOR_BYTES;
use crate::daemon::tail::position::written;
use crate::pipeline::lines::MAX_LINE_BYTES;
use crate::pipeline::lines::MIN_NUL_DAMAGE_BYTES;
use crate::pipeline::record::RowReader;

/// How many bytes are read at once; a line that is longer comes alone.
pub(super) const MAX_CHUNK: usize = 256 * 1024;

/// What comes next in a file.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// Whole lines, with their newlines.
    Lines(Vec<u8>),
    /// A run of NUL bytes that will not turn into text, and the beginning of a line before it.
    Nul {
        /// Where it begins.
        from: u64,
        /// How long it is.
        bytes: u64,
    },
    /// A line over the limit.
    LongLine {
        /// Where it begins.
        from: u64,
        /// How long it is, with its newline.
        bytes: u64,
    },
}

impl Followed {
    /// Reads up to the size that was known before, for as long as `take` wants more. It is told each piece after the
    /// file's own position has moved behind it.
    pub(super) fn read(
        &mut self,
        handle: &mut impl Handle,
        now: Instant,
        take: &mut impl FnMut(&Self, Piece) -> bool,
    ) -> io::Result<bool> {
        self.size = self.current;
        self.seen = self.offset.unwrap_or(self.size);
        self.nul_tail = 0;
        while let Some(offset) = self.offset.filter(|&offset| offset < self.size) {
            match self.next(handle, offset, now)? {
                Some(piece) => {
                    if !take(self, piece) {
                        return Ok(false);
                    }
                }
                None => break,
            }
        }
        Ok(true)
    }

    fn next(
        &mut self,
        handle: &mut impl Handle,
        offset: u64,
        now: Instant,
    ) -> io::Result<Option<Piece>> {
        if self.scanned.is_some_and(|(start, _)| start == offset) {
            return self.scan(handle, offset, now);
        }
        let rest = usize::try_from(self.size - offset).unwrap_or(usize::MAX);
        let mut chunk = Vec::new();
        for most in [MAX_CHUNK, MAX_LINE_BYTES + 1] {
            let (known, wanted) = (chunk.len(), most.min(rest));
            fill(handle, offset, &mut chunk, wanted)?;
            if let Some(end) = self.end_of_nuls(offset, &chunk) {
                return self.leave_out(handle, offset, end, true);
            }
            if let Some(newline) = memrchr(b'\n', &chunk[known..]) {
                // NUL bytes at the end are looked at next. Until they were, they do not count.
                let seen = offset + written(&chunk).len() as u64;
                chunk.truncate(known + newline + 1);
                self.advance(handle, offset + chunk.len() as u64, &chunk)?;
                // Not before: what is seen counts as read, and if it could not advance, the lines wait for the next look.
                self.seen = seen;
                return Ok(Some(Piece::Lines(chunk)));
            }
            if chunk.len() < wanted || wanted == rest {
                break;
            }
        }
        if chunk.len() > MAX_LINE_BYTES {
            return self.scan(handle, offset, now);
        }
        let nuls = chunk.iter().rev().take_while(|&&byte| byte == 0).count();
        self.wait(
            handle,
            offset,
            offset + chunk.len() as u64,
            nuls as u64,
            now,
        )
    }

    /// Where NUL bytes end that go on with what was left out just before; however few there are, they are no part of the
    /// row behind them.
    fn end_of_nuls(&self, offset: u64, chunk: &[u8]) -> Option<u64> {
        let goes_on = self.resume.is_some_and(|at| at < offset) && chunk.first() == Some(&0);
        let text = chunk.iter().position(|&byte| byte != 0)?;
        goes_on.then_some(offset + text as u64)
    }

    /// Looks for the end of a line over the limit, or of a run of NUL bytes, without keeping what lies between.
    fn scan(
        &mut self,
        handle: &mut impl Handle,
        offset: u64,
        now: Instant,
    ) -> io::Result<Option<Piece>> {
        let mut at = self
            .scanned
            .filter(|&(start, to)| start == offset && to <= self.size)
            .map_or(offset, |(_, to)| to);
        let mut nuls = 0;
        while at < self.size {
            let rest = usize::try_from(self.size - at).unwrap_or(usize::MAX);
            let chunk = piece(handle, at, rest.min(MAX_CHUNK))?;
            if chunk.is_empty() {
                break;
            }
            let mut next = 0;
            while next < chunk.len() {
                let run = chunk[next..].iter().take_while(|&&byte| byte == 0).count();
                nuls += run as u64;
                next += run;
                if next == chunk.len() {
                    break;
                }
                if nuls >= MIN_NUL_DAMAGE_BYTES {
                    return self.leave_out(handle, offset, at + next as u64, true);
                }
                nuls = 0;
                match memchr2(b'\n', 0, &chunk[next..]) {
                    Some(found) if chunk[next + found] == b'\n' => {
                        let end = at + (next + found) as u64 + 1;
                        return self.leave_out(handle, offset, end, false);
                    }
                    Some(found) => next += found,
                    None => next = chunk.len(),
                }
            }
            at += chunk.len() as u64;
        }
        self.scanned = Some((offset, at - nuls));
        self.wait(handle, offset, at, nuls, now)
    }

    /// The end is reached, as far as it can be read. NUL bytes at the end are not there yet, but not for ever.
    fn wait(
        &mut self,
        handle: &mut impl Handle,
        offset: u64,
        end: u64,
        nuls: u64,
        now: Instant,
    ) -> io::Result<Option<Piece>> {
        self.seen = end;
        if end < self.size {
            return Ok(None);
        }
        self.nul_tail = nuls;
        let lasts = self.lasts((offset, end, nuls), now);
        if nuls < MIN_NUL_DAMAGE_BYTES || !lasts {
            return Ok(None);
        }
        let left_out = self.leave_out(handle, offset, end, true)?;
        // Should they turn into text after all, this is where it begins.
        self.resume = Some(offset);
        self.seen = end;
        self.nul_tail = 0;
        Ok(left_out)
    }

    fn leave_out(
        &mut self,
        handle: &mut impl Handle,
        from: u64,
        to: u64,
        nul: bool,
    ) -> io::Result<Option<Piece>> {
        self.advance(handle, to, &[])?;
        let bytes = to - from;
        Ok(Some(if nul {
            Piece::Nul { from, bytes }
        } else {
            Piece::LongLine { from, bytes }
        }))
    }

    /// Moves the offset. `last`: the bytes before its new place, as far as they are at hand. Nothing moves when
    /// something that has to be known of the new place cannot be read.
    pub(super) fn advance(
        &mut self,
        handle: &mut impl Handle,
        to: u64,
        last: &[u8],
    ) -> io::Result<()> {
        let anchor = match last.last_chunk::<MAX_ANCHOR_BYTES>() {
            Some(last) => Hash::of(last),
            None => match before(handle, to)? {
                Some(before) if before.ends_with(last) => Hash::of(&before),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            },
        };
        self.learn(handle, to)?;
        self.offset = Some(to);
        self.anchor = Some(anchor);
        self.seen = self.seen.max(to);
        self.resume = None;
        self.scanned = None;
        Ok(())
    }

    /// Whether the end of the file has been the same for so long that it will not change.
    pub(super) fn lasts(&mut self, what: (u64, u64, u64), now: Instant) -> bool {
        let since = match self.still {
            Some((known, since)) if known == what => since,
            _ => now,
        };
        self.still = Some((what, since));
        now.duration_since(since) >= NUL_PATIENCE
    }

    /// The last line of a finished file, if it is a whole row but for its newline.
    pub(super) fn last_line(&mut self, handle: &mut impl Handle) -> io::Result<Option<Vec<u8>>> {
        let Some(offset) = self.offset.filter(|&offset| offset < self.size) else {
            return Ok(None);
        };
        let rest = usize::try_from(self.size - offset).unwrap_or(usize::MAX);
        if rest > MAX_LINE_BYTES {
            return Ok(None);
        }
        let mut line = piece(handle, offset, rest)?;
        if line.len() < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while line.last() == Some(&0) {
            line.pop();
        }
        let row = line.strip_suffix(b"\r").unwrap_or(&line);
        // What stands behind NUL bytes that a crash has left is the beginning of another row.
        let is_damaged = row
            .chunk_by(|a, b| a == b)
            .any(|run| run[0] == 0 && run.len() as u64 >= MIN_NUL_DAMAGE_BYTES);
        if is_damaged || row.contains(&b'\n') || RowReader::default().read(row).is_err() {
            return Ok(None);
        }
        self.advance(handle, offset + line.len() as u64, &line)?;
        Ok(Some(line))
    }

    /// Starts a new generation of a file that was rewritten behind `at`.
    pub(super) fn restart(&mut self, handle: &mut impl Handle, at: u64) -> io::Result<()> {
        let Some(before) = before(handle, at)? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        self.generation += 1;
        self.offset = Some(at);
        self.anchor = Some(Hash::of(&before));
        self.resume = None;
        self.size = self.current;
        self.seen = at;
        self.nul_tail = 0;
        self.scanned = None;
        self.still = None;
        self.finished = false;
        self.refused = None;
        self.settle();
        Ok(())
    }
}
