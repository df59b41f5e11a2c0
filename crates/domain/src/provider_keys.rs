//! Keys at providers: the gateway's own, an organization's, a team's and a person's.
//!
//! A key is stored sealed and bound to its row, its owner and its provider ([`crate::vault`]); it is opened
//! for the call that it pays and for nothing else. Nobody can read one back, whoever they are. What a call
//! needs to know of keys is in memory ([`ProviderKeys`]); the sealed text too, the plain text never.

mod check;
mod environment;
mod index;
mod manage;
mod noted;
mod placeholder;
mod policies;
mod several;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use base::{Error, Millis, Result};
use llm::provider::{self, Credential, Provider};
use store::provider_keys::ProviderKeyRow;

use crate::Domain;
use crate::vault::{Place, Vault};

pub use environment::{EnvironmentKey, key_variables, of_environment};
pub use index::{ProviderKeys, rebuild};
pub use manage::{Changes, New, create, delete, list, provider_named, test, update};
pub use noted::{note_rejection, note_state};
pub use placeholder::is_placeholder;
pub use policies::{Policies, Policy, set_policies};
pub use several::{Wish, of_provider, set_several};

pub(crate) use index::refresh;
pub(crate) use manage::erase;

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner<'a> {
    /// The gateway, for everybody.
    System,
    Organization(&'a str),
    Team(&'a str),
    User(&'a str),
}

impl<'a> Owner<'a> {
    /// `owner_kind` in the database and the API.
    pub fn kind(self) -> &'static str {
        match self {
            Owner::System => "system",
            Owner::Organization(_) => "organization",
            Owner::Team(_) => "team",
            Owner::User(_) => "user",
        }
    }

    /// The owner's id; empty for the gateway.
    pub fn id(self) -> &'a str {
        match self {
            Owner::System => "",
            Owner::Organization(id) | Owner::Team(id) | Owner::User(id) => id,
        }
    }

    pub fn read(kind: &str, id: &'a str) -> Option<Owner<'a>> {
        match kind {
            "system" if id.is_empty() => Some(Owner::System),
            "organization" => Some(Owner::Organization(id)),
            "team" => Some(Owner::Team(id)),
            "user" => Some(Owner::User(id)),
            _ => None,
        }
    }
}

/// Defines an enum whose values have names in the database and the API.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $value,)* }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$value),*];

            pub fn as_str(self) -> &'static str {
                match self { $($name::$value => $text,)* }
            }

            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }
    };
}
pub(crate) use named;

named! {
    /// Whether somebody else's key may pay a call that this key could not. A provider that does not take
    /// the key, or a call that makes no sense, is never a reason.
    pub enum Fallback {
        Never = "never",
        /// The key's quota is used up or its rate limit reached.
        OnQuota = "on_quota",
        /// That, or the provider failed (5xx, no answer).
        OnError = "on_error",
    }
}

named! {
    /// What the provider last said of a key.
    pub enum State {
        Valid = "valid",
        /// The provider does not take it.
        Rejected = "rejected",
        /// The provider knows it, and does not let it do everything.
        Restricted = "restricted",
        /// Nobody could be asked.
        Unverified = "unverified",
        /// It is good, and its quota is used up.
        Quota = "quota",
    }
}

impl State {
    /// Where it stands in [`State::ALL`].
    fn place(self) -> usize {
        State::ALL
            .iter()
            .position(|state| *state == self)
            .unwrap_or(0)
    }
}

/// A key as it is in memory: all but its plain text.
#[derive(Debug)]
pub struct ProviderKey {
    pub id: String,
    owner_kind: &'static str,
    owner_id: String,
    pub provider: &'static Provider,
    pub name: String,
    sealed: String,
    pub last4: String,
    pub enabled: bool,
    pub fallback: Fallback,
    /// The models that it pays for, as patterns; empty: all. See [`ProviderKey::pays_for`].
    pub models: Vec<String>,
    /// A host of the owner's, in place of the provider's.
    pub base_url: Option<String>,
    /// What is known of its state, as the index in [`State::ALL`]; in the database a moment later.
    state: AtomicUsize,
    updated_at: Millis,
    /// Unix milliseconds of its last use, 0 for none; written to the database now and then.
    used_at: AtomicI64,
    /// What of it is in the database.
    used_at_stored: AtomicI64,
}

