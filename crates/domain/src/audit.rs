//! Who does something, and the entries that say so afterwards. An entry is written in the
//! transaction that makes the change, and holds no secret.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use base::{Millis, Result, ids};
use serde_json::Value;
use store::Tx;
use store::audit::AuditRow;

use crate::caller::Caller;
use crate::storage;

/// A caller who does something through the management API.
#[derive(Clone, Debug)]
pub struct Actor {
    pub caller: Arc<Caller>,
    /// Who the caller says is behind it (`litellm-changed-by`, contract §1).
    pub changed_by: Option<String>,
    /// The key has no role, but an administrator has limited it to routes among which is this one:
    /// it acts for that administrator.
    pub is_delegate: bool,
    pub origin: Origin,
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    MasterKey,
    Key,
    /// Signed in with a password.
    Session,
    /// Signed in, or sent a token, from an identity provider.
    Sso,
    /// An identity provider that keeps users.
    Scim,
    /// A signed link out of a mail.
    Link,
    /// Nobody: the gateway itself, at a time that somebody has set.
    System,
}

impl How {
    pub fn as_str(self) -> &'static str {
        match self {
            How::MasterKey => "master_key",
            How::Key => "key",
            How::Session => "session",
            How::Sso => "sso",
            How::Scim => "scim",
            How::Link => "link",
            How::System => "system",
        }
    }
}

/// Where a change comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub how: How,
    /// The session's id, which is not its secret.
    pub session_id: Option<String>,
    /// The client's address.
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
}

impl Origin {
    /// The gateway itself.
    pub fn system() -> Origin {
        Origin {
            how: How::System,
            session_id: None,
            address: None,
            user_agent: None,
        }
    }
}

impl Actor {
    /// The gateway itself, which does what somebody has told it to do later.
    pub fn system() -> Actor {
        Actor {
            caller: Arc::new(Caller::system()),
            changed_by: None,
            is_delegate: false,
            origin: Origin::system(),
        }
    }

    /// What `created_by` and `updated_by` say.
    pub fn name(&self) -> Option<String> {
        self.changed_by
            .clone()
            .or_else(|| self.caller.user_id.clone())
    }

    /// An administrator, or a key that acts for one.
    pub fn is_admin(&self) -> bool {
        self.caller.is_admin() || self.is_delegate
    }

    /// May see everything.
    pub fn sees_all(&self) -> bool {
        self.caller.sees_all() || self.is_delegate
    }
}

impl Deref for Actor {
    type Target = Caller;
    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    Deleted,
    Blocked,
    Unblocked,
    Rotated,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Deleted => "deleted",
            Action::Blocked => "blocked",
            Action::Unblocked => "unblocked",
            Action::Rotated => "rotated",
        }
    }
}

/// One entry of the audit log.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub action: Action,
    /// `key`, `user`, `team` …
    pub kind: &'a str,
    pub id: &'a str,
    /// The object as it was and as it is, without secrets.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Writes an entry.
pub async fn record(tx: &mut Tx, actor: &Actor, now: Millis, entry: Entry<'_>) -> Result<()> {
    let row = AuditRow {
        id: ids::new_id(now),
        at: now,
        actor_user_id: actor.user_id.clone(),
        actor_key_id: actor.key_id().map(str::to_owned),
        changed_by: actor.changed_by.clone(),
        action: entry.action.as_str().to_owned(),
        object_kind: entry.kind.to_owned(),
        object_id: entry.id.to_owned(),
        before: entry.before.map(|value| value.to_string()),
        after: entry.after.map(|value| value.to_string()),
    };
    store::audit::insert(tx, &row).await.map_err(storage)
}
