//! A connector of which nothing is heard any more, put into words.

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::alert::rhythm::LEAST_SILENCE;
use crate::pipeline::alert::rhythm::Limit;
use crate::pipeline::alert::rhythm::Silence;
use crate::pipeline::alert::troubles::named;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::verdict;
use crate::pipeline::verdict::powershell_quote;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;

const LOG_PATHS: &str = "# Where the log is: Get-TransportService | Format-List Name,SendProtocolLogPath; Get-FrontEndTransportService | Format-List Name,SendProtocolLogPath";

/// What else is known when a connector is silent.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Name of the send connector.
    pub connector: &'a str,
    /// What is expected of it.
    pub expectation: &'a Expectation,
    /// Time of the newest row of any connector in the logs that told of this one.
    pub last_row: Option<Timestamp>,
    /// The present. The logs must have been read up to now.
    pub now: Timestamp,
}

/// What the configuration says of the connector's silence.
pub fn configured(expectation: &Expectation) -> Option<SignedDuration> {
    let duration = expectation.silent_after?;
    SignedDuration::try_from(duration).ok()
}

/// Whether the connector has been silent for too long, or cannot be heard. `last`: its last session; `limit`: when
/// the silence after it becomes too long.
pub fn silence(
    last: Timestamp,
    limit: Option<Limit>,
    surroundings: &Surroundings<'_>,
) -> Option<Confirmed> {
    let now = surroundings.now;
    let is_off = surroundings.expectation.protocol_logging == Some(false);
    if is_off && now.duration_since(last) >= LEAST_SILENCE {
        return named(logging_off(Some(last), surroundings), last);
    }
    let limit = limit.filter(|limit| limit.at <= now)?;
    named(silent(limit.why, last, surroundings), last)
}

/// Whether a connector of which no session has ever been seen has been silent for too long, or cannot be heard.
/// `since`: since when it has been looked for.
pub fn never_seen(since: Timestamp, surroundings: &Surroundings<'_>) -> Option<Confirmed> {
    // Its sessions are in the log of the front end under a name of their own.
    if surroundings.expectation.frontend_proxy {
        return None;
    }
    if surroundings.expectation.protocol_logging == Some(false) {
        return named(logging_off(None, surroundings), since);
    }
    let limit = configured(surroundings.expectation)?;
    if surroundings.now.duration_since(since) < limit {
        return None;
    }
    let mut reason = silent(Silence::Configured(limit), since, surroundings);
    reason.action = format!(
        "{}\n# No session of it has ever been seen: is that its name (Get-SendConnector | Format-Table Name,Enabled), and are these the logs of its servers?",
        reason.action
    );
    named(reason, since)
}

/// Nothing to worry about yet, but to be seen by whoever looks.
pub fn not_yet_seen(since: Timestamp, surroundings: &Surroundings<'_>) -> Reason {
    let connector = powershell_quote(surroundings.connector);
    let mut observed = if since == surroundings.now {
        "none yet".to_owned()
    } else {
        format!("none since {since}")
    };
    if surroundings.expectation.frontend_proxy {
        observed.push_str("; FrontendProxyEnabled is true, so its sessions are in the log of the front end, under a connector of another name");
    }
    let action = format!(
        "Get-SendConnector {connector} | Format-List Name,Enabled,ProtocolLoggingLevel,SourceTransportServers,FrontendProxyEnabled\n{LOG_PATHS}"
    );
    verdict::state(ReasonCode::NoSessionSeen, "a TLS session", observed, action)
}

fn silent(silence: Silence, last: Timestamp, surroundings: &Surroundings<'_>) -> Reason {
    let expected = match silence {
        Silence::Configured(limit) => format!("a session at least every {}", in_words(limit)),
        Silence::Usual(sessions) => {
            format!("by its own rhythm {sessions} sessions or more since {last}")
        }
        Silence::Pause(pause) => format!(
            "no pause three times as long as the longest one of the last weeks, {}",
            in_words(pause)
        ),
    };
    let log = match surroundings.last_row {
        Some(row) if row.duration_since(last) >= SignedDuration::from_mins(5) => {
            format!("the log itself goes on, its last row is of {row}")
        }
        _ => "nothing at all is logged there any more".to_owned(),
    };
    let observed = format!("none since {last}; {log}");
    let connector = powershell_quote(surroundings.connector);
    let action = [
        "Get-Queue | Where-Object MessageCount -gt 0 | Format-List Identity,Status,MessageCount,NextHopDomain,LastError".to_owned(),
        format!("# 454 4.7.5 in LastError: no certificate of the server fits. Compare: Get-SendConnector {connector} | Format-List Enabled,TlsCertificateName,ProtocolLoggingLevel,SourceTransportServers; Get-ExchangeCertificate | Format-List Thumbprint,Subject,Issuer,NotAfter,Services,Status"),
        "# Nothing waits: is the service running (Get-Service MSExchangeTransport), is mail routed elsewhere, has the log moved (Get-TransportService | Format-List Name,SendProtocolLogPath; Get-FrontEndTransportService | Format-List Name,SendProtocolLogPath), is its disk full?".to_owned(),
    ];
    verdict::state(ReasonCode::Silent, expected, observed, action.join("\n"))
}

fn logging_off(last: Option<Timestamp>, surroundings: &Surroundings<'_>) -> Reason {
    let connector = powershell_quote(surroundings.connector);
    let seen = last.map_or_else(
        || "no session has ever been seen".to_owned(),
        |last| format!("the last session is of {last}"),
    );
    verdict::state(
        ReasonCode::LoggingOff,
        "ProtocolLoggingLevel Verbose",
        format!("ProtocolLoggingLevel None, {seen}"),
        format!("Set-SendConnector {connector} -ProtocolLoggingLevel Verbose\n{LOG_PATHS}"),
    )
}

fn in_words(duration: SignedDuration) -> String {
    let minutes = duration.as_mins();
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
