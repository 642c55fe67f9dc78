//! Digits → numbers.

use fearless_simd::Level;
use fearless_simd::Select;
use fearless_simd::Simd;
use fearless_simd::SimdBase;
use fearless_simd::SimdMask;
use fearless_simd::dispatch;
use fearless_simd::u8x16;

/// The value of sixteen hexadecimal digits of either case, and nothing but digits.
///
/// They are read side by side instead of one after the other. Every processor has registers of sixteen bytes, so there is
/// nothing to choose.
#[inline]
pub fn hexadecimal(digits: &[u8; 16]) -> Option<u64> {
    dispatch!(Level::baseline(), simd => side_by_side(simd, digits))
}

#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn side_by_side<S: Simd>(simd: S, digits: &[u8; 16]) -> Option<u64> {
    let each = |byte| u8x16::splat(simd, byte);
    let text = u8x16::from_slice(simd, digits);
    let digit = text - each(b'0');
    let is_digit = digit.simd_le(each(9));
    let letter = (text | each(0x20)) - each(b'a');
    let is_letter = letter.simd_le(each(5));
    if !(is_digit | is_letter).all_true() {
        return None;
    }
    let mut values = [0; 16];
    is_digit
        .select(digit, letter + each(10))
        .store_slice(&mut values);
    let [high, low] = [values.first_chunk(), values.last_chunk()];
    Some(joined(*high?) << 32 | joined(*low?))
}

/// Eight values below 16 as one number.
fn joined(values: [u8; 8]) -> u64 {
    let values = u64::from_be_bytes(values);
    let pairs = (values | values >> 4) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF;
    (fours | fours >> 16) & 0xFFFF_FFFF
}

/// Milliseconds of `:ss.fffZ`, and of nothing else.
#[inline]
pub fn millis_of_minute(text: [u8; 8]) -> Option<u32> {
    /// How far each byte may lie above that of the zero.
    const LIMITS: [u8; 8] = [0, 5, 9, 0, 9, 9, 9, 0];
    let zero = u64::from_le_bytes(*b":00.000Z");
    let values = u64::from_le_bytes(text) ^ zero;
    if is_beyond(values, u64::from_le_bytes(LIMITS)) {
        return None;
    }
    // Ten times each digit and the one behind it, which stay below 100.
    let pairs = (values * 10 + (values >> 8)).to_le_bytes();
    let [_, _, _, _, _, _, ones, _] = values.to_le_bytes();
    Some(u32::from(pairs[1]) * 1_000 + u32::from(pairs[4]) * 10 + u32::from(ones))
}

/// The value of one to ten decimal digits, and nothing but digits.
#[inline]
pub fn decimal(digits: &[u8]) -> Option<u32> {
    if !(1..=10).contains(&digits.len()) {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        value = value * 10 + u64::from(char::from(*digit).to_digit(10)?);
    }
    u32::try_from(value).ok()
}

/// The value of the first one to four of four bytes, which are decimal digits, and nothing but digits.
#[inline]
pub(super) fn short_decimal(text: [u8; 4], digits: usize) -> Option<u32> {
    if !(1..=4).contains(&digits) {
        return None;
    }
    let zeros = u32::from_le_bytes(*b"0000");
    // With zeros in front, and without what follows.
    let values = (u32::from_le_bytes(text) ^ zeros) << (8 * (4 - digits));
    // As in `is_beyond`.
    let taken = values.wrapping_add(0x7F7F_7F7F - 0x0909_0909);
    if (values | taken) & 0x8080_8080 != 0 {
        return None;
    }
    // Ten times each digit and the one behind it, which stay below 100.
    let [thousands, _, tens, _] = (values.wrapping_mul(10))
        .wrapping_add(values >> 8)
        .to_le_bytes();
    Some(u32::from(thousands) * 100 + u32::from(tens))
}

/// Whether any byte of a word is greater than that of the other, whose bytes are below 128.
fn is_beyond(values: u64, limits: u64) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const MOST: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    // What is added takes a byte to its highest bit exactly if it is beyond. A byte that has that bit already may
    // carry into its neighbour, but then the answer is known.
    let taken = values.wrapping_add(MOST - limits);
    (values | taken) & HIGH != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the standard library reads digits.
    fn expected(digits: [u8; 16]) -> Option<u64> {
        digits.iter().try_fold(0, |value, &digit| {
            Some(value << 4 | u64::from(char::from(digit).to_digit(16)?))
        })
    }

    #[test]
    fn every_byte_at_every_place_is_read_as_the_standard_library_reads_it() {
        for place in 0..16 {
            for byte in 0..=u8::MAX {
                for mut digits in [*b"09afAF5c08DE41A5", [b'F'; 16], [b'0'; 16]] {
                    digits[place] = byte;
                    assert_eq!(hexadecimal(&digits), expected(digits), "{digits:?}");
                }
            }
        }
    }

    #[test]
    fn short_numbers_are_read_as_long_ones_are() {
        for text in [*b"1234", *b"9999", *b"0000", *b"0120", *b"12,,", *b"08,3"] {
            for digits in 0..=5 {
                let expected = text.get(..digits).and_then(decimal);
                assert_eq!(short_decimal(text, digits), expected, "{text:?} {digits}");
            }
        }
        for byte in 0..=u8::MAX {
            for place in 0..4 {
                for digits in 1..=4 {
                    let mut text = *b"1234";
                    text[place] = byte;
                    let expected = decimal(&text[..digits]);
                    assert_eq!(short_decimal(text, digits), expected, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn decimal_digits_have_a_limit() {
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        assert_eq!(decimal(b"0000000012"), Some(12));
        for broken in [&b""[..], b"4294967296", b"00000000001", b"1 ", b"-1", b"+1"] {
            assert_eq!(decimal(broken), None);
        }
    }

    #[test]
    fn the_rest_of_a_minute_is_read_and_nothing_else() {
        for millis in (0..60_000).step_by(7) {
            let text = format!(":{:02}.{:03}Z", millis / 1000, millis % 1000);
            let text = text.as_bytes().first_chunk().copied();
            assert_eq!(text.and_then(millis_of_minute), Some(millis));
        }
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut text = *b":59.987Z";
                let limit = match place {
                    0 | 3 | 7 => text[place],
                    1 => b'5',
                    _ => b'9',
                };
                let is_sound =
                    byte == text[place] || (b'0'..=limit).contains(&byte) && limit.is_ascii_digit();
                text[place] = byte;
                assert_eq!(millis_of_minute(text).is_some(), is_sound, "{text:?}");
            }
        }
    }
}
