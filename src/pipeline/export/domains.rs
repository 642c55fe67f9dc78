//! `Get-AcceptedDomain`: the domains of the tenant.

use std::collections::HashSet;

use crate::pipeline::certificate;
use crate::pipeline::export::object::Object;
use crate::pipeline::export::object::Wrong;
use crate::pipeline::export::object::quoted;

/// The domain, and the wildcard of its subdomains if they are accepted, too. Exchange Online says that in a property
/// of its own, Exchange in the name (`*.contoso.com`).
pub(super) fn read(object: &Object) -> Result<Vec<String>, Wrong> {
    let Some(typed) = object.text("DomainName")? else {
        return Err("has no DomainName".into());
    };
    let bare = match typed.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("smtp:") => &typed[5..],
        _ => typed.as_str(),
    };
    let domain = certificate::dns_name(bare)
        .ok_or_else(|| format!("DomainName is {}, which is no domain", quoted(&typed)))?;
    if object.flag("MatchSubDomains")? == Some(true) && !domain.starts_with("*.") {
        let subdomains = format!("*.{domain}");
        return Ok(vec![domain, subdomains]);
    }
    Ok(vec![domain])
}

/// Each domain once, in their order.
pub(super) fn distinct(domains: Vec<Vec<String>>) -> Vec<String> {
    let mut seen = HashSet::new();
    let domains = domains.into_iter().flatten();
    domains
        .filter(|domain| seen.insert(domain.clone()))
        .collect()
}
