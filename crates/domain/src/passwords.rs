//! Passwords: what is good enough for one, and hashing them with Argon2id.
//!
//! Hashing is slow on purpose. It runs beside the threads that serve requests, and only a few hashes
//! are made at once: guessing can use up neither memory nor processors. Those who sign in from where
//! they have signed in before wait in a line of their own, which guessers cannot fill.

mod rules;

use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base::{Code, Error, Result, Secret};
use serde_json::json;
use store::Tx;
use store::users::UserRow;
use tokio::sync::Semaphore;

use crate::audit::{Action, Actor, Entry, record};
use crate::sign_in::From;
use crate::{Change, Domain, mail, storage};

pub use rules::check;

/// OWASP's first recommendation for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer ones are refused before they are hashed.
pub const LONGEST: usize = 1024;

/// Who waits in which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Somebody who has shown who they are, or signs in from where they did before.
    Known,
    Unknown,
}

/// How many hashes may be made at once.
pub struct Hashing {
    known: Semaphore,
    unknown: Semaphore,
}

impl Default for Hashing {
    fn default() -> Hashing {
        Hashing {
            known: Semaphore::new(1),
            unknown: Semaphore::new(1),
        }
    }
}

impl Hashing {
    /// Runs slow work in its turn.
    async fn run<T: Send + 'static>(
        &self,
        line: Line,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let line = match line {
            Line::Known => &self.known,
            Line::Unknown => &self.unknown,
        };
        let turn = tokio::time::timeout(PATIENCE, line.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let message = "too many people sign in at this moment; try again";
            return Err(Error::new(Code::Unavailable, message).retry_after(PATIENCE));
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(Error::internal)?
    }

    /// The hash of a new password, with a fresh salt, in the PHC string format.
    pub async fn hash(&self, password: Secret) -> Result<String> {
        self.run(Line::Known, move || hash(&password)).await
    }

    /// Whether this is the password of a hash. Without a hash it is not, after the same time.
    pub async fn is_right(
        &self,
        line: Line,
        password: Secret,
        hash: Option<String>,
    ) -> Result<bool> {
        if password.expose().len() > LONGEST {
            return Ok(false);
        }
        self.run(line, move || Ok(is_right(&password, hash.as_deref())))
            .await
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("these are in Argon2's ranges");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &Secret) -> Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| Error::internal(error.to_string()))?;
    let hash: PasswordHash = argon2()
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(hash.to_string())
}

fn is_right(password: &Secret, hash: Option<&str>) -> bool {
    let password = password.expose().as_bytes();
    let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) else {
        // nobody learns from the time it takes that there is no such person
        let made = argon2().hash_password_with_salt(password, &[0; 16]);
        let _: Option<PasswordHash> = made.ok();
        return false;
    };
    argon2().verify_password(password, &hash).is_ok()
}

/// Sets a user's password in the transaction of whatever allows it: ends their sessions, uses up
/// what else could set it, and tells them when they had one.
pub async fn put(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    hash: String,
) -> Result<UserRow> {
    let now = domain.clock.now();
    let row = store::users::lock(tx, user_id).await.map_err(storage)?;
    let mut row = row.ok_or_else(|| {
        let message = format!("User {user_id} not found");
        Error::new(Code::NotFound, message).param("user_id")
    })?;
    let had_one = row.password_hash.replace(hash).is_some();
    row.updated_at = now;
    row.updated_by = actor.name();
    store::users::update(&mut *tx, &row)
        .await
        .map_err(storage)?;
    close_doors(tx, user_id).await?;
    let entry = Entry {
        action: Action::Updated,
        kind: "user",
        id: user_id,
        before: Some(json!({"password": if had_one { "set" } else { "not set" }})),
        after: Some(json!({"password": "changed"})),
    };
    record(tx, actor, now, entry).await?;
    if let Some(email) = row.email.as_deref().filter(|_| had_one) {
        mail::queue(domain, tx, email, &mail::password_changed_letter(now), None).await?;
    }
    Ok(row)
}

