//! A message → the body that Alertmanager's webhook receiver sends, version 4. Most on-call tools take it.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::render::message::Message;

/// The time that Alertmanager writes for "not yet" (Go's zero time).
const NOT_YET: &str = "0001-01-01T00:00:00Z";

/// The body for one message.
pub fn body(message: &Message) -> String {
    let labels = labels(message);
    let annotations = annotations(message);
    let status = message.status();
    let ends_at = message.ends_at.map(|end| end.to_string());
    let document = json!({
        "version": "4",
        "groupKey": message.key,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": message.receiver,
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": message.external_url,
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": message.starts_at.to_string(),
            "endsAt": ends_at.unwrap_or_else(|| NOT_YET.to_owned()),
            "generatorURL": message.external_url,
            "fingerprint": fingerprint(&message.key),
        }],
    });
    document.to_string()
}

/// What identifies the alert; two machines that read the same logs give it the same labels.
pub fn labels(message: &Message) -> Value {
    json!({
        "alertname": message.alertname,
        "connector": message.connector,
        "server": message.server,
    })
}

/// Everything that may change while the alert lasts.
pub fn annotations(message: &Message) -> Value {
    let mut annotations = Map::new();
    let mut annotate = |name: &str, value: String| {
        annotations.insert(name.to_owned(), Value::String(value));
    };
    annotate("summary", message.summary.clone());
    annotate("severity", message.severity.as_str().to_owned());
    annotate("since", message.starts_at.to_string());
    annotate("runbook_url", message.runbook_url.clone());
    if !message.is_minimal {
        annotate("description", message.joined(|it| &it.message, "\n"));
        annotate("expected", message.joined(|it| &it.expected, "; "));
        annotate("observed", message.joined(|it| &it.observed, "; "));
        annotate("action", message.joined(|it| &it.action, "\n"));
        annotate("reasons", message.joined(|it| it.code, ", "));
    }
    Value::Object(annotations)
}

/// 16 hex digits that stay the same as long as the alert is the same one.
fn fingerprint(key: &str) -> String {
    let digest = Sha256::digest(key);
    let mut start = [0; 8];
    start.copy_from_slice(&digest[..8]);
    format!("{:016x}", u64::from_be_bytes(start))
}
