//! Certificates that OpenSSL made, and what OpenSSL says of them.

use std::fs;
use std::path::Path;

use certdrift::pipeline::certificate::ValiditySource;
use certdrift::pipeline::certificate::dn::DistinguishedName;
use certdrift::pipeline::inventory::ExtendedKeyUsage;
use certdrift::pipeline::inventory::InventoryCertificate;
use certdrift::pipeline::inventory::decode;
use certdrift::pipeline::inventory::reading::Reading;
use certdrift::pipeline::inventory::reading::read;

/// A certificate in plain text.
#[derive(Debug, Eq, PartialEq)]
struct Told {
    thumbprint: &'static str,
    sha256: &'static str,
    serial: &'static str,
    subject: &'static str,
    issuer: &'static str,
    names: &'static [&'static str],
    validity: &'static str,
    /// Server, client.
    purposes: Option<(bool, bool)>,
    key: &'static str,
    signature: &'static str,
    /// `-nameopt RFC2253` of OpenSSL.
    rfc_subject: &'static str,
}

const CA: Told = Told {
    thumbprint: "F8C057843368769DCB0737E6EF466292586460DD",
    sha256: "891a1e7ea399a3122c56884415d495e0698e422e7fe16e8b84eb20bc4f6fde8f",
    serial: "01",
    subject: r#"CN=Lübeck Issuing CA, OU="The ""A"" Team", O="Contoso, Ltd.", S=Bayern, C=DE"#,
    issuer: r#"CN=Lübeck Issuing CA, OU="The ""A"" Team", O="Contoso, Ltd.", S=Bayern, C=DE"#,
    names: &[],
    validity: "2020-01-01T00:00:00Z 9999-12-30T22:00:00Z",
    purposes: None,
    key: "ECDSA P-384",
    signature: "SHA-384 with ECDSA",
    rfc_subject: r#"CN=Lübeck Issuing CA,OU=The \"A\" Team,O=Contoso\, Ltd.,ST=Bayern,C=DE"#,
};

const MAIL: Told = Told {
    thumbprint: "AA52C3E135DB59F99215248507241013D10FB9FA",
    sha256: "8fe4c3ebe4fb0722b8b62b6fcd609e597905d13758b8066d9ddf8e2361ab41bf",
    serial: "00F1E2D3C4B5A69788",
    subject: "E=postmaster@contoso.com, CN=mail.contoso.com, O=Contoso, L=Redmond, S=Washington, C=US",
    issuer: CA.subject,
    names: &[
        "mail.contoso.com",
        "*.contoso.com",
        "autodiscover.contoso.com",
    ],
    validity: "2026-01-01T12:00:01Z 2027-06-30T23:59:58Z",
    purposes: Some((true, true)),
    key: "RSA 2048",
    signature: "SHA-384 with ECDSA",
    rfc_subject: "emailAddress=postmaster@contoso.com,CN=mail.contoso.com,O=Contoso,L=Redmond,ST=Washington,C=US",
};

const ED25519: Told = Told {
    thumbprint: "DADA85174C912D1E484F6E404668C132DEB7C5B2",
    sha256: "baa3079203dc3043314c3dfdf44281eb56be587125b3cd6d47c0ee5bc0bd43df",
    serial: "7FFF",
    subject: "OU=Exchange + CN=ex01.contoso.com, DC=contoso, DC=com",
    issuer: "OU=Exchange + CN=ex01.contoso.com, DC=contoso, DC=com",
    names: &[],
    validity: "2049-12-31T23:59:59Z 2050-01-01T00:00:00Z",
    purposes: Some((true, true)),
    key: "Ed25519",
    signature: "Ed25519",
    rfc_subject: "CN=ex01.contoso.com+OU=Exchange,DC=contoso,DC=com",
};

const PSS: Told = Told {
    thumbprint: "EF56A29CB0E2A79EE857523170F877178DFDC6DA",
    sha256: "013571a19f91eff44cd0373361076e1853c33c8737fdce22bb5682061b4db7a5",
    serial: "0A",
    subject: r#"O=" blanks ", SERIALNUMBER=HRB 1, OID.2.5.4.97=VATDE-123456789, CN=pss.contoso.com"#,
    issuer: r#"O=" blanks ", SERIALNUMBER=HRB 1, OID.2.5.4.97=VATDE-123456789, CN=pss.contoso.com"#,
    names: &["pss.contoso.com"],
    validity: "2026-01-01T00:00:00Z 2026-02-01T00:00:00Z",
    purposes: Some((true, false)),
    key: "RSA 2048",
    signature: "RSASSA-PSS with SHA-256",
    rfc_subject: r"O=\ blanks\ ,serialNumber=HRB 1,organizationIdentifier=VATDE-123456789,CN=pss.contoso.com",
};

fn bytes(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/certificates");
    fs::read(folder.join(name)).expect("the file is there")
}

