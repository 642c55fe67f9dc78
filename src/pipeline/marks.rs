//! Where line breaks, commas and quotes stand in a text: many places found at once.
//!
//! A row has a dozen commas within some 150 bytes. A search for each of them costs more to begin than to do, and it
//! ends where the processor does not expect it to. Here every byte is looked at once, 64 of them at a time and with the
//! widest registers that the processor has; the answer is one bit for each byte. Whoever reads a line then takes the
//! bits of any 64 bytes of it, and counts zeros.

use std::sync::LazyLock;

use fearless_simd::Level;
use fearless_simd::Simd;
use fearless_simd::SimdBase;
use fearless_simd::SimdMask;
use fearless_simd::dispatch;
use fearless_simd::u8x64;

/// How many bytes one word of marks stands for.
const BLOCK: usize = 64;
/// How many bytes are marked at most before any of the marks is used. The text and its marks stay in the processor's
/// nearest cache meanwhile.
pub const STRETCH: usize = WORDS * BLOCK;
const WORDS: usize = 256;
/// How many words of line breaks are turned into places before any of the places is used.
const GROUP: usize = 16;

/// What the processor can do.
static LEVEL: LazyLock<Level> = LazyLock::new(Level::new);

/// The line breaks, commas and quotes of a text of at most [`STRETCH`] bytes. Bit `n` of word `k` stands for byte `64 k + n`.
#[derive(Debug)]
pub struct Marks {
    newlines: [u64; WORDS],
    /// And one word more, so that there are always two to take the bits of 64 bytes from.
    commas: [u64; WORDS + 1],
    quotes: [u64; WORDS + 1],
    /// How many words are in use.
    used: usize,
    /// Where the line breaks of a group are.
    places: [usize; GROUP * BLOCK + 1],
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            newlines: [0; WORDS],
            commas: [0; WORDS + 1],
            quotes: [0; WORDS + 1],
            used: 0,
            places: [0; GROUP * BLOCK + 1],
        }
    }
}

impl Marks {
    /// Marks the beginning of a text. How much of it was looked at.
    pub fn mark(&mut self, text: &[u8]) -> usize {
        let text = &text[..text.len().min(STRETCH)];
        self.used = text.len().div_ceil(BLOCK);
        // What is behind the text holds no sign, whatever was marked there before.
        self.commas[self.used] = 0;
        self.quotes[self.used] = 0;
        dispatch!(*LEVEL, simd => self.fill(simd, text));
        text.len()
    }

    #[expect(
        clippy::inline_always,
        reason = "only what is inlined where the level is known can use its instructions"
    )]
    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, text: &[u8]) {
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let words = self.newlines.iter_mut();
        let words = words.zip(&mut self.commas).zip(&mut self.quotes);
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        for (block, ((newlines, commas), quotes)) in blocks.iter().chain([&last]).zip(words) {
            let block = u8x64::from_slice(simd, block);
            *newlines = block.simd_eq(u8x64::splat(simd, b'\n')).to_bitmask();
            *commas = block.simd_eq(u8x64::splat(simd, b',')).to_bitmask();
            *quotes = block.simd_eq(u8x64::splat(simd, b'"')).to_bitmask();
        }
    }

    /// Hands the beginning and the end of every line that ends in the text to `each`, with its commas. Where the last
    /// one ends.
    ///
    /// The places of a group of line breaks are written down before any of them is used, one for each word whether it
    /// has one or not: a branch at every word would go the way that the processor did not expect once in a row.
    #[inline]
    pub fn each_line(&mut self, mut each: impl FnMut(usize, usize, Signs<'_>)) -> usize {
        let Self {
            newlines,
            commas,
            quotes,
            used,
            places,
        } = self;
        let mut line = 0;
        for (number, group) in newlines[..*used].chunks(GROUP).enumerate() {
            let mut found = 0;
            for (start, word) in (0..).step_by(BLOCK).zip(group) {
                let mut marks = *word;
                places[found] = start + marks.trailing_zeros() as usize;
                found += usize::from(marks != 0);
                marks &= marks.wrapping_sub(1);
                while marks != 0 {
                    places[found] = start + marks.trailing_zeros() as usize;
                    found += 1;
                    marks &= marks - 1;
                }
            }
            for place in &places[..found] {
                let newline = number * GROUP * BLOCK + place;
                let signs = Signs {
                    commas,
                    quotes,
                    line,
                };
                each(line, newline, signs);
                line = newline + 1;
            }
        }
        line
    }

    /// The signs of the line that begins at a place.
    #[inline]
    pub fn signs_from(&self, line: usize) -> Signs<'_> {
        let (commas, quotes) = (&self.commas, &self.quotes);
        Signs {
            commas,
            quotes,
            line,
        }
    }
}

