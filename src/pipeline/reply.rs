//! What a server answers: banner, EHLO answer, refusals.

mod hello;
mod masking;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::reply::masking::mask;

pub use crate::pipeline::reply::hello::Hello;
pub use crate::pipeline::reply::hello::hello;
pub use crate::pipeline::reply::hello::may_be_hello;

/// The longest refusal text that is kept, in characters.
pub const MAX_TEXT_CHARS: usize = 200;
/// CR LF inside a cell: the log writes them as two characters each.
const JOINT: &str = r"\r\n";
/// The longest host name that is looked at, in bytes (RFC 1035).
const MAX_HOST_BYTES: usize = 255;

/// Names under which Exchange Online answers: worldwide, China (21Vianet), US government, and the newer `mx.microsoft`.
const EXCHANGE_ONLINE: [&str; 4] = [
    "mail.protection.outlook.com",
    "mail.protection.partner.outlook.cn",
    "mail.protection.office365.us",
    "mx.microsoft",
];

/// One line of a reply (RFC 5321, section 4.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply<'a> {
    /// Basic reply code.
    pub code: u16,
    /// Whether more lines of the same reply follow (`250-`).
    pub more: bool,
    /// Enhanced status code (RFC 3463).
    pub enhanced: Option<EnhancedCode>,
    /// The text behind the codes, without a bracketed server name at its end.
    pub text: &'a [u8],
}

/// An enhanced status code: class, subject, detail.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What a refusal means for the connector; the gravest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyClass {
    /// No inbound connector matched.
    Attribution,
    /// TLS is missing, too old, or the certificate failed validation.
    Tls,
    /// The connector, tenant or address is blocked or limited.
    Blocked,
    /// The server's version is throttled or blocked.
    Version,
    /// An ordinary delivery failure.
    Other,
}

impl ReplyClass {
    /// Every class.
    pub const ALL: [Self; 5] = [
        Self::Attribution,
        Self::Tls,
        Self::Blocked,
        Self::Version,
        Self::Other,
    ];

    /// The word in JSON and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attribution => "attribution",
            Self::Tls => "tls",
            Self::Blocked => "blocked",
            Self::Version => "version",
            Self::Other => "other",
        }
    }
}

impl<'a> Reply<'a> {
    /// The code of a reply line, and whether more lines follow. Looks at four bytes.
    pub fn code(data: &[u8]) -> Option<(u16, bool)> {
        let (&[hundreds @ b'2'..=b'5', tens, ones], rest) = data.split_first_chunk()? else {
            return None;
        };
        if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
            return None;
        }
        let more = match rest.first() {
            None | Some(b' ') => false,
            Some(b'-') => true,
            Some(_) => return None,
        };
        let digit = |byte: u8| u16::from(byte - b'0');
        Some((digit(hundreds) * 100 + digit(tens) * 10 + digit(ones), more))
    }

    /// Takes a reply line apart.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (code, more) = Self::code(data)?;
        let rest = data.get(4..).unwrap_or_default().trim_ascii_start();
        let (enhanced, text) = match enhanced_code(rest) {
            Some((enhanced, text)) => (Some(enhanced), text),
            None => (None, rest),
        };
        Some(Self {
            code,
            more,
            enhanced,
            text: without_bracket(text),
        })
    }
}

/// Takes `5.7.64` and what follows it.
fn enhanced_code(text: &[u8]) -> Option<(EnhancedCode, &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit() && *byte != b'.')
        .unwrap_or(text.len());
    let mut parts = text[..end].split(|&byte| byte == b'.');
    let mut number = |longest: usize| -> Option<u16> {
        let digits = parts.next()?;
        (1..=longest)
            .contains(&digits.len())
            .then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
    };
    let code = EnhancedCode(u8::try_from(number(1)?).ok()?, number(3)?, number(3)?);
    // `5.7.606-649` is a range in a manual, not a code.
    let ends =
        parts.next().is_none() && matches!(text.get(end), None | Some(b' ' | b':' | b';' | b'\\'));
    let rest = text[end..].trim_ascii_start();
    let rest = rest
        .strip_prefix(b":")
        .or(rest.strip_prefix(b";"))
        .unwrap_or(rest);
    ends.then(|| (code, rest.trim_ascii_start()))
}

