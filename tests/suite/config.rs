//! The configuration: what is shipped loads and means what its comments say; what is wrong is told in full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use certdrift::config::{
    AlertmanagerUrls, Authorization, ExportFiles, FirstRead, HeaderSource, HeartbeatMethod,
    Integration, ReceiverConfig, TemplateSource, UrlSource, describe, load, parse,
};
use certdrift::pipeline::expectation::Settings;
use certdrift::pipeline::export::{Exports, Kind};
use certdrift::pipeline::verdict::reason::Severity;
use proptest::prelude::{any, prop_assert, proptest};
use proptest::sample::Index;
use secrecy::ExposeSecret as _;

/// The shipped file in which every key occurs: the seed of the mutations.
const DOCUMENTED: &str = include_str!("../../config/certdrift.yml");
/// What every address and secret in the wrong configurations contains.
const SECRET: &str = "topsecret";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What loading a wrong file prints, without the folder of the file.
fn message_of(file: &Path) -> String {
    let error = load(file).expect_err("this configuration is wrong");
    let folder = format!("{}/", file.parent().unwrap().display());
    format!("{error}\n").replace(&folder, "")
}

#[test]
fn every_wrong_configuration_gets_the_message_beside_it() {
    let cases = fs::read_dir(repository("tests/config")).unwrap();
    let cases = cases.map(|entry| entry.unwrap().path());
    let cases = cases.filter(|path| path.extension().is_some_and(|end| end == "yml"));
    let mut cases: Vec<PathBuf> = cases.collect();
    cases.sort();
    assert!(cases.len() >= 25, "only {} cases", cases.len());
    let differences: Vec<String> = cases.iter().filter_map(|case| difference(case)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn difference(case: &Path) -> Option<String> {
    let expected = fs::read_to_string(case.with_extension("stderr")).unwrap_or_default();
    let actual = message_of(case);
    assert!(
        !actual.contains(SECRET),
        "{} tells a secret",
        case.display()
    );
    let case = case.display();
    (actual != expected).then(|| format!("--- {case}\nexpected:\n{expected}actual:\n{actual}"))
}

/// What a correct configuration names and is not there. The exit code stands in the first line of what is expected.
#[test]
fn what_a_configuration_names_is_looked_for() {
    let folder = repository("tests/config/missing");
    let mut compared = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let case = entry.unwrap().path();
        if case.extension().is_none_or(|end| end != "yml") {
            continue;
        }
        let output = Command::new(env!("CARGO_BIN_EXE_certdrift"))
            .arg("check-config")
            .arg(case.file_name().unwrap())
            .current_dir(&folder)
            .output()
            .unwrap();
        let code = output.status.code().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains(SECRET), "{} tells a secret", case.display());
        let actual = format!("exit code {code}\n{said}");
        let beside = case.with_extension("stderr");
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(actual, expected, "{}", beside.display());
        // A file that is missing keeps nobody from reading what the configuration means.
        assert_eq!(!output.stdout.is_empty(), code == 0, "{}", case.display());
        compared += 1;
    }
    assert!(compared >= 4, "{compared}");
}

