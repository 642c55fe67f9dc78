//! SMTP sessions as scripts of rows, each row with the fact that it tells.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::{Form, Random};

const PEER: &str = "AM1EUR01FT003.mail.protection.outlook.com";
const INTERNAL: &str = "EX02.contoso.local";
const ISSUER: &str = "CN=Fabrikam TLS Issuing CA 2, O=Fabrikam Trust Services, C=US";
/// The connector of mail between the servers of the organisation.
const INTERNAL_CONNECTOR: &str = "Intra-Organization SMTP Send Connector";

/// Rejections: what the peer says, and how it is to be listed (class, code, enhanced code, text).
pub(crate) const REJECTIONS: &[(&str, [&str; 4])] = &[
    (
        "550 5.7.64 TenantAttribution; Relay Access Denied ATTR36 [AM1EUR01FT003.eop-EUR01.prod.protection.outlook.com 2026-01-01T00:00:09.123Z 08DE0A0B0C0D0E0F]",
        [
            "attribution",
            "550",
            "5.7.64",
            "TenantAttribution; Relay Access Denied ATTR36",
        ],
    ),
    (
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup [AM1EUR01FT003.eop-EUR01.prod.protection.outlook.com]",
        [
            "other",
            "550",
            "5.1.10",
            "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        ],
    ),
    (
        "451 4.7.500 Server busy. Please try again later",
        [
            "blocked",
            "451",
            "4.7.500",
            "Server busy. Please try again later",
        ],
    ),
    (
        "450 4.7.230 Connecting Exchange server version is out-of-date; connection to Exchange Online throttled for 5 mins/hr.",
        [
            "version",
            "450",
            "4.7.230",
            "Connecting Exchange server version is out-of-date; connection to Exchange Online throttled for 5 mins/hr.",
        ],
    ),
];

/// How the log names a protocol, and how it is to be listed.
pub(crate) const PROTOCOLS: &[(&str, &str)] = &[
    ("SP_PROT_TLS1_2_CLIENT", "TLS 1.2"),
    ("SP_PROT_TLS1_3_CLIENT", "TLS 1.3"),
    ("8192", "TLS 1.3"),
];

/// Failures of the handshake.
pub(crate) const FAILURES: &[&str] = &["InvalidToken", "SocketError"];

/// What a row tells.
#[derive(Clone, Copy)]
pub(crate) enum Fact {
    /// Nothing that is counted.
    None,
    /// A certificate of the list is offered.
    Offered(usize),
    /// The peer names our address, for the first time in the session or again.
    Egress { first: bool },
    /// TLS stands; the entry of [`PROTOCOLS`], and whether no certificate was offered before.
    Tls {
        protocol: usize,
        without_certificate: bool,
    },
    /// The entry of [`FAILURES`].
    Failed(usize),
    /// The entry of [`REJECTIONS`].
    Rejected(usize),
}

/// A row of a script.
pub(crate) struct Row {
    event: char,
    data: String,
    context: String,
    pub(crate) fact: Fact,
}

/// A session under way.
pub(crate) struct Dialogue {
    pub(crate) connector: usize,
    pub(crate) anonymous: bool,
    pub(crate) sequence: u64,
    connector_cell: String,
    id: String,
    local: String,
    remote: &'static str,
    connected: bool,
    rows: VecDeque<Row>,
}

impl Dialogue {
    /// Writes the next row, with its line end, behind what is in `line`.
    pub(crate) fn write_next(&mut self, now: u64, line: &mut Vec<u8>) -> Option<Row> {
        let row = self.rows.pop_front()?;
        self.connected |= row.event == '+';
        let local = if self.connected {
            self.local.as_str()
        } else {
            ""
        };
        let text = format!(
            "{},{},{},{},{local},{},{},{},{}\r\n",
            stamp(now),
            self.connector_cell,
            self.id,
            self.sequence,
            self.remote,
            row.event,
            cell(&row.data),
            cell(&row.context),
        );
        line.extend_from_slice(text.as_bytes());
        self.sequence += 1;
        Some(row)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.rows.is_empty()
    }

    fn say(&mut self, event: char, data: impl Into<String>, context: impl Into<String>) {
        self.say_fact(event, data, context, Fact::None);
    }

    fn say_fact(
        &mut self,
        event: char,
        data: impl Into<String>,
        context: impl Into<String>,
        fact: Fact,
    ) {
        self.rows.push_back(Row {
            event,
            data: data.into(),
            context: context.into(),
            fact,
        });
    }
}

/// A certificate in the words of the log.
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    pub(crate) thumbprint: String,
    pub(crate) names: Vec<String>,
}

/// Validity of every certificate here, without the milliseconds.
pub(crate) const VALIDITY: (&str, &str) = ("2025-12-20T00:00:00", "2026-06-20T23:59:59");

