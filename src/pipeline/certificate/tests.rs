//! Rows as servers write them, and rows as nobody should.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use crate::pipeline::certificate::block::Block;
use crate::pipeline::certificate::block::Field;
use crate::pipeline::certificate::row::parse_row;
use crate::pipeline::certificate::*;
use crate::pipeline::record::Cell;

const THUMBPRINT: &str = "0F1E2D3C4B5A69788796A5B4C3D2E1F00F1E2D3C";

fn subject_issuer(certificate: &Certificate) -> (&str, Option<&str>) {
    (&certificate.subject, certificate.issuer.as_deref())
}

#[test]
fn form_c_has_dates() {
    let row = format!(
        " CN=mail.contoso.com, O=\"Contoso, Ltd\", C=US CN=DigiCert TLS RSA SHA256 2020 CA1, O=DigiCert Inc, C=US 0A1B {THUMBPRINT} 2023-08-12T10:39:24.000Z 2024-09-12T10:39:23.000Z mail.contoso.com;*.Contoso.com;"
    );
    let found = parse_row(row.as_bytes());
    assert_eq!(
        subject_issuer(&found),
        (
            "CN=mail.contoso.com, O=\"Contoso, Ltd\", C=US",
            Some("CN=DigiCert TLS RSA SHA256 2020 CA1, O=DigiCert Inc, C=US")
        )
    );
    assert_eq!(found.serial.as_deref(), Some("0A1B"));
    assert_eq!(found.thumbprint.unwrap().to_string(), THUMBPRINT);
    assert_eq!(found.not_after.unwrap().to_string(), "2024-09-12T10:39:23Z");
    assert_eq!(found.validity_from, Some(ValiditySource::Log));
    assert_eq!(found.names, ["mail.contoso.com", "*.contoso.com"]);
    assert!(!found.is_cut_short());
}

#[test]
fn form_b_has_none_and_its_names_may_be_missing() {
    for (names, expected) in [(" mail.contoso.com", 1), ("", 0), (" ", 0)] {
        let row = format!(" CN=mail.contoso.com CN=CA 0A1B {THUMBPRINT}{names}");
        let found = parse_row(row.as_bytes());
        assert_eq!(
            subject_issuer(&found),
            ("CN=mail.contoso.com", Some("CN=CA"))
        );
        assert_eq!(found.names.len(), expected);
        assert_eq!((found.not_before, found.validity_from), (None, None));
    }
}

#[test]
fn a_serial_of_twenty_bytes_is_no_thumbprint() {
    let serial = "00112233445566778899AABBCCDDEEFF00112233";
    for tail in [
        "",
        " mail.contoso.com",
        " 2026-01-01T00:00:00Z 2026-04-01T00:00:00 mail.contoso.com",
    ] {
        let row = format!(" CN=a.example CN=CA {serial} {THUMBPRINT}{tail}");
        let found = parse_row(row.as_bytes());
        assert_eq!(found.serial.as_deref(), Some(serial));
        assert_eq!(found.thumbprint.unwrap().to_string(), THUMBPRINT);
    }
}

#[test]
fn hex_inside_a_name_is_no_thumbprint() {
    let row = format!(
        " CN=00112233445566778899AABBCCDDEEFF00112233 x, O=b CN=CA 0A {THUMBPRINT} 2026-01-01T00:00:00.000Z 2026-04-01T00:00:00.000Z a.example"
    );
    assert_eq!(
        parse_row(row.as_bytes()).thumbprint.unwrap().to_string(),
        THUMBPRINT
    );
}

#[test]
fn what_cannot_be_cut_is_kept_whole_and_flagged() {
    let found = parse_row(format!(" CN=only one name 0A1B {THUMBPRINT} a.example").as_bytes());
    assert_eq!(subject_issuer(&found), ("CN=only one name", None));
    assert!(found.gaps.dn_uncut && !found.is_cut_short());
    let found = parse_row(b" CN=a CN=b 0A1B");
    assert!(found.thumbprint.is_none() && found.is_cut_short());
}

