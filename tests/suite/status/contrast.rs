//! Whether the colours of the page can be read, as WCAG 2.2 measures it (1.4.3 and 1.4.11), light and dark.

use std::collections::HashMap;

/// For text.
const READABLE: f64 = 4.5;
/// For what is no text, such as a bar.
const VISIBLE: f64 = 3.0;
const WHITE: &str = "#ffffff";

#[test]
fn colours_can_be_read_in_both_schemes() {
    let style = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/page/style.css");
    let style = std::fs::read_to_string(style).unwrap();
    let schemes: Vec<HashMap<&str, &str>> = style
        .split(":root {")
        .skip(1)
        .map(|rest| variables(rest.split_once('}').unwrap().0))
        .collect();
    assert_eq!(schemes.len(), 2);
    for colours in &schemes {
        let check = |colour: &str, ground: &str, least: f64| {
            let of = |name: &str| colours.get(name).copied().unwrap_or(WHITE).to_owned();
            let contrast = contrast(&of(colour), &of(ground));
            assert!(contrast >= least, "{colour} on {ground}: {contrast:.2}");
        };
        for text in ["text", "soft", "link", "critical", "warning", "good"] {
            check(text, "ground", READABLE);
            check(text, "card", READABLE);
        }
        for tinted in ["critical", "warning", "good", "unknown"] {
            check(tinted, &format!("{tinted}-ground"), READABLE);
        }
        check("text", "warning-ground", READABLE);
        check("text", "code", READABLE);
        for number in 0..6 {
            let colour = format!("c{number}");
            check("white", &colour, READABLE);
            check(&colour, "card", VISIBLE);
        }
    }
}

/// `--name: #colour` pairs.
fn variables(block: &str) -> HashMap<&str, &str> {
    block
        .split(';')
        .filter_map(|declaration| declaration.trim().strip_prefix("--")?.split_once(": "))
        .collect()
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: &str) -> f64 {
    let digits = colour.strip_prefix('#').unwrap();
    let digits: String = match digits.len() {
        3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => digits.to_owned(),
    };
    let part = |start: usize| {
        let value = f64::from(u8::from_str_radix(&digits[start..start + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}
