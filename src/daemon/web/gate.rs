//! Passwords: HTTP Basic authentication (RFC 7617) against bcrypt hashes.
//!
//! Bcrypt is slow on purpose, so it must not be a lever: one password is checked at a time, few may wait, and those that
//! were right are remembered. A user that nobody knows costs a check as well, so that time does not tell who exists.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::header::RETRY_AFTER;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::IntoResponse as _;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::sync::Semaphore;

/// How many passwords that were right are remembered.
const MAX_REMEMBERED: usize = 100;
/// How many requests may wait for a check; the exporters' clients are remembered and never wait.
const MAX_WAITING: usize = 16;
/// How long one may wait for its turn.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The longest `Authorization` header that is looked at, in bytes.
const MAX_HEADER_BYTES: usize = 1024;

/// Who may pass.
pub(super) struct Gate {
    /// Turns a password into what is remembered of it; another one in each process.
    key: [u8; 32],
    remembered: Mutex<VecDeque<[u8; 32]>>,
    turn: Semaphore,
    waiting: Semaphore,
}

impl Gate {
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new() -> Result<Self, String> {
        let mut key = [0; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut key)
            .map_err(|_| "the system gives no random numbers".to_owned())?;
        Ok(Self {
            key,
            remembered: Mutex::default(),
            turn: Semaphore::new(1),
            waiting: Semaphore::new(MAX_WAITING),
        })
    }

    /// The answer to whoever may not pass; `None`: the request may go on.
    pub(super) async fn refuse(
        &self,
        users: &BTreeMap<String, SecretString>,
        headers: &HeaderMap,
    ) -> Option<Response> {
        if users.is_empty() {
            return None;
        }
        let Some((name, password)) = headers.get(AUTHORIZATION).and_then(credentials) else {
            return Some(unauthorized());
        };
        let (hash, is_known) = match users.get(&name) {
            Some(hash) => (hash, true),
            None => (dearest(users)?, false),
        };
        let proof = self.proof(&name, hash, &password);
        if is_known && self.remembers(&proof) {
            return None;
        }
        let Some(is_right) = self.check(password, hash.clone()).await else {
            return Some(busy());
        };
        if !(is_known && is_right) {
            return Some(unauthorized());
        }
        self.remember(proof);
        None
    }

    /// Whether the password is right; `None`: too many are being checked.
    async fn check(&self, password: SecretString, hash: SecretString) -> Option<bool> {
        let _place = self.waiting.try_acquire().ok()?;
        let turn = tokio::time::timeout(MAX_WAIT, self.turn.acquire()).await;
        let _turn = turn.ok()?.ok()?;
        let check = move || bcrypt::verify(password.expose_secret(), hash.expose_secret());
        let checked = tokio::task::spawn_blocking(check).await;
        Some(matches!(checked, Ok(Ok(true))))
    }

    /// What is remembered of a right password. The hash is part of it, so a changed one is forgotten by itself.
    fn proof(&self, name: &str, hash: &SecretString, password: &SecretString) -> [u8; 32] {
        let mut proof = Sha256::new_with_prefix(self.key);
        for part in [name, hash.expose_secret(), password.expose_secret()] {
            proof.update(part.len().to_be_bytes());
            proof.update(part);
        }
        proof.finalize().into()
    }

    fn remembers(&self, proof: &[u8; 32]) -> bool {
        let remembered = self.remembered.lock();
        let remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        remembered.contains(proof)
    }

    fn remember(&self, proof: [u8; 32]) {
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(proof);
    }
}

/// Name and password of `Basic …`.
fn credentials(header: &HeaderValue) -> Option<(String, SecretString)> {
    let text = header.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if text.len() > MAX_HEADER_BYTES || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), SecretString::from(password.to_owned())))
}

/// The hash that takes longest: what an unknown name is checked against.
fn dearest(users: &BTreeMap<String, SecretString>) -> Option<&SecretString> {
    let cost = |hash: &&SecretString| {
        let parts = hash.expose_secret().parse();
        parts.map_or(0, |parts: HashParts| parts.get_cost())
    };
    users.values().max_by_key(cost)
}

