//! Files as people put them together.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::*;
use crate::pipeline::inventory::tests::specimen::{Specimen, name, tlv};

/// A certificate with this common name.
fn der(common_name: &str) -> Vec<u8> {
    let specimen = Specimen {
        subject: name(&[&[("2.5.4.3", 0x0C, common_name.as_bytes())]]),
        ..Specimen::default()
    };
    specimen.der()
}

/// Base64 in lines of 64.
fn base64_of(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let (lines, rest) = text.as_bytes().as_chunks::<64>();
    let mut wrapped = String::new();
    for line in lines.iter().map(|line| &line[..]).chain([rest]) {
        let _ = writeln!(wrapped, "{}", str::from_utf8(line).unwrap());
    }
    wrapped
}

fn block(label: &str, der: &[u8]) -> String {
    let content = base64_of(der);
    format!("-----BEGIN {label}-----\n{content}-----END {label}-----\n")
}

/// What a file gave: subjects, and problems with the block and its line, 0 where there is none.
fn outcome(bytes: &[u8]) -> (Vec<String>, Vec<(usize, usize, Fault)>) {
    let Reading {
        certificates,
        problems,
    } = read(bytes, "file.pem");
    let subject = |read: InventoryCertificate| {
        assert_eq!((&*read.origin, &read.server), ("file.pem", &None));
        read.certificate.subject.clone()
    };
    let problem = |problem: Problem| {
        assert_eq!(&*problem.origin, "file.pem");
        let (block, line) = problem
            .position
            .map_or((0, 0), |position| (position.block, position.line));
        (block, line, problem.fault)
    };
    (
        certificates.into_iter().map(subject).collect(),
        problems.into_iter().map(problem).collect(),
    )
}

fn check(bytes: impl AsRef<[u8]>, subjects: &[&str], problems: &[(usize, usize, Fault)]) {
    let bytes = bytes.as_ref();
    let (read, found) = outcome(bytes);
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(read, subjects, "{text}");
    assert_eq!(found, problems, "{text}");
}

#[test]
fn one_certificate_in_every_dress() {
    let der = der("a");
    let bare = base64_of(&der);
    let pem = block("CERTIFICATE", &der);
    let utf16 = |to_bytes: fn(u16) -> [u8; 2], mark: [u8; 2], text: &str| {
        let units = text.encode_utf16().flat_map(to_bytes);
        mark.into_iter().chain(units).collect::<Vec<u8>>()
    };
    for dress in [
        der.clone(),
        [&der[..], b"\r\n"].concat(),
        bare.clone().into_bytes(),
        bare.replace('\n', "").into_bytes(),
        bare.replace(['\n', '='], "").into_bytes(),
        format!("\u{FEFF}{bare}").into_bytes(),
        utf16(u16::to_le_bytes, [0xFF, 0xFE], &bare),
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        pem.replace('\n', "\r\n").into_bytes(),
        pem.replace('\n', "\n    ").into_bytes(),
        format!("\u{FEFF}{pem}").into_bytes(),
        utf16(u16::to_le_bytes, [0xFF, 0xFE], &pem),
        utf16(u16::to_be_bytes, [0xFE, 0xFF], &pem),
        [b"subject=M\xFCller\n\0\n", pem.as_bytes()].concat(),
        block("X509 CERTIFICATE", &der).into_bytes(),
        block("TRUSTED CERTIFICATE", &[&der[..], &[0x30, 0]].concat()).into_bytes(),
    ] {
        check(dress, &["CN=a"], &[]);
    }
}

