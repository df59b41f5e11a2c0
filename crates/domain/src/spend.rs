//! What was spent, by whom and on what: the ledger as its readers may see it.
//!
//! Administrators and viewing administrators read all of it; everybody else their own calls, and
//! those of a team that they administer or that lets its members read them. Every answer is exact:
//! what is still on its way to the database is waited for.

use std::collections::HashMap;

use base::{Code, Error, Millis, Result};
use store::ledger::LedgerRow;
use store::spend::{Cell, TagSum};

pub use store::spend::{Filter, Order, Sort};

use crate::audit::Actor;
use crate::caller::MASTER_KEY_NAME;
use crate::{Domain, auth, storage, teams};

/// Milliseconds in a UTC day.
pub const DAY: i64 = 86_400_000;

/// Which calls a report is about.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub filter: Filter,
    /// A key in plain text or its hash. Fills in the filter's key.
    pub api_key: Option<String>,
}

impl From<Filter> for Wanted {
    fn from(filter: Filter) -> Wanted {
        Wanted {
            filter,
            api_key: None,
        }
    }
}

/// A call with the names that its ids have today.
#[derive(Clone, Debug)]
pub struct Call {
    pub row: LedgerRow,
    pub key_alias: Option<String>,
    pub team_alias: Option<String>,
}

/// Reads a day or a moment as the start of a range: the day's first moment.
///
/// # Errors
/// [`Code::BadRequest`] for anything that is no date.
pub fn range_start(name: &'static str, text: &str) -> Result<Millis> {
    Millis::parse(text.trim()).ok_or_else(|| no_date(name, text))
}

/// Reads a day or a moment as the end of a range that includes it: the first moment after the day,
/// or after the second.
///
/// # Errors
/// [`Code::BadRequest`] for anything that is no date.
pub fn range_end(name: &'static str, text: &str) -> Result<Millis> {
    let text = text.trim();
    let at = Millis::parse(text).ok_or_else(|| no_date(name, text))?;
    let is_day = text.len() == "2026-01-31".len();
    Ok(Millis(at.0.saturating_add(if is_day { DAY } else { 1000 })))
}

fn no_date(name: &'static str, text: &str) -> Error {
    let message = format!(
        "{name} is '{text}', which is no date: write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS (UTC)"
    );
    Error::new(Code::BadRequest, message).param(name)
}

/// Which part of a list, and in which order.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub order: Order,
    pub limit: i64,
    pub offset: i64,
}

/// The calls that the actor may see.
///
/// # Errors
/// [`Code::Forbidden`] for calls of somebody else.
pub async fn calls(
    domain: &Domain,
    actor: &Actor,
    wanted: Wanted,
    part: Part,
) -> Result<Vec<Call>> {
    let Some(filter) = narrowed(domain, actor, wanted).await? else {
        return Ok(Vec::new());
    };
    let Part {
        order,
        limit,
        offset,
    } = part;
    let rows = store::spend::page(&domain.db, &filter, order, limit, offset)
        .await
        .map_err(storage)?;
    named(domain, rows).await
}

/// How many calls [`calls`] would find, counting no further than `most`.
pub async fn count(domain: &Domain, actor: &Actor, wanted: Wanted, most: i64) -> Result<i64> {
    let Some(filter) = narrowed(domain, actor, wanted).await? else {
        return Ok(0);
    };
    store::spend::count(&domain.db, &filter, most)
        .await
        .map_err(storage)
}

/// The sums of the calls that the actor may see, by day and everything that tells calls apart.
pub async fn cells(domain: &Domain, actor: &Actor, wanted: Wanted) -> Result<Vec<Cell>> {
    let Some(filter) = narrowed(domain, actor, wanted).await? else {
        return Ok(Vec::new());
    };
    store::spend::cells(&domain.db, &filter)
        .await
        .map_err(storage)
}

/// The sums of all calls. For routes that only those reach who see all, or whose key has been given
/// them (contract §4.3).
pub async fn all_cells(domain: &Domain, wanted: Wanted) -> Result<Vec<Cell>> {
    domain.ledger.flush().await?;
    let Some(filter) = with_key(domain, wanted).await? else {
        return Ok(Vec::new());
    };
    store::spend::cells(&domain.db, &filter)
        .await
        .map_err(storage)
}