/// Whoever has just typed `certdrift run --config.file=…` types it here as well.
#[test]
fn the_configuration_is_named_as_for_other_commands_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one.yml"), "sources: [{ path: logs }]\n").unwrap();
    let check = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certdrift"));
        command.arg("check-config").args(arguments);
        command.current_dir(&folder).output().unwrap()
    };
    let plain = check(&["one.yml"]);
    assert!(plain.status.success() && !plain.stdout.is_empty());
    let named = check(&["--config.file=one.yml"]);
    assert_eq!((named.status, named.stdout), (plain.status, plain.stdout));
    let both = check(&["--config.file=one.yml", "another.yml"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn files_that_cannot_be_read_as_text_get_a_message_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certdrift.yml");
    assert!(message_of(&file).starts_with("certdrift.yml: does not exist; check the path"));

    let too_large = vec![b'#'; 1024 * 1024 + 1];
    for (content, expected) in [
        (&b""[..], "is empty; it needs at least `sources:`"),
        (
            b"\xef\xbb\xbf# later\n---\n",
            "is empty; it needs at least `sources:`",
        ),
        (
            b"sources:\n  - path: /srv/caf\xe9\n",
            "is not UTF-8 at line 2, column 19; save the file as UTF-8",
        ),
        (b"\xff\xfes\0o\0u\0", "is UTF-16; save the file as UTF-8"),
        (&too_large, "is larger than 1048576 bytes"),
    ] {
        fs::write(&file, content).unwrap();
        let message = message_of(&file);
        assert!(
            message.starts_with(&format!("certdrift.yml: {expected}")),
            "{message}"
        );
    }

    let directory = folder.path().join("certdrift.d");
    fs::create_dir(&directory).unwrap();
    assert_eq!(
        message_of(&directory),
        "certdrift.d: is a directory; name the file in it\n"
    );
}

#[test]
fn the_documented_configuration_means_what_its_comments_say() {
    let config = load(&repository("config/certdrift.yml")).unwrap();

    let [single, many] = &config.sources[..] else {
        panic!("{:?}", config.sources)
    };
    assert_eq!(single.server.as_deref(), Some("EX01"));
    assert_eq!(single.path.root(), Path::new("/srv/exchange/EX01/SmtpSend"));
    assert_eq!(
        single.first_read,
        FirstRead::Last(Duration::from_secs(24 * 60 * 60))
    );
    assert_eq!(
        many.first_read,
        FirstRead::Last(Duration::from_secs(7 * 24 * 60 * 60))
    );
    let fit = many.path.fit(Path::new(
        "/srv/exchange-dag2/EX07/Hub/ProtocolLog/SmtpSend",
    ));
    assert_eq!(fit.unwrap().server.as_deref(), Some("EX07"));

    let expectations = config.expectations(&Exports::default());
    let entry = expectations
        .for_connector("outbound to office 365 - a1b2")
        .unwrap();
    let inbound = &entry.inbound_connectors[0];
    assert_eq!(
        inbound.tls_sender_certificate_name.as_deref(),
        Some("mail.contoso.com")
    );
    assert!(inbound.sender_ip_addresses[1].contains("203.0.113.31".parse().unwrap()));
    assert_eq!(inbound.cloud_services_mail_enabled, Some(true));
    assert_eq!(entry.accepted_domains.as_ref().unwrap().len(), 2);
    assert_eq!(
        entry.thumbprints[0].to_string(),
        "3F2504E04F8941D39A0C0305E82C3301A1B2C3D4"
    );
    assert_eq!(entry.accept, ["wildcard_certificate"]);
    let [planned] = &entry.planned[..] else {
        panic!("{:?}", entry.planned)
    };
    assert_eq!(planned.until.to_string(), "2026-12-05T18:00:00Z");
    assert_eq!(planned.reason.as_deref(), Some("CHG0012345"));
    assert_eq!(entry.silent_after, Some(Duration::from_secs(2 * 60 * 60)));

    let exports = repository("config/exports");
    assert_eq!(
        config.exports,
        ExportFiles {
            inbound_connectors: Some(exports.join("inbound-connectors.json")),
            accepted_domains: Some(exports.join("accepted-domains.json")),
            send_connectors: Some(exports.join("send-connectors.json")),
            certificates: Some(exports.join("certificates.json")),
        }
    );
    let certificate = repository("config/certificates/mail.cer");
    assert!(config.inventory[0].fit(&certificate).is_some());
    assert_eq!(config.settings, Settings::default());

    receivers_mean_what_their_comments_say(&config.receivers);
}

fn receivers_mean_what_their_comments_say(receivers: &[ReceiverConfig]) {
    let etc = |name: &str| Path::new("/etc/certdrift").join(name);
    let words: Vec<_> = receivers
        .iter()
        .map(|receiver| (&*receiver.name, receiver.integration.as_str()))
        .collect();
    let expected = [
        ("oncall", "webhook"),
        ("tickets", "webhook"),
        ("alertmanager", "alertmanager"),
        ("pagerduty", "pagerduty"),
        ("slack", "slack"),
        ("chat", "teams"),
        ("watchdog", "heartbeat"),
    ];
    assert_eq!(words, expected);
    let [
        oncall,
        tickets,
        alertmanager,
        pagerduty,
        slack,
        chat,
        watchdog,
    ] = receivers
    else {
        panic!("{receivers:?}")
    };
    assert_eq!(oncall.severities, [Severity::Critical, Severity::Warning]);
    assert!(oncall.connectors[0].matches("outbound to office 365"));
    assert_eq!(oncall.fallback.as_deref(), Some("chat"));
    let Integration::Webhook(webhook) = &oncall.integration else {
        panic!("{oncall:?}")
    };
    assert_eq!(webhook.secret_file, Some(etc("oncall-secret")));
    assert!(matches!(&webhook.url, UrlSource::File(file) if *file == etc("oncall-url")));
    assert!(webhook.template.is_none());
    let http = &oncall.http;
    assert!(
        matches!(&http.authorization, Some(Authorization::Basic { username, password_file })
            if username == "certdrift" && *password_file == etc("oncall-password"))
    );
    let [tenant, key] = &http.headers[..] else {
        panic!("{:?}", http.headers)
    };
    assert!(tenant.name == "x-tenant" && matches!(tenant.value, HeaderSource::Inline(_)));
    assert!(matches!(&key.value, HeaderSource::File(file) if *file == etc("oncall-api-key")));
    assert_eq!(http.ca_file, Some(etc("contoso-ca.pem")));
    let certificate = http.client_certificate.as_ref().unwrap();
    assert_eq!(certificate.cert_file, etc("client.pem"));
    assert_eq!(certificate.key_file, etc("client-key.pem"));
    assert!(matches!(http.proxy, Some(UrlSource::Inline(_))));

    assert!(matches!(&tickets.integration, Integration::Webhook(webhook)
        if matches!(&webhook.template, Some(TemplateSource::Inline(text)) if text.expose_secret().contains("{{ summary }}"))));
    assert!(
        tickets.http.authorization.is_none() && tickets.http.proxy.is_none(),
        "{tickets:?}"
    );
    let Integration::Alertmanager(config) = &alertmanager.integration else {
        panic!("{alertmanager:?}")
    };
    assert_eq!(config.resend_interval, Duration::from_secs(60));
    assert!(matches!(&config.urls, AlertmanagerUrls::Inline(urls) if urls.len() == 2));
    assert!(
        matches!(&pagerduty.integration, Integration::PagerDuty(config)
        if config.routing_key_file == etc("pagerduty-key"))
    );
    assert!(matches!(
        &slack.integration,
        Integration::Slack(UrlSource::File(_))
    ));
    assert!(matches!(
        &chat.integration,
        Integration::Teams(UrlSource::File(_))
    ));
    let Integration::Heartbeat(config) = &watchdog.integration else {
        panic!("{watchdog:?}")
    };
    assert_eq!(config.method, HeartbeatMethod::Post);
    assert_eq!(config.interval, Duration::from_secs(300));
    assert!(watchdog.severities.is_empty());
}

#[test]
fn the_quick_start_reads_the_sample_logs_and_calls_nobody() {
    let config = load(&repository("config/quickstart.yml")).unwrap();
    let [source] = &config.sources[..] else {
        panic!("{:?}", config.sources)
    };
    assert_eq!(source.first_read, FirstRead::All);
    assert_eq!(source.path.root(), repository("tests/quickstart"));
    let fit = source.path.fit(&source.path.root().join("EX02/SmtpSend"));
    assert_eq!(fit.unwrap().server.as_deref(), Some("EX02"));
    assert!(
        config
            .expectations(&Exports::default())
            .for_connector("Outbound to Office 365")
            .is_some()
    );
    assert!(config.receivers.is_empty());
}

#[test]
fn the_description_is_for_admins_and_tells_no_secret() {
    let text = format!(
        "sources: [ {{ path: logs }} ]
receivers:
  - name: oncall
    webhook: {{ url: 'http://hooks.contoso.com/{SECRET}', secret_file: '${{CREDENTIALS_DIRECTORY}}/hook' }}
    http:
      basic_auth: {{ username: {SECRET}, password_file: password }}
      headers: [ {{ name: X-Key, value: {SECRET} }}, {{ name: X-Other, value_file: other }} ]
      ca_file: ca.pem
      cert_file: client.pem
      key_file: client-key.pem
      proxy_url: 'http://user:{SECRET}@proxy.contoso.com:3128'
  - name: tickets
    connectors: ['Outbound*', Relay]
    fallback: oncall
    webhook: {{ url_file: tickets, template: '{{\"{SECRET}\": {{{{ summary }}}} }}' }}
    http: {{ bearer_auth: {{ token_file: token }}, proxy_url_file: proxy }}
  - name: others
    webhook: {{ url: 'https://hooks.contoso.com/{SECRET}', template_file: others.json }}
  - name: alertmanager
    severities: [critical, information]
    alertmanager: {{ urls: ['http://am-1/{SECRET}', 'https://am-2'], resend_interval: 90s }}
  - name: more
    alertmanager: {{ urls_file: urls }}
  - name: pager
    pagerduty: {{ routing_key_file: key, url: 'http://localhost/{SECRET}' }}
  - name: slack
    slack: {{ url: 'https://hooks.slack.com/{SECRET}' }}
  - name: chat
    teams: {{ url_file: teams }}
  - name: watchdog
    heartbeat: {{ url: 'https://hc-ping.com/{SECRET}' }}
"
    );
    let credentials = Path::new("/run/credentials/certdrift.service");
    let config = parse(
        &text,
        Path::new("/etc/certdrift/certdrift.yml"),
        Some(credentials),
    )
    .unwrap();
    let typed = format!("{config:?}").replace("username: \"topsecret\"", "");
    assert!(!typed.contains(SECRET), "{typed}");
    let expected = "sources: 1 log directory
  /etc/certdrift/logs
    server: taken from the path
    first start reads: the last 24h
connectors: none
receivers: 9 receivers
  oncall
    called for: critical, warning
    webhook: the address in the configuration (not shown)
    signed with: the secret in /run/credentials/certdrift.service/hook
    logs in with: the password in /etc/certdrift/password
    header: x-key (not shown)
    header: x-other, as in /etc/certdrift/other
    trusts only: /etc/certdrift/ca.pem
    client certificate: /etc/certdrift/client.pem
    private key: /etc/certdrift/client-key.pem
    by the proxy in the configuration (not shown)
  tickets
    called for: critical, warning
    of send connectors: Outbound*, Relay
    webhook: the address in /etc/certdrift/tickets
    body: the template in the configuration
    logs in with: the token in /etc/certdrift/token
    by the proxy in /etc/certdrift/proxy
    in its place, if need be: oncall
  others
    called for: critical, warning
    webhook: the address in the configuration (not shown)
    body: the template in /etc/certdrift/others.json
  alertmanager
    called for: critical, information
    alertmanager: 2 instances in the configuration (not shown)
    told again every 90s
  more
    called for: critical, warning
    alertmanager: the instances in /etc/certdrift/urls
    told again every 1m
  pager
    called for: critical, warning
    pagerduty: the integration key in /etc/certdrift/key
  slack
    called for: critical, warning
    slack: the address in the configuration (not shown)
  chat
    called for: critical, warning
    teams: the address in /etc/certdrift/teams
  watchdog
    heartbeat: the address in the configuration (not shown)
    GET every 1m
warning: no connectors, so certificates are shown, but nothing is judged
warning: receiver oncall is called over http, which is not encrypted
warning: receiver alertmanager is called over http, which is not encrypted
warning: receiver pager is called over http, which is not encrypted
";
    assert_eq!(describe(&config, &Exports::default()), expected);
}

#[test]
fn the_description_shows_what_came_from_where() {
    let text = "sources: [ { path: logs } ]
connectors:
  - name: Outbound*
    expected:
      inbound_connectors: [ { name: Inbound }, { name: Another } ]
      accepted_domains: [contoso.com]
    planned:
      - { thumbprint: 3F2504E04F8941D39A0C0305E82C3301A1B2C3D4, from: 2026-11-28T18:00:00Z, until: 2026-12-05T19:00:00+01:00, reason: CHG1 }
    silent_after: 90m
exports: { inbound_connectors: inbound.json, send_connectors: send.json }
inventory: ['certs/*.cer']
alerts: { expiry: { warning: 21d, critical: 5% }, rollout_window: 1d }
";
    let config = parse(text, Path::new("/etc/certdrift/certdrift.yml"), None).unwrap();
    let mut exports = Exports::default();
    for (kind, json) in [
        (
            Kind::InboundConnectors,
            r#"[{"Name":"inbound","Enabled":true,"ConnectorType":"OnPremises","TlsSenderCertificateName":"mail.contoso.com",
                "SenderIPAddresses":["203.0.113.5"],"CloudServicesMailEnabled":false}]"#,
        ),
        (
            Kind::SendConnectors,
            r#"[{"Name":"Outbound\u001b 'x'","TlsCertificateName":"<S>CN=x","ProtocolLoggingLevel":0},
                {"Name":"Outbound 2","TlsCertificateName":null,"Enabled":false},
                {"Name":"Hybrid","TlsCertificateName":null,"CloudServicesMailEnabled":true}]"#,
        ),
    ] {
        exports.take(kind, json.as_bytes()).unwrap();
    }
    let inbound = "    inbound connector \"Inbound\" (OnPremises)
      recognises the certificate: mail.contoso.com (from the export)
      recognises the addresses: 203.0.113.5 (from the export)
      CloudServicesMailEnabled: false (from the export)
    inbound connector \"Another\" (OnPremises)
    accepted domains: contoso.com
