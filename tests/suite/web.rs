//! The HTTP server as clients meet it: the web configuration's meaning, TLS with client certificates, passwords, a new
//! file while it runs, and clients that are slow.

mod site;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use certdrift::config::web::{describe, load};
use certdrift::daemon::web::{Follower, Limits, Web, check};
use jiff::SignedDuration;
use reqwest::header::HeaderMap;
use reqwest::tls::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::web::site::{Authority, Site, short_limits};

/// What every secret in the wrong files contains.
const SECRET: &str = "topsecret";
const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

#[test]
fn every_wrong_file_gets_the_message_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web");
    let cases = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let cases = cases.filter(|path| path.extension().is_some_and(|end| end == "yml"));
    let mut cases: Vec<PathBuf> = cases.collect();
    cases.sort();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    let differences: Vec<String> = cases.iter().filter_map(|case| difference(case)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn difference(case: &Path) -> Option<String> {
    let error = load(case).expect_err("this file is wrong");
    let folder = format!("{}/", case.parent().unwrap().display());
    let actual = format!("{error}\n").replace(&folder, "");
    assert!(
        !actual.contains(SECRET),
        "{} tells a secret",
        case.display()
    );
    let expected = fs::read_to_string(case.with_extension("stderr")).unwrap_or_default();
    let case = case.display();
    (actual != expected).then(|| format!("--- {case}\nexpected:\n{expected}actual:\n{actual}"))
}

fn documented() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/web.config.yml")
}

/// It names no certificate, so that the first thing that people try with it works.
#[test]
fn the_documented_file_can_be_used_as_it_is() {
    assert_eq!(
        describe(&check(&documented()).unwrap().0),
        "HTTP without TLS\n\
         Passwords: of prometheus, on every path, /-/healthy and /-/ready included\n\
         Header: Strict-Transport-Security: max-age=31536000\n\
         Header: X-Content-Type-Options: nosniff\n\
         Header: X-Frame-Options: deny\n"
    );
}

#[test]
fn the_documented_file_means_what_its_comments_say() {
    let text = fs::read_to_string(documented()).unwrap();
    // Prose has one space behind the `#`, or three; YAML has none, or the indentation.
    let is_sample = |line: &&str| {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        !line.is_empty() && spaces.is_multiple_of(2)
    };
    let awake = |line: &str| {
        let sample = line.strip_prefix('#').filter(is_sample);
        format!("{}\n", sample.unwrap_or(line))
    };
    let site = Site::new(&text.lines().map(awake).collect::<String>());
    assert_eq!(
        describe(&check(&site.file()).unwrap().0),
        "HTTPS: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1\n\
         Client certificates: demanded and verified, with a name among prometheus.contoso.com\n\
         Passwords: of prometheus, on every path, /-/healthy and /-/ready included\n\
         Header: Strict-Transport-Security: max-age=31536000\n\
         Header: X-Content-Type-Options: nosniff\n\
         Header: X-Frame-Options: deny\n"
    );
}

#[test]
fn a_file_that_says_nothing_asks_for_nothing() {
    let site = Site::new("# later\n");
    let (config, _) = check(&site.file()).unwrap();
    assert!(config.tls.is_none() && config.users.is_empty() && config.headers.is_empty());
    assert_eq!(describe(&config), "HTTP without TLS\nPasswords: none\n");
}

