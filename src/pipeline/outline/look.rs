//! One look at 64 bytes of a text, and what is found by a few of them.

use fearless_simd::Simd;
use fearless_simd::SimdBase;
use fearless_simd::SimdMask;
use fearless_simd::u8x64;

use crate::pipeline::outline::BLOCK;
use crate::pipeline::outline::STRETCH;
use crate::pipeline::outline::Text;

/// Bit `n` says whether byte `at + n` is this sign. What is said of places behind the stretch means nothing.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
pub(super) fn places<S: Simd>(simd: S, text: &Text, at: usize, sign: u8) -> u64 {
    let at = at % STRETCH;
    let block = u8x64::from_slice(simd, &text[at..at + BLOCK]);
    block.simd_eq(u8x64::splat(simd, sign)).to_bitmask()
}

/// The first of the places; 64: there is none.
#[inline]
pub(super) fn first(places: u64) -> usize {
    places.trailing_zeros() as usize
}

/// The places behind the first.
#[inline]
pub(super) fn without_first(places: u64) -> u64 {
    places & places.wrapping_sub(1)
}

#[inline]
pub(super) fn byte(text: &Text, at: usize) -> u8 {
    text[at % STRETCH]
}

#[inline]
pub(super) fn bytes<const N: usize>(text: &Text, at: usize) -> &[u8; N] {
    let bytes = text.get(at..).and_then(<[u8]>::first_chunk);
    bytes.unwrap_or(&[0; N])
}

/// The place of the only comma between two places; `None`: there are more, or none.
///
/// The first 64 bytes and the last 64 are looked at without asking whether they are the same.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
pub(super) fn only_comma<S: Simd>(simd: S, text: &Text, start: usize, end: usize) -> Option<usize> {
    let front = places(simd, text, start, b',');
    let back = places(simd, text, end - BLOCK, b',');
    let place = start + first(front);
    let next = start + first(without_first(front));
    let last = (end - 1).wrapping_sub(back.leading_zeros() as usize);
    // None between `place` and `next`, and none behind `place` in the last 64 bytes: the two meet.
    if place < end && next + BLOCK >= end && (last <= place || back == 0) {
        return Some(place);
    }
    only_comma_far(simd, text, start, end)
}

/// The same, for all that is not as nearly all texts are.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn only_comma_far<S: Simd>(simd: S, text: &Text, start: usize, end: usize) -> Option<usize> {
    let mut only = None;
    for at in (start..end).step_by(BLOCK) {
        let beyond = u64::MAX.checked_shl(u32::try_from(end - at).unwrap_or(u32::MAX));
        let commas = places(simd, text, at, b',') & !beyond.unwrap_or_default();
        if commas != 0 {
            if only.is_some() || without_first(commas) != 0 {
                return None;
            }
            only = Some(at + first(commas));
        }
    }
    only
}

/// The quote that ends the cell whose text begins at a place, and whether there are doubled ones before it.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
pub(super) fn closing_quote<S: Simd>(
    simd: S,
    text: &Text,
    start: usize,
    end: usize,
) -> Option<(usize, bool)> {
    let mut doubled = false;
    let mut at = start;
    while at < end {
        let quotes = places(simd, text, at, b'"');
        if quotes == 0 {
            at += BLOCK;
            continue;
        }
        let quote = at + first(quotes);
        if byte(text, quote + 1) != b'"' {
            return (quote < end).then_some((quote, doubled));
        }
        doubled = true;
        at = quote + 2;
    }
    None
}