/// Makes up one session after the other.
pub(crate) struct Dialogues {
    pub(crate) form: Form,
    /// The connectors to Exchange Online and, last, the internal one.
    pub(crate) connectors: Vec<String>,
    /// The certificates for Exchange Online and, last, the self-signed one.
    pub(crate) certificates: Vec<Certificate>,
    /// After how many sessions a connector moves on to its next certificate.
    pub(crate) renew_every: u64,
    made: u64,
}

impl Dialogues {
    pub(crate) fn new(form: Form, connectors: usize, certificates: usize) -> Self {
        let mut random = Random(u64::MAX / 3);
        let mut hex = |digits: usize| -> String {
            (0..digits)
                .filter_map(|_| char::from_digit(u32::try_from(random.below(16)).ok()?, 16))
                .map(|digit| digit.to_ascii_uppercase())
                .collect()
        };
        let mut list: Vec<Certificate> = (0..certificates)
            .map(|at| Certificate {
                subject: format!("CN=mail{at}.contoso.com, O=\"Contoso, Inc.\", L=Berlin, C=DE"),
                issuer: ISSUER.to_owned(),
                serial: hex(38),
                thumbprint: hex(40),
                names: vec![
                    format!("mail{at}.contoso.com"),
                    "autodiscover.contoso.com".to_owned(),
                ],
            })
            .collect();
        list.push(Certificate {
            subject: "CN=EX01".to_owned(),
            issuer: "CN=EX01".to_owned(),
            serial: hex(32),
            thumbprint: hex(40),
            names: vec!["ex01".to_owned(), "ex01.contoso.local".to_owned()],
        });
        let mut names: Vec<String> = (0..connectors)
            .map(|at| match at {
                0 => "Outbound to Office 365".to_owned(),
                // A comma, so that its cell is quoted.
                1 => "Outbound to Office 365, Hamburg".to_owned(),
                _ => format!("Outbound to Office 365 ({at:02})"),
            })
            .collect();
        names.push(INTERNAL_CONNECTOR.to_owned());
        Self {
            form,
            connectors: names,
            certificates: list,
            renew_every: 3_000,
            made: 0,
        }
    }

    /// The public address of a connector.
    pub(crate) fn address(connector: usize) -> String {
        format!("203.0.113.{}", 5 + connector % 200)
    }

    pub(crate) fn next(&mut self, random: &mut Random) -> Dialogue {
        self.made += 1;
        let kind = random.below(1000);
        let anonymous = kind < 40;
        let connector = if anonymous {
            self.connectors.len() - 1
        } else {
            random.index(self.connectors.len() - 1)
        };
        let mut session = Dialogue {
            connector,
            anonymous,
            sequence: 0,
            connector_cell: cell(&self.connectors[connector]),
            id: format!("08DE{:012X}", 0x48F8_A1C0_0000_u64 + self.made),
            local: format!("10.0.0.11:{}", 20_000 + self.made % 40_000),
            remote: if anonymous {
                "10.0.0.12:2525"
            } else {
                "52.101.73.2:25"
            },
            connected: false,
            rows: VecDeque::with_capacity(48),
        };
        session.say('*', "SendRoutingHeaders", "Set Session Permissions");
        session.say('*', "", "attempting to connect");
        match kind {
            40..60 => {
                let words = "Failed to connect. Winsock error code: 10061, Win32 error code: 10061, Destination domain: \
                             fabrikam.com, Error Message: the target machine actively refused it 203.0.113.20:25.";
                session.say('*', "", words);
            }
            _ => self.talk(&mut session, kind, random),
        }
        session
    }

    fn talk(&self, session: &mut Dialogue, kind: u64, random: &mut Random) {
        let host = if session.anonymous { INTERNAL } else { PEER };
        session.say('+', "", "");
        session.say(
            '<',
            format!("220 {host} Microsoft ESMTP MAIL Service ready at Thu, 1 Jan 2026 00:00:00 +0000 [08DE48F8A1C0FFEE]"),
            "",
        );
        self.hello(session, host, true);
        let verb = if session.anonymous {
            "X-ANONYMOUSTLS"
        } else {
            "STARTTLS"
        };
        session.say('>', verb, "");
        session.say('<', "220 2.0.0 SMTP server ready", "");
        let without_certificate = (60..70).contains(&kind);
        if !without_certificate {
            let certificate = self.choose(session, random);
            self.certificate(session, "Sending", certificate, true);
        }
        if (70..75).contains(&kind) {
            let failure = random.index(FAILURES.len());
            let words = format!("TLS negotiation failed with error {}", FAILURES[failure]);
            session.say_fact('*', "", words, Fact::Failed(failure));
            session.say('-', "", "Local");
            return;
        }
        // The peer's certificate; that it is one of ours here makes it worse to take it for ours.
        self.certificate(session, "Remote", 0, false);
        let protocol = random.index(PROTOCOLS.len());
        let words = format!(
            "TLS protocol {} negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits, MAC hash \
             algorithm CALG_SHA_384 with strength 0 bits and key exchange algorithm CALG_ECDHE with strength 384 bits",
            PROTOCOLS[protocol].0
        );
        let fact = Fact::Tls {
            protocol,
            without_certificate,
        };
        session.say_fact('*', "", words, fact);
        self.hello(session, host, false);
        for _ in 0..=random.below(3) {
            let rejection = (75..110)
                .contains(&kind)
                .then(|| random.index(REJECTIONS.len()));
            message(session, rejection, random);
        }
        session.say('>', "QUIT", "");
        session.say('<', "221 2.0.0 Service closing transmission channel", "");
        session.say(
            '-',
            "",
            if random.below(2) == 0 {
                "Local"
            } else {
                "Remote"
            },
        );
    }

