//! The verdict, rule by rule, from the tables in `tests/cases/verdicts`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod case;
mod documented;
mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use certdrift::pipeline::verdict::reason::{Confirmation, Reason, ReasonCode};

use case::Case;

/// Every case with the place where it stands.
fn cases() -> Vec<(String, Case)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/verdicts");
    let mut cases = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let rows: Vec<Case> = serde_yaml::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = path.file_name().unwrap().display().to_string();
        for (index, row) in rows.into_iter().enumerate() {
            cases.push((format!("{file}, row {}", index + 1), row));
        }
    }
    cases
}

#[test]
fn every_row_of_the_tables_holds() {
    let mut failures = Vec::new();
    for (place, case) in cases() {
        let judgement = case.judge();
        let codes: Vec<&str> = judgement
            .reasons
            .iter()
            .map(|it| it.code.as_str())
            .collect();
        if judgement.verdict.as_str() != case.verdict || codes != case.reasons {
            failures.push(format!(
                "{place}: expected {} {:?}, got {} {codes:?}\n  {case:?}",
                case.verdict,
                case.reasons,
                judgement.verdict.as_str(),
            ));
        }
        if let Some(expected) = &case.severities {
            let severities = judgement.reasons.iter().map(|it| it.severity.as_str());
            assert_eq!(&severities.collect::<Vec<_>>(), expected, "{place}");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Reasons with a confirmation of their own are not given by the verdict on one connector of one server; the stages that
/// give them have tests of their own.
fn is_judged(code: ReasonCode) -> bool {
    code.row().confirmation != Confirmation::Own
}

/// A reason that no row of its rule shows at work, or that none shows at rest, could be missing unnoticed.
#[test]
fn every_rule_is_shown_twice_and_both_ways() {
    let cases = cases();
    for code in ReasonCode::ALL.iter().filter(|code| is_judged(**code)) {
        let code = code.row();
        for rule in code.rule.split(", ") {
            let rows: Vec<&Case> = cases
                .iter()
                .map(|(_, case)| case)
                .filter(|case| case.rule.as_deref() == Some(rule))
                .collect();
            let shows = |case: &&&Case| case.reasons.iter().any(|it| it == code.code);
            let at_work = rows.iter().filter(shows).count();
            let what = format!("{rule}, {}", code.code);
            assert!(at_work >= 2, "{what} is shown at work by {at_work} rows");
            assert!(at_work < rows.len(), "{what} is never shown at rest");
        }
    }
}

#[test]
fn every_reason_is_shown() {
    let shown: BTreeSet<String> = cases()
        .into_iter()
        .flat_map(|(_, case)| case.reasons)
        .collect();
    let all: BTreeSet<String> = ReasonCode::ALL
        .iter()
        .filter(|code| is_judged(**code))
        .map(|code| code.as_str().to_owned())
        .collect();
    assert_eq!(shown, all);
}

#[test]
fn an_accepted_reason_is_shown_as_accepted_and_raises_nothing() {
    let (_, case) = cases()
        .into_iter()
        .find(|(_, case)| case.verdict == "match" && case.accept == ["wildcard_certificate"])
        .unwrap();
    let judgement = case.judge();
    let reason = &judgement.reasons[0];
    assert!(reason.is_accepted());
    assert_eq!(reason.alert(), None);
    assert!(
        reason
            .message
            .ends_with("The configuration accepts this (accept: wildcard_certificate)."),
        "{}",
        reason.message
    );
    let unaccepted = Case {
        accept: Vec::new(),
        ..case
    };
    let reasons = unaccepted.judge().reasons;
    assert!(reasons[0].alert().is_some());
    assert!(!reasons[0].message.contains("accepts this"));
}

/// Exchange Online should never be told to expect a certificate that it cannot validate.
#[test]
fn a_self_signed_certificate_is_never_the_one_to_expect() {
    let public = Case {
        value: Some("mail.contoso.com".to_owned()),
        names: vec!["ex01.contoso.com".to_owned()],
        ..Case::default()
    };
    let self_signed = Case {
        subject: Some("CN=ex01".to_owned()),
        issuer: Some("CN=ex01".to_owned()),
        ..public.clone()
    };
    let first_action = |case: &Case| case.judge().reasons[0].action.clone();
    assert!(first_action(&public).contains("Set-InboundConnector -Identity"));
    assert!(!first_action(&self_signed).contains("Set-InboundConnector"));
}

/// The texts of each reason are written down where a reviewer can read them as the operator will.
#[test]
fn the_operator_reads_what_is_written_down() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/verdicts-texts.txt");
    let mut texts = BTreeMap::new();
    let mut cases = cases();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    for (_, case) in &cases {
        for reason in case.judge().reasons {
            // As it reads where it is worst.
            let text = (reason.severity, text(&reason));
            let known = texts.entry(reason.code).or_insert_with(|| text.clone());
            if known.0 < text.0 {
                *known = text;
            }
        }
    }
    let texts: String = texts.into_values().map(|(_, text)| text).collect();
    if std::env::var_os("CERTDRIFT_WRITE_CASES").is_some() {
        fs::write(&path, &texts).unwrap();
    }
    assert_eq!(texts, fs::read_to_string(&path).unwrap());
}

fn text(reason: &Reason) -> String {
    let Reason {
        code,
        severity,
        since: _,
        expected,
        observed,
        message,
        action,
    } = reason;
    format!(
        "{} ({})\nexpected: {expected}\nobserved: {observed}\nmessage:  {message}\naction:\n{action}\n\n",
        code.as_str(),
        severity.as_str(),
    )
}

/// A subject may hold a mail address, and what is said of a certificate goes to pages, messages and metrics.
#[test]
fn no_mail_address_of_a_subject_is_told() {
    let case = Case {
        value: Some("<S>E=anna@contoso.com,CN=mail".to_owned()),
        subject: Some("E=ben@contoso.com, CN=mail".to_owned()),
        issuer: Some("E=ca@contoso.com, CN=CA".to_owned()),
        tls_certificate_name: Some("<I>E=other@contoso.com,CN=CA<S>CN=mail".to_owned()),
        ..Case::default()
    };
    let judgement = case.judge();
    assert!(judgement.reasons.len() >= 2, "{judgement:?}");
    for reason in judgement.reasons {
        let text = text(&reason);
        assert!(!text.contains('@'), "{text}");
        assert!(text.contains("<address>"), "{text}");
    }
}
