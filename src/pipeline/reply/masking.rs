//! Refusal texts without what they say about people.
//!
//! A server may repeat any part of the message in its answer: the recipient in brackets, in quotes, bare, rewritten
//! (`joe=40contoso.com`), an account, a directory path, the message's id. None of it may be stored or shown, and all of
//! it would make every text a group of its own. So masking is generous: what could be personal is replaced, and the
//! words that name the problem stay.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::pipeline::shown::is_deceptive;

/// How much of a text is looked at, in characters. RFC 5321 allows 512 for a line; several may be joined.
const MAX_LOOKED_AT: usize = 4096;

const ADDRESS: &str = "<address>";
const ID: &str = "<id>";
const QUOTED: &str = "\"…\"";

/// One line of text with placeholders, and without characters that deceive.
pub(crate) fn mask(text: &str) -> String {
    let plain = plain(text);
    let grouped = mask_groups(&plain);
    let mut masked = String::new();
    for word in grouped.split(' ').filter(|word| !word.is_empty()) {
        if !masked.is_empty() {
            masked.push(' ');
        }
        push_masked(word, &mut masked);
    }
    masked
}

/// Blanks for white space, nothing for characters that deceive: they could stand inside an address and hide it. An `@`
/// draws its neighbours near.
fn plain(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'@' || byte == b' ';
    if text.len() <= MAX_LOOKED_AT && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::new();
    let mut cut_short = false;
    for (count, letter) in text.chars().enumerate() {
        cut_short = count == MAX_LOOKED_AT;
        if cut_short {
            break;
        }
        match letter {
            _ if letter.is_whitespace() => {
                if !plain.ends_with([' ', '@']) {
                    plain.push(' ');
                }
            }
            '@' | '＠' | '﹫' => {
                plain.truncate(plain.trim_end().len());
                plain.push('@');
            }
            _ if is_deceptive(letter) => {}
            _ => plain.push(letter),
        }
    }
    if cut_short {
        // The last word, or what an open quote or bracket holds, may be half an address without its `@`.
        let quotes = plain.matches('"').count();
        let open_quote = plain.rfind('"').filter(|_| !quotes.is_multiple_of(2));
        let open_bracket = plain.rfind('<').filter(|at| !plain[*at..].contains('>'));
        let ends = [plain.rfind(' '), open_quote, open_bracket];
        plain.truncate(ends.into_iter().flatten().min().unwrap_or(0));
    }
    Cow::Owned(plain)
}

