//! Who does something, and the entries that say so afterwards. An entry is written in the
//! transaction that makes the change, and holds no secret.

pub mod chain;
mod reading;
mod refusals;

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use base::{Millis, Result, ids};
use serde_json::Value;
use store::Tx;
use store::audit::NewEntry;

use crate::caller::Caller;

pub use reading::{Page, Question, batch, end, may_read, page};
pub use refusals::{Refusal, Refusals, refused};

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
    /// A request was taken back by whoever made it.
    Withdrawn,
    Approved,
    Declined,
    /// What was given for a time is over.
    Ended,
    SignedIn,
    SignedOut,
    /// An operation was called; only refusals are entries.
    Called,
    /// Something was tried that is a sign of abuse.
    Alarmed,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Deleted => "deleted",
            Action::Blocked => "blocked",
            Action::Unblocked => "unblocked",
            Action::Rotated => "rotated",
            Action::Withdrawn => "withdrawn",
            Action::Approved => "approved",
            Action::Declined => "declined",
            Action::Ended => "ended",
            Action::SignedIn => "signed_in",
            Action::SignedOut => "signed_out",
            Action::Called => "called",
            Action::Alarmed => "alarmed",
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
    /// The object as it was and as it is, without secrets. Members `user_id`, `team_id` and
    /// `organization_id` say whom the entry concerns.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The outcome of what was done.
pub const DONE: &str = "done";
/// The outcome of what was tried and not allowed.
pub const REFUSED: &str = "refused";

/// Notes an entry; [`Domain::commit`](crate::Domain::commit) writes it.
pub async fn record(tx: &mut Tx, actor: &Actor, now: Millis, entry: Entry<'_>) -> Result<()> {
    tx.note(new_entry(actor, now, entry));
    Ok(())
}

/// Notes what happened to an object, by its kind and id, as it was and as it is.
pub fn changed(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    action: Action,
    (kind, id): (&str, &str),
    (before, after): (Option<Value>, Option<Value>),
) {
    let entry = Entry {
        action,
        kind,
        id,
        before,
        after,
    };
    tx.note(new_entry(actor, now, entry));
}

fn new_entry(actor: &Actor, now: Millis, entry: Entry<'_>) -> NewEntry {
    let subjects = subjects(&entry);
    NewEntry {
        actor_user_id: actor.user_id.clone(),
        actor_key_id: own_key(actor),
        changed_by: actor.changed_by.clone(),
        action: entry.action.as_str().to_owned(),
        object_kind: entry.kind.to_owned(),
        object_id: entry.id.to_owned(),
        before: entry.before.map(|value| value.to_string()),
        after: entry.after.map(|value| value.to_string()),
        subjects,
        ..from_origin(&actor.origin, now)
    }
}

/// Notes that somebody signed in; [`Domain::commit`](crate::Domain::commit) writes it.
pub fn signed_in(tx: &mut Tx, origin: Origin, user_id: &str, session_id: &str, now: Millis) {
    tx.note(NewEntry {
        actor_user_id: Some(user_id.to_owned()),
        session_id: Some(session_id.to_owned()),
        action: Action::SignedIn.as_str().to_owned(),
        object_kind: "session".to_owned(),
        object_id: session_id.to_owned(),
        subjects: vec![("user".to_owned(), user_id.to_owned())],
        ..from_origin(&origin, now)
    });
}

/// The key that was used: what stands for one in a session is none.
fn own_key(actor: &Actor) -> Option<String> {
    let id = actor.key_id().filter(|_| actor.session.is_none());
    id.filter(|id| !id.is_empty()).map(str::to_owned)
}

/// What an entry says of where it comes from.
fn from_origin(origin: &Origin, now: Millis) -> NewEntry {
    NewEntry {
        id: ids::new_id(now),
        at: now,
        how: origin.how.as_str().to_owned(),
        session_id: origin.session_id.clone(),
        client_address: origin.address.map(|address| address.to_string()),
        user_agent: origin.user_agent.clone(),
        outcome: DONE.to_owned(),
        ..NewEntry::default()
    }
}

/// Whom an entry concerns: the object itself, and whose it is or was.
fn subjects(entry: &Entry<'_>) -> Vec<(String, String)> {
    const KINDS: [&str; 3] = ["user", "team", "organization"];
    let own = KINDS
        .contains(&entry.kind)
        .then_some((entry.kind, entry.id));
    let mut subjects: Vec<(&str, &str)> = own.into_iter().collect();
    for value in [&entry.before, &entry.after].into_iter().flatten() {
        for object in [Some(value), value.get("model_info")].into_iter().flatten() {
            for (kind, name) in KINDS
                .into_iter()
                .zip(["user_id", "team_id", "organization_id"])
            {
                let id = object.get(name).and_then(Value::as_str);
                subjects.extend(id.map(|id| (kind, id)));
            }
        }
    }
    let owned = subjects
        .into_iter()
        .map(|(kind, id)| (kind.to_owned(), id.to_owned()));
    owned.collect()
}
