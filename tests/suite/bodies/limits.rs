//! What the makers of the receivers publish about bodies: shapes and limits, each with its source.

use serde_json::Value;

use crate::bodies::{CASES, body};

/// A value that has to be there, and what it has to be.
type Rule = (&'static str, fn(&Value) -> bool);

fn check(kind: &str, case: &str, body: &Value, rules: &[Rule]) {
    for (pointer, holds) in rules {
        let value = body.pointer(pointer);
        assert!(
            value.is_some_and(holds),
            "{kind}, {case}, {pointer}: {value:?}"
        );
    }
}

fn only_keys(value: &Value, known: &[&str]) {
    for key in value.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{key} in {value}");
    }
}

fn text(value: &Value) -> bool {
    value.is_string()
}

fn characters(value: &Value) -> usize {
    value.as_str().unwrap().chars().count()
}

fn within(most: usize, value: &Value) -> bool {
    value.is_string() && (1..=most).contains(&characters(value))
}

fn is_time(value: &Value) -> bool {
    (value.as_str()).is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
}

/// Alertmanager's documentation, `<webhook_config>`, and `notify/webhook`, `template.Data`.
#[test]
fn webhook_bodies_have_the_shape_of_alertmanager_version_4() {
    let rules: [Rule; 18] = [
        ("/version", |it| it == "4"),
        ("/groupKey", text),
        ("/truncatedAlerts", Value::is_u64),
        ("/status", |it| it == "firing" || it == "resolved"),
        ("/receiver", text),
        ("/groupLabels", Value::is_object),
        ("/commonLabels", Value::is_object),
        ("/commonAnnotations", Value::is_object),
        ("/externalURL", text),
        ("/alerts", |it| {
            it.as_array().is_some_and(|it| it.len() == 1)
        }),
        ("/alerts/0/status", |it| it == "firing" || it == "resolved"),
        ("/alerts/0/labels", all_texts),
        ("/alerts/0/annotations", all_texts),
        ("/alerts/0/startsAt", is_time),
        ("/alerts/0/endsAt", is_time),
        ("/alerts/0/generatorURL", text),
        ("/alerts/0/fingerprint", |it| {
            characters(it) == 16 && u64::from_str_radix(it.as_str().unwrap(), 16).is_ok()
        }),
        ("/alerts/0/labels/alertname", text),
    ];
    for case in CASES {
        let body = body("webhook", case);
        check("webhook", case, &body, &rules);
        assert_eq!(body["status"], body["alerts"][0]["status"]);
        let is_open = body["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z";
        assert_eq!(is_open, body["status"] == "firing", "{case}");
    }
}

fn all_texts(value: &Value) -> bool {
    value.as_object().is_some_and(|it| it.values().all(text))
}

/// Alertmanager's `api/v2/openapi.yaml`, `postableAlerts`: a list; labels with names as metrics have them and texts that are
/// not empty; annotations of texts; times; an address.
#[test]
fn alertmanager_bodies_are_postable_alerts() {
    let rules: [Rule; 5] = [
        ("/labels", |it| all_texts(it) && it["alertname"].is_string()),
        ("/annotations", all_texts),
        ("/startsAt", is_time),
        ("/endsAt", is_time),
        ("/generatorURL", |it| {
            it.as_str().unwrap().starts_with("https://")
        }),
    ];
    let known = [
        "labels",
        "annotations",
        "startsAt",
        "endsAt",
        "generatorURL",
    ];
    for case in CASES {
        let body = body("alertmanager", case);
        let [alert] = &body.as_array().unwrap()[..] else {
            panic!("{body}")
        };
        only_keys(alert, &known);
        check("alertmanager", case, alert, &rules);
        for (name, value) in alert["labels"].as_object().unwrap() {
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(is_name) && value != "", "{name}");
        }
        let time = |key: &str| {
            alert[key]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .unwrap()
        };
        assert!(time("startsAt") <= time("endsAt"), "{case}");
    }
}

/// `PagerDuty`'s `OpenAPI` document of the Events API v2, and the limits of its "Send an Alert Event" page: `dedup_key`
/// 255 characters, `summary` 1024 characters, an event 512 KB.
#[test]
fn pagerduty_bodies_are_events_of_version_2() {
    let event_keys = [
        "payload",
        "routing_key",
        "event_action",
        "dedup_key",
        "client",
        "client_url",
        "links",
        "images",
    ];
    let payload_keys = [
        "summary",
        "timestamp",
        "severity",
        "source",
        "component",
        "group",
        "class",
        "custom_details",
    ];
    let always: [Rule; 3] = [
        ("/routing_key", |it| characters(it) == 32),
        ("/event_action", |it| it == "trigger" || it == "resolve"),
        ("/dedup_key", |it| (1..=255).contains(&characters(it))),
    ];
    let of_trigger: [Rule; 3] = [
        ("/payload/summary", |it| {
            (1..=1024).contains(&characters(it))
        }),
        ("/payload/source", |it| characters(it) > 0),
        ("/payload/severity", |it| {
            ["critical", "warning", "error", "info"].contains(&it.as_str().unwrap())
        }),
    ];
    for case in CASES {
        let body = body("pagerduty", case);
        only_keys(&body, &event_keys);
        check("pagerduty", case, &body, &always);
        if body["event_action"] == "trigger" {
            check("pagerduty", case, &body, &of_trigger);
            only_keys(&body["payload"], &payload_keys);
        }
        for link in body["links"].as_array().into_iter().flatten() {
            only_keys(link, &["href", "text"]);
        }
        assert!(body.to_string().len() < 512 * 1024, "{case}");
    }
}

