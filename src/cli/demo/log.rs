//! Writes send protocol logs as Exchange 2019 does.

use std::fmt::Write as _;
use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::demo::story::CONNECTOR;
use crate::cli::demo::story::Certificate;
use crate::cli::demo::story::HOURS_BEFORE;
use crate::cli::demo::story::ISSUER;
use crate::cli::demo::story::Server;

/// Time between two rows of a session.
const BETWEEN_ROWS: SignedDuration = SignedDuration::from_millis(40);
/// Time between two sessions of a server before the story begins.
const BETWEEN_SESSIONS: SignedDuration = SignedDuration::from_mins(10);
/// A session ends a little in the past, as everything in a log does.
const AGE: SignedDuration = SignedDuration::from_secs(1);

/// The organisation's logs.
pub(super) struct Logs {
    folder: PathBuf,
    sessions: u64,
}

impl Logs {
    /// Logs below this folder, one folder for each server.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            sessions: 0,
        }
    }

    /// Writes what the servers have done before now.
    pub(super) fn write_history(&mut self, servers: &[Server], now: Timestamp) -> io::Result<()> {
        let mut time = now - SignedDuration::from_hours(HOURS_BEFORE);
        while time < now - BETWEEN_SESSIONS {
            for server in servers {
                self.append(server, time, now)?;
            }
            time += BETWEEN_SESSIONS;
        }
        Ok(())
    }

    /// Writes one session of a server that has just ended.
    pub(super) fn write_session(&mut self, server: &Server, now: Timestamp) -> io::Result<()> {
        self.append(server, now - AGE, now)
    }

    fn append(&mut self, server: &Server, time: Timestamp, now: Timestamp) -> io::Result<()> {
        self.sessions += 1;
        let folder = self.folder.join(server.name).join("SmtpSend");
        fs::create_dir_all(&folder)?;
        let hour = TimeZone::UTC.to_datetime(time).strftime("%Y%m%d%H");
        let file = folder.join(format!("SEND{hour}-1.LOG"));
        let mut text = String::new();
        if !file.exists() {
            text.push_str(&header(time));
        }
        text.push_str(&session(server, self.sessions, time, now));
        let mut opened = OpenOptions::new().create(true).append(true).open(file)?;
        opened.write_all(text.as_bytes())
    }
}

fn header(time: Timestamp) -> String {
    format!(
        "\u{feff}#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Send Protocol Log\r\n\
         #Date: {time:.3}\r\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,\
         event,data,context\r\n"
    )
}

/// The rows of a session that begins at `time`; what certificates are valid for counts from `now`.
fn session(server: &Server, number: u64, time: Timestamp, now: Timestamp) -> String {
    const PEER: &str = "AM0EUR02FT041.mail.protection.outlook.com";
    let hello = format!(
        "250  {PEER} Hello [203.0.113.5] SIZE 157286400 PIPELINING DSN ENHANCEDSTATUSCODES STARTTLS 8BITMIME BINARYMIME \
         CHUNKING SMTPUTF8"
    );
    let host = format!("{}.contoso.com", server.name.to_ascii_lowercase());
    let (certificate, context) = certificate(server.presents, now);
    let answer = if server.is_denied {
        format!(
            "550 5.7.64 TenantAttribution; Relay Access Denied [{PEER} {time:.3} 08DE{number:012X}]"
        )
    } else {
        "250 2.1.5 Recipient OK".to_owned()
    };
    let rows = [
        ("+", String::new(), ""),
        (
            "<",
            format!("220 {PEER} Microsoft ESMTP MAIL Service ready"),
            "",
        ),
        (">", format!("EHLO {host}"), ""),
        ("<", hello.clone(), ""),
        (">", "STARTTLS".to_owned(), ""),
        ("<", "220 2.0.0 SMTP server ready".to_owned(), ""),
        ("*", certificate, context),
        (
            "*",
            String::new(),
            "TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256 with \
             strength 256 bits, MAC hash algorithm CALG_SHA_384 with strength 0 bits and key exchange algorithm \
             CALG_ECDHE with strength 384 bits",
        ),
        (">", format!("EHLO {host}"), ""),
        ("<", hello, ""),
        (">", "MAIL FROM:<anna@contoso.com> SIZE=4096".to_owned(), ""),
        (
            ">",
            format!("RCPT TO:<customer{number}@fabrikam.example>"),
            "",
        ),
        ("<", "250 2.1.0 Sender OK".to_owned(), ""),
        ("<", answer, ""),
        (">", "QUIT".to_owned(), ""),
        (
            "<",
            "221 2.0.0 Service closing transmission channel".to_owned(),
            "",
        ),
        ("-", String::new(), "Local"),
    ];
    // Sessions of a real server have such ids, too: they must not repeat within a folder.
    let id = format!("08DE{number:012X}");
    let mut text = String::new();
    let mut at = time;
    for (sequence, (event, data, context)) in rows.iter().enumerate() {
        let (data, context) = (cell(data), cell(context));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{at:.3},{CONNECTOR},{id},{sequence},10.0.0.5:25001,52.101.73.6:25,{event},{data},{context}\r\n"
        );
        at += BETWEEN_ROWS;
    }
    text
}

/// Data and context of the row that tells of the certificate.
fn certificate(certificate: &Certificate, now: Timestamp) -> (String, &'static str) {
    let [from, until] = certificate.valid_days.map(|days| {
        let midnight = TimeZone::UTC.to_datetime(now).date();
        let date = midnight.saturating_add(SignedDuration::from_hours(24 * days));
        format!("{date}T00:00:00.000Z")
    });
    let Certificate {
        subject,
        serial,
        thumbprint,
        names,
        ..
    } = certificate;
    (
        format!(" {subject} {ISSUER} {serial} {thumbprint} {from} {until} {names}"),
        "Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names",
    )
}

/// A cell, in quotes if it needs them (RFC 4180).
fn cell(text: &str) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
