//! `certdrift check`: what an admin reads first.
//!
//! One paragraph per server and connector: which certificate was presented, since when, until when it is valid, in how
//! many sessions; then what went wrong. Times are UTC, like the log's.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::ledger::ConnectorLedger;
use crate::pipeline::ledger::Presented;
use crate::pipeline::ledger::Span;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Place;
use crate::pipeline::shown::shown;
use crate::pipeline::shown::shown_without_addresses;
use crate::pipeline::snapshot::Judged;
use crate::render::report::Report;
use crate::render::report::no_rows;
use crate::render::size::bytes;

/// The report as text, with a line break at its end.
pub fn check(report: &Report) -> String {
    let mut out = String::new();
    summary(&mut out, report);
    let is_unseen = |judged: &&Judged| report.snapshot.ledger.connector(&judged.place).is_none();
    for judged in report.expected().filter(is_unseen) {
        let _ = writeln!(out, "\n{}", judged.place);
        verdict(&mut out, judged);
    }
    for (place, entry) in report.snapshot.connectors() {
        connector(&mut out, place, entry, &report.snapshot.inventory);
        let judged = report
            .snapshot
            .judged
            .iter()
            .find(|judged| judged.place == *place);
        if let Some(judged) = judged.filter(|_| report.judged) {
            verdict(&mut out, judged);
        }
    }
    out
}

fn summary(out: &mut String, report: &Report) {
    let tally = report.tally;
    let _ = write!(
        out,
        "Read {} in {}: {}, {}",
        bytes(tally.bytes),
        plural(report.files as u64, "file"),
        plural(tally.rows, "row"),
        plural(report.sessions(), "session"),
    );
    if let (Some(first), Some(last)) = (report.first_row, report.last_row) {
        let _ = write!(out, ", from {} to {} UTC", minute(first), minute(last));
    }
    out.push_str(".\n");
    if tally.malformed_rows > 0 {
        let rows = plural(tally.malformed_rows, "line");
        line(out, 0, &format!("Left out {rows} that are no rows."));
    }
    if tally.lost_bytes > 0 {
        let lost = bytes(tally.lost_bytes);
        line(
            out,
            0,
            &format!("Lost {lost}: a crash left NUL bytes in the log."),
        );
    }
    for (file, refusal) in &report.refused {
        let file = shown(&file.display().to_string());
        line(out, 0, &format!("Not read: {file}: {refusal}."));
    }
    if report.sessions() == 0 && report.refused.is_empty() {
        line(out, 0, &why_no_session(report));
    }
}

/// What keeps sessions from being found, and what to do about it.
fn why_no_session(report: &Report) -> String {
    if !report.unread.is_empty() {
        return format!("Not read: {}.", report.unread.join(". "));
    }
    match no_rows(report.tally) {
        Some(no_rows) => format!("No session: {no_rows}."),
        None => "No session. Is protocol logging on? Set-SendConnector '…' -ProtocolLoggingLevel Verbose".to_owned(),
    }
}

fn connector(out: &mut String, place: &Place, entry: &ConnectorLedger, inventory: &Inventory) {
    let _ = writeln!(
        out,
        "\n{}: {}",
        shown(&place.server),
        shown(&place.connector)
    );
    if let Some(sessions) = entry.sessions {
        let count = plural(sessions.count, "session");
        line(out, 2, &format!("{count}, {}", period(sessions)));
    }
    for (handshake, title) in [
        (Some(Handshake::StartTls), "Client certificate (STARTTLS)"),
        (
            Some(Handshake::AnonymousTls),
            "Between Exchange servers (X-ANONYMOUSTLS), no connector's business",
        ),
        (None, "Handshake not seen, so it may be either"),
    ] {
        certificates(out, entry, inventory, (handshake, title));
    }
    if let Some(span) = entry.without_certificate {
        let count = plural(span.count, "session");
        line(
            out,
            2,
            &format!("WITHOUT CLIENT CERTIFICATE: {count}, {}", period(span)),
        );
    }
    refusals(out, entry);
    for (error, count) in &entry.tls_failures {
        line(
            out,
            2,
            &format!("TLS failed: {} ({count} times)", shown(error)),
        );
    }
    if let Some(span) = entry.masked_banners {
        let count = plural(span.count, "session");
        line(
            out,
            2,
            &format!(
                "A firewall masks the banner and takes STARTTLS away: {count}, {}",
                period(span)
            ),
        );
    }
    addresses(out, entry);
    let protocols: Vec<String> = entry
        .tls
        .iter()
        .map(|(protocol, sessions)| format!("{protocol} in {}", plural(*sessions, "session")))
        .collect();
    if !protocols.is_empty() {
        line(out, 2, &format!("Protocol: {}", protocols.join(", ")));
    }
}

