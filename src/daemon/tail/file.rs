//! One file that is followed: how far it was read, whether it is still the same, and whether it is done.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use memchr::memrchr;

use crate::daemon::source::LogName;
use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::disk::piece;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Fingerprint;
use crate::daemon::tail::position::Hash;
use crate::daemon::tail::position::MAX_ANCHOR_BYTES;
use crate::daemon::tail::position::Position;
use crate::pipeline::file::Refusal;
use crate::pipeline::lines::MAX_LINE_BYTES;
use crate::pipeline::lines::MIN_NUL_DAMAGE_BYTES;

/// A file is believed to be another than it was after this many fresh opens that say so …
const DOUBT_OPENS: u32 = 3;
/// … over at least this long: what network shares say lags behind.
const DOUBT_TIME: Duration = Duration::from_secs(10);
/// NUL bytes that stay for this long will never turn into text.
pub(super) const NUL_PATIENCE: Duration = Duration::from_secs(600);
/// A file with a newer one beside it is finished when its size stays the same for this long.
const FINISHED_AFTER: Duration = Duration::from_secs(120);
/// A file with a newer one beside it that has been still is looked at again after this part of that time.
const STILL_SHARE: u32 = 4;
/// How often finished files are looked at: nothing should happen to them.
pub(super) const FINISHED_LOOK: Duration = Duration::from_secs(600);
/// By how much that is shortened, so that thousands of files that were all seen at the start are not all due at once.
const FINISHED_SPREAD_SECONDS: u64 = 300;
/// A file that seems as it was is opened this often all the same: it may have become one that cannot be read.
const OPENED: Duration = Duration::from_secs(30);
/// Delay before a file that could not be read is opened again; doubled each time up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// No row is shorter: time, session id and eight commas.
const MIN_ROW_BYTES: usize = 48;
/// Files behind one that cannot be read wait for it so long.
const IN_ORDER_FOR: Duration = Duration::from_secs(60);

/// One file that is followed.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the file, and they go together in any way"
)]
pub(super) struct Followed {
    pub(super) id: FileId,
    pub(super) name: LogName,
    pub(super) file_name: Arc<str>,
    pub(super) generation: u32,
    pub(super) fingerprint: Option<Fingerprint>,
    /// Whether that may hold no row.
    pub(super) is_odd: bool,
    pub(super) offset: Option<u64>,
    pub(super) anchor: Option<Hash>,
    pub(super) resume: Option<u64>,
    /// The largest size that is believed.
    pub(super) size: u64,
    pub(super) finished: bool,
    pub(super) refused: Option<Refusal>,
    pub(super) vanished: Option<Timestamp>,
    /// Whether its position was ever said.
    pub(super) announced: bool,
    /// Whether it was not there before the last listing.
    pub(super) fresh: bool,
    /// Whether it was not where it was expected at the last look.
    pub(super) missing: bool,
    /// Whether another file stands in its place.
    pub(super) replaced: bool,
    /// Whether its content was compared since the start, or since its directory was last in doubt.
    pub(super) verified: bool,
    /// Up to where its content was looked at: behind the offset, it was a half line.
    pub(super) seen: u64,
    /// How many NUL bytes it ended with.
    pub(super) nul_tail: u64,
    /// Whether what was looked at is nothing but header lines.
    pub(super) headers_only: bool,
    /// Where looking for the end of a line over the limit goes on: the start of the line, and how far it was looked
    /// through.
    pub(super) scanned: Option<(u64, u64)>,
    /// The end that waits: offset, size, NUL bytes; and since when.
    pub(super) still: Option<((u64, u64, u64), Instant)>,
    /// Its size at the last look, believed or not.
    pub(super) current: u64,
    /// The largest size that was seen and that nothing speaks against, though its content could not be compared.
    glimpsed: u64,
    grown: Instant,
    doubt: Option<Doubt>,
    looked: Option<Instant>,
    opened: Option<Instant>,
    compared: Option<Instant>,
    retry: Option<Retry>,
}

/// What speaks for another file being there than before.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    evidence: Evidence,
    /// The size at which it was seen.
    size: u64,
    opens: u32,
    since: Instant,
}

