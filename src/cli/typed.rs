//! Values of the command line, and what to write instead of one that makes no sense.

use jiff::Timestamp;

use crate::config::check_url;

/// Where people reach a certdrift. Notifications append paths to it, so it must be whole and end before any query.
pub(super) fn external_url(text: &str) -> Result<String, String> {
    let wrong = |what| format!("{what}; give one such as https://certdrift.contoso.com:10056/");
    let url = check_url(text).map_err(wrong)?;
    // The parser is kinder than whoever follows the link: it takes `https:host`, and spaces around.
    let is_typed_whole = text
        .split_once("://")
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(url.scheme()));
    if !is_typed_whole || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(wrong("is no address with a scheme and a host"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "has a query or a fragment, behind which no path can follow",
        ));
    }
    Ok(text.to_owned())
}

/// A moment, with its zone.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        "give a date, a time and a zone, such as 2026-11-23T12:00:00Z or 2026-11-23T13:00:00+01:00"
            .to_owned()
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_address_can_be_followed() {
        for text in [
            "https://certdrift.contoso.com/",
            "HTTP://ex01:10056",
            "http://[::1]:10056/certdrift",
        ] {
            assert_eq!(external_url(text), Ok(text.to_owned()));
        }
        for text in [
            "",
            "foo",
            "ex01:10056",
            "/certdrift",
            "//ex01/",
            "ftp://ex01/",
            "https:ex01",
            "https://",
            " https://ex01/",
            "https://ex01/?a=b",
            "https://ex01/#a",
        ] {
            let why = external_url(text).unwrap_err();
            assert!(
                why.ends_with("such as https://certdrift.contoso.com:10056/"),
                "{text}: {why}"
            );
        }
    }

    #[test]
    fn a_time_has_its_zone() {
        assert!(time("2026-11-23T12:00:00Z").is_ok());
        assert_eq!(time("2026-11-23T13:00:00+01:00"), time("2026-11-23 12:00Z"));
        for text in ["2026-11-23", "2026-11-23T12:00:00", "now", ""] {
            assert!(time(text).unwrap_err().contains("2026-11-23T12:00:00Z"));
        }
    }
}
