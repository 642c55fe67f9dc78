//! Certificates that no tool would issue, and the limits.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::pipeline::inventory::tests::specimen::{Specimen, extension, oid, tlv};

const ALTERNATIVE_NAMES: &str = "2.5.29.17";
const PURPOSES: &str = "2.5.29.37";

fn decoded(specimen: &Specimen) -> Result<InventoryCertificate, Fault> {
    from_der(&specimen.der(), &"file.cer".into(), None).map_err(|problem| {
        assert_eq!((&*problem.origin, problem.position), ("file.cer", None));
        problem.fault
    })
}

fn with(extensions: Vec<Vec<u8>>) -> Specimen {
    Specimen {
        extensions,
        ..Specimen::default()
    }
}

/// An extension that lists names: tags and values.
fn alternative_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let list: Vec<u8> = names
        .iter()
        .flat_map(|(tag, name)| tlv(*tag, &[name]))
        .collect();
    extension(ALTERNATIVE_NAMES, false, &tlv(0x30, &[&list]))
}

fn purposes(dotted: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = dotted.iter().flat_map(|purpose| oid(purpose)).collect();
    extension(PURPOSES, true, &tlv(0x30, &[&list]))
}

#[test]
fn dns_names_in_their_order() {
    const DNS: u8 = 0x82;
    type Names<'a> = &'a [(u8, &'a [u8])];
    let cases: [(Names<'_>, &[&str]); 7] = [
        (&[][..], &[][..]),
        (
            &[(DNS, b"B.Contoso.com"), (DNS, b"a.contoso.com")],
            &["b.contoso.com", "a.contoso.com"],
        ),
        // Mail address, URI, IP address.
        (
            &[
                (0x81, b"x@contoso.com"),
                (0x86, b"https://contoso.com"),
                (0x87, &[1; 4]),
            ],
            &[],
        ),
        (
            &[(DNS, b" a.contoso.com "), (DNS, b""), (DNS, b" ")],
            &["a.contoso.com"],
        ),
        (&[(DNS, b"a"), (DNS, b"a")], &["a", "a"]),
        (
            &[(DNS, b"\xDCber.contoso.com"), (DNS, "Über".as_bytes())],
            &["über.contoso.com", "über"],
        ),
        (&[(DNS, b"a.com\0.b.com")], &["a.com\0.b.com"]),
    ];
    for (names, expected) in cases {
        let read = decoded(&with(vec![alternative_names(names)])).unwrap();
        assert_eq!(read.certificate.names, expected);
        assert!(!read.certificate.gaps.names_incomplete);
    }
}

#[test]
fn names_beyond_the_limits_are_cut_and_flagged() {
    let long = [b'a'; 253];
    let fits = MAX_NAMES_BYTES / long.len();
    for (name, count, kept, incomplete) in [
        (&b"a"[..], MAX_NAMES, MAX_NAMES, false),
        (b"a", MAX_NAMES + 1, MAX_NAMES, true),
        (&long, fits, fits, false),
        (&long, fits + 1, fits, true),
    ] {
        let read = decoded(&with(vec![alternative_names(&vec![(0x82, name); count])])).unwrap();
        let certificate = &read.certificate;
        assert_eq!(
            (certificate.names.len(), certificate.gaps.names_incomplete),
            (kept, incomplete)
        );
    }
}

#[test]
fn purposes_that_matter() {
    const SERVER: &str = "1.3.6.1.5.5.7.3.1";
    const CLIENT: &str = "1.3.6.1.5.5.7.3.2";
    const MAIL: &str = "1.3.6.1.5.5.7.3.4";
    const ANY: &str = "2.5.29.37.0";
    for (list, server_auth, client_auth) in [
        (&[SERVER][..], true, false),
        (&[CLIENT], false, true),
        (&[MAIL, CLIENT, SERVER], true, true),
        (&[ANY], true, true),
        (&[SERVER, ANY], true, true),
        (&[MAIL], false, false),
        (&[], false, false),
    ] {
        let expected = ExtendedKeyUsage {
            server_auth,
            client_auth,
        };
        let read = decoded(&with(vec![purposes(list)])).unwrap();
        assert_eq!(read.extended_key_usage, Some(expected), "{list:?}");
    }
    assert_eq!(
        decoded(&Specimen::default()).unwrap().extended_key_usage,
        None
    );
}

#[test]
fn an_extension_that_cannot_be_read_is_told_if_it_matters() {
    let garbage = [0x30, 0x05, 0x82, 0x01];
    let names = alternative_names(&[(0x82, b"a")]);
    let ssl = purposes(&["1.3.6.1.5.5.7.3.1"]);
    let whole = [0x30, 0x03, 0x82, 0x01, b'a'];
    for (extensions, part) in [
        (
            vec![extension(ALTERNATIVE_NAMES, false, &garbage)],
            Part::Names,
        ),
        (
            vec![extension(
                ALTERNATIVE_NAMES,
                false,
                &[&whole[..], &[0]].concat(),
            )],
            Part::Names,
        ),
        (vec![extension(ALTERNATIVE_NAMES, false, &[])], Part::Names),
        (vec![names.clone(), names], Part::Names),
        (
            vec![extension(PURPOSES, false, &garbage)],
            Part::ExtendedKeyUsage,
        ),
        (
            vec![extension(PURPOSES, false, &[0x30, 0, 0])],
            Part::ExtendedKeyUsage,
        ),
        (vec![ssl.clone(), ssl], Part::ExtendedKeyUsage),
        (vec![vec![0x30, 0x02, 0x06, 0x05]], Part::Structure),
    ] {
        assert_eq!(decoded(&with(extensions)), Err(Fault::Unreadable(part)));
    }
    // Key usage, basic constraints and one that nobody knows.
    for kind in ["2.5.29.15", "2.5.29.19", "1.3.6.1.4.1.311.99"] {
        let ours = alternative_names(&[(0x82, b"a")]);
        let read = decoded(&with(vec![extension(kind, true, &garbage), ours])).unwrap();
        assert_eq!(read.certificate.names, ["a"]);
    }
}

#[test]
fn dates_to_the_second() {
    const UTC: u8 = 0x17;
    const GENERALIZED: u8 = 0x18;
    for (tag, text, expected) in [
        (UTC, "260102030405Z", Some("2026-01-02T03:04:05Z")),
        (UTC, "491231235959Z", Some("2049-12-31T23:59:59Z")),
        (UTC, "500101000000Z", Some("1950-01-01T00:00:00Z")),
        (UTC, "000229000000Z", Some("2000-02-29T00:00:00Z")),
        (GENERALIZED, "20500101000000Z", Some("2050-01-01T00:00:00Z")),
        (GENERALIZED, "99991230215959Z", Some("9999-12-30T21:59:59Z")),
        // The end of all times that can be represented.
        (GENERALIZED, "99991231235959Z", Some("9999-12-30T22:00:00Z")),
        (GENERALIZED, "00000101000000Z", Some("0000-01-01T00:00:00Z")),
        (UTC, "260230000000Z", None),
        (UTC, "2601020304", None),
        (UTC, "", None),
        (GENERALIZED, "soon", None),
        (0x0C, "260102030405Z", None),
    ] {
        let date = tlv(tag, &[text.as_bytes()]);
        let before = decoded(&Specimen {
            not_before: date.clone(),
            ..Specimen::default()
        });
        let after = decoded(&Specimen {
            not_after: date,
            ..Specimen::default()
        });
        let Some(expected) = expected else {
            let fault = Fault::Unreadable(Part::Validity);
            assert_eq!((before, after), (Err(fault.clone()), Err(fault)), "{text}");
            continue;
        };
        let (before, after) = (before.unwrap().certificate, after.unwrap().certificate);
        assert_eq!(before.not_before.unwrap().to_string(), expected);
        assert_eq!(
            before.not_after.unwrap().to_string(),
            "2027-01-01T00:00:00Z"
        );
        assert_eq!(
            after.not_before.unwrap().to_string(),
            "2026-01-01T00:00:00Z"
        );
        assert_eq!(after.not_after.unwrap().to_string(), expected);
    }
}

#[test]
fn serial_numbers_as_windows_prints_them() {
    let longest = "7F".repeat(MAX_SERIAL_BYTES);
    for (bytes, expected) in [
        (&[0x0A][..], "0A"),
        (&[0], "00"),
        (&[0x00, 0xF1, 0x02], "00F102"),
        // Negative, against RFC 5280.
        (&[0xFF, 0x01], "FF01"),
        (&[0x7F; MAX_SERIAL_BYTES], &longest),
    ] {
        let serial = tlv(2, &[bytes]);
        let read = decoded(&Specimen {
            serial,
            ..Specimen::default()
        })
        .unwrap();
        assert_eq!(read.certificate.serial.as_deref(), Some(expected));
    }
    for serial in [
        tlv(2, &[]),
        tlv(2, &[&[0x7F; MAX_SERIAL_BYTES + 1]]),
        tlv(4, &[&[1]]),
    ] {
        let read = decoded(&Specimen {
            serial,
            ..Specimen::default()
        });
        assert_eq!(read, Err(Fault::Unreadable(Part::Serial)));
    }
}

#[test]
fn names_that_cannot_be_read_are_told_apart() {
    let broken = tlv(0x30, &[&[0x31, 0x02, 0x30, 0x05]]);
    let subject = Specimen {
        subject: broken.clone(),
        ..Specimen::default()
    };
    assert_eq!(decoded(&subject), Err(Fault::Unreadable(Part::Subject)));
    let issuer = Specimen {
        issuer: broken,
        ..Specimen::default()
    };
    assert_eq!(decoded(&issuer), Err(Fault::Unreadable(Part::Issuer)));
}

#[test]
fn a_certificate_of_version_1_without_names() {
    let first = Specimen {
        version: Vec::new(),
        subject: tlv(0x30, &[]),
        ..Specimen::default()
    };
    let read = decoded(&first).unwrap();
    assert_eq!(read.certificate.subject, "");
    assert_eq!(read.certificate.issuer.as_deref(), Some("CN=CA"));
    assert_eq!(read.certificate.presented_names(), Vec::<String>::new());
}

/// Algorithm identifier.
fn algorithm(dotted: &str, parameters: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&oid(dotted), parameters])
}

#[test]
fn key_algorithms() {
    let rsa = |modulus: &[u8]| tlv(0x30, &[&tlv(2, &[modulus]), &[2, 3, 1, 0, 1]]);
    let modulus_2048 = [&[0, 0x80][..], &[1; 255]].concat();
    let modulus_2047 = [&[0x40][..], &[1; 255]].concat();
    let ec = "1.2.840.10045.2.1";
    for (identifier, key, expected) in [
        (
            algorithm("1.2.840.113549.1.1.1", &[5, 0]),
            rsa(&modulus_2048),
            "RSA 2048",
        ),
        (
            algorithm("1.2.840.113549.1.1.1", &[5, 0]),
            rsa(&modulus_2047),
            "RSA 2047",
        ),
        (algorithm("1.2.840.113549.1.1.1", &[5, 0]), rsa(&[0]), "RSA"),
        (
            algorithm("1.2.840.113549.1.1.1", &[5, 0]),
            vec![1, 2, 3],
            "RSA",
        ),
        (
            algorithm("1.2.840.113549.1.1.10", &[]),
            rsa(&modulus_2048),
            "RSASSA-PSS 2048",
        ),
        (
            algorithm(ec, &oid("1.2.840.10045.3.1.7")),
            vec![4],
            "ECDSA P-256",
        ),
        (algorithm(ec, &oid("1.3.132.0.34")), vec![4], "ECDSA P-384"),
        (algorithm(ec, &oid("1.3.132.0.35")), vec![4], "ECDSA P-521"),
        (algorithm(ec, &oid("1.2.3.4")), vec![4], "ECDSA 1.2.3.4"),
        (algorithm(ec, &[0x30, 0]), vec![4], "ECDSA"),
        (algorithm(ec, &[]), vec![4], "ECDSA"),
        (algorithm("1.3.101.113", &[]), vec![4], "Ed448"),
        (algorithm("1.2.840.10040.4.1", &[]), vec![4], "DSA"),
        (algorithm("2.999.1", &[]), vec![4], "2.999.1"),
    ] {
        let key = tlv(0x30, &[&identifier, &tlv(3, &[&[0], &key])]);
        let read = decoded(&Specimen {
            key,
            ..Specimen::default()
        })
        .unwrap();
        assert_eq!(read.key_algorithm, expected);
    }
}

#[test]
fn signature_algorithms() {
    const PSS: &str = "1.2.840.113549.1.1.10";
    let hash = |dotted| tlv(0x30, &[&tlv(0xA0, &[&algorithm(dotted, &[5, 0])])]);
    for (signature, expected) in [
        (algorithm("1.2.840.113549.1.1.5", &[5, 0]), "SHA-1 with RSA"),
        (
            algorithm("1.2.840.113549.1.1.11", &[5, 0]),
            "SHA-256 with RSA",
        ),
        (algorithm("1.2.840.10045.4.3.2", &[]), "SHA-256 with ECDSA"),
        (algorithm("1.3.101.112", &[]), "Ed25519"),
        (
            algorithm(PSS, &hash("2.16.840.1.101.3.4.2.3")),
            "RSASSA-PSS with SHA-512",
        ),
        (algorithm(PSS, &hash("1.2.3")), "RSASSA-PSS with 1.2.3"),
        // RFC 4055: SHA-1 is what is meant when nothing is said.
        (algorithm(PSS, &[0x30, 0]), "RSASSA-PSS with SHA-1"),
        (algorithm(PSS, &[]), "RSASSA-PSS"),
        (algorithm(PSS, &[5, 0]), "RSASSA-PSS"),
        (algorithm("1.2.3.4", &[5, 0]), "1.2.3.4"),
        (
            algorithm(&format!("1.2{}", ".16000".repeat(40)), &[]),
            "unknown",
        ),
    ] {
        let read = decoded(&Specimen {
            signature,
            ..Specimen::default()
        })
        .unwrap();
        assert_eq!(read.signature_algorithm, expected);
    }
}

#[test]
fn size_and_surroundings() {
    let plain = Specimen::default().der();
    let origin = "file.cer".into();
    let read = |der: &[u8]| from_der(der, &origin, None).map_err(|problem| problem.fault);
    let expected = read(&plain).unwrap();
    // White space is not part of the certificate, so neither of its thumbprint.
    assert_eq!(read(&[&plain[..], b" \r\n"].concat()), Ok(expected));
    assert_eq!(read(&[&plain[..], b"\0"].concat()), Err(Fault::BytesBehind));
    assert_eq!(
        read(&[&plain[..], &plain].concat()),
        Err(Fault::BytesBehind)
    );
    assert_eq!(read(&plain[..plain.len() - 1]), Err(Fault::CutOff));
    assert_eq!(read(&plain[..1]), Err(Fault::CutOff));
    assert_eq!(read(&[]), Err(Fault::Empty));
    assert_eq!(
        read(&tlv(0x30, &[])),
        Err(Fault::Unreadable(Part::Structure))
    );
    assert_eq!(
        read(b"no certificate"),
        Err(Fault::Unreadable(Part::Structure))
    );

    let sized = |padding: usize| with(vec![extension("1.2.3", false, &vec![0; padding])]).der();
    let padding = MAX_CERTIFICATE_BYTES - sized(MAX_CERTIFICATE_BYTES - 1000).len()
        + (MAX_CERTIFICATE_BYTES - 1000);
    assert_eq!(sized(padding).len(), MAX_CERTIFICATE_BYTES);
    assert!(read(&sized(padding)).is_ok());
    assert_eq!(read(&sized(padding + 1)), Err(Fault::CertificateTooBig));
}

#[test]
fn what_is_no_certificate_is_refused_by_its_name() {
    const ENVELOPED: &str = "1.2.840.113549.1.7.3";
    let zeros = [0; 300];
    let big = tlv(2, &[&zeros]);
    let rsa_key = tlv(0x30, &[&[2, 1, 0], &big, &big]);
    let pkcs8 = tlv(
        0x30,
        &[
            &[2, 1, 0],
            &algorithm("1.3.101.112", &[]),
            &tlv(4, &[&zeros]),
        ],
    );
    let pkcs8_v2 = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &algorithm("1.3.101.112", &[]),
            &tlv(4, &[&[0; 32]]),
        ],
    );
    let sec1 = tlv(0x30, &[&[2, 1, 1], &tlv(4, &[&[0; 32]])]);
    let encrypted = tlv(
        0x30,
        &[
            &algorithm("1.2.840.113549.1.5.13", &[0x30, 0]),
            &tlv(4, &[&zeros]),
        ],
    );
    let pkcs7 = tlv(0x30, &[&oid(ENVELOPED), &tlv(0xA0, &[&zeros])]);
    let pkcs12 = tlv(0x30, &[&[2, 1, 3], &tlv(0x30, &[&zeros])]);
    let endless_pkcs12 = [&[0x30, 0x80, 2, 1, 3, 0x30, 0x80][..], &zeros].concat();
    let public_key = tlv(0x30, &[&algorithm("1.3.101.112", &[]), &tlv(3, &[&zeros])]);
    for (der, fault) in [
        (rsa_key, Fault::PrivateKey),
        (pkcs8.clone(), Fault::PrivateKey),
        (pkcs8[..100].to_vec(), Fault::PrivateKey),
        (pkcs8_v2, Fault::PrivateKey),
        (sec1, Fault::PrivateKey),
        (encrypted.clone(), Fault::PrivateKey),
        (encrypted[..60].to_vec(), Fault::PrivateKey),
        (pkcs7, Fault::Pkcs7),
        (pkcs12, Fault::Pkcs12),
        (endless_pkcs12, Fault::Pkcs12),
        (public_key, Fault::Unreadable(Part::Serial)),
    ] {
        let problem = from_der(&der, &"x".into(), None).unwrap_err();
        assert_eq!(problem.fault, fault);
    }
}

