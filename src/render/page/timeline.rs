//! The picture of which certificate each server presented when: a lane for each server, a bar for each spell.
//!
//! Positions are per cent of the width, so bars follow the width of the window while text keeps its size. A certificate
//! is told apart by its letter and its common name; colours only help. The same stands below the picture as a table.

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::Markup;
use maud::html;

use crate::pipeline::ledger::history;
use crate::render::page::measures::counted;
use crate::render::page::measures::date;
use crate::render::page::measures::many;
use crate::render::page::measures::moment;
use crate::render::page::measures::sentence;
use crate::render::status;
use crate::render::status::Connector;
use crate::render::status::Planned;
use crate::render::status::Spell;

/// So many colours there are; further certificates begin with the first again, their letters go on.
const COLOURS: usize = 6;
/// How far the picture reaches into the future at least, so that "now" is not its edge.
const AHEAD: SignedDuration = SignedDuration::from_hours(4 * 24);
/// How far it reaches at most, to show a planned window.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The narrowest bar, in per cent: one session is still seen.
const NARROWEST: f64 = 0.5;

/// Heights in pixels.
const LANE: usize = 62;
const BAR_TOP: usize = 24;
const BAR: usize = 20;
/// By so much a planned window stands out above and below the bars.
const WINDOW: usize = 7;
const AXIS: usize = 22;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What the picture of one connector shows.
pub(super) struct Timeline<'a> {
    from: Timestamp,
    until: Timestamp,
    at: Timestamp,
    lanes: &'a [Connector],
    /// Thumbprints in the order of their first appearance, and what is known of each.
    certificates: Vec<(&'a str, Option<&'a str>)>,
}

/// How a certificate is told apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Letter {
    pub(super) text: String,
    pub(super) colour: usize,
}

impl Letter {
    fn of(index: usize) -> Self {
        let text = u8::try_from(index)
            .ok()
            .filter(|index| *index < 26)
            .map_or_else(
                || (index + 1).to_string(),
                |index| char::from(b'A' + index).to_string(),
            );
        Self {
            text,
            colour: index % COLOURS,
        }
    }
}

/// A mark on a lane.
struct Mark {
    x: f64,
    class: &'static str,
    shape: &'static str,
    title: String,
}

impl<'a> Timeline<'a> {
    pub(super) fn of(lanes: &'a [Connector], at: Timestamp) -> Self {
        let history = lanes.iter().map(|lane| &lane.history);
        let mut spells: Vec<&Spell> = history.clone().flat_map(|it| &it.spells).collect();
        spells.sort_by_key(|spell| spell.first_seen);
        let mut certificates: Vec<(&str, Option<&str>)> = Vec::new();
        for spell in spells {
            let Some(thumbprint) = &spell.thumbprint else {
                continue;
            };
            if !certificates.iter().any(|(known, _)| known == thumbprint) {
                certificates.push((thumbprint, spell.subject_cn.as_deref()));
            }
        }
        let planned = history.flat_map(|it| &it.planned).map(|it| it.until).max();
        let later = |ahead: SignedDuration| at.checked_add(ahead).unwrap_or(Timestamp::MAX);
        let least = later(AHEAD);
        let wanted = planned.map_or(least, |until| until.checked_add(DAY).unwrap_or(until));
        Self {
            from: status::history_since(at),
            until: wanted.clamp(least, later(MAX_AHEAD)),
            at,
            lanes,
            certificates,
        }
    }

    /// How the picture calls a certificate.
    pub(super) fn letter(&self, thumbprint: &str) -> Option<Letter> {
        let known = self.certificates.iter();
        let index = known
            .map(|(known, _)| *known)
            .position(|it| it == thumbprint)?;
        Some(Letter::of(index))
    }

    /// `number` is unique on the page.
    pub(super) fn markup(&self, number: usize, connector: &str) -> Markup {
        if self.lanes.iter().all(|lane| lane.history.spells.is_empty()) {
            return html! { p.quiet { "No STARTTLS session in the last 90 days." } };
        }
        html! {
            figure.timeline {
                (self.picture(number, connector))
                (self.legend())
                (self.table())
            }
        }
    }

