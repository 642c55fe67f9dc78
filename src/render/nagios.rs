//! `certdrift check --format=nagios`: one line as the Monitoring Plugins guidelines ask for, which Nagios, Icinga, Naemon
//! and Checkmk read: `STATUS - text | label=value[unit];[warn];[crit];[min];[max] …`.
//!
//! The performance data are totals with fixed labels, so nothing that a log says can add a label, and graphs stay the
//! same when a connector comes or goes. Certdrift judges by rules, not by limits, so there is no `warn` and no `crit`.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write;

use crate::pipeline::ledger::ConnectorLedger;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Place;
use crate::pipeline::shown::is_deceptive;
use crate::pipeline::shown::shown;
use crate::pipeline::snapshot::Judged;
use crate::pipeline::verdict::Verdict;
use crate::render::report::Outcome;
use crate::render::report::Report;
use crate::render::report::no_rows;

/// The longest line, in bytes with its line break: what a packet of NRPE version 2 holds.
pub const MAX_LINE: usize = 1023;
/// So many characters of a server's and of a connector's name are shown; Exchange allows 64 for a connector.
const MAX_NAME: usize = 64;

/// The report in one line, with a line break at its end.
pub fn check(report: &Report) -> String {
    let (text, behind) = words(report);
    let outcome = outcome(report);
    let (text, behind) = match unread(report) {
        // What is critical comes first, whatever else is wrong.
        Some(_) if outcome == Outcome::Critical => {
            (text, format!("{behind} Not read: {}", report.unread.len()))
        }
        Some(unread) if report.sessions() > 0 => (format!("{unread}; {text}"), behind),
        _ => (text, behind),
    };
    line(outcome, &text, &behind, &performance(report))
}

/// What the report comes to for a monitoring system. Other formats say by their exit code whether something was read when
/// there is nothing to judge by; here 0 would be shown as `OK` although mail bounces.
pub fn outcome(report: &Report) -> Outcome {
    match report.outcome() {
        Outcome::Match if !report.judged && report.denials().next().is_some() => Outcome::Warning,
        outcome => outcome,
    }
}

/// The line of a check that could not be made, with a line break at its end.
pub fn failure(message: &str) -> String {
    line(Outcome::Unknown, message, "", "")
}

/// Puts the parts together; the text gives way when the line gets too long.
fn line(outcome: Outcome, text: &str, behind: &str, performance: &str) -> String {
    let status = match outcome {
        Outcome::Match => "OK",
        Outcome::Warning => "WARNING",
        Outcome::Unknown => "UNKNOWN",
        Outcome::Critical => "CRITICAL",
    };
    let separator = if performance.is_empty() { "" } else { " | " };
    let fixed = status.len() + " - \n".len() + behind.len() + separator.len() + performance.len();
    let text = plain(text, MAX_LINE.saturating_sub(fixed));
    format!("{status} - {text}{behind}{separator}{performance}\n")
}

/// What is worst, and a count of the others that stays even when the first has to be cut.
fn words(report: &Report) -> (String, String) {
    let read = plural(report.sessions(), "session");
    if report.sessions() == 0 {
        return (no_session(report), String::new());
    }
    let connectors = plural(report.snapshot.connectors().count() as u64, "connector");
    if !report.judged {
        let text = match denials(report) {
            Some(denials) => denials,
            None => format!("{read} of {connectors} read; nothing is judged without --config.file"),
        };
        return (text, String::new());
    }
    let Some(worst) = report
        .expected()
        .min_by_key(|judged| Reverse(weight(judged)))
    else {
        let text = format!(
            "{read} of {connectors} read, but the configuration names none of them under `connectors`"
        );
        return (text, String::new());
    };
    let reason = worst.reasons.first();
    let code = reason.map_or("", |reason| reason.code.as_str());
    let message = reason.map_or("", |reason| reason.message.as_str());
    let connector = name(&worst.place.connector);
    // What is sought on all servers in vain has none.
    let place = match name(&worst.place.server) {
        server if server.is_empty() => connector,
        server => format!("{server}, {connector}"),
    };
    let text = format!("{place}: {} ({code}): {message}", worst.verdict.as_str());
    (text, others(report, worst))
}