    /// A connector moves on to its next certificate from time to time, and some sessions still offer an older one.
    fn choose(&self, session: &Dialogue, random: &mut Random) -> usize {
        let own = self.certificates.len() - 1;
        if session.anonymous {
            return own;
        }
        let period = usize::try_from(self.made / self.renew_every).unwrap_or(0);
        let late = usize::from(random.below(10) == 0);
        (session.connector + period + late) % own
    }

    fn hello(&self, session: &mut Dialogue, host: &str, first: bool) {
        let fact = if session.anonymous {
            Fact::None
        } else {
            Fact::Egress { first }
        };
        let extensions = [
            "SIZE 157286400",
            "PIPELINING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "CHUNKING",
        ];
        let hello = format!("{host} Hello [{}]", Self::address(session.connector));
        session.say('>', "EHLO mail.contoso.com", "");
        if self.form != Form::A {
            session.say_fact(
                '<',
                format!("250  {hello} {}", extensions.join(" ")),
                "",
                fact,
            );
            return;
        }
        session.say_fact('<', format!("250-{hello}"), "", fact);
        for extension in &extensions[..5] {
            session.say('<', format!("250-{extension}"), "");
        }
        session.say('<', format!("250 {}", extensions[5]), "");
    }

    fn certificate(&self, session: &mut Dialogue, label: &str, at: usize, own: bool) {
        let Certificate {
            subject,
            issuer,
            serial,
            thumbprint,
            names,
        } = &self.certificates[at];
        let names = names.join(";");
        let fact = if own { Fact::Offered(at) } else { Fact::None };
        match self.form {
            Form::A => {
                session.say_fact('*', "", format!("{label} certificate"), fact);
                for (field, value) in [
                    ("subject", subject),
                    ("issuer name", issuer),
                    ("serial number", serial),
                    ("thumbprint", thumbprint),
                    ("alternate names", &names),
                ] {
                    session.say('*', value, format!("Certificate {field}"));
                }
            }
            Form::B => session.say_fact(
                '*',
                format!(" {subject} {issuer} {serial} {thumbprint} {names}"),
                format!(
                    "{label} certificate Certificate subject Certificate issuer name Certificate serial number \
                     Certificate thumbprint Certificate alternate names"
                ),
                fact,
            ),
            Form::C => session.say_fact(
                '*',
                format!(" {subject} {issuer} {serial} {thumbprint} {}.000Z {}.000Z {names}", VALIDITY.0, VALIDITY.1),
                format!("{label} certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names"),
                fact,
            ),
        }
    }
}

fn message(session: &mut Dialogue, rejection: Option<usize>, random: &mut Random) {
    let record = random.below(1_000_000_000);
    session.say(
        '*',
        "",
        format!("sending message with RecordId {record} and InternetMessageId <{record:x}@EX01.contoso.com>"),
    );
    session.say(
        '>',
        format!(
            "MAIL FROM:<sender{}@contoso.com> SIZE={}",
            record % 977,
            record % 99_991
        ),
        "",
    );
    session.say(
        '>',
        format!("RCPT TO:<recipient{}@fabrikam.com>", record % 4_999),
        "",
    );
    session.say('<', "250 2.1.0 Sender OK", "");
    if let Some(rejection) = rejection {
        session.say_fact('<', REJECTIONS[rejection].0, "", Fact::Rejected(rejection));
        return;
    }
    session.say('<', "250 2.1.5 Recipient OK", "");
    session.say('>', format!("BDAT {} LAST", record % 99_991), "");
    session.say(
        '<',
        format!(
            "250 2.6.0 <{record:x}@EX01.contoso.com> [InternalId={record}, Hostname=AM1PR01MB001.eurprd01.prod.outlook.com] \
             12345 bytes in 0.1, 100.0 KB/sec Queued mail for delivery"
        ),
        "",
    );
}

/// A cell as Exchange writes it: quoted only where it must be.
fn cell(text: &str) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A time in milliseconds since 2026-01-01 in the words of the log; good for the first 31 days.
pub(crate) fn stamp(now: u64) -> String {
    let (seconds, day) = (now / 1000, now / 86_400_000 + 1);
    let mut text = format!("2026-01-{day:02}T");
    let _ = write!(
        text,
        "{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        now % 1000
    );
    text
}
