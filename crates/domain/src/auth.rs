//! From a presented key to a [`Caller`].
//!
//! The master key is compared in constant time before anything else. Virtual keys are found by
//! their SHA-256; what they belong to is read from the database once and kept in memory until it
//! changes. Whether a known key may be used right now is decided at each request.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Code, Error, Millis, Result};
use foldhash::HashMap;
use http::{HeaderMap, HeaderName, header};
use moka::future::Cache;
use sha2::{Digest, Sha256};
use store::keys::KeyRow;
use subtle::ConstantTimeEq;

use crate::addresses::Networks;
use crate::alarms::{self, Verdict};
use crate::caller::{Caller, Role};
use crate::federation::jwt;
use crate::keys::plain;
use crate::scopes::ScopeKind;
use crate::{Change, Domain, organizations, sessions, storage};

/// What the key of a user is told who is blocked.
pub const USER_BLOCKED: &str = "Authentication Error, the key's user is blocked";

/// SHA-256 of a whole key, including `sk-`.
pub type Digest32 = [u8; 32];

/// How long a caller is kept without being read again; changes drop it sooner.
const KEPT: Duration = Duration::from_secs(60);
/// How long an unknown key is remembered as unknown, so that guessing does not reach the database.
const UNKNOWN_KEPT: Duration = Duration::from_secs(2);
const MOST_CALLERS: u64 = 100_000;
/// How long a thread takes a caller for known before it asks the cache of all threads again. Changes
/// are seen at once.
const NEAR: Duration = Duration::from_secs(1);
const MOST_NEAR: usize = 1_024;

/// The callers in memory.
pub struct Callers {
    master: Digest32,
    known: Cache<Digest32, Arc<Caller>>,
    unknown: Cache<Digest32, ()>,
    /// Counts what made callers stale, so that one who was being read meanwhile is not kept. The
    /// counts of two gateways in one process never agree.
    changes: AtomicU64,
    master_caller: arc_swap::ArcSwapOption<Caller>,
}

impl Callers {
    pub fn new(master_key: &base::Secret) -> Callers {
        Callers {
            master: digest(master_key.expose()),
            known: Cache::builder()
                .max_capacity(MOST_CALLERS)
                .time_to_live(KEPT)
                .build(),
            unknown: Cache::builder()
                .max_capacity(MOST_CALLERS)
                .time_to_live(UNKNOWN_KEPT)
                .build(),
            changes: AtomicU64::new(first_count()),
            master_caller: arc_swap::ArcSwapOption::empty(),
        }
    }
}

/// Where a gateway begins to count changes: beyond all that another in the process will count.
fn first_count() -> u64 {
    static GATEWAYS: AtomicU64 = AtomicU64::new(0);
    GATEWAYS.fetch_add(1, Ordering::Relaxed) << 40
}

/// A caller that a thread has met.
struct Near {
    caller: Arc<Caller>,
    /// Of [`Callers::changes`], as it was before the caller was found.
    changes: u64,
    until: Millis,
}

thread_local! {
    /// The callers that this thread has met lately: asking for one takes no lock and touches nothing
    /// that other threads write.
    static NEAR_CALLERS: RefCell<HashMap<Digest32, Near>> = RefCell::default();
}

/// A caller from this thread's memory.
fn near(domain: &Domain, digest: &Digest32, now: Millis) -> Option<Arc<Caller>> {
    let changes = domain.callers.changes.load(Ordering::SeqCst);
    NEAR_CALLERS.with_borrow(|near| {
        let found = near.get(digest)?;
        // a clock that was set back is no reason to keep it longer
        let is_fresh = found.changes == changes && now < found.until && now >= found.until - NEAR;
        is_fresh.then(|| Arc::clone(&found.caller))
    })
}

