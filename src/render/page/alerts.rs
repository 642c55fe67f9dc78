//! What is wrong now, and what to do next.

use maud::Markup;
use maud::html;

use crate::render::page::badge;
use crate::render::page::measures::ago;
use crate::render::page::measures::moment_ago;
use crate::render::page::measures::sentence;
use crate::render::status::Alert;
use crate::render::status::Reason;
use crate::render::status::Status;

/// So many alerts are told in full; of the others their heads are, until a reader opens them.
const OPEN: usize = 5;

pub(super) fn section(status: &Status) -> Markup {
    let total = status.counts.alerts;
    let listed = status.alerts.len();
    html! {
        section #alerts aria-labelledby="alerts-title" {
            h2 #alerts-title { "Alerts" }
            @if total == 0 {
                p.quiet { "None is firing." }
            }
            @for alert in status.alerts.iter().take(OPEN) {
                article.alert.(alert.severity) {
                    div.top { (badge(alert.severity)) h3 { (sentence(alert.summary)) } }
                    (body(alert, status))
                }
            }
            @for alert in status.alerts.iter().skip(OPEN) {
                details.alert.(alert.severity) {
                    summary {
                        (badge(alert.severity)) h3 { (sentence(alert.summary)) }
                        ": " (place(alert)) span.ago { " (" (ago(status.at.duration_since(alert.since))) ")" }
                    }
                    (body(alert, status))
                }
            }
            @if listed < total {
                p.more {
                    "Shown: " (listed) " of " (total) " alerts"
                    @if status.selection.server.is_none() { ", the gravest and newest ones" }
                    "."
                }
            }
        }
    }
}

fn body(alert: &Alert, status: &Status) -> Markup {
    html! {
        p.place {
            (place(alert))
            " · since " (moment_ago(alert.since, status.at))
        }
        @for reason in &alert.reasons {
            (cause(reason))
        }
        p.runbook { a href=(alert.runbook) { "Runbook: " (alert.alertname) } }
    }
}

fn place(alert: &Alert) -> Markup {
    html! {
        @match (alert.server.is_empty(), alert.connector.is_empty()) {
            (true, true) => { strong { "certdrift itself" } }
            (false, true) => { strong { (alert.server) } }
            (true, false) => { strong { (alert.connector) } ", several servers" }
            (false, false) => { strong { (alert.server) } ", " (alert.connector) }
        }
    }
}

fn cause(reason: &Reason) -> Markup {
    html! {
        div.cause {
            div {
                p { (reason.message) }
                (difference(reason))
            }
            @if !reason.action.is_empty() {
                div {
                    p.label { "Next command" }
                    pre.command { code { (reason.action) } }
                }
            }
        }
    }
}

/// Expected and observed, one below the other, so that the eye can compare.
pub(super) fn difference(reason: &Reason) -> Markup {
    html! {
        @if !reason.expected.is_empty() || !reason.observed.is_empty() {
            dl.difference {
                @if !reason.expected.is_empty() { dt { "expected" } dd { (reason.expected) } }
                @if !reason.observed.is_empty() { dt { "observed" } dd { (reason.observed) } }
            }
        }
    }
}
