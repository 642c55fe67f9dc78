//! Commands and their replies: which one answers which, and whether a recipient is outside the tenant.

use serde::Deserialize;
use serde::Serialize;

/// Which command a reply answers. SMTP pipelining lets commands run ahead, so a reply belongs to the oldest command
/// without one (RFC 2920).
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Dialogue {
    /// Commands sent.
    pub(super) sent: u32,
    /// Commands answered.
    pub(super) answered: u32,
    /// Whether the counts can be trusted: every row since the first was seen.
    pub(super) aligned: bool,
    /// Which commands are recipients outside the accepted domains, oldest first.
    pub(super) outside: Vec<u32>,
    /// Whether the mail of the last MAIL command has the null sender. Not the address: that goes nowhere.
    #[serde(default)]
    pub(super) null_sender: bool,
    /// Whether the last command was EHLO or HELO, and has no answer yet.
    pub(super) greeting: bool,
}

/// Whether a row's data is this command, without case. Exchange writes it as it stands here.
pub(super) fn is_command(data: &[u8], command: &[u8]) -> bool {
    data == command || data.trim_ascii_end().eq_ignore_ascii_case(command)
}

/// Whether a MAIL command names a sender, and if so, whether it is the null one (`MAIL FROM:<>`).
pub(super) fn is_null_sender(data: &[u8]) -> Option<bool> {
    let (command, path) = data.split_first_chunk()?;
    let is_mail = command == b"MAIL FROM:" || command.eq_ignore_ascii_case(b"MAIL FROM:");
    is_mail.then(|| path.trim_ascii_start().starts_with(b"<>"))
}

/// The domain of the path between the angle brackets. What stands behind it, like the `ORCPT=` of a message that was
/// forwarded, names other addresses.
fn recipient_domain(command: &[u8]) -> Option<&str> {
    let path = &command[memchr::memchr(b'<', command)? + 1..];
    let mut quoted = false;
    let end = path.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == b'>' && !quoted
    })?;
    let at = memchr::memrchr(b'@', &path[..end])?;
    std::str::from_utf8(&path[at + 1..end]).ok()
}

/// Whether a `RCPT TO:<user@domain>` names a domain that the tenant surely does not host. Tenants own names below
/// onmicrosoft.com without listing them everywhere, so those never count. The address itself goes nowhere.
pub(super) fn is_outside(command: &[u8], accepted_domains: &[String]) -> bool {
    let Some(domain) = recipient_domain(command) else {
        return false;
    };
    let below = |parent: &str| {
        domain.len() >= parent.len()
            && domain.is_char_boundary(domain.len() - parent.len())
            && domain[domain.len() - parent.len()..].eq_ignore_ascii_case(parent)
            && (domain.len() == parent.len()
                || domain.as_bytes()[domain.len() - parent.len() - 1] == b'.')
    };
    let tenant_default = ["onmicrosoft.com", "onmicrosoft.us", "partner.onmschina.cn"];
    // A domain in another script cannot be compared with accepted domains, which are known by their A-labels.
    !domain.is_empty()
        && domain.is_ascii()
        && !tenant_default.into_iter().any(below)
        && !accepted_domains
            .iter()
            .any(|parent| below(parent.strip_prefix("*.").unwrap_or(parent)))
}
