//! Lists of keys (contract §8.4).

use base::{Code, Error, Result};
use store::keys::{KeyFilter, KeyOrder, KeyRow, Slice, Visible};

use super::UI_TEAM;
use crate::audit::Actor;
use crate::{Domain, organizations, storage, teams};

/// What a request asks to be listed.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub filter: KeyFilter,
    pub order: KeyOrder,
    /// Also keys of the teams that the caller administers.
    pub include_team_keys: bool,
    /// Also keys that the caller has made for others.
    pub include_created_by_keys: bool,
}

/// A part of the keys that the actor may see, and how many there are.
///
/// # Errors
/// 403 for keys of somebody else, and for a caller without a user.
pub async fn list(
    domain: &Domain,
    actor: &Actor,
    listing: Listing,
    slice: Slice,
) -> Result<(Vec<KeyRow>, i64)> {
    domain.ledger.flush().await?;
    let filter = seen_by(domain, actor, listing.clone()).await?;
    let now = domain.clock.now();
    let rows = store::keys::list(&domain.db, &filter, listing.order, slice, now)
        .await
        .map_err(storage)?;
    let count = store::keys::count(&domain.db, &filter, now)
        .await
        .map_err(storage)?;
    Ok((rows, count))
}

/// The aliases of the keys that the actor may see, in order, and how many there are.
pub async fn aliases(
    domain: &Domain,
    actor: &Actor,
    search: Option<String>,
    slice: Slice,
) -> Result<(Vec<String>, i64)> {
    // every alias contains the empty text, and null does not
    let listing = Listing {
        filter: KeyFilter {
            alias_part: Some(search.unwrap_or_default()),
            ..KeyFilter::default()
        },
        order: KeyOrder::Alias,
        ..Listing::default()
    };
    let (rows, count) = list(domain, actor, listing, slice).await?;
    let aliases = rows.into_iter().filter_map(|row| row.alias).collect();
    Ok((aliases, count))
}

async fn seen_by(domain: &Domain, actor: &Actor, listing: Listing) -> Result<KeyFilter> {
    let mut filter = listing.filter;
    filter.hidden_team = Some(UI_TEAM.to_owned());
    if actor.sees_all() {
        return Ok(filter);
    }
    if administers_all(domain, actor, &filter).await? {
        return Ok(filter);
    }
    let Some(own) = &actor.user_id else {
        return Err(Error::new(
            Code::Forbidden,
            "a key without a user has no keys to list",
        ));
    };
    if filter
        .user_id
        .as_ref()
        .is_some_and(|user_id| user_id != own)
    {
        return Err(Error::new(
            Code::Forbidden,
            "You are not authorized to check another user's keys",
        )
        .with_kind(Code::BadRequest.kind())
        .param("user_id"));
    }
    let of_team = match &filter.team_id {
        Some(team_id) => administers(domain, team_id, own).await?,
        None => false,
    };
    filter.visible = Some(Visible {
        user_id: own.clone(),
        of_administered_teams: listing.include_team_keys || of_team,
        made_by_user: listing.include_created_by_keys,
    });
    Ok(filter)
}

/// Whether a filter lets through only what is in organizations that the actor administers.
async fn administers_all(domain: &Domain, actor: &Actor, filter: &KeyFilter) -> Result<bool> {
    if actor.administers.is_empty() {
        return Ok(false);
    }
    if let Some(id) = &filter.organization_id {
        return Ok(actor.administers(id));
    }
    if let Some(id) = &filter.team_id {
        let reach = teams::reach(&domain.db, actor, id).await?;
        return Ok(reach.governs());
    }
    match &filter.user_id {
        Some(id) if actor.user_id.as_ref() != Some(id) => {
            let theirs = organizations::must_administer_user(&domain.db, actor, id).await;
            Ok(theirs.is_ok())
        }
        _ => Ok(false),
    }
}

async fn administers(domain: &Domain, team_id: &str, user_id: &str) -> Result<bool> {
    let member = store::teams::find_member(&domain.db, team_id, user_id)
        .await
        .map_err(storage)?;
    Ok(member.is_some_and(|member| member.role == "admin"))
}