/// A file that could not be read: when it is tried again, after which delay, and what was wrong.
#[derive(Debug)]
struct Retry {
    since: Instant,
    at: Instant,
    delay: Duration,
    trouble: String,
}

/// What the content says: is this the file that was read up to the offset?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Evidence {
    /// It is.
    Same,
    /// It is, but some of what was seen behind the offset is gone.
    Cropped,
    /// It begins alike and ends before the offset: an old state of it, or cut off.
    Shorter,
    /// It begins alike, but something else stands before the offset.
    Rewritten,
    /// It begins otherwise.
    Another,
    /// As [`Self::Rewritten`] or [`Self::Another`], but with NUL bytes or nothing where text was: it may still come.
    Unwritten {
        /// Whether it begins otherwise.
        another: bool,
    },
    /// It does not say.
    Unknown,
}

impl Followed {
    pub(super) fn new(id: FileId, file_name: &str, offset: Option<u64>, now: Instant) -> Self {
        Self {
            id,
            name: LogName::read(file_name.as_ref()),
            file_name: Arc::from(file_name),
            generation: 0,
            fingerprint: None,
            is_odd: true,
            offset,
            anchor: None,
            resume: None,
            size: 0,
            finished: false,
            refused: None,
            vanished: None,
            announced: false,
            fresh: true,
            missing: false,
            replaced: false,
            verified: true,
            seen: 0,
            nul_tail: 0,
            headers_only: false,
            scanned: None,
            still: None,
            current: 0,
            glimpsed: 0,
            grown: now,
            doubt: None,
            looked: None,
            opened: None,
            compared: None,
            retry: None,
        }
    }

    /// A file as it was left.
    pub(super) fn restored(position: &Position, now: Instant) -> Self {
        Self {
            generation: position.generation,
            fingerprint: position.fingerprint,
            anchor: position.anchor,
            resume: position.resume,
            size: position.size,
            finished: position.finished,
            refused: position.refused,
            vanished: position.vanished,
            announced: true,
            fresh: false,
            verified: position.fingerprint.is_none(),
            seen: position.offset.unwrap_or_default(),
            current: position.size,
            ..Self::new(position.file, &position.name, position.offset, now)
        }
    }

    /// Whether it is time to look at it: it is not left alone after an error, and not still. `newer`: whether something
    /// newer is there.
    pub(super) fn is_due(&self, newer: bool, now: Instant) -> bool {
        let is_due = |looked| now.duration_since(looked) >= self.pause(newer, now);
        self.retry.as_ref().is_none_or(|retry| retry.at <= now) && self.looked.is_none_or(is_due)
    }

    /// How long it is left alone after a look. Exchange writes to the newest file; the longer another one has been
    /// still, the less likely anything happens to it. Without this, a start with many files would look at each of them
    /// every second until they are finished.
    fn pause(&self, newer: bool, now: Instant) -> Duration {
        if !self.verified || self.doubt.is_some() {
            Duration::ZERO
        } else if self.finished {
            self.quiet_look()
        } else if newer && self.is_settled() {
            now.duration_since(self.grown) / STILL_SHARE
        } else {
            Duration::ZERO
        }
    }

    /// How often it is looked at once it is finished.
    fn quiet_look(&self) -> Duration {
        FINISHED_LOOK.saturating_sub(Duration::from_secs(self.id.0 % FINISHED_SPREAD_SECONDS))
    }

    /// Whether a look at its size is enough, if that is what it was.
    pub(super) fn need_not_be_opened(&self, now: Instant) -> bool {
        let is_lately = |opened| now.duration_since(opened) < OPENED;
        self.is_settled() && self.retry.is_none() && self.opened.is_some_and(is_lately)
    }

    /// It was opened.
    pub(super) fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// It is this long.
    pub(super) fn sized(&mut self, size: u64, now: Instant) {
        self.looked = Some(now);
        if size != self.current {
            self.current = size;
            self.grown = now;
            self.finished = false;
        }
        if self
            .compared
            .is_some_and(|compared| now.duration_since(compared) >= FINISHED_LOOK)
        {
            self.verified = self.fingerprint.is_none();
        }
    }

