//! Who may reach a handler. Every operation needs a key that is valid now and a role that may call
//! it, unless it is in [`OPEN`]; the extractors here say in a handler's signature what more it needs.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::{Code, Error};
use domain::audit::{How, Origin};
use domain::{Actor, Domain, Role, access, auth};
use http::request::Parts;
use http::{HeaderMap, Method, header};

use crate::dialect::Dialect;
use crate::error::{Refused, method_not_allowed};

/// The operations that need no key.
pub const OPEN: &[&str] = &[
    "/",
    "/health/liveliness",
    "/health/liveness",
    "/health/readiness",
    // asks for a key itself, as it may be configured not to
    "/metrics",
    "/metrics/",
    "/openapi.json",
    "/routes",
];

/// The longest `litellm-changed-by` and `user-agent` that are kept.
const LONGEST_NAME: usize = 256;

/// What stands before every handler.
#[derive(Clone)]
pub struct Gate {
    domain: Domain,
    /// Method and path of everything in the OpenAPI document; what is not there cannot be called.
    operations: Arc<HashSet<(Method, String)>>,
}

impl Gate {
    pub fn new(domain: Domain, document: &utoipa::openapi::OpenApi) -> Gate {
        let operations = crate::openapi::operations(document)
            .map(|(method, path, _)| (method, path.to_owned()))
            .collect();
        Gate {
            domain,
            operations: Arc::new(operations),
        }
    }

    fn knows(&self, method: &Method, path: &str) -> bool {
        let method = match *method {
            Method::HEAD => Method::GET,
            _ => method.clone(),
        };
        self.operations.contains(&(method, path.to_owned()))
    }

    async fn admit(&self, parts: &Parts) -> base::Result<Actor> {
        let config = &self.domain.config;
        let key = auth::key_from_headers(&parts.headers, config.key_header.as_deref())?;
        let caller = auth::authenticate(&self.domain, key).await?;
        let path = parts.uri.path();
        access::check_route(&caller, &parts.method, path)?;
        let how = match caller.is_master() {
            true => How::MasterKey,
            false => How::Key,
        };
        Ok(Actor {
            is_delegate: access::is_delegate(&caller, path),
            caller,
            changed_by: changed_by(&parts.headers),
            origin: origin(parts, how),
        })
    }
}

/// Lets a request through to its handler, with its [`Actor`]; what it is answered is said in the
/// dialect in which it was asked.
pub async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let dialect = Dialect::of(request.uri(), request.headers());
    dialect.say(pass(gate, request, next).await)
}

async fn pass(gate: Gate, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = match parts.extensions.get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => return Refused::from(Error::internal("no route was matched")).into_response(),
    };
    if !gate.knows(&parts.method, &path) {
        return method_not_allowed().await.into_response();
    }
    if !OPEN.contains(&path.as_str()) {
        match gate.admit(&parts).await {
            Ok(actor) => drop(parts.extensions.insert(actor)),
            Err(error) => return Refused::from(error).into_response(),
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

/// The address of the client that sent a request; whoever reads the socket puts it into the request.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

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

/// Anyone whose role may call the route.
#[derive(Clone, Debug)]
pub struct Anyone(pub Actor);

/// An administrator.
#[derive(Clone, Debug)]
pub struct ProxyAdmin(pub Actor);

/// An administrator, or one who may see what administrators see.
#[derive(Clone, Debug)]
pub struct Overseer(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Anyone {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Anyone, Refused> {
        actor(parts).map(Anyone)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ProxyAdmin {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ProxyAdmin, Refused> {
        let actor = actor(parts)?;
        match actor.is_admin() {
            true => Ok(ProxyAdmin(actor)),
            false => Err(too_small(&actor, parts).into()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Overseer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Overseer, Refused> {
        let actor = actor(parts)?;
        match actor.sees_all() {
            true => Ok(Overseer(actor)),
            false => Err(too_small(&actor, parts).into()),
        }
    }
}

macro_rules! is_an_actor {
    ($($name:ident),*) => {$(
        impl Deref for $name {
            type Target = Actor;
            fn deref(&self) -> &Actor { &self.0 }
        }
    )*};
}
is_an_actor!(Anyone, ProxyAdmin, Overseer);

fn actor(parts: &Parts) -> Result<Actor, Refused> {
    let actor = parts.extensions.get::<Actor>().cloned();
    actor.ok_or_else(|| Error::internal("an open route asked who is calling").into())
}

fn too_small(actor: &Actor, parts: &Parts) -> Error {
    let code = match actor.role {
        Some(Role::ProxyAdminViewer) => Code::ReadOnlyRole,
        _ => Code::RoleForbidden,
    };
    access::refused(actor, code, parts.uri.path())
}
