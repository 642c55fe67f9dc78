//! The HTTP server: who may connect, how it is encrypted, who may ask, and how much of it at a time.
//!
//! `connections` accepts and ends connections, `tls` is what `tls_server_config` means, `gate` asks for passwords, and
//! `seats` counts. The `access` in force is looked up for each connection and each request, so that a new file takes
//! effect without a listener being closed: [`follow`] reads it again when it, or a certificate that it names, has changed.
//!
//! Routes are none of its business: it serves the [`Router`] that it is given.

mod access;
mod connections;
mod gate;
mod seats;
mod tls;

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use jiff::SignedDuration;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::config::web::WebConfig;
use crate::daemon::clock;
use crate::daemon::web::access::Access;
pub use crate::daemon::web::connections::Limits;
use crate::daemon::web::gate::Gate;
use crate::daemon::web::seats::Seats;
use crate::pipeline::snapshot::Validity;

/// How often it is looked whether the web configuration or a file that it names has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is logged that the server's own certificate nears its end.
const REMIND_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// What all listeners share.
pub struct Web {
    file: Option<PathBuf>,
    access: ArcSwap<Access>,
    gate: Gate,
    seats: Seats,
    limits: Limits,
}

impl Web {
    /// Opens the web configuration and all that it names; without one, everybody may ask everything in plain HTTP.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator.
    pub fn open(file: Option<&Path>, limits: Limits) -> Result<Arc<Self>, String> {
        let access = match file {
            Some(file) => Access::read(file)?,
            None => Access::default(),
        };
        Ok(Arc::new(Self {
            file: file.map(Path::to_owned),
            access: ArcSwap::from_pointee(access),
            gate: Gate::new()?,
            seats: Seats::default(),
            limits,
        }))
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.access.load().tls.is_some() {
            "https"
        } else {
            "http"
        }
    }

    /// The certificate that it presents; `None`: it speaks plain HTTP.
    pub fn certificate(&self) -> Option<Validity> {
        self.access.load().certificate
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.seats.taken()
    }

    /// Warns of passwords that everybody on the way can read.
    pub fn warn_of_plain_passwords(&self, listeners: &[TcpListener]) {
        let access = self.access.load();
        if access.tls.is_some() || access.users.is_empty() {
            return;
        }
        let is_local = |address: IpAddr| address.to_canonical().is_loopback();
        let addresses = listeners.iter().filter_map(|it| it.local_addr().ok());
        for address in addresses.filter(|address| !is_local(address.ip())) {
            warn!(%address, "{PLAIN_PASSWORDS}");
        }
    }
}

/// What is said of passwords without TLS.
pub const PLAIN_PASSWORDS: &str = "passwords go over the network in plain text: give `tls_server_config` in the web configuration, or listen on 127.0.0.1 only";

/// Opens a web configuration and all that it names, as the daemon would, and gives it back, with the validity of the
/// certificate that it names.
///
/// # Errors
/// What is wrong with it, in words for the operator.
pub fn check(file: &Path) -> Result<(WebConfig, Option<Validity>), String> {
    let access = Access::read(file)?;
    let config = crate::config::web::load(file).map_err(|error| error.to_string())?;
    Ok((config, access.certificate))
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, router: Router, web: Arc<Web>) {
    let guarded = router.layer(from_fn_with_state(Arc::clone(&web), guard));
    connections::serve(listener, guarded, web).await;
}

/// Lets a request through to the routes, and gives the answer its headers. Nothing is exempt, `/-/healthy` neither, as
/// in every exporter: what answers to everybody tells everybody that it is there.
async fn guard(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let access = web.access.load_full();
    let mut response = match web.gate.refuse(&access.users, request.headers()).await {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in &access.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// Reads the web configuration again whenever something of it has changed, until it is dropped.
pub async fn follow(web: Arc<Web>) {
    let Some(file) = web.file.clone() else {
        return std::future::pending().await;
    };
    let mut follower = Follower::new(web, file);
    follower.remind(clock::now());
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tick.tick().await;
        let looking = tokio::task::spawn_blocking(move || {
            follower.look();
            follower.remind(clock::now());
            follower
        });
        match looking.await {
            Ok(back) => follower = back,
            Err(broken) => match broken.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return,
            },
        }
    }
}

/// Looks whether the web configuration has changed.
pub struct Follower {
    web: Arc<Web>,
    file: PathBuf,
    trouble: Option<Trouble>,
    /// The certificate of which it was told that it nears its end, and when.
    reminded: Option<(Validity, Timestamp)>,
}

/// Why the files cannot be used.
struct Trouble {
    message: String,
    is_told: bool,
}

impl Follower {
    /// `file` is the one that was opened.
    pub fn new(web: Arc<Web>, file: PathBuf) -> Self {
        Self {
            web,
            file,
            trouble: None,
            reminded: None,
        }
    }

    /// Logs once a day that the certificate nears its end, or has passed it. Whether it did.
    pub fn remind(&mut self, now: Timestamp) -> bool {
        let certificate = self.web.certificate();
        let Some(validity) = certificate.filter(|it| it.nears_its_end(now)) else {
            self.reminded = None;
            return false;
        };
        let is_known = self.reminded.is_some_and(|(known, told)| {
            known == validity && now.duration_since(told) < REMIND_EVERY
        });
        if is_known {
            return false;
        }
        self.reminded = Some((validity, now));
        let (file, not_after) = (self.file.display(), validity.not_after);
        if validity.not_after < now {
            error!(%file, %not_after, "the certificate of certdrift's own web server has ended: browsers and Prometheus refuse it. Renew the file that cert_file names; it is taken into use by itself");
        } else {
            warn!(%file, %not_after, "the certificate of certdrift's own web server nears its end. Renew the file that cert_file names; it is taken into use by itself");
        }
        true
    }

    /// Takes over what has changed. What cannot be used changes nothing, and is told once, at the second look that finds
    /// it so: a certificate and its key are seldom replaced in the same instant.
    pub fn look(&mut self) {
        let file = self.file.display();
        let present = self.web.access.load_full();
        let read = Access::read(&self.file).and_then(|access| {
            if access.digest == present.digest {
                return Ok(None);
            }
            access.is_no_weaker_than(&present)?;
            Ok(Some(access))
        });
        match read {
            Ok(changed) => {
                if let Some(access) = changed {
                    self.web.access.store(Arc::new(access));
                    info!(%file, "the web configuration was read again");
                } else if self.trouble.as_ref().is_some_and(|it| it.is_told) {
                    info!(%file, "the web configuration is again what is in force");
                }
                self.trouble = None;
            }
            Err(message) => match &mut self.trouble {
                Some(known) if known.message == message => {
                    if !known.is_told {
                        known.is_told = true;
                        error!(%file, "the web configuration was not changed, the one before stays in force: {message}");
                    }
                }
                _ => {
                    self.trouble = Some(Trouble {
                        message,
                        is_told: false,
                    });
                }
            },
        }
    }
}
