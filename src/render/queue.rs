//! `certdrift notify list`: the messages that wait or are dead, a line each.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::pipeline::outbox::wish::Message;

const TITLES: [&str; 8] = [
    "NUMBER", "RECEIVER", "ALERT", "STATUS", "SINCE", "TRIES", "NEXT TRY", "KEY",
];

/// As text: a table with a line of titles, and how many there are. Times are UTC.
pub fn table(messages: &[Message], now: Timestamp) -> String {
    if messages.is_empty() {
        return "No notification waits, and none is dead.\n".to_owned();
    }
    let rows: Vec<[String; 8]> = messages.iter().map(|it| row(it, now)).collect();
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    line(&mut out, &TITLES.map(str::to_owned), &widths);
    for row in &rows {
        line(&mut out, row, &widths);
    }
    let dead = messages.iter().filter(|it| it.dead.is_some()).count();
    let waiting = messages.len() - dead;
    let _ = writeln!(out, "\n{waiting} waiting, {dead} dead.");
    if dead > 0 {
        out.push_str(
            "Dead ones are not tried any more: `certdrift notify replay` sends them again, `certdrift notify drop` throws them away.\n",
        );
    }
    out
}

/// As JSON: a list of objects, ordered by receiver and number.
///
/// # Errors
/// What `serde_json` says.
pub fn json(messages: &[Message]) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(messages)?;
    text.push('\n');
    Ok(text)
}

fn row(message: &Message, now: Timestamp) -> [String; 8] {
    let next = match (&message.dead, message.next_try) {
        (Some(reason), _) if message.overtaken => format!("dead: {reason}, overtaken"),
        (Some(reason), _) => format!("dead: {reason}"),
        (None, _) if message.under_way => "being sent".to_owned(),
        (None, Some(due)) if due > now => second(due),
        (None, _) => "due".to_owned(),
    };
    [
        message.number.to_string(),
        message.receiver.clone(),
        message.alertname.clone(),
        message.status.clone(),
        second(message.since),
        message.tries.to_string(),
        next,
        message.key.clone(),
    ]
}

fn line(out: &mut String, cells: &[String; 8], widths: &[usize; 8]) {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(text, "{cell:width$}  ");
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> Message {
        Message {
            number,
            receiver: "oncall".to_owned(),
            alertname: "ConnectorSilent".to_owned(),
            severity: "warning".to_owned(),
            server: "EX01".to_owned(),
            connector: "Outbound".to_owned(),
            status: "firing".to_owned(),
            key: "certdrift/ConnectorSilent/Outbound/EX01".to_owned(),
            id: format!("msg_{number}"),
            since: Timestamp::UNIX_EPOCH,
            tries: 3,
            next_try: Some(Timestamp::MAX),
            under_way: false,
            dead: None,
            overtaken: false,
        }
    }

    #[test]
    fn a_table_says_what_waits_and_what_is_dead() {
        assert!(table(&[], Timestamp::UNIX_EPOCH).starts_with("No notification"));
        let dead = Message {
            dead: Some("too_old".to_owned()),
            next_try: None,
            overtaken: true,
            status: "resolved".to_owned(),
            ..message(12)
        };
        let due = Message {
            next_try: Some(Timestamp::UNIX_EPOCH),
            ..message(3)
        };
        let sent = Message {
            under_way: true,
            ..message(4)
        };
        let expected = "\
NUMBER  RECEIVER  ALERT            STATUS    SINCE                TRIES  NEXT TRY                  KEY
12      oncall    ConnectorSilent  resolved  1970-01-01 00:00:00  3      dead: too_old, overtaken  certdrift/ConnectorSilent/Outbound/EX01
3       oncall    ConnectorSilent  firing    1970-01-01 00:00:00  3      due                       certdrift/ConnectorSilent/Outbound/EX01
4       oncall    ConnectorSilent  firing    1970-01-01 00:00:00  3      being sent                certdrift/ConnectorSilent/Outbound/EX01

2 waiting, 1 dead.
Dead ones are not tried any more: `certdrift notify replay` sends them again, `certdrift notify drop` throws them away.
";
        assert_eq!(table(&[dead, due, sent], Timestamp::UNIX_EPOCH), expected);
    }
}
