//! Status → the page at `/`: HTML and SVG that need no script, no font and no file besides.
//!
//! What comes from a log gets onto the page through `maud` only, which escapes every value at one place; the few
//! addresses are made from words of our own and percent-encoded. [`CONTENT_SECURITY_POLICY`] is the second wall: the one
//! style sheet is allowed by its hash, images are allowed from certdrift itself (its icon), and nothing else is, neither
//! scripts nor style attributes nor frames. So positions in pictures are attributes of SVG, in per cent of the width; text
//! keeps its size on a phone.

mod alerts;
mod connectors;
mod measures;
mod operation;
mod runbook;
mod timeline;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use jiff::Timestamp;
use maud::DOCTYPE;
use maud::Markup;
use maud::PreEscaped;
use maud::html;
use sha2::Digest;
use sha2::Sha256;

use crate::render::page::measures::ago;
use crate::render::page::measures::counted;
use crate::render::page::measures::moment;
use crate::render::page::measures::moment_ago;
pub use crate::render::page::runbook::runbook;
use crate::render::status::Counts;
use crate::render::status::Source;
use crate::render::status::Status;

const STYLE: &str = include_str!("page/style.css");

/// The page asks for itself again after so many seconds, unless the reader holds it still.
pub const REFRESH_SECONDS: u32 = 30;

/// A state that is older than this when it is shown is said to be old: the loop writes one each second.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// What the page may do in a browser.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
});

/// How the page is shown.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The present.
    pub now: Timestamp,
    /// Where the metrics are.
    pub telemetry_path: &'a str,
    /// Whether the page asks for itself again.
    pub refreshes: bool,
}

/// The worst of everything, in one word: the icon and the colour of the head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mood {
    /// A critical alert.
    Critical,
    /// A warning, or something is not as it should be.
    Warning,
    /// Nothing is judged, or not everything has been read.
    Unknown,
    /// All is well.
    Good,
}

impl Mood {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Critical, Self::Warning, Self::Unknown, Self::Good];

    /// Its word in addresses and classes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Good => "good",
        }
    }

    fn of(status: &Status, is_stale: bool) -> Self {
        let Counts {
            critical,
            warning,
            mismatch,
            unknown,
            fragile,
            matching,
            sources_down,
            dead_letters,
            ..
        } = status.counts;
        if critical + mismatch > 0 || !status.certdrift.state_writable {
            Self::Critical
        } else if is_stale
            || warning + fragile + sources_down + dead_letters > 0
            || !status.configuration.last_reload_successful
        {
            Self::Warning
        } else if !status.ready || unknown > 0 || matching == 0 {
            Self::Unknown
        } else {
            Self::Good
        }
    }
}

/// The icon of a mood: a shape of its own, not a colour alone.
pub fn icon(mood: Mood) -> String {
    let (colour, shape) = match mood {
        Mood::Critical => ("#b3261e", "M5 5l6 6M11 5l-6 6"),
        Mood::Warning => ("#8a5a00", "M8 4v5M8 11.5v.5"),
        Mood::Unknown => ("#5b6470", "M5 8h6"),
        Mood::Good => ("#1c6b3c", "M4.5 8.5l2.5 2.5 4.5-5.5"),
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" {
            rect width="16" height="16" rx="3.5" fill=(colour) {}
            path d=(shape) fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" {}
        }
    }
    .into_string()
}

/// The whole page.
pub fn page(status: &Status, setting: Setting<'_>) -> String {
    let age = setting.now.duration_since(status.at);
    let is_stale = age > STALE_AFTER;
    let mood = Mood::of(status, is_stale);
    let headline = headline(status);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                @if setting.refreshes {
                    meta http-equiv="refresh" content=(REFRESH_SECONDS);
                }
                title { (headline) " · certdrift" }
                link rel="icon" type="image/svg+xml" href={ "icon/" (mood.as_str()) };
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the alerts" }
                (head(status, setting, mood, &headline))
                main #main {
                    @if is_stale {
                        p.notice role="alert" {
                            strong { "This is old. " }
                            "certdrift has not written its state for " (ago(age)) ". Its log says why: a full disk, perhaps."
                        }
                    }
                    @if !status.certdrift.state_writable {
                        p.notice role="alert" {
                            strong { "The state cannot be written, so nothing is read. " }
                            "Nothing is lost: the logs keep what they have. Free space on the disk of --storage.path, or see certdrift's log for what else is wrong: if the directory was removed, restart certdrift."
                        }
                    } @else if !status.ready && !is_stale {
                        p.notice {
                            strong { "Not everything has been read yet. " }
                            "Until every source has been read up to its end, certdrift raises no alerts for what it has not caught up with."
                        }
                    }
                    (unread(status))
                    (alerts::section(status))
                    (connectors::section(status))
                    (operation::section(status))
                }
                (foot(status, setting))
            }
        }
    }
    .into_string()
}

