//! Algorithms by the names that people use.

use x509_parser::asn1_rs::FromDer;
use x509_parser::asn1_rs::Oid;
use x509_parser::asn1_rs::Tag;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::pipeline::inventory::oid::dotted;

const RSA: &str = "1.2.840.113549.1.1.1";
const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC: &str = "1.2.840.10045.2.1";

/// What is printed for an OID that has no dotted form.
const UNKNOWN: &str = "unknown";

/// Curves of elliptic keys (RFC 5480, RFC 5639).
const CURVES: &[(&str, &str)] = &[
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
];

/// Algorithms that are named alike as key and as signature, or need no more than their name.
const ALGORITHMS: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.2", "MD2 with RSA"),
    ("1.2.840.113549.1.1.4", "MD5 with RSA"),
    ("1.2.840.113549.1.1.5", "SHA-1 with RSA"),
    ("1.3.14.3.2.29", "SHA-1 with RSA"),
    ("1.2.840.113549.1.1.11", "SHA-256 with RSA"),
    ("1.2.840.113549.1.1.12", "SHA-384 with RSA"),
    ("1.2.840.113549.1.1.13", "SHA-512 with RSA"),
    ("1.2.840.113549.1.1.14", "SHA-224 with RSA"),
    ("1.2.840.10045.4.1", "SHA-1 with ECDSA"),
    ("1.2.840.10045.4.3.1", "SHA-224 with ECDSA"),
    ("1.2.840.10045.4.3.2", "SHA-256 with ECDSA"),
    ("1.2.840.10045.4.3.3", "SHA-384 with ECDSA"),
    ("1.2.840.10045.4.3.4", "SHA-512 with ECDSA"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.10040.4.3", "SHA-1 with DSA"),
    ("2.16.840.1.101.3.4.3.2", "SHA-256 with DSA"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

/// Hash functions as parameters of RSASSA-PSS.
const HASHES: &[(&str, &str)] = &[
    ("1.3.14.3.2.26", "SHA-1"),
    ("2.16.840.1.101.3.4.2.1", "SHA-256"),
    ("2.16.840.1.101.3.4.2.2", "SHA-384"),
    ("2.16.840.1.101.3.4.2.3", "SHA-512"),
    ("2.16.840.1.101.3.4.2.4", "SHA-224"),
];

/// `RSA 2048`, `RSASSA-PSS 2048`, `ECDSA P-256`, `Ed25519`; the dotted OID when unknown. The size or curve is left out
/// when it cannot be read.
pub(super) fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> String {
    let (name, detail) = match printed(&key.algorithm.algorithm, ALGORITHMS) {
        name if name == RSA => ("RSA", rsa_bits(&key.subject_public_key.data)),
        name if name == RSASSA_PSS => ("RSASSA-PSS", rsa_bits(&key.subject_public_key.data)),
        name if name == EC => ("ECDSA", curve(&key.algorithm)),
        name => return name,
    };
    detail.map_or_else(|| name.to_owned(), |detail| format!("{name} {detail}"))
}

/// `SHA-256 with RSA`, `RSASSA-PSS with SHA-256`, `Ed25519`; the dotted OID when unknown.
pub(super) fn signature_algorithm(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let name = printed(&algorithm.algorithm, ALGORITHMS);
    if name != RSASSA_PSS {
        return name;
    }
    let parameters = algorithm.parameters().map(RsaSsaPssParams::try_from);
    match parameters {
        Some(Ok(parameters)) => {
            let hash = printed(parameters.hash_algorithm_oid(), HASHES);
            format!("RSASSA-PSS with {hash}")
        }
        _ => "RSASSA-PSS".to_owned(),
    }
}

fn printed(oid: &Oid<'_>, names: &[(&str, &str)]) -> String {
    let Some(numbers) = dotted(oid) else {
        return UNKNOWN.to_owned();
    };
    let known = names.iter().find(|(known, _)| *known == numbers);
    known.map_or(numbers, |(_, name)| (*name).to_owned())
}

/// The bits of the modulus, without leading zeros.
fn rsa_bits(key: &[u8]) -> Option<String> {
    let (_, key) = RSAPublicKey::from_der(key).ok()?;
    let zeros = key.modulus.iter().take_while(|byte| **byte == 0).count();
    let significant = &key.modulus[zeros..];
    let first = significant.first()?;
    Some((significant.len() * 8 - first.leading_zeros() as usize).to_string())
}

/// The named curve; parameters that spell out a curve have none.
fn curve(algorithm: &AlgorithmIdentifier<'_>) -> Option<String> {
    let parameters = algorithm.parameters()?;
    // The parser would take the bytes of any element for an OID.
    let is_named = parameters.tag() == Tag::Oid;
    let curve = parameters.as_oid().ok().filter(|_| is_named)?;
    Some(printed(&curve, CURVES))
}
