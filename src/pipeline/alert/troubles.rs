//! What goes wrong in sessions apart from the certificate: TLS that fails, and replies about TLS or the server's version.
//!
//! A single failed handshake is a matter of the network. Two without a good one between them, at least a minute apart,
//! are not; and two good ones end it. Mail in clear is no matter of chance: good sessions between do not excuse it, and
//! when it comes and goes, it ends only with half an hour without it. A reply that throttles comes now and then between good ones by its nature, so it
//! ends only with a quiet period that has traffic in it.
//!
//! Rows of long ago that are read late count only as far as what came after them has not ended what they show.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::findings::CONFIRMING_SESSIONS;
use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::alert::findings::UNSTEADY;
use crate::pipeline::alert::recent::Recent;
use crate::pipeline::alert::recent::is_apart;
use crate::pipeline::alert::recent::is_late;
use crate::pipeline::record::SessionId;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::verdict;
use crate::pipeline::verdict::powershell_quote;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;
use crate::pipeline::verdict::reason::Severity;

/// Failed handshakes confirm each other only over at least this time: a broken line fails several at once.
pub const FAILING_FOR: SignedDuration = SignedDuration::from_secs(60);

/// What is observed where mail goes out without TLS, though a certificate is to be presented in it.
pub const IN_CLEAR: &str = "mail goes out in clear, without STARTTLS,";

/// What goes wrong on one connector of one server.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Troubles {
    failing: Option<Failing>,
    tls: Option<Refusals>,
    version: Option<Refusals>,
    /// Good handshakes.
    #[serde(default)]
    good: Recent,
    /// When the newest handshake was, good or not.
    #[serde(default)]
    newest: Option<Timestamp>,
}

/// Handshakes that fail.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Failing {
    error: String,
    since: Timestamp,
    /// The last one.
    #[serde(default)]
    last: Timestamp,
    good: u32,
    confirmed: bool,
    /// Whether there were good ones between.
    #[serde(default)]
    unsteady: bool,
}

/// Replies of one class.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Refusals {
    reply: String,
    blocked: bool,
    since: Timestamp,
    last: Timestamp,
    session: SessionId,
    sessions: u32,
}

impl Troubles {
    /// A handshake with Exchange Online failed, or there was none; `error` is Exchange's own word for it, or [`IN_CLEAR`].
    pub fn tls_failed(&mut self, error: &str, time: Timestamp) {
        let late = is_late(time, self.newest);
        self.newest = self.newest.max(Some(time));
        if late {
            self.tls_failed_before(error, time);
            return;
        }
        let Some(failing) = self.failing.as_mut().filter(|it| it.may_go_on()) else {
            self.failing = Some(Failing::new(error, time, 0));
            return;
        };
        error.clone_into(&mut failing.error);
        failing.last = failing.last.max(time);
        failing.unsteady |= failing.good > 0 && error == IN_CLEAR;
        failing.good = 0;
        failing.confirmed |= time.duration_since(failing.since) >= FAILING_FOR;
    }

    /// One that is read late counts unless good ones that came after it have ended what it shows.
    fn tls_failed_before(&mut self, error: &str, time: Timestamp) {
        let good = self.good.after(time).len();
        let good = u32::try_from(good).unwrap_or(CONFIRMING_SESSIONS);
        if good >= CONFIRMING_SESSIONS {
            return;
        }
        let is_good_between = |from, until| {
            let first = self.good.after(from).first();
            first.is_some_and(|first| first.time < until)
        };
        match &mut self.failing {
            Some(failing) if time < failing.since => {
                if !is_good_between(time, failing.since) {
                    failing.since = time;
                    failing.confirmed |= failing.last.duration_since(time) >= FAILING_FOR;
                }
            }
            Some(failing) if time <= failing.last => {}
            Some(failing) if failing.confirmed || !is_good_between(failing.last, time) => {
                error.clone_into(&mut failing.error);
                failing.last = time;
                failing.good = good;
                failing.confirmed |= time.duration_since(failing.since) >= FAILING_FOR;
            }
            failing => *failing = Some(Failing::new(error, time, good)),
        }
    }

