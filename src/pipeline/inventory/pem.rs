//! PEM (RFC 7468): blocks between `BEGIN` and `END` lines, with any text between the blocks.

/// A block as it stands in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block<'a> {
    /// The line of its `BEGIN`, from 1.
    pub(super) line: usize,
    /// What stands behind `BEGIN`.
    pub(super) label: &'a [u8],
    /// The lines between `BEGIN` and `END`; `None`: there is no `END` with the same label before the next `BEGIN` or
    /// the end of the file.
    pub(super) body: Option<&'a [u8]>,
}

/// Whether a text has a `BEGIN` line.
pub(super) fn has_blocks(text: &[u8]) -> bool {
    lines(text).any(|line| boundary(line.text, b"BEGIN").is_some())
}

/// The blocks in the order of the text.
pub(super) fn blocks(text: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut lines = lines(text).peekable();
    std::iter::from_fn(move || {
        let (begin, label) = lines
            .by_ref()
            .find_map(|line| Some((line, boundary(line.text, b"BEGIN")?)))?;
        let mut body = None;
        while let Some(line) = lines.next_if(|line| boundary(line.text, b"BEGIN").is_none()) {
            if let Some(end) = boundary(line.text, b"END") {
                body = (end == label).then(|| &text[begin.end..line.start]);
                break;
            }
        }
        Some(Block {
            line: begin.number,
            label,
            body,
        })
    })
}

#[derive(Clone, Copy)]
struct Line<'a> {
    /// From 1.
    number: usize,
    /// Without white space around it.
    text: &'a [u8],
    /// Its first byte in the whole text.
    start: usize,
    /// The first byte of the next line.
    end: usize,
}

fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut end = 0;
    text.split_inclusive(|byte| *byte == b'\n')
        .enumerate()
        .map(move |(index, line)| {
            let start = end;
            end += line.len();
            Line {
                number: index + 1,
                text: line.trim_ascii(),
                start,
                end,
            }
        })
}

/// The label of `-----BEGIN label-----` or `-----END label-----`.
fn boundary<'a>(line: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let inner = line.strip_prefix(b"-----")?.strip_suffix(b"-----")?;
    let label = inner.strip_prefix(word)?.strip_prefix(b" ")?;
    Some(label.trim_ascii())
}