/// Slack's reference of Block Kit: 50 blocks; header 150 characters of plain text; section 3000 characters, or 10 fields
/// of 2000; context 10 elements; texts are not empty.
#[test]
fn slack_bodies_keep_the_limits_of_block_kit() {
    for case in CASES {
        let body = body("slack", case);
        assert!(characters(&body["text"]) > 0 && characters(&body["text"]) <= 3000);
        let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
        assert!(blocks.len() <= 50 && (case == "minimal") == blocks.is_empty());
        for block in &blocks {
            check_block(case, block);
        }
    }
}

fn check_block(case: &str, block: &Value) {
    match block["type"].as_str().unwrap() {
        "header" => {
            only_keys(block, &["type", "text"]);
            assert_eq!(block["text"]["type"], "plain_text");
            check_text(case, &block["text"], 150);
        }
        "section" => {
            only_keys(block, &["type", "text", "fields"]);
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            assert!(fields.len() <= 10 && (block["text"].is_object() || !fields.is_empty()));
            for field in &fields {
                check_text(case, field, 2000);
            }
            if block["text"].is_object() {
                check_text(case, &block["text"], 3000);
            }
        }
        "context" => {
            only_keys(block, &["type", "elements"]);
            let elements = block["elements"].as_array().unwrap();
            assert!((1..=10).contains(&elements.len()));
            for element in elements {
                check_text(case, element, 3000);
            }
        }
        other => panic!("{case}: no block of type {other} is used"),
    }
}

fn check_text(case: &str, text: &Value, most: usize) {
    let allowed: &[&str] = match text["type"].as_str().unwrap() {
        "plain_text" => &["type", "text", "emoji"],
        "mrkdwn" => &["type", "text", "verbatim"],
        other => panic!("{case}: {other}"),
    };
    only_keys(text, allowed);
    let length = characters(&text["text"]);
    assert!((1..=most).contains(&length), "{case}: {length}, {text}");
}

/// The schema of adaptive cards 1.4 (adaptivecards.io, draft 6), which allows no other keys; and Teams' limit of 28 KB,
/// of which a flow needs its share.
#[test]
fn teams_bodies_are_adaptive_cards_of_version_1_4() {
    for case in CASES {
        let body = body("teams", case);
        assert!(body.to_string().len() < 18_000, "{case}");
        only_keys(&body, &["type", "attachments"]);
        assert_eq!(body["type"], "message");
        let [attachment] = &body["attachments"].as_array().unwrap()[..] else {
            panic!("{body}")
        };
        only_keys(attachment, &["contentType", "content"]);
        assert_eq!(
            attachment["contentType"],
            "application/vnd.microsoft.card.adaptive"
        );
        let card = &attachment["content"];
        only_keys(card, &["$schema", "type", "version", "body", "actions"]);
        assert!(card["type"] == "AdaptiveCard" && card["version"] == "1.4");
        card["body"].as_array().unwrap().iter().for_each(|element| {
            check_element(case, element);
        });
        for action in card["actions"].as_array().into_iter().flatten() {
            only_keys(action, &["type", "title", "url"]);
            assert!(action["type"] == "Action.OpenUrl" && text(&action["title"]));
            assert!(action["url"].as_str().unwrap().starts_with("https://"));
        }
    }
}

fn check_element(case: &str, element: &Value) {
    match element["type"].as_str().unwrap() {
        "TextBlock" => {
            only_keys(element, &["type", "text", "size", "weight", "wrap"]);
            assert!(characters(&element["text"]) > 0, "{case}");
            let size = element.get("size");
            assert!(size.is_none_or(|it| it == "Medium"));
            assert!(element.get("weight").is_none_or(|it| it == "Bolder"));
        }
        "FactSet" => {
            only_keys(element, &["type", "facts"]);
            for fact in element["facts"].as_array().unwrap() {
                only_keys(fact, &["title", "value"]);
                assert!(text(&fact["title"]) && text(&fact["value"]));
            }
        }
        "RichTextBlock" => {
            only_keys(element, &["type", "inlines", "spacing"]);
            assert_eq!(element["spacing"], "Small");
            for run in element["inlines"].as_array().unwrap() {
                only_keys(run, &["type", "text", "fontType"]);
                assert!(run["type"] == "TextRun" && run["fontType"] == "Monospace");
                assert!(text(&run["text"]));
            }
        }
        other => panic!("{case}: no element of type {other} is used"),
    }
}