    /// A handshake with Exchange Online succeeded.
    pub fn secured(&mut self, time: Timestamp) {
        let newest = self.newest.filter(|_| is_late(time, self.newest));
        self.newest = self.newest.max(Some(time));
        self.good.add(time, None);
        // One that is read late says nothing of failures that came after it.
        let ends = |failing: &mut Failing| newest.is_none() || failing.last < time;
        if let Some(failing) = self.failing.take_if(ends) {
            self.failing = failing.with_a_good_one(newest.unwrap_or(time));
        }
        self.end_refusals_that_are_over();
    }

    fn end_refusals_that_are_over(&mut self) {
        let good = &self.good;
        for refusals in [&mut self.tls, &mut self.version] {
            refusals.take_if(|known| good.quiet_since(known.last).is_some());
        }
    }

    /// Exchange Online refused a command; `reply` is its answer without addresses.
    pub fn refused(
        &mut self,
        class: ReplyClass,
        code: u16,
        reply: String,
        session: SessionId,
        time: Timestamp,
    ) {
        let refusals = match class {
            ReplyClass::Tls => &mut self.tls,
            ReplyClass::Version => &mut self.version,
            ReplyClass::Attribution | ReplyClass::Blocked | ReplyClass::Other => return,
        };
        let late = is_late(time, self.newest);
        if late
            && refusals
                .as_ref()
                .is_some_and(|known| is_apart(time, known.since))
        {
            return;
        }
        let known = refusals.get_or_insert_with(|| Refusals {
            reply: reply.clone(),
            blocked: false,
            since: time,
            last: time,
            session,
            sessions: 1,
        });
        if known.session != session {
            known.session = session;
            known.sessions = known.sessions.saturating_add(1);
        }
        if !late || known.last <= time {
            known.reply = reply;
        }
        // Replies of both kinds come in turns, and a server that was blocked will be again.
        known.blocked |= code >= 500;
        known.since = known.since.min(time);
        known.last = known.last.max(time);
        // What came after it may have been read before it.
        self.end_refusals_that_are_over();
    }

    /// What counts, on this connector of this server.
    pub fn confirmed(&self, connector: &str) -> Vec<Confirmed> {
        let failing = self
            .failing
            .as_ref()
            .filter(|failing| failing.confirmed)
            .map(|failing| {
                let observed = format!("{} since {}", failing.error, failing.since);
                (observed, failing.since)
            });
        let count = |refusals: &Option<Refusals>| {
            let known = refusals.as_ref()?;
            let counts = known.sessions >= CONFIRMING_SESSIONS;
            counts.then(|| (known.reply.clone(), known.since))
        };
        let mut confirmed = Vec::new();
        if let Some((observed, since)) = failing.or_else(|| count(&self.tls)) {
            confirmed.extend(named(tls_failing(observed, connector), since));
        }
        if let Some((observed, since)) = count(&self.version) {
            let blocked = self.version.as_ref().is_some_and(|known| known.blocked);
            confirmed.extend(named(throttled(observed, blocked), since));
        }
        confirmed
    }
}

impl Failing {
    fn new(error: &str, time: Timestamp, good: u32) -> Self {
        Self {
            error: error.to_owned(),
            since: time,
            last: time,
            good,
            confirmed: false,
            unsteady: false,
        }
    }

    /// Whether a failure that follows belongs to it: a good one between them parts two failures, but no mail in clear.
    fn may_go_on(&self) -> bool {
        self.confirmed || self.good == 0 || self.error == IN_CLEAR
    }

    /// What is left of it after a good handshake: nothing, unless it was confirmed, or mail went out in clear lately.
    fn with_a_good_one(mut self, time: Timestamp) -> Option<Self> {
        self.good = self.good.saturating_add(1);
        let is_late = time.duration_since(self.last) < UNSTEADY;
        let may_come_back = if self.confirmed {
            self.unsteady
        } else {
            self.error == IN_CLEAR
        };
        let is_over = !self.confirmed || self.good >= CONFIRMING_SESSIONS;
        (!is_over || may_come_back && is_late).then_some(self)
    }
}

/// A reason under the name of its alert.
pub(super) fn named(reason: Reason, since: Timestamp) -> Option<Confirmed> {
    Some(Confirmed {
        alert: reason.alert()?,
        since,
        reason,
    })
}

