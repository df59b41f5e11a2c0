//! The gateway's keys that stand in its environment: beneath those of the database, and shown as what they
//! are. They cannot be changed while it runs.

use llm::provider::{PROVIDERS, Provider};

use super::{Owner, last4};
use crate::Domain;

/// A key of the environment.
#[derive(Clone, Debug)]
pub struct EnvironmentKey {
    pub provider: &'static Provider,
    pub variable: &'static str,
    pub last4: String,
    /// Whether a key of the database stands before it.
    pub is_overridden: bool,
}

/// The keys of the environment, the one that counts for each provider. Placeholders are not among them.
pub fn of_environment(domain: &Domain) -> Vec<EnvironmentKey> {
    let variables = &domain.config.models.variables;
    let found = PROVIDERS.iter().filter_map(|provider| {
        let mut names = provider.key_variables.iter();
        let variable = names.find(|name| variables.contains_key(**name))?;
        let key = variables.get(*variable)?;
        Some(EnvironmentKey {
            provider,
            variable,
            last4: last4(key.expose()),
            is_overridden: !domain.provider_keys.of(Owner::System, provider).is_empty(),
        })
    });
    found.collect()
}

/// Environment variables that hold a provider's key.
pub fn key_variables() -> impl Iterator<Item = &'static str> {
    PROVIDERS
        .iter()
        .flat_map(|provider| provider.key_variables)
        .copied()
}
