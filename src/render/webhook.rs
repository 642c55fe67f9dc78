//! A notice → the body that Alertmanager's webhook receiver sends, version 4. Most on-call tools take it.

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::pipeline::alert::Notice;
use crate::pipeline::shown::shown;
use crate::render::runbook;

/// The time that Alertmanager writes for "not yet" (Go's zero time).
const NOT_YET: &str = "0001-01-01T00:00:00Z";

/// The body for one notice. `external_url` is where people reach this certdrift.
///
/// Labels are what identifies the alert; everything that may change while it lasts is an annotation.
pub fn body(notice: &Notice, receiver: &str, external_url: &str) -> String {
    let labels = json!({
        "alertname": notice.name.as_str(),
        "connector": shown(&notice.place.connector),
        "server": shown(&notice.place.server),
    });
    let annotations = annotations(notice, external_url);
    let status = if notice.is_resolved() {
        "resolved"
    } else {
        "firing"
    };
    let document = json!({
        "version": "4",
        "groupKey": notice.key,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": external_url,
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": notice.starts_at.to_string(),
            "endsAt": notice.ends_at.map_or_else(|| NOT_YET.to_owned(), |end| end.to_string()),
            "generatorURL": external_url,
            "fingerprint": fingerprint(notice),
        }],
    });
    document.to_string()
}

/// 16 hex digits that stay the same as long as the alert is the same one.
fn fingerprint(notice: &Notice) -> String {
    let digest = Sha256::digest(&notice.key);
    let mut start = [0; 8];
    start.copy_from_slice(&digest[..8]);
    format!("{:016x}", u64::from_be_bytes(start))
}

/// What an alert tells beside what identifies it.
pub(super) fn annotations(notice: &Notice, external_url: &str) -> Value {
    let mut summary = match notice.places {
        1 => format!("{}: {}", notice.place, notice.name.headline()),
        places => format!("{places} places: {}", notice.name.headline()),
    };
    if notice.is_resolved() {
        summary.push_str(" (over)");
    }
    let each = |text: fn(&crate::pipeline::verdict::reason::Reason) -> &str, between: &str| {
        let texts: Vec<&str> = notice
            .reasons
            .iter()
            .map(text)
            .filter(|text| !text.is_empty())
            .collect();
        texts.join(between)
    };
    json!({
        "summary": summary,
        "description": each(|reason| &reason.message, "\n"),
        "expected": each(|reason| &reason.expected, "; "),
        "observed": each(|reason| &reason.observed, "; "),
        "action": each(|reason| &reason.action, "\n"),
        "reasons": each(|reason| reason.code.as_str(), ", "),
        "severity": notice.severity.as_str(),
        "since": notice.starts_at.to_string(),
        "runbook_url": runbook::url(external_url, notice.name),
    })
}