/// A caller from the memory of all threads.
async fn known(domain: &Domain, digest: &Digest32, now: Millis) -> Option<Arc<Caller>> {
    let changes = domain.callers.changes.load(Ordering::SeqCst);
    let caller = domain.callers.known.get(digest).await?;
    if is_former(&caller, digest) {
        // found by a hash that it was rotated away from, whose grace may end at any time
        return Some(caller);
    }
    NEAR_CALLERS.with_borrow_mut(|near| {
        if near.len() >= MOST_NEAR {
            near.clear();
        }
        let found = Near {
            caller: Arc::clone(&caller),
            changes,
            until: now + NEAR,
        };
        near.insert(*digest, found);
    });
    Some(caller)
}

/// Whether the key was found by a hash that it was rotated away from.
fn is_former(caller: &Caller, digest: &Digest32) -> bool {
    let key = caller.key.as_ref().filter(|_| caller.session.is_none());
    let key = key.filter(|_| !jwt::is_of_token(caller));
    key.is_some_and(|key| key.hash != hex(digest))
}

/// The hash that names a key in the database and in answers: lower-case hex SHA-256 of the whole
/// key (contract §3.3).
pub fn hash(key: &str) -> String {
    hex(&digest(key))
}

fn digest(key: &str) -> Digest32 {
    Sha256::digest(key.as_bytes()).into()
}

fn hex(digest: &Digest32) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in digest {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Where a key is looked for after a configured header, in this order (contract §3.1).
static KEY_HEADERS: [(HeaderName, Carried); 6] = [
    (
        HeaderName::from_static("x-litellm-api-key"),
        Carried::MaybeBearer,
    ),
    (header::AUTHORIZATION, Carried::Bearer),
    (HeaderName::from_static("api-key"), Carried::Plain),
    (HeaderName::from_static("x-api-key"), Carried::Plain),
    (HeaderName::from_static("x-goog-api-key"), Carried::Plain),
    (
        HeaderName::from_static("ocp-apim-subscription-key"),
        Carried::Plain,
    ),
];

/// How a header carries a key.
#[derive(Clone, Copy)]
enum Carried {
    Plain,
    Bearer,
    MaybeBearer,
}

/// The key of a request, without `Bearer `: from the header that is configured for it, or else
/// from the first of the known headers that has one (contract §3.1).
///
/// # Errors
/// 401 where there is no key, or `Authorization` holds something other than a bearer token.
pub fn key_from_headers<'a>(headers: &'a HeaderMap, configured: Option<&str>) -> Result<&'a str> {
    let configured = configured.and_then(|name| headers.get(name));
    if let Some(value) = configured {
        return carried(value, Carried::MaybeBearer)?.ok_or_else(missing);
    }
    for (name, how) in &KEY_HEADERS {
        if let Some(value) = headers.get(name)
            && let Some(key) = carried(value, *how)?
        {
            return Ok(key);
        }
    }
    Err(missing())
}

/// The key in a header's value; `None` where the value is blank.
fn carried(value: &http::HeaderValue, how: Carried) -> Result<Option<&str>> {
    let value = value.to_str().map_err(|_| malformed())?.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let (scheme, rest) = match value.split_once(' ') {
        Some((scheme, rest)) => (scheme, rest.trim()),
        None => (value, ""),
    };
    match how {
        Carried::Plain => Ok(Some(value)),
        Carried::Bearer | Carried::MaybeBearer if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(rest).filter(|key| !key.is_empty()))
        }
        Carried::MaybeBearer => Ok(Some(value)),
        // some clients can only send a key this way; real user names and passwords fail as keys
        Carried::Bearer if scheme.eq_ignore_ascii_case("basic") && rest.starts_with("sk-") => {
            Ok(Some(rest))
        }
        Carried::Bearer => Err(malformed()),
    }
}

fn missing() -> Error {
    Error::new(
        Code::KeyMissing,
        "Authentication Error, No api key passed in.",
    )
}

fn malformed() -> Error {
    Error::new(
        Code::KeyMalformed,
        "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.",
    )
}

