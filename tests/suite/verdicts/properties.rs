//! What holds for every certificate and every expectation, sensible or not.

use std::net::IpAddr;

use certdrift::pipeline::verdict::Verdict;
use certdrift::pipeline::verdict::reason::{Reason, ReasonCode};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::case::{Case, Connector, Dates, Gap, Kind, Presented};

/// Few enough names that they often fit one another, and some that nobody should type.
const NAMES: &[&str] = &[
    "contoso.com",
    "mail.contoso.com",
    "*.contoso.com",
    "a.b.contoso.com",
    "*.b.contoso.com",
    "fabrikam.com",
    "",
    "*",
    "*.",
    ".",
    "..",
    "xn--",
    "bücher.example",
    "<I>CN=CA<S>CN=mail.contoso.com",
    "<S>CN=mail.contoso.com",
    "<S>",
    "<i><s>",
    "<S>\u{0}<I>",
    "\u{202e}'; exit\r\n",
];

const DNS: &[&str] = &[
    "CN=mail.contoso.com",
    "CN=CA",
    "CN=CA, O=A",
    "",
    "nothing",
    "O=\u{0}",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(NAMES).prop_map(str::to_owned), 1 => any::<String>()]
}

fn connector() -> impl Strategy<Value = Connector> {
    let addresses = subsequence(
        vec!["203.0.113.0/28", "203.0.113.7", "198.51.100.0/24"],
        0..=2,
    );
    (
        proptest::option::weighted(0.8, name()),
        prop_oneof![4 => Just(Kind::OnPremises), 1 => Just(Kind::Partner)],
        proptest::bool::weighted(0.85),
        prop_oneof![2 => Just(Vec::new()), 1 => addresses],
        any::<Option<bool>>(),
        proptest::bool::weighted(0.2),
    )
        .prop_map(
            |(value, kind, enabled, addresses, cross_premises, missing)| Connector {
                name: None,
                name_unknown: value.is_none() && missing,
                missing,
                value,
                kind,
                enabled,
                addresses: addresses.into_iter().map(str::to_owned).collect(),
                cross_premises,
            },
        )
}

/// Connectors with a name each, so that their order can change without renaming them.
fn connectors() -> impl Strategy<Value = Vec<Connector>> {
    proptest::collection::vec(connector(), 0..5).prop_map(|mut connectors| {
        for (index, connector) in connectors.iter_mut().enumerate() {
            connector.name = Some(format!("Inbound ' {index}"));
        }
        connectors
    })
}

fn time() -> impl Strategy<Value = Option<String>> {
    let times = [
        "2026-06-01T10:00:00Z",
        "2020-01-01T00:00:00Z",
        "2030-01-01T00:00:00Z",
        "-009999-01-02T01:59:59Z",
        "9999-12-30T22:00:00Z",
    ];
    proptest::option::of(select(times.to_vec()).prop_map(str::to_owned))
}

fn case() -> impl Strategy<Value = Case> {
    let dn = || proptest::option::of(select(DNS).prop_map(str::to_owned));
    let gaps = vec![Gap::Names, Gap::Issuer, Gap::Dn, Gap::Thumbprint];
    let codes: Vec<String> = ReasonCode::ALL
        .iter()
        .map(|it| it.as_str().to_owned())
        .collect();
    let certificate = (
        proptest::collection::vec(name(), 0..5),
        dn(),
        dn(),
        (time(), time()),
        proptest::option::of(select(vec![Dates::Log, Dates::Inventory])),
        prop_oneof![3 => Just(Vec::new()), 1 => subsequence(gaps, 1..=4)],
    );
    let expectation = (
        connectors(),
        proptest::option::of(proptest::collection::vec(name(), 0..3)),
        proptest::option::of(name()),
        subsequence(vec!["aa".to_owned(), "bb".to_owned()], 0..=2),
        subsequence(codes, 0..4),
    );
    let presented = prop_oneof![
        6 => Just(Presented::Certificate),
        1 => Just(Presented::None),
        1 => Just(Presented::Unknown),
    ];
    let egress = proptest::option::of(prop_oneof![
        3 => select(vec!["203.0.113.7", "203.0.113.99", "2001:db8::1", "::ffff:203.0.113.7"])
            .prop_map(|text| text.parse::<IpAddr>().unwrap()),
        1 => any::<IpAddr>(),
    ]);
    let rejected = proptest::option::weighted(0.2, any::<String>());
    (certificate, expectation, presented, egress, rejected).prop_map(
        |(certificate, expectation, presented, egress, rejected)| {
            let (names, subject, issuer, (not_before, not_after), dates, gaps) = certificate;
            let (connectors, accepted_domains, tls_certificate_name, pins, accept) = expectation;
            Case {
                connectors,
                accepted_domains,
                tls_certificate_name,
                pins,
                accept,
                presented,
                names,
                subject,
                issuer,
                not_before,
                not_after,
                dates,
                gaps,
                egress,
                rejected,
                ..Case::default()
            }
        },
    )
}

