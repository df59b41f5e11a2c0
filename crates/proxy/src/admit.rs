//! From a request's head to a caller who may make the call.

use std::net::IpAddr;
use std::sync::Arc;

use base::{Code, Error, Result, Secret};
use domain::deployment::Chosen;
use domain::ledger::Place;
use domain::payers::SentKeys;
use domain::provider_keys::is_placeholder;
use domain::snapshot::Snapshot;
use domain::{Caller, Domain, access, auth, budgets, permissions, requests};
use http::HeaderMap;
use llm::request::Peek;

/// Who calls. Nothing of the body is read before this is known.
pub async fn authenticate(
    domain: &Domain,
    headers: &HeaderMap,
    path: &str,
    client: IpAddr,
) -> Result<Arc<Caller>> {
    let key = auth::key_from_headers(headers, domain.config.key_header.as_deref())?;
    authenticate_key(domain, key, path, client).await
}

/// The keys of providers that a client sends beside ours, where the configuration lets it. Ours is never
/// among them, in whatever header it stands.
pub fn sent_keys(domain: &Domain, headers: &HeaderMap) -> SentKeys {
    // so begin keys and sessions of gateways like this one, and tokens of identity providers
    const OURS: [&str; 3] = ["sk-tg-", "sk-tgs-", "eyJ"];
    let configured = domain.config.key_header.as_deref();
    if !domain.config.payers.from_headers {
        return SentKeys::default();
    }
    let Ok(ours) = auth::key_from_headers(headers, configured) else {
        return SentKeys::default();
    };
    let is_foreign = |key: &&str| {
        *key != ours
            && *key != domain.config.master_key.expose()
            && !OURS.iter().any(|start| key.starts_with(start))
            && !is_placeholder(key)
    };
    let sent = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?.trim();
        let key = text.strip_prefix("Bearer ").unwrap_or(text).trim();
        Some(key).filter(is_foreign).map(Secret::new)
    };
    SentKeys {
        anthropic: sent("x-api-key"),
        google: sent("x-goog-api-key"),
        azure: sent("api-key"),
        bearer: sent("authorization"),
    }
}

/// The same for a key that was found elsewhere.
pub async fn authenticate_key(
    domain: &Domain,
    key: &str,
    path: &str,
    client: IpAddr,
) -> Result<Arc<Caller>> {
    let caller = auth::authenticate(domain, key, Some(client)).await?;
    permissions::admit_call(&caller, path, &domain.config.routes)?;
    Ok(caller)
}

/// Whether the caller may have this model.
pub fn model<'a>(
    domain: &Domain,
    caller: &'a Caller,
    models: &'a Snapshot,
    peek: &'a Peek<'_>,
) -> Result<&'a str> {
    if domain.config.user_param_required && peek.end_user.is_none() {
        return Err(Error::new(
            Code::KeyMissing,
            "Authentication Error, 'user' param not passed in: this gateway asks for it",
        )
        .param("user"));
    }
    let name = access::resolve_alias(caller, models, &peek.model);
    access::check_model(caller, models, name)
        .map_err(|refused| requests::invite(domain, caller, name, refused))?;
    Ok(name)
}

/// Money for the call, and room for its row.
pub fn budget(
    domain: &Domain,
    caller: &Arc<Caller>,
    model: &str,
    chosen: &Chosen,
) -> Result<(budgets::Hold, Place)> {
    let personal = chosen.is_on_callers_money();
    let hold = budgets::admit(domain, caller, model, pricing(chosen), personal)?;
    Ok((hold, domain.ledger.place()?))
}

/// What is known of the price of a call before it is made.
pub fn pricing(chosen: &Chosen) -> budgets::Pricing {
    match &chosen.price {
        None => budgets::Pricing::Unpriced,
        Some(price) if price.record.is_free() => budgets::Pricing::Free,
        Some(_) => budgets::Pricing::Priced,
    }
}