#[test]
fn what_is_wrong_with_certificates_and_keys_is_told_without_repeating_them() {
    let site = Site::new(TLS);
    let authority = Authority::new("another authority");
    let other = authority.issue("localhost");
    let certificate = fs::read_to_string(site.path("server.pem")).unwrap();
    for (file, content, expected) in [
        (
            "server.key",
            other.key.as_str(),
            "tls_server_config: the key is not that of the certificate",
        ),
        (
            "server.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "server.key is encrypted; store it without a passphrase",
        ),
        (
            "server.key",
            certificate.as_str(),
            "server.key holds no private key in PEM",
        ),
        (
            "server.pem",
            other.key.as_str(),
            "server.pem holds no certificate in PEM",
        ),
        (
            "server.pem",
            "-----BEGIN CERTIFICATE-----\n!!!\n",
            "server.pem is damaged: it cannot be read as PEM",
        ),
    ] {
        let before = fs::read(site.path(file)).unwrap();
        fs::write(site.path(file), content).unwrap();
        let message = check(&site.file()).unwrap_err();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("web.config.yml: "), "{message}");
        let secret = other.key.lines().nth(1).unwrap();
        assert!(!message.contains(secret), "{message}");
        fs::write(site.path(file), before).unwrap();
    }
    fs::remove_file(site.path("server.key")).unwrap();
    let message = check(&site.file()).unwrap_err();
    assert!(message.contains("server.key does not exist"), "{message}");
}

#[tokio::test]
async fn over_tls_the_routes_answer_and_plain_http_is_told_so() {
    let site = Site::new(TLS);
    let server = site.serve().await;
    let client = site.client();
    assert_eq!(server.get(&client, "/").await.unwrap().1, "routed");
    let plain = reqwest::get(format!("http://127.0.0.1:{}/", server.port())).await;
    let plain = plain.unwrap();
    assert_eq!(plain.status(), 400);
    assert_eq!(
        plain.text().await.unwrap(),
        "This is HTTPS: ask with https://\n"
    );
}

#[tokio::test]
async fn key_and_certificates_may_stand_in_the_file_itself() {
    let site = Site::new(TLS);
    let indented = |file: &str| {
        let text = fs::read_to_string(site.path(file)).unwrap();
        text.lines()
            .fold(String::new(), |all, line| all + "    " + line + "\n")
    };
    let text = format!(
        "tls_server_config:\n  cert: |\n{}  key: |\n{}  client_auth_type: RequireAndVerifyClientCert\n  client_ca: |\n{}",
        indented("server.pem"),
        indented("server.key"),
        indented("clients.pem")
    );
    fs::write(site.file(), text).unwrap();
    let server = site.serve().await;
    let client = site.client_with(&site.clients.issue("prometheus.contoso.com"));
    assert_eq!(server.get(&client, "/").await.unwrap().0, 200);
    assert!(server.get(&site.client(), "/").await.is_none());
}