/// The sums by tag of all calls. For the same routes as [`all_cells`].
pub async fn all_tags(domain: &Domain, filter: &Filter) -> Result<Vec<TagSum>> {
    domain.ledger.flush().await?;
    store::spend::by_tag(&domain.db, filter)
        .await
        .map_err(storage)
}

/// The sums by tag of the calls that the actor may see.
pub async fn by_tag(domain: &Domain, actor: &Actor, wanted: Wanted) -> Result<Vec<TagSum>> {
    let Some(filter) = narrowed(domain, actor, wanted).await? else {
        return Ok(Vec::new());
    };
    store::spend::by_tag(&domain.db, &filter)
        .await
        .map_err(storage)
}

/// One call, for its receipt.
///
/// # Errors
/// [`Code::NotFound`] for a call that is not there, and for one that is none of the actor's business.
pub async fn call(domain: &Domain, actor: &Actor, request_id: &str) -> Result<Call> {
    let wanted = Wanted {
        filter: Filter {
            request_id: Some(request_id.to_owned()),
            ..Filter::default()
        },
        api_key: None,
    };
    let not_found = || Error::new(Code::NotFound, format!("Call {request_id} not found"));
    let first = Part {
        order: Order::default(),
        limit: 1,
        offset: 0,
    };
    let found = calls(domain, actor, wanted.clone(), first).await?;
    if let Some(call) = found.into_iter().next() {
        return Ok(call);
    }
    // an administrator of the team that made the call may see it, too
    let mut of_team = wanted;
    let row = store::ledger::find(&domain.db, request_id)
        .await
        .map_err(storage)?;
    of_team.filter.team_id = row.and_then(|row| row.team_id);
    if of_team.filter.team_id.is_none() {
        return Err(not_found());
    }
    let found = calls(domain, actor, of_team, first).await?;
    found.into_iter().next().ok_or_else(not_found)
}

/// The filter with what the actor may see added; `None` when nothing can match it.
async fn narrowed(domain: &Domain, actor: &Actor, mut wanted: Wanted) -> Result<Option<Filter>> {
    domain.ledger.flush().await?;
    match limit_to_own(domain, actor, &mut wanted.filter).await? {
        true => with_key(domain, wanted).await,
        false => Ok(None),
    }
}

/// The filter with the key that was asked for; `None` when there is no such key.
async fn with_key(domain: &Domain, wanted: Wanted) -> Result<Option<Filter>> {
    let Wanted {
        mut filter,
        api_key,
    } = wanted;
    let Some(api_key) = api_key else {
        return Ok(Some(filter));
    };
    if api_key == MASTER_KEY_NAME {
        filter.key_hash = Some(MASTER_KEY_NAME.to_owned());
        return Ok(Some(filter));
    }
    let hash = match api_key.starts_with("sk-") {
        true => auth::hash(&api_key),
        false => api_key,
    };
    let key_id = store::keys::find_id_by_any_hash(&domain.db, &hash)
        .await
        .map_err(storage)?;
    match key_id {
        // a key without a filter of its own, or the very key that the caller is limited to
        Some(id) if filter.key_id.as_ref().is_none_or(|own| *own == id) => {
            filter.key_id = Some(id);
            Ok(Some(filter))
        }
        _ => Ok(None),
    }
}

/// Limits a filter to what the actor may see; `false`: nothing.
async fn limit_to_own(domain: &Domain, actor: &Actor, filter: &mut Filter) -> Result<bool> {
    if actor.sees_all() {
        return Ok(true);
    }
    if let Some(team_id) = &filter.team_id
        && teams::may_read_calls(domain, actor, team_id).await?
    {
        return Ok(true);
    }
    if let Some(id) = &filter.organization_id
        && actor.administers(id)
    {
        return Ok(true);
    }
    match &actor.user_id {
        Some(own) => {
            if filter.user_id.as_ref().is_some_and(|user| user != own) {
                return Err(Error::new(
                    Code::Forbidden,
                    "only administrators can read the calls of other users",
                )
                .param("user_id"));
            }
            filter.user_id = Some(own.clone());
            Ok(true)
        }
        None => {
            let Some(key_id) = actor.key_id() else {
                return Ok(false);
            };
            if filter.user_id.is_some() {
                return Ok(false);
            }
            filter.key_id = Some(key_id.to_owned());
            Ok(true)
        }
    }
}