/// Cuts ` [server]` or ` [server time session]` off the end.
fn without_bracket(text: &[u8]) -> &[u8] {
    let trimmed = text.trim_ascii_end();
    if trimmed.last() != Some(&b']') {
        return trimmed;
    }
    match memchr::memrchr(b'[', trimmed) {
        Some(open) => trimmed[..open].trim_ascii_end(),
        None => trimmed,
    }
}

/// What a refusal means, by its enhanced code and the attribution tag that Exchange Online appends.
pub fn classify(reply: &Reply<'_>) -> ReplyClass {
    if has_attribution_tag(reply.text) {
        return ReplyClass::Attribution;
    }
    match reply.enhanced {
        Some(EnhancedCode(5, 7, 64 | 51 | 68) | EnhancedCode(4, 4, 62)) => ReplyClass::Attribution,
        Some(EnhancedCode(4 | 5, 7, 230)) => ReplyClass::Version,
        Some(EnhancedCode(5, 7, 3) | EnhancedCode(4, 7, 66 | 5)) => ReplyClass::Tls,
        Some(EnhancedCode(4, 7, 0)) if speaks_of_tls(reply.text) => ReplyClass::Tls,
        Some(
            EnhancedCode(5, 7, 711 | 705 | 708 | 750 | 511 | 606..=649)
            | EnhancedCode(4, 7, 500 | 650),
        ) => ReplyClass::Blocked,
        _ => ReplyClass::Other,
    }
}

/// `ATTR35`, `ATTR36`, or the same without R, as a word of its own.
fn has_attribution_tag(text: &[u8]) -> bool {
    has_word(text, |word| {
        matches!(word, b"ATTR35" | b"ATTR36" | b"ATT35" | b"ATT36")
    })
}

/// `TLS` as a word of its own, `STARTTLS`, or `TLS` with a version (`TLSv1.2`, `TLS1_2`).
fn speaks_of_tls(text: &[u8]) -> bool {
    has_word(text, |word| {
        word.eq_ignore_ascii_case(b"STARTTLS")
            || word.split_at_checked(3).is_some_and(|(name, version)| {
                name.eq_ignore_ascii_case(b"TLS")
                    && matches!(version.first(), None | Some(b'0'..=b'9' | b'v' | b'V'))
            })
    })
}

fn has_word(text: &[u8], wanted: impl Fn(&[u8]) -> bool) -> bool {
    text.split(|byte| !byte.is_ascii_alphanumeric()).any(wanted)
}

/// The text of a refusal as it may be shown and grouped: no mail addresses, no ids, no control characters, at most
/// [`MAX_TEXT_CHARS`] characters and an ellipsis. Where several lines were joined, the codes that each begins with are
/// left out.
pub fn fold_text(reply: &Reply<'_>) -> String {
    // Looks at many bytes at once, which the lossy way does not.
    let text = str::from_utf8(reply.text)
        .map_or_else(|_| String::from_utf8_lossy(reply.text), Cow::Borrowed);
    let mut folded = match text.split_once(JOINT) {
        None => mask(&text),
        Some((first, further)) => mask(&joined(first, further, reply.code)),
    };
    if let Some((end, _)) = folded.char_indices().nth(MAX_TEXT_CHARS) {
        folded.truncate(end);
        folded.push('…');
    }
    folded
}

/// Lines that stand in one cell as one, without the codes that the further ones begin with.
fn joined(first: &str, further: &str, code: u16) -> String {
    let mut joined = first.to_owned();
    for line in further.split(JOINT) {
        joined.push(' ');
        match Reply::parse(line.as_bytes()).filter(|reply| reply.code == code) {
            Some(reply) => joined.push_str(&String::from_utf8_lossy(reply.text)),
            None => joined.push_str(line),
        }
    }
    joined
}

/// The host of a banner: `220 HOST …`.
pub fn banner_host(data: &[u8]) -> Option<&[u8]> {
    host(data.strip_prefix(b"220")?.strip_prefix(b" ")?)
}

