//! What certdrift reads, whom it calls, and what it was told.

use maud::Markup;
use maud::html;

use crate::render::page::measures::moment;
use crate::render::page::measures::moment_ago;
use crate::render::size::bytes;
use crate::render::status::Export;
use crate::render::status::Receiver;
use crate::render::status::Source;
use crate::render::status::Status;

/// The state of a source before the first look at it.
const NOT_READ: &str = "not read yet";
/// The state of a receiver that has not taken a message yet.
const NOTHING_SENT: &str = "nothing sent yet";

pub(super) fn section(status: &Status) -> Markup {
    html! {
        section #sources aria-labelledby="sources-title" {
            h2 #sources-title { "Sources" }
            @if status.sources.is_empty() {
                p.quiet { "None." }
            } @else {
                div.scroll { table {
                    thead { tr {
                        @for name in ["State", "Server", "Logs", "Behind by", "Newest row", "Read", "Lost"] { th scope="col" { (name) } }
                    } }
                    tbody { @for source in &status.sources { (of_source(source, status)) } }
                } }
                @if status.sources.len() < status.counts.sources {
                    p.more { "Shown: " (status.sources.len()) " of " (status.counts.sources) " sources, those in trouble first." }
                }
            }
            @if !status.exports.is_empty() { (exports(status)) }
        }
        section #receivers aria-labelledby="receivers-title" {
            h2 #receivers-title { "Receivers" }
            @if status.receivers.is_empty() {
                p.quiet { "Nobody is called. Alerts are on this page, in the metrics and in the log only." }
            } @else {
                div.scroll { table {
                    thead { tr {
                        @for name in ["State", "Receiver", "Waiting", "Oldest waiting", "Last success", "Delivered", "Failed tries", "Dead letters"] { th scope="col" { (name) } }
                    } }
                    tbody { @for receiver in &status.receivers { (of_receiver(receiver, status)) } }
                } }
            }
        }
        section #configuration aria-labelledby="configuration-title" {
            h2 #configuration-title { "Configuration" }
            @let configuration = &status.configuration;
            @if configuration.last_reload_successful {
                p { "Read on " (moment_ago(configuration.last_reload_success, status.at)) "." }
            } @else {
                p.notice {
                    strong { "The last attempt to read it failed. " }
                    "In force is the one of " (moment(configuration.last_reload_success))
                    ". The log says what is wrong, and so does " code { "certdrift check-config" } "."
                }
            }
            details {
                summary { "What it means (without secrets)" }
                pre.summary { (configuration.summary) }
            }
        }
    }
}

fn of_source(source: &Source, status: &Status) -> Markup {
    let state = if source.trouble.is_some() {
        "trouble"
    } else if !source.up {
        NOT_READ
    } else if source.lag_bytes > 0 {
        "behind"
    } else {
        "up"
    };
    html! {
        tr {
            td data-label="State" { (state_badge(state)) }
            td data-label="Server" { @if source.server.is_empty() { "(none found)" } @else { (source.server) } }
            td data-label="Logs" {
                span.path { (source.source) }
                @if let Some(trouble) = &source.trouble { p.trouble { (trouble) } }
                @if source.refused_files > 0 { p.trouble { (refused(source.refused_files)) } }
            }
            td.number data-label="Behind by" { (bytes(source.lag_bytes)) }
            td data-label="Newest row" { @match source.last_row { Some(time) => { (moment_ago(time, status.at)) } None => { "none" } } }
            td.number data-label="Read" { (bytes(source.read_bytes)) }
            td.number data-label="Lost" { (bytes(source.lost_bytes)) }
        }
    }
}

fn refused(files: usize) -> String {
    match files {
        1 => "1 file is no send protocol log and is not read".to_owned(),
        files => format!("{files} files are no send protocol logs and are not read"),
    }
}

fn state_badge(state: &'static str) -> Markup {
    let class = match state {
        "up" | "well" => "match",
        "trouble" | "off" => "critical",
        NOT_READ | NOTHING_SENT => "unknown",
        _ => "warning",
    };
    html! { span.badge.(class) { (crate::render::page::symbol(class)) (state) } }
}

fn exports(status: &Status) -> Markup {
    html! {
        h3 { "Exports and certificate files" }
        div.scroll { table {
            thead { tr { @for name in ["State", "Export", "File", "Exported"] { th scope="col" { (name) } } } }
            tbody { @for export in &status.exports { (of_export(export, status)) } }
        } }
    }
}

fn of_export(export: &Export, status: &Status) -> Markup {
    html! {
        tr {
            td data-label="State" { (state_badge(if export.problem.is_some() { "trouble" } else { "well" })) }
            td data-label="Export" { code { (export.name) } }
            td data-label="File" {
                span.path { (export.file) }
                @if let Some(problem) = &export.problem { p.trouble { (problem) } }
            }
            td data-label="Exported" { @match export.exported_at { Some(time) => { (moment_ago(time, status.at)) } None => { "not known" } } }
        }
    }
}

fn of_receiver(receiver: &Receiver, status: &Status) -> Markup {
    let state = if receiver.off {
        "off"
    } else if receiver.waiting + receiver.dead_letters > 0 {
        "waiting"
    } else if receiver.last_success.is_none() {
        // Whether it can be called at all, nobody knows.
        NOTHING_SENT
    } else {
        "well"
    };
    html! {
        tr {
            td data-label="State" { (state_badge(state)) }
            td data-label="Receiver" { strong { (receiver.name) } " (" (receiver.integration) ")" }
            td.number data-label="Waiting" { (receiver.waiting) }
            td data-label="Oldest waiting" { @match receiver.oldest_waiting { Some(time) => { (moment_ago(time, status.at)) } None => { "–" } } }
            td data-label="Last success" { @match receiver.last_success { Some(time) => { (moment_ago(time, status.at)) } None => { "never" } } }
            td.number data-label="Delivered" { (receiver.delivered) }
            td.number data-label="Failed tries" { (receiver.failed) }
            td.number data-label="Dead letters" { (receiver.dead_letters) }
        }
    }
}
