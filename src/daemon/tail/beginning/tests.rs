//! How much of a file is read to find its first row, and which row that is.

use super::*;
use crate::daemon::clock;
use crate::daemon::tail::position::FileId;

/// A file in memory, and how many bytes were read of it.
struct Counted {
    bytes: Vec<u8>,
    read: usize,
}

impl Handle for Counted {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap().min(self.bytes.len());
        let length = buffer.len().min(self.bytes.len() - at);
        buffer[..length].copy_from_slice(&self.bytes[at..at + length]);
        self.read += length;
        Ok(length)
    }
}

fn file(pieces: usize, last: &[u8]) -> Counted {
    let mut bytes = b"#Software: Exchange\r\n".to_vec();
    for _ in 0..pieces {
        bytes.extend([0; MAX_FINGERPRINT_BYTES - 1]);
        bytes.push(b'x');
    }
    bytes.extend([0; MAX_FINGERPRINT_BYTES]);
    bytes.extend(last);
    Counted { bytes, read: 0 }
}

fn look(file: &mut Followed, handle: &mut Counted) -> Beginning {
    let now = clock::instant();
    file.sized(handle.bytes.len() as u64, now);
    file.begin(handle, false, now).unwrap()
}

fn followed() -> Followed {
    Followed::new(FileId(1), "SEND2026010100-1.LOG", Some(0), clock::instant())
}

#[test]
fn pieces_of_text_between_nul_bytes_are_read_once() {
    let mut handle = file(1_000, b"");
    let mut followed = followed();
    assert_eq!(look(&mut followed, &mut handle), Beginning::Waits);
    let (once, size) = (handle.read, handle.bytes.len());
    assert!(once < size + size / 10, "{once} of {size}");
    for _ in 0..10 {
        assert_eq!(look(&mut followed, &mut handle), Beginning::Waits);
    }
    let each = (handle.read - once) / 10;
    assert!(each <= 3 * MAX_FINGERPRINT_BYTES, "{each} at each look");
}

#[test]
fn a_row_is_found_wherever_it_is() {
    let row = b"a row\r\n";
    for pieces in [1, 62, 63, 64, 65, 127, 128, 129, 1_000] {
        let mut handle = file(pieces, row);
        let at = (handle.bytes.len() - row.len()) as u64;
        let length = u16::try_from(row.len()).unwrap();
        let Beginning::Known(known) = look(&mut followed(), &mut handle) else {
            panic!("not known by the row behind {pieces} pieces");
        };
        assert_eq!(known.behind, Some(Behind { at, length }), "{pieces}");
        assert_eq!(known.is_in(&mut handle).unwrap(), Some(true));
    }
}

/// A row is seen late, and then one that stands before it: the first is what the file is known by, as it will be when it
/// is found somewhere else.
#[test]
fn the_first_row_counts_though_a_later_one_was_seen_before() {
    let mut handle = file(200, b"");
    let mut followed = followed();
    assert_eq!(look(&mut followed, &mut handle), Beginning::Waits);
    let at = 50 * MAX_FINGERPRINT_BYTES;
    handle.bytes[at..at + 7].copy_from_slice(b"first\r\n");
    handle.bytes.extend(b"second\r\n");
    let Beginning::Known(known) = look(&mut followed, &mut handle) else {
        panic!("not known");
    };
    assert_eq!(known.end(), (at + 7) as u64);
    let size = handle.bytes.len() as u64;
    let mut moved = self::followed();
    moved.learn(&mut handle, size).unwrap();
    assert_eq!(moved.fingerprint, Some(known));
}
