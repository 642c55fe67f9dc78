//! A made-up organisation: log text of two servers, what is expected of them, and the state that this leads to.

use std::sync::Arc;

use certdrift::pipeline::engine::Engine;
use certdrift::pipeline::expectation::Expectations;
use certdrift::pipeline::export::Exports;
use certdrift::pipeline::file::LogFile;
use certdrift::pipeline::outbox::Receiver;
use certdrift::pipeline::snapshot::{
    ExpectationStatus, ExportStatus, ReloadStatus, SourceStatus, State, Validity,
};
use certdrift::pipeline::verdict::reason::Severity;
use jiff::{SignedDuration, Timestamp};

const CONFIGURATION: &str = r#"
sources: [{ path: "/srv/{server}" }]
connectors:
  - name: "*"
    expected:
      inbound_connectors: [{ name: Inbound, tls_sender_certificate_name: mail.contoso.com }]
      accepted_domains: [contoso.com]
    planned:
      - { thumbprint: "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", from: 2026-10-20T00:00:00Z, until: 2026-10-27T00:00:00Z, reason: CHG0012345 }
      - { thumbprint: "5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A", from: 2026-11-25T00:00:00Z, until: 2026-11-30T00:00:00Z }
receivers: [{ name: oncall, webhook: { url: "https://hooks.contoso.com/planted-token-4711" } }]
"#;

/// The organisation: EX01 is well since its renewal, EX02 presents since two hours what nobody expects.
#[derive(Default)]
pub(crate) struct MadeUp {
    /// Stands in every text that comes from outside.
    pub(super) text: String,
    /// Further servers.
    pub(super) others: usize,
    /// Whether they present what nobody expects.
    pub(super) all_wrong: bool,
}

pub(super) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn ago(hours: i64) -> Timestamp {
    now()
        .checked_sub(SignedDuration::from_hours(hours))
        .unwrap()
}

/// What a session presents: the digit of its thumbprint; `-` nothing.
struct Session {
    hours_ago: i64,
    digit: char,
    denied: bool,
}

impl MadeUp {
    pub(super) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn state(&self) -> State {
        let config =
            certdrift::config::parse(CONFIGURATION, "certdrift.yml".as_ref(), None).unwrap();
        let mut engine = Engine::default();
        engine.set_expectations(self.expectations(), now());
        let name = format!("oncall{}", self.text);
        engine.set_receivers(
            vec![Receiver::new(&name, "webhook", &[Severity::Critical])],
            now(),
        );
        let day = |days: i64, digit| Session {
            hours_ago: days * 24,
            digit,
            denied: false,
        };
        let mut well: Vec<Session> = (33..80).rev().map(|it| day(it, 'A')).collect();
        well[20].digit = '-';
        well.extend((1..33).rev().map(|it| day(it, 'B')));
        self.read(&mut engine, "EX01", &well);
        let mut ill: Vec<Session> = (1..80).rev().map(|it| day(it, 'A')).collect();
        ill.extend((1..3).rev().map(|hours_ago| Session {
            hours_ago,
            digit: 'C',
            denied: true,
        }));
        self.read(&mut engine, "EX02", &ill);
        for number in 0..self.others {
            let digit = if self.all_wrong { 'C' } else { 'B' };
            let sessions = [2, 1].map(|hours_ago| Session {
                hours_ago,
                digit,
                denied: false,
            });
            self.read(&mut engine, &format!("MBX{number:03}"), &sessions);
        }
        engine.tick(now());
        State {
            snapshot: engine.snapshot(now()),
            sources: self.sources(),
            ready: true,
            writable: true,
            expectation: ExpectationStatus {
                exports: vec![ExportStatus {
                    name: "accepted_domains",
                    file: format!("/srv/exports{}", self.text).into(),
                    exported_at: Some(ago(48)),
                    problem: Some(format!("it is not JSON {}", self.text)),
                    since: Some(ago(1)),
                }],
            },
            reload: ReloadStatus {
                successful: true,
                succeeded_at: ago(5),
            },
            configuration: Arc::from(format!(
                "{}{}",
                certdrift::config::describe(&config, &Exports::default()),
                self.text
            )),
            started_at: ago(100),
            recovered_at: Some(ago(50)),
            web_certificate: Some(Validity {
                not_before: ago(24 * 30),
                not_after: now()
                    .checked_add(SignedDuration::from_hours(24 * 17))
                    .unwrap(),
            }),
        }
    }

