//! EHLO answers: who answers, and from where it sees the client come.

use std::net::IpAddr;

use crate::pipeline::reply::host;

/// The first line of an EHLO answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello<'a> {
    /// The name that the server gives itself, in ASCII.
    pub host: &'a [u8],
    /// The address from which it sees the client come.
    pub client: Option<IpAddr>,
}

/// Reads `250-HOST Hello [203.0.113.7]`, or the same with all lines of the answer joined behind it.
pub fn hello(data: &[u8]) -> Option<Hello<'_>> {
    let rest = match data.strip_prefix(b"250")? {
        [b' ' | b'-', rest @ ..] => rest.trim_ascii_start(),
        _ => return None,
    };
    let host = host(rest)?;
    let rest = rest[host.len()..].trim_ascii_start();
    let greeting = rest.get(..5)?.eq_ignore_ascii_case(b"Hello");
    let rest = rest[5..].trim_ascii_start();
    greeting.then(|| Hello {
        host,
        client: bracketed_address(rest),
    })
}

/// Whether a line of an EHLO answer may be one that [`hello`] reads. Most name an extension.
pub fn may_be_hello(data: &[u8]) -> bool {
    let host = data.get(4..).unwrap_or_default().trim_ascii_start();
    let rest = memchr::memchr(b' ', host).map_or(&[][..], |end| &host[end..]);
    matches!(rest.trim_ascii_start(), [b'H' | b'h', ..])
}

fn bracketed_address(text: &[u8]) -> Option<IpAddr> {
    let rest = text.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', rest)?;
    let address = std::str::from_utf8(&rest[..end]).ok()?;
    let plain = match address.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => &address[5..],
        _ => address,
    };
    let address: IpAddr = plain.parse().ok()?;
    Some(address.to_canonical())
}
