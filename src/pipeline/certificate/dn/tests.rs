//! Names from both worlds, and printers to check the parser against.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use crate::pipeline::certificate::dn::{
    Cut, DistinguishedName, cut, issuer_subject, leading_common_name,
};

fn dn(text: &str) -> DistinguishedName {
    DistinguishedName::parse(text).unwrap()
}

#[test]
fn equal_names_in_other_notations() {
    for (a, b) in [
        ("CN=mail.contoso.com", "cn=MAIL.Contoso.COM"),
        ("CN=a, S=Bayern, C=DE", "CN=a,ST=Bayern,C=DE"),
        ("CN=a, S=Bayern", "CN=a; OID.2.5.4.8=bayern"),
        ("E=x@y.z, CN=a", "emailAddress=x@y.z,CN=a"),
        ("E=x", "1.2.840.113549.1.9.1=x"),
        ("OID.2.5.4.97=VATDE-1", "organizationIdentifier=VATDE-1"),
        (
            "SERIALNUMBER=1, T=b, G=c, SN=d, STREET=e, L=f, DC=g",
            "serialNumber=1,title=b,GN=c,surname=d,street=e,l=f,dc=g",
        ),
        (r#"O="Acme, Inc.", C=US"#, r"O=Acme\, Inc.,C=US"),
        (r#"O="Acme, Inc.", C=US"#, r"O=Acme\2C Inc.,C=US"),
        (r#"O="The ""A"" Team""#, r#"O=The \"A\" Team"#),
        ("CN=a + OU=b, O=c", "OU=b+CN=a,O=c"),
        ("CN = a ,  O = b  c", "CN=a, O=b c"),
        (r#"CN=" a ""#, "CN=a"),
        ("CN=#0C03616263", "CN=abc"),
        (r"CN=L\C3\BCbeck,C=DE", "CN=Lübeck, C=DE"),
        ("CN=a=b", r#"CN="a=b""#),
        ("CN=", r#"CN="""#),
    ] {
        assert_eq!(dn(a), dn(b), "{a} {b}");
    }
}

#[test]
fn different_names() {
    for (a, b) in [
        ("CN=a, O=b", "O=b, CN=a"),
        ("CN=a, O=b", "CN=a + O=b"),
        ("CN=a", "OU=a"),
        ("CN=a", "CN=a, C=DE"),
        ("CN=a b", "CN=ab"),
        (r"CN=a\b, O=c", "CN=ab, O=c"),
    ] {
        assert_ne!(dn(a), dn(b), "{a} {b}");
    }
}

#[test]
fn a_reversed_list_is_the_same_name_but_not_equal() {
    let windows = dn("CN=R10, O=Let's Encrypt, C=US");
    assert!(windows.same_name(&dn("C=US, O=Let's Encrypt, CN=R10")));
    assert!(windows.same_name(&windows));
    assert!(!windows.same_name(&dn("O=Let's Encrypt, CN=R10, C=US")));
}

#[test]
fn what_is_not_a_name() {
    for text in [
        "",
        "  ",
        "mail.contoso.com",
        "*.contoso.com",
        "=a",
        "CN",
        "CN=a,",
        "CN=a, b",
        "CN=\"a",
        "CN=a\"b",
        "CN=\"a\"b",
        "CN=a, =b",
        "C N=a",
        "OID.=a",
        "1..2=a",
        "CN=a\\",
    ] {
        // Windows' reading takes a lone backslash at the end for a character.
        let expected = text == "CN=a\\";
        assert_eq!(DistinguishedName::parse(text).is_some(), expected, "{text}");
    }
    assert!(DistinguishedName::parse(&format!("CN={}", "a".repeat(3000))).is_none());
    assert!(DistinguishedName::parse(&vec!["CN=a"; 65].join(", ")).is_none());
}

#[test]
fn the_first_common_name_counts() {
    assert_eq!(
        dn("OU=x, CN=a.b, CN=Sites, C=US").common_name(),
        Some("a.b")
    );
    assert_eq!(dn("OU=x + CN=a.b").common_name(), Some("a.b"));
    assert_eq!(dn("OU=x, C=US").common_name(), None);
}

#[test]
fn issuer_and_subject_by_tags() {
    for (text, expected) in [
        (
            "<I>CN=R10, C=US<S>CN=a",
            Some((Some("CN=R10, C=US"), "CN=a")),
        ),
        (" <i> CN=R10 <s> CN=a ", Some((Some("CN=R10"), "CN=a"))),
        ("<S>CN=a", Some((None, "CN=a"))),
        (
            r#"<I>CN="x<S>y"<S>CN=a"#,
            Some((Some(r#"CN="x<S>y""#), "CN=a")),
        ),
        ("<I>CN=R10", None),
        ("<I>CN=R10<S>", None),
        ("<I><S>CN=a", None),
        ("mail.contoso.com", None),
        ("CN=a", None),
        ("", None),
    ] {
        assert_eq!(issuer_subject(text), expected, "{text}");
    }
}

#[test]
fn subject_and_issuer_are_cut() {
    for (subject, issuer) in [
        ("CN=mail.contoso.com", "CN=R10, O=Let's Encrypt, C=US"),
        (
            r#"CN=a, O="Acme, Inc. X=Y", S=Some State"#,
            "OU=No common name, O=b",
        ),
        ("CN=a + OU=b; O=c", "E=x@y.z, CN=CA"),
        ("CN=a b c", "OID.1.2.3=x"),
        (r"CN=back\slash", r"CN=i\"),
        ("", "CN=issuer"),
    ] {
        let text = format!("{subject} {issuer}");
        assert_eq!(cut(&text), Cut::One(subject, issuer), "{text}");
    }
}

#[test]
fn a_doubtful_cut_is_not_made() {
    assert_eq!(cut("CN=a O=b CN=c"), Cut::Several);
    for text in [
        "CN=a",
        "",
        "a b",
        "x CN=a",
        "CN=5\" x CN=i",
        "CN=5\" O=b CN=i 7\" x",
    ] {
        assert_eq!(cut(text), Cut::None, "{text}");
    }
}

#[test]
fn common_name_of_an_uncut_text() {
    for (text, expected) in [
        ("CN=a.b, O=x O=y CN=z", Some("a.b")),
        ("CN=\"a x=y\" O=y CN=z", Some("a x=y")),
        ("CN=a.b", Some("a.b")),
        ("CN=a.b O=y CN=z", None),
        ("O=a, CN=b CN=c O=d", None),
        (" CN=a", None),
        ("", None),
    ] {
        assert_eq!(leading_common_name(text).as_deref(), expected, "{text}");
    }
}

/// A name as data: type and value, in RDNs.
type Rdns = Vec<Vec<(&'static str, String)>>;

fn rdns() -> impl Strategy<Value = Rdns> {
    let kind = prop::sample::select(vec!["CN", "O", "OU", "S", "E", "OID.1.2.3", "DC"]);
    let value = prop_oneof![
        "[a-zA-Z0-9 .*@'-]{0,12}",
        "[ -~]{0,12}",
        "[ ,;+=\"\\\\#<>\nO]{0,8}",
        "\\PC{0,8}",
    ];
    prop::collection::vec(prop::collection::vec((kind, value), 1..3), 1..5)
}

/// As `CertNameToStr` prints; `quote_equals` false: as a careless printer would.
fn windows(rdns: &Rdns, quote_equals: bool) -> String {
    let value = |value: &String| {
        let special = |c: char| ",+\"<>#;\n\r".contains(c) || (c == '=' && quote_equals);
        if value.is_empty() || value.trim() != value || value.contains(special) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value.clone()
        }
    };
    let rdn = |rdn: &Vec<(&str, String)>| {
        let attributes = rdn
            .iter()
            .map(|(kind, text)| format!("{kind}={}", value(text)));
        attributes.collect::<Vec<_>>().join(" + ")
    };
    rdns.iter().map(rdn).collect::<Vec<_>>().join(", ")
}

fn rfc4514(rdns: &Rdns) -> String {
    let value = |value: &String| {
        let mut text = String::new();
        for (at, c) in value.chars().enumerate() {
            let edge = at == 0 || at + 1 == value.chars().count();
            if ",+\"\\<>;=".contains(c) || (edge && (c == ' ' || c == '#')) {
                text.push('\\');
            }
            text.push(c);
        }
        text
    };
    let rdn = |rdn: &Vec<(&str, String)>| {
        let attributes = rdn
            .iter()
            .map(|(kind, text)| format!("{kind}={}", value(text)));
        attributes.collect::<Vec<_>>().join("+")
    };
    rdns.iter().map(rdn).collect::<Vec<_>>().join(",")
}

/// The values of each RDN, in the order that does not depend on the notation.
fn values<'a>(rdns: impl Iterator<Item = Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    let sorted = |mut rdn: Vec<&'a str>| {
        rdn.sort_unstable();
        rdn
    };
    rdns.map(sorted).collect()
}

proptest! {
    #[test]
    fn windows_notation_parses_back(rdns in rdns()) {
        let text = windows(&rdns, true);
        let name = DistinguishedName::parse(&text);
        prop_assert!(name.is_some(), "{}", text);
        let name = name.unwrap();
        let read = name.rdns.iter().map(|rdn| rdn.iter().map(|a| a.value.as_str()).collect());
        let written = rdns.iter().map(|rdn| rdn.iter().map(|(_, value)| value.as_str()).collect());
        prop_assert_eq!(values(read), values(written), "{}", text);
    }

    #[test]
    fn both_notations_give_the_same_name(rdns in rdns()) {
        // A single RDN does not show its notation; two with a comma do.
        let mut rdns = rdns;
        rdns.push(vec![("C", "DE".to_owned())]);
        let (a, b) = (windows(&rdns, true), rfc4514(&rdns));
        prop_assert_eq!(DistinguishedName::parse(&a), DistinguishedName::parse(&b), "{} {}", a, b);
    }

    #[test]
    fn the_cut_is_found(subject in rdns(), issuer in rdns()) {
        let (subject, issuer) = (windows(&subject, true), windows(&issuer, true));
        let text = format!("{subject} {issuer}");
        prop_assert_eq!(cut(&text), Cut::One(subject.as_str(), issuer.as_str()));
    }

    #[test]
    fn a_careless_printer_never_gets_a_wrong_cut(subject in rdns(), issuer in rdns()) {
        let (subject, issuer) = (windows(&subject, false), windows(&issuer, false));
        let text = format!("{subject} {issuer}");
        if let Cut::One(left, right) = cut(&text) {
            prop_assert_eq!((left, right), (subject.as_str(), issuer.as_str()));
        }
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,40}", odd in "[CNO=\"\\\\ ,;+#0a<SI>é]{0,40}") {
        for text in [text, odd] {
            let _ = (DistinguishedName::parse(&text), leading_common_name(&text), issuer_subject(&text));
            if let Cut::One(left, right) = cut(&text) {
                prop_assert!(left.len() + right.len() < text.len());
            }
        }
    }
}
