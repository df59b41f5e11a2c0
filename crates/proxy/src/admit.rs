//! From a request's head to a caller who may make the call.

use std::net::IpAddr;
use std::sync::Arc;

use base::{Code, Error, Result};
use domain::deployment::Chosen;
use domain::ledger::Place;
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
    let hold = budgets::admit(domain, caller, model, pricing(chosen))?;
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