/// Whatever the rest of the page says, of these servers it says how things were.
fn unread(status: &Status) -> Markup {
    let is_troubled = |source: &&Source| source.trouble.is_some();
    let troubled = status.sources.iter().filter(is_troubled).count();
    html! {
        @if troubled > 0 {
            p.notice {
                strong {
                    (troubled) " of " (status.counts.sources) " sources cannot be read. "
                }
                "What is shown of such a server is what was known before. "
                a href="#sources" { "Which, and what to do" }
            }
        }
    }
}

fn headline(status: &Status) -> String {
    let Counts {
        alerts,
        critical,
        mismatch,
        unknown,
        fragile,
        matching,
        not_judged,
        ..
    } = status.counts;
    if !status.certdrift.state_writable {
        return "The state cannot be written".to_owned();
    }
    let judged = mismatch + unknown + fragile + matching;
    if critical > 0 {
        return counted(critical, "critical alert", "critical alerts");
    }
    if alerts > 0 {
        return counted(alerts, "alert", "alerts");
    }
    match (judged, not_judged) {
        (0, 0) => "No connector seen yet".to_owned(),
        (0, _) => "Nothing is judged".to_owned(),
        (1, _) if matching == 1 => "The connector matches".to_owned(),
        _ if matching == judged => format!("All {judged} connectors match"),
        _ => format!("No alert; {matching} of {judged} connectors match"),
    }
}

fn head(status: &Status, setting: Setting<'_>, mood: Mood, headline: &str) -> Markup {
    let counts = status.counts;
    let alerts = listed(&[
        (counts.critical, "critical"),
        (counts.warning, "warning"),
        (counts.information, "information"),
    ]);
    let connectors = listed(&[
        (counts.mismatch, "mismatch"),
        (counts.unknown, "unknown"),
        (counts.fragile, "fragile"),
        (counts.matching, "match"),
        (counts.not_judged, "not judged"),
    ]);
    let seen =
        counts.mismatch + counts.unknown + counts.fragile + counts.matching + counts.not_judged;
    html! {
        header.(mood.as_str()) {
            div.title {
                p.brand { "certdrift" }
                h1 { (symbol(mood.as_str())) (headline) }
                p.asof {
                    "As of " (moment(status.at)) ". "
                    @if setting.refreshes {
                        "Renewed every " (REFRESH_SECONDS) " s. " a href="?hold=1" { "Hold still" }
                    } @else {
                        "Held still. " a href="?" { "Back to the whole, live" }
                    }
                }
            }
            nav aria-label="On this page" {
                a href="#alerts" { b { (counts.alerts) } " " (word(counts.alerts, "alert", "alerts")) small { (alerts) } }
                a href="#connectors" { b { (seen) } " " (word(seen, "connector", "connectors")) small { (connectors) } }
                a href="#sources" { b { (counts.sources) } " " (word(counts.sources, "source", "sources"))
                    @if counts.sources_down > 0 { small { (counts.sources_down) " in trouble" } }
                }
                a href="#receivers" { b { (counts.receivers) } " " (word(counts.receivers, "receiver", "receivers"))
                    @if counts.waiting + counts.dead_letters > 0 {
                        small { (counts.waiting) " waiting, " (counts.dead_letters) " dead" }
                    }
                }
            }
        }
    }
}

fn foot(status: &Status, setting: Setting<'_>) -> Markup {
    let program = &status.certdrift;
    html! {
        footer {
            p {
                "certdrift " (program.version) ", running since " (moment(program.started_at)) "."
                @if let Some(at) = program.state_recovered_at {
                    " Its state was damaged and rebuilt on " (moment(at)) "."
                }
                @if let Some(own) = program.web_certificate {
                    " The certificate of this page itself ends on " (moment_ago(own.not_after, setting.now)) "."
                }
            }
            p {
                a href="api/v1/status" { "This page as JSON" } " · "
                a href=(setting.telemetry_path.trim_start_matches('/')) { "Metrics" } " · "
                a href="-/ready" { "Readiness" }
            }
        }
    }
}

/// Those that are not zero.
fn listed(counts: &[(usize, &str)]) -> String {
    let present = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = present
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    words.join(", ")
}

fn word<'a>(count: usize, one: &'a str, several: &'a str) -> &'a str {
    if count == 1 { one } else { several }
}

/// A shape for a severity or a verdict, in front of its word: nobody has to tell colours apart.
fn symbol(of: &str) -> Markup {
    let shape = match of {
        "critical" | "mismatch" => "M4 4l8 8M12 4l-8 8",
        "warning" | "fragile" => "M8 2.5v7M8 12.8v.4",
        "good" | "match" => "M3 8.5l3.5 3.5L13 4.5",
        "information" => "M8 7v6M8 3.2v.4",
        _ => "M4 8h8",
    };
    html! {
        svg.symbol viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" { path d=(shape) {} }
    }
}

/// A severity or a verdict as a label.
fn badge(word: &'static str) -> Markup {
    html! { span.badge.(word) { (symbol(word)) (word) } }
}
