//! Notices of alerts that there are not: to try a template or a receiver.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use sha2::Digest;
use sha2::Sha256;

use crate::pipeline::alert::MAX_KEY_BYTES;
use crate::pipeline::alert::Notice;
use crate::pipeline::session::Place;
use crate::pipeline::verdict::reason::AlertName;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;
use crate::pipeline::verdict::reason::Severity;

/// Text that is markup, in one way or another, nearly everywhere.
pub const NASTY: &str = "a\"b\\c'd\n\t</e>&{{ f }}{% g %}```<!channel> <https://h.example|i> [j](https://k.example) *l* _m_ @everyone \
                         \u{1b}[31mn\u{7}\u{202e}o\u{200b}p\u{0}";

/// A notice that says, wherever it is read, that it is a test. The alert is the same for both states, the message is a
/// new one each time.
pub fn test(receiver: &str, is_resolved: bool, now: Timestamp) -> Notice {
    let reason = Reason {
        code: ReasonCode::NameMismatch,
        severity: Severity::Warning,
        since: None,
        expected: "mail.contoso.com".to_owned(),
        observed: "owa.contoso.com".to_owned(),
        message: "This is a test that somebody has asked for with `certdrift notify test`. Nothing is wrong."
            .to_owned(),
        action: "# Nothing to do: this is a test.".to_owned(),
    };
    let key = match format!("certdrift/test/{receiver}") {
        key if key.len() <= MAX_KEY_BYTES => key,
        long => format!("certdrift/test/{}", hex(&long)),
    };
    let id = format!("msg_{}", hex(&format!("{key}\n{now}\n{is_resolved}")));
    Notice {
        key,
        id,
        name: AlertName::ConnectorCertificateMismatch,
        place: place("TEST", "TEST, nothing is wrong"),
        severity: Severity::Warning,
        is_first: !is_resolved,
        places: 1,
        starts_at: now,
        ends_at: is_resolved.then_some(now),
        reasons: vec![reason],
    }
}

/// 32 hex digits that are another text's.
fn hex(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Notices of every state with texts as nasty as they can be; each with what it is, and whether the message is minimal.
pub fn nasty() -> [(&'static str, Notice, bool); 5] {
    let firing = nasty_notice();
    let resolved = Notice {
        ends_at: Some(firing.starts_at + SignedDuration::from_hours(1)),
        ..firing.clone()
    };
    let summary = Notice {
        places: 12,
        place: place("", NASTY),
        ..firing.clone()
    };
    let bare = Notice {
        place: place("", ""),
        reasons: Vec::new(),
        ..firing.clone()
    };
    [
        ("a firing alert", firing.clone(), false),
        ("a resolved alert", resolved, false),
        ("an alert of many places", summary, false),
        ("a minimal message", firing, true),
        ("an alert of certdrift itself", bare, false),
    ]
}

fn nasty_notice() -> Notice {
    let reason = |code| Reason {
        code,
        severity: Severity::Critical,
        since: None,
        expected: NASTY.to_owned(),
        observed: NASTY.to_owned(),
        message: NASTY.to_owned(),
        action: NASTY.to_owned(),
    };
    Notice {
        key: "certdrift/ConnectorCertificateMismatch/a\"b\\c/EX01".to_owned(),
        id: "msg_0123456789abcdef0123456789abcdef".to_owned(),
        name: AlertName::ConnectorCertificateMismatch,
        place: place(NASTY, NASTY),
        severity: Severity::Critical,
        is_first: true,
        places: 1,
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
        reasons: vec![
            reason(ReasonCode::NameMismatch),
            reason(ReasonCode::SelfSigned),
        ],
    }
}

fn place(server: &str, connector: &str) -> Place {
    Place {
        server: Arc::from(server),
        connector: Arc::from(connector),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_ends_what_it_began_and_is_news_each_time() {
        for receiver in ["oncall", &"ü".repeat(128)] {
            let begin = test(receiver, false, Timestamp::UNIX_EPOCH);
            let end = test(receiver, true, Timestamp::UNIX_EPOCH);
            let again = test(receiver, false, Timestamp::MAX);
            assert!(begin.key.len() <= MAX_KEY_BYTES, "{}", begin.key);
            assert!(begin.key == end.key && begin.key == again.key);
            assert!(begin.id != end.id && begin.id != again.id);
            assert!(!begin.is_resolved() && end.is_resolved());
        }
    }
}
