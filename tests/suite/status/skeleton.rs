//! The elements of a page and the names of their attributes, without texts and values.

/// Each tag, as its name and the names of its attributes: `a href`, `/a`, `!DOCTYPE html`.
///
/// # Errors
/// Where the text is no well-formed markup: an unquoted value, or a tag that does not end.
pub(super) fn skeleton(html: &str) -> Result<Vec<String>, String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let (tag, after) = tag(rest)?;
        rest = after;
        // The only raw text is the style sheet, which is ours.
        if tag == "style" {
            let end = rest.find("</style>").ok_or("an open style sheet")?;
            rest = &rest[end..];
        }
        tags.push(tag);
    }
    Ok(tags)
}

fn tag(text: &str) -> Result<(String, &str), String> {
    let mut skeleton = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '>' => return Ok((skeleton, &text[index + 1..])),
            '<' | '\'' | '`' => return Err(format!("{character} in a tag: {skeleton}")),
            '=' => {
                match characters.next() {
                    Some((_, '"')) => {}
                    other => return Err(format!("a value without quotes: {skeleton}={other:?}")),
                }
                if !characters.any(|(_, it)| it == '"') {
                    return Err(format!("a value without end: {skeleton}"));
                }
            }
            _ => skeleton.push(character),
        }
    }
    Err(format!("a tag without end: {skeleton}"))
}