/// Ends a user's sessions, and takes back the links that would begin others.
pub async fn close_doors(tx: &mut Tx, user_id: &str) -> Result<()> {
    store::sessions::delete_of_user(tx, user_id)
        .await
        .map_err(storage)?;
    store::password_resets::delete_of_user(tx, user_id)
        .await
        .map_err(storage)?;
    store::invitations::delete_open(tx, user_id)
        .await
        .map(drop)
        .map_err(storage)
}

/// Sets another's password, for administrators.
///
/// # Errors
/// [`Code::PasswordWeak`]; [`Code::NotFound`] for a user who is not there.
pub async fn set(domain: &Domain, actor: &Actor, user_id: &str, password: Secret) -> Result<()> {
    let user = store::users::find(&domain.db, user_id)
        .await
        .map_err(storage)?;
    let email = user.as_ref().and_then(|user| user.email.as_deref());
    check(&password, email, domain.config.sign_in.shortest_password)?;
    let hash = domain.passwords.hash(password).await?;
    let mut tx = domain.begin().await?;
    put(domain, &mut tx, actor, user_id, hash).await?;
    domain.commit(tx, &[Change::User(user_id)]).await
}

/// Changes one's own password (contract §9.7). All sessions end, this one too.
///
/// # Errors
/// As [`prove`]; [`Code::PasswordWeak`].
pub async fn change(
    domain: &Domain,
    actor: &Actor,
    current: Secret,
    new: Secret,
) -> Result<String> {
    let user = prove(domain, actor, current).await?;
    let shortest = domain.config.sign_in.shortest_password;
    check(&new, user.email.as_deref(), shortest)?;
    let hash = domain.passwords.hash(new).await?;
    let mut tx = domain.begin().await?;
    put(domain, &mut tx, actor, &user.id, hash).await?;
    domain.commit(tx, &[Change::User(&user.id)]).await?;
    Ok(user.id)
}

/// A user who shows that they know their own password.
///
/// # Errors
/// [`Code::BadRequest`] when it is wrong, [`Code::SignInThrottled`] after too many wrong ones.
pub async fn prove(domain: &Domain, actor: &Actor, current: Secret) -> Result<UserRow> {
    let incorrect = || {
        let message = "Current password is incorrect.";
        Err(Error::new(Code::BadRequest, message).param("current_password"))
    };
    let Some(user) = &actor.user else {
        let message = "only a user with a password can change it; the administrator's of the \
                       configuration is set there (UI_PASSWORD)";
        return Err(Error::new(Code::BadRequest, message));
    };
    // read again: what is known of a caller may be a minute old
    let user = store::users::find(&domain.db, &user.id)
        .await
        .map_err(storage)?;
    let Some(user) = user else {
        return incorrect();
    };
    let from = From::Known {
        user_id: user.id.clone(),
        place: "password change".to_owned(),
    };
    let taken = domain.guesses.take(&from, domain.clock.now())?;
    let hash = user.password_hash.clone();
    if !domain
        .passwords
        .is_right(Line::Known, current, hash)
        .await?
    {
        return incorrect();
    }
    domain.guesses.give_back(taken, domain.clock.now());
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_of_a_hash_is_right() {
        let hashing = Hashing::default();
        let hash = hashing.hash(Secret::new("right one")).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let again = hashing.hash(Secret::new("right one")).await.unwrap();
        assert_ne!(hash, again, "salted");
        for (password, stored, right) in [
            ("right one", Some(hash.clone()), true),
            ("right onE", Some(hash.clone()), false),
            ("", Some(hash), false),
            ("right one", None, false),
            ("right one", Some("right one".to_owned()), false),
            ("right one", Some("$argon2id$v=19$m=8".to_owned()), false),
        ] {
            let password = Secret::new(password);
            let said = hashing.is_right(Line::Unknown, password, stored).await;
            assert_eq!(said.unwrap(), right);
        }
    }
}
