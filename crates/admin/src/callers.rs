//! Who may reach a handler: whom the table of permissions admits ([`domain::permissions`]).

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::{Code, Error};
use domain::audit::{self, Action, How, Origin, Refusal};
use domain::federation::jwt;
use domain::permissions::{self, Door, Operation};
use domain::sessions::{self, Session};
use domain::{Actor, Caller, Domain, auth};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::cookies;
use crate::dialect::{Dialect, Told};
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
        return not_with(&template).await;
    };
    let path = parts.uri.path().to_owned();
    if let Err(error) = domain.config.routes.check_operation(operation, &path) {
        return Refused::from(error).into_response();
    }
    let Door::Key(_) = operation.door else {
        return next.run(Request::from_parts(parts, body)).await;
    };
    let (actor, cookie) = match actor_of(domain, &parts, operation).await {
        Ok(found) => found,
        Err(error) => {
            note_stranger(domain, &parts, operation, &error);
            return Refused::from(error).into_response();
        }
    };
    let routes = &domain.config.routes;
    let admitted = match routes.opens(operation, &path) {
        true => Ok(()),
        false => permissions::admit(operation, &actor, &path),
    };
    let admitted = admitted.and_then(|()| routes.check_caller(operation, &actor, &path));
    if let Err(error) = admitted {
        note_refusal(domain, &actor, operation, &error);
        return Refused::from(error).into_response();
    }
    parts.extensions.insert(actor.clone());
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(Told(error)) = response.extensions().get() {
        note_refusal(domain, &actor, operation, error);
    }
    if let (Some(session), Some(token)) = (&actor.session, cookie) {
        rotate(domain, session, &token, &mut response).await;
    }
    response
}

/// A path that exists, with a method that does not.
async fn not_with(template: &str) -> Response {
    let mut response = method_not_allowed().await.into_response();
    let methods: Vec<&str> = permissions::rows()
        .filter(|row| row.path == template)
        .map(|row| row.method)
        .collect();
    if let Ok(methods) = HeaderValue::try_from(methods.join(", ")) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

/// Notes an attempt to change something that was not allowed.
fn note_refusal(domain: &Domain, actor: &Actor, operation: &Operation, error: &Error) {
    if operation.method != "GET" && matches!(error.status(), 401 | 403) {
        let origin = &actor.origin;
        note(domain, Some(actor), origin, operation, error);
    }
}

/// Notes that somebody came with a key that is none, or none any more.
fn note_stranger(domain: &Domain, parts: &Parts, operation: &Operation, error: &Error) {
    let is_known = matches!(
        error.code(),
        Code::KeyUnknown | Code::KeyExpired | Code::KeyBlocked | Code::TeamBlocked
    );
    if is_known {
        let origin = origin(parts, How::Key);
        note(domain, None, &origin, operation, error);
    }
}

fn note(
    domain: &Domain,
    actor: Option<&Actor>,
    origin: &Origin,
    operation: &Operation,
    error: &Error,
) {
    let refusal = Refusal {
        actor,
        origin,
        action: Action::Called,
        kind: "operation",
        id: &format!("{} {}", operation.method, operation.path),
        reason: error.message(),
    };
    audit::refused(domain, refusal);
}

/// Who calls, and the token of the session when a cookie said so.
async fn actor_of(
    domain: &Domain,
    parts: &Parts,
    operation: &Operation,
) -> base::Result<(Actor, Option<String>)> {
    let headers = &parts.headers;
    let key = auth::key_from_headers(headers, domain.config.key_header.as_deref());
    let cookie = match &key {
        Err(error) if error.code() == Code::KeyMissing => {
            cookies::read(headers, cookies::SESSION).and_then(sessions::token_of_cookie)
        }
        _ => None,
    };
    let path = parts.uri.path();
    let routes = &domain.config.routes;
    if key.is_err() && cookie.is_none() && routes.opens(operation, path) {
        return Ok((nobody(parts), None));
    }
    if cookie.is_some() {
        cookies::check_own(&parts.method, headers, &domain.config.sign_in)?;
    }
    let key = match &cookie {
        Some(token) => token,
        None => key?,
    };
    let client = parts.extensions.get::<Client>().map(|client| client.0);
    let caller = auth::authenticate(domain, key, client).await?;
    let origin = match &caller.session {
        Some(session) => {
            let client = parts.extensions.get::<Client>().copied();
            session_origin(session, client, headers)
        }
        None if caller.is_master() => origin(parts, How::MasterKey),
        None if operation.path.starts_with("/scim/") => origin(parts, How::Scim),
        None if jwt::is_of_token(&caller) => origin(parts, How::Sso),
        None => origin(parts, How::Key),
    };
    let actor = Actor {
        is_delegate: permissions::is_delegate(&caller, operation, path),
        caller,
        changed_by: changed_by(&parts.headers),
        origin,
    };
    Ok((actor, cookie))
}

/// Somebody without a key, where the configuration lets them in.
fn nobody(parts: &Parts) -> Actor {
    Actor {
        caller: Arc::new(Caller::nobody()),
        changed_by: None,
        is_delegate: false,
        origin: origin(parts, How::Key),
    }
}

/// Replaces the token of a cookie when it is old enough.
async fn rotate(domain: &Domain, session: &Session, token: &str, response: &mut Response) {
    if response.headers().contains_key(header::SET_COOKIE) {
        // the answer begins or ends a session itself
        return;
    }
    match sessions::rotate(domain, session, token).await {
        Ok(Some(fresh)) => {
            let cookie = cookies::session(&domain.config.sign_in, fresh.expose());
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(None) => {}
        // the old one goes on working
        Err(error) => tracing::warn!(%error, "a session's token could not be replaced"),
    }
}

/// Where a request comes from, and how its sender proved who they are.
pub fn origin(parts: &Parts, how: How) -> Origin {
    let client = parts.extensions.get::<Client>().copied();
    origin_of(how, client, &parts.headers)
}

fn origin_of(how: How, client: Option<Client>, headers: &HeaderMap) -> Origin {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    Origin {
        how,
        session_id: None,
        address: client.map(|client| client.0),
        user_agent: agent.map(|agent| agent.chars().take(LONGEST_NAME).collect()),
    }
}

/// The same for somebody who has signed in.
pub fn session_origin(session: &Session, client: Option<Client>, headers: &HeaderMap) -> Origin {
    let how = match session.method.as_str() {
        "sso" => How::Sso,
        _ => How::Session,
    };
    Origin {
        session_id: Some(session.id.clone()),
        ..origin_of(how, client, headers)
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