/// The caller behind a key as the client sent it, without `Bearer `. `client` is the address that it
/// was sent from.
///
/// # Errors
/// 401 for a key that is malformed, unknown, expired or blocked (contract §2.3), 403 for one that may
/// not be used from this address.
pub async fn authenticate(
    domain: &Domain,
    key: &str,
    client: Option<IpAddr>,
) -> Result<Arc<Caller>> {
    check_network(domain, client)?;
    let digest = digest(key);
    if bool::from(digest.ct_eq(&domain.callers.master)) {
        return Box::pin(master(domain)).await;
    }
    if !key.starts_with("sk-") && !jwt::is_meant(domain, key) {
        return Err(Error::new(
            Code::KeyMalformed,
            "Authentication Error, LiteLLM Virtual Key expected: the key is expected to start with \
             'sk-'",
        ));
    }
    let now = domain.clock.now();
    let caller = match near(domain, &digest, now) {
        Some(caller) if is_current(&caller, now) => caller,
        // boxed, as every call carries the room for all ways that it may take
        _ => Box::pin(far(domain, key, digest, now)).await?,
    };
    if caller.is_watched {
        match alarms::watch(domain, &caller, client) {
            Verdict::Good => {}
            Verdict::Bait => return Err(unknown(&digest)),
            Verdict::Elsewhere(error) => return Err(error),
        }
    }
    usable(&caller, now)?;
    Ok(caller)
}

/// Refuses addresses that the configuration does not name (`general_settings.allowed_ips`).
fn check_network(domain: &Domain, client: Option<IpAddr>) -> Result<()> {
    let allowed = &domain.config.allowed_networks;
    if allowed.is_empty() || client.is_some_and(|client| allowed.contains(client)) {
        return Ok(());
    }
    let client = client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
    let message = format!("Access forbidden: IP address {client} not allowed.");
    Err(Error::new(Code::Forbidden, message))
}

/// A caller that this thread has not met lately.
async fn far(domain: &Domain, key: &str, digest: Digest32, now: Millis) -> Result<Arc<Caller>> {
    match known(domain, &digest, now).await {
        Some(caller) if is_current(&caller, now) => Ok(caller),
        Some(_) => {
            domain.callers.known.invalidate(&digest).await;
            match jwt::is_meant(domain, key) {
                true => Box::pin(find_by_token(domain, digest, key)).await,
                false => find(domain, digest).await,
            }
        }
        None if jwt::is_meant(domain, key) => Box::pin(find_by_token(domain, digest, key)).await,
        // mistyped or made up: nobody has it
        None if plain::form(key) == plain::Form::Wrong => Err(unknown(&digest)),
        None => find(domain, digest).await,
    }
}

/// Whether a caller is still what was read.
fn is_current(caller: &Caller, now: Millis) -> bool {
    !sessions::is_stale(caller, now) && !caller.is_stale(now)
}

/// Whether the key may be used at this moment at all.
fn usable(caller: &Caller, now: Millis) -> Result<()> {
    let Some(key) = &caller.key else {
        return Ok(());
    };
    let session = caller.session.as_ref();
    if session.is_some_and(|session| session.valid_until <= now) {
        return Err(Error::new(
            Code::KeyExpired,
            "Authentication Error - Expired Key: the session has ended, sign in again",
        ));
    }
    if key.blocked == Some(true) {
        return Err(Error::new(
            Code::KeyBlocked,
            "Authentication Error, Key is blocked: an administrator has blocked this key",
        ));
    }
    if key.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Error::new(
            Code::KeyExpired,
            format!(
                "Authentication Error - Expired Key: the key {} expired at {}",
                key.name,
                key.expires_at.unwrap_or_default()
            ),
        )
        .param(key.name.clone()));
    }
    if key.rotate_by.is_some_and(|rotate_by| rotate_by <= now) {
        return Err(Error::new(
            Code::KeyExpired,
            format!(
                "Authentication Error - Expired Key: the key {} was due to be replaced until {}; its \
                 owner can claim the new one (POST /key/claim)",
                key.name,
                key.rotate_by.unwrap_or_default()
            ),
        )
        .param(key.name.clone()));
    }
    if caller.user.as_ref().is_some_and(|user| user.blocked) {
        return Err(Error::new(Code::KeyBlocked, USER_BLOCKED));
    }
    if let Some(team) = caller.team.as_ref().filter(|team| team.blocked) {
        return Err(Error::new(
            Code::TeamBlocked,
            format!("Authentication Error, Team={} is blocked", team.id),
        ));
    }
    Ok(())
}

