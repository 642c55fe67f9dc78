//! Rule L4: servers that present different certificates on one connector.
//!
//! A renewal reaches one server after the other, so they may disagree for a while. Servers that each have a certificate
//! of their own, with names of their own, do not disagree: only certificates with a name in common do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::alert::troubles::named;
use crate::pipeline::certificate::Certificate;
use crate::pipeline::verdict;
use crate::pipeline::verdict::powershell_quote;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;

/// A server that has not been heard of for so long has no say.
pub const HEARD_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Agreement must last so long to count: a server with two certificates presents now one, now the other.
pub const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// So many servers are named for each certificate.
const MAX_NAMED: usize = 5;

/// So many digits of a thumbprint tell certificates apart.
const SHORT_THUMBPRINT: usize = 8;

/// What one server presents on the connector.
#[derive(Clone, Debug)]
pub struct Vote {
    /// Name of the server.
    pub server: Arc<str>,
    /// Its certificate.
    pub certificate: Arc<Certificate>,
    /// Since when the server presents it and no other.
    pub since: Timestamp,
    /// When the server last presented it.
    pub last: Timestamp,
}

/// Which connectors' servers disagree.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Disagreements {
    known: BTreeMap<Arc<str>, Known>,
}

/// Servers that disagree, and have not agreed again for long enough.
#[derive(Debug, Deserialize, Serialize)]
struct Known {
    /// When that began. An older certdrift kept only what was told.
    #[serde(default)]
    since: Timestamp,
    told: Option<Confirmed>,
    agreed_since: Option<Timestamp>,
}

impl Disagreements {
    /// What holds of one connector now. `window`: for so long a renewal may take to reach every server.
    pub fn consider(
        &mut self,
        connector: &Arc<str>,
        votes: &[Vote],
        window: SignedDuration,
        now: Timestamp,
    ) -> Option<Confirmed> {
        let Some(since) = disagree_since(votes, now) else {
            let known = self.known.get_mut(connector)?;
            let agreed = known.agreed_since.get_or_insert(now);
            // A clock that was ahead and is set back must not put off the end.
            *agreed = (*agreed).min(now);
            if now.duration_since(*agreed) < SETTLED_AFTER {
                return known.told.clone();
            }
            self.known.remove(connector);
            return None;
        };
        let known = self.known.entry(Arc::clone(connector)).or_insert(Known {
            since,
            told: None,
            agreed_since: None,
        });
        known.since = known.since.min(since);
        known.agreed_since = None;
        let began = match &known.told {
            Some(told) => told.since,
            None if now.duration_since(known.since) >= window => known.since,
            None => return None,
        };
        known.told = named(disagreement(connector, votes, now), began);
        known.told.clone()
    }

    /// What was told last of one connector, as long as nothing can be concluded.
    pub fn told(&self, connector: &str) -> Option<&Confirmed> {
        self.known.get(connector)?.told.as_ref()
    }

    /// Forgets connectors that are no longer judged.
    pub fn retain(&mut self, is_judged: impl Fn(&str) -> bool) {
        self.known.retain(|connector, _| is_judged(connector));
    }
}

/// Since when two servers present different certificates with a name in common.
fn disagree_since(votes: &[Vote], now: Timestamp) -> Option<Timestamp> {
    let thumbprint = |vote: &Vote| vote.certificate.thumbprint;
    if votes
        .windows(2)
        .all(|pair| thumbprint(&pair[0]) == thumbprint(&pair[1]))
    {
        return None;
    }
    let heard: Vec<(&Vote, Vec<String>)> = votes
        .iter()
        .filter(|vote| now.duration_since(vote.last) <= HEARD_WITHIN)
        .map(|vote| (vote, vote.certificate.presented_names()))
        .collect();
    let mut since: Option<Timestamp> = None;
    for (index, (one, names)) in heard.iter().enumerate() {
        for (other, other_names) in &heard[..index] {
            let differ = thumbprint(one) != thumbprint(other);
            if differ && names.iter().any(|name| other_names.contains(name)) {
                // They disagree since the later one of the two changed.
                let began = one.since.max(other.since);
                since = Some(since.map_or(began, |earliest| earliest.min(began)));
            }
        }
    }
    since
}