#[test]
fn presented_names_are_compared_as_dns_does() {
    let mut certificate = Block::start().finish();
    certificate.subject = "CN=Mail.Contoso.com., O=x".to_owned();
    certificate.names = ["mail.contoso.com", "*.bücher.example", "no name", "single"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(
        certificate.presented_names(),
        ["mail.contoso.com", "*.xn--bcher-kva.example"]
    );
}

/// Nothing can be concluded from it but that a certificate was offered.
fn is_unreadable(found: &Certificate) -> bool {
    found.thumbprint.is_none()
        && found.gaps.dn_uncut
        && found.gaps.names_incomplete
        && found.presented_names().is_empty()
        && found.is_cut_short()
}

#[test]
fn a_row_that_breaks_off_has_no_thumbprint() {
    let hex = "00112233445566778899AABBCCDDEEFF00112233";
    for row in [
        String::new(),
        " ".to_owned(),
        format!(" CN=a.example CN={hex}"),
        format!(" CN=ab {hex} 2026-01-01T00:00:00Z x, O=b CN=CA 0A1B"),
        format!(" CN=a.example CN=b, O=\"Acme 0A {hex} a.example"),
        " CN=a.example CN=CA 0A1B 00112233".to_owned(),
        " CN=a.example".to_owned(),
    ] {
        assert!(is_unreadable(&parse_row(row.as_bytes())), "{row}");
    }
}

#[test]
fn a_name_full_of_hex_moves_nothing() {
    let hex = "00112233445566778899AABBCCDDEEFF00112233";
    for tail in [
        format!("0A1B {THUMBPRINT} a.example"),
        format!("0A1B {THUMBPRINT} 2026-01-01T00:00:00.000Z 2026-04-01T00:00:00.000Z {hex}"),
        format!("0A1B {THUMBPRINT} {hex}.example"),
    ] {
        let found = parse_row(format!(" CN=a.example CN=CA {hex} {tail}").as_bytes());
        assert_eq!(found.thumbprint.unwrap().to_string(), THUMBPRINT, "{tail}");
        assert_eq!(found.serial.as_deref(), Some("0A1B"));
        let issuer = format!("CN=CA {hex}");
        assert_eq!(
            subject_issuer(&found),
            ("CN=a.example", Some(issuer.as_str()))
        );
    }
}

#[test]
fn an_empty_subject_leaves_its_blank() {
    let found = parse_row(format!("  CN=ca.example 0A1B {THUMBPRINT} a.example").as_bytes());
    assert_eq!(subject_issuer(&found), ("", Some("CN=ca.example")));
    assert_eq!(found.presented_names(), ["a.example"]);
}

#[test]
fn the_issuer_never_lends_its_common_name() {
    let row = format!("  CN=ca.example O=x 0A1B {THUMBPRINT} a.example");
    let found = parse_row(row.as_bytes());
    assert!(found.gaps.dn_uncut);
    assert_eq!(found.presented_names(), ["a.example"]);
}

#[test]
fn odd_serials() {
    for (serial, read, uncut) in [
        ("a1b", Some("0A1B"), false),
        ("00", Some("00"), false),
        ("", None, false),
        ("none", None, true),
    ] {
        let row = format!(" CN=a.example CN=CA {serial} {THUMBPRINT} a.example");
        let found = parse_row(row.as_bytes());
        assert_eq!(found.serial.as_deref(), read, "{serial}");
        assert_eq!(found.gaps.dn_uncut, uncut, "{serial}");
        assert_eq!(found.names, ["a.example"]);
    }
}

#[test]
fn dates_in_another_form_leave_the_names_in_doubt() {
    let row =
        |tail: &str| parse_row(format!(" CN=a.example CN=CA 0A {THUMBPRINT}{tail}").as_bytes());
    let found = row(" 8/12/2023 10:39:24 AM 9/12/2024 10:39:23 AM a.example;b.example");
    assert_eq!(found.names, ["a.example", "b.example"]);
    assert!(found.gaps.names_incomplete && found.not_after.is_none());
    let found = row(" 8/12/2023 10:39:24 AM 9/12/2024 10:39:23 AM");
    assert!(found.gaps.names_incomplete && found.names.is_empty());
    let found = row(" 2026-01-01T00:00:00.000Z");
    assert!(found.gaps.names_incomplete && found.names.is_empty() && found.not_before.is_some());
    let found = row(" 2026-01-01T00:00:00 2026-04-01T00:00:00.5 ;A.example; ;");
    assert_eq!(found.names, ["a.example"]);
    assert_eq!(
        found.not_after.unwrap().to_string(),
        "2026-04-01T00:00:00.5Z"
    );
    assert!(!found.gaps.names_incomplete);
}

#[test]
fn too_many_names_are_cut_and_flagged() {
    for names in [
        "a;".repeat(MAX_NAMES + 1),
        format!("{};", "a".repeat(250)).repeat(200),
    ] {
        let found = parse_row(format!(" CN=a CN=CA 0A {THUMBPRINT} {names}").as_bytes());
        assert!(found.gaps.names_incomplete);
        assert!(found.names.len() <= MAX_NAMES);
        assert!(found.names.concat().len() <= MAX_NAMES_BYTES);
    }
}

#[test]
fn a_name_beyond_the_limit_is_flagged_in_either_form() {
    let long = format!("CN={}", "a".repeat(MAX_NAME_BYTES));
    let found = parse_row(format!(" {long} CN=CA 0A {THUMBPRINT} a.example").as_bytes());
    assert!(found.gaps.dn_uncut && found.subject.len() <= MAX_NAME_BYTES);
    let mut block = Block::start();
    block.row(Field::Subject, Cell::new(long.as_bytes(), false));
    let found = block.finish();
    assert!(found.gaps.dn_uncut && found.subject.len() <= MAX_NAME_BYTES);
}

#[test]
fn invalid_utf8_is_replaced() {
    let row = [
        &b" CN=B\xFCcher CN=CA 0A "[..],
        THUMBPRINT.as_bytes(),
        b" a.example",
    ]
    .concat();
    assert_eq!(
        subject_issuer(&parse_row(&row)),
        ("CN=B\u{FFFD}cher", Some("CN=CA"))
    );
}

proptest! {
    #[test]
    fn no_row_makes_it_panic(data in "[ -~]{0,200}", raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        for row in [data.as_bytes(), &raw] {
            let found = parse_row(row);
            let _ = (found.presented_names(), found.common_name(), label::label(row));
        }
        let _ = parse_row(format!("{data} {THUMBPRINT} {data}").as_bytes());
    }
}