    /// Whether its content has to be looked at: nothing stays unread, and nothing changed since it was compared.
    pub(super) fn is_settled(&self) -> bool {
        self.verified
            && self.doubt.is_none()
            && self.nul_tail == 0
            && self.current == self.size
            && self.seen >= self.size
    }

    /// Whether it is where it is expected, and nothing speaks against that.
    pub(super) fn is_confirmed(&self) -> bool {
        !self.missing
            && !self.replaced
            && self.fingerprint.is_some()
            && self.verified
            && self.doubt.is_none()
    }

    /// Whether its size has stayed the same for this long.
    pub(super) fn is_still_for(&self, time: Duration, now: Instant) -> bool {
        now.duration_since(self.grown) >= time
    }

    /// Whether it counts as finished from now on. `newer`: a later file stands beside it.
    pub(super) fn is_done(&self, newer: bool, now: Instant) -> bool {
        newer
            && !self.finished
            && self.nul_tail < MIN_NUL_DAMAGE_BYTES
            && self.is_still_for(FINISHED_AFTER, now)
    }

    /// Bytes that are there but not read, as far as is known; a half line and NUL bytes at the end are none.
    pub(super) fn unread(&self) -> u64 {
        let read = self.offset.unwrap_or(self.size).max(self.seen);
        self.size.saturating_sub(read)
    }

    /// Its size was seen, but its content could not be compared.
    pub(super) fn glimpse(&mut self) {
        let evidence = self.doubt.map(|doubt| doubt.evidence);
        if matches!(
            evidence,
            None | Some(Evidence::Unwritten { another: false })
        ) {
            self.glimpsed = self.glimpsed.max(self.current);
        }
    }

    /// It is gone: what was seen last of it counts.
    pub(super) fn take_glimpse(&mut self) {
        if !self.replaced && self.glimpsed > self.size {
            self.size = self.glimpsed;
        }
    }

    /// The size that was seen says nothing about what can be lost.
    pub(super) fn forget_glimpse(&mut self) -> u64 {
        std::mem::take(&mut self.glimpsed)
    }

    /// The largest size that it was ever seen with, for all that is known.
    pub(super) fn known_size(&self) -> u64 {
        self.size.max(self.glimpsed)
    }

    /// Whether it is read before a copy of it that was just found: it is there, and what is missing of it may still come.
    pub(super) fn comes_first(&self) -> bool {
        !self.missing && self.nul_tail == 0
    }

    /// Where the text ends of which it is known that it is there.
    pub(super) fn text_end(&self) -> u64 {
        self.size.saturating_sub(self.nul_tail)
    }

    /// Whether nothing more is to be had from it: it is not there, or everything that is there was read.
    pub(super) fn is_exhausted(&self) -> bool {
        let is_whole = self.verified && self.current <= self.size && self.retry.is_none();
        self.missing || self.current < self.size || is_whole && self.unread() == 0
    }

    /// Bytes that are lost if the file is gone: everything behind the offset that is not known to be unwritten. A file
    /// that never held more than its header lines takes nothing with it.
    pub(super) fn at_stake(&self) -> u64 {
        let Some(offset) = self.offset else { return 0 };
        if self.fingerprint.is_none() && self.headers_only && self.seen >= self.size {
            return 0;
        }
        let unwritten = if self.seen >= self.size {
            self.nul_tail
        } else {
            0
        };
        self.size.saturating_sub(offset).saturating_sub(unwritten)
    }

    /// Whether the row that was read last stands before the offset: that tells a file from all others, whatever it begins
    /// with.
    pub(super) fn has_last_row(&self, handle: &mut impl Handle) -> io::Result<bool> {
        let before = before(handle, self.offset.unwrap_or_default())?.unwrap_or_default();
        Ok(ends_with_row(&before) && Some(Hash::of(&before)) == self.anchor)
    }

    /// Whether the bytes that were read last stand before the offset.
    pub(super) fn has_anchor(&self, handle: &mut impl Handle) -> io::Result<bool> {
        let Some(offset) = self.offset else {
            return Ok(false);
        };
        let before = before(handle, offset)?;
        Ok(before.is_some_and(|before| Some(Hash::of(&before)) == self.anchor))
    }