impl ProviderKey {
    /// # Errors
    /// A row of a kind, provider or state that this version does not know.
    fn read(row: ProviderKeyRow) -> Result<ProviderKey> {
        let unknown =
            |what: &str| Error::internal(format!("provider key {}: unknown {what}", row.id));
        let owner = Owner::read(&row.owner_kind, &row.owner_id);
        let state = State::parse(&row.state).ok_or_else(|| unknown("state"))?;
        let used_at = row.last_used_at.map_or(0, |at| at.0);
        Ok(ProviderKey {
            owner_kind: owner.ok_or_else(|| unknown("owner_kind"))?.kind(),
            provider: provider::find(&row.provider).ok_or_else(|| unknown("provider"))?,
            fallback: Fallback::parse(&row.fallback).ok_or_else(|| unknown("fallback"))?,
            state: AtomicUsize::new(state.place()),
            updated_at: row.updated_at,
            owner_id: row.owner_id,
            id: row.id,
            name: row.name,
            sealed: row.sealed,
            last4: row.last4,
            enabled: row.enabled,
            models: row.models.0,
            base_url: row.base_url,
            used_at: AtomicI64::new(used_at),
            used_at_stored: AtomicI64::new(used_at),
        })
    }

    pub fn owner(&self) -> Owner<'_> {
        Owner::read(self.owner_kind, &self.owner_id).unwrap_or(Owner::System)
    }

    /// What the provider last said of it.
    pub fn state(&self) -> State {
        let place = self.state.load(Ordering::Relaxed);
        State::ALL.get(place).copied().unwrap_or(State::Unverified)
    }

    /// Whether the owner lets the key pay for a model, by the provider's name of it. `*` in a pattern
    /// stands for any text; `provider/model` is the same as `model`.
    pub fn pays_for(&self, model: &str) -> bool {
        let bare = |name: &str| -> String {
            let rest = name
                .split_once('/')
                .filter(|(prefix, _)| provider::find(prefix) == Some(self.provider));
            rest.map_or(name, |(_, rest)| rest).to_owned()
        };
        let model = bare(model);
        self.models.is_empty()
            || self.models.iter().any(|pattern| {
                let pattern = bare(pattern);
                pattern == model || crate::wildcards::captures(&pattern, &model).is_some()
            })
    }

    /// Opens the key for a call. The plain text is wiped when the credential is dropped: do not keep it.
    ///
    /// # Errors
    /// Internal, with the reason for the log, where it does not open: it was moved, changed, or sealed with
    /// an encryption key that is not configured. `BadRequest` for a key file that cannot sign.
    pub fn open(&self, vault: &Vault) -> Result<Credential> {
        let secret = bound(&self.id, self.owner(), self.provider.name, |place| {
            vault.open(place, &self.sealed)
        })?;
        Credential::of_key(self.provider, secret)
    }

    /// Notes that it pays a call now.
    pub fn note_used(&self, now: Millis) {
        self.used_at.fetch_max(now.0, Ordering::Relaxed);
    }

    pub fn last_used_at(&self) -> Option<Millis> {
        Some(Millis(self.used_at.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }
}

/// What a key is sealed for: its row, its owner and its provider.
fn bound<T>(id: &str, owner: Owner<'_>, provider: &str, with: impl FnOnce(Place<'_>) -> T) -> T {
    let column = format!("sealed/{provider}");
    let owner = format!("{}/{}", owner.kind(), owner.id());
    with(Place {
        table: "provider_keys",
        column: &column,
        row: id,
        owner: &owner,
    })
}

