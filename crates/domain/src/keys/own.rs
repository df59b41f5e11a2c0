//! The keys of a person, as they see and switch them themselves.

use base::{Code, Error, Result};
use store::keys::{KeyFilter, KeyRow, Slice};
use store::spend::{Filter, Order};

use super::{Listing, Selector, delete, described, list, note, touch};
use crate::audit::{Action, Actor};
use crate::{Change, Domain, conversations, storage};

/// Marks, among its settings, a key that its owner has switched off, and nobody else.
pub(super) const DISABLED_BY_OWNER: &str = "disabled_by_owner";

/// A key and how it was used.
#[derive(Debug)]
pub struct OwnKey {
    pub row: KeyRow,
    pub requests: i64,
    /// The address that it was last used from.
    pub last_address: Option<String>,
}

/// The actor's keys, the newest first, and how many there are.
///
/// # Errors
/// [`Code::Forbidden`] for a key that is nobody's.
pub async fn page(
    domain: &Domain,
    actor: &Actor,
    part: conversations::Part,
) -> Result<(Vec<OwnKey>, i64)> {
    let listing = Listing {
        filter: KeyFilter {
            user_id: Some(conversations::owner(actor)?.to_owned()),
            ..KeyFilter::default()
        },
        ..Listing::default()
    };
    let slice = Slice {
        offset: part.skip,
        limit: part.limit,
        descending: true,
    };
    let (rows, count) = list(domain, actor, listing, slice).await?;
    Ok((used(domain, rows).await?, count))
}

/// Keys with how they were used.
async fn used(domain: &Domain, rows: Vec<KeyRow>) -> Result<Vec<OwnKey>> {
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let uses = store::usage::of_keys(&domain.db, &ids)
        .await
        .map_err(storage)?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let mut of_key = uses.iter().filter(|it| it.key_id.as_ref() == Some(&row.id));
        let requests = of_key.next().map_or(0, |it| it.requests);
        let filter = Filter {
            key_id: Some(row.id.clone()),
            ..Filter::default()
        };
        let last = match requests {
            0 => Vec::new(),
            _ => store::spend::page(&domain.db, &filter, Order::default(), 1, 0)
                .await
                .map_err(storage)?,
        };
        keys.push(OwnKey {
            last_address: last.into_iter().next().and_then(|call| call.client_address),
            requests,
            row,
        });
    }
    Ok(keys)
}

/// A live key of the actor's.
///
/// # Errors
/// [`Code::NotFound`] for one that is not there, or somebody else's.
async fn find(domain: &Domain, actor: &Actor, id: &str) -> Result<KeyRow> {
    let owner = conversations::owner(actor)?;
    let row = store::keys::find(&domain.db, id).await.map_err(storage)?;
    let own = |row: &KeyRow| row.deleted_at.is_none() && row.user_id.as_deref() == Some(owner);
    row.filter(own).ok_or_else(not_found)
}

fn not_found() -> Error {
    Error::new(Code::NotFound, "API key not found")
}

/// Switches one's own key off, and on again.
///
/// # Errors
/// As [`find`]; [`Code::Forbidden`] for a key that an administrator has blocked.
pub async fn toggle(domain: &Domain, actor: &Actor, id: &str) -> Result<OwnKey> {
    let id = find(domain, actor, id).await?.id;
    domain.ledger.flush().await?;
    let mut tx = domain.begin().await?;
    let row = store::keys::lock(&mut tx, &id).await.map_err(storage)?;
    let mut row = row.ok_or_else(not_found)?;
    let before = described(&row);
    let action = match row.blocked {
        Some(true) => {
            let was_owner = row.settings.remove(DISABLED_BY_OWNER).is_some();
            if !was_owner && !actor.is_admin() {
                let message = "an administrator has disabled this API key";
                return Err(Error::new(Code::Forbidden, message));
            }
            row.blocked = Some(false);
            Action::Unblocked
        }
        _ => {
            row.settings
                .insert(DISABLED_BY_OWNER.to_owned(), true.into());
            row.blocked = Some(true);
            Action::Blocked
        }
    };
    touch(&mut row, actor, domain.clock.now());
    store::keys::update(&mut tx, &row).await.map_err(storage)?;
    note(domain, &mut tx, actor, action, &row, Some(before)).await?;
    domain.commit(tx, &[Change::Key(&row.hash)]).await?;
    used(domain, vec![row]).await?.pop().ok_or_else(not_found)
}

/// Deletes one's own key. What it was used for stays in the ledger.
///
/// # Errors
/// As [`find`].
pub async fn remove(domain: &Domain, actor: &Actor, id: &str) -> Result<()> {
    let row = find(domain, actor, id).await?;
    let selector = Selector::Hash(row.hash);
    delete(domain, actor, &[selector]).await.map(drop)
}
