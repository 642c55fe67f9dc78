//! What each server presents on each connector, how it is judged, and when it was what.

use jiff::SignedDuration;
use maud::Markup;
use maud::html;

use crate::render::page::alerts::difference;
use crate::render::page::badge;
use crate::render::page::measures::ago;
use crate::render::page::measures::counted;
use crate::render::page::measures::date;
use crate::render::page::measures::many;
use crate::render::page::measures::moment;
use crate::render::page::measures::moment_ago;
use crate::render::page::timeline::Timeline;
use crate::render::status::CONNECTORS_PER_PAGE;
use crate::render::status::Certificate;
use crate::render::status::Connector;
use crate::render::status::Expected;
use crate::render::status::Status;

pub(super) fn section(status: &Status) -> Markup {
    let groups: Vec<&[Connector]> = status
        .connectors
        .chunk_by(|one, next| one.connector == next.connector)
        .collect();
    html! {
        section #connectors aria-labelledby="connectors-title" {
            h2 #connectors-title { "Connectors" }
            (paging(status))
            @if status.connectors.is_empty() {
                p.quiet {
                    @match &status.selection.server {
                        Some(server) => { "No session has been seen of a server called " strong { (server) } ". " a href="?" { "Show all servers" } }
                        None => { "No session of a send connector has been seen yet." }
                    }
                }
            }
            @for (number, group) in groups.iter().enumerate() {
                (of_one_name(number, group, status))
            }
            (expected(&status.expected))
        }
    }
}

/// The same connector on one or several servers.
fn of_one_name(number: usize, group: &[Connector], status: &Status) -> Markup {
    let name = group.first().map_or("", |first| &first.connector);
    let timeline = Timeline::of(group, status.at);
    html! {
        section.group {
            h3 { @if name.is_empty() { "(no connector)" } @else { (name) } }
            (timeline.markup(number, name))
            div.cards {
                @for connector in group {
                    (card(connector, &timeline, status))
                }
            }
        }
    }
}

fn card(connector: &Connector, timeline: &Timeline<'_>, status: &Status) -> Markup {
    let verdict = if connector.judged {
        connector.verdict
    } else {
        "not judged"
    };
    html! {
        article.card {
            div.top {
                h4 { a href={ "?server=" (encoded(&connector.server)) } { (connector.server) } }
                (badge(verdict))
            }
            @match &connector.certificate {
                _ if connector.presents_none => { p.presented { "Presents " strong { "no client certificate" } } }
                Some(certificate) => { (presented(certificate, timeline)) }
                None => { p.presented { "No client certificate seen yet" } }
            }
            @for reason in connector.reasons.iter().filter(|reason| reason.severity != "information") {
                div.why {
                    p { (badge(reason.severity)) " " code { (reason.code) } }
                    (difference(reason))
                }
            }
            (details(connector, status))
        }
    }
}

/// What is needed less often, behind a line that says the most of it.
fn details(connector: &Connector, status: &Status) -> Markup {
    let informing: Vec<&str> = connector
        .reasons
        .iter()
        .filter(|reason| reason.severity == "information")
        .map(|reason| reason.code)
        .collect();
    html! {
        details {
            summary {
                @match connector.last_session {
                    Some(time) => { "Last session " (ago(status.at.duration_since(time))) " ago" }
                    None => { "No session" }
                }
                @if let Some(address) = &connector.egress_address { ", from " (address) }
            }
            dl.facts {
                @if let Some(certificate) = &connector.certificate {
                    (facts(certificate))
                }
                dt { "Last session" }
                dd { @match connector.last_session { Some(time) => { (moment_ago(time, status.at)) } None => { "none" } } }
                dt { "Silent after" }
                dd {
                    @match connector.silent_after_seconds {
                        Some(seconds) => { (ago(SignedDuration::from_secs(seconds))) }
                        None if connector.judged => { "not learned yet" }
                        None => { "not judged" }
                    }
                }
                dt { "Egress address" }
                dd { @match &connector.egress_address { Some(address) => { (address) } None => { "not seen" } } }
                dt { "Sessions" }
                dd { (connector.sessions) ", " (many(connector.certificate_changes, "change", "changes")) " of certificate" }
                @if !informing.is_empty() {
                    dt { "Because" }
                    dd { @for (index, code) in informing.iter().enumerate() { @if index > 0 { ", " } code { (code) } } }
                }
            }
        }
    }
}