/// That something could not be read, if so.
fn unread(report: &Report) -> Option<String> {
    let first = report.unread.first()?;
    let further = match report.unread.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("not read: {first}{further}"))
}

/// That relaying was refused, if it was. Without a configuration nobody can say whether it still is.
fn denials(report: &Report) -> Option<String> {
    let (place, last) = (report.denials()).max_by_key(|(_, refusal)| refusal.span.last_seen)?;
    let count: u64 = report
        .denials()
        .map(|(_, refusal)| refusal.span.count)
        .sum();
    let replies = if count == 1 { "reply" } else { "replies" };
    let enhanced = last.enhanced.map(|code| format!(" {code}"));
    Some(format!(
        "Exchange Online refused to relay: {count} {replies}, the last one at {} UTC of {}, {}: {}{} {}. No configuration was given, so \
         whether it still does is not judged; --config.file gives one",
        last.span.last_seen.strftime("%Y-%m-%d %H:%M"),
        name(&place.server),
        name(&place.connector),
        last.code,
        enhanced.unwrap_or_default(),
        shown(&last.text),
    ))
}

fn no_session(report: &Report) -> String {
    let mut text = format!("no session in {}", plural(report.files as u64, "file"));
    if let Some((file, refusal)) = report.refused.first() {
        let further = match report.refused.len() - 1 {
            0 => String::new(),
            more => format!(", nor {more} more"),
        };
        let file = shown(&file.display().to_string());
        let _ = write!(text, "; not read: {file}: {refusal}{further}");
    } else if let Some(unread) = unread(report) {
        let _ = write!(text, "; {unread}");
    } else if let Some(no_rows) = no_rows(report.tally) {
        let _ = write!(text, "; {no_rows}");
    } else {
        text.push_str(
            ". Is protocol logging on? Set-SendConnector '…' -ProtocolLoggingLevel Verbose",
        );
    }
    text
}

/// Worse is greater.
fn weight(judged: &Judged) -> impl Ord {
    let severity = judged.reasons.iter().map(|reason| reason.severity).max();
    let outcome = Outcome::of([judged.verdict].into_iter(), severity);
    (outcome, judged.verdict, severity)
}

fn others(report: &Report, worst: &Judged) -> String {
    let counts: Vec<String> = Verdict::ALL
        .iter()
        .rev()
        .filter_map(|verdict| {
            let count = report
                .expected()
                .filter(|judged| judged.verdict == *verdict && judged.place != worst.place)
                .count();
            (count > 0).then(|| format!("{count} {}", verdict.as_str()))
        })
        .collect();
    match counts.as_slice() {
        [] => String::new(),
        counts => format!(" Others: {}", counts.join(", ")),
    }
}

/// Totals over the connectors that are judged, or over all without a configuration: a send connector to somebody else
/// need not present a certificate.
fn performance(report: &Report) -> String {
    let expected: BTreeSet<&Place> = report.expected().map(|judged| &judged.place).collect();
    let entries: Vec<&ConnectorLedger> = report
        .snapshot
        .connectors()
        .filter(|(place, _)| !report.judged || expected.contains(place))
        .map(|(_, entry)| entry)
        .collect();
    let total = |count: fn(&ConnectorLedger) -> u64| -> u64 {
        entries.iter().map(|entry| count(entry)).sum()
    };
    let sessions = total(|entry| entry.sessions.map_or(0, |span| span.count));
    let without = total(|entry| entry.without_certificate.map_or(0, |span| span.count));
    let denied = total(|entry| {
        let by_class = &entry.refusals_by_class;
        by_class.get(&ReplyClass::Attribution).copied().unwrap_or(0)
    });
    let ends = entries.iter().filter_map(|entry| {
        let current = entry.current(Some(Handshake::StartTls))?;
        let inventory = &report.snapshot.inventory;
        inventory.completed(&current.certificate).not_after
    });
    // `U` is the guidelines' word for a value that cannot be told; it has no unit.
    let valid_for = ends.min().map_or_else(
        || "U".to_owned(),
        |end| format!("{}s", end.as_second() - report.snapshot.at.as_second()),
    );
    format!(
        "sessions={sessions};;;0 without_certificate={without};;;0 attribution_rejects={denied};;;0 \
         valid_for={valid_for} rows={};;;0 malformed_rows={};;;0",
        report.tally.rows, report.tally.malformed_rows,
    )
}