    fn picture(&self, number: usize, connector: &str) -> Markup {
        let height = self.lanes.len() * LANE + AXIS;
        let (title, desc, hatch) = (
            format!("timeline-title-{number}"),
            format!("timeline-text-{number}"),
            format!("planned-{number}"),
        );
        html! {
            svg.lanes width="100%" height=(height) role="img" aria-labelledby={ (title) " " (desc) } {
                title id=(title) { "Certificates presented on " (connector) ", from " (date(self.from)) " to " (date(self.at)) }
                desc id=(desc) { (self.words()) }
                defs {
                    pattern id=(hatch) width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        line.hatch x1="0" y1="0" x2="0" y2="7" {}
                    }
                }
                (self.axis(height))
                @for (index, lane) in self.lanes.iter().enumerate() {
                    svg y=(index * LANE) width="100%" height=(LANE) overflow="visible" {
                        (self.lane(lane, &hatch))
                    }
                }
                (self.present(height))
            }
        }
    }

    /// Grid and dates: the first and the sixteenth of each month.
    fn axis(&self, height: usize) -> Markup {
        let bottom = height - AXIS;
        let days = self.days();
        html! {
            @for day in &days {
                @let x = per_cent(self.x(day.1));
                line.grid x1=(x) x2=(x) y1="0" y2=(bottom) {}
                text.axis x=(x) dx="3" y=(bottom + 16) { (day.0.strftime("%-d %b").to_string()) }
            }
            line.ground x1="0" x2="100%" y1=(bottom) y2=(bottom) {}
        }
    }

    fn days(&self) -> Vec<(Date, Timestamp)> {
        let mut day = self.from.to_zoned(TimeZone::UTC).date();
        let mut days = Vec::new();
        while let Ok(next) = day.checked_add(1.day()) {
            day = next;
            let Ok(start) = day.to_zoned(TimeZone::UTC) else {
                break;
            };
            let start = start.timestamp();
            // Further right it would run into the word for the present.
            if self.x(start) > self.x(self.at) - 10.0 {
                break;
            }
            if day.day() == 1 || day.day() == 16 {
                days.push((day, start));
            }
        }
        days
    }

    fn present(&self, height: usize) -> Markup {
        let x = per_cent(self.x(self.at));
        html! {
            line.present x1=(x) x2=(x) y1=(BAR_TOP - WINDOW) y2=(height - AXIS) {}
            text.present x=(x) y=(height - AXIS + 16) text-anchor="middle" { "now" }
        }
    }

    fn lane(&self, lane: &Connector, hatch: &str) -> Markup {
        html! {
            text.server x="0" y="13" { (lane.server) }
            @if let Some(spell) = lane.history.spells.iter().max_by_key(|spell| spell.last_seen) {
                text.newest x="100%" y="13" text-anchor="end" {
                    @if self.at.duration_since(spell.last_seen) > history::PAUSE { "last " } @else { "now " }
                    (self.label(spell))
                }
            }
            @for planned in &lane.history.planned { (self.window(planned, hatch)) }
            @for spell in &lane.history.spells { (self.bar(spell)) }
            @for mark in self.marks(lane) {
                svg x=(per_cent(mark.x)) y=(BAR_TOP) width="1" height=(BAR) overflow="visible" {
                    g.(mark.class) { title { (mark.title) } path d=(mark.shape) {} }
                }
            }
        }
    }

    fn window(&self, planned: &Planned, hatch: &str) -> Markup {
        let (x, width) = self.extent(planned.from, planned.until);
        html! {
            @if width > 0.0 {
                g.planned {
                    title { (told(planned)) }
                    rect x=(per_cent(x)) y=(BAR_TOP - WINDOW) width=(per_cent(width)) height=(BAR + 2 * WINDOW) fill={ "url(#" (hatch) ")" } {}
                    rect.edge x=(per_cent(x)) y=(BAR_TOP - WINDOW) width=(per_cent(width)) height=(BAR + 2 * WINDOW) fill="none" {}
                }
            }
        }
    }

    fn bar(&self, spell: &Spell) -> Markup {
        let (x, width) = self.extent(spell.first_seen, spell.last_seen);
        // A bar that is too narrow to be seen grows to the left where there is no room on the right.
        let width = width.max(NARROWEST);
        let x = x.min(100.0 - width);
        let letter = spell.thumbprint.as_deref().and_then(|it| self.letter(it));
        let class = match &letter {
            Some(letter) => format!("bar c{}", letter.colour),
            None => "bar none".to_owned(),
        };
        html! {
            svg class=(class) x=(per_cent(x)) y=(BAR_TOP) width=(per_cent(width)) height=(BAR) {
                title { (told_spell(spell, letter.as_ref())) }
                rect width="100%" height=(BAR) {}
                text x="5" y=(BAR - 6) { (self.label(spell)) }
            }
        }
    }

    fn label(&self, spell: &Spell) -> String {
        let letter = spell.thumbprint.as_deref().and_then(|it| self.letter(it));
        match (letter, &spell.subject_cn) {
            (Some(letter), Some(name)) => format!("{} {name}", letter.text),
            (Some(letter), None) => letter.text,
            (None, _) => "no certificate".to_owned(),
        }
    }

    /// Changes and rejections.
    fn marks(&self, lane: &Connector) -> Vec<Mark> {
        let history = &lane.history;
        let name = |thumbprint: &Option<String>| match thumbprint {
            Some(thumbprint) => self
                .letter(thumbprint)
                .map_or_else(|| thumbprint.clone(), |letter| letter.text),
            None => "no certificate".to_owned(),
        };
        let changes = history.changes.iter().map(|change| Mark {
            x: self.x(change.at),
            class: "change",
            shape: "M0 -2l-4.5 -6h9z",
            title: format!(
                "{}: {} instead of {}",
                change.at.strftime("%Y-%m-%d %H:%M UTC"),
                name(&change.after),
                name(&change.before)
            ),
        });
        let rejections = history.rejections.iter().map(|rejections| Mark {
            // In the middle of its day, but not in the future.
            x: self.x(rejections
                .day
                .checked_add(DAY / 2)
                .unwrap_or(rejections.day)
                .min(self.at)),
            class: "rejection",
            shape: "M-3.5 23.5l7 7m0 -7l-7 7",
            title: format!(
                "{}: relay denied {} times",
                date(rejections.day),
                rejections.count
            ),
        });
        changes.chain(rejections).collect()
    }

    fn legend(&self) -> Markup {
        let histories = || self.lanes.iter().map(|lane| &lane.history);
        html! {
            ul.legend {
                @for (index, (thumbprint, name)) in self.certificates.iter().enumerate() {
                    @let letter = Letter::of(index);
                    li {
                        span.key.{ "c" (letter.colour) } { (letter.text) } " "
                        (name.unwrap_or("(subject not known)")) " "
                        code title=(thumbprint) { (thumbprint.get(..8).unwrap_or(thumbprint)) "…" }
                    }
                }
                @if histories().any(|it| it.spells.iter().any(|spell| spell.thumbprint.is_none())) {
                    li { span.key.none { "–" } " no client certificate" }
                }
                @if histories().any(|it| !it.changes.is_empty()) {
                    li { (sample("change", "M8 11l-4.5 -6h9z")) " change" }
                }
                @if histories().any(|it| !it.rejections.is_empty()) {
                    li { (sample("rejection", "M4.5 4.5l7 7m0 -7l-7 7")) " relay denied on that day" }
                }
                @if histories().any(|it| !it.planned.is_empty()) {
                    li { (sample("planned", "M2 14L14 2M2 8L8 2M8 14L14 8")) " planned renewal" }
                }
            }
        }
    }

    /// What a reader without the picture needs to know.
    fn words(&self) -> String {
        let lanes = self.lanes.iter().map(|lane| {
            let history = &lane.history;
            let denied: u64 = history.rejections.iter().map(|it| it.count).sum();
            let last = match history.spells.iter().max_by_key(|spell| spell.last_seen) {
                Some(spell) => match (&spell.thumbprint, &spell.subject_cn) {
                    (Some(_), Some(name)) => format!("last {name}"),
                    (Some(_), None) => "last a certificate without known name".to_owned(),
                    (None, _) => "last no client certificate".to_owned(),
                },
                None => "nothing".to_owned(),
            };
            let changes = counted(history.changes.len(), "change", "changes");
            format!(
                "{}: {last}, {changes}, relay denied {denied} times.",
                lane.server
            )
        });
        let lanes: Vec<String> = lanes.collect();
        format!("{} The table below has all of it.", lanes.join(" "))
    }

    /// Each once: they are those of the connector, whatever the server.
    fn planned(&self) -> Vec<&Planned> {
        let mut planned: Vec<&Planned> = Vec::new();
        for window in self.lanes.iter().flat_map(|lane| &lane.history.planned) {
            if !planned.contains(&window) {
                planned.push(window);
            }
        }
        planned
    }

    fn table(&self) -> Markup {
        html! {
            details {
                summary { "As a table" }
                div.scroll { table {
                    thead { tr { @for name in ["Server", "Presented", "Thumbprint", "From", "To", "Sessions"] { th scope="col" { (name) } } } }
                    tbody {
                        @for lane in self.lanes {
                            @for spell in &lane.history.spells {
                                tr {
                                    td data-label="Server" { (lane.server) }
                                    td data-label="Presented" {
                                        @match (&spell.thumbprint, &spell.subject_cn) {
                                            (Some(_), Some(name)) => { (name) }
                                            (Some(_), None) => { "(subject not known)" }
                                            (None, _) => { "no client certificate" }
                                        }
                                    }
                                    td data-label="Thumbprint" { @match &spell.thumbprint { Some(thumbprint) => { code { (thumbprint) } } None => { "–" } } }
                                    td data-label="From" { (moment(spell.first_seen)) }
                                    td data-label="To" { (moment(spell.last_seen)) }
                                    td.number data-label="Sessions" { (spell.sessions) }
                                }
                            }
                        }
                    }
                } }
                @for planned in self.planned() { p { (sentence(&told(planned))) } }
                @for lane in self.lanes {
                    @if !lane.history.rejections.is_empty() {
                        p { (lane.server) ": relay denied on "
                            @for (index, day) in lane.history.rejections.iter().enumerate() {
                                @if index > 0 { ", " }
                                (date(day.day)) " (" (day.count) ")"
                            }
                        }
                    }
                }
            }
        }
    }

    /// Where a time lies, in per cent of the width.
    fn x(&self, time: Timestamp) -> f64 {
        let whole = self.until.duration_since(self.from).as_secs_f64();
        (time.duration_since(self.from).as_secs_f64() / whole * 100.0).clamp(0.0, 100.0)
    }

    /// Beginning and width, as far as they are in the picture.
    fn extent(&self, from: Timestamp, until: Timestamp) -> (f64, f64) {
        let (x, end) = (self.x(from), self.x(until));
        (x, end - x)
    }
}

