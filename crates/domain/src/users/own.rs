//! What people change of their own account.

use base::{Code, Error, Result, Secret};

use super::delete::remove;
use super::{UserFields, UserView, apply, described, email_taken, not_found, views};
use crate::audit::{self, Action, Actor};
use crate::patch::Patch;
use crate::{Change, Domain, passwords, storage};

/// Changes one's own name, and with the current password one's e-mail address: links that set a new
/// password are mailed there.
///
/// # Errors
/// [`Code::Forbidden`] for an actor who is no user; [`Code::BadRequest`] for a wrong password or no
/// address; [`Code::Conflict`] for an address that somebody else has.
pub async fn update_own(
    domain: &Domain,
    actor: &Actor,
    alias: Patch<String>,
    email: Option<(String, Secret)>,
) -> Result<UserView> {
    let id = own_id(actor)?;
    let email = match email {
        None => Patch::Absent,
        Some((email, current)) => {
            passwords::prove(domain, actor, current).await?;
            Patch::Value(email)
        }
    };
    let fields = UserFields {
        alias,
        email,
        ..UserFields::default()
    };
    let mut tx = domain.begin().await?;
    let before = store::users::lock(&mut tx, &id).await.map_err(storage)?;
    let before = before.ok_or_else(|| not_found(&id))?;
    let described_before = described(&mut tx, &before).await?;
    let mut row = before.clone();
    apply(&mut row, &fields)?;
    let now = domain.clock.now();
    row.updated_at = now;
    row.updated_by = actor.name();
    store::users::update(&mut tx, &row).await.map_err(
        |error| match store::db::is_unique_violation(&error) {
            true => email_taken(row.email.as_deref().unwrap_or_default()),
            false => storage(error),
        },
    )?;
    if row.email != before.email {
        // they were mailed to the former address
        store::password_resets::delete_of_user(&mut tx, &id)
            .await
            .map_err(storage)?;
    }
    let after = described(&mut tx, &row).await?;
    let both = (Some(described_before), Some(after));
    audit::changed(&mut tx, actor, now, Action::Updated, ("user", &id), both);
    domain.commit(tx, &[Change::User(&id)]).await?;
    views::view(domain, &id).await
}

/// Deletes one's own account, as [`delete`](super::delete) does.
///
/// # Errors
/// [`Code::Forbidden`] for administrators, without whom nobody could be let in again.
pub async fn delete_own(domain: &Domain, actor: &Actor) -> Result<()> {
    if actor.is_admin() {
        let message = "Super users are not allowed to delete themselves";
        return Err(Error::new(Code::Forbidden, message));
    }
    let id = own_id(actor)?;
    remove(domain, actor, &[id], true).await.map(drop)
}

fn own_id(actor: &Actor) -> Result<String> {
    let user = actor.user.as_ref().map(|user| user.id.clone());
    user.ok_or_else(|| {
        let message = "only users have an account of their own";
        Error::new(Code::Forbidden, message)
    })
}
