//! Lost passwords: a mailed link that lets its reader set a new one, once, within an hour.
//!
//! Whether an address belongs to anybody is never told: the answer is the same, and so is what it
//! costs.

use std::time::Duration;

use base::{Code, Error, Result, Secret};
use store::password_resets::ResetRow;

use crate::audit::How;
use crate::sessions::{Method, Visitor};
use crate::sign_in::{self, SignedIn};
use crate::{Change, Domain, auth, mail, passwords, storage, tokens};

/// How long a link is valid.
pub const VALID: Duration = Duration::from_secs(60 * 60);

/// Mails a link to this address, if it is a user's who may sign in.
///
/// # Errors
/// [`Code::SignInThrottled`] when too much was asked for from the visitor's address.
pub async fn request(domain: &Domain, visitor: &Visitor, email: &str) -> Result<()> {
    let now = domain.clock.now();
    domain.guesses.take_reset_of_address(visitor.address, now)?;
    let user = store::users::find_by_email(&domain.db, email.trim())
        .await
        .map_err(storage)?;
    let token = tokens::random("")?;
    let user = user.filter(|user| sign_in::may_enter(domain, user).is_ok());
    let Some(user) = user.filter(|user| domain.guesses.take_reset_of_account(&user.id, now)) else {
        return Ok(());
    };
    let Some(email) = &user.email else {
        return Ok(());
    };
    let mut tx = domain.begin().await?;
    let row = ResetRow {
        hash: auth::hash(token.expose()),
        user_id: user.id.clone(),
        created_at: now,
        expires_at: now + VALID,
    };
    store::password_resets::insert(&mut tx, &row)
        .await
        .map_err(storage)?;
    let path = format!("/ui/password/reset?token={}", token.expose());
    let letter = mail::password_reset_letter(&domain.config.sign_in.link(&path));
    mail::queue(domain, &mut tx, email, &letter, None).await?;
    tx.commit().await.map_err(storage)
}

/// Whose password a link would set.
///
/// # Errors
/// 401 for a link that does not exist, was used or has expired.
pub async fn find(domain: &Domain, token: &str) -> Result<ResetRow> {
    let row = store::password_resets::find(&domain.db, &auth::hash(token))
        .await
        .map_err(storage)?;
    let now = domain.clock.now();
    row.filter(|row| row.expires_at > now).ok_or_else(refused)
}

fn refused() -> Error {
    let message = "this link was used, has expired or never existed; ask for another";
    Error::new(Code::CredentialsWrong, message)
}

/// Sets a new password with a link, which uses it and all others of the user up, ends all sessions
/// and begins one.
///
/// # Errors
/// As [`find`]; [`Code::PasswordWeak`], which leaves the link valid.
pub async fn reset(
    domain: &Domain,
    visitor: &Visitor,
    token: &str,
    password: Secret,
) -> Result<SignedIn> {
    let row = find(domain, token).await?;
    let user = store::users::find(&domain.db, &row.user_id)
        .await
        .map_err(storage)?;
    let user = user.ok_or_else(refused)?;
    sign_in::may_enter(domain, &user)?;
    let shortest = domain.config.sign_in.shortest_password;
    passwords::check(&password, user.email.as_deref(), shortest)?;
    let password_hash = domain.passwords.hash(password).await?;

    let mut tx = domain.begin().await?;
    let is_ours = store::password_resets::delete(&mut tx, &row.hash)
        .await
        .map_err(storage)?;
    if is_ours == 0 {
        return Err(refused());
    }
    let actor = sign_in::actor(&user, How::Link, visitor);
    let user = passwords::put(domain, &mut tx, &actor, &user.id, password_hash).await?;
    let user_id = user.id.clone();
    let signed_in = sign_in::enter_in(
        domain,
        &mut tx,
        visitor,
        &user_id,
        Some(user),
        Method::Reset,
    )
    .await?;
    domain.commit(tx, &[Change::User(&user_id)]).await?;
    Ok(signed_in)
}
