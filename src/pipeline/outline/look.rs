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
pub(super) fn places<S: Simd>(simd: S, text: &Text, at: u32, sign: u8) -> u64 {
    let at = (at % STRETCH) as usize;
    let block = u8x64::from_slice(simd, &text[at..at + BLOCK as usize]);
    block.simd_eq(u8x64::splat(simd, sign)).to_bitmask()
}

#[inline]
pub(super) fn byte(text: &Text, at: u32) -> u8 {
    text[(at % STRETCH) as usize]
}

#[inline]
pub(super) fn bytes<const N: usize>(text: &Text, at: u32) -> &[u8; N] {
    const { assert!(N <= BLOCK as usize) }
    let bytes = text[(at % STRETCH) as usize..].first_chunk();
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
pub(super) fn only_comma<S: Simd>(simd: S, text: &Text, start: u32, end: u32) -> Option<u32> {
    let length = end - start;
    let beyond = u64::MAX.checked_shl(length).unwrap_or_default();
    let first = places(simd, text, start, b',') & !beyond;
    // What the first look has seen already is left out.
    let seen = (2 * BLOCK).saturating_sub(length);
    let unseen = u64::MAX.checked_shl(seen).unwrap_or_default();
    let last = places(simd, text, end - BLOCK, b',') & unseen;
    let mut count = first.count_ones() + last.count_ones();
    let mut place = if first == 0 {
        (end - 1).wrapping_sub(last.leading_zeros())
    } else {
        start + first.trailing_zeros()
    };
    // What lies between the two.
    let mut at = start + BLOCK;
    while at + BLOCK < end {
        let unseen = u64::MAX.checked_shl(end - BLOCK - at).unwrap_or_default();
        let between = places(simd, text, at, b',') & !unseen;
        count += between.count_ones();
        if between != 0 {
            place = at + between.trailing_zeros();
        }
        at += BLOCK;
    }
    (count == 1).then_some(place)
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
    start: u32,
    end: u32,
) -> Option<(u32, bool)> {
    let mut doubled = false;
    let mut at = start;
    while at < end {
        let quotes = places(simd, text, at, b'"');
        if quotes == 0 {
            at += BLOCK;
            continue;
        }
        let quote = at + quotes.trailing_zeros();
        if byte(text, quote + 1) != b'"' {
            return (quote < end).then_some((quote, doubled));
        }
        doubled = true;
        at = quote + 2;
    }
    None
}