    /// It is as it was left: if it seemed to be cut off, it was not. What was left out as NUL bytes may still turn into
    /// text, so where that begins stays known.
    pub(super) fn confirm(&mut self, handle: &mut impl Handle) -> io::Result<()> {
        if self.resume.is_some() && self.has_left_out_nuls(handle)? == Some(false) {
            self.resume = None;
        }
        Ok(())
    }

    /// Whether what stands before the offset was left out for its NUL bytes; `None`: that cannot be read now. They are left
    /// out together with the half line before them, and no more; whole lines were read.
    pub(super) fn has_left_out_nuls(&self, handle: &mut impl Handle) -> io::Result<Option<bool>> {
        let (Some(resume), Some(offset)) = (self.resume, self.offset) else {
            return Ok(Some(false));
        };
        let between = usize::try_from(offset.saturating_sub(resume)).unwrap_or(usize::MAX);
        let wanted = between.min(MAX_LINE_BYTES);
        let bytes = piece(handle, resume, wanted)?;
        let has_nuls = bytes.contains(&0) && !bytes.contains(&b'\n');
        Ok((bytes.len() == wanted).then_some(has_nuls))
    }

    /// What the content says about being the same file.
    pub(super) fn compare(&self, handle: &mut impl Handle) -> io::Result<Evidence> {
        let (Some(fingerprint), Some(offset)) = (self.fingerprint, self.offset) else {
            return Ok(Evidence::Same);
        };
        let same = if self.current < self.size && self.seen < self.size {
            Evidence::Cropped
        } else {
            Evidence::Same
        };
        let before = match offset {
            // Nothing stands before it, so the beginning has to tell.
            0 => None,
            _ if offset > self.current => None,
            _ => before(handle, offset)?,
        };
        let fits = |before: &Vec<u8>| Some(Hash::of(before)) == self.anchor;
        let fits = before.as_ref().is_some_and(fits);
        // NUL bytes and header lines prove nothing: they are alike in many files. And a doubt needs more to be dispelled.
        let is_trusted = self.verified && self.doubt.is_none();
        let proves = |before: &Vec<u8>| !before.contains(&0) && ends_with_row(before);
        if fits && is_trusted && before.as_ref().is_some_and(proves) {
            return Ok(same);
        }
        let head = fingerprint.bytes_in(handle)?;
        if head.len() < fingerprint.length_in(self.current) {
            return Ok(Evidence::Unknown);
        }
        if head.len() < fingerprint.length() {
            // A beginning that is complete, and shorter, is another one; a part of one can be anything's.
            let complete = Fingerprint::of(&head).is_some();
            return Ok(if complete {
                Evidence::Another
            } else {
                Evidence::Unwritten { another: true }
            });
        }
        if Hash::of(&head) != fingerprint.hash {
            return Ok(Evidence::of(&head, true));
        }
        Ok(match before {
            _ if offset == 0 || fits => same,
            // Header lines alone are the same in many files.
            _ if Fingerprint::of(&head).is_none() => Evidence::Another,
            Some(before) => Evidence::of(&before, false),
            None if self.current < offset => Evidence::Shorter,
            None => Evidence::Unknown,
        })
    }

    /// Weighs what a fresh open has shown. Whether it can be relied on by now.
    pub(super) fn weigh(&mut self, evidence: Evidence, now: Instant) -> bool {
        if matches!(evidence, Evidence::Same | Evidence::Unknown) {
            if evidence == Evidence::Same {
                self.doubt = None;
                self.verified = true;
                self.glimpsed = 0;
                self.compared = Some(now);
            }
            return false;
        }
        if matches!(evidence, Evidence::Another | Evidence::Rewritten) {
            self.glimpsed = 0;
        }
        let size = self.current;
        let doubt = match self.doubt {
            // A file that ends early is believed when it does so at the same place, and may grow from there.
            Some(doubt)
                if doubt.evidence == evidence
                    && (evidence != Evidence::Shorter
                        || size == doubt.size
                        || (size > doubt.size && doubt.opens >= DOUBT_OPENS)) =>
            {
                Doubt {
                    opens: doubt.opens.saturating_add(1),
                    ..doubt
                }
            }
            _ => Doubt {
                evidence,
                size,
                opens: 1,
                since: now,
            },
        };
        self.doubt = Some(doubt);
        let patience = match evidence {
            Evidence::Unwritten { .. } | Evidence::Cropped => NUL_PATIENCE,
            _ => DOUBT_TIME,
        };
        doubt.opens >= DOUBT_OPENS && now.duration_since(doubt.since) >= patience
    }