/// The caller whom a token of an identity provider describes.
async fn find_by_token(domain: &Domain, digest: Digest32, token: &str) -> Result<Arc<Caller>> {
    let callers = &domain.callers;
    let changes = callers.changes.load(Ordering::SeqCst);
    let caller = Arc::new(Box::pin(jwt::caller(domain, token)).await?);
    if callers.changes.load(Ordering::SeqCst) == changes {
        callers.known.insert(digest, Arc::clone(&caller)).await;
    }
    Ok(caller)
}

async fn find(domain: &Domain, digest: Digest32) -> Result<Arc<Caller>> {
    let callers = &domain.callers;
    if callers.unknown.get(&digest).await.is_some() {
        return Err(unknown(&digest));
    }
    let changes = callers.changes.load(Ordering::SeqCst);
    let found = callers
        .known
        .try_get_with(digest, async {
            let hash = hex(&digest);
            let row = store::keys::find_by_hash(&domain.db, &hash, domain.clock.now())
                .await
                .map_err(storage)?;
            if let Some(key) = row {
                return load(domain, key).await.map(Arc::new);
            }
            let session = sessions::find(domain, &hash).await?;
            session.map(Arc::new).ok_or_else(|| unknown(&digest))
        })
        .await;
    match found {
        Ok(caller) => {
            // found by a hash that it was rotated away from, whose grace may end at any time
            let is_former = is_former(&caller, &digest);
            // read while something changed: it may be what was there before, and is not kept
            let is_stale = callers.changes.load(Ordering::SeqCst) != changes;
            if is_former || is_stale {
                callers.known.invalidate(&digest).await;
            }
            Ok(caller)
        }
        Err(error) if error.code() == Code::KeyUnknown => {
            callers.unknown.insert(digest, ()).await;
            Err(unknown(&digest))
        }
        Err(error) => Err(Error::new(error.code(), error.message().to_owned()).caused_by(error)),
    }
}

fn unknown(digest: &Digest32) -> Error {
    let hash = hex(digest);
    Error::new(
        Code::KeyUnknown,
        format!(
            "Authentication Error, Invalid proxy server token passed. Received hash: {}...{}. \
             Unable to find token in cache or database; check that the key is complete and was not \
             deleted",
            &hash[..4],
            &hash[60..]
        ),
    )
    .param("key")
}