#[test]
fn a_bad_block_does_not_spoil_the_others() {
    let good = block("CERTIFICATE", &der("a"));
    let lines = good.lines().count();
    let key = tlv(0x30, &[&[2, 1, 0], &[0; 60]]);
    let long = [&der("x")[..], &[0]].concat();
    for (bad, fault) in [
        (block("PRIVATE KEY", &key), Fault::PrivateKey),
        (block("RSA PRIVATE KEY", b"x"), Fault::PrivateKey),
        (block("ENCRYPTED PRIVATE KEY", b"x"), Fault::PrivateKey),
        (block("OPENSSH PRIVATE KEY", b"x"), Fault::PrivateKey),
        (block("PGP PRIVATE KEY BLOCK", b"x"), Fault::PrivateKey),
        // A key stays one, whatever is written around it.
        (block("CERTIFICATE", &key), Fault::PrivateKey),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n".to_owned(),
            Fault::PrivateKey,
        ),
        (
            block("CERTIFICATE REQUEST", b"x"),
            Fault::OtherBlock("CERTIFICATE REQUEST".to_owned()),
        ),
        (
            block("X509 CRL", b"x"),
            Fault::OtherBlock("X509 CRL".to_owned()),
        ),
        (block("PKCS7", b"x"), Fault::Pkcs7),
        (block("CMS", b"x"), Fault::Pkcs7),
        (block("PKCS12", b"x"), Fault::Pkcs12),
        (block("CERTIFICATE", &long), Fault::BytesBehind),
        (block("CERTIFICATE", &long[..60]), Fault::CutOff),
        (
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_owned(),
            Fault::Empty,
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMII!\n-----END CERTIFICATE-----\n".to_owned(),
            Fault::NotBase64,
        ),
        (
            good.replace("END CERTIFICATE", "END X509 CRL"),
            Fault::NoEnd,
        ),
        (
            good.replace("-----END CERTIFICATE-----\n", ""),
            Fault::NoEnd,
        ),
    ] {
        let text = format!("{good}\nnote\n{bad}{good}");
        check(&text, &["CN=a", "CN=a"], &[(2, lines + 3, fault.clone())]);
        check(&bad, &[], &[(1, 1, fault)]);
    }
}

#[test]
fn a_label_is_repeated_only_if_it_looks_like_one() {
    let longest = "A".repeat(40);
    let longer = "A".repeat(41);
    for (label, told) in [
        ("DH PARAMETERS", "DH PARAMETERS"),
        ("PKCS #9 X-1", "PKCS #9 X-1"),
        (&longest, &longest),
        (&longer, "(unknown)"),
        ("", "(unknown)"),
        ("jane@contoso.com", "(unknown)"),
        ("Certificate", "(unknown)"),
    ] {
        let fault = Fault::OtherBlock(told.to_owned());
        check(block(label, b"x"), &[], &[(1, 1, fault)]);
    }
}

#[test]
fn a_boundary_inside_a_der_certificate_is_part_of_it() {
    let whole = der("\n-----BEGIN X-----\n");
    check(whole, &["CN=\"\n-----BEGIN X-----\n\""], &[]);
}

#[test]
fn nothing_of_a_private_key_is_kept_or_told() {
    let secret = "c2VjcmV0IHNlY3JldA==";
    let text = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
    let reading = read(text.as_bytes(), "key.pem");
    assert!(!format!("{reading:?}").contains("c2Vj"));
    let told = reading.problems[0].to_string();
    assert!(
        told.starts_with(
            "key.pem:1: block 1 holds a private key; certdrift wants certificates only; "
        ),
        "{told}"
    );
}

#[test]
fn files_that_hold_no_certificate() {
    let key = tlv(0x30, &[&[2, 1, 1], &tlv(4, &[&[7; 32]])]);
    let inline = r#"{"key": "-----BEGIN PRIVATE KEY-----\nMII"}"#.to_owned();
    let cut = der("a").len() - 1;
    for (bytes, fault) in [
        (Vec::new(), Fault::Empty),
        (b" \r\n".to_vec(), Fault::Empty),
        (b"\xEF\xBB\xBF".to_vec(), Fault::Empty),
        (b"\xFF\xFE".to_vec(), Fault::Empty),
        (key.clone(), Fault::PrivateKey),
        ([&key[..], b"\n"].concat(), Fault::PrivateKey),
        (base64_of(&key).into_bytes(), Fault::PrivateKey),
        (inline.into_bytes(), Fault::PrivateKey),
        (der("a")[..cut].to_vec(), Fault::CutOff),
        (base64_of(&der("a")[..cut]).into_bytes(), Fault::CutOff),
        (b"MIIB?".to_vec(), Fault::NotBase64),
        (b"hello".to_vec(), Fault::Unrecognised),
        (b"abcd".to_vec(), Fault::Unrecognised),
        (b"0 certificates".to_vec(), Fault::Unrecognised),
        (vec![0; 100], Fault::Unrecognised),
        (b"-----END CERTIFICATE-----".to_vec(), Fault::Unrecognised),
    ] {
        check(bytes, &[], &[(0, 0, fault)]);
    }
}

