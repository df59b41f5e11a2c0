//! The data plane: one call from the client's socket to the ledger.
//!
//! Every route ends in [`handle`](handle::handle); only the [`Format`] differs. Between the check of
//! the key and the upstream there is no database and no network but the upstream itself, except the
//! first time a key is met.

mod admit;
mod body;
mod demo;
mod error;
mod finish;
mod handle;
mod headers;
mod receive;
mod respond;
mod route;
mod upstream;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Domain;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use llm::Format;

pub use body::Body;

/// The data plane. Cheap to clone.
#[derive(Clone)]
pub struct Proxy(Arc<Services>);

struct Services {
    domain: Domain,
    config: Config,
    client: upstream::Client,
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
        }
    }
}

/// What a path of the data plane asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub format: Format,
    /// The model named by the path (`/engines/{model}/…`, `/openai/deployments/{model}/…`), which
    /// then counts instead of the body's.
    pub model: Option<String>,
}

impl Proxy {
    /// # Errors
    /// [`Code::Internal`](base::Code) when TLS cannot be set up.
    pub fn new(domain: Domain, config: Config) -> base::Result<Proxy> {
        let client = upstream::Client::new(config.connect).map_err(base::Error::internal)?;
        Ok(Proxy(Arc::new(Services {
            domain,
            config,
            client,
        })))
    }

    /// The same data plane with upstream connections of its own, for a thread that serves its
    /// connections alone.
    ///
    /// # Errors
    /// As [`Proxy::new`].
    pub fn for_worker(&self) -> base::Result<Proxy> {
        Proxy::new(self.0.domain.clone(), self.0.config.clone())
    }

    /// Whether a request is a call of the data plane, and which.
    pub fn route(method: &Method, path: &str) -> Option<Route> {
        if method != Method::POST {
            return None;
        }
        let format = |tail: &str| match tail {
            "chat/completions" => Some(Format::OpenAiChat),
            "completions" => Some(Format::OpenAiCompletion),
            "embeddings" => Some(Format::OpenAiEmbedding),
            _ => None,
        };
        let path = path.strip_prefix('/')?;
        if let Some(format) = format(path.strip_prefix("v1/").unwrap_or(path)) {
            return Some(Route {
                format,
                model: None,
            });
        }
        let named = path
            .strip_prefix("engines/")
            .or_else(|| path.strip_prefix("openai/deployments/"))?;
        let (tail_length, format) = ["chat/completions", "completions", "embeddings"]
            .iter()
            .find(|tail| named.ends_with(*tail))
            .and_then(|tail| Some((tail.len(), format(tail)?)))?;
        let model = named[..named.len() - tail_length].strip_suffix('/')?;
        (!model.is_empty()).then(|| Route {
            format,
            model: Some(model.to_owned()),
        })
    }

    /// Answers a call. Never fails: what goes wrong is an answer in the client's own protocol.
    pub async fn answer(
        &self,
        route: Route,
        request: Request<Incoming>,
        client: IpAddr,
    ) -> Response<Body> {
        handle::handle(self, route, request, client).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(path: &str) -> Option<(Format, Option<String>)> {
        Proxy::route(&Method::POST, path).map(|route| (route.format, route.model))
    }

    #[test]
    fn the_documented_paths_are_calls() {
        assert_eq!(
            routed("/v1/chat/completions"),
            Some((Format::OpenAiChat, None))
        );
        assert_eq!(routed("/embeddings"), Some((Format::OpenAiEmbedding, None)));
        assert_eq!(
            routed("/openai/deployments/org/m/completions"),
            Some((Format::OpenAiCompletion, Some("org/m".to_owned())))
        );
        assert_eq!(
            routed("/engines/gpt-4o/chat/completions"),
            Some((Format::OpenAiChat, Some("gpt-4o".to_owned())))
        );
    }

    #[test]
    fn other_paths_are_not() {
        for path in [
            "/",
            "/v1/models",
            "/engines/chat/completions",
            "/engines//embeddings",
            "v1",
        ] {
            assert_eq!(routed(path), None, "{path}");
        }
        assert_eq!(Proxy::route(&Method::GET, "/v1/embeddings"), None);
    }
}