fn check(read: &InventoryCertificate, told: &Told) {
    let certificate = &read.certificate;
    let text = |value: Option<String>| value.expect("an inventory certificate has it");
    let hex = |text, byte| format!("{text}{byte:02x}");
    let sha256 = read.sha256.iter().fold(String::new(), hex);
    assert_eq!(
        text(certificate.thumbprint.map(|it| it.to_string())),
        told.thumbprint
    );
    assert_eq!(sha256, told.sha256);
    assert_eq!(text(certificate.serial.clone()), told.serial);
    assert_eq!(certificate.subject, told.subject);
    assert_eq!(text(certificate.issuer.clone()), told.issuer);
    assert_eq!(certificate.names, told.names);
    let validity = format!(
        "{} {}",
        text(certificate.not_before.map(|it| it.to_string())),
        text(certificate.not_after.map(|it| it.to_string()))
    );
    assert_eq!(validity, told.validity);
    assert_eq!(certificate.validity_from, Some(ValiditySource::Inventory));
    assert_eq!(
        certificate.gaps,
        certdrift::pipeline::certificate::Gaps::default()
    );
    assert!(!certificate.is_cut_short());
    let purposes = told
        .purposes
        .map(|(server_auth, client_auth)| ExtendedKeyUsage {
            server_auth,
            client_auth,
        });
    assert_eq!(read.extended_key_usage, purposes);
    assert_eq!(read.key_algorithm, told.key);
    assert_eq!(read.signature_algorithm, told.signature);
    let subject = DistinguishedName::parse(&certificate.subject).expect("a name");
    let rfc_subject = DistinguishedName::parse(told.rfc_subject).expect("a name");
    assert!(subject.same_name(&rfc_subject));
}

fn check_file(name: &str, told: &[&Told]) {
    let reading = read(&bytes(name), name);
    assert_eq!(reading.problems, [], "{name}");
    assert_eq!(reading.certificates.len(), told.len(), "{name}");
    for (read, told) in reading.certificates.iter().zip(told) {
        check(read, told);
        assert_eq!((&*read.origin, &read.server), (name, &None));
    }
}

#[test]
fn what_openssl_made_is_read_as_openssl_says() {
    check_file("ca.pem", &[&CA]);
    check_file("mail.cer", &[&MAIL]);
    check_file("ed25519.pem", &[&ED25519]);
    check_file("pss.pem", &[&PSS]);
}

#[test]
fn trust_settings_are_not_part_of_the_certificate() {
    check_file("trusted.pem", &[&MAIL]);
}

#[test]
fn a_bundle_with_text_between_and_carriage_returns() {
    check_file("bundle.pem", &[&CA, &MAIL]);
}

#[test]
fn raw_data_of_an_export_is_the_same_certificate() {
    let origin = "certificates.json".into();
    let server = "EX01".into();
    let pem = String::from_utf8(bytes("ca.pem")).expect("PEM is text");
    let raw: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let unpadded = raw.trim_end_matches('=');
    for raw in [&raw, unpadded, &format!(" {raw}\r\n")] {
        let read = decode::from_raw_data(raw, &origin, Some(&server)).expect("a certificate");
        check(&read, &CA);
        assert_eq!(read.server.as_deref(), Some("EX01"));
    }
    let read = decode::from_der(&bytes("mail.cer"), &origin, Some(&server)).expect("DER");
    check(&read, &MAIL);
    assert_eq!(
        (read.server.as_deref(), &*read.origin),
        (Some("EX01"), "certificates.json")
    );
}

#[test]
fn other_containers_are_refused_by_their_name() {
    for (name, expected) in [
        (
            "mail.p7b",
            "mail.p7b: is a PKCS#7 file (.p7b), which is not read; export",
        ),
        (
            "mail-pkcs7.pem",
            "mail-pkcs7.pem:1: block 1 is a PKCS#7 file (.p7b), which is not read; export",
        ),
        (
            "mail.p12",
            "mail.p12: is a PKCS#12 file (.pfx, .p12), which holds a private key as a rule;",
        ),
    ] {
        let Reading {
            certificates,
            problems,
        } = read(&bytes(name), name);
        assert_eq!((certificates.len(), problems.len()), (0, 1), "{name}");
        let text = problems[0].to_string();
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("Export-Certificate -Cert <certificate> -Type CERT"),
            "{text}"
        );
    }
}

#[test]
fn every_cut_of_a_certificate_is_told_and_none_is_taken() {
    let whole = bytes("mail.cer");
    for length in 0..whole.len() {
        let reading = read(&whole[..length], "cut.cer");
        let found = (reading.certificates.len(), reading.problems.len());
        assert_eq!(found, (0, 1), "{length}");
    }
}

#[test]
fn a_certificate_with_a_flipped_byte_is_another_or_none() {
    let whole = bytes("mail.cer");
    for at in 0..whole.len() {
        for mask in [0x01, 0x20, 0x80, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] ^= mask;
            let Reading {
                certificates,
                problems,
            } = read(&damaged, "damaged.cer");
            assert_eq!(certificates.len() + problems.len(), 1, "{at} {mask}");
            for read in certificates {
                let thumbprint = read.certificate.thumbprint.expect("always there");
                assert_ne!(thumbprint.to_string(), MAIL.thumbprint, "{at} {mask}");
            }
        }
    }
}