";
    let planned = "    planned: 3F2504E04F8941D39A0C0305E82C3301A1B2C3D4 from 2026-11-28T18:00:00Z until 2026-12-05T18:00:00Z, CHG1
    silent after: 90m
";
    let expected = format!(
        "sources: 1 log directory
  /etc/certdrift/logs
    server: taken from the path
    first start reads: the last 24h
connectors: 3 expectations
  send connector \"Outbound 'x'\" (from the export)
{inbound}    TlsCertificateName: <S>CN=x (from the export)
    ProtocolLoggingLevel: None, so nothing is logged
{planned}  send connectors named \"Outbound*\"
{inbound}{planned}  send connector \"Hybrid\" (from the export)
    inbound connector \"inbound\" (OnPremises) (from the export)
      recognises the certificate: mail.contoso.com (from the export)
      recognises the addresses: 203.0.113.5 (from the export)
      CloudServicesMailEnabled: false (from the export)
    accepted domains: unknown
export of Get-InboundConnector: /etc/certdrift/inbound.json
export of Get-SendConnector: /etc/certdrift/send.json
certificate files: /etc/certdrift/certs/*.cer
an ending certificate: a warning with 21d left, critical with 5% of the lifetime left
servers may differ for: 24h
receivers: none
warning: the inbound connector \"Another\" has neither a certificate name nor addresses, so it recognises nobody
warning: \"Outbound 'x'\" writes no log; Set-SendConnector 'Outbound ''x''' -ProtocolLoggingLevel Verbose turns it on
warning: the send connector \"Outbound 2\" is disabled, so it is not judged
warning: no receivers, so nobody will be called; metrics are all there is
"
    );
    assert_eq!(describe(&config, &exports), expected);
}

#[test]
fn aliases_that_multiply_are_stopped() {
    let many = |name: &str| vec![name; 200].join(",");
    let file = format!(
        "sources: [{{path: a}}]\nconnectors:\n  - name: x\n    expected:\n      inbound_connectors: &a [{}]\n      \
         accepted_domains: [{}]\n",
        vec!["{name: n, sender_ip_addresses: [203.0.113.1]}"; 500].join(","),
        many("contoso.com"),
    ) + &"  - name: y\n    expected:\n      inbound_connectors: *a\n".repeat(900);
    let error = parse(&file, Path::new("certdrift.yml"), None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the file is nested too deeply or has more than"),
        "{error}"
    );
}

/// Reads a text, whatever it is, and prints what comes of it.
fn outcome(text: &str) -> String {
    match parse(text, Path::new("certdrift.yml"), None) {
        Ok(config) => describe(&config, &Exports::default()),
        Err(error) => error.to_string(),
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        prop_assert!(!outcome(&text).is_empty());
    }

    #[test]
    fn a_damaged_configuration_never_panics(at in any::<Index>(), length in 0..40_usize, insert in "[\\PC\n\t]{0,8}") {
        let mut chars: Vec<char> = DOCUMENTED.chars().collect();
        let start = at.index(chars.len());
        let end = chars.len().min(start + length);
        chars.splice(start..end, insert.chars());
        prop_assert!(!outcome(&chars.into_iter().collect::<String>()).is_empty());
    }

    #[test]
    fn an_error_names_file_line_and_column(line in any::<Index>(), word in "[a-z]{1,12}: [a-z]{1,12}") {
        let mut lines: Vec<&str> = DOCUMENTED.lines().collect();
        lines.insert(line.index(lines.len()), &word);
        if let Err(error) = parse(&lines.join("\n"), Path::new("certdrift.yml"), None) {
            for message in error.to_string().lines() {
                let mut parts = message.splitn(4, ':');
                prop_assert!(parts.next() == Some("certdrift.yml"), "{message}");
                prop_assert!(parts.next().is_some_and(|line| line.parse::<u64>().is_ok_and(|line| line > 0)), "{message}");
                prop_assert!(parts.next().is_some_and(|column| column.parse::<u64>().is_ok_and(|column| column > 0)), "{message}");
            }
        }
    }
}
