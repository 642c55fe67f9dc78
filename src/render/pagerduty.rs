//! A message → an event for `PagerDuty`'s Events API v2.

use serde_json::Value;
use serde_json::json;

use crate::pipeline::verdict::reason::Severity;
use crate::render::message::Message;
use crate::render::message::within;

/// Longest summary, in characters; the API cuts or refuses longer ones.
pub const MAX_SUMMARY: usize = 1024;

/// The event. Triggers and resolves of one alert have the same `dedup_key`, so that a repetition, or the same alert from
/// another machine, is no second incident.
pub fn event(message: &Message, routing_key: &str) -> Value {
    if message.is_resolved {
        // Whatever else stands in it is not looked at.
        return json!({
            "routing_key": routing_key,
            "event_action": "resolve",
            "dedup_key": message.key,
        });
    }
    let source = match &*message.server {
        "" => "certdrift",
        server => server,
    };
    let mut payload = json!({
        "summary": within(&message.summary, MAX_SUMMARY),
        "source": source,
        "severity": severity(message.severity),
    });
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": message.key,
    });
    if !message.is_minimal {
        payload["timestamp"] = message.starts_at.to_string().into();
        payload["class"] = message.alertname.into();
        payload["custom_details"] = details(message);
        if !message.connector.is_empty() {
            payload["component"] = message.connector.clone().into();
        }
        event["client"] = "certdrift".into();
        event["client_url"] = message.external_url.clone().into();
        event["links"] = json!([{ "href": message.runbook_url, "text": "Runbook" }]);
    }
    event["payload"] = payload;
    event
}

fn details(message: &Message) -> Value {
    json!({
        "description": message.joined(|it| &it.message, "\n"),
        "expected": message.joined(|it| &it.expected, "; "),
        "observed": message.joined(|it| &it.observed, "; "),
        "action": message.joined(|it| &it.action, "\n"),
        "reasons": message.joined(|it| it.code, ", "),
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Information => "info",
    }
}
