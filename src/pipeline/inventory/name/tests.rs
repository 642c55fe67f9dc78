//! Names as certificates hold them, against what Windows and RFC 4514 make of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::pipeline::certificate::dn::MAX_ATTRIBUTES;
use crate::pipeline::inventory::tests::specimen::{name, oid, tlv};

const NUMERIC: u8 = 0x12;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const UNIVERSAL: u8 = 0x1C;
const BMP: u8 = 0x1E;
const UTF8: u8 = 0x0C;
const BIT_STRING: u8 = 0x03;

const CN: &str = "2.5.4.3";
const O: &str = "2.5.4.10";
const OU: &str = "2.5.4.11";
const C: &str = "2.5.4.6";

fn same(a: &str, b: &str) -> bool {
    let parse = |text| DistinguishedName::parse(text).unwrap();
    parse(a).same_name(&parse(b))
}

#[test]
fn windows_notation_and_what_it_equals() {
    type Rdn<'a> = &'a [(&'a str, u8, &'a [u8])];
    let cases: [(&[Rdn<'_>], &str, &str); 17] = [
        (
            &[
                &[(C, PRINTABLE, b"DE")],
                &[(O, UTF8, b"Contoso")],
                &[(CN, PRINTABLE, b"mail.contoso.com")],
            ],
            "CN=mail.contoso.com, O=Contoso, C=DE",
            "CN=mail.contoso.com,O=Contoso,C=DE",
        ),
        (
            &[
                &[("2.5.4.8", UTF8, b"Bayern")],
                &[("1.2.840.113549.1.9.1", IA5, b"a@b.c")],
            ],
            "E=a@b.c, S=Bayern",
            "emailAddress=a@b.c,ST=Bayern",
        ),
        (
            &[
                &[(C, PRINTABLE, b"DE")],
                &[(OU, UTF8, b"b"), (CN, UTF8, b"a")],
            ],
            "OU=b + CN=a, C=DE",
            "CN=a+OU=b,C=DE",
        ),
        (
            &[&[(C, UTF8, b"US")], &[(O, UTF8, b"Acme, Inc.")]],
            r#"O="Acme, Inc.", C=US"#,
            r"O=Acme\, Inc.,C=US",
        ),
        (
            &[&[(C, UTF8, b"US")], &[(O, UTF8, br#"The "A" Team"#)]],
            r#"O="The ""A"" Team", C=US"#,
            r#"O=The \"A\" Team,C=US"#,
        ),
        (
            &[&[(C, UTF8, b"DE")], &[(O, UTF8, b" a ")]],
            r#"O=" a ", C=DE"#,
            r"O=\ a\ ,C=DE",
        ),
        (
            &[&[(O, UTF8, b"")], &[(CN, UTF8, b"a")]],
            r#"CN=a, O="""#,
            "CN=a,O=",
        ),
        (
            &[&[(C, UTF8, b"DE")], &[(O, UTF8, b"a\nb")]],
            "O=\"a\nb\", C=DE",
            r"O=a\0Ab,C=DE",
        ),
        (&[&[(O, UTF8, b"a=b")]], r#"O="a=b""#, "O=a=b"),
        (
            &[&[(C, UTF8, b"DE")], &[(O, UTF8, b"#0C0161")]],
            r##"O="#0C0161", C=DE"##,
            r"O=\#0C0161,C=DE",
        ),
        (
            &[&[(C, UTF8, b"DE")], &[(O, UTF8, br"a\b")]],
            r"O=a\b, C=DE",
            r"O=a\\b,C=DE",
        ),
        (&[&[(CN, TELETEX, b"M\xFCller")]], "CN=Müller", "cn=MÜLLER"),
        (
            &[&[(CN, TELETEX, "Müller".as_bytes())]],
            "CN=Müller",
            "CN=müller",
        ),
        (
            &[&[(CN, BMP, &[0, b'M', 0, 0xFC, 0xD8, 0x3D, 0xDE, 0x00])]],
            "CN=Mü😀",
            "CN=Mü😀",
        ),
        (
            &[&[(CN, UNIVERSAL, &[0, 0, 0, b'M', 0, 1, 0xF6, 0])]],
            "CN=M😀",
            "CN=M😀",
        ),
        (
            &[
                &[("1.2.3.4", NUMERIC, b"12")],
                &[("2.5.4.97", PRINTABLE, b"VATDE-1")],
            ],
            "OID.2.5.4.97=VATDE-1, OID.1.2.3.4=12",
            "organizationIdentifier=VATDE-1,1.2.3.4=12",
        ),
        // Not a character string: the whole encoding.
        (
            &[&[("2.5.4.45", BIT_STRING, &[0, 0xAB])]],
            "OID.2.5.4.45=#030200AB",
            "2.5.4.45=#030200ab",
        ),
    ];
    for (rdns, windows, rfc) in cases {
        let text = printed(&name(rdns)).unwrap();
        assert_eq!(text, windows);
        assert!(same(&text, rfc), "{text} {rfc}");
    }
    assert_eq!(printed(&name(&[])).as_deref(), Some(""));
}

#[test]
fn damaged_characters_are_shown_as_hex() {
    for (tag, value, expected) in [
        (BMP, &[0, b'M', 0][..], "CN=#1E03004D00"),
        (BMP, &[0xD8, 0x00], "CN=#1E02D800"),
        (UNIVERSAL, &[0, 0, 0, b'M', 0], "CN=#1C050000004D00"),
        (UNIVERSAL, &[0, 0x11, 0, 0], "CN=#1C0400110000"),
    ] {
        assert_eq!(
            printed(&name(&[&[(CN, tag, value)]])).as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn windows_names_of_types_are_understood() {
    for (numbers, _) in TYPES {
        let text = printed(&name(&[&[(CN, UTF8, b"a")], &[(numbers, UTF8, b"x")]])).unwrap();
        assert!(!text.contains("OID."), "{text}");
        assert!(same(&text, &format!("{numbers}=x, CN=a")), "{text}");
    }
}

#[test]
fn what_is_not_a_name_is_refused_whole() {
    let good = tlv(0x30, &[&oid(CN), &tlv(UTF8, &[b"a"])]);
    let rdn = tlv(0x31, &[&good]);
    for der in [
        vec![],
        tlv(0x31, &[&rdn]),
        [&tlv(0x30, &[&rdn])[..], &[0]].concat(),
        tlv(0x30, &[&rdn, &good]),
        tlv(0x30, &[&rdn, &tlv(0x31, &[])]),
        tlv(0x30, &[&rdn, &[0x31]]),
        tlv(0x30, &[&rdn, &tlv(0x31, &[&good, &[0x30]])]),
        tlv(
            0x30,
            &[&tlv(0x31, &[&tlv(0x31, &[&oid(CN), &tlv(UTF8, &[b"a"])])])],
        ),
        tlv(0x30, &[&tlv(0x31, &[&tlv(0x30, &[&oid(CN)])])]),
        tlv(
            0x30,
            &[&tlv(
                0x31,
                &[&tlv(0x30, &[&oid(CN), &tlv(UTF8, &[b"a"]), &[5, 0]])],
            )],
        ),
        tlv(
            0x30,
            &[&tlv(0x31, &[&tlv(0x30, &[&[6, 0], &tlv(UTF8, &[b"a"])])])],
        ),
    ] {
        assert_eq!(printed(&der), None, "{der:02X?}");
    }
}

#[test]
fn limits_of_a_name() {
    let longest = "a".repeat(MAX_NAME_BYTES - "CN=".len());
    let long = |value: &str| printed(&name(&[&[(CN, UTF8, value.as_bytes())]]));
    assert!(long(&longest).is_some());
    assert_eq!(long(&format!("{longest}a")), None);
    let attribute: &[(&str, u8, &[u8])] = &[(CN, UTF8, b"a")];
    assert!(printed(&name(&vec![attribute; MAX_ATTRIBUTES])).is_some());
    assert_eq!(printed(&name(&vec![attribute; MAX_ATTRIBUTES + 1])), None);
}

/// RFC 4514, without the choices that it leaves.
fn rfc4514(rdns: &[Vec<(&str, String)>]) -> String {
    let value = |value: &str| {
        let escape = |byte: &u8| format!("\\{byte:02X}");
        value.as_bytes().iter().map(escape).collect::<String>()
    };
    let rdn = |rdn: &Vec<(&str, String)>| {
        let attributes = rdn
            .iter()
            .map(|(kind, text)| format!("{kind}={}", value(text)));
        attributes.collect::<Vec<_>>().join("+")
    };
    rdns.iter().rev().map(rdn).collect::<Vec<_>>().join(",")
}

proptest! {
    #[test]
    fn both_notations_mean_the_name_that_is_encoded(
        rdns in prop::collection::vec(
            prop::collection::vec(
                (
                    prop::sample::select(vec![CN, O, OU, "2.5.4.8", "1.2.3"]),
                    prop_oneof!["[a-z.*@ ]{0,12}", "[ ,;+=\"\\\\#<>\nO]{0,8}", "\\PC{0,8}"],
                ),
                1..3,
            ),
            1..5,
        ),
    ) {
        // A single RDN with a backslash does not show its notation; two with a comma do.
        let mut rdns = rdns;
        rdns.push(vec![(C, "DE".to_owned())]);
        let typed: Vec<Vec<(&str, u8, &[u8])>> = rdns
            .iter()
            .map(|rdn| rdn.iter().map(|(kind, value)| (*kind, UTF8, value.as_bytes())).collect())
            .collect();
        let der = name(&typed.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let text = printed(&der).unwrap();
        let rfc = rfc4514(&rdns);
        prop_assert_eq!(DistinguishedName::parse(&text), DistinguishedName::parse(&rfc), "{} {}", text, rfc);
    }
}
