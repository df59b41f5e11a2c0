//! The rules: who may do what, how much is left, which deployment answers, what a call has cost.
//!
//! No HTTP framework and no SQL. The data plane and the management API are both built on this crate
//! and do not know each other.

pub mod access;
pub mod addresses;
pub mod alarms;
pub mod audit;
pub mod auth;
pub mod budget_warnings;
pub mod budgets;
pub mod caller;
pub mod changes;
pub mod config;
pub mod conversations;
pub mod definition;
pub mod deployment;
pub mod destinations;
pub mod entity_budgets;
pub mod estimates;
pub mod federation;
pub mod gateway;
pub mod grants;
pub mod health;
pub mod invitations;
pub mod keys;
pub mod ledger;
pub mod llm_models;
pub mod mail;
pub mod metrics;
pub mod model_facts;
pub mod models;
pub mod organizations;
pub mod password_resets;
pub mod passwords;
pub mod patch;
pub mod payers;
pub mod periods;
pub mod permissions;
pub mod plans;
pub mod prices;
pub mod provider_keys;
pub mod providers;
pub mod requests;
pub mod reseal;
pub mod responses;
pub mod scim;
pub mod scopes;
pub mod seals;
pub mod sessions;
pub mod sign_in;
pub mod snapshot;
pub mod spend;
mod target;
pub mod tasks;
pub mod teams;
pub mod tokens;
pub mod usage;
pub mod users;
pub mod v2;
pub mod vault;
pub mod wildcards;

use std::ops::Deref;
use std::sync::Arc;

use base::{Clock, Error, Result};
use store::{Db, Tx};

pub use audit::Actor;
pub use caller::{Caller, Role};
pub use config::Config;
pub use patch::Patch;

/// Everything the rules need, built once at start. Cheap to clone.
#[derive(Clone)]
pub struct Domain(Arc<Services>);

/// The services behind [`Domain`].
pub struct Services {
    pub config: Config,
    pub clock: Clock,
    pub db: Db,
    pub vault: vault::Vault,
    pub seals: seals::Seals,
    pub refusals: audit::Refusals,
    /// Models, deployments and prices as they are now.
    pub models: snapshot::Models,
    pub callers: auth::Callers,
    pub scopes: scopes::Scopes,
    pub ledger: ledger::Ledger,
    pub responses: responses::Responses,
    pub metrics: std::sync::Arc<metrics::Metrics>,
    pub health: health::Health,
    pub passwords: passwords::Hashing,
    pub guesses: sign_in::Guesses,
    pub mail: mail::Mail,
    pub alarms: alarms::Alarms,
    pub federation: federation::Federation,
    /// Keys at providers, and who may use their own.
    pub provider_keys: provider_keys::ProviderKeys,
    pub tasks: tasks::Tasks,
}

impl Deref for Domain {
    type Target = Services;
    fn deref(&self) -> &Services {
        &self.0
    }
}

impl Domain {
    pub fn new(services: Services) -> Domain {
        Domain(Arc::new(services))
    }

    /// Opens a transaction for a management change.
    pub async fn begin(&self) -> Result<Tx> {
        self.db.begin().await.map_err(storage)
    }

    /// Commits a management change with its entries of the audit log, and makes it seen: by this
    /// process at once, by others when they read the `changes` table. `kind` and `id` name what
    /// changed.
    pub async fn commit(&self, mut tx: Tx, changes: &[Change<'_>]) -> Result<()> {
        let now = self.clock.now();
        // always in this order, and after all other locks: nobody waits in a circle
        audit::chain::write(&self.seals, &mut tx).await?;
        for change in changes {
            store::changes::record(&mut tx, change.kind(), change.id(), now)
                .await
                .map_err(storage)?;
        }
        tx.commit().await.map_err(storage)?;
        if let Err(error) = self.refresh(changes.iter().copied()).await {
            // it is committed, and the follower of changes comes back to it
            tracing::warn!(%error, "a change is stored, but could not be read back");
        }
        Ok(())
    }

    /// Lets go of what changes have made stale, and reads the models again when they are among them.
    pub async fn refresh(&self, changes: impl Iterator<Item = Change<'_>>) -> Result<()> {
        let mut models = false;
        let mut read = Ok(());
        for change in changes {
            models |= matches!(change, Change::Model(_));
            auth::forget(self, &change);
            let again = provider_keys::refresh(self, &change).await;
            read = read.and(again);
        }
        if models {
            snapshot::rebuild(self).await?;
        }
        read
    }
}

/// What a management change touched.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A key, by its hash.
    Key(&'a str),
    User(&'a str),
    Team(&'a str),
    Organization(&'a str),
    /// A deployment.
    Model(&'a str),
    /// A named plan of budgets.
    Budget(&'a str),
    /// The provider keys of an owner.
    ProviderKeys(provider_keys::Owner<'a>),
    /// Whether people may pay with their own keys.
    ProviderKeyPolicies,
}

impl<'a> Change<'a> {
    fn kind(&self) -> &'static str {
        match self {
            Change::Key(_) => "key",
            Change::User(_) => "user",
            Change::Team(_) => "team",
            Change::Organization(_) => "organization",
            Change::Model(_) => "model",
            Change::Budget(_) => "budget",
            Change::ProviderKeys(provider_keys::Owner::System) => "system_provider_keys",
            Change::ProviderKeys(provider_keys::Owner::Organization(_)) => {
                "organization_provider_keys"
            }
            Change::ProviderKeys(provider_keys::Owner::Team(_)) => "team_provider_keys",
            Change::ProviderKeys(provider_keys::Owner::User(_)) => "user_provider_keys",
            Change::ProviderKeyPolicies => "provider_key_policies",
        }
    }

    fn id(&self) -> &'a str {
        match self {
            Change::Key(id)
            | Change::User(id)
            | Change::Team(id)
            | Change::Organization(id)
            | Change::Model(id)
            | Change::Budget(id) => id,
            Change::ProviderKeys(owner) => owner.id(),
            Change::ProviderKeyPolicies => "",
        }
    }

    /// The change that a row of the `changes` table names.
    pub fn read(kind: &str, id: &'a str) -> Option<Change<'a>> {
        match kind {
            "key" => Some(Change::Key(id)),
            "user" => Some(Change::User(id)),
            "team" => Some(Change::Team(id)),
            "organization" => Some(Change::Organization(id)),
            "model" => Some(Change::Model(id)),
            "budget" => Some(Change::Budget(id)),
            "provider_key_policies" => Some(Change::ProviderKeyPolicies),
            other => {
                let owner = provider_keys::Owner::read(other.strip_suffix("_provider_keys")?, id)?;
                Some(Change::ProviderKeys(owner))
            }
        }
    }
}

/// What a caller is told when the database fails: to try again, and nothing of the cause.
pub fn storage(source: store::Failure) -> Error {
    Error::new(
        base::Code::Unavailable,
        "the gateway's database did not answer; nothing was changed; try again",
    )
    .caused_by(source)
}