/// Adds the aliases that keys and teams have today.
async fn named(domain: &Domain, rows: Vec<LedgerRow>) -> Result<Vec<Call>> {
    let key_aliases = key_aliases(domain, rows.iter().map(|row| row.key_id.as_ref())).await?;
    let team_aliases = team_aliases(domain, rows.iter().map(|row| row.team_id.as_ref())).await?;
    let alias = |aliases: &HashMap<String, String>, id: &Option<String>| {
        id.as_ref().and_then(|id| aliases.get(id)).cloned()
    };
    Ok(rows
        .into_iter()
        .map(|row| Call {
            key_alias: alias(&key_aliases, &row.key_id),
            team_alias: alias(&team_aliases, &row.team_id),
            row,
        })
        .collect())
}

/// The aliases of these keys, by id.
async fn key_aliases(
    domain: &Domain,
    ids: impl Iterator<Item = Option<&String>>,
) -> Result<HashMap<String, String>> {
    let keys = store::keys::find_many(&domain.db, &distinct(ids))
        .await
        .map_err(storage)?;
    let named = keys
        .into_iter()
        .filter_map(|key| Some((key.id, key.alias?)));
    Ok(named.collect())
}

/// The aliases of these teams, by id.
async fn team_aliases(
    domain: &Domain,
    ids: impl Iterator<Item = Option<&String>>,
) -> Result<HashMap<String, String>> {
    let teams = store::teams::find_many(&domain.db, &distinct(ids))
        .await
        .map_err(storage)?;
    let named = teams
        .into_iter()
        .filter_map(|team| Some((team.id, team.alias?)));
    Ok(named.collect())
}

/// What the ids in sums are called today, by id.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub keys: HashMap<String, KeyName>,
    /// E-mail addresses of users.
    pub emails: HashMap<String, String>,
    /// Aliases of teams.
    pub teams: HashMap<String, String>,
}

/// What a key is called.
#[derive(Clone, Debug)]
pub struct KeyName {
    pub alias: Option<String>,
    /// Its masked form.
    pub name: String,
    pub is_deleted: bool,
}

/// The names of everything in these sums.
pub async fn names(domain: &Domain, cells: &[Cell]) -> Result<Names> {
    let keys = distinct(cells.iter().map(|cell| cell.key_id.as_ref()));
    let keys = store::keys::find_many(&domain.db, &keys)
        .await
        .map_err(storage)?;
    let users = distinct(cells.iter().map(|cell| cell.user_id.as_ref()));
    let users = store::users::find_many(&domain.db, &users)
        .await
        .map_err(storage)?;
    let name = |key: store::keys::KeyRow| {
        let name = KeyName {
            alias: key.alias,
            name: key.name,
            is_deleted: key.deleted_at.is_some(),
        };
        (key.id, name)
    };
    Ok(Names {
        keys: keys.into_iter().map(name).collect(),
        emails: users
            .into_iter()
            .filter_map(|user| Some((user.id, user.email?)))
            .collect(),
        teams: team_aliases(domain, cells.iter().map(|cell| cell.team_id.as_ref())).await?,
    })
}

fn distinct<'a>(ids: impl Iterator<Item = Option<&'a String>>) -> Vec<String> {
    let mut ids: Vec<String> = ids.flatten().cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_its_last_day_and_its_last_second() {
        let start = range_start("start_date", "2026-11-21").unwrap();
        assert_eq!(
            range_end("end_date", "2026-11-21").unwrap().0 - start.0,
            DAY
        );
        let moment = range_start("start_date", "2026-11-21 10:00:00").unwrap();
        let end = range_end("end_date", "2026-11-21 10:00:00").unwrap();
        assert_eq!(end.0 - moment.0, 1000);
    }

    #[test]
    fn what_is_no_date_is_named() {
        let error = range_end("end_date", "yesterday").unwrap_err();
        assert_eq!((error.status(), error.parameter()), (400, Some("end_date")));
    }
}
