//! Values from logs and exports, made fit to be shown to people.

/// So many characters of a value are shown.
pub const MAX_SHOWN: usize = 300;

/// The value without control and direction characters, cut at [`MAX_SHOWN`].
pub fn shown(value: &str) -> String {
    let mut characters = value.chars().filter(|it| !is_deceptive(*it));
    let mut text: String = characters.by_ref().take(MAX_SHOWN).collect();
    if characters.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
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
    use super::*;

    #[test]
    fn a_shown_value_is_one_plain_line() {
        assert_eq!(shown("CN=Bücher, O=“A”"), "CN=Bücher, O=“A”");
        assert_eq!(
            shown("a\r\nb\u{1b}[31mc\u{202e}d\u{200b}e\u{2028}f\u{85}"),
            "ab[31mcdef"
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let exact = "ü".repeat(MAX_SHOWN);
        assert_eq!(shown(&exact), exact);
        let cut = shown(&"ü".repeat(MAX_SHOWN + 1));
        assert_eq!(cut.chars().count(), MAX_SHOWN);
        assert!(cut.ends_with("ü…"));
    }
}
