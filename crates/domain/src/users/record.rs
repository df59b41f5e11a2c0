//! What is kept of a user: how a row is made, what of a request goes into it, and what the audit log
//! says of it.

use base::{Code, Error, Millis, Result};
use serde_json::{Value, json};
use store::Tx;
use store::json::Json;
use store::users::UserRow;

use super::UserFields;
use crate::audit::Actor;
use crate::entity_budgets;
use crate::patch::Patch;
use crate::scopes::ScopeKind;

/// The longest id and e-mail address.
const LONGEST: usize = 320;

/// An e-mail address as it is kept.
///
/// # Errors
/// [`Code::BadRequest`] for what cannot be one.
pub fn clean_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let is_one = email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && email.len() <= LONGEST
        && !email.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    match is_one {
        true => Ok(email),
        false => Err(Error::new(
            Code::BadRequest,
            format!("'{email}' is not an e-mail address: write name@host"),
        )
        .param("user_email")),
    }
}

pub(super) fn checked_id(id: String) -> Result<String> {
    let fits = !id.trim().is_empty()
        && id.len() <= LONGEST
        && !id.contains(|letter: char| letter.is_control());
    match fits {
        true => Ok(id),
        false => Err(Error::new(
            Code::BadRequest,
            format!("user_id must be a text of 1 to {LONGEST} bytes without control characters"),
        )
        .param("user_id")),
    }
}

pub(super) fn blank(id: &str, actor: &Actor, now: Millis) -> UserRow {
    UserRow {
        id: id.to_owned(),
        email: None,
        alias: None,
        role: None,
        sso_subject: None,
        password_hash: None,
        models: Json::default(),
        metadata: Json::default(),
        settings: Json::default(),
        blocked: false,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
    }
}

/// Puts what was sent into a row.
pub(super) fn apply(row: &mut UserRow, fields: &UserFields) -> Result<()> {
    let fields = fields.clone();
    let email = match fields.email {
        // an empty address is none
        Patch::Value(email) if email.trim().is_empty() => Patch::Null,
        email => email.try_map(|email| clean_email(&email))?,
    };
    email.apply(&mut row.email);
    fields.alias.apply(&mut row.alias);
    let role = fields.role.map(|role| role.as_str().to_owned());
    role.apply(&mut row.role);
    fields.sso_subject.apply(&mut row.sso_subject);
    fields.models.apply_or_default(&mut row.models);
    fields.metadata.apply_or_default(&mut row.metadata);
    crate::patch::merge(&mut row.metadata, fields.in_metadata);
    crate::patch::merge(&mut row.settings, fields.settings);
    fields.blocked.apply_or_default(&mut row.blocked);
    fields.rpm_limit.apply(&mut row.rpm_limit);
    fields.tpm_limit.apply(&mut row.tpm_limit);
    fields.tpd_limit.apply(&mut row.tpd_limit);
    fields
        .max_parallel_requests
        .apply(&mut row.max_parallel_requests);
    Ok(())
}

/// A user for the audit log. Values of their metadata may be secrets of theirs.
pub(super) async fn described(tx: &mut Tx, row: &UserRow) -> Result<Value> {
    Ok(json!({
        "user_email": row.email,
        "user_alias": row.alias,
        "user_role": row.role,
        "sso_user_id": row.sso_subject,
        "models": row.models,
        "metadata": row.metadata.keys().collect::<Vec<_>>(),
        "blocked": row.blocked,
        "rpm_limit": row.rpm_limit,
        "tpm_limit": row.tpm_limit,
        "tpd_limit": row.tpd_limit,
        "max_parallel_requests": row.max_parallel_requests,
        "budgets": entity_budgets::described(tx, ScopeKind::User, &row.id).await?,
    }))
}