#[tokio::test]
async fn clients_show_what_the_five_words_demand() {
    // Whether a client gets in: without a certificate, with one of the authority, with one of another authority.
    for (word, authority, expected) in [
        ("NoClientCert", false, [true, true, true]),
        ("RequestClientCert", false, [true, true, true]),
        ("RequireAnyClientCert", false, [false, true, true]),
        ("RequireClientCert", false, [false, true, true]),
        ("VerifyClientCertIfGiven", true, [true, true, false]),
        ("RequireAndVerifyClientCert", true, [false, true, false]),
    ] {
        for version in ["TLS12", "TLS13"] {
            let mut text = format!("{TLS}  client_auth_type: {word}\n  max_version: {version}\n");
            if authority {
                text += "  client_ca_file: clients.pem\n";
            }
            let site = Site::new(&text);
            let server = site.serve().await;
            let stranger = Authority::new("another authority").issue("prometheus.contoso.com");
            let clients = [
                site.client(),
                site.client_with(&site.clients.issue("prometheus.contoso.com")),
                site.client_with(&stranger),
            ];
            for (client, expected) in clients.iter().zip(expected) {
                let answer = server.get(client, "/").await;
                assert_eq!(answer.is_some(), expected, "{word} {version} {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_needs_one_of_the_allowed_names_as_well() {
    let text = format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n  client_allowed_sans: [prometheus.contoso.com, 192.0.2.7, 'spiffe://contoso.com/prometheus']\n"
    );
    let site = Site::new(&text);
    let server = site.serve().await;
    for (name, expected) in [
        ("prometheus.contoso.com", true),
        ("192.0.2.7", true),
        ("spiffe://contoso.com/prometheus", true),
        ("grafana.contoso.com", false),
        ("192.0.2.8", false),
    ] {
        let client = site.client_with(&site.clients.issue(name));
        assert_eq!(server.get(&client, "/").await.is_some(), expected, "{name}");
    }
    let stranger = Authority::new("another authority").issue("prometheus.contoso.com");
    assert!(
        server
            .get(&site.client_with(&stranger), "/")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn versions_and_suites_are_those_that_are_allowed() {
    for (more, tls12, tls13) in [
        ("", true, true),
        ("  min_version: TLS13\n", false, true),
        ("  max_version: TLS12\n", true, false),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  curve_preferences: [CurveP384]\n  prefer_server_cipher_suites: false\n",
            true,
            true,
        ),
        // The server's key is ECDSA, so no suite with RSA will do.
        (
            "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n",
            false,
            true,
        ),
        ("  cipher_suites: [TLS_AES_256_GCM_SHA384]\n", false, true),
    ] {
        let site = Site::new(&format!("{TLS}{more}"));
        let server = site.serve().await;
        for (version, expected) in [(Version::TLS_1_2, tls12), (Version::TLS_1_3, tls13)] {
            let client = site.builder();
            let client = client.tls_version_min(version).tls_version_max(version);
            let client = client.build().unwrap();
            let answer = server.get(&client, "/").await;
            assert_eq!(answer.is_some(), expected, "{more} {version:?}");
        }
    }
}

#[tokio::test]
async fn without_the_password_no_path_answers_and_headers_are_on_every_answer() {
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    let site = Site::new(&format!(
        "basic_auth_users:\n  anna: {hash}\nhttp_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n"
    ));
    let server = site.serve().await;
    let client = site.client();
    for path in ["/", "/-/healthy", "/nowhere"] {
        let url = server.url(path);
        let refused = client.get(&url).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{path}");
        let challenge = &refused.headers()["www-authenticate"];
        assert_eq!(challenge, "Basic realm=\"certdrift\", charset=\"UTF-8\"");
        let wrong = client.get(&url).basic_auth("anna", Some("other"));
        assert_eq!(wrong.send().await.unwrap().status(), 401, "{path}");
        let right = client.get(&url).basic_auth("anna", Some("s3cret"));
        let right = right.send().await.unwrap();
        assert_eq!(right.status() == 404, path == "/nowhere", "{path}");
        let framed = |headers: &HeaderMap| headers["x-frame-options"] == "sameorigin";
        assert!(framed(refused.headers()) && framed(right.headers()));
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_on_the_same_listener_and_a_broken_one_is_not() {
    let site = Site::new(TLS);
    let server = site.serve().await;
    let before = server.certificate(&site.client()).await;

    site.issue_server();
    server.look();
    let after = server.certificate(&site.client()).await;
    assert_ne!(before, after);

    fs::write(site.path("server.pem"), "half").unwrap();
    server.look();
    assert_eq!(server.certificate(&site.client()).await, after);

    fs::write(site.file(), "tls_server_config: [").unwrap();
    server.look();
    assert_eq!(server.certificate(&site.client()).await, after);

    site.issue_server();
    fs::write(site.file(), TLS).unwrap();
    server.look();
    assert_ne!(server.certificate(&site.client()).await, after);
}

/// Once a day, and again for another certificate that is as near.
#[tokio::test]
async fn the_end_of_the_own_certificate_is_remembered() {
    let site = Site::new(TLS);
    let web = Web::open(Some(&site.file()), Limits::default()).unwrap();
    let certificate = web.certificate().unwrap();
    let day = SignedDuration::from_hours(24);
    let lifetime = certificate.not_after.duration_since(certificate.not_before);
    let near = certificate.not_after - lifetime / 10;
    let mut follower = Follower::new(Arc::clone(&web), site.file());
    for (now, expected) in [
        (near - day, false),
        (near, true),
        (near + day / 2, false),
        (near + day, true),
        (certificate.not_after + day, true),
    ] {
        assert_eq!(follower.remind(now), expected, "{now}");
    }
    let plain = Site::new("# nothing\n");
    let plain = Web::open(Some(&plain.file()), Limits::default()).unwrap();
    assert_eq!(plain.certificate(), None);
}

#[tokio::test]
async fn a_changed_password_counts_for_connections_that_are_open() {
    let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
    let users = |password| format!("basic_auth_users:\n  anna: {}\n", hash(password));
    let site = Site::new(&users("old"));
    let server = site.serve().await;
    let client = site.client();
    let status = async |password| {
        let request = client
            .get(server.url("/"))
            .basic_auth("anna", Some(password));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("old").await, 200);
    fs::write(site.file(), users("new")).unwrap();
    server.look();
    assert_eq!([status("old").await, status("new").await], [401, 200]);
}

#[tokio::test]
async fn a_new_file_never_opens_doors_by_itself() {
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    let users = format!("basic_auth_users:\n  anna: {hash}\n");
    let verified =
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n";
    let site = Site::new(&format!("{TLS}{verified}{users}"));
    let server = site.serve().await;
    let known = site.client_with(&site.clients.issue("prometheus.contoso.com"));
    for weaker in [
        String::new(),
        users.clone(),
        format!("{TLS}{verified}"),
        format!("{TLS}{users}"),
    ] {
        fs::write(site.file(), &weaker).unwrap();
        server.look();
        assert_eq!(server.get(&known, "/").await.unwrap().0, 401, "{weaker}");
        assert!(server.get(&site.client(), "/").await.is_none(), "{weaker}");
    }
    fs::remove_file(site.file()).unwrap();
    server.look();
    assert_eq!(server.get(&known, "/").await.unwrap().0, 401);
}

#[tokio::test]
async fn plain_http_becomes_https_without_a_restart() {
    let site = Site::new("");
    let mut server = site.serve().await;
    assert_eq!(server.get(&site.client(), "/").await.unwrap().0, 200);
    fs::write(site.file(), TLS).unwrap();
    server.look();
    assert_eq!(server.get(&site.client(), "/").await.unwrap().0, 400);
    server.scheme = "https";
    assert_eq!(server.get(&site.client(), "/").await.unwrap().0, 200);
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn half_a_request_and_half_a_handshake_are_ended() {
    for (text, sent) in [
        ("", &b"GET / HTTP/1.1\r\nHost: loc"[..]),
        ("", b""),
        (TLS, b"\x16\x03\x01"),
        (TLS, b""),
    ] {
        let site = Site::new(text);
        let server = site.serve_within(short_limits()).await;
        let mut stream = server.connect().await;
        stream.write_all(sent).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "{text} {sent:?}");
    }
}

#[tokio::test]
async fn an_idle_and_an_old_connection_are_ended_behind_an_answer() {
    let site = Site::new("");
    let mut limits = short_limits();
    limits.age = Duration::from_secs(3600);
    for limits in [short_limits(), limits] {
        let server = site.serve_within(limits).await;
        let mut stream = server.connect().await;
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with("routed"), "{answer}");
    }
}

#[tokio::test]
async fn who_does_not_read_an_answer_does_without_its_end() {
    let site = Site::new("");
    let server = site.serve_within(short_limits()).await;
    let mut stream = server.connect().await;
    let request = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    // The client reads nothing until its place is given back.
    server.until_connections_are(1).await;
    server.until_connections_are(0).await;
    let answer = rest(&mut stream).await;
    assert!(!answer.is_empty() && answer.len() < site::LARGE);
}

#[tokio::test]
async fn one_address_cannot_keep_others_out() {
    let site = Site::new("");
    let server = site.serve().await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(server.connect().await);
    }
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut one_more = server.connect().await;
    let _ = one_more.write_all(request).await;
    assert_eq!(rest(&mut one_more).await, "");

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(server.address).await.unwrap();
    other.write_all(request).await.unwrap();
    assert!(rest(&mut other).await.ends_with("routed"));

    drop(held);
    assert_eq!(server.get(&site.client(), "/").await.unwrap().0, 200);
}