    /// Where it ended when it was first seen to end too early.
    pub(super) fn early_end(&self) -> u64 {
        self.doubt.map_or(self.current, |doubt| doubt.size)
    }

    /// Whether NUL bytes stand where text was read.
    pub(super) fn is_blank(&self) -> bool {
        let is_blank = |doubt: &Doubt| matches!(doubt.evidence, Evidence::Unwritten { .. });
        self.current >= self.size && self.doubt.as_ref().is_some_and(is_blank)
    }

    /// Nothing is doubted any more, because something was concluded.
    pub(super) fn settle(&mut self) {
        self.doubt = None;
    }

    /// Everything has to be compared again: the share was away, or the file is somewhere else.
    pub(super) fn mistrust(&mut self) {
        self.verified = self.fingerprint.is_none();
        self.doubt = None;
        if self.fingerprint.is_none() && self.seen >= self.size {
            // Nothing but half lines and NUL bytes was there.
            self.size = 0;
        }
        self.seen = self.offset.unwrap_or_default();
        self.nul_tail = 0;
        self.scanned = None;
        self.still = None;
        self.retry = None;
    }

    /// The file could not be read: leaves it alone for a while, longer each time.
    pub(super) fn back_off(&mut self, trouble: String, now: Instant) {
        let delay = self
            .retry
            .as_ref()
            .map_or(MIN_BACKOFF, |retry| (retry.delay * 2).min(MAX_BACKOFF));
        let since = self.retry.as_ref().map_or(now, |retry| retry.since);
        self.retry = Some(Retry {
            since,
            at: now + delay,
            delay,
            trouble,
        });
    }

    /// Whether the files behind it have to wait for it: a session may go on in them, and its rows must come in order. A
    /// file that cannot be read for good must not hold up the others for good, though.
    pub(super) fn holds_up(&self, now: Instant) -> bool {
        let is_young = |retry: &Retry| now.duration_since(retry.since) < IN_ORDER_FOR;
        !self.finished && self.retry.as_ref().is_some_and(is_young)
    }

    /// The file could be read.
    pub(super) fn recover(&mut self) {
        self.retry = None;
    }

    /// What was wrong at the last try; it stays so until one succeeds.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.retry.as_ref().map(|retry| retry.trouble.as_str())
    }
}

impl Evidence {
    /// Other bytes than expected. NUL bytes among them may still be filled.
    fn of(bytes: &[u8], another: bool) -> Self {
        if bytes.contains(&0) {
            Self::Unwritten { another }
        } else if another {
            Self::Another
        } else {
            Self::Rewritten
        }
    }
}

/// Whether a row ends here, and not a header line or a run of NUL bytes.
pub(super) fn ends_with_row(before: &[u8]) -> bool {
    let line = before.split_inclusive(|&byte| byte == b'\n').next_back();
    let line = line.unwrap_or_default();
    let nuls = line.iter().rposition(|&byte| byte == 0);
    let row = &line[nuls.map_or(0, |last| last + 1)..];
    row.len() >= MIN_ROW_BYTES && !row.starts_with(b"#") && row.ends_with(b"\n")
}

/// What stands before an offset, as much of it as an anchor covers; `None`: not all of it can be read now.
pub(super) fn before(handle: &mut impl Handle, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let wanted = offset.min(MAX_ANCHOR_BYTES as u64);
    let length = usize::try_from(wanted).unwrap_or(MAX_ANCHOR_BYTES);
    let bytes = piece(handle, offset - wanted, length)?;
    Ok((bytes.len() == length).then_some(bytes))
}

/// Where the last whole line before `end` ends; 0: there is none.
pub(super) fn line_end(handle: &mut impl Handle, mut end: u64) -> io::Result<u64> {
    const STEP: u64 = 64 * 1024;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = piece(handle, start, length)?;
        if bytes.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(newline) = memrchr(b'\n', &bytes) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
