//! Mail about keys: to their owners, where they have none to those who administer their team; and to
//! administrators about signs of abuse. A letter never holds a key: what has it can use it.

use base::{Millis, Result};
use store::Tx;
use store::keys::KeyRow;

use crate::alarms::Alarm;
use crate::caller::Role;
use crate::mail::{self, Event, Letter};
use crate::teams::TeamRole;
use crate::{Domain, storage};

/// Administrators who are told at once.
const MOST: i64 = 100;

/// A key has another plain text.
pub(super) async fn rotated(
    domain: &Domain,
    tx: &mut Tx,
    key: &KeyRow,
    old_valid_until: Option<Millis>,
) -> Result<()> {
    let Some(config) = &domain.config.mail else {
        return Ok(());
    };
    let alias = key.alias.as_deref();
    let link = domain.config.sign_in.link("/");
    let letter = mail::key_rotated_letter(&config.brand, &key.name, alias, old_valid_until, &link);
    send(domain, tx, key, &letter, None).await
}

/// A key is due to be replaced.
pub(super) async fn due(domain: &Domain, tx: &mut Tx, key: &KeyRow, until: Millis) -> Result<()> {
    let claim = domain.config.sign_in.link("/key/claim");
    let letter = Letter {
        event: Event::KeyRotated,
        subject: "An API key of yours is due to be replaced".to_owned(),
        paragraphs: vec![
            "An API key of yours is due to be replaced. It works until the time below; before that, \
             and afterwards with another key of yours, you can claim the new one."
                .to_owned(),
            format!(
                "With the old key: curl -X POST {claim} -H 'Authorization: Bearer <the old key>'. The \
                 answer is the only place that shows the new key."
            ),
        ],
        facts: vec![
            ("Key", label(key).to_owned()),
            ("It works until", until.to_rfc3339()),
        ],
        action: Some(("Sign in", domain.config.sign_in.link("/"))),
        remark: None,
    };
    let once = format!("key due {} {}", key.id, until.0);
    send(domain, tx, key, &letter, Some(once)).await
}

/// A key expires soon.
pub(super) async fn expiring(
    domain: &Domain,
    tx: &mut Tx,
    key: &KeyRow,
    expires_at: Millis,
    days: i64,
) -> Result<()> {
    let alias = key.alias.as_deref();
    let link = domain.config.sign_in.link("/");
    let letter = mail::key_expiring_letter(&key.name, alias, expires_at, &link);
    let once = format!("key expires {} {} {days}", key.id, expires_at.0);
    send(domain, tx, key, &letter, Some(once)).await
}

/// A key was used in a way that is a sign of abuse: tells every administrator.
pub(crate) async fn alarmed(
    domain: &Domain,
    tx: &mut Tx,
    alarm: Alarm,
    key: &KeyRow,
    from: Option<&str>,
) -> Result<()> {
    let what = match alarm {
        Alarm::Canary => "A key that is bait was used: whoever did it has found what was hidden.",
        Alarm::Address => "A key was used from an address that it may not be used from.",
    };
    let letter = Letter {
        event: Event::Alarm,
        subject: format!("Alarm: {} was used", label(key)),
        paragraphs: vec![
            what.to_owned(),
            "The call was refused. More uses of this key within ten minutes are counted, and not \
             told one by one."
                .to_owned(),
        ],
        facts: vec![
            ("Key", label(key).to_owned()),
            ("From", from.unwrap_or("unknown").to_owned()),
            ("When", domain.clock.now().to_rfc3339()),
        ],
        action: None,
        remark: None,
    };
    let filter = store::users::Filter {
        role: Some(Role::ProxyAdmin.as_str().to_owned()),
        ..store::users::Filter::default()
    };
    let sort = store::users::Sort::Id;
    let administrators = store::users::page(&domain.db, &filter, sort, false, MOST, 0)
        .await
        .map_err(storage)?;
    for address in administrators.into_iter().filter_map(|user| user.email) {
        mail::queue(domain, tx, &address, &letter, None).await?;
    }
    Ok(())
}

fn label(key: &KeyRow) -> &str {
    key.alias.as_deref().unwrap_or(&key.name)
}

async fn send(
    domain: &Domain,
    tx: &mut Tx,
    key: &KeyRow,
    letter: &Letter,
    once: Option<String>,
) -> Result<()> {
    if domain.config.mail.is_none() {
        return Ok(());
    }
    for address in addresses(tx, key).await? {
        let once = once.as_ref().map(|once| format!("{once} {address}"));
        mail::queue(domain, tx, &address, letter, once).await?;
    }
    Ok(())
}

/// Whom a key concerns: its owner, or the administrators of its team.
async fn addresses(tx: &mut Tx, key: &KeyRow) -> Result<Vec<String>> {
    let ids = match (&key.user_id, &key.team_id) {
        (Some(user_id), _) => vec![user_id.clone()],
        (None, Some(team_id)) => {
            let team_id = std::slice::from_ref(team_id);
            let members = store::teams::members_of_teams(&mut *tx, team_id)
                .await
                .map_err(storage)?;
            let admins = members
                .into_iter()
                .filter(|member| member.role == TeamRole::Admin.as_str());
            admins.map(|member| member.user_id).collect()
        }
        (None, None) => Vec::new(),
    };
    let users = store::users::find_many(tx, &ids).await.map_err(storage)?;
    Ok(users.into_iter().filter_map(|user| user.email).collect())
}
