//! A runbook, which is Markdown, as a page for a browser, in the style of the status page and under the same policy.

use maud::DOCTYPE;
use maud::PreEscaped;
use maud::html;
use pulldown_cmark::CowStr;
use pulldown_cmark::Event;
use pulldown_cmark::Options;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;
use pulldown_cmark::TagEnd;

use crate::render::page::Mood;
use crate::render::page::STYLE;
use crate::render::runbook;

/// The whole page. HTML in the Markdown is shown as text.
pub fn runbook(markdown: &str) -> String {
    let title = markdown.lines().next().unwrap_or_default();
    let title = title.trim_start_matches('#').trim();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · certdrift" }
                link rel="icon" type="image/svg+xml" href={ "../icon/" (Mood::Unknown.as_str()) };
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.paper { p.brand { a href="../" { "certdrift" } " runbook" } }
                main.paper { (PreEscaped(body(markdown))) }
                footer.paper { p {
                    a href="../" { "Status page" } " · " a href=(runbook::INDEX) { "All runbooks" }
                } }
            }
        }
    }
    .into_string()
}

fn body(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, options).map(harmless).collect();
    name_headings(&mut events);
    let mut body = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut body, events.into_iter().flat_map(framed));
    body
}

/// HTML as text, and links to where the pages are served.
fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: CowStr::from(beside(&dest_url).to_owned()),
            title,
            id,
        }),
        event => event,
    }
}

/// Where a page is served to which a file links: all beside each other, whatever their folders.
fn beside(link: &str) -> &str {
    let folders = ["../", "runbooks/"];
    let found = folders.iter().find_map(|folder| link.strip_prefix(folder));
    found.unwrap_or(link)
}

/// Gives each heading the name that links to it use, as GitHub makes them: in lower case, with dashes for spaces and without
/// punctuation.
fn name_headings(events: &mut [Event<'_>]) {
    for at in 0..events.len() {
        let (heading, behind) = events[at..].split_at_mut(1);
        let Event::Start(Tag::Heading { id, .. }) = &mut heading[0] else {
            continue;
        };
        let words = behind
            .iter()
            .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let words = words.filter_map(|event| match event {
            Event::Text(text) | Event::Code(text) => Some(&**text),
            _ => None,
        });
        let kept = words.flat_map(str::chars).filter_map(|it| match it {
            ' ' => Some('-'),
            '-' | '_' => Some(it),
            _ if it.is_alphanumeric() => Some(it.to_ascii_lowercase()),
            _ => None,
        });
        *id = Some(CowStr::from(kept.collect::<String>()));
    }
}

/// A table scrolls by itself where it is wider than a phone.
fn framed(event: Event<'_>) -> impl Iterator<Item = Event<'_>> {
    let frame = |html: &'static str| Some(Event::Html(CowStr::Borrowed(html)));
    let (before, behind) = match &event {
        Event::Start(Tag::Table(_)) => (frame("<div class=\"scroll\">"), None),
        Event::End(TagEnd::Table) => (None, frame("</div>\n")),
        _ => (None, None),
    };
    before.into_iter().chain([event]).chain(behind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;

    use super::*;
    use crate::pipeline::verdict::reason::AlertName;

    /// The values of an attribute.
    fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
        let pieces = html.split(attribute).skip(1);
        pieces.filter_map(|piece| piece.split('"').next()).collect()
    }

    #[test]
    fn every_link_of_every_page_leads_somewhere() {
        let alerts = AlertName::ALL.iter().map(|name| name.as_str());
        let files = alerts.map(|name| format!("{name}.md"));
        let files = files.chain(runbook::COMMON.map(|(name, _)| name.to_owned()));
        let bodies: BTreeMap<String, String> = files
            .map(|name| {
                let body = body(runbook::find(&name).unwrap_or_default());
                (name, body)
            })
            .collect();
        let mut links = 0;
        for (name, html) in &bodies {
            assert!(html.starts_with("<h1 id=\""), "{name}");
            for link in values(html, "href=\"") {
                links += 1;
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let file = if file.is_empty() { name } else { file };
                let target = bodies.get(file).map(String::as_str).unwrap_or_default();
                let anchors: BTreeSet<&str> = values(target, "id=\"").into_iter().collect();
                assert!(!target.is_empty(), "{name}: {link}");
                assert!(
                    anchor.is_empty() || anchors.contains(anchor),
                    "{name}: {link}"
                );
            }
        }
        assert!(links > 30, "{links}");
    }

    #[test]
    fn html_in_the_text_is_shown_and_does_nothing() {
        let page = runbook(
            "# A <i>b</i>\n\n<script>alert(1)</script>\n\nx <img src=x onerror=alert(1)> `<b>`\n\n| a |\n|---|\n| <u> |\n",
        );
        for element in ["<script", "<img", "<i>", "<u>", "<b>"] {
            assert!(!page.contains(element), "{element}: {page}");
        }
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{page}"
        );
        assert!(page.contains("<div class=\"scroll\"><table>"), "{page}");
    }

    #[test]
    fn a_page_can_be_read_by_its_parts() {
        let page = runbook(runbook::page(AlertName::ConnectorRelayDenied));
        for part in [
            "<title>ConnectorRelayDenied · certdrift</title>",
            "<h2 id=\"how-urgent-it-is\">How urgent it is</h2>",
            "<pre><code class=\"language-powershell\">Get-Queue | Format-List",
            "<th>reply</th>",
            "<a href=\"README.md#afterwards\">queue</a>",
            "<a href=\"../\">Status page</a>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
