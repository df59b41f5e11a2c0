//! Whether people may pay with their own keys at a provider, or must.

use std::collections::BTreeMap;

use base::Result;
use llm::provider;
use serde_json::{Map, Value};

use super::named;
use crate::{Domain, storage};

/// The setting that keeps the policies.
pub(crate) const SETTING: &str = "provider_key_policies";

named! {
    /// What is allowed at one provider.
    pub enum Policy {
        /// Their own key first, then those of others.
        Allowed = "allowed",
        /// Their own key or none.
        Required = "required",
        /// Never their own key.
        Forbidden = "forbidden",
    }
}

/// Policies by the provider's name; what is not in it is allowed.
pub type Policies = BTreeMap<&'static str, Policy>;

/// The policies of the configuration, and over them those that administrators have set.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn current(domain: &Domain) -> Result<Policies> {
    let row = store::settings::find(&domain.db, SETTING)
        .await
        .map_err(storage)?;
    let mut policies = domain.config.provider_key_policies.clone();
    policies.extend(read(row.map(|row| row.value).as_deref()));
    Ok(policies)
}

/// What is stored of policies; what this version does not know is left out.
pub(crate) fn read(text: Option<&str>) -> Policies {
    let stored: Map<String, Value> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let known = stored.iter().filter_map(|(name, policy)| {
        let policy = Policy::parse(policy.as_str()?)?;
        Some((provider::find(name)?.name, policy))
    });
    known.collect()
}
