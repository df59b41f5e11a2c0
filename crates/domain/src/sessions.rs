//! Sessions: what a person has after signing in. The row in the database is the authority; whoever
//! shows one of its tokens, in a cookie or as a key, calls as the session's user, with their role
//! and on their budgets, until the session ends.
//!
//! A session ends at its absolute age, when nobody has used it for a while, when it is revoked, and
//! when its user's password or role changes, or the user is blocked or deleted. Only hashes of tokens
//! are kept. A cookie's token is replaced now and then; its predecessor stays valid for a moment, for
//! requests that are on their way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Millis, Result, Secret, ids};
use serde_json::json;
use store::Tx;
use store::keys::KeyRow;
use store::sessions::{SessionRow, TokenRow};

use crate::audit::{Action, Actor, Entry, record};
use crate::caller::{Caller, Role};
use crate::{Change, Domain, auth, storage, tokens};

/// What the token of a session begins with.
pub const PREFIX: &str = "sk-tgs-";
/// What statements about sessions are signed for.
const PURPOSE: &str = "session";
/// After this long a session is read again, which notes that it is in use.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// How old a cookie's token becomes before it is replaced.
const ROTATED_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long a replaced token stays valid.
const GRACE: Duration = Duration::from_secs(60);
/// The longest name of a browser that is kept.
const LONGEST_AGENT: usize = 256;

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Password,
    Invitation,
    /// A link that was mailed because the password was lost.
    Reset,
    Sso,
    /// The name and password of the configuration.
    Administrator,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Password => "password",
            Method::Invitation => "invitation",
            Method::Reset => "reset",
            Method::Sso => "sso",
            Method::Administrator => "administrator",
        }
    }
}

/// From where somebody signs in.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub address: IpAddr,
    /// What the browser showed from an earlier sign-in ([`crate::sign_in`]).
    pub device: Option<Secret>,
    pub user_agent: Option<String>,
}

/// A session that a caller came with.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: String,
    /// [`Method::as_str`]
    pub method: String,
    /// When it ends if nobody uses it; never later than at its absolute age or its token's.
    pub valid_until: Millis,
    pub read_at: Millis,
    /// When the token it was found by is to be replaced; `None` for one that was.
    pub rotates_at: Option<Millis>,
}

/// A session that has just begun.
#[derive(Debug)]
pub struct Opened {
    pub id: String,
    /// For the cookie; it will be replaced.
    pub cookie: Secret,
    /// For clients that send it as a key; valid as long as the session.
    pub bearer: Secret,
    pub expires_at: Millis,
}

/// Begins a session in the transaction of the sign-in.
pub async fn open(
    domain: &Domain,
    tx: &mut Tx,
    user_id: &str,
    method: Method,
    visitor: &Visitor,
) -> Result<Opened> {
    let now = domain.clock.now();
    let expires_at = now + domain.config.sign_in.session_life;
    let agent = visitor.user_agent.as_deref();
    let row = SessionRow {
        id: ids::new_id(now),
        user_id: user_id.to_owned(),
        method: method.as_str().to_owned(),
        stamp: (method == Method::Administrator).then(|| administrator_stamp(domain)),
        created_at: now,
        last_used_at: now,
        expires_at,
        address: Some(visitor.address.to_string()),
        user_agent: agent.map(|agent| agent.chars().take(LONGEST_AGENT).collect()),
    };
    store::sessions::insert(&mut *tx, &row)
        .await
        .map_err(storage)?;
    Ok(Opened {
        cookie: add_token(tx, &row.id, now).await?,
        bearer: add_token(tx, &row.id, now).await?,
        id: row.id,
        expires_at,
    })
}

async fn add_token(tx: &mut Tx, session_id: &str, now: Millis) -> Result<Secret> {
    let token = tokens::random(PREFIX)?;
    let row = TokenRow {
        hash: auth::hash(token.expose()),
        session_id: session_id.to_owned(),
        created_at: now,
        valid_until: None,
    };
    store::sessions::insert_token(tx, &row)
        .await
        .map_err(storage)?;
    Ok(token)
}

/// Says with which name and password an administrator of the configuration signed in, without
/// telling them: another password ends their sessions.
fn administrator_stamp(domain: &Domain) -> String {
    let config = &domain.config.sign_in;
    let password = config.admin_password.as_ref();
    let password = password.unwrap_or(&domain.config.master_key);
    let said = json!([config.admin_name, password.expose()]).to_string();
    domain.seals.seal("administrator", &said)
}

