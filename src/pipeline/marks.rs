//! Where a byte stands in a text: many places found at once.
//!
//! A row has a dozen commas within some 150 bytes. A search for each of them costs more to begin than to do, and it
//! ends where the processor does not expect it to. Here 64 bytes are compared without a branch, and the answer is
//! one bit for each.

use wide::u8x16;

/// How many bytes are looked at together.
pub const BLOCK: usize = 64;
/// How many bytes are looked at before the places found are handed out.
const STRETCH: usize = 16 * BLOCK;

/// Bit `n` says whether the byte at `n` is `wanted`.
#[inline]
pub fn marks(block: &[u8; BLOCK], wanted: u8) -> u64 {
    let wanted = u8x16::splat(wanted);
    let (lanes, _) = block.as_chunks::<16>();
    let mut marks = 0;
    for (lane, shift) in lanes.iter().zip([0, 16, 32, 48]) {
        marks |= u64::from(u8x16::new(*lane).simd_eq(wanted).to_bitmask()) << shift;
    }
    marks
}

/// The same of the first bytes of a text that may be shorter than a block.
#[cold]
#[inline(never)]
pub fn marks_of_short(text: &[u8], wanted: u8) -> u64 {
    let mut block = [!wanted; BLOCK];
    for (copy, byte) in block.iter_mut().zip(text) {
        *copy = *byte;
    }
    marks(&block, wanted)
}

/// Hands every place of `wanted` in a text to `each`, in order.
///
/// The places in a stretch are written down before any of them is used, one after each block whether there is one or
/// not: a branch at every block would go the way that the processor did not expect once in a row.
#[inline]
pub fn each_place(text: &[u8], wanted: u8, mut each: impl FnMut(usize)) {
    let mut places = [0; STRETCH + 1];
    for (number, stretch) in text.chunks(STRETCH).enumerate() {
        let (blocks, rest) = stretch.as_chunks::<BLOCK>();
        let mut found = 0;
        let mut note = |at: usize, mut marks: u64| {
            places[found] = at + marks.trailing_zeros() as usize;
            found += usize::from(marks != 0);
            marks &= marks.wrapping_sub(1);
            while marks != 0 {
                places[found] = at + marks.trailing_zeros() as usize;
                found += 1;
                marks &= marks - 1;
            }
        };
        let start = number * STRETCH;
        for (at, block) in (start..).step_by(BLOCK).zip(blocks) {
            note(at, marks(block, wanted));
        }
        if !rest.is_empty() {
            note(start + blocks.len() * BLOCK, marks_of_short(rest, wanted));
        }
        places[..found].iter().for_each(|&place| each(place));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_is_found_once_and_in_order(text in "[,a\n]{0,300}", stride in 1..40usize) {
            // Both dense and sparse, and longer than a stretch.
            let sparse = text.repeat(STRETCH / 128 + 1).replace(',', &"b".repeat(stride));
            for text in [text.as_bytes(), sparse.as_bytes()] {
                let mut places = Vec::new();
                each_place(text, b'\n', |place| places.push(place));
                let expected: Vec<usize> = memchr::memchr_iter(b'\n', text).collect();
                prop_assert_eq!(places, expected);
            }
        }

        #[test]
        fn bits_stand_for_bytes(text in proptest::collection::vec(any::<u8>(), 0..=BLOCK), wanted: u8) {
            let found = marks_of_short(&text, wanted);
            for at in 0..BLOCK {
                prop_assert_eq!(found >> at & 1 == 1, text.get(at) == Some(&wanted));
            }
        }
    }
}