/// Replaces what stands in `<…>` and in double quotes; both may hold blanks. A quote without its end, and a `<` that
/// looks like less-than, stay for the words to be looked at one by one.
fn mask_groups(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'<', b'"', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '"']) {
        masked.push_str(&rest[..at]);
        let (sign, after) = rest[at..].split_at(1);
        let close = if sign == "<" { '>' } else { '"' };
        let inside = after.find(close).map(|end| &after[..end]);
        let mask = match inside {
            Some(inside) if inside.contains('@') => ADDRESS,
            Some(inside) if after[inside.len() + 1..].starts_with('@') => ADDRESS,
            Some(inside) if sign == "<" && !inside.is_empty() && !inside.contains(' ') => ADDRESS,
            Some(inside) if sign == "\"" && !inside.is_empty() => QUOTED,
            _ => sign,
        };
        masked.push_str(mask);
        let taken = inside
            .filter(|_| mask != sign)
            .map_or(0, |inside| inside.len() + 1);
        rest = &after[taken..];
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// Puts a placeholder in the place of an address or an id; the punctuation around it stays.
fn push_masked(word: &str, masked: &mut String) {
    let kept_around = |letter| {
        matches!(
            letter,
            '"' | '\'' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | ':' | '.' | '!' | '?'
        )
    };
    let core = word.trim_matches(kept_around);
    let start = word.len() - word.trim_start_matches(kept_around).len();
    let mask = if is_address(core) {
        ADDRESS
    } else if is_id(core) {
        ID
    } else {
        masked.push_str(word);
        return;
    };
    masked.push_str(&word[..start]);
    masked.push_str(mask);
    masked.push_str(&word[start + core.len()..]);
}

/// A mail address, also encoded (VERP, URL, HTML); `DOMAIN\user`; a path of the directory (`/o=Contoso/…/cn=joe`).
fn is_address(word: &str) -> bool {
    // Whatever is looked for below holds one of these; few words do.
    let is_sign = |byte| matches!(byte, b'@' | b'=' | b'%' | b'&' | b'/' | b'\\');
    if !word.bytes().any(is_sign) {
        return false;
    }
    let lower = word.to_lowercase();
    let encoded = ["@", "=40", "%40", "&#64;", "/o=", "/cn="];
    encoded.iter().any(|sign| lower.contains(sign))
        || word.contains('\\')
        || word.split_once('=').is_some_and(|(local, domain)| {
            !local.is_empty() && domain.contains('.') && domain.contains(char::is_alphabetic)
        })
}

/// Long runs of digits or hex, GUIDs, times, IP addresses, and names with so many digits in them: they name one message,
/// one mailbox or one machine.
fn is_id(word: &str) -> bool {
    // Whatever is looked for below holds a digit, or the colons of an IPv6 address; few words do.
    let is_sign = |byte: u8| byte.is_ascii_digit() || byte == b':';
    if !word.bytes().any(is_sign) {
        return false;
    }
    let core = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let bare = core.split_once('%').map_or(core, |(address, _)| address);
    if bare.parse::<IpAddr>().is_ok() || word.parse::<IpAddr>().is_ok() {
        return true;
    }
    let long_hex = |run: &str| {
        run.len() >= 8
            && run.bytes().all(|byte| byte.is_ascii_hexdigit())
            && run.bytes().any(|byte| byte.is_ascii_digit())
    };
    let digits = |run: &str| run.bytes().filter(u8::is_ascii_digit).count();
    core.split(|letter: char| !letter.is_ascii_alphanumeric())
        .any(long_hex)
        || core
            .split(|letter: char| {
                !letter.is_alphanumeric() && !matches!(letter, '-' | '_' | '.' | ':' | '+')
            })
            .any(|run| digits(run) >= 8 || (digits(run) >= 4 && run.len() >= 16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::pipeline::reply::masking::{MAX_LOOKED_AT, mask};

    #[test]
    fn what_is_personal_goes() {
        for (text, expected) in [
            (
                "<joe@contoso.com>: Recipient address rejected",
                "<address>: Recipient address rejected",
            ),
            ("User joe@contoso.com unknown.", "User <address> unknown."),
            ("<\"joe doe\"@contoso.com> unknown", "<address> unknown"),
            ("\"joe doe\"@contoso.com unknown", "<address> unknown"),
            ("\"joe doe@contoso.com\" unknown", "<address> unknown"),
            ("mailbox \"Joe Doe\" unknown", "mailbox \"…\" unknown"),
            ("<joe> unknown", "<address> unknown"),
            ("jörg@müller.example refused", "<address> refused"),
            ("用户＠例子.example refused", "<address> refused"),
            ("jo\u{200b}e\u{0}x@contoso.com refused", "<address> refused"),
            ("joe @ contoso.com refused", "<address> refused"),
            ("bounce+joe=40contoso.com refused", "<address> refused"),
            ("SRS0=ab=cd=contoso.com=joe refused", "<address> refused"),
            ("joe=contoso.com refused", "<address> refused"),
            ("https://contoso.com/?to=joe%40contoso.com", "<address>"),
            ("CONTOSO\\joe is over quota", "<address> is over quota"),
            ("IMCEAEX-_o=Contoso_cn=joe@contoso.com", "<address>"),
            (
                "/o=Contoso/ou=First/cn=Recipients/cn=joe unknown",
                "<address> unknown",
            ),
            (
                "mailto:joe@contoso.com,ann@contoso.com; sorry",
                "<address>; sorry",
            ),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_one_message_or_machine_goes() {
        for (text, expected) in [
            ("id 0123456789ab, later", "id <id>, later"),
            ("id {8f14e45f-ceea-467f-a0e6-1d2c3b4a5968}", "id {<id>}"),
            ("from 203.0.113.9 (203.0.113.10:25)", "from <id> (<id>)"),
            ("client [2001:db8::1] blocked", "client [<id>] blocked"),
            ("at 2026-01-01T00:00:00.000Z", "at <id>"),
            (
                "[InternalId=12345678901, Hostname=AM0PR01MB1234.eurprd01.prod.outlook.com] x",
                "[<id>, <address>] x",
            ),
            ("d2e1a72fcca58-6e9d4b1c - gsmtp", "<id> - gsmtp"),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_the_problem_stays() {
        for text in [
            "TenantAttribution; Relay Access Denied ATTR36",
            "Access denied, spam abuse detected. AS(1430)",
            "Connecting Exchange server version is out-of-date; see https://aka.ms/BlockUnsafeExchange",
            "TLS 1.0 and 1.1 are not supported. Please upgrade to TLS 1.2",
            "Recipient not found by SMTP address lookup",
            "size 20 > 10 and 5 < 10",
            "Requested action not taken: can't do 5.7.64",
            "reason=5.7.1; see (2)",
            "Zugriff verweigert für Bücher",
            "",
        ] {
            assert_eq!(mask(text), text, "{text}");
        }
        assert_eq!(mask(" a\u{202E}b\t \u{1b}[31mc "), "ab [31mc");
    }

    #[test]
    fn half_an_address_at_the_end_of_a_long_text_goes() {
        for open in ["<", "\"", "<\"ann ", ""] {
            let filler = "x ".repeat((MAX_LOOKED_AT - open.len()) / 2 - 1);
            let masked = mask(&format!("{filler}{open}joejoe@contoso.com"));
            assert!(masked.ends_with('x') && !masked.contains("jo"), "{open}");
        }
    }

    proptest! {
        #[test]
        fn no_address_passes(user in "[a-z0-9._+-]{3,12}", domain in "[a-z]{4,8}\\.example", before in "[a-z <(\"'\\[;]{0,6}", after in "[>)\"'\\]:,]{0,3}") {
            let text = mask(&format!("{before}{user}@{domain}{after} no"));
            prop_assert!(!text.contains(&domain) && !text.contains('@'), "{}", text);
        }

        #[test]
        fn any_text_is_one_line(text in "\\PC{0,60}", odd in "[<>\"@ \\\\=a1\u{202e}\n%]{0,60}") {
            for text in [text, odd] {
                let masked = mask(&text);
                prop_assert!(!masked.contains('@'), "{}", masked);
                let deceptive = masked.contains(['\n', '\u{202e}']);
                prop_assert!(!deceptive, "{}", masked);
                prop_assert_eq!(masked.trim(), &masked);
            }
        }
    }
}