fn tls_failing(observed: String, connector: &str) -> Reason {
    let connector = powershell_quote(connector);
    let action = [
        "Test-NetConnection -ComputerName outlook-com.olc.protection.outlook.com -Port 25".to_owned(),
        format!("# What the queue says: Get-Queue | Where-Object NextHopConnector -ne $null | Format-List Identity,Status,LastError; Get-SendConnector {connector} | Format-List TlsCertificateName,RequireTLS,TlsAuthLevel,TlsDomain"),
        "# NoCredentials: the server found no usable certificate or no access to its key. Others: TLS 1.2 switched off, or a firewall that inspects SMTP.".to_owned(),
    ];
    verdict::state(
        ReasonCode::TlsFailing,
        "a TLS session",
        observed,
        action.join("\n"),
    )
}

fn throttled(observed: String, blocked: bool) -> Reason {
    let action = [
        "Get-ExchangeServer | Format-Table Name,Edition,AdminDisplayVersion",
        "# Exchange Online throttles, and later blocks, servers whose build is long out of support: install the current update, or route mail through a newer server.",
    ];
    let mut reason = verdict::state(
        ReasonCode::VersionThrottled,
        "mail taken without delay",
        observed,
        action.join("\n"),
    );
    if blocked {
        reason.severity = Severity::Critical;
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::alert::recent::QUIET_PERIOD;
    use crate::pipeline::alert::recent::QUIET_SESSIONS;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    /// What happens at a second, and whether TLS is told to fail then.
    #[test]
    fn tls_fails_when_failures_follow_each_other_and_is_well_after_two_good_sessions() {
        let mut troubles = Troubles::default();
        for (second, failed, told) in [
            (0, true, false),
            (5, true, false),
            (59, true, false),
            (60, true, true),
            (61, false, true),
            (62, true, true),
            (63, false, true),
            (64, false, false),
            (70, true, false),
            (100, false, false),
            (131, true, false),
            (191, true, true),
        ] {
            if failed {
                troubles.tls_failed("NoCredentials", at(second));
            } else {
                troubles.secured(at(second));
            }
            let confirmed = troubles.confirmed("Outbound");
            assert_eq!(confirmed.len() == 1, told, "at {second}");
        }
        let told = troubles.confirmed("O'Brien").remove(0);
        assert_eq!(told.since, at(131));
        assert!(told.reason.message.contains("NoCredentials"));
        assert!(told.reason.action.contains("'O''Brien'"));
    }

    /// What is seen at a minute, and whether TLS is told to fail then.
    #[test]
    fn good_sessions_between_do_not_excuse_mail_in_clear() {
        let mut troubles = Troubles::default();
        for (minute, in_clear, told) in [
            (0, true, false),
            (1, false, false),
            (2, false, false),
            (3, true, true),
            (4, false, true),
            (5, false, true),
            (32, false, true),
            (33, false, false),
            (40, true, false),
            (41, false, false),
            (70, false, false),
            (71, true, false),
            (72, true, true),
            (73, false, true),
            (74, false, false),
        ] {
            if in_clear {
                troubles.tls_failed(IN_CLEAR, at(minute * 60));
            } else {
                troubles.secured(at(minute * 60));
            }
            let confirmed = troubles.confirmed("Outbound");
            assert_eq!(confirmed.len() == 1, told, "at minute {minute}");
        }
    }

    #[test]
    fn a_throttled_version_is_told_until_a_quiet_period_with_traffic() {
        let mut troubles = Troubles::default();
        let refused = |troubles: &mut Troubles, session, code, second| {
            let reply = "450 4.7.230 throttled".to_owned();
            let class = ReplyClass::Version;
            troubles.refused(class, code, reply, SessionId(session), at(second));
            troubles.confirmed("Outbound").len()
        };
        assert_eq!(refused(&mut troubles, 1, 450, 0), 0);
        assert_eq!(
            refused(&mut troubles, 1, 450, 1),
            0,
            "one session is a hint"
        );
        assert_eq!(refused(&mut troubles, 2, 450, 2), 1);
        let severity = |troubles: &Troubles| troubles.confirmed("Outbound")[0].reason.severity;
        assert_eq!(severity(&troubles), Severity::Warning);
        refused(&mut troubles, 3, 550, 3);
        assert_eq!(severity(&troubles), Severity::Critical, "blocked");
        refused(&mut troubles, 4, 450, 4);
        assert_eq!(severity(&troubles), Severity::Critical, "and then let in");
        let quiet = QUIET_PERIOD.as_secs();
        for session in 0..i64::from(QUIET_SESSIONS) - 1 {
            troubles.secured(at(quiet + session));
        }
        assert_eq!(troubles.confirmed("Outbound").len(), 1, "too few sessions");
        troubles.secured(at(2 * quiet));
        assert_eq!(troubles.confirmed("Outbound").len(), 0);
    }

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    /// What is told after these, by second: `good`, `throttled`, or the error of a handshake.
    fn told(rows: &[(i64, &str)]) -> Vec<ReasonCode> {
        let mut troubles = Troubles::default();
        for (number, (second, what)) in (0..).zip(rows) {
            match *what {
                "good" => troubles.secured(at(*second)),
                "throttled" => {
                    let (class, session) = (ReplyClass::Version, SessionId(number));
                    let reply = "450 4.7.230".to_owned();
                    troubles.refused(class, 450, reply, session, at(*second));
                }
                error => troubles.tls_failed(error, at(*second)),
            }
        }
        let confirmed = troubles.confirmed("Outbound");
        confirmed.iter().map(|it| it.reason.code).collect()
    }

    fn every_minute(from: i64, times: i64, what: &str) -> Vec<(i64, &str)> {
        let at_minute = |minute| (from + 60 * minute, what);
        (0..times).map(at_minute).collect()
    }

    #[test]
    fn what_is_read_late_says_nothing_about_now() {
        let failing = &[ReasonCode::TlsFailing][..];
        let throttled = &[ReasonCode::VersionThrottled][..];
        let (old, now) = (4 * HOUR, DAY - HOUR);
        for (name, earlier, later, expected) in [
            (
                "failures of long ago, good since",
                every_minute(old, 3, "SocketError"),
                every_minute(now, 10, "good"),
                &[][..],
            ),
            (
                "failures of long ago, two good ones since",
                every_minute(old, 3, "SocketError"),
                every_minute(now, 2, "good"),
                &[],
            ),
            (
                "failures of long ago, a good one since",
                every_minute(old, 3, "SocketError"),
                every_minute(now, 1, "good"),
                failing,
            ),
            (
                "a failure of long ago, a good one and a failure since",
                every_minute(old, 1, "SocketError"),
                vec![(now, "good"), (now + 1, "SocketError")],
                &[],
            ),
            (
                "a failure of long ago, and one since",
                every_minute(old, 1, "SocketError"),
                every_minute(now, 1, "SocketError"),
                failing,
            ),
            (
                "good ones of long ago",
                every_minute(old, 3, "good"),
                every_minute(now, 10, "SocketError"),
                failing,
            ),
            (
                "failures and good ones of long ago",
                [
                    every_minute(old, 3, "SocketError"),
                    every_minute(old + HOUR, 1, "good"),
                ]
                .concat(),
                every_minute(now, 1, "good"),
                &[],
            ),
            (
                "throttled long ago, a quiet period since",
                every_minute(old, 3, "throttled"),
                every_minute(now, 10, "good"),
                &[],
            ),
            (
                "throttled long ago, little traffic since",
                every_minute(old, 3, "throttled"),
                every_minute(now, 9, "good"),
                throttled,
            ),
            (
                "good ones before",
                every_minute(old, 30, "good"),
                every_minute(now, 3, "throttled"),
                throttled,
            ),
        ] {
            let in_order = [earlier.clone(), later.clone()].concat();
            assert_eq!(told(&in_order), expected, "{name}: in order");
            let read_late = [later, earlier].concat();
            assert_eq!(told(&read_late), expected, "{name}: read late");
        }
    }

    #[test]
    fn a_reply_about_tls_counts_like_a_failure_and_others_do_not() {
        let mut troubles = Troubles::default();
        for session in 0..3 {
            let refused = |troubles: &mut Troubles, class| {
                let session = SessionId(session);
                troubles.refused(class, 550, "reply".to_owned(), session, at(0));
            };
            refused(&mut troubles, ReplyClass::Other);
            refused(&mut troubles, ReplyClass::Blocked);
            refused(&mut troubles, ReplyClass::Attribution);
            assert!(troubles.confirmed("Outbound").is_empty());
        }
        for session in 0..2 {
            let session = SessionId(session);
            troubles.refused(
                ReplyClass::Tls,
                454,
                "454 4.7.66".to_owned(),
                session,
                at(0),
            );
        }
        let told = troubles.confirmed("Outbound").remove(0);
        assert_eq!(told.reason.code, ReasonCode::TlsFailing);
    }
}