/// Whether a firewall has replaced the banner by asterisks (Cisco's SMTP inspection and its like).
pub fn banner_is_masked(data: &[u8]) -> bool {
    data.strip_prefix(b"220 ")
        .is_some_and(|rest| rest.starts_with(b"****"))
}

fn host(text: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let host = &text[..end];
    // Every byte is looked at, because the compiler can then look at many at once.
    let sound = host.iter().fold(true, |sound, byte| {
        sound & (byte.is_ascii_alphanumeric() | matches!(byte, b'.' | b'-' | b'_'))
    });
    (sound && (1..=MAX_HOST_BYTES).contains(&host.len())).then_some(host)
}

/// Whether a host name is one of Exchange Online's: equal to one of its names or below it.
pub fn is_exchange_online(host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    EXCHANGE_ONLINE.iter().any(|name| {
        host.len().checked_sub(name.len()).is_some_and(|start| {
            host[start..].eq_ignore_ascii_case(name.as_bytes())
                && (start == 0 || host[start - 1] == b'.')
        })
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(line: &str) -> String {
        fold_text(&Reply::parse(line.as_bytes()).unwrap())
    }

    #[test]
    fn a_reply_comes_apart() {
        let reply = Reply::parse(b"550 5.7.64 TenantAttribution; Relay Access Denied [AM0EUR02FT041.eop-EUR02.prod.protection.outlook.com 2026-01-01T00:00:00.000Z 08DE41A5B3C2D100]").unwrap();
        assert_eq!((reply.code, reply.more), (550, false));
        assert_eq!(reply.enhanced.unwrap().to_string(), "5.7.64");
        assert_eq!(reply.text, b"TenantAttribution; Relay Access Denied");
        let plain = Reply::parse(b"451-try later").unwrap();
        assert_eq!((plain.code, plain.more, plain.enhanced), (451, true, None));
        for no_reply in [&b"25"[..], b"2500 x", b"650 x", b"abc", b"250=x", b""] {
            assert_eq!(Reply::parse(no_reply), None);
        }
    }

    /// Every code that matters, both ways round, and its neighbours.
    #[test]
    fn every_code_has_its_class() {
        for (class, codes) in [
            (
                ReplyClass::Attribution,
                &["550 5.7.64", "550 5.7.51", "550 5.7.68", "451 4.4.62"][..],
            ),
            (ReplyClass::Version, &["450 4.7.230", "550 5.7.230"]),
            (ReplyClass::Tls, &["530 5.7.3", "421 4.7.66", "454 4.7.5"]),
            (
                ReplyClass::Blocked,
                &[
                    "550 5.7.711",
                    "550 5.7.705",
                    "550 5.7.708",
                    "550 5.7.750",
                    "550 5.7.511",
                    "550 5.7.606",
                    "550 5.7.607",
                    "550 5.7.648",
                    "550 5.7.649",
                    "451 4.7.500",
                    "451 4.7.650",
                ],
            ),
            (
                ReplyClass::Other,
                &[
                    "550 5.7.605",
                    "550 5.7.650",
                    "550 5.7.500",
                    "451 4.7.511",
                    "451 4.7.606",
                    "451 4.7.705",
                    "451 4.7.64",
                    "451 4.7.51",
                    "550 5.4.62",
                    "451 4.4.61",
                    "550 5.7.63",
                    "550 5.7.52",
                    "550 5.7.67",
                    "450 4.7.3",
                    "550 5.7.5",
                    "550 5.7.66",
                    "454 4.7.0",
                    "550 5.7.231",
                    "550 5.7.707",
                    "550 5.7.712",
                    "550 5.1.10",
                ],
            ),
        ] {
            for code in codes {
                for line in [format!("{code} Access denied"), (*code).to_owned()] {
                    let found = Reply::parse(line.as_bytes()).map(|reply| classify(&reply));
                    assert_eq!(found, Some(class), "{line}");
                }
            }
        }
    }

    /// Exchange Online names its attribution by a word, whatever the code is.
    #[test]
    fn an_attribution_is_known_by_its_word() {
        for (word, class) in [
            ("ATTR35", ReplyClass::Attribution),
            ("ATTR36", ReplyClass::Attribution),
            ("ATT35", ReplyClass::Attribution),
            ("ATT36", ReplyClass::Attribution),
            ("ATTR34", ReplyClass::Other),
            ("ATTR37", ReplyClass::Other),
            ("ATTR3", ReplyClass::Other),
            ("attr35", ReplyClass::Other),
        ] {
            for line in [
                format!("550 5.7.1 Relay access denied. {word}"),
                format!("451 4.4.4 [{word}] Mail received as unauthenticated"),
                format!("550 Denied ({word})"),
            ] {
                let found = Reply::parse(line.as_bytes()).map(|reply| classify(&reply));
                assert_eq!(found, Some(class), "{line}");
            }
        }
    }

    #[test]
    fn classes_follow_the_codes() {
        for (line, class) in [
            (
                "550 5.7.64 TenantAttribution; Relay Access Denied",
                ReplyClass::Attribution,
            ),
            (
                "550 5.7.51 TenantInboundAttribution",
                ReplyClass::Attribution,
            ),
            ("550 5.7.68 x", ReplyClass::Attribution),
            (
                "451 4.4.62 Mail sent to the wrong Office 365 region. ATTR35",
                ReplyClass::Attribution,
            ),
            (
                "550 5.7.1 TenantAttribution ATTR36",
                ReplyClass::Attribution,
            ),
            ("550 5.7.1 XATTR361", ReplyClass::Other),
            (
                "450 4.7.230 Connecting Exchange server version is out-of-date",
                ReplyClass::Version,
            ),
            ("550 5.7.230 x", ReplyClass::Version),
            (
                "530 5.7.3 STARTTLS is required to send mail",
                ReplyClass::Tls,
            ),
            ("421 4.7.0 TLS version too old", ReplyClass::Tls),
            ("421 4.7.0 Too many atls", ReplyClass::Other),
            ("451 4.7.0 Must issue a STARTTLS command", ReplyClass::Tls),
            ("451 4.7.0 TLSv1.0 is not supported", ReplyClass::Tls),
            ("451 4.7.0 TLSX", ReplyClass::Other),
            ("451 4.7.0 Temporary server error", ReplyClass::Other),
            ("550 5.7.64: x", ReplyClass::Attribution),
            ("550 5.7.606-649 x", ReplyClass::Other),
            (
                "550-5.7.1 x\\r\\n550 5.7.1 y ATTR35",
                ReplyClass::Attribution,
            ),
            (
                "421 4.7.66 TLS 1.0 and 1.1 are not supported",
                ReplyClass::Tls,
            ),
            ("454 4.7.5 Certificate validation failure", ReplyClass::Tls),
            (
                "550 5.7.606 Access denied, banned sending IP",
                ReplyClass::Blocked,
            ),
            ("550 5.7.649 x", ReplyClass::Blocked),
            ("550 5.7.650 x", ReplyClass::Other),
            ("550 5.7.605 x", ReplyClass::Other),
            ("550 5.7.711 x", ReplyClass::Blocked),
            ("451 4.7.500 Server busy", ReplyClass::Blocked),
            ("451 4.7.650 x", ReplyClass::Blocked),
            (
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
                ReplyClass::Other,
            ),
            ("451 plain", ReplyClass::Other),
        ] {
            assert_eq!(
                classify(&Reply::parse(line.as_bytes()).unwrap()),
                class,
                "{line}"
            );
        }
    }

    #[test]
    fn addresses_and_ids_are_masked() {
        for (line, text) in [
            (
                "550 5.1.1 <joe@contoso.com>: Recipient address rejected",
                "<address>: Recipient address rejected",
            ),
            (
                "550 5.1.1 User joe@contoso.com unknown.",
                "User <address> unknown.",
            ),
            ("550 bounce+joe=40contoso.com refused", "<address> refused"),
            ("550 jörg@müller.example refused", "<address> refused"),
            ("451 4.7.0 id 0123456789ab, later", "id <id>, later"),
            ("451 from 203.0.113.9 (203.0.113.10)", "from <id> (<id>)"),
            (
                "550 5.7.1 Service unavailable, Client host [2001:db8::1] blocked",
                "Service unavailable, Client host [<id>] blocked",
            ),
            ("451 4.4.62 region. ATTR35", "region. ATTR35"),
            ("550 a\u{202E}b\u{1b}[31mc", "ab[31mc"),
        ] {
            assert_eq!(folded(line), text, "{line}");
        }
        assert_eq!(
            folded(
                r"550-5.1.1 The account does not exist. Try\r\n550-5.1.1 double-checking\r\n550 5.1.1 it. [srv]"
            ),
            "The account does not exist. Try double-checking it."
        );
        assert_eq!(folded(r"550 no\r\n550 5 left"), "no 5 left");
        assert_eq!(
            folded(&format!("550 {}", "long ".repeat(5000)))
                .chars()
                .count(),
            MAX_TEXT_CHARS + 1
        );
    }

    #[test]
    fn the_ehlo_answer_names_the_address() {
        let joined = b"250  AM0EUR02FT041.mail.protection.outlook.com Hello [203.0.113.7] SIZE 157286400 PIPELINING STARTTLS";
        let hello_joined = hello(joined).unwrap();
        assert!(is_exchange_online(hello_joined.host));
        assert_eq!(hello_joined.client, "203.0.113.7".parse().ok());
        for (line, address) in [
            (
                "250-x.mx.microsoft Hello [2001:db8::7]",
                Some("2001:db8::7"),
            ),
            (
                "250-x.mx.microsoft Hello [IPv6:2001:db8::7]",
                Some("2001:db8::7"),
            ),
            (
                "250-x.mx.microsoft Hello [::ffff:203.0.113.7]",
                Some("203.0.113.7"),
            ),
            ("250 x.mx.microsoft Hello [no address]", None),
            ("250-x.mx.microsoft Hello", None),
        ] {
            assert_eq!(
                hello(line.as_bytes()).unwrap().client,
                address.and_then(|text| text.parse().ok()),
                "{line}"
            );
        }
        assert_eq!(hello(b"250-SIZE 157286400"), None);
        assert_eq!(hello(b"250 2.1.0 Sender OK"), None);
    }

    #[test]
    fn exchange_online_is_known_by_whole_labels() {
        for (host, online) in [
            ("AM0EUR02FT041.mail.protection.outlook.com", true),
            ("contoso-com.mail.protection.outlook.com.", true),
            ("CONTOSO.MX.MICROSOFT", true),
            ("x.mail.protection.partner.outlook.cn", true),
            ("x.mail.protection.office365.us", true),
            ("evilmail.protection.outlook.com", false),
            ("mail.protection.outlook.com.evil.example", false),
            ("notmx.microsoft", false),
            ("outlook.com", false),
        ] {
            assert_eq!(is_exchange_online(host.as_bytes()), online, "{host}");
        }
        assert_eq!(
            banner_host(b"220 x.mx.microsoft Microsoft ESMTP MAIL Service ready"),
            Some(&b"x.mx.microsoft"[..])
        );
        assert_eq!(banner_host(b"220-x"), None);
        assert!(banner_is_masked(b"220 *********"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..300), code in 200..600u16) {
            let line = [format!("{code} ").as_bytes(), &data].concat();
            for data in [&data, &line] {
                if let Some(reply) = Reply::parse(data) {
                    prop_assert!(fold_text(&reply).chars().count() <= MAX_TEXT_CHARS + 1);
                    let _ = classify(&reply);
                }
                let _ = banner_host(data);
            prop_assert!(hello(data).is_none() || may_be_hello(data));
            }
        }

        #[test]
        fn no_address_passes(user in "[a-z0-9._+-]{1,12}", domain in "[a-z]{1,8}\\.example", before in "[a-z <(\"']{0,6}") {
            let text = folded(&format!("550 {before}{user}@{domain}> no"));
            let domain_shown = text.contains(&domain);
            prop_assert!(!domain_shown, "{}", text);
        }
    }
}
