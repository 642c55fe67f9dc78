//! The keys of the web configuration and what each expects, in the order of the documented file.

/// Every accepted key below the top level. As in the configuration proper, no key holds a digit.
pub(in crate::config) const EXPECTED: [(&str, &str); 27] = [
    (
        "tls_server_config",
        "`cert_file` and `key_file`, and if clients are to show certificates `client_auth_type` and `client_ca_file`",
    ),
    (
        "tls_server_config.cert_file",
        "a PEM file with the server's certificate, followed by its intermediate ones",
    ),
    (
        "tls_server_config.key_file",
        "a PEM file with the private key, not encrypted",
    ),
    (
        "tls_server_config.cert",
        "the server's certificate as PEM text; better `cert_file`",
    ),
    (
        "tls_server_config.key",
        "the private key as PEM text; better `key_file`",
    ),
    (
        "tls_server_config.client_auth_type",
        "NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert",
    ),
    (
        "tls_server_config.client_ca_file",
        "a PEM file with the certificates of the authorities that sign the clients'",
    ),
    (
        "tls_server_config.client_ca",
        "the certificates of the authorities as PEM text; better `client_ca_file`",
    ),
    (
        "tls_server_config.client_allowed_sans",
        "a list of alternative names of which the client's certificate must have one, such as [prometheus.contoso.com]",
    ),
    (
        "tls_server_config.client_allowed_sans[]",
        "a DNS name, an IP address, a mail address or a URI",
    ),
    ("tls_server_config.min_version", TLS_VERSION),
    ("tls_server_config.max_version", TLS_VERSION),
    (
        "tls_server_config.cipher_suites",
        "a list of cipher suites, such as [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]; TLS 1.3 has its own in any case",
    ),
    (
        "tls_server_config.cipher_suites[]",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
         TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, or one of the same three with RSA for ECDSA",
    ),
    (
        "tls_server_config.curve_preferences",
        "a list of X25519, CurveP256 and CurveP384",
    ),
    (
        "tls_server_config.curve_preferences[]",
        "X25519, CurveP256 or CurveP384",
    ),
    (
        "tls_server_config.prefer_server_cipher_suites",
        "true or false",
    ),
    ("http_server_config", "`http2` and `headers`"),
    ("http_server_config.http2", "true or false"),
    (
        "http_server_config.headers",
        "lines such as `X-Frame-Options: deny`",
    ),
    (
        "http_server_config.headers.Strict-Transport-Security",
        "such as max-age=31536000",
    ),
    (
        "http_server_config.headers.X-Content-Type-Options",
        "nosniff",
    ),
    (
        "http_server_config.headers.X-Frame-Options",
        "deny or sameorigin",
    ),
    ("http_server_config.headers.X-XSS-Protection", "such as 0"),
    (
        "http_server_config.headers.Content-Security-Policy",
        "such as default-src 'self'",
    ),
    (
        "basic_auth_users",
        "lines with a name and a bcrypt hash, such as `prometheus: $2y$10$…`",
    ),
    (
        "basic_auth_users.…",
        "a bcrypt hash, as `htpasswd -nBC 10 \"\"` prints it behind the colon",
    ),
];

const TLS_VERSION: &str = "TLS12 or TLS13";

/// What is expected at the top level.
pub(super) const TOP: &str = "`tls_server_config:`, `basic_auth_users:` and `http_server_config:`";
