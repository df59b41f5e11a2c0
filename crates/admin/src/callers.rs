//! Who may reach a handler: whom the table of permissions admits ([`domain::permissions`]).

use std::net::IpAddr;
use std::ops::Deref;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::Error;
use domain::audit::{How, Origin};
use domain::permissions::{self, Door, Operation};
use domain::{Actor, Domain, auth};
use http::request::Parts;
use http::{HeaderMap, header};

use crate::dialect::Dialect;
use crate::error::{Refused, method_not_allowed};

/// The longest `litellm-changed-by` and `user-agent` that are kept.
const LONGEST_NAME: usize = 256;

/// The address of the client that sent a request; whoever reads the socket puts it into the request.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// Lets a request through to its handler, with its [`Actor`]; what it is answered is said in the
/// dialect in which it was asked.
pub async fn admit(State(domain): State<Domain>, request: Request, next: Next) -> Response {
    let dialect = Dialect::of(request.uri(), request.headers());
    dialect.say(pass(&domain, request, next).await)
}

async fn pass(domain: &Domain, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let template = match parts.extensions.get::<MatchedPath>() {
        // `{*rest}` is how the router spells a parameter that may hold slashes
        Some(path) => path.as_str().replace("{*", "{"),
        None => return Refused::from(Error::internal("no route was matched")).into_response(),
    };
    let Some(operation) = permissions::find(&parts.method, &template) else {
        return method_not_allowed().await.into_response();
    };
    if let Door::Key(_) = operation.door {
        match actor_of(domain, &parts, operation).await {
            Ok(actor) => drop(parts.extensions.insert(actor)),
            Err(error) => return Refused::from(error).into_response(),
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

async fn actor_of(domain: &Domain, parts: &Parts, operation: &Operation) -> base::Result<Actor> {
    let key = auth::key_from_headers(&parts.headers, domain.config.key_header.as_deref())?;
    let caller = auth::authenticate(domain, key).await?;
    let path = parts.uri.path();
    permissions::admit(operation, &caller, path)?;
    let how = match caller.is_master() {
        true => How::MasterKey,
        false => How::Key,
    };
    Ok(Actor {
        is_delegate: permissions::is_delegate(&caller, operation, path),
        caller,
        changed_by: changed_by(&parts.headers),
        origin: origin(parts, how),
    })
}

/// Where a request comes from, and how its sender proved who they are.
pub fn origin(parts: &Parts, how: How) -> Origin {
    let agent = parts.headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    Origin {
        how,
        session_id: None,
        address: parts.extensions.get::<Client>().map(|client| client.0),
        user_agent: agent.map(|agent| agent.chars().take(LONGEST_NAME).collect()),
    }
}

fn changed_by(headers: &HeaderMap) -> Option<String> {
    let name = headers.get("litellm-changed-by")?.to_str().ok()?.trim();
    let name: String = name.chars().take(LONGEST_NAME).collect();
    Some(name).filter(|name| !name.is_empty())
}

/// Somebody whom the table admits to the operation.
#[derive(Clone, Debug)]
pub struct Anyone(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Anyone {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Anyone, Refused> {
        let actor = parts.extensions.get::<Actor>().cloned();
        let nobody = || Error::internal("an open operation asked who is calling");
        actor.map(Anyone).ok_or_else(|| nobody().into())
    }
}

impl Deref for Anyone {
    type Target = Actor;
    fn deref(&self) -> &Actor {
        &self.0
    }
}