/// Discord's reference of webhooks and embeds: title 256, description 4096, 25 fields of 256 and 1024, all of them 6000
/// characters.
#[test]
fn discord_bodies_keep_the_limits_of_embeds() {
    for case in CASES {
        let body = body("discord", case);
        assert_eq!(
            body.pointer("/allowed_mentions/parse"),
            Some(&Value::Array(vec![]))
        );
        let embed = &body["embeds"][0];
        let rules: [Rule; 4] = [
            ("/title", |it| within(256, it)),
            ("/url", |it| it.as_str().unwrap().starts_with("https://")),
            ("/color", |it| it.as_u64().is_some_and(|it| it < 1 << 24)),
            ("/timestamp", is_time),
        ];
        check("discord", case, embed, &rules);
        let mut all = characters(&embed["title"]) + characters(&embed["description"]);
        assert!(characters(&embed["description"]) <= 4096);
        let fields = embed["fields"].as_array().unwrap();
        assert!(fields.len() <= 25);
        for field in fields {
            assert!(
                within(256, &field["name"]) && within(1024, &field["value"]),
                "{field}"
            );
            all += characters(&field["name"]) + characters(&field["value"]);
        }
        assert!(all <= 6000, "{case}: {all}");
    }
}

/// ntfy's documentation, "Publish as JSON", and its limit of 4096 bytes a message.
#[test]
fn ntfy_bodies_are_messages() {
    let rules: [Rule; 5] = [
        ("/topic", |it| it == "oncall"),
        ("/title", |it| within(250, it)),
        ("/message", |it| {
            it.as_str().is_some_and(|it| (1..=4096).contains(&it.len()))
        }),
        ("/priority", |it| (1..=5).contains(&it.as_u64().unwrap())),
        ("/click", |it| it.as_str().unwrap().starts_with("https://")),
    ];
    for case in CASES {
        check("ntfy", case, &body("ntfy", case), &rules);
    }
}

/// `ServiceNow`'s documentation of event fields: `source` 100, `message_key` 1024, `description` 4000 characters; severity
/// 0 (clear) to 5; `additional_info` a text of JSON.
#[test]
fn servicenow_bodies_are_events() {
    let rules: [Rule; 7] = [
        ("/source", |it| within(100, it)),
        ("/node", |it| characters(it) > 0),
        ("/type", text),
        ("/severity", |it| {
            ["0", "1", "2", "3", "4", "5"].contains(&it.as_str().unwrap())
        }),
        ("/message_key", |it| within(1024, it)),
        ("/description", |it| within(4000, it)),
        ("/time_of_event", |it| {
            let time = it.as_str().unwrap().replace(' ', "T") + "Z";
            characters(it) == 19 && is_time(&Value::from(time))
        }),
    ];
    for case in CASES {
        let body = body("servicenow", case);
        let record = &body["records"][0];
        check("servicenow", case, record, &rules);
        assert_eq!(record["severity"] == "0", case == "resolved");
        let info: Value =
            serde_json::from_str(record["additional_info"].as_str().unwrap()).unwrap();
        assert!(all_texts(&info), "{info}");
    }
}

/// Jira's limits: summary 255 characters on one line, label 255 characters without blanks, description 32,767.
#[test]
fn jira_bodies_fit_into_an_issue() {
    for case in CASES {
        let body = body("jira-service-management", case);
        let rules: [Rule; 4] = [
            ("/summary", |it| {
                within(255, it) && !it.as_str().unwrap().contains('\n')
            }),
            ("/label", |it| {
                within(255, it) && !it.as_str().unwrap().contains(char::is_whitespace)
            }),
            ("/description", |it| within(32_767, it)),
            ("/status", |it| it == "firing" || it == "resolved"),
        ];
        check("jira", case, &body, &rules);
    }
}

/// Splunk On-Call's documentation of the REST endpoint.
#[test]
fn splunk_bodies_are_alerts() {
    let rules: [Rule; 4] = [
        ("/message_type", |it| {
            ["CRITICAL", "WARNING", "INFO", "RECOVERY"].contains(&it.as_str().unwrap())
        }),
        ("/entity_id", |it| within(512, it)),
        ("/state_message", |it| within(20_000, it)),
        ("/state_start_time", Value::is_i64),
    ];
    for case in CASES {
        let body = body("splunk-on-call", case);
        check("splunk", case, &body, &rules);
        assert_eq!(body["message_type"] == "RECOVERY", case == "resolved");
    }
}
