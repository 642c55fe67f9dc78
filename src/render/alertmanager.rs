//! Notices → the body of a POST to `/api/v2/alerts` of an Alertmanager (its `openapi.yaml`, `postableAlerts`).
//!
//! Labels tell alerts apart there, so they hold nothing that may change while an alert lasts, but for the severity: an
//! Alertmanager routes by labels alone. Whoever changes it makes another alert, and says that the one before is over.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::render::message::Message;
use crate::render::webhook::annotations;

/// What an instance is told of: what fires holds for `life` from `now` on, unless it is told again.
pub fn body(messages: &[Message], now: Timestamp, life: SignedDuration) -> String {
    let alert = |message: &Message| {
        // A server's clock may be a little ahead, and an end before the beginning is refused.
        let holds_until = now.max(message.starts_at).checked_add(life);
        // certdrift's own clock may have been ahead, and what ends in the future fires until then.
        let ended_at = message.ends_at.map(|at| at.min(now));
        let starts_at = match ended_at {
            Some(ended_at) => message.starts_at.min(ended_at),
            None => message.starts_at,
        };
        let ends_at = ended_at.or(holds_until.ok());
        json!({
            "labels": labels(message),
            "annotations": without_severity(annotations(message)),
            "startsAt": starts_at.to_string(),
            "endsAt": ends_at.unwrap_or(Timestamp::MAX).to_string(),
            "generatorURL": message.external_url,
        })
    };
    Value::Array(messages.iter().map(alert).collect()).to_string()
}

/// A label without value is none.
fn labels(message: &Message) -> Map<String, Value> {
    let labels = [
        ("alertname", message.alertname),
        ("severity", message.severity.as_str()),
        ("connector", &message.connector),
        ("server", &message.server),
    ];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    labels
        .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())))
        .collect()
}

/// The severity is a label, and an annotation without text says nothing.
fn without_severity(annotations: Value) -> Value {
    let Value::Object(mut annotations) = annotations else {
        return annotations;
    };
    annotations.retain(|name, value| name != "severity" && value.as_str() != Some(""));
    Value::Object(annotations)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pipeline::alert::Notice;
    use crate::pipeline::session::Place;
    use crate::pipeline::verdict;
    use crate::pipeline::verdict::reason::AlertName;
    use crate::pipeline::verdict::reason::ReasonCode;
    use crate::pipeline::verdict::reason::Severity;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn notice(ends_at: Option<Timestamp>) -> Notice {
        Notice {
            key: "certdrift/SourceUnreadable//EX01".to_owned(),
            id: "msg_1".to_owned(),
            name: AlertName::SourceUnreadable,
            place: Place {
                server: Arc::from("EX01\u{202e}"),
                connector: Arc::from(""),
            },
            severity: Severity::Warning,
            is_first: true,
            places: 1,
            starts_at: at(100),
            ends_at,
            reasons: vec![verdict::state(
                ReasonCode::SourceUnreadable,
                "logs",
                "/srv: gone",
                String::new(),
            )],
        }
    }

    fn told(notice: &Notice, minimal: bool, now: i64) -> Value {
        let message = Message::new(notice, "alertmanager", "http://cd/", minimal);
        let body = body(&[message], at(now), SignedDuration::from_secs(240));
        let Value::Array(mut alerts) = serde_json::from_str(&body).unwrap() else {
            unreachable!("a list");
        };
        alerts.remove(0)
    }

    #[test]
    fn what_fires_holds_for_a_while_and_what_is_over_has_ended() {
        for (ends_at, now, from, until) in [
            (None, 1000, 100, 1240),
            (None, 50, 100, 340),
            (Some(at(120)), 1000, 100, 120),
            // The clock has been set back since: an end in the future would be none yet.
            (Some(at(9000)), 1000, 100, 1000),
            (Some(at(120)), 50, 50, 50),
        ] {
            let alert = told(&notice(ends_at), false, now);
            assert_eq!(alert["endsAt"], at(until).to_string());
            assert_eq!(alert["startsAt"], at(from).to_string());
        }
    }

    #[test]
    fn labels_tell_alerts_apart_and_nothing_else() {
        let alert = told(&notice(None), false, 1000);
        let labels =
            json!({"alertname": "SourceUnreadable", "severity": "warning", "server": "EX01"});
        assert_eq!(alert["labels"], labels);
        let names: Vec<&String> = alert["annotations"].as_object().unwrap().keys().collect();
        assert!(
            names
                .iter()
                .all(|name| *name != "severity" && *name != "action")
        );
        assert!(names.iter().any(|name| *name == "observed"));
        let alert = told(&notice(None), true, 1000);
        let names: Vec<&String> = alert["annotations"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["runbook_url", "since", "summary"]);
    }
}
