//! `Get-ExchangeCertificate`: the certificates that stand on the servers.
//!
//! Only `RawData`, the certificate itself, is exact; every other property of the export can be had from it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::pipeline::export::Problem;
use crate::pipeline::export::object::Object;
use crate::pipeline::export::object::Wrong;

/// Longest certificate, in bytes of DER: even one with hundreds of names stays below.
const MAX_DER_BYTES: usize = 64 * 1024;
const REMEDY: &str = "export it with `Get-ExchangeCertificate -Server EX01 | Select-Object Thumbprint, Identity, RawData \
     | ConvertTo-Json -Depth 4`";

/// A certificate as it was exported, not read yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawCertificate {
    /// Its DER encoding; `None`: a remote session did not hand it over.
    pub der: Option<Vec<u8>>,
    /// The server in whose store it is; `None`: the export does not say.
    pub server: Option<String>,
}

pub(super) fn read(object: &Object) -> Result<RawCertificate, Wrong> {
    let Some(data) = object.get("RawData") else {
        // Texts of a certificate, so that at least it is counted; anything else is another cmdlet's.
        if !object.has("Thumbprint") {
            return Err(Wrong::with_remedy(
                "has neither RawData nor Thumbprint",
                REMEDY,
            ));
        }
        return Ok(RawCertificate {
            der: None,
            server: server(object)?,
        });
    };
    // Windows PowerShell wraps some arrays.
    let data = match data {
        Value::Object(wrapped) => wrapped.get("value").unwrap_or(data),
        data => data,
    };
    let der = match data {
        Value::String(text) => decoded(text),
        Value::Array(numbers) if numbers.len() <= MAX_DER_BYTES => {
            let byte = |number: &Value| u8::try_from(number.as_u64()?).ok();
            numbers.iter().map(byte).collect()
        }
        _ => None,
    };
    match der {
        Some(der) if !der.is_empty() && der.len() <= MAX_DER_BYTES => Ok(RawCertificate {
            der: Some(der),
            server: server(object)?,
        }),
        _ => Err(Wrong::with_remedy(
            "RawData is neither base64 nor a list of bytes",
            REMEDY,
        )),
    }
}

/// An export in which no certificate has its bytes is of no use at all.
pub(super) fn useful(certificates: Vec<RawCertificate>) -> Result<Vec<RawCertificate>, Problem> {
    let is_bare = |certificate: &RawCertificate| certificate.der.is_none();
    if !certificates.is_empty() && certificates.iter().all(is_bare) {
        return Err(Problem::of_file(
            "holds no RawData of any certificate",
            REMEDY,
        ));
    }
    Ok(certificates)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_DER_BYTES * 2 {
        return None;
    }
    let dense: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(dense).ok()
}

/// What a script added, or the server of the identity `EX01\thumbprint`. The machine of the session comes last, because
/// one session can ask for the certificates of every server.
fn server(object: &Object) -> Result<Option<String>, Wrong> {
    if let Some(server) = object.text("Server")? {
        return Ok(Some(server));
    }
    let identity = object.text("Identity")?;
    let of_identity = identity.and_then(|identity| {
        let (server, _) = identity.split_once('\\')?;
        (!server.is_empty()).then(|| server.to_owned())
    });
    match of_identity {
        Some(server) => Ok(Some(server)),
        None => object.text("PSComputerName"),
    }
}
