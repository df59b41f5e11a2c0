//! Whether people may pay with their own keys at a provider, or must.

use std::collections::BTreeMap;

use base::Result;
use llm::provider::{self, Provider};
use serde_json::{Map, Value};

use super::named;
use crate::audit::{Action, Entry, record};
use crate::{Actor, Change, Domain, storage};

/// The setting that keeps the policies.
const SETTING: &str = "provider_key_policies";

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

/// Sets the policies of providers; none: as configured.
///
/// # Errors
/// When the database does not answer.
pub async fn set_policies(
    domain: &Domain,
    actor: &Actor,
    changes: &[(&'static Provider, Option<Policy>)],
) -> Result<()> {
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let row = store::settings::find(&mut tx, SETTING)
        .await
        .map_err(storage)?;
    let before = read(row.map(|row| row.value).as_deref());
    let mut after = before.clone();
    for (provider, policy) in changes {
        match policy {
            Some(policy) => after.insert(provider.name, *policy),
            None => after.remove(provider.name),
        };
    }
    let written = |policies: &Policies| -> Value {
        let pairs = policies.iter();
        pairs
            .map(|(name, policy)| ((*name).to_owned(), policy.as_str().into()))
            .collect::<Map<String, Value>>()
            .into()
    };
    let text = written(&after).to_string();
    store::settings::put(&mut tx, SETTING, &text, now)
        .await
        .map_err(storage)?;
    let entry = Entry {
        action: Action::Updated,
        kind: "setting",
        id: SETTING,
        before: Some(written(&before)),
        after: Some(written(&after)),
    };
    record(&mut tx, actor, now, entry).await?;
    domain.commit(tx, &[Change::ProviderKeyPolicies]).await
}

/// What is stored of policies; what this version does not know is left out.
fn read(text: Option<&str>) -> Policies {
    let stored: Map<String, Value> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let known = stored.iter().filter_map(|(name, policy)| {
        let policy = Policy::parse(policy.as_str()?)?;
        Some((provider::find(name)?.name, policy))
    });
    known.collect()
}
