//! Tokens of an identity provider in place of keys (`general_settings.enable_jwt_auth`).
//!
//! A token is checked with the provider's published keys, which are kept in memory, and becomes a caller
//! of its user and team: with their budgets, limits and models, until it expires. It is never stored.

use base::{Code, Error, Millis, Result};
use store::keys::KeyRow;
use store::users::UserRow;

use super::claims::{self, Claims};
use super::config::JwtConfig;
use super::keys::{self, Rules};
use super::people::{self, Identity};
use crate::caller::{Caller, Role};
use crate::sessions::Visitor;
use crate::{Domain, auth, sign_in, storage};

/// The type of what stands where a key would.
pub const KEY_TYPE: &str = "jwt";

/// Whether what was presented as a key is meant to be a token.
pub fn is_meant(domain: &Domain, presented: &str) -> bool {
    domain.config.federation.jwt.is_some()
        && presented.len() <= keys::LONGEST
        && !presented.starts_with("sk-")
        && presented.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Whether a caller came with a token.
pub fn is_of_token(caller: &Caller) -> bool {
    let key = caller.key.as_ref();
    key.is_some_and(|key| key.key_type.as_deref() == Some(KEY_TYPE))
}

/// The caller whom a token describes.
///
/// # Errors
/// 401 for a token that proves nothing, 403 for who is not known here or may not call.
pub async fn caller(domain: &Domain, token: &str) -> Result<Caller> {
    let config = domain.config.federation.jwt.as_ref();
    let config = config.ok_or_else(|| Error::internal("tokens are not configured"))?;
    let claims = verified(domain, config, token).await?;
    check_roles(config, &claims)?;
    let is_admin = scopes(&claims).contains(&config.admin_scope);
    let user = user(domain, config, &claims).await?;
    let team_id = team(domain, config, &claims).await?;
    if user.is_none() && team_id.is_none() && !is_admin {
        return Err(unknown(
            "it names neither a user nor a team that is known here",
        ));
    }
    let named = |claim: &Option<String>| claim.as_deref().and_then(|it| claims::text(&claims, it));
    let routes = match (is_admin, &team_id) {
        (true, _) => config.admin_routes.clone(),
        (false, Some(_)) => config.team_routes.clone(),
        (false, None) => Vec::new(),
    };
    let mut key = stand_in(
        &claims,
        user.as_ref().map(|user| user.id.clone()),
        team_id,
        named(&config.organization_claim),
    );
    key.allowed_routes.0 = routes;
    let wants_organization = key.organization_id.is_some();
    let mut caller = auth::load(domain, key).await?;
    if wants_organization && caller.organization.is_none() {
        return Err(unknown("the organization that it names is not known here"));
    }
    if is_admin {
        caller.role = Some(Role::ProxyAdmin);
    }
    Ok(caller)
}

async fn verified(domain: &Domain, config: &JwtConfig, token: &str) -> Result<Claims> {
    let mut last = Error::internal("no key set is configured");
    for key_set in &config.key_sets {
        let rules = Rules {
            key_set,
            issuer: config.issuer.as_deref(),
            audiences: &config.audiences,
        };
        match keys::verify(&domain.federation, domain.clock.now(), token, &rules).await {
            Ok(claims) => return Ok(claims),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unknown(why: &str) -> Error {
    let message = format!(
        "the token is valid, but cannot be used: {why}; an administrator can create it, or check the \
         claims that general_settings.litellm_jwtauth names"
    );
    Error::new(Code::Forbidden, message)
}

fn scopes(claims: &Claims) -> Vec<String> {
    let all = ["scope", "scp"].into_iter();
    let all = all.flat_map(|name| claims::texts(claims, name));
    all.flat_map(|text| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    })
    .collect()
}

fn check_roles(config: &JwtConfig, claims: &Claims) -> Result<()> {
    let (Some(claim), false) = (&config.roles_claim, config.allowed_roles.is_empty()) else {
        return Ok(());
    };
    let roles = claims::texts(claims, claim);
    match roles.iter().any(|role| config.allowed_roles.contains(role)) {
        true => Ok(()),
        false => Err(unknown("none of its roles may call")),
    }
}

async fn user(domain: &Domain, config: &JwtConfig, claims: &Claims) -> Result<Option<UserRow>> {
    let Some(id) = claims::text(claims, &config.user_claim) else {
        return Ok(None);
    };
    let email = config.email_claim.as_deref();
    let email = email.and_then(|claim| claims::text(claims, claim));
    let is_verified = claims::is_true(claims, "email_verified");
    let email = email.map(|email| email.to_lowercase());
    if let Some(domain) = &config.email_domain {
        // the provider that signs the token answers for the address
        people::check_domain(std::slice::from_ref(domain), email.as_deref(), true)?;
    }
    let by_id = store::users::find(&domain.db, &id).await.map_err(storage)?;
    let is_linked = |user: &UserRow| user.sso_subject.as_ref().is_none_or(|of| *of == id);
    if let Some(user) = by_id.filter(is_linked) {
        return Ok(Some(user));
    }
    let by_subject = store::users::find_by_sso_subject(&domain.db, &id).await;
    if let Some(user) = by_subject.map_err(storage)? {
        return Ok(Some(user));
    }
    if !config.upserts_users {
        return Err(unknown(
            "its user is not known here (user_id_upsert makes such users)",
        ));
    }
    let identity = Identity {
        subject: id,
        // an address that nobody vouches for links to no account
        email: email.filter(|_| is_verified),
        is_verified,
        ..Identity::default()
    };
    let actor = people::actor(None, &nowhere());
    people::user(domain, &actor, &identity).await.map(Some)
}

/// A token that is checked says nothing of where it comes from.
fn nowhere() -> Visitor {
    Visitor {
        address: sign_in::NOWHERE,
        device: None,
        user_agent: None,
    }
}

/// The team that a token names: the one, or the first of several that exists.
async fn team(domain: &Domain, config: &JwtConfig, claims: &Claims) -> Result<Option<String>> {
    let one = config.team_claim.as_deref();
    let one = one.and_then(|claim| claims::text(claims, claim));
    let several = config.teams_claim.as_deref();
    let several = several.map_or_else(Vec::new, |claim| claims::texts(claims, claim));
    let mut named: Vec<String> = one.into_iter().chain(several).collect();
    if named.is_empty() {
        named.extend(config.default_team.clone());
    }
    if named.is_empty() {
        return Ok(None);
    }
    let known = store::teams::find_many(&domain.db, &named).await;
    let known = known.map_err(storage)?;
    let is_known = |id: &&String| known.iter().any(|team| team.id == **id);
    match named.iter().find(is_known).or(named.first()) {
        Some(id) if is_known(&id) => Ok(Some(id.clone())),
        Some(id) if config.upserts_teams => {
            let actor = people::actor(None, &nowhere());
            people::make_team(domain, &actor, id).await?;
            Ok(Some(id.clone()))
        }
        _ => Err(unknown(
            "no team that it names is known here (team_id_upsert makes such teams)",
        )),
    }
}

/// Stands where a key would: always the same for the same user and team, whatever token they show.
fn stand_in(
    claims: &Claims,
    user_id: Option<String>,
    team_id: Option<String>,
    organization_id: Option<String>,
) -> KeyRow {
    let issuer = claims::text(claims, "iss").unwrap_or_default();
    let names = [Some(&issuer), user_id.as_ref(), team_id.as_ref()];
    let whole = names.map(|name| name.map_or("", String::as_str)).join("\n");
    let hash = auth::hash(&format!("{KEY_TYPE}\n{whole}"));
    let expires_at = claims.get("exp").and_then(serde_json::Value::as_f64);
    KeyRow {
        id: format!("{KEY_TYPE}-{}", &hash[..32]),
        hash,
        name: KEY_TYPE.to_owned(),
        key_type: Some(KEY_TYPE.to_owned()),
        // to the second
        expires_at: expires_at.map(|at| Millis((at as i64).saturating_mul(1000))),
        user_id,
        team_id,
        organization_id,
        ..KeyRow::default()
    }
}