/// The caller behind the hash of a session's token, and that it is in use now.
///
/// # Errors
/// When the database does not answer.
pub async fn find(domain: &Domain, hash: &str) -> Result<Option<Caller>> {
    let (db, now) = (&domain.db, domain.clock.now());
    let token = store::sessions::find_token(db, hash)
        .await
        .map_err(storage)?;
    let Some(token) = token else {
        return Ok(None);
    };
    let row = store::sessions::find(db, &token.session_id)
        .await
        .map_err(storage)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let is_over = [
        Some(row.expires_at),
        token.valid_until,
        Some(idle_end(domain, row.last_used_at)),
    ]
    .into_iter()
    .flatten()
    .any(|end| end <= now);
    let is_administrator = row.method == Method::Administrator.as_str();
    if is_over || (is_administrator && row.stamp != Some(administrator_stamp(domain))) {
        return Ok(None);
    }
    let mut caller = auth::load(domain, stand_in(&row)).await?;
    if is_administrator {
        caller.role = Some(Role::ProxyAdmin);
    } else if caller.user.is_none() {
        return Ok(None);
    }
    store::sessions::touch(db, &row.id, now)
        .await
        .map_err(storage)?;
    let ends = [
        Some(row.expires_at),
        token.valid_until,
        Some(idle_end(domain, now)),
    ];
    caller.session = Some(Session {
        id: row.id,
        method: row.method,
        valid_until: ends.into_iter().flatten().min().unwrap_or(now),
        read_at: now,
        rotates_at: match token.valid_until {
            Some(_) => None,
            None => Some(token.created_at + ROTATED_AFTER),
        },
    });
    Ok(Some(caller))
}

fn idle_end(domain: &Domain, last_used_at: Millis) -> Millis {
    last_used_at + domain.config.sign_in.session_idle
}

/// Whether what is known of a session is to be read again. Keys are never.
pub fn is_stale(caller: &Caller, now: Millis) -> bool {
    let session = caller.session.as_ref();
    session.is_some_and(|session| now.since(session.read_at) >= READ_AGAIN)
}

/// A session is a key of its user without limits of its own. It is in no list of keys.
fn stand_in(session: &SessionRow) -> KeyRow {
    KeyRow {
        id: session.id.clone(),
        hash: auth::hash(&session.id),
        name: "session".to_owned(),
        user_id: Some(session.user_id.clone()),
        created_at: session.created_at,
        updated_at: session.created_at,
        created_by: Some(session.user_id.clone()),
        ..KeyRow::default()
    }
}

/// What stands where a key would, for somebody who has no session yet.
pub fn stand_in_for(user_id: &str) -> KeyRow {
    KeyRow {
        user_id: Some(user_id.to_owned()),
        ..KeyRow::default()
    }
}

/// Replaces a cookie's token when it is old enough; gives the new one. The same session goes on.
///
/// # Errors
/// When the database does not answer.
pub async fn rotate(domain: &Domain, session: &Session, token: &str) -> Result<Option<Secret>> {
    let now = domain.clock.now();
    if session.rotates_at.is_none_or(|at| at > now) {
        return Ok(None);
    }
    let mut tx = domain.begin().await?;
    let hash = auth::hash(token);
    let is_ours = store::sessions::retire_token(&mut tx, &hash, now + GRACE)
        .await
        .map_err(storage)?;
    if !is_ours {
        // a request beside this one was faster
        return Ok(None);
    }
    let fresh = add_token(&mut tx, &session.id, now).await?;
    domain.commit(tx, &[Change::Key(&hash)]).await?;
    Ok(Some(fresh))
}

/// What clients of LiteLLM decode: who signed in, and in `key` the session's token (contract §14.2).
/// It proves nothing by itself.
pub fn statement(
    domain: &Domain,
    caller: &Claimant<'_>,
    token: &Secret,
    expires_at: Millis,
) -> String {
    let claims = json!({
        "user_id": caller.user_id,
        "key": token.expose(),
        "user_email": caller.email,
        "user_role": caller.role.map(Role::as_str),
        "login_method": match caller.method {
            Method::Sso => "sso",
            _ => "username_password",
        },
        "premium_user": true,
        "auth_header_name": "Authorization",
        "disabled_non_admin_personal_key_creation": domain.config.personal_keys_disabled,
        "server_root_path": domain.config.sign_in.root_path,
        "password_reset_required": false,
        "exp": expires_at.0 / 1000,
    });
    tokens::sign(&domain.seals, PURPOSE, &claims)
}

