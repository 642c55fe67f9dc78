//! A session of a story as Exchange logs it.

use std::fmt::Write as _;

use certdrift::pipeline::certificate::Certificate;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::story::Step;

/// What a session presents in STARTTLS, or how its handshake fails.
pub(super) enum Handshake<'a> {
    Certificate(&'a Certificate),
    Nothing,
    Failed(&'a str),
}

/// The rows of one session. `local_time`: by how much the clock, and with it the dates of certificates, is ahead of
/// UTC.
pub(super) fn rows(
    number: u64,
    time: Timestamp,
    step: &Step,
    handshake: &Handshake<'_>,
    local_time: SignedDuration,
) -> String {
    let connector = step.connector.as_deref().unwrap_or("Outbound");
    let mut text = String::new();
    let dialogue = dialogue(step, handshake, local_time);
    for (sequence, row) in dialogue.iter().enumerate() {
        let _ = write!(
            text,
            "{time:.3},{connector},{number:016X},{sequence},10.0.0.11:31173,52.101.73.2:25,{row}\r\n"
        );
    }
    text
}

fn dialogue(step: &Step, handshake: &Handshake<'_>, local_time: SignedDuration) -> Vec<String> {
    let hello = match step.address {
        Some(address) => format!("Hello [{address}]"),
        None => "Hello [203.0.113.7]".to_owned(),
    };
    let hello = format!("<,250  AM1.mail.protection.outlook.com {hello} SIZE 157286400 STARTTLS,");
    let plain = |row: &str| row.to_owned();
    let mut rows = vec![
        plain("+,,"),
        plain("<,220 AM1.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready,"),
        plain(">,EHLO mail.contoso.com,"),
        hello.clone(),
        plain(">,STARTTLS,"),
        plain("<,220 2.0.0 SMTP server ready,"),
    ];
    match handshake {
        Handshake::Failed(error) => {
            rows.push(format!("*,,TLS negotiation failed with error {error}"));
            rows.push(plain("-,,Local"));
            return rows;
        }
        Handshake::Certificate(certificate) => rows.push(sending(certificate, local_time)),
        Handshake::Nothing => {}
    }
    rows.push(plain("*,,Remote certificate"));
    rows.push(plain("*,,TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits"));
    rows.push(plain(">,EHLO mail.contoso.com,"));
    rows.push(hello);
    if let Some(recipient) = &step.recipient {
        let sender = step.sender.as_deref().unwrap_or("anna@contoso.com");
        let reply = step.reply.as_deref().unwrap_or("250 2.1.5 Recipient OK");
        rows.push(format!(">,MAIL FROM:<{sender}>,"));
        rows.push(format!(">,RCPT TO:<{recipient}>,"));
        rows.push(plain("<,250 2.1.0 Sender OK,"));
        rows.push(format!("<,\"{reply}\","));
    }
    rows.push(plain("-,,Local"));
    rows
}

/// The row of the certificate as Exchange 2019 logs it: dates are local time, marked as UTC.
fn sending(certificate: &Certificate, local_time: SignedDuration) -> String {
    let date = |date: Option<Timestamp>| {
        let local = TimeZone::UTC.to_datetime(date.unwrap_or_default() + local_time);
        format!("{local}.000Z")
    };
    format!(
        "*,\" {} {} {} {} {} {} {}\",Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names",
        certificate.subject,
        certificate.issuer.as_deref().unwrap_or_default(),
        certificate.serial.as_deref().unwrap_or_default(),
        certificate
            .thumbprint
            .map(|it| it.to_string().to_uppercase())
            .unwrap_or_default(),
        date(certificate.not_before),
        date(certificate.not_after),
        certificate.names.join(";"),
    )
}