fn certificates(
    out: &mut String,
    entry: &ConnectorLedger,
    inventory: &Inventory,
    (handshake, title): (Option<Handshake>, &str),
) {
    let mut presented: Vec<&Presented> = entry
        .presented
        .iter()
        .filter(|presented| presented.handshake == handshake)
        .collect();
    if presented.is_empty() {
        return;
    }
    presented.sort_by_key(|presented| (presented.span.first_seen, presented.span.last_seen));
    line(out, 2, &format!("{title}:"));
    let head = [
        "THUMBPRINT",
        "PRESENTED SINCE",
        "LAST",
        "VALID UNTIL",
        "SESSIONS",
        "NAME",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let current = entry.current(handshake);
    for presented in presented {
        let is_current = current.is_some_and(|current| std::ptr::eq(current, presented));
        let certificate = inventory.completed(&presented.certificate);
        rows.push(certificate_row(presented, certificate, is_current));
    }
    table(out, &rows);
}

fn certificate_row(
    presented: &Presented,
    certificate: &Certificate,
    is_current: bool,
) -> [String; 6] {
    let mark = if is_current { "  <- now" } else { "" };
    [
        certificate
            .thumbprint
            .map_or_else(|| "(not logged)".to_owned(), |it| it.to_string()),
        minute(presented.span.first_seen),
        minute(presented.span.last_seen),
        // A logged date is local time in disguise: the day is all that it is good for.
        certificate.not_after.map_or_else(
            || "(not logged)".to_owned(),
            |it| it.strftime("%Y-%m-%d").to_string(),
        ),
        presented.span.count.to_string(),
        format!("{}{mark}", name(certificate)),
    ]
}

/// What an admin calls a certificate: its common name, or its first DNS name, or its subject.
fn name(certificate: &Certificate) -> String {
    let name = certificate
        .common_name()
        .or_else(|| certificate.names.first().cloned())
        .unwrap_or_else(|| certificate.subject.clone());
    let further = certificate
        .names
        .iter()
        .filter(|other| **other != name)
        .count();
    match further {
        0 => shown_without_addresses(&name),
        _ => format!(
            "{} (+{})",
            shown_without_addresses(&name),
            plural(further as u64, "name")
        ),
    }
}

fn refusals(out: &mut String, entry: &ConnectorLedger) {
    let mut refusals: Vec<_> = entry.refusals.iter().collect();
    refusals.sort_by_key(|refusal| (refusal.class, refusal.span.first_seen));
    for refusal in refusals {
        let enhanced = refusal
            .enhanced
            .map(|code| format!(" {code}"))
            .unwrap_or_default();
        let text = shown(&refusal.text);
        line(
            out,
            2,
            &format!(
                "Refused ({}): {}{enhanced} {text} ({} times, {})",
                refusal.class.as_str(),
                refusal.code,
                refusal.span.count,
                period(refusal.span)
            ),
        );
    }
}

fn addresses(out: &mut String, entry: &ConnectorLedger) {
    let mut addresses: Vec<_> = entry.egress.iter().collect();
    addresses.sort_by_key(|(_, span)| span.first_seen);
    for (address, span) in addresses {
        let count = plural(span.count, "session");
        line(
            out,
            2,
            &format!("Exchange Online sees {address}: {count}, {}", period(*span)),
        );
    }
}

fn verdict(out: &mut String, judged: &Judged) {
    if !judged.expected {
        line(
            out,
            2,
            "Verdict: none; the configuration expects nothing of this connector",
        );
        return;
    }
    line(
        out,
        2,
        &format!("Verdict: {}", judged.verdict.as_str().to_uppercase()),
    );
    for reason in &judged.reasons {
        line(
            out,
            4,
            &format!(
                "{} ({}): {}",
                reason.code.as_str(),
                reason.severity.as_str(),
                reason.message
            ),
        );
        for command in reason.action.lines() {
            line(out, 6, command);
        }
    }
}

/// Columns as wide as their widest cell; the last one is free.
fn table(out: &mut String, rows: &[[String; 6]]) {
    for row in rows {
        let mut text = String::new();
        for (column, cell) in row.iter().enumerate() {
            let widest = rows.iter().map(|row| row[column].chars().count()).max();
            let width = if column == 5 { 0 } else { widest.unwrap_or(0) };
            let _ = write!(text, "{cell:<width$}  ");
        }
        line(out, 4, text.trim_end());
    }
}

fn line(out: &mut String, indent: usize, text: &str) {
    let _ = writeln!(out, "{:indent$}{text}", "");
}

fn period(span: Span) -> String {
    if span.first_seen == span.last_seen {
        return minute(span.first_seen);
    }
    format!("{} to {}", minute(span.first_seen), minute(span.last_seen))
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