#[test]
fn raw_data_that_is_no_base64() {
    for (text, fault) in [
        ("", Fault::Empty),
        (" \r\n", Fault::Empty),
        ("M!", Fault::NotBase64),
        ("MIIB=MII", Fault::NotBase64),
        ("MIIB", Fault::CutOff),
    ] {
        let problem = from_raw_data(text, &"x.json".into(), None).unwrap_err();
        assert_eq!(
            (&*problem.origin, problem.fault),
            ("x.json", fault),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn a_damaged_certificate_is_survived(
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut der = with(vec![
            alternative_names(&[(0x82, b"a.b"), (0x84, b"x")]),
            purposes(&["1.3.6.1.5.5.7.3.1"]),
        ])
        .der();
        for (at, byte) in damages {
            let at = at.index(der.len());
            der[at] = byte;
        }
        let origin = "x".into();
        for der in [&der[..], &der[..cut.index(der.len())]] {
            if let Ok(read) = from_der(der, &origin, None) {
                let certificate = &read.certificate;
                let parses = |name: &str| {
                    name.is_empty() || crate::pipeline::certificate::dn::DistinguishedName::parse(name).is_some()
                };
                prop_assert!(!certificate.is_cut_short());
                prop_assert!(parses(&certificate.subject));
                prop_assert!(parses(certificate.issuer.as_deref().unwrap()));
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let wrapped = tlv(0x30, &[&tlv(0x30, &[&bytes])]);
        for der in [&bytes, &wrapped] {
            prop_assert!(from_der(der, &"x".into(), None).is_err());
        }
    }
}