/// Who a statement is about.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    pub user_id: &'a str,
    pub email: Option<&'a str>,
    pub role: Option<Role>,
    pub method: Method,
}

/// The session's token in what a cookie holds: a statement, or the token itself. The statement's
/// signature does not matter: the token in it is looked up like any other.
pub fn token_of_cookie(cookie: &str) -> Option<String> {
    if cookie.starts_with(PREFIX) {
        return Some(cookie.to_owned());
    }
    let claims = tokens::unverified(cookie)?;
    let key = claims.get("key")?.as_str()?;
    key.starts_with(PREFIX).then(|| key.to_owned())
}

/// Sessions of a user that have not ended, the newest first.
pub async fn list(domain: &Domain, user_id: &str) -> Result<Vec<SessionRow>> {
    let now = domain.clock.now();
    let mut rows = store::sessions::list_of_user(&domain.db, user_id)
        .await
        .map_err(storage)?;
    rows.retain(|row| row.expires_at > now && idle_end(domain, row.last_used_at) > now);
    Ok(rows)
}

/// Ends one session: one's own, or anybody's for an administrator.
///
/// # Errors
/// [`Code::NotFound`] when there is no such session, or when it is not the actor's to end.
pub async fn end(domain: &Domain, actor: &Actor, id: &str) -> Result<()> {
    let mut tx = domain.begin().await?;
    let row = store::sessions::find(&mut tx, id).await.map_err(storage)?;
    let is_own = |row: &SessionRow| Some(&row.user_id) == actor.user_id.as_ref();
    let Some(row) = row.filter(|row| actor.is_admin() || is_own(row)) else {
        let message = format!("there is no session {id}");
        return Err(Error::new(Code::NotFound, message).param("session_id"));
    };
    store::sessions::delete(&mut tx, id)
        .await
        .map_err(storage)?;
    audited(domain, &mut tx, actor, &row.user_id, 1).await?;
    domain.commit(tx, &[Change::User(&row.user_id)]).await
}

/// Ends all sessions of a user; gives how many there were.
pub async fn end_all(domain: &Domain, actor: &Actor, user_id: &str) -> Result<u64> {
    let mut tx = domain.begin().await?;
    let ended = store::sessions::delete_of_user(&mut tx, user_id)
        .await
        .map_err(storage)?;
    if ended > 0 {
        audited(domain, &mut tx, actor, user_id, ended).await?;
    }
    domain.commit(tx, &[Change::User(user_id)]).await?;
    Ok(ended)
}

async fn audited(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    ended: u64,
) -> Result<()> {
    let entry = Entry {
        action: Action::Deleted,
        kind: "session",
        id: user_id,
        before: Some(json!({"sessions": ended})),
        after: None,
    };
    record(tx, actor, domain.clock.now(), entry).await
}

/// Forgets what has ended by itself, until the process ends.
pub async fn clean(domain: Domain) {
    const PERIOD: Duration = Duration::from_secs(60 * 60);
    loop {
        if let Err(error) = clean_once(&domain).await {
            tracing::warn!(%error, "ended sessions could not be deleted");
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = domain.tasks.stopping() => return,
        }
    }
}

async fn clean_once(domain: &Domain) -> Result<()> {
    let now = domain.clock.now();
    let idle_since = now - domain.config.sign_in.session_idle;
    let mut tx = domain.begin().await?;
    store::sessions::delete_expired(&mut tx, now, idle_since)
        .await
        .map_err(storage)?;
    store::sso_states::delete_expired(&mut tx, now)
        .await
        .map_err(storage)?;
    store::password_resets::delete_expired(&mut tx, now)
        .await
        .map_err(storage)?;
    let unused = now - crate::sign_in::PLACES_KEPT;
    store::known_places::delete_unused(&mut tx, unused)
        .await
        .map_err(storage)?;
    tx.commit().await.map_err(storage)
}

/// A caller with a session, for what needs one.
///
/// # Errors
/// [`Code::Forbidden`] for a caller who came with a key.
pub fn required(caller: &Arc<Caller>) -> Result<&Session> {
    caller.session.as_ref().ok_or_else(|| {
        Error::new(
            Code::Forbidden,
            "Only UI session tokens can be revoked through this endpoint.",
        )
    })
}
