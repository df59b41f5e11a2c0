//! Whether upstreams answer. Asking costs nothing: a provider is asked for its list of models, once
//! for each address and key however many deployments share them, and not again within a few seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, Millis, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::Domain;
use crate::deployment::{Deployment, Target, Upstream};

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Providers asked at once.
const AT_ONCE: usize = 16;
/// How long an answer counts.
const KEPT: Duration = Duration::from_secs(10);

/// What was found of late. Whoever asks while others wait gets what they get.
#[derive(Debug, Default)]
pub struct Health(Mutex<HashMap<Probe, (Millis, Verdict)>>);

/// Who is asked, with what: the address and the hash of the headers.
type Probe = (String, [u8; 32]);

/// What a provider is asked with, and whether that proves who asks: a signature or token that is made
/// for each call is not made for this one, and then a refusal is a sign of life.
type Question = (HeaderMap, bool);

/// `Err`: why it is not healthy, without secrets.
pub type Verdict = Result<(), String>;

/// A deployment and how it was found.
pub struct Checked {
    pub deployment: Arc<Deployment>,
    pub verdict: Verdict,
}

/// Asks the upstreams of all these deployments.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn check(domain: &Domain, deployments: Vec<Arc<Deployment>>) -> Result<Vec<Checked>> {
    let mut known = domain.health.0.lock().await;
    let now = domain.clock.now();
    known.retain(|_, (at, _)| now.since(*at) < KEPT);
    let mut asked: HashMap<Probe, Question> = HashMap::new();
    for upstream in deployments
        .iter()
        .filter_map(|deployment| upstream(deployment))
    {
        let probe = probe(upstream);
        if !known.contains_key(&probe) {
            let proves = !upstream.credential.is_made_per_call();
            asked.insert(probe, (upstream.headers.clone(), proves));
        }
    }
    for (probe, verdict) in ask(asked).await? {
        known.insert(probe, (now, verdict));
    }
    let checked = deployments.into_iter().map(|deployment| {
        let verdict = match upstream(&deployment) {
            None => Ok(()),
            Some(upstream) => match known.get(&probe(upstream)) {
                Some((_, verdict)) => verdict.clone(),
                None => Err("the check broke off".to_owned()),
            },
        };
        Checked {
            deployment,
            verdict,
        }
    });
    Ok(checked.collect())
}

/// Whether the database answers soon.
pub async fn database_answers(domain: &Domain) -> bool {
    const SOON: Duration = Duration::from_secs(3);
    let answer = tokio::time::timeout(SOON, domain.db.ping()).await;
    matches!(answer, Ok(Ok(())))
}

fn upstream(deployment: &Deployment) -> Option<&Upstream> {
    match &deployment.target {
        Target::Upstream(upstream) => Some(upstream),
        Target::Mock(_) | Target::Demo => None,
    }
}

fn probe(upstream: &Upstream) -> Probe {
    let mut hash = Sha256::new();
    for (name, value) in &upstream.headers {
        hash.update(name.as_str());
        hash.update([0]);
        hash.update(value.as_bytes());
        hash.update([0]);
    }
    (upstream.api_base.clone(), hash.finalize().into())
}

type Asking = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

async fn ask(probes: HashMap<Probe, Question>) -> Result<Vec<(Probe, Verdict)>> {
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    let client = client()?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    for (probe, question) in probes {
        let client = client.clone();
        let places = Arc::clone(&places);
        asking.spawn(async move {
            let place = places.acquire_owned().await;
            let verdict = answers(&client, &probe.0, question).await;
            drop(place);
            (probe, verdict)
        });
    }
    // a task that panicked has no verdict, which reads as unhealthy
    let mut verdicts = Vec::new();
    while let Some(ended) = asking.join_next().await {
        verdicts.extend(ended);
    }
    Ok(verdicts)
}

fn client() -> Result<Asking> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(Error::internal)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).build(https))
}

/// Any answer but a refusal of the key or a fault of the server is a sign of life: not every server
/// can list its models.
async fn answers(client: &Asking, api_base: &str, (headers, proves): Question) -> Verdict {
    let uri: Uri = format!("{}/models", api_base.trim_end_matches('/'))
        .parse()
        .map_err(|_| "its address is no URL".to_owned())?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    match tokio::time::timeout(PATIENCE, client.request(request)).await {
        Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
        Ok(Err(error)) if error.is_connect() => Err("it could not be reached".to_owned()),
        Ok(Err(_)) => Err("it broke off before it answered".to_owned()),
        Ok(Ok(answer)) => match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if proves => Err(format!(
                "it refused the provider key (status {})",
                answer.status().as_u16()
            )),
            status if status.is_server_error() => Err(format!("it answered {}", status.as_u16())),
            _ => Ok(()),
        },
    }
}
