//! The data plane: one call from the client's socket to the ledger.
//!
//! Every route ends in [`handle`](handle::handle); only the [`Format`] differs. Between the check of
//! the key and the upstream there is no database and no network but the upstream itself, except the
//! first time a key is met.

mod admit;
mod background;
mod body;
mod credentials;
mod demo;
mod error;
mod finish;
mod handle;
mod headers;
mod kept;
mod passthrough;
mod realtime;
mod receive;
mod respond;
mod route;
mod routes;
mod translated;
mod upstream;
mod v2;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Domain;
use http::{Request, Response};
use hyper::body::Incoming;

pub use body::Body;
pub use realtime::Session;
pub use respond::BrokenOff;
pub use routes::{Route, route};

/// The data plane. Cheap to clone.
#[derive(Clone)]
pub struct Proxy(Arc<Services>);

struct Services {
    domain: Domain,
    config: Config,
    client: upstream::Client,
    tokens: credentials::Tokens,
    background: background::Following,
}

/// Limits of single calls.
#[derive(Clone, Debug)]
pub struct Config {
    /// The largest request body, in bytes (`general_settings.max_request_size_mb`).
    pub request_bytes: usize,
    /// The largest answer that is not streamed, in bytes.
    pub response_bytes: usize,
    /// How long a client may be silent while it sends its body.
    pub receive_silence: Duration,
    /// How long an upstream may take to accept a connection.
    pub connect: Duration,
    /// How long an upstream may take to the first byte of its answer, unless the deployment says.
    pub first_byte: Duration,
    /// How long an upstream may be silent in the midst of an answer.
    pub silence: Duration,
    /// How long nobody may say anything in a session.
    pub session_idle: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            request_bytes: 32 << 20,
            response_bytes: 128 << 20,
            receive_silence: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(600),
            silence: Duration::from_secs(300),
            session_idle: Duration::from_secs(900),
        }
    }
}

impl Proxy {
    /// # Errors
    /// [`Code::Internal`](base::Code) when TLS cannot be set up.
    pub fn new(domain: Domain, config: Config) -> base::Result<Proxy> {
        let background = background::Following::default();
        Proxy::sharing(domain, config, credentials::Tokens::default(), background)
    }

    fn sharing(
        domain: Domain,
        config: Config,
        tokens: credentials::Tokens,
        background: background::Following,
    ) -> base::Result<Proxy> {
        let client = upstream::Client::new(config.connect, &domain.config.payers.networks)
            .map_err(base::Error::internal)?;
        Ok(Proxy(Arc::new(Services {
            domain,
            config,
            client,
            tokens,
            background,
        })))
    }

    /// The same data plane with upstream connections of its own, for a thread that serves its
    /// connections alone.
    ///
    /// # Errors
    /// As [`Proxy::new`].
    pub fn for_worker(&self) -> base::Result<Proxy> {
        let Services {
            domain,
            config,
            tokens,
            background,
            ..
        } = &*self.0;
        let (tokens, background) = (tokens.clone(), background.clone());
        Proxy::sharing(domain.clone(), config.clone(), tokens, background)
    }

    /// Answers a call. Never fails: what goes wrong is an answer in the client's own protocol.
    pub async fn answer(
        &self,
        route: Route,
        request: Request<Incoming>,
        client: IpAddr,
    ) -> Response<Body> {
        match route {
            Route::Call(call) => handle::handle(self, call, request, client).await,
            // boxed, as every call would carry the room for them
            Route::Kept(kept) => Box::pin(kept::handle(self, kept, request, client)).await,
            Route::Chat(chat) => Box::pin(v2::handle(self, chat, request, client)).await,
            Route::Session => Box::pin(realtime::handle(self, request, client)).await,
            Route::Passthrough(route) if realtime::is_upgrade(&request) => {
                Box::pin(realtime::pass(self, route, request, client)).await
            }
            Route::Passthrough(route) => {
                Box::pin(passthrough::handle(self, route, request, client)).await
            }
        }
    }
}