    /// As configured, but with the text in whatever an export may say.
    fn expectations(&self) -> Expectations {
        let config =
            certdrift::config::parse(CONFIGURATION, "certdrift.yml".as_ref(), None).unwrap();
        let mut entries = config.expectations(&Exports::default()).entries().to_vec();
        for entry in &mut entries {
            for inbound in &mut entry.inbound_connectors {
                inbound.name.push_str(&self.text);
            }
            for planned in &mut entry.planned {
                let reason = planned.reason.take().unwrap_or_default();
                planned.reason = Some(reason + &self.text).filter(|it| !it.is_empty());
            }
        }
        Expectations::new(entries)
    }

    fn sources(&self) -> Vec<SourceStatus> {
        let source = |server: &str| {
            let server: Arc<str> = Arc::from(format!("{server}{}", self.text));
            SourceStatus::new(format!("/srv/{{server}}{}", self.text), server)
        };
        let mut well = source("EX01");
        well.lag_bytes = 5000;
        well.last_row = Some(ago(1));
        let mut ill = source("EX02");
        ill.up = false;
        ill.trouble = Some(format!("/srv/EX02: permission denied {}", self.text));
        vec![well, ill]
    }

    fn read(&self, engine: &mut Engine, server: &str, sessions: &[Session]) {
        let stream = engine.open_stream(&format!("{server}{}", self.text));
        let mut file = LogFile::default();
        for (number, session) in sessions.iter().enumerate() {
            let rows = self.rows(number, session);
            engine.feed(stream, &mut file, rows.as_bytes(), now());
        }
    }

    fn rows(&self, number: usize, session: &Session) -> String {
        let reply = match (session.denied, session.hours_ago) {
            (true, _) => format!(
                "550 5.7.64 TenantAttribution; Relay Access Denied {}",
                self.text
            ),
            (false, _) => "250 2.1.5 Recipient OK".to_owned(),
        };
        let hello = "250  x.mail.protection.outlook.com Hello [198.51.100.7] STARTTLS";
        let mut rows = vec![
            ("+", String::new(), String::new()),
            (
                "<",
                "220 x.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready".to_owned(),
                String::new(),
            ),
            (">", "EHLO ex.contoso.com".to_owned(), String::new()),
            ("<", hello.to_owned(), String::new()),
            (">", "STARTTLS".to_owned(), String::new()),
            ("<", "220 2.0.0 SMTP server ready".to_owned(), String::new()),
        ];
        rows.extend(self.certificate(session.digit));
        rows.extend([
            ("*", String::new(), "Remote certificate".to_owned()),
            ("*", String::new(), "TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits".to_owned()),
            (">", "EHLO ex.contoso.com".to_owned(), String::new()),
            ("<", hello.to_owned(), String::new()),
            (">", "MAIL FROM:<joe@contoso.com>".to_owned(), String::new()),
            (">", "RCPT TO:<customer@fabrikam.example>".to_owned(), String::new()),
            ("<", "250 2.1.0 Sender OK".to_owned(), String::new()),
            ("<", reply, String::new()),
            ("-", String::new(), "Local".to_owned()),
        ]);
        let connector = quoted(&format!("Outbound{}", self.text));
        let time = ago(session.hours_ago);
        let rows = rows.iter().enumerate().map(|(sequence, (event, data, context))| {
            let (data, context) = (quoted(data), quoted(context));
            format!("{time:.3},{connector},{:016X},{sequence},10.0.0.5:25001,52.101.73.6:25,{event},{data},{context}\r\n", number + 1)
        });
        rows.collect()
    }

    /// As Exchange 2019 logs it, with dates; with a text in it as Exchange 2013 does, whose rows take any text apart.
    fn certificate(&self, digit: char) -> Vec<(&'static str, String, String)> {
        let name = match digit {
            '-' => return Vec::new(),
            'C' => "owa.contoso.com",
            _ => "mail.contoso.com",
        };
        let thumbprint: String = std::iter::repeat_n(digit, 40).collect();
        if digit != 'C' || self.text.is_empty() {
            let lives = if digit == 'A' {
                "2026-08-01T00:00:00.000Z 2026-12-01T00:00:00.000Z"
            } else {
                "2026-10-15T00:00:00.000Z 2027-05-01T00:00:00.000Z"
            };
            let row = format!(
                " CN={name}, O=Contoso CN=Fabrikam CA, C=US 0A1B {thumbprint} {lives} {name}"
            );
            let labels = "Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names";
            return vec![("*", row, labels.to_owned())];
        }
        [
            (String::new(), "Sending certificate"),
            (format!("CN={} {name}", self.text), "Certificate subject"),
            (
                format!("CN=Fabrikam {}", self.text),
                "Certificate issuer name",
            ),
            ("0A1B".to_owned(), "Certificate serial number"),
            (thumbprint, "Certificate thumbprint"),
            (
                format!("{name};{}", self.text.replace([' ', ';', ','], "")),
                "Certificate alternate names",
            ),
        ]
        .map(|(data, context)| ("*", data, context.to_owned()))
        .to_vec()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