/// The commas and quotes of a line and of what stands behind it.
#[derive(Clone, Copy, Debug)]
pub struct Signs<'a> {
    commas: &'a [u64; WORDS + 1],
    quotes: &'a [u64; WORDS + 1],
    line: usize,
}

impl Signs<'_> {
    /// Bit `n` says whether byte `at + n` of the line is a comma, if the line has that many bytes: what is behind its
    /// end is marked as well.
    #[inline]
    pub fn commas(self, at: usize) -> u64 {
        ahead(self.commas, self.line + at)
    }

    /// The first comma from a place on, within the line or behind it.
    #[inline]
    pub fn comma(self, at: usize, end: usize) -> Option<usize> {
        first(self.commas, self.line, at, end)
    }

    /// The first quote from a place on, within the line or behind it.
    #[inline]
    pub fn quote(self, at: usize, end: usize) -> Option<usize> {
        first(self.quotes, self.line, at, end)
    }
}

#[inline]
fn ahead(words: &[u64; WORDS + 1], at: usize) -> u64 {
    let (word, bit) = (at / BLOCK, at % BLOCK);
    let words = words.get(word..).and_then(<[u64]>::first_chunk);
    let [low, high] = words.copied().unwrap_or_default();
    low >> bit | high << 1 << (BLOCK - 1 - bit)
}

#[inline]
fn first(words: &[u64; WORDS + 1], line: usize, mut at: usize, end: usize) -> Option<usize> {
    while at < end {
        let marks = ahead(words, line + at);
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize);
        }
        at += BLOCK;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that are dense, or sparse, and some longer than a stretch.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        ("[,a\"\n]{0,300}", 1..40usize, 1..300usize).prop_map(|(text, stride, times)| {
            let sparse = text.replace('a', &"b".repeat(stride));
            sparse.repeat(times).into_bytes()
        })
    }

    fn marked(text: &[u8]) -> Marks {
        let mut marks = Marks::default();
        // What was there before must not show.
        marks.mark(&[b','; STRETCH]);
        marks.mark(&[b'"'; STRETCH]);
        marks.mark(&[b'\n'; STRETCH]);
        marks.mark(text);
        marks
    }

    proptest! {
        #[test]
        fn every_line_is_found_once_and_in_order(text in texts()) {
            let mut lines = Vec::new();
            let end = marked(&text).each_line(|start, end, _| lines.push(start..=end));
            let looked_at = &text[..text.len().min(STRETCH)];
            let ends = memchr::memchr_iter(b'\n', looked_at);
            let mut start = 0;
            let expected: Vec<_> = ends.map(|end| std::mem::replace(&mut start, end + 1)..=end).collect();
            prop_assert_eq!(lines, expected);
            prop_assert_eq!(end, start);
        }

        #[test]
        fn bits_stand_for_bytes(text in texts(), line in 0..STRETCH, at in 0..400usize) {
            let text = &text[..text.len().min(STRETCH)];
            let line = line.min(text.len());
            let found = marked(text).signs_from(line).commas(at);
            for bit in 0..BLOCK.min((text.len() + 1).saturating_sub(line + at)) {
                let byte = text.get(line + at + bit);
                prop_assert_eq!(found >> bit & 1 == 1, byte == Some(&b','));
            }
        }

        /// Whatever the processor can do, the marks are the same.
        #[test]
        fn every_level_marks_alike(text in texts()) {
            let best = marked(&text);
            let mut plainest = marked(&[]);
            let looked_at = &text[..text.len().min(STRETCH)];
            dispatch!(Level::baseline(), simd => plainest.fill(simd, looked_at));
            prop_assert_eq!(&best.newlines[..best.used], &plainest.newlines[..best.used]);
            prop_assert_eq!(&best.commas[..best.used], &plainest.commas[..best.used]);
            prop_assert_eq!(&best.quotes[..best.used], &plainest.quotes[..best.used]);
        }
    }
}
