//! A message → an adaptive card for Workflows of Microsoft Teams.

use serde_json::Value;
use serde_json::json;

use crate::render::message::Message;
use crate::render::message::within;

/// Largest body, in bytes. Teams takes 28 KB, a flow that passes it on less.
pub const MAX_BYTES: usize = 18_000;
/// Longest text of one block at first, in characters; halved until the card is small enough.
const MAX_TEXT: usize = 3000;
/// Shortest such text; below, only what is needed is said.
const MIN_TEXT: usize = 100;

/// The body: a message with one card.
pub fn message(message: &Message) -> Value {
    let mut most = MAX_TEXT;
    while !message.is_minimal && most >= MIN_TEXT {
        let document = document(&card(message, most));
        if document.to_string().len() < MAX_BYTES {
            return document;
        }
        most /= 2;
    }
    document(&minimal_card(message))
}

fn document(card: &Value) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": card,
        }],
    })
}

fn card(message: &Message, most: usize) -> Value {
    let mut body = vec![title(message)];
    let facts = message.facts().into_iter();
    let facts: Vec<Value> = facts
        .map(|(name, value)| json!({ "title": name, "value": escape(&within(&value, most)) }))
        .collect();
    body.push(json!({ "type": "FactSet", "facts": facts }));
    let description = message.joined(|it| &it.message, "\n\n");
    if !description.is_empty() {
        body.push(text(&description, most));
    }
    let action = message.joined(|it| &it.action, "\n");
    if !action.is_empty() && !message.is_resolved {
        let lines = within(&action, most);
        body.extend(lines.lines().map(command));
    }
    let mut card = empty_card();
    card["body"] = body.into();
    card["actions"] = json!([
        { "type": "Action.OpenUrl", "title": "Runbook", "url": message.runbook_url },
    ]);
    card
}

fn minimal_card(message: &Message) -> Value {
    let mut card = empty_card();
    card["body"] = json!([title(message)]);
    card
}

fn empty_card() -> Value {
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
    })
}

fn title(message: &Message) -> Value {
    json!({
        "type": "TextBlock",
        "text": format!("{} {}", message.sign(), escape(&message.summary)),
        "size": "Medium",
        "weight": "Bolder",
        "wrap": true,
    })
}

fn text(text: &str, most: usize) -> Value {
    json!({ "type": "TextBlock", "text": escape(&within(text, most)), "wrap": true })
}

/// A line of a command. Runs of text know no Markdown, so that it can be pasted as it is.
fn command(line: &str) -> Value {
    json!({
        "type": "RichTextBlock",
        "spacing": "Small",
        "inlines": [{ "type": "TextRun", "text": line, "fontType": "Monospace" }],
    })
}

/// Cards know a part of Markdown, in which everything that begins emphasis, a link, an image or a list can be escaped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_start = true;
    for c in text.chars() {
        let is_markup = matches!(
            c,
            '\\' | '*' | '_' | '[' | ']' | '`' | '~' | '<' | '>' | '!'
        ) || (is_start && matches!(c, '#' | '-' | '+'));
        if is_markup {
            out.push('\\');
        }
        out.push(c);
        is_start = c == '\n' || (is_start && c == ' ');
    }
    out
}
