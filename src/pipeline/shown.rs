//! Values from logs and exports, made fit to be shown to people.

/// So many characters of a value are shown.
pub const MAX_SHOWN: usize = 300;

/// The value without control and direction characters, cut at [`MAX_SHOWN`].
pub fn shown(value: &str) -> String {
    if is_fit(value) {
        return value.to_owned();
    }
    cut_and_clean(value)
}

/// Nearly every value is fit to be shown as it is, and that is soon seen.
fn is_fit(value: &str) -> bool {
    value.len() <= MAX_SHOWN && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn cut_and_clean(value: &str) -> String {
    let mut characters = value.chars().filter(|it| !is_deceptive(*it));
    let mut text: String = characters.by_ref().take(MAX_SHOWN).collect();
    if characters.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

/// The value like [`shown`], with a placeholder for every mail address: a subject may hold one (`E=`), and neither a
/// page nor a message nor a metric is to tell whose it is.
pub fn shown_without_addresses(value: &str) -> String {
    if is_fit(value) && !value.contains('@') {
        return value.to_owned();
    }
    masked(value)
}

fn masked(value: &str) -> String {
    let is_at = |it: char| matches!(it, '@' | '＠' | '﹫');
    let plain: String = value.chars().filter(|it| !is_deceptive(*it)).collect();
    let mut text = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    while let Some(at) = rest.find(is_at) {
        let (before, behind) = rest.split_at(at);
        let start = start_of_address(before);
        let end = behind
            .find(|it| ends_address(it) && !is_at(it))
            .unwrap_or(behind.len());
        text.push_str(&before[..start]);
        text.push_str(ADDRESS);
        rest = &behind[end..];
    }
    text.push_str(rest);
    shown(&text)
}

/// What stands in the place of a mail address.
const ADDRESS: &str = "<address>";

fn start_of_address(before: &str) -> usize {
    // A local part in quotes may hold anything (RFC 5321, 4.1.2).
    if let Some(quoted) = before.strip_suffix('"') {
        return quoted.rfind('"').unwrap_or(quoted.len());
    }
    let delimiter = before.char_indices().rfind(|(_, it)| ends_address(*it));
    delimiter.map_or(0, |(at, it)| at + it.len_utf8())
}

fn ends_address(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            ',' | ';' | '=' | '<' | '>' | '"' | '\'' | '(' | ')' | '[' | ']' | '/' | '\\' | ':'
        )
}

/// A text of several lines, each made fit like [`shown`], of at most `most` characters. What goes beyond is left out line by
/// line: half of a command is worse than none, for somebody may paste it. A first line that is too long by itself is cut.
pub fn shown_lines(text: &str, most: usize) -> String {
    let lines = text.lines().map(|line| {
        let clean = line.chars().filter(|it| !is_deceptive(*it));
        clean.collect::<String>()
    });
    let lines: Vec<String> = lines.collect();
    let whole = lines.join("\n");
    if whole.chars().count() <= most {
        return whole;
    }
    // Room for the mark of what is left out: a line of its own, or the end of the only one.
    let mut left = most.saturating_sub(1);
    let mut kept = String::new();
    for line in &lines {
        let length = line.chars().count() + 1;
        if length > left {
            break;
        }
        left -= length;
        kept.push_str(line);
        kept.push('\n');
    }
    if kept.is_empty() {
        kept = whole
            .chars()
            .take(left)
            .take_while(|c| *c != '\n')
            .collect();
    }
    kept.push('…');
    kept
}

/// Characters that break a line, steer a terminal, reorder text or cannot be seen.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_fit_is_not_changed(value in prop_oneof!["[ -~]{0,310}", "[a@~\u{7f}ü]{0,6}", "\\PC{0,5}"]) {
            prop_assert_eq!(shown(&value), cut_and_clean(&value));
            prop_assert_eq!(shown_without_addresses(&value), masked(&value));
        }
    }

    #[test]
    fn a_shown_value_is_one_plain_line() {
        assert_eq!(shown("CN=Bücher, O=“A”"), "CN=Bücher, O=“A”");
        assert_eq!(
            shown("a\r\nb\u{1b}[31mc\u{202e}d\u{200b}e\u{2028}f\u{85}"),
            "ab[31mcdef"
        );
    }

    #[test]
    fn lines_are_kept_whole() {
        assert_eq!(shown_lines("a\r\nb\u{1b}[0m\n\nc", 100), "a\nb[0m\n\nc");
        assert_eq!(shown_lines("", 5), "");
        assert_eq!(shown_lines("1234\n5678\n9", 13), "1234\n5678\n9");
        assert_eq!(shown_lines("1234\n5678\n9", 11), "1234\n5678\n9");
        assert_eq!(shown_lines("1234\n5678\n90", 11), "1234\n5678\n…");
        assert_eq!(shown_lines("1234\n5678\n9", 10), "1234\n…");
        assert_eq!(shown_lines("123456", 5), "1234…");
        for most in 1..40 {
            let text = shown_lines("one line\nanother one\nand a third\nend", most);
            assert!(text.chars().count() <= most, "{most}: {text}");
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let exact = "ü".repeat(MAX_SHOWN);
        assert_eq!(shown(&exact), exact);
        let cut = shown(&"ü".repeat(MAX_SHOWN + 1));
        assert_eq!(cut.chars().count(), MAX_SHOWN);
        assert!(cut.ends_with("ü…"));
    }

    #[test]
    fn no_mail_address_is_shown() {
        for (value, expected) in [
            (
                "CN=mail.contoso.com, E=anna.b@contoso.com, O=Contoso",
                "CN=mail.contoso.com, E=<address>, O=Contoso",
            ),
            (
                "<I>E=a@b.c,CN=CA<S>emailAddress=a@b.c",
                "<I>E=<address>,CN=CA<S>emailAddress=<address>",
            ),
            ("anna@contoso.com", "<address>"),
            ("E=\"anna b\"@contoso.com, C=DE", "E=<address>, C=DE"),
            ("anna\u{200b}@\u{200b}contoso.com x", "<address> x"),
            ("anna＠contoso.com; a@b@c", "<address>; <address>"),
            ("@", "<address>"),
            ("\"@x", "<address>"),
            ("CN=mail.contoso.com", "CN=mail.contoso.com"),
            ("", ""),
        ] {
            let found = shown_without_addresses(value);
            assert!(!found.contains(['@', '＠']), "{found}");
            assert_eq!(found, expected, "{value}");
        }
        assert!(shown_without_addresses(&"a@b ".repeat(200)).chars().count() <= MAX_SHOWN);
    }
}