fn unauthorized() -> Response {
    let challenge = [(
        WWW_AUTHENTICATE,
        r#"Basic realm="certdrift", charset="UTF-8""#,
    )];
    (StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response()
}

fn busy() -> Response {
    let text = "Too many passwords are being checked. Try again.\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], text).into_response()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn users(users: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
        let hash = |password: &str| SecretString::from(bcrypt::hash(password, 4).unwrap());
        let user = |(name, password): &(&str, &str)| ((*name).to_owned(), hash(password));
        users.iter().map(user).collect()
    }

    fn asking(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn basic(pair: &str) -> HeaderMap {
        asking(&format!("Basic {}", STANDARD.encode(pair)))
    }

    async fn answer(
        gate: &Gate,
        users: &BTreeMap<String, SecretString>,
        headers: &HeaderMap,
    ) -> u16 {
        let refusal = gate.refuse(users, headers).await;
        refusal.map_or(200, |response| response.status().as_u16())
    }

    #[tokio::test]
    async fn only_a_known_user_with_its_own_password_passes() {
        let gate = Gate::new().unwrap();
        let users = users(&[("anna", "s3:cret"), ("ben", "other")]);
        for (headers, expected) in [
            (basic("anna:s3:cret"), 200),
            (
                asking(&format!("bAsIc  {}", STANDARD.encode("ben:other"))),
                200,
            ),
            (basic("anna:other"), 401),
            (basic("ben:s3:cret"), 401),
            (basic("carl:other"), 401),
            (basic("anna"), 401),
            (basic(":"), 401),
            (asking("Bearer s3:cret"), 401),
            (asking("Basic !!!"), 401),
            (HeaderMap::new(), 401),
            (basic(&format!("anna:{}", "x".repeat(2000))), 401),
        ] {
            assert_eq!(
                answer(&gate, &users, &headers).await,
                expected,
                "{headers:?}"
            );
        }
    }

    #[tokio::test]
    async fn without_users_everybody_passes() {
        let gate = Gate::new().unwrap();
        assert_eq!(answer(&gate, &users(&[]), &HeaderMap::new()).await, 200);
    }

    #[tokio::test]
    async fn a_right_password_is_remembered_until_its_hash_changes() {
        let gate = Gate::new().unwrap();
        let before = users(&[("anna", "old")]);
        assert_eq!(answer(&gate, &before, &basic("anna:old")).await, 200);
        // With all turns taken, only what is remembered gets through.
        let places = gate.waiting.try_acquire_many(16).unwrap();
        assert_eq!(answer(&gate, &before, &basic("anna:old")).await, 200);
        assert_eq!(answer(&gate, &before, &basic("anna:new")).await, 503);
        assert_eq!(answer(&gate, &before, &basic("nobody:old")).await, 503);
        drop(places);
        let after = users(&[("anna", "new")]);
        assert_eq!(answer(&gate, &after, &basic("anna:old")).await, 401);
        assert_eq!(answer(&gate, &after, &basic("anna:new")).await, 200);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_never_a_wrong_password() {
        let gate = Gate::new().unwrap();
        for index in 0..=MAX_REMEMBERED {
            gate.remember([u8::try_from(index).unwrap(); 32]);
        }
        assert!(!gate.remembers(&[0; 32]));
        assert!(gate.remembers(&[1; 32]));
        let before = gate.remembered.lock().unwrap().clone();
        let users = users(&[("anna", "right")]);
        assert_eq!(answer(&gate, &users, &basic("anna:wrong")).await, 401);
        assert_eq!(*gate.remembered.lock().unwrap(), before);
    }

    #[test]
    fn an_unknown_name_costs_as_much_as_the_dearest_user() {
        let hashes = [4, 6, 5].map(|cost| bcrypt::hash("x", cost).unwrap());
        let users = hashes.iter().enumerate().map(|(index, hash)| {
            let hash = SecretString::from(hash.clone());
            (format!("user{index}"), hash)
        });
        let users = users.collect();
        let dearest = dearest(&users).unwrap().expose_secret();
        assert_eq!(dearest, hashes[1]);
    }
}