/// Reads everything a key belongs to.
pub(crate) async fn load(domain: &Domain, key: KeyRow) -> Result<Caller> {
    let db = &domain.db;
    let user = match &key.user_id {
        Some(id) => store::users::find(db, id).await.map_err(storage)?,
        None => None,
    };
    let team = match &key.team_id {
        Some(id) => store::teams::find(db, id).await.map_err(storage)?,
        None => None,
    };
    let member = match (&key.team_id, &key.user_id) {
        (Some(team), Some(user)) => store::teams::find_member(db, team, user)
            .await
            .map_err(storage)?,
        _ => None,
    };
    let organization_id = key
        .organization_id
        .as_ref()
        .or_else(|| team.as_ref().and_then(|team| team.organization_id.as_ref()));
    let organization = match organization_id {
        Some(id) => store::organizations::find(db, id).await.map_err(storage)?,
        None => None,
    };
    let now = domain.clock.now();
    let model_grants = match &key.user_id {
        Some(id) => store::model_grants::of_user(db, id, key.team_id.as_deref(), now)
            .await
            .map_err(storage)?,
        None => Vec::new(),
    };
    let in_organization = match (organization_id, &key.user_id) {
        (Some(organization), Some(user)) => {
            store::organizations::find_member(db, organization, user)
                .await
                .map_err(storage)?
        }
        _ => None,
    };
    let ids = [
        (ScopeKind::Key, Some(&key.id)),
        (ScopeKind::Team, key.team_id.as_ref()),
        (ScopeKind::Organization, organization_id),
        (
            ScopeKind::OrganizationMember,
            in_organization.as_ref().map(|member| &member.id),
        ),
        (ScopeKind::User, key.user_id.as_ref()),
        (
            ScopeKind::TeamMember,
            member.as_ref().map(|member| &member.id),
        ),
    ];
    let mut scopes = Vec::with_capacity(ids.len() + 1);
    for (kind, id) in ids {
        if let Some(id) = id {
            scopes.push(domain.scopes.load(db, kind, id).await?);
        }
    }
    scopes.push(domain.scopes.load(db, ScopeKind::Gateway, GATEWAY).await?);
    let administers = match &key.user_id {
        Some(id) => organizations::administered_by(db, id).await?,
        None => Vec::new(),
    };
    // rows are written only after their networks were read
    let networks = Networks::parse(&key.allowed_ips).map_err(Error::internal)?;
    Ok(Caller {
        role: user
            .as_ref()
            .and_then(|user| Role::parse(user.role.as_deref()?)),
        is_watched: key.canary || !networks.is_empty(),
        networks,
        user_id: key.user_id.clone(),
        key: Some(key),
        session: None,
        user,
        team,
        member,
        organization,
        administers,
        model_grants,
        scopes,
    })
}

/// The id of the one scope of kind [`ScopeKind::Gateway`].
pub const GATEWAY: &str = "gateway";

/// The administrator behind the master key (contract §3.2).
async fn master(domain: &Domain) -> Result<Arc<Caller>> {
    if let Some(caller) = domain.callers.master_caller.load_full() {
        return Ok(caller);
    }
    let user_id = domain.config.admin_user_id.clone();
    let user = store::users::find(&domain.db, &user_id)
        .await
        .map_err(storage)?;
    let scopes = vec![
        domain
            .scopes
            .load(&domain.db, ScopeKind::User, &user_id)
            .await?,
        domain
            .scopes
            .load(&domain.db, ScopeKind::Gateway, GATEWAY)
            .await?,
    ];
    let caller = Arc::new(Caller {
        role: Some(Role::ProxyAdmin),
        user_id: Some(user_id),
        key: None,
        session: None,
        user,
        team: None,
        member: None,
        organization: None,
        administers: Vec::new(),
        model_grants: Vec::new(),
        scopes,
        ..Caller::default()
    });
    domain
        .callers
        .master_caller
        .store(Some(Arc::clone(&caller)));
    Ok(caller)
}

/// Drops what a change has made stale, so that the next request reads it anew.
pub fn forget(domain: &Domain, change: &Change<'_>) {
    let callers = &domain.callers;
    match change {
        Change::Model(_) | Change::ProviderKeys(_) | Change::ProviderKeyPolicies => {}
        Change::Key(_)
        | Change::User(_)
        | Change::Team(_)
        | Change::Organization(_)
        | Change::Budget(_) => {
            // changes are rare and reading a caller again is a few lookups by id
            callers.changes.fetch_add(1, Ordering::SeqCst);
            callers.known.invalidate_all();
            callers.unknown.invalidate_all();
            callers.master_caller.store(None);
            // once more: a thread may have found one of those just dropped after the first count
            callers.changes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests;
