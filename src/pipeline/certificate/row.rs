//! Rows of form B and C: a whole certificate in one cell.
//!
//! ```text
//!  <subject> <issuer> <serial> <thumbprint> [<not before> <not after>] <dns;dns>
//! ```
//!
//! The parts are joined by single blanks, and distinguished names are full of blanks. But each attribute of a name has
//! its `=`, and nothing behind the names has one: right of the last `=` there is only the rest of the last value, then
//! the serial number, the thumbprint, the dates and the alternative names. The thumbprint is looked for there and
//! nowhere else, so that no name, however it is made up, and no row that breaks off can pass for one.

use jiff::Timestamp;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Gaps;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::certificate::ValiditySource;
use crate::pipeline::certificate::block::Block;
use crate::pipeline::certificate::dn;
use crate::pipeline::certificate::dn::Cut;
use crate::pipeline::certificate::{capped, dns_names, serial};

/// Reads a row of form B or C; which one it is shows in the dates, not in the label, whose words differ by version.
///
/// It always gives a certificate: one was offered, whatever of it can be read. A row without a thumbprint gives one
/// with every gap set, from which nothing can be concluded but that.
pub fn parse_row(data: &[u8]) -> Certificate {
    let text = String::from_utf8_lossy(data);
    // One blank is the row's own. A second one is the end of an empty subject, and must stay.
    let text = text.strip_prefix(' ').unwrap_or(&text).trim_end();
    match anchor(text) {
        Some(anchor) => certificate(&anchor),
        None => Certificate {
            subject: capped(text).to_owned(),
            gaps: Gaps {
                dn_uncut: true,
                names_incomplete: true,
            },
            ..Block::start().finish()
        },
    }
}

fn certificate(anchor: &Anchor<'_>) -> Certificate {
    let (distinguished_names, serial_digits) = split_serial(anchor.before);
    let cut = match serial_digits {
        Some(_) => dn::cut(distinguished_names),
        None => Cut::None,
    };
    let (subject, issuer) = match cut {
        Cut::One(subject, issuer) => (subject, Some(issuer.to_owned())),
        Cut::None | Cut::Several => (distinguished_names, None),
    };
    let (not_before, not_after, names) = split_dates(anchor.after);
    let broken_off = not_before.is_some() && not_after.is_none();
    let (names, names_left_out) = dns_names(names);
    Certificate {
        thumbprint: Some(anchor.thumbprint),
        subject: capped(subject).to_owned(),
        serial: serial_digits.and_then(serial),
        names,
        not_before,
        not_after,
        validity_from: not_before.map(|_| ValiditySource::Log),
        gaps: Gaps {
            dn_uncut: issuer.is_none(),
            names_incomplete: names_left_out || broken_off,
        },
        issuer,
    }
}

/// The fixed point of a row, and what stands on either side of it.
struct Anchor<'a> {
    /// Names and serial number, up to the blank in front of the thumbprint.
    before: &'a str,
    thumbprint: Thumbprint,
    /// Dates and alternative names.
    after: &'a str,
}

/// Finds the thumbprint: the last word of 40 hex digits that has a date behind it, or the last one at all. A serial
/// number of 20 bytes looks the same and stands in front of it, so of two neighbours the second is the thumbprint.
fn anchor(text: &str) -> Option<Anchor<'_>> {
    let names_end = text.rfind(['=', '"']).map_or(Some(0), |last| {
        memchr::memchr(b' ', &text.as_bytes()[last..]).map(|blank| last + blank)
    })?;
    let words: Vec<(usize, &str)> = words(text, names_end).collect();
    let thumbprint = |index: usize| Thumbprint::parse(words[index].1);
    let dated = |index: &usize| {
        words
            .get(index + 1)
            .is_some_and(|(_, word)| date(word).is_some())
    };
    let mut thumbprints = (0..words.len())
        .rev()
        .filter(|index| thumbprint(*index).is_some());
    let last = thumbprints.next()?;
    let index = std::iter::once(last)
        .chain(thumbprints)
        .find(dated)
        .unwrap_or(last);
    let before = &text[..words[index].0];
    // A row that breaks off inside a quoted value leaves the quotes open: then these are words of a name.
    let quotes = memchr::memchr_iter(b'"', before.as_bytes()).count();
    quotes.is_multiple_of(2).then_some(Anchor {
        before: before.strip_suffix(' ').unwrap_or(before),
        thumbprint: thumbprint(index)?,
        after: &text[words[index].0 + words[index].1.len()..],
    })
}

/// The words between blanks from the offset on, with their own offsets.
fn words(text: &str, from: usize) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = from;
    text[from..].split(' ').filter_map(move |word| {
        let start = offset;
        offset += word.len() + 1;
        (!word.is_empty()).then_some((start, word))
    })
}

/// The names, and the digits of the serial number behind them. `None`: what stands in its place is no number, so the
/// row is not built as expected, and where the names end is anybody's guess.
fn split_serial(text: &str) -> (&str, Option<&str>) {
    let (names, digits) = text.rsplit_once(' ').unwrap_or(("", text));
    if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        (names, Some(digits))
    } else {
        (text, None)
    }
}

/// Takes up to two dates off the front.
fn split_dates(text: &str) -> (Option<Timestamp>, Option<Timestamp>, &str) {
    let Some((not_before, rest)) = split_date(text) else {
        return (None, None, text);
    };
    match split_date(rest) {
        Some((not_after, rest)) => (Some(not_before), Some(not_after), rest),
        None => (Some(not_before), None, rest),
    }
}

fn split_date(text: &str) -> Option<(Timestamp, &str)> {
    let text = text.trim_start();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some((date(word)?, rest))
}

/// `2023-08-12T10:39:24.000Z`, with or without fraction and `Z`.
fn date(word: &str) -> Option<Timestamp> {
    let plain = word.strip_suffix('Z').unwrap_or(word);
    if plain.len() < 19 || plain.as_bytes()[10] != b'T' {
        return None;
    }
    let civil: jiff::civil::DateTime = plain.parse().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
}