fn disagreement(connector: &str, votes: &[Vote], now: Timestamp) -> Reason {
    let observed = named_by_certificate(votes, now);
    let connector = powershell_quote(connector);
    let action = [
        format!(
            "Get-SendConnector {connector} | Select-Object -ExpandProperty SourceTransportServers | ForEach-Object {{ Get-ExchangeCertificate -Server $_.Name | Sort-Object NotAfter | Format-Table Thumbprint,NotAfter,Services,Subject }}"
        ),
        "# Import the renewed certificate where it is missing, then: Enable-ExchangeCertificate -Server … -Thumbprint … -Services SMTP, and Restart-Service MSExchangeTransport there.".to_owned(),
    ];
    verdict::state(
        ReasonCode::ServersDisagree,
        "one certificate on all servers of the connector",
        observed,
        action.join("\n"),
    )
}

/// `EX01, EX02: 0A1B2C3D mail.contoso.com until 2027-06-01; EX03: …`: short, because what is shown is cut when it is long.
fn named_by_certificate(votes: &[Vote], now: Timestamp) -> String {
    let mut servers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let heard = votes
        .iter()
        .filter(|vote| now.duration_since(vote.last) <= HEARD_WITHIN);
    for vote in heard {
        let of_certificate = servers.entry(in_short(&vote.certificate)).or_default();
        of_certificate.push(&vote.server);
    }
    let groups = servers.iter().map(|(certificate, servers)| {
        let mut text = servers[..servers.len().min(MAX_NAMED)].join(", ");
        if servers.len() > MAX_NAMED {
            let _ = write!(text, " and {} more", servers.len() - MAX_NAMED);
        }
        format!("{text}: {certificate}")
    });
    groups.collect::<Vec<_>>().join("; ")
}

