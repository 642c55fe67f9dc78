//! Blocks as servers write them, and what is left of some.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::pipeline::certificate::known::KnownCertificates;

const THUMBPRINT: &str = "0F1E2D3C4B5A69788796A5B4C3D2E1F00F1E2D3C";

const VALUES: [(Field, &str); 5] = [
    (
        Field::Subject,
        "CN=mail.contoso.com, O=\"\"Contoso, Ltd\"\"",
    ),
    (Field::Issuer, "CN=CA"),
    (Field::Serial, "0a1b"),
    (Field::Thumbprint, THUMBPRINT),
    (Field::Names, "a.example;b.example"),
];

fn cell(text: &str) -> Cell<'_> {
    Cell::new(text.as_bytes(), text.contains('"'))
}

fn block(values: &[(Field, &str)]) -> Block {
    let mut block = Block::start();
    for (field, text) in values {
        block.row(*field, cell(text));
    }
    block
}

#[test]
fn a_block_is_complete_with_its_names() {
    let mut block = Block::start();
    for (field, text) in &VALUES[..4] {
        assert_eq!(block.row(*field, cell(text)), BlockStep::Continues);
    }
    assert!(block.clone().finish().gaps.names_incomplete);
    assert_eq!(block.rows(), None);
    let (field, text) = VALUES[4];
    assert_eq!(block.row(field, cell(text)), BlockStep::Complete);
    assert!(block.rows().is_some());
    let found = block.finish();
    assert_eq!(found.subject, "CN=mail.contoso.com, O=\"Contoso, Ltd\"");
    assert_eq!(found.names, ["a.example", "b.example"]);
    assert_eq!(found.serial.as_deref(), Some("0A1B"));
    assert_eq!(found.thumbprint.unwrap().to_string(), THUMBPRINT);
    assert!(!found.is_cut_short());
}

#[test]
fn a_block_takes_no_row_of_the_next_one() {
    let mut block = block(&[(Field::Subject, "CN=ours"), (Field::Thumbprint, THUMBPRINT)]);
    for field in [Field::Subject, Field::Serial, Field::Thumbprint] {
        assert_eq!(block.row(field, cell("CN=theirs")), BlockStep::NotPart);
    }
    let found = block.finish();
    assert_eq!(found.subject, "CN=ours");
    assert_eq!(found.thumbprint.unwrap().to_string(), THUMBPRINT);
    assert!(found.is_cut_short());
}

#[test]
fn a_block_is_read_once() {
    let mut known = KnownCertificates::default();
    let first = known.block(block(&VALUES));
    assert_eq!(*first, block(&VALUES).finish());
    assert!(Arc::ptr_eq(&first, &known.block(block(&VALUES))));
    let mut others = VALUES;
    others[2].1 = "0A1C";
    let other = known.block(block(&others));
    assert_eq!(other.serial.as_deref(), Some("0A1C"));
    // The same bytes, but their quotes are no doubled ones.
    let (field, text) = VALUES[0];
    let mut plain = Block::start();
    plain.row(field, Cell::new(text.as_bytes(), false));
    for (field, text) in &VALUES[1..] {
        plain.row(*field, cell(text));
    }
    assert_eq!(known.block(plain).subject, text);
}

#[test]
fn what_a_block_was_filled_up_from_may_change() {
    let mut known = KnownCertificates::default();
    let mut short = VALUES;
    short[4].1 = "a.example;2026-01-01 b.example";
    assert!(block(&short).finish().is_cut_short());
    assert!(known.block(block(&short)).is_cut_short());
    let whole = known.block(block(&VALUES));
    assert!(Arc::ptr_eq(&whole, &known.block(block(&short))));
}

#[test]
fn a_block_that_goes_on_after_a_restart_is_what_it_was() {
    for split in 0..=VALUES.len() {
        let (before, after) = VALUES.split_at(split);
        let written = serde_json::to_string(&block(before)).unwrap();
        let mut read: Block = serde_json::from_str(&written).unwrap();
        for (field, text) in after {
            read.row(*field, cell(text));
        }
        assert_eq!(read.rows().is_some(), split == 0);
        assert_eq!(read.finish(), block(&VALUES).finish());
    }
}

proptest! {
    /// When a block reads its rows makes no difference.
    #[test]
    fn rows_that_wait_are_read_like_others(
        values in proptest::collection::vec((0..5usize, "[ -~\u{0}-\u{ff}]{0,40}", prop_oneof![9 => Just(1usize), 1 => 60..200usize]), 0..8),
    ) {
        let mut waiting = Block::start();
        let mut eager = Block::start();
        for (field, text, times) in &values {
            let text = text.repeat(*times);
            let step = waiting.row(Field::ALL[*field], cell(&text));
            prop_assert_eq!(eager.row(Field::ALL[*field], cell(&text)), step);
            eager.read_all();
            prop_assert!(waiting.unread.len() <= MAX_UNREAD_BYTES);
        }
        prop_assert_eq!(waiting.finish(), eager.finish());
    }
}