fn outcome(case: &Case) -> (Verdict, Vec<ReasonCode>) {
    let judgement = case.judge();
    let codes = judgement.reasons.iter().map(|reason| reason.code);
    (judgement.verdict, codes.collect())
}

proptest! {
    /// No input panics, and the answer keeps its own promises.
    #[test]
    fn a_judgement_is_sound(case in case()) {
        let judgement = case.judge();
        let worst = judgement.reasons.iter().map(Reason::verdict).max();
        prop_assert_eq!(Some(judgement.verdict), worst);
        let mut codes: Vec<_> = judgement.reasons.iter().map(|reason| reason.code).collect();
        codes.sort();
        codes.dedup();
        prop_assert_eq!(codes.len(), judgement.reasons.len());
        for reason in &judgement.reasons {
            let texts = [&reason.expected, &reason.observed, &reason.message];
            prop_assert!(!texts.iter().any(|text| text.contains(char::is_control)));
            prop_assert!(!reason.message.is_empty());
            for alternative in reason.action.lines().skip(1) {
                prop_assert!(alternative.starts_with("# "), "{}", alternative);
            }
            let reorders = reason.action.contains('\u{202e}');
            prop_assert!(!reorders);
        }
    }

    #[test]
    fn the_order_of_connectors_and_names_decides_nothing(
        (case, connectors, names) in case().prop_flat_map(|case| {
            let connectors = Just(case.connectors.clone()).prop_shuffle();
            let names = Just(case.names.clone()).prop_shuffle();
            (Just(case), connectors, names)
        })
    ) {
        let shuffled = Case { connectors, names, ..case.clone() };
        prop_assert_eq!(outcome(&case), outcome(&shuffled));
    }

    /// A connector that fits makes a verdict better or leaves it as it is.
    #[test]
    fn a_connector_that_fits_never_worsens_the_verdict(case in case(), accepted in any::<bool>()) {
        let mut before = case;
        // Where an address decides, a certificate that is worth nothing does no harm; no connector can fit it by name.
        (before.issuer, before.not_before, before.not_after) = (None, None, None);
        before.presented = Presented::Certificate;
        before.names.push("mail.fitting.example".to_owned());
        if let Some(domains) = before.accepted_domains.as_mut().filter(|_| accepted) {
            domains.push("fitting.example".to_owned());
        } else {
            before.accepted_domains = None;
        }
        let mut after = before.clone();
        after.connectors.push(Connector {
            name: Some("Inbound that fits".to_owned()),
            value: Some("mail.fitting.example".to_owned()),
            ..Connector::default()
        });
        prop_assert!(after.judge().verdict <= before.judge().verdict);
    }

    /// A certificate of which less is known is never worse off.
    #[test]
    fn a_gap_in_the_names_never_makes_a_mismatch(case in case()) {
        let whole = Case { gaps: Vec::new(), ..case };
        let cut = Case { gaps: vec![Gap::Names], ..whole.clone() };
        if cut.judge().verdict == Verdict::Mismatch {
            prop_assert_eq!(whole.judge().verdict, Verdict::Mismatch);
        }
    }

    /// What a certificate claims to be called reaches a command only as a plain host name.
    #[test]
    fn no_hostile_name_reaches_a_command(tail in "[ -~\u{2018}-\u{201f}\\r\\n]{0,20}") {
        let name = format!("evil{tail}.example");
        let case = Case {
            value: Some("mail.contoso.com".to_owned()),
            names: vec![name],
            ..Case::default()
        };
        for reason in case.judge().reasons {
            if let Some((_, argument)) = reason.action.split_once("-TlsSenderCertificateName '") {
                let (name, rest) = argument.split_once('\'').unwrap();
                let is_plain = |it: char| it.is_ascii_alphanumeric() || "-.".contains(it);
                prop_assert!(name.chars().all(is_plain), "{}", name);
                prop_assert!(rest.starts_with('\n'), "{}", rest);
            } else {
                prop_assert!(!reason.action.contains("evil"), "{}", reason.action);
            }
        }
    }
}