fn presented(certificate: &Certificate, timeline: &Timeline<'_>) -> Markup {
    html! {
        p.presented {
            @if let Some(letter) = certificate.thumbprint.as_deref().and_then(|it| timeline.letter(it)) {
                span.key.{ "c" (letter.colour) } { (letter.text) } " "
            }
            strong {
                @match &certificate.subject_cn { Some(name) => { (name) } None => { "(subject without CN)" } }
            }
            @if certificate.names_total > 1 {
                " " span.ago title=(certificate.names.join(", ")) { "+ " (counted(certificate.names_total - 1, "name", "names")) }
            }
        }
        p.thumbprint { code { @match &certificate.thumbprint { Some(thumbprint) => { (thumbprint) } None => { "(thumbprint not logged)" } } } }
        (lifetime(certificate))
    }
}

/// What is left of the lifetime, as a bar and in words.
fn lifetime(certificate: &Certificate) -> Markup {
    let (Some(left), Some(until)) = (certificate.left_seconds, certificate.not_after) else {
        return html! { p.lifetime { "End of validity not logged" } };
    };
    let left = SignedDuration::from_secs(left);
    let grade = match certificate.left_ratio {
        _ if left.is_negative() => "critical",
        Some(ratio) if ratio <= 0.1 => "critical",
        Some(ratio) if ratio <= 1.0 / 3.0 => "warning",
        _ => "good",
    };
    let words = match certificate.lifetime_seconds {
        _ if left.is_negative() => format!("expired {} ago", ago(-left)),
        Some(lifetime) => format!(
            "{} of {} left",
            ago(left),
            ago(SignedDuration::from_secs(lifetime))
        ),
        None => format!("{} left", ago(left)),
    };
    html! {
        @if let Some(ratio) = certificate.left_ratio {
            svg.bar.(grade) width="100%" height="8" role="img" aria-label={ (words) ", " (per_cent(ratio)) } {
                rect.whole width="100%" height="8" rx="4" {}
                rect.left width=(format!("{:.1}%", ratio * 100.0)) height="8" rx="4" {}
            }
        }
        p.lifetime {
            (words)
            @if let Some(ratio) = certificate.left_ratio { " (" (per_cent(ratio)) ")" }
            ", until " span.date { (date(until)) }
        }
    }
}

fn per_cent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

fn facts(certificate: &Certificate) -> Markup {
    let exactness = match certificate.validity_margin_seconds {
        Some(0) => "exact, from the certificate",
        Some(_) => "as logged, exact to ±14 h",
        None => "not logged",
    };
    html! {
        dt { "Issuer" }
        dd { @match &certificate.issuer_cn { Some(name) => { (name) } None => { "not known" } } }
        dt { "Valid" }
        dd {
            @if let Some(from) = certificate.not_before { (moment(from)) " to " }
            @if let Some(until) = certificate.not_after { (moment(until)) " " }
            span.ago { "(" (exactness) ")" }
        }
        dt { "Presented since" }
        dd { (moment(certificate.first_seen)) ", " (many(certificate.sessions, "session", "sessions")) }
    }
}

fn paging(status: &Status) -> Markup {
    let selected = &status.selection;
    let address = |page: usize| match &selected.server {
        Some(server) => format!("?server={}&page={page}#connectors", encoded(server)),
        None => format!("?page={page}#connectors"),
    };
    html! {
        @if let Some(server) = &selected.server {
            p.more { "Only " strong { (server) } ". " a href="?" { "All servers" } }
        }
        @if selected.pages > 1 {
            nav.paging aria-label="Pages" {
                @if selected.page > 1 { a href=(address(selected.page - 1)) rel="prev" { "← Previous" } }
                span { "Page " (selected.page) " of " (selected.pages) ": " (CONNECTORS_PER_PAGE) " at a time of " (selected.connectors) ", problems first" }
                @if selected.page < selected.pages { a href=(address(selected.page + 1)) rel="next" { "Next →" } }
            }
        }
    }
}

fn expected(expected: &[Expected]) -> Markup {
    html! {
        @if !expected.is_empty() {
            details {
                summary { "What is expected: " (counted(expected.len(), "inbound connector", "inbound connectors")) }
                div.scroll { table {
                    thead { tr { th scope="col" { "Send connector" } th scope="col" { "Inbound connector" } th scope="col" { "TlsSenderCertificateName" } } }
                    tbody {
                        @for entry in expected {
                            tr {
                                td data-label="Connector" { (entry.connector) }
                                td data-label="Inbound" { (entry.inbound_connector) }
                                td data-label="Certificate" {
                                    @if entry.tls_sender_certificate_name.is_empty() { "(by address)" } @else { code { (entry.tls_sender_certificate_name) } }
                                }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}
