//! What `tls_server_config` means to the TLS library.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::SupportedProtocolVersion;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::ring;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::ASN1Time;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

use crate::config::web::ClientAuth;
use crate::config::web::Curve;
use crate::config::web::Pem;
use crate::config::web::TlsConfig;
use crate::config::web::TlsVersion;
use crate::daemon::web::access::Files;
use crate::pipeline::snapshot::Validity;

/// What clients have to show, from nothing to the most.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Clients {
    /// Nothing, or whatever they like.
    #[default]
    Anything,
    /// A certificate that is verified.
    Verified,
}

impl Clients {
    pub(super) fn of(config: Option<&TlsConfig>) -> Self {
        match config.map(|tls| &tls.client_auth) {
            Some(ClientAuth::RequireAndVerify(..)) => Self::Verified,
            _ => Self::Anything,
        }
    }
}

/// What does the handshakes, and how long the certificate that it presents is valid, if that can be read.
///
/// # Errors
/// What is wrong with a file, or with all of it together, in words for the operator.
pub(super) fn acceptor(
    config: &TlsConfig,
    http2: bool,
    files: &mut Files<'_>,
) -> Result<(TlsAcceptor, Option<Validity>), String> {
    let provider = Arc::new(provider(config));
    let chain = certificates("cert_file", &config.certificate, files)?;
    let validity = chain.first().and_then(validity);
    let key_text = files.pem("key_file", &config.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| {
        let trouble = if is_encrypted(&key_text) {
            "is encrypted; store it without a passphrase, readable for certdrift only"
        } else {
            "holds no private key in PEM (BEGIN PRIVATE KEY)"
        };
        files.wrong("key_file", &config.key, trouble)
    })?;
    let verifier = verifier(config, &provider, files)?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(config))
        .map_err(|error| files.wrong_tls(&error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| files.wrong_tls(&pair_trouble(&error)))?;
    server.ignore_client_order = config.prefer_server_cipher_suites;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        server.alpn_protocols.insert(0, HTTP2.to_vec());
    }
    Ok((TlsAcceptor::from(Arc::new(server)), validity))
}

fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let moment = |time: ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some(Validity {
        not_before: moment(parsed.validity().not_before)?,
        not_after: moment(parsed.validity().not_after)?,
    })
}

/// How HTTP/2 is called in a handshake (RFC 9113).
pub(super) const HTTP2: &[u8] = b"h2";

fn pair_trouble(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            "the key is not that of the certificate; the first certificate of cert_file must be the server's own".to_owned()
        }
        error => format!("the certificate and its key cannot be used: {error}"),
    }
}

fn is_encrypted(key: &[u8]) -> bool {
    let text = String::from_utf8_lossy(key);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn certificates(
    key: &str,
    pem: &Pem,
    files: &mut Files<'_>,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = files.pem(key, pem)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(files.wrong(key, pem, "holds no certificate in PEM (BEGIN CERTIFICATE)")),
        Err(_) => Err(files.wrong(key, pem, "is damaged: it cannot be read as PEM")),
    }
}

fn provider(config: &TlsConfig) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if let Some(wanted) = &config.cipher_suites {
        let all = std::mem::take(&mut provider.cipher_suites);
        let of_tls13 = all.iter().filter(|suite| suite.tls13().is_some());
        provider.cipher_suites = of_tls13.copied().collect();
        for name in wanted {
            let named = all.iter().find(|it| it.suite().as_str() == Some(*name));
            provider.cipher_suites.extend(named.copied());
        }
    }
    if let Some(curves) = &config.curves {
        let group = |curve: &Curve| match curve {
            Curve::X25519 => ring::kx_group::X25519,
            Curve::P256 => ring::kx_group::SECP256R1,
            Curve::P384 => ring::kx_group::SECP384R1,
        };
        provider.kx_groups = curves.iter().map(group).collect();
    }
    provider
}

fn versions(config: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
    let all = [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ];
    let within = |version| version >= config.min_version && version <= config.max_version;
    let wanted = all.into_iter().filter(|(version, _)| within(*version));
    wanted.map(|(_, version)| version).collect()
}

fn verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    files: &mut Files<'_>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let any = |is_mandatory| {
        let algorithms = provider.signature_verification_algorithms;
        Arc::new(AnyCertificate {
            is_mandatory,
            algorithms,
        })
    };
    Ok(match &config.client_auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Request => any(false),
        ClientAuth::RequireAny(names) => named(any(true), names.as_ref()),
        ClientAuth::VerifyIfGiven(authorities) => signed_by(authorities, true, provider, files)?,
        ClientAuth::RequireAndVerify(authorities, names) => {
            let signed = signed_by(authorities, false, provider, files)?;
            named(signed, names.as_ref())
        }
    })
}

fn named(
    inner: Arc<dyn ClientCertVerifier>,
    names: Option<&Vec<String>>,
) -> Arc<dyn ClientCertVerifier> {
    match names {
        None => inner,
        Some(names) => Arc::new(NamedCertificate {
            inner,
            names: names.clone(),
        }),
    }
}

fn signed_by(
    authorities: &Pem,
    is_optional: bool,
    provider: &Arc<CryptoProvider>,
    files: &mut Files<'_>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca_file", authorities, files)? {
        roots.add(certificate).map_err(|_| {
            let trouble = "has a certificate that cannot be used as an authority";
            files.wrong("client_ca_file", authorities, trouble)
        })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
    let builder = if is_optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    builder
        .build()
        .map_err(|error| files.wrong("client_ca_file", authorities, &error.to_string()))
}

/// Takes any certificate, as long as the client has its key: `RequestClientCert` and `RequireAnyClientCert`.
#[derive(Debug)]
struct AnyCertificate {
    is_mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes what another takes, if it also has one of these alternative names: `client_allowed_sans`.
#[derive(Debug)]
struct NamedCertificate {
    inner: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl ClientCertVerifier for NamedCertificate {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .inner
            .verify_client_cert(certificate, intermediates, now)?;
        if has_one_of(certificate, &self.names) {
            return Ok(verified);
        }
        Err(rustls::CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether the certificate has one of the names as an alternative name, letter by letter: DNS, mail, IP address or URI.
fn has_one_of(certificate: &CertificateDer<'_>, wanted: &[String]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else {
        return false;
    };
    let mut names = extension.value.general_names.iter();
    names.any(|name| {
        let text = match name {
            GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
                (*text).to_owned()
            }
            GeneralName::IPAddress(bytes) => match address(bytes) {
                Some(address) => address.to_string(),
                None => return false,
            },
            _ => return false,
        };
        wanted.contains(&text)
    })
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(Into::into);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(Into::into))
        .ok()
}
