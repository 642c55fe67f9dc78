//! Stories: the rows of a session on one side, what they show on the other.

use std::fmt::Write as _;

use super::*;
use crate::pipeline::file::LogFile;

const ONLINE: &str = "220 AM0EUR02FT041.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready at Thu, 1 Jan 2026 00:00:00 +0000";
const HELLO: &str =
    "250  AM0EUR02FT041.mail.protection.outlook.com Hello [203.0.113.7] SIZE 157286400 STARTTLS";
const OURS: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
const THEIRS: &str = "FEDCBA9876543210FEDCBA9876543210FEDCBA98";
const TLS: &str = "*|| TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits";

/// Rows of one session as `event|data|context`; `!` stands for a row that the log lost, `=` for the same sequence
/// number once more.
fn rows(session: u64, story: &[&str]) -> String {
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let mut sequence = 0;
    let mut text = String::new();
    for row in story {
        if *row == "!" {
            sequence += 1;
            continue;
        }
        let row = row.strip_prefix('=').map_or(*row, |row| {
            sequence -= 1;
            row
        });
        let mut cells = row.splitn(3, '|');
        let mut cell = || cells.next().unwrap_or_default().trim();
        let (event, data, context) = (cell(), quoted(cell()), quoted(cell()));
        let second = sequence % 60;
        let _ = write!(
            text,
            "2026-01-01T00:00:{second:02}.{session:03}Z,Outbound,{session:016X},{sequence},10.0.0.1:25,192.0.2.1:25,{event},{data},{context}\r\n"
        );
        sequence += 1;
    }
    text
}

fn said(fact: &Fact<'_>) -> Option<String> {
    let thumb = |certificate: &Certificate| match certificate.thumbprint {
        Some(thumbprint) if thumbprint.to_string() == OURS => "ours".to_owned(),
        Some(thumbprint) => format!("not ours: {thumbprint}"),
        None => "without thumbprint".to_owned(),
    };
    Some(match fact {
        Fact::Started => return None,
        Fact::Offered {
            certificate,
            handshake,
        } => {
            let handshake = handshake.map_or("unknown", Handshake::as_str);
            format!("offered {} in {handshake}", thumb(certificate))
        }
        Fact::Secured { presented, .. } => match presented {
            Some(Presentation::Certificate(certificate)) => {
                format!("presented {}", thumb(certificate))
            }
            Some(Presentation::NoCertificate) => "presented nothing".to_owned(),
            None => "secured".to_owned(),
        },
        Fact::TlsFailed { error } => format!("failed {error}"),
        Fact::Egress { address, first } => format!("egress {address} {first}"),
        Fact::BannerMasked => "masked".to_owned(),
        Fact::Refused(refused) => format!("refused {} {}", refused.code, refused.text),
        Fact::InClear => "in clear".to_owned(),
        Fact::Relayed { null_sender: false } => "relayed".to_owned(),
        Fact::Relayed { null_sender: true } => "relayed without sender".to_owned(),
    })
}

#[derive(Default)]
struct Told {
    facts: Vec<String>,
    started: usize,
}

fn watching() -> (Sessions, StreamId) {
    let mut sessions = Sessions::default();
    let stream = sessions.open(Arc::from("EX01"));
    let place = Place {
        server: Arc::from("EX01"),
        connector: Arc::from("Outbound"),
    };
    let accepted: Arc<[String]> =
        Arc::from(["contoso.com".to_owned(), "*.adatum.example".to_owned()]);
    sessions.relay_watch.set(&place, Some(accepted));
    (sessions, stream)
}

fn feed(sessions: &mut Sessions, stream: StreamId, text: &str) -> Told {
    let mut told = Told::default();
    LogFile::default().feed(text.as_bytes(), |row| {
        sessions.row(stream, row, &mut |observation| {
            told.started += usize::from(matches!(observation.fact, Fact::Started));
            told.facts.extend(said(&observation.fact));
        });
    });
    told
}

fn tell(story: &[&str]) -> Vec<String> {
    let (mut sessions, stream) = watching();
    let mut facts = feed(&mut sessions, stream, &rows(1, story)).facts;
    sessions.end(stream, |observation: Observation<'_>| {
        facts.extend(said(&observation.fact));
    });
    facts
}

fn row_b(thumbprint: &str) -> String {
    format!(
        "*| CN=mail.contoso.com CN=Issuing CA, O=Example 0A1B {thumbprint} mail.contoso.com|Sending certificate Certificate subject Certificate issuer name Certificate serial number Certificate thumbprint Certificate alternate names"
    )
}

