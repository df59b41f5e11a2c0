//! One key for each of several providers, as forms and simple clients set them: all of them are looked at
//! before any is stored.

use base::{Result, Secret};
use llm::provider::Provider;
use store::provider_keys::ProviderKeyRow;

use super::{Changes, New, Owner, create, delete, list, text, update};
use crate::Domain;
use crate::audit::Actor;

/// A provider, and its key or, to take it away, none.
pub type Wish = (&'static Provider, Option<Secret>);

/// Sets or takes away an owner's keys at some providers. A key takes the place of the owner's first one
/// there; taking away takes all of them.
///
/// # Errors
/// As [`create`]: for a key that cannot be one before anything has changed.
pub async fn set_several(
    domain: &Domain,
    actor: &Actor,
    owner: Owner<'_>,
    wishes: Vec<Wish>,
) -> Result<()> {
    for (provider, key) in &wishes {
        if let Some(key) = key {
            text::clean_key(provider, key)?;
        }
    }
    for (provider, key) in wishes {
        let known = of_provider(domain, actor, owner, provider).await?;
        match (key, known.first()) {
            (Some(key), Some(first)) => {
                let changes = Changes {
                    key: Some(key),
                    enabled: Some(true),
                    ..Changes::default()
                };
                update(domain, actor, &first.id, changes).await?;
            }
            (Some(key), None) => {
                create(domain, actor, New::plain(owner, provider, key)).await?;
            }
            (None, _) => {
                for row in &known {
                    delete(domain, actor, &row.id).await?;
                }
            }
        }
    }
    Ok(())
}

/// An owner's keys at a provider, in the order in which they are asked.
///
/// # Errors
/// 403 for callers who may not see them.
pub async fn of_provider(
    domain: &Domain,
    actor: &Actor,
    owner: Owner<'_>,
    provider: &Provider,
) -> Result<Vec<ProviderKeyRow>> {
    let mut rows = list(domain, actor, owner).await?;
    rows.retain(|row| row.provider == provider.name);
    Ok(rows)
}
