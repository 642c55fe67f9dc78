//! A message → a message for an incoming webhook of Slack, in blocks.

use serde_json::Value;
use serde_json::json;

use crate::render::message::Message;
use crate::render::message::within;

/// Longest text of a header, in characters.
pub const MAX_HEADER: usize = 150;
/// Longest text of a section, in characters.
pub const MAX_SECTION: usize = 3000;
/// Longest text of one field of a section, in characters.
pub const MAX_FIELD: usize = 2000;

/// The message. Texts stand in blocks of plain text, in which Slack looks for nothing; only commands stand in a block of
/// code, where the characters that begin a mention or a link are escaped.
pub fn message(message: &Message) -> Value {
    let title = format!("{} {}", message.sign(), message.summary);
    let mut document = json!({
        // What a notification on the screen shows, and a client without blocks.
        "text": escape(&within(&title, MAX_SECTION)),
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if message.is_minimal {
        return document;
    }
    let mut blocks = vec![json!({ "type": "header", "text": plain(&title, MAX_HEADER) })];
    let facts = message.facts().into_iter();
    let fields: Vec<Value> = facts
        .map(|(name, value)| plain(&format!("{name}: {value}"), MAX_FIELD))
        .collect();
    blocks.push(json!({ "type": "section", "fields": fields }));
    let description = message.joined(|it| &it.message, "\n");
    if !description.is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&description, MAX_SECTION) }));
    }
    let action = message.joined(|it| &it.action, "\n");
    if !action.is_empty() && !message.is_resolved {
        blocks.push(json!({ "type": "section", "text": code(&action) }));
    }
    let link = format!("<{}|Runbook>", escape_url(&message.runbook_url));
    blocks.push(json!({
        "type": "context",
        "elements": [{ "type": "mrkdwn", "text": link, "verbatim": true }],
    }));
    document["blocks"] = blocks.into();
    document
}

fn plain(text: &str, most: usize) -> Value {
    json!({ "type": "plain_text", "text": within(text, most), "emoji": false })
}

/// A block of code, whole lines only. `verbatim`: nothing in it becomes a link or a mention.
fn code(text: &str) -> Value {
    // Escaping makes a character five long at most; commands have few of them.
    let mut most = MAX_SECTION - 8;
    loop {
        let escaped = escape(&within(text, most)).replace("```", "'''");
        if escaped.chars().count() <= MAX_SECTION - 8 {
            let text = format!("```\n{escaped}\n```");
            return json!({ "type": "mrkdwn", "text": text, "verbatim": true });
        }
        most -= most / 4;
    }
}

/// The three characters that begin and end mentions and links in Slack's markup.
pub fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// An address within `<…|…>`.
fn escape_url(url: &str) -> String {
    escape(url).replace('|', "%7C")
}