fn row_c(start: &str, thumbprint: &str) -> String {
    format!(
        "*| CN=mail.contoso.com CN=Issuing CA, O=Example 0A1B {thumbprint} 2025-12-20T00:00:00.000Z 2026-06-20T00:00:00.000Z mail.contoso.com|{start} Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names"
    )
}

fn block(start: &str, thumbprint: &str) -> Vec<String> {
    vec![
        format!("*||{start}"),
        "*|CN=mail.contoso.com|Certificate subject".to_owned(),
        "*|CN=Issuing CA|Certificate issuer name".to_owned(),
        "*|0A1B|Certificate serial number".to_owned(),
        format!("*|{thumbprint}|Certificate thumbprint"),
        "*|mail.contoso.com|Certificate alternate names".to_owned(),
    ]
}

fn strs(rows: &[String]) -> Vec<&str> {
    rows.iter().map(String::as_str).collect()
}

fn handshake<'a>(command: &'a str, between: &[&'a str]) -> Vec<&'a str> {
    let before = ["+", "<|220 ready", command, "<|220 2.0.0 SMTP server ready"];
    [&before, between, &[TLS]].concat()
}

#[test]
fn our_certificate_is_told_from_the_peers_in_every_form() {
    let (own_b, own_c) = (row_b(OURS), row_c("Sending certificate", OURS));
    let own_a = block("Sending certificate", OURS);
    let peer_a = block("Remote certificate", THEIRS);
    let peer_c = row_c("Remote certificate", THEIRS);
    let received = format!("*|{THEIRS}|Certificate thumbprint");
    let received = ["*||Received certificate", &received];
    for own in [strs(&own_a), vec![&own_b], vec![&own_c]] {
        for peer in [strs(&peer_a), vec![peer_c.as_str()], Vec::new()] {
            let story = [
                handshake(">|STARTTLS", &[own.clone(), peer.clone()].concat()),
                received.to_vec(),
            ]
            .concat();
            assert_eq!(
                tell(&story),
                ["offered ours in starttls", "presented ours"],
                "{story:?}"
            );
            let story = handshake(">|X-ANONYMOUSTLS", &[own.clone(), peer].concat());
            assert_eq!(
                tell(&story),
                ["offered ours in anonymous_tls", "secured"],
                "{story:?}"
            );
        }
    }
}

#[test]
fn a_block_that_is_cut_short_never_borrows_from_the_peers() {
    let own = block("Sending certificate", OURS);
    let peer = block("Remote certificate", THEIRS);
    for kept in 1..own.len() {
        let expected = if kept >= 5 {
            "ours"
        } else {
            "without thumbprint"
        };
        let whole_peer = [&strs(&own)[..kept], &strs(&peer)[..]].concat();
        assert_eq!(
            tell(&handshake(">|STARTTLS", &whole_peer)),
            [
                format!("offered {expected} in starttls"),
                format!("presented {expected}")
            ],
            "{kept} rows, then the peer's"
        );
        // The row that says that the peer's block begins is lost with the rest of ours.
        let headless_peer = [&strs(&own)[..kept], &["!"], &strs(&peer)[1..]].concat();
        assert_eq!(
            tell(&handshake(">|STARTTLS", &headless_peer)),
            [
                format!("offered {expected} in starttls"),
                format!("presented {expected}")
            ],
            "{kept} rows, a gap, then the peer's"
        );
        let story = ["+", ">|STARTTLS", "<|220 go"];
        let end_of_file = [&story, &strs(&own)[..kept]].concat();
        assert_eq!(
            tell(&end_of_file),
            [format!("offered {expected} in starttls")],
            "{kept} rows, then the end"
        );
    }
}

#[test]
fn no_certificate_is_only_said_when_every_row_was_seen() {
    let own = row_b(OURS);
    for (story, expected) in [
        (handshake(">|STARTTLS", &[]), "presented nothing"),
        (
            handshake(">|STARTTLS", &["*||Remote certificate"]),
            "presented nothing",
        ),
        (handshake(">|STARTTLS", &["!"]), "secured"),
        (handshake(">|X-ANONYMOUSTLS", &[]), "secured"),
        (vec!["+", "!", "<|220 go", TLS], "secured"),
        (vec!["+", ">|STARTTLS", "!", TLS], "secured"),
        (
            vec!["!", ">|STARTTLS", "<|220 go", TLS],
            "presented nothing",
        ),
        (vec!["+", ">|STARTTLS", "<|454 not now", TLS], "secured"),
        (vec!["+", &own, TLS], "secured"),
    ] {
        let facts = tell(&story);
        assert_eq!(
            facts.last().map(String::as_str),
            Some(expected),
            "{story:?}"
        );
    }
}

#[test]
fn a_block_without_its_command_belongs_to_no_handshake() {
    let own = row_b(OURS);
    assert_eq!(
        tell(&["!", &own, TLS]),
        ["offered ours in unknown", "secured"]
    );
}

#[test]
fn replies_find_their_commands_when_they_are_pipelined() {
    let start = ["+", "<|220 ready", ">|EHLO ex01", "<|250 hi"];
    for (story, expected) in [
        (
            // Two recipients and the reply to each.
            &[
                ">|MAIL FROM:<a@contoso.com>",
                ">|RCPT TO:<b@contoso.com>",
                ">|RCPT TO:<c@fabrikam.example>",
                "<|250 2.1.0 ok",
                "<|250 2.1.5 ok",
                "<|250 2.1.5 ok",
            ][..],
            &["in clear", "relayed"][..],
        ),
        (
            &[
                ">|MAIL FROM:<a@contoso.com>",
                ">|RCPT TO:<c@fabrikam.example>",
                ">|RCPT TO:<b@contoso.com>",
                "<|250 2.1.0 ok",
                "<|550 5.7.64 no",
                "<|250 2.1.5 ok",
            ],
            &["in clear", "refused 550 no"],
        ),
        (
            &[
                ">|DATA",
                "<|354 go",
                "<|250 2.6.0 queued",
                ">|RCPT TO:<c@fabrikam.example>",
                "<|250 ok",
            ],
            &["relayed"],
        ),
        (
            // A lost row leaves in doubt whose reply it is.
            &[">|RCPT TO:<c@fabrikam.example>", "!", "<|250 2.1.5 ok"],
            &[],
        ),
        (&[">|RCPT TO:<c@sub.Contoso.COM>", "<|250 ok"], &[]),
        (&[">|RCPT TO:<c@notcontoso.com>", "<|250 ok"], &["relayed"]),
        (&[">|RCPT TO:<c@eu.adatum.example>", "<|250 ok"], &[]),
        (
            &[">|RCPT TO:<c@tenant.mail.onmicrosoft.com>", "<|250 ok"],
            &[],
        ),
        (
            // The original recipient is a remark; the recipient is the tenant's own.
            &[
                ">|RCPT TO:<c@contoso.com> NOTIFY=NEVER ORCPT=rfc822;c@fabrikam.example",
                "<|250 ok",
            ],
            &[],
        ),
        (
            &[
                ">|RCPT TO:<c@fabrikam.example> ORCPT=rfc822;c@contoso.com",
                "<|250 ok",
            ],
            &["relayed"],
        ),
        (
            // Accepted domains are known by their A-labels; this one cannot be compared.
            &[">|RCPT TO:<c@müller.example>", "<|250 ok"],
            &[],
        ),
        (&[">|RCPT TO:<\"a>@b\"@contoso.com>", "<|250 ok"], &[]),
        (&[">|RSET", "<|250 ok"], &[]),
        (
            &[
                ">|mail from: <> SIZE=5",
                ">|RCPT TO:<c@fabrikam.example>",
                "<|250 2.1.0 ok",
                "<|250 2.1.5 ok",
                ">|MAIL FROM:<a@contoso.com>",
                ">|RCPT TO:<c@fabrikam.example>",
                "<|250 2.1.0 ok",
                "<|250 2.1.5 ok",
            ],
            &["in clear", "relayed without sender", "relayed"],
        ),
        (
            // The next mail begins before the answer: nobody knows whose it is.
            &[
                ">|MAIL FROM:<a@contoso.com>",
                ">|RCPT TO:<c@fabrikam.example>",
                ">|MAIL FROM:<>",
                "<|250 2.1.0 ok",
                "<|250 2.1.5 ok",
            ],
            &["in clear"],
        ),
    ] {
        assert_eq!(tell(&[&start, story].concat()), expected, "{story:?}");
    }
}

#[test]
fn a_refusal_counts_once_however_many_lines_it_has() {
    for (story, expected) in [
        (
            &[
                "<|550-5.7.64 first",
                "<|550-5.7.64 second",
                "<|550 5.7.64 third",
            ][..],
            &["refused 550 first second third"][..],
        ),
        (
            &["<|550 5.7.64 one", "<|550 5.7.64 two"],
            &["refused 550 one", "refused 550 two"],
        ),
        (
            // The last line of the first one is lost.
            &["<|550-5.7.64 one", "!", "<|550 5.7.64 two"],
            &["refused 550 one", "refused 550 two"],
        ),
        (
            &["<|550-5.7.64 one", "<|250 2.1.5 ok", "<|550 two"],
            &["refused 550 one", "refused 550 two"],
        ),
        (&["<|451-4.7.0 one", "-"], &["refused 451 one"]),
        (&["<|451-4.7.0 one"], &["refused 451 one"]),
        (&["<|250 ok", "<|354 go"], &[]),
    ] {
        let story = [&["+", ">|NOOP", ">|QUIT"], story].concat();
        assert_eq!(tell(&story), expected, "{story:?}");
    }
}

#[test]
fn duplicates_are_dropped_and_gaps_are_counted() {
    let story = [
        "+", "<|451 a", "=<|451 a", "!", "!", "<|451 b", "!", "<|451 c",
    ];
    let (mut sessions, stream) = watching();
    let told = feed(&mut sessions, stream, &rows(1, &story));
    assert_eq!(
        told.facts,
        ["refused 451 a", "refused 451 b", "refused 451 c"]
    );
    let known = sessions
        .stream(stream)
        .map(|stream| (stream.duplicate_rows, stream.sequence_gaps));
    assert_eq!((told.started, known), (1, Some((1, 2))));
    let again = feed(&mut sessions, stream, &rows(1, &story));
    assert_eq!((again.started, again.facts.len()), (0, 0), "read twice");
}

#[test]
fn one_session_id_is_one_session_per_stream() {
    let (mut sessions, first) = watching();
    let second = sessions.open(Arc::from("EX02"));
    let text = rows(1, &["+", "<|451 a", "-"]);
    for stream in [first, second] {
        assert_eq!(feed(&mut sessions, stream, &text).started, 1);
    }
    assert_eq!(sessions.live(), 0);
}

#[test]
fn the_address_is_believed_only_from_exchange_online() {
    for (banner, hello, expected) in [
        (ONLINE, HELLO, &["egress 203.0.113.7 true"][..]),
        ("220 mx.example", "250 mx.example Hello [198.51.100.1]", &[]),
        ("220 *******", "250 mx.example Hello", &["masked"]),
    ] {
        let (banner, hello) = (format!("<|{banner}"), format!("<|{hello}"));
        let story = ["+", &banner, ">|EHLO ex01", &hello];
        assert_eq!(tell(&story), expected, "{story:?}");
    }
    let (banner, hello) = (format!("<|{ONLINE}"), format!("<|{HELLO}"));
    let twice = ["+", &banner, ">|EHLO x", &hello, ">|EHLO x", &hello];
    assert_eq!(
        tell(&twice),
        ["egress 203.0.113.7 true", "egress 203.0.113.7 false"]
    );
}

#[test]
fn mail_in_clear_is_said_once_and_only_if_every_row_was_seen() {
    let mail = [
        ">|MAIL FROM:<a@contoso.com>",
        "<|250 ok",
        ">|MAIL FROM:<>",
        "<|250 ok",
    ];
    let start = ["+", "<|220 ready", ">|EHLO ex01", "<|250 hi"];
    let secured = [
        ">|STARTTLS",
        "<|220 go",
        "*||TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded",
    ];
    let refused = [">|STARTTLS", "<|250 no"];
    let in_clear = |between: &[&str]| {
        let said = tell(&[&start, between, &mail].concat());
        said.iter().filter(|it| *it == "in clear").count()
    };
    assert_eq!(in_clear(&[]), 1);
    assert_eq!(in_clear(&refused), 1);
    assert_eq!(in_clear(&["!"]), 0, "a lost row");
    assert_eq!(in_clear(&secured), 0);
}

#[test]
fn the_oldest_sessions_make_room() {
    let (mut sessions, stream) = watching();
    let limit = MAX_LIVE_SESSIONS as u64;
    let row = |session: u64| {
        let second = session / 1000;
        format!(
            "2026-01-01T00:00:{second:02}.{:03}Z,Outbound,{session:016X},0,,,*,,attempting to connect\r\n",
            session % 1000
        )
    };
    let text: String = (0..=limit).map(row).collect();
    assert_eq!(feed(&mut sessions, stream, &text).started as u64, limit + 1);
    assert_eq!(sessions.live() as u64 + sessions.evicted, limit + 1);
    assert!(sessions.evicted >= limit / 4 && sessions.evicted <= limit / 4 + 1);
    let newest = row(limit).replace(",0,", ",1,");
    assert_eq!(
        feed(&mut sessions, stream, &newest).started,
        0,
        "the newest stays"
    );
}

#[test]
fn sessions_of_one_instant_do_not_all_go_at_once() {
    let (mut sessions, stream) = watching();
    let limit = MAX_LIVE_SESSIONS as u64;
    let row = |session: u64| {
        format!("2026-01-01T00:00:00.000Z,Outbound,{session:016X},0,,,*,,attempting to connect\r\n")
    };
    let text: String = (0..=limit).map(row).collect();
    feed(&mut sessions, stream, &text);
    assert!(
        sessions.live() > MAX_LIVE_SESSIONS / 2,
        "{}",
        sessions.live()
    );
}
