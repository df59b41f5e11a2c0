//! Who is calling: what a presented key turned out to be, with all it belongs to.

use std::sync::Arc;

use base::Millis;
use store::keys::KeyRow;
use store::model_grants::ModelGrantRow;
use store::organizations::OrganizationRow;
use store::teams::{MemberRow, TeamRow};
use store::users::UserRow;

use crate::addresses::Networks;
use crate::scopes::Scope;
use crate::sessions::Session;

/// What a login may do (contract §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    ProxyAdmin,
    /// Sees all, changes nothing.
    ProxyAdminViewer,
    InternalUser,
    InternalUserViewer,
}

impl Role {
    pub const ALL: [Role; 4] = [
        Role::ProxyAdmin,
        Role::ProxyAdminViewer,
        Role::InternalUser,
        Role::InternalUserViewer,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::ProxyAdmin => "proxy_admin",
            Role::ProxyAdminViewer => "proxy_admin_viewer",
            Role::InternalUser => "internal_user",
            Role::InternalUserViewer => "internal_user_viewer",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// A key that was accepted, and everything it belongs to, as of the last time it was read.
///
/// Shared between requests; what a request may do right now (expiry, blocks, budgets) is decided
/// from it at each request.
#[derive(Debug, Default)]
pub struct Caller {
    /// `None`: a key without a user, or a user without a role.
    pub role: Option<Role>,
    /// The acting user: the key's owner, or the administrator behind the master key.
    pub user_id: Option<String>,
    /// `None` for the master key; for a session one that stands for it, without limits of its own.
    pub key: Option<KeyRow>,
    /// The session that the caller came with, if they did not come with a key.
    pub session: Option<Session>,
    pub user: Option<UserRow>,
    pub team: Option<TeamRow>,
    /// The owner's membership of the key's team.
    pub member: Option<MemberRow>,
    pub organization: Option<OrganizationRow>,
    /// The organizations that the acting user administers, by their ids.
    pub administers: Vec<String>,
    /// Models that the user may use for a time although lists leave them out. When the first of these
    /// ends, the caller is read anew.
    pub model_grants: Vec<ModelGrantRow>,
    /// Every scope whose counters a call of this key moves.
    pub scopes: Vec<Arc<Scope>>,
    /// The key may be used from these alone; empty: from everywhere.
    pub networks: Networks,
    /// Some uses of the key are told of: it is bait, or may not be used from everywhere.
    pub is_watched: bool,
}

/// A list of models that a grant may go past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    /// The own list of a key, by the key's id.
    Key(&'a str),
    /// A person's, by themselves or in a team.
    Person,
    Team,
    Organization,
}

/// Whether a grant goes past a list.
pub(crate) fn reaches(grant: &ModelGrantRow, reach: Reach<'_>) -> bool {
    match reach {
        Reach::Key(id) => grant.key_id.as_deref() == Some(id),
        Reach::Person => true,
        Reach::Team => matches!(grant.level.as_str(), "team" | "organization"),
        Reach::Organization => grant.level == "organization",
    }
}

impl Caller {
    /// The gateway itself, which may do everything and is nobody's.
    pub fn system() -> Caller {
        Caller {
            role: Some(Role::ProxyAdmin),
            ..Caller::default()
        }
    }

    /// Whether a grant that the caller was read with is over.
    pub fn is_stale(&self, now: Millis) -> bool {
        self.model_grants.iter().any(|grant| grant.until <= now)
    }

    /// Somebody without a key, where the configuration lets them in.
    pub fn nobody() -> Caller {
        Caller {
            role: None,
            key: Some(KeyRow::default()),
            ..Caller::system()
        }
    }

    pub fn is_master(&self) -> bool {
        self.key.is_none()
    }

    /// The master key or a user with the role of an administrator.
    pub fn is_admin(&self) -> bool {
        self.role == Some(Role::ProxyAdmin)
    }

    /// May see everything.
    pub fn sees_all(&self) -> bool {
        matches!(self.role, Some(Role::ProxyAdmin | Role::ProxyAdminViewer))
    }

    /// The hash that names the key in ledger rows and answers; the master key has a name instead
    /// (contract §3.2).
    pub fn key_hash(&self) -> &str {
        match &self.key {
            Some(key) => &key.hash,
            None => MASTER_KEY_NAME,
        }
    }

    pub fn key_id(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.id.as_str())
    }

    /// Administers this organization.
    pub fn administers(&self, organization_id: &str) -> bool {
        self.administers.iter().any(|id| id == organization_id)
    }

    pub fn team_id(&self) -> Option<&str> {
        self.key.as_ref().and_then(|key| key.team_id.as_deref())
    }
}

/// What stands where a key's hash would, for calls with the master key (contract §3.2).
pub const MASTER_KEY_NAME: &str = "litellm_proxy_master_key";

#[cfg(test)]
pub mod tests {
    //! Callers for the tests of rules.

    use base::Millis;

    use super::*;

    pub fn key() -> KeyRow {
        KeyRow {
            id: "key-1".to_owned(),
            hash: "00".repeat(32),
            name: "sk-...abcd".to_owned(),
            alias: None,
            user_id: None,
            team_id: None,
            organization_id: None,
            models: Default::default(),
            aliases: Default::default(),
            allowed_routes: Default::default(),
            key_type: None,
            permissions: Default::default(),
            metadata: Default::default(),
            settings: Default::default(),
            blocked: None,
            expires_at: None,
            rpm_limit: None,
            tpm_limit: None,
            tpd_limit: None,
            max_parallel_requests: None,
            auto_rotate: false,
            rotation_interval: None,
            rotation_count: 0,
            last_rotation_at: None,
            next_rotation_at: None,
            last_used_at: None,
            created_at: Millis(0),
            created_by: None,
            updated_at: Millis(0),
            updated_by: None,
            deleted_at: None,
            deleted_by: None,
            allowed_ips: Default::default(),
            canary: false,
            rotation_grace_period: None,
            rotate_by: None,
            expiry_reminder: None,
        }
    }

    pub fn caller(role: Option<Role>, key: KeyRow) -> Caller {
        Caller {
            role,
            user_id: key.user_id.clone(),
            key: Some(key),
            session: None,
            user: None,
            team: None,
            member: None,
            organization: None,
            administers: Vec::new(),
            model_grants: Vec::new(),
            scopes: Vec::new(),
            ..Caller::default()
        }
    }

    pub fn master() -> Caller {
        Caller {
            key: None,
            ..caller(Some(Role::ProxyAdmin), key())
        }
    }
}