/// The beginning of the thumbprint, the common name, and the day on which it ends.
fn in_short(certificate: &Certificate) -> String {
    let thumbprint = certificate.thumbprint.map(|it| it.to_string());
    let mut text = thumbprint.unwrap_or_default();
    text.truncate(SHORT_THUMBPRINT);
    if let Some(name) = certificate.common_name() {
        let _ = write!(text, " {name}");
    }
    if let Some(end) = certificate.not_after {
        let _ = write!(text, " until {}", end.strftime("%Y-%m-%d"));
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::pipeline::certificate::row;

    const WINDOW: SignedDuration = SignedDuration::from_hours(4);

    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
    }

    fn vote(server: &str, name: &str, digit: char, since: i64, last: i64) -> Vote {
        let thumbprint: String = std::iter::repeat_n(digit, 40).collect();
        let text = format!(
            " CN={name} CN=Issuing CA, O=Example 0A1B {thumbprint} 2025-12-20T00:00:00.000Z 2036-06-20T00:00:00.000Z {name}"
        );
        Vote {
            server: Arc::from(server),
            certificate: Arc::new(row::parse_row(text.as_bytes())),
            since: at(since),
            last: at(last),
        }
    }

    #[test]
    fn a_renewal_that_reaches_one_server_only_is_told_after_the_window() {
        let connector: Arc<str> = Arc::from("Outbound");
        let mut known = Disagreements::default();
        let old = |last| vote("EX02", "mail.contoso.com", 'A', 0, last);
        let new = |last| vote("EX01", "mail.contoso.com", 'B', 100, last);
        let mut told = |votes: &[Vote], now| known.consider(&connector, votes, WINDOW, at(now));
        assert!(told(&[new(101), old(101)], 103).is_none(), "a rollout");
        let alert = told(&[new(103), old(103)], 104).unwrap();
        assert_eq!(alert.since, at(100));
        let named = "EX02: AAAAAAAA mail.contoso.com until 2036-06-20; EX01: BBBBBBBB mail.contoso.com until 2036-06-20";
        assert_eq!(alert.reason.observed, named);
        // EX02 presents now the new one, now the old one.
        let agreed = [new(105), vote("EX02", "mail.contoso.com", 'B', 105, 105)];
        assert!(told(&agreed, 105).is_some());
        assert_eq!(told(&[new(105), old(105)], 106).unwrap().since, at(100));
        assert!(told(&agreed, 207).is_some(), "the clock is ahead");
        assert!(told(&agreed, 107).is_some());
        assert!(told(&agreed, 108).is_none(), "they agree for an hour");
    }

    #[test]
    fn a_server_that_presents_two_certificates_in_turn_disagrees_for_as_long_as_it_does() {
        let connector: Arc<str> = Arc::from("Outbound");
        let mut known = Disagreements::default();
        let mut told = |digit, hour| {
            let steady = vote("EX01", "mail.contoso.com", 'B', 50, hour);
            let turns = vote("EX02", "mail.contoso.com", digit, hour, hour);
            known.consider(&connector, &[steady, turns], WINDOW, at(hour))
        };
        assert!(told('A', 100).is_none(), "one stray session");
        assert!(told('B', 101).is_none());
        assert!(told('B', 102).is_none(), "they agree for an hour");
        assert!(told('A', 104).is_none(), "a stray session again");
        for hour in 105..108 {
            assert!(told('A', hour).is_none());
        }
        assert_eq!(told('A', 108).unwrap().since, at(104));
    }

    #[test]
    fn what_an_older_certdrift_told_goes_on() {
        let connector: Arc<str> = Arc::from("Outbound");
        let votes = [
            vote("EX01", "mail.contoso.com", 'A', 0, 10),
            vote("EX02", "mail.contoso.com", 'B', 5, 10),
        ];
        let mut known = Disagreements::default();
        assert!(known.consider(&connector, &votes, WINDOW, at(10)).is_some());
        let mut kept = serde_json::to_value(&known).unwrap();
        let of_connector = kept["known"]["Outbound"].as_object_mut().unwrap();
        assert!(of_connector.remove("since").is_some());
        let mut known: Disagreements = serde_json::from_value(kept).unwrap();
        let told = known.consider(&connector, &votes, WINDOW, at(11));
        assert_eq!(told.unwrap().since, at(5));
    }

    #[test]
    fn servers_with_names_of_their_own_and_servers_long_gone_do_not_disagree() {
        let connector: Arc<str> = Arc::from("Outbound");
        let mail = vote("EX01", "mail.contoso.com", 'A', 0, 1000);
        for other in [
            vote("EX02", "edge.contoso.com", 'B', 0, 1000),
            vote("EX02", "mail.contoso.com", 'A', 0, 1000),
            vote("EX02", "mail.contoso.com", 'B', 0, 1000 - 7 * 24 - 1),
        ] {
            let mut known = Disagreements::default();
            let votes = [mail.clone(), other];
            let told = known.consider(&connector, &votes, WINDOW, at(1000));
            assert!(told.is_none(), "{votes:?}");
        }
        let heard = vote("EX02", "mail.contoso.com", 'B', 0, 1000 - 7 * 24);
        let gone = vote("EX03", "mail.contoso.com", 'C', 0, 1000 - 7 * 24 - 1);
        let votes = [mail, heard, gone];
        let told = Disagreements::default().consider(&connector, &votes, WINDOW, at(1000));
        let observed = told.unwrap().reason.observed;
        assert!(observed.contains("EX02: BBBBBBBB"), "{observed}");
        assert!(!observed.contains("EX03"), "{observed}");
    }

    #[test]
    fn five_servers_are_named_for_each_certificate() {
        let connector: Arc<str> = Arc::from("Outbound");
        let told = |servers: usize| {
            let many =
                (1..=servers).map(|it| vote(&format!("EX{it:02}"), "mail.contoso.com", 'A', 0, 10));
            let votes: Vec<Vote> = many
                .chain([vote("EX99", "mail.contoso.com", 'B', 0, 10)])
                .collect();
            let told = Disagreements::default().consider(&connector, &votes, WINDOW, at(10));
            told.unwrap().reason.observed
        };
        let five = "EX01, EX02, EX03, EX04, EX05: AAAAAAAA";
        assert!(told(5).starts_with(five), "{}", told(5));
        let six = "EX01, EX02, EX03, EX04, EX05 and 1 more: AAAAAAAA";
        assert!(told(6).starts_with(six), "{}", told(6));
    }

    #[test]
    fn what_is_no_longer_judged_is_forgotten() {
        let mut known = Disagreements::default();
        let (old, new) = (
            vote("EX01", "mail.contoso.com", 'A', 0, 10),
            vote("EX02", "mail.contoso.com", 'B', 6, 10),
        );
        let votes = [old, new];
        let names: [Arc<str>; 2] = [Arc::from("Outbound"), Arc::from("Other")];
        for connector in &names {
            assert!(known.consider(connector, &votes, WINDOW, at(10)).is_some());
        }
        known.retain(|connector| connector == "Other");
        // A window of its own; the other one is known to disagree.
        for (connector, is_told) in names.iter().zip([false, true]) {
            let longer = SignedDuration::from_hours(5);
            let told = known.consider(connector, &votes, longer, at(10));
            assert_eq!(told.is_some(), is_told, "{connector}");
        }
    }
}