/// The text in one line without `|`, which would begin the performance data, cut at so many bytes.
fn plain(text: &str, max_bytes: usize) -> String {
    let spaced = text.replace(['\r', '\n', '\t'], " ").replace('|', "/");
    let mut line = String::with_capacity(spaced.len());
    for word in spaced.split(' ').filter(|word| !word.is_empty()) {
        let gap = if line.is_empty() { "" } else { " " };
        line.push_str(gap);
        line.extend(word.chars().filter(|it| !is_deceptive(*it)));
    }
    if line.len() > max_bytes {
        let room = max_bytes.saturating_sub('…'.len_utf8());
        let end = line.char_indices().map(|(at, _)| at);
        line.truncate(end.take_while(|at| *at <= room).last().unwrap_or(0));
        line.push('…');
    }
    line
}

fn name(value: &str) -> String {
    let whole = shown(value);
    if whole.chars().count() <= MAX_NAME {
        return whole;
    }
    whole.chars().take(MAX_NAME - 1).chain(['…']).collect()
}

fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::pipeline::certificate::Certificate;
    use crate::pipeline::engine::Engine;
    use crate::pipeline::file::LogFile;
    use crate::pipeline::file::Tally;
    use crate::pipeline::inventory::Inventory;
    use crate::pipeline::inventory::InventoryCertificate;
    use crate::pipeline::snapshot::Snapshot;
    use crate::pipeline::verdict;
    use crate::pipeline::verdict::reason::ReasonCode;

    #[test]
    fn a_hostile_text_stays_one_line_within_the_limit() {
        let hostile = "a|b\r\nc\td\u{1b}[31m\u{202e}e | x=1;;;0\n";
        assert_eq!(failure(hostile), "UNKNOWN - a/b c d[31me / x=1;;;0\n");
        for character in ["x", "ü", "…", "💥", "|", "\n"] {
            let line = failure(&character.repeat(4 * MAX_LINE));
            assert!(line.len() <= MAX_LINE, "{character:?}: {}", line.len());
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{character:?}");
            assert!(!line.contains('|'), "{character:?}");
        }
    }

    #[test]
    fn what_is_counted_behind_a_long_text_is_never_cut() {
        let text = "x".repeat(MAX_LINE);
        let behind = " Others: 1 match | rows=1;;;0\n";
        for (length, ending) in [
            (MAX_LINE, "x…"),
            (room(behind) + 1, "x…"),
            (room(behind), "xx"),
        ] {
            let whole = line(
                Outcome::Critical,
                &text[..length],
                " Others: 1 match",
                "rows=1;;;0",
            );
            assert_eq!(whole.len(), MAX_LINE, "{whole}");
            assert!(whole.starts_with("CRITICAL - xxx"), "{whole}");
            assert!(whole.ends_with(&format!("{ending}{behind}")), "{whole}");
        }
    }

    /// A report with these connectors: name, verdict, the code of its reason.
    fn report(connectors: &[(String, Verdict, ReasonCode)]) -> Report {
        let at = Timestamp::UNIX_EPOCH;
        let mut engine = Engine::default();
        let stream = engine.open_stream("EX01");
        let log = "#Log-type: SMTP Send Protocol Log\r\n2026-01-01T00:00:00.000Z,Outbound,08DD000000000001,0,,,+,,\r\n";
        engine.feed(stream, &mut LogFile::default(), log.as_bytes(), at);
        let judged = connectors.iter().map(|(connector, verdict, code)| Judged {
            place: Place {
                server: Arc::from("EX01|"),
                connector: Arc::from(connector.as_str()),
            },
            expected: true,
            verdict: *verdict,
            reasons: vec![verdict::state(*code, "a", "b", String::new())],
            silent_after: None,
            planned: Vec::new(),
        });
        Report {
            files: 1,
            refused: Vec::new(),
            unread: Vec::new(),
            tally: Tally::default(),
            sources: Vec::new(),
            first_row: None,
            last_row: None,
            snapshot: Snapshot {
                judged: judged.collect(),
                ..engine.snapshot(at)
            },
            judged: true,
        }
    }

    #[test]
    fn the_gravest_connector_comes_first() {
        let exact = ("A".to_owned(), Verdict::Match, ReasonCode::Exact);
        let warned = ("B".to_owned(), Verdict::Match, ReasonCode::NotCrossPremises);
        let fragile = ("C".to_owned(), Verdict::Fragile, ReasonCode::BareDomain);
        let unknown = ("D".to_owned(), Verdict::Unknown, ReasonCode::NoSessionSeen);
        let failing = ("G".to_owned(), Verdict::Match, ReasonCode::TlsFailing);
        let mismatch = ("E".to_owned(), Verdict::Mismatch, ReasonCode::NameMismatch);
        let also = ("F".to_owned(), Verdict::Mismatch, ReasonCode::Expired);
        let all = [exact, warned, fragile, unknown, failing, mismatch, also];
        for (count, start, others) in [
            (1, "OK - EX01/, A: match (exact): ", None),
            (
                2,
                "WARNING - EX01/, B: match (not_cross_premises): ",
                Some("1 match"),
            ),
            (
                3,
                "WARNING - EX01/, C: fragile (bare_domain): ",
                Some("2 match"),
            ),
            (
                4,
                "UNKNOWN - EX01/, D: unknown (no_session_seen): ",
                Some("1 fragile, 2 match"),
            ),
            (
                5,
                "CRITICAL - EX01/, G: match (tls_failing): ",
                Some("1 unknown, 1 fragile, 2 match"),
            ),
            (
                7,
                "CRITICAL - EX01/, E: mismatch (name_mismatch): ",
                Some("1 mismatch, 1 unknown, 1 fragile, 3 match"),
            ),
        ] {
            let line = check(&report(&all[..count]));
            assert!(line.starts_with(start), "{line}");
            let told = line
                .split(" | ")
                .next()
                .and_then(|it| it.split_once(" Others: "));
            assert_eq!(told.map(|(_, others)| others), others, "{line}");
        }
    }

    #[test]
    fn a_certificate_of_the_inventory_is_valid_for_as_long_as_it_says_itself() {
        let at = Timestamp::UNIX_EPOCH;
        let mut engine = Engine::default();
        let stream = engine.open_stream("EX01");
        let log = include_bytes!("../../tests/cases/verdict-exact/SEND2026010100-1.LOG");
        engine.feed(stream, &mut LogFile::default(), log, at);
        let mut report = report(&[]);
        report.judged = false;
        report.snapshot = engine.snapshot(at);
        // 2026-06-20T23:59:59Z, as logged.
        assert!(check(&report).contains(" valid_for=1781999999s "));
        let current = report.snapshot.connectors().find_map(|(_, entry)| {
            let current = entry.current(Some(Handshake::StartTls))?;
            Some(Arc::clone(&current.certificate))
        });
        let known = current.map(|logged| InventoryCertificate {
            certificate: Arc::new(Certificate {
                not_after: Some(at + jiff::SignedDuration::from_secs(100)),
                ..Certificate::clone(&logged)
            }),
            sha256: [0; 32],
            extended_key_usage: None,
            key_algorithm: String::new(),
            signature_algorithm: String::new(),
            server: None,
            origin: Arc::from("inventory"),
        });
        report.snapshot.inventory = Arc::new(Inventory::new(known.into_iter().collect()));
        assert!(check(&report).contains(" valid_for=100s "));
    }

    #[test]
    fn many_connectors_with_hostile_names_fit_the_line() {
        let hostile = "x|\u{202e}\n'=".repeat(200);
        let connector = |number| {
            (
                format!("{hostile}{number}"),
                Verdict::Mismatch,
                ReasonCode::NameMismatch,
            )
        };
        let connectors: Vec<_> = (0..2048).map(connector).collect();
        let line = check(&report(&connectors));
        assert!(line.len() <= MAX_LINE, "{}", line.len());
        assert_eq!(line.matches('|').count(), 1, "{line}");
        assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
        assert!(
            line.contains(" Others: 2047 mismatch | sessions="),
            "{line}"
        );
    }

    fn room(behind: &str) -> usize {
        MAX_LINE - "CRITICAL - ".len() - behind.len()
    }
}