#[test]
fn the_limits_of_a_file() {
    let mut text = block("CERTIFICATE", &der("a"));
    text.push_str(&" ".repeat(MAX_FILE_BYTES - text.len()));
    check(&text, &["CN=a"], &[]);
    text.push(' ');
    check(&text, &[], &[(0, 0, Fault::FileTooBig)]);

    let mut many = block("CERTIFICATE", &der("a")).repeat(MAX_BLOCKS);
    let (subjects, problems) = outcome(many.as_bytes());
    assert_eq!((subjects.len(), problems), (MAX_BLOCKS, vec![]));
    many.push_str(&block("CERTIFICATE", &der("b")));
    let (subjects, problems) = outcome(many.as_bytes());
    assert_eq!(
        (subjects.len(), problems),
        (MAX_BLOCKS, vec![(0, 0, Fault::TooManyBlocks)])
    );
}

#[test]
fn a_problem_is_one_line_with_a_remedy() {
    for (fault, expected) in [
        (Fault::Empty, "is empty; export"),
        (Fault::FileTooBig, "is larger than 4 MiB; split"),
        (
            Fault::TooManyBlocks,
            "holds more than 1000 blocks, and those beyond were not read; split",
        ),
        (
            Fault::OtherBlock("X\r\n\u{202E}CRL".to_owned()),
            "holds `XCRL`, not a certificate; take it away",
        ),
        (
            Fault::Unrecognised,
            "is no certificate in DER, PEM or base64 encoding; export",
        ),
        (
            Fault::NoEnd,
            "has no END line that fits its BEGIN line; it was cut off",
        ),
        (
            Fault::NotBase64,
            "is not base64; it was damaged on its way; copy",
        ),
        (
            Fault::CertificateTooBig,
            "is larger than 64 KiB, which no certificate of a mail server is; export",
        ),
        (Fault::CutOff, "is cut off; copy"),
        (
            Fault::BytesBehind,
            "goes on behind the end of the certificate; keep",
        ),
    ] {
        let problem = Problem {
            origin: "a\nb.pem".into(),
            position: Some(Position { block: 3, line: 17 }),
            fault,
        };
        let text = problem.to_string();
        assert!(
            text.starts_with(&format!("ab.pem:17: block 3 {expected}")),
            "{text}"
        );
        assert!(!text.contains(char::is_control));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_silence_is_never_the_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let reading = read(&bytes, "x");
        prop_assert!(reading.certificates.is_empty() && reading.problems.len() == 1);
    }

    #[test]
    fn any_text_between_boundaries_is_survived(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("-----BEGIN CERTIFICATE-----\n".to_owned()),
                Just("-----END CERTIFICATE-----\n".to_owned()),
                Just("-----BEGIN PRIVATE KEY-----".to_owned()),
                Just("-----END PRIVATE KEY-----\r\n".to_owned()),
                Just("-----BEGIN -----\n".to_owned()),
                Just("-----BEGIN-----END-----\n".to_owned()),
                Just(base64_of(&der("a"))),
                "[A-Za-z0-9+/=\\n-]{0,80}",
                "\\PC{0,20}",
            ],
            0..12,
        ),
    ) {
        let text = pieces.concat();
        let reading = read(text.as_bytes(), "x");
        prop_assert!(!reading.certificates.is_empty() || !reading.problems.is_empty());
        let begins = text.lines().filter(|line| line.trim().starts_with("-----BEGIN ")).count();
        prop_assert!(reading.certificates.len() + reading.problems.len() <= begins.max(1));
    }
}