fn sample(class: &str, shape: &str) -> Markup {
    html! { svg.sample width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" { g.(class) { path d=(shape) {} } } }
}

fn told(planned: &Planned) -> String {
    let reason = planned.reason.as_deref().map(|it| format!(" ({it})"));
    format!(
        "planned: {} from {} until {}{}",
        planned.thumbprint,
        planned.from.strftime("%Y-%m-%d %H:%M UTC"),
        planned.until.strftime("%Y-%m-%d %H:%M UTC"),
        reason.unwrap_or_default()
    )
}

fn told_spell(spell: &Spell, letter: Option<&Letter>) -> String {
    let what = match (&spell.thumbprint, &spell.subject_cn) {
        (Some(thumbprint), Some(name)) => format!("{name}, {thumbprint}"),
        (Some(thumbprint), None) => thumbprint.clone(),
        (None, _) => "no client certificate".to_owned(),
    };
    let letter = letter.map(|letter| format!("{}: ", letter.text));
    format!(
        "{}{what}, {} to {}, {}",
        letter.unwrap_or_default(),
        spell.first_seen.strftime("%Y-%m-%d %H:%M"),
        spell.last_seen.strftime("%Y-%m-%d %H:%M UTC"),
        many(spell.sessions, "session", "sessions")
    )
}

fn per_cent(value: f64) -> String {
    format!("{value:.2}%")
}