/// The same for a row.
pub(crate) fn bound_to<T>(row: &ProviderKeyRow, with: impl FnOnce(Place<'_>) -> T) -> T {
    let owner = Owner::read(&row.owner_kind, &row.owner_id).unwrap_or(Owner::System);
    bound(&row.id, owner, &row.provider, with)
}

/// The last four letters of a key; fewer where little would stay hidden.
pub fn last4(key: &str) -> String {
    const HIDDEN: usize = 8;
    let count = key.chars().count();
    let shown = count.saturating_sub(HIDDEN).min(4);
    key.chars().skip(count - shown).collect()
}

/// Writes when keys were last used, each minute, until the process ends.
pub async fn write_uses(domain: Domain) {
    const PERIOD: std::time::Duration = std::time::Duration::from_secs(60);
    loop {
        let is_last = tokio::select! {
            () = tokio::time::sleep(PERIOD) => false,
            () = domain.tasks.stopping() => true,
        };
        for key in domain.provider_keys.all() {
            write_use(&domain, &key).await;
        }
        if is_last {
            return;
        }
    }
}

async fn write_use(domain: &Domain, key: &Arc<ProviderKey>) {
    let used_at = key.used_at.load(Ordering::Relaxed);
    if used_at == key.used_at_stored.load(Ordering::Relaxed) {
        return;
    }
    match store::provider_keys::set_used(&domain.db, &key.id, Millis(used_at)).await {
        Ok(_) => key.used_at_stored.store(used_at, Ordering::Relaxed),
        Err(error) => tracing::warn!(%error, "when a provider key was used could not be written"),
    }
}

#[cfg(test)]
mod tests {
    use base::Secret;
    use store::Json;

    use super::*;

    fn row(vault: &Vault) -> ProviderKeyRow {
        let mut row = ProviderKeyRow {
            id: "k1".to_owned(),
            owner_kind: "user".to_owned(),
            owner_id: "ada".to_owned(),
            provider: "anthropic".to_owned(),
            name: "anthropic".to_owned(),
            sealed: String::new(),
            last4: "3456".to_owned(),
            position: 0,
            enabled: true,
            fallback: "never".to_owned(),
            models: Json(Vec::new()),
            base_url: None,
            state: "valid".to_owned(),
            verified_at: None,
            last_used_at: None,
            created_at: Millis(1),
            created_by: None,
            updated_at: Millis(1),
            updated_by: None,
        };
        let secret = Secret::new("sk-ant-123456");
        row.sealed = bound_to(&row, |place| vault.seal(place, &secret)).unwrap();
        row
    }

    #[test]
    fn a_key_opens_for_its_row_its_owner_and_its_provider_alone() {
        let vault = Vault::new(&[Secret::new("encryption key")]);
        let good = row(&vault);
        let opened = ProviderKey::read(good.clone()).unwrap().open(&vault);
        assert!(matches!(opened, Ok(Credential::Key(key)) if key.expose() == "sk-ant-123456"));
        let moved = [
            ProviderKeyRow {
                id: "k2".to_owned(),
                ..good.clone()
            },
            ProviderKeyRow {
                owner_id: "bob".to_owned(),
                ..good.clone()
            },
            ProviderKeyRow {
                owner_kind: "team".to_owned(),
                ..good.clone()
            },
            ProviderKeyRow {
                provider: "openai".to_owned(),
                ..good
            },
        ];
        for row in moved {
            let key = ProviderKey::read(row).unwrap();
            assert!(key.open(&vault).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_key_pays_for_the_models_that_its_owner_says() {
        let vault = Vault::new(&[Secret::new("encryption key")]);
        let key = |models: &[&str]| {
            let models = models.iter().map(|model| (*model).to_owned()).collect();
            ProviderKey::read(ProviderKeyRow {
                models: Json(models),
                ..row(&vault)
            })
            .unwrap()
        };
        assert!(key(&[]).pays_for("claude-opus-4-6"));
        assert!(key(&["claude-opus-*"]).pays_for("claude-opus-4-6"));
        assert!(key(&["anthropic/claude-opus-4-6"]).pays_for("claude-opus-4-6"));
        assert!(!key(&["claude-haiku-*"]).pays_for("claude-opus-4-6"));
        assert!(!key(&["openai/*"]).pays_for("claude-opus-4-6"));
    }

    #[test]
    fn few_letters_of_a_short_key_are_shown() {
        assert_eq!(last4("sk-ant-123456"), "3456");
        assert_eq!(last4("1234567890"), "90");
        assert_eq!(last4("12345678"), "");
        assert_eq!(last4("schlüsselwörter-ä"), "er-ä");
    }
}
