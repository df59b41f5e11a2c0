//! Users as their readers see them: rows with the teams, budgets and spend that belong to them.

use std::collections::HashMap;

use base::{Code, Error, Result};
use store::organizations::OrganizationMemberRow;
use store::users::{Filter, Sort, UserRow};

use super::not_found;
use crate::audit::Actor;
use crate::entity_budgets::{self, Account};
use crate::keys::{self, KeyView};
use crate::scopes::ScopeKind;
use crate::teams::{self, TeamView};
use crate::{Domain, organizations, storage};

/// How many keys and teams are shown of the whole gateway.
const MOST_SHOWN: i64 = 1_000;

/// A user.
#[derive(Clone, Debug)]
pub struct UserView {
    pub row: UserRow,
    pub account: Account,
    /// The ids of their teams, in the order in which they joined.
    pub teams: Vec<String>,
    /// How many keys they have.
    pub keys: i64,
}

/// All that is shown of one user.
#[derive(Clone, Debug)]
pub struct Info {
    pub user_id: String,
    /// `None` for the administrator behind the master key, who needs no row.
    pub user: Option<UserView>,
    pub organizations: Vec<OrganizationMemberRow>,
    pub keys: Vec<KeyView>,
    pub teams: Vec<TeamView>,
}

/// One user.
///
/// # Errors
/// [`Code::NotFound`] for an unknown user.
pub async fn view(domain: &Domain, id: &str) -> Result<UserView> {
    let mut views = views_of(domain, &[id.to_owned()]).await?;
    views.pop().ok_or_else(|| not_found(id))
}

/// One user, by default the actor.
///
/// # Errors
/// [`Code::NotFound`] for an unknown user, [`Code::Forbidden`] for somebody else.
pub async fn seen(domain: &Domain, actor: &Actor, id: Option<&str>) -> Result<UserView> {
    view(domain, wanted(domain, actor, id).await?).await
}

/// Everything of one user, by default the actor; of the whole gateway for the administrator behind
/// the master key.
///
/// # Errors
/// [`Code::NotFound`] for an unknown user, [`Code::Forbidden`] for somebody else.
pub async fn info(domain: &Domain, actor: &Actor, id: Option<&str>) -> Result<Info> {
    let user_id = wanted(domain, actor, id).await?.to_owned();
    let db = &domain.db;
    let user = match view(domain, &user_id).await {
        Ok(user) => Some(user),
        Err(error) if error.code() == Code::NotFound && is_master(domain, &user_id) => None,
        Err(error) => return Err(error),
    };
    let whole = actor.is_master() && id.is_none();
    let own = (!whole).then_some(user_id.as_str());
    let keys = store::keys::live(db, own, None, MOST_SHOWN)
        .await
        .map_err(storage)?;
    let filter = store::teams::Filter {
        user_id: own.map(str::to_owned),
        ..store::teams::Filter::default()
    };
    let sort = store::teams::Sort::CreatedAt;
    let teams = store::teams::page(db, &filter, sort, false, MOST_SHOWN, 0)
        .await
        .map_err(storage)?;
    let organizations = store::organizations::memberships_of_user(db, &user_id)
        .await
        .map_err(storage)?;
    Ok(Info {
        user_id,
        user,
        organizations,
        keys: keys::views(domain, keys).await?,
        teams: teams::views(domain, teams).await?,
    })
}

fn is_master(domain: &Domain, user_id: &str) -> bool {
    domain.config.admin_user_id == user_id
}

/// Whom a request means, if the actor may see them.
async fn wanted<'a>(domain: &Domain, actor: &'a Actor, id: Option<&'a str>) -> Result<&'a str> {
    let own = actor.user_id.as_deref();
    match id.or(own) {
        None => Err(Error::new(
            Code::NotFound,
            "User not found: this key belongs to no user",
        )
        .param("user_id")),
        Some(id) if actor.sees_all() || Some(id) == own => Ok(id),
        Some(id)
            if organizations::must_administer_user(&domain.db, actor, id)
                .await
                .is_ok() =>
        {
            Ok(id)
        }
        Some(id) => Err(Error::new(
            Code::Forbidden,
            format!(
                "key not allowed to access this user's info. user_id={id}, key's user_id={}",
                own.unwrap_or("unknown")
            ),
        )),
    }
}

/// A page of users.
#[derive(Clone, Debug)]
pub struct Listed {
    pub users: Vec<UserView>,
    /// How many there are on all pages.
    pub total: i64,
}

/// The users that the filter lets through.
///
/// # Errors
/// [`Code::Forbidden`] for anyone who does not see all.
pub async fn list(
    domain: &Domain,
    actor: &Actor,
    mut filter: Filter,
    (sort, descending): (Sort, bool),
    (limit, offset): (i64, i64),
) -> Result<Listed> {
    if !actor.sees_all() && !actor.administers.is_empty() {
        let mut wanted = filter.organization_ids.unwrap_or(actor.administers.clone());
        wanted.retain(|id| actor.administers(id));
        filter.organization_ids = Some(wanted);
    } else if !actor.sees_all() {
        return Err(Error::new(
            Code::Forbidden,
            "Only proxy admins and organization admins can list users.",
        ));
    }
    domain.ledger.flush().await?;
    let rows = store::users::page(&domain.db, &filter, sort, descending, limit, offset)
        .await
        .map_err(storage)?;
    let total = store::users::count(&domain.db, &filter)
        .await
        .map_err(storage)?;
    Ok(Listed {
        users: views(domain, rows).await?,
        total,
    })
}

/// The users among these ids that exist, in the order of the ids.
pub async fn views_of(domain: &Domain, ids: &[String]) -> Result<Vec<UserView>> {
    let mut rows = store::users::find_many(&domain.db, ids)
        .await
        .map_err(storage)?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    views(domain, rows).await
}

/// Adds to rows all that belongs to them.
async fn views(domain: &Domain, rows: Vec<UserRow>) -> Result<Vec<UserView>> {
    domain.ledger.flush().await?;
    let db = &domain.db;
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let memberships = store::teams::memberships_of_users(db, &ids)
        .await
        .map_err(storage)?;
    let mut teams: HashMap<String, Vec<String>> = HashMap::new();
    for member in memberships {
        teams
            .entry(member.user_id)
            .or_default()
            .push(member.team_id);
    }
    let keys = store::keys::count_by_user(db, &ids)
        .await
        .map_err(storage)?;
    let keys: HashMap<String, i64> = keys.into_iter().map(|row| (row.id, row.count)).collect();
    let mut accounts = entity_budgets::accounts(domain, ScopeKind::User, &ids).await?;
    let views = rows.into_iter().map(|row| UserView {
        account: accounts.remove(&row.id).unwrap_or_default(),
        teams: teams.remove(&row.id).unwrap_or_default(),
        keys: keys.get(&row.id).copied().unwrap_or_default(),
        row,
    });
    Ok(views.collect())
}

/// The users whom the actor may look up by a part of their id or address: everybody, or those of the
/// teams that they administer.
pub async fn find(
    domain: &Domain,
    actor: &Actor,
    mut filter: Filter,
    (limit, offset): (i64, i64),
) -> Result<Vec<UserRow>> {
    let db = &domain.db;
    if !actor.sees_all() {
        let Some(own) = &actor.user_id else {
            return Ok(Vec::new());
        };
        let memberships = store::teams::memberships_of_users(db, std::slice::from_ref(own))
            .await
            .map_err(storage)?;
        let team_ids: Vec<String> = memberships
            .into_iter()
            .filter(|member| member.role == teams::TeamRole::Admin.as_str())
            .map(|member| member.team_id)
            .collect();
        let members = store::teams::members_of_teams(db, &team_ids)
            .await
            .map_err(storage)?;
        filter.ids = Some(members.into_iter().map(|member| member.user_id).collect());
    }
    store::users::page(db, &filter, Sort::Email, false, limit, offset)
        .await
        .map_err(storage)
}

/// How many users and teams there are.
pub async fn count(domain: &Domain) -> Result<(i64, i64)> {
    let users = store::users::count(&domain.db, &Filter::default())
        .await
        .map_err(storage)?;
    let teams = store::teams::count(&domain.db, &store::teams::Filter::default())
        .await
        .map_err(storage)?;
    Ok((users, teams))
}

/// The ids of all users.
///
/// # Errors
/// [`Code::BadRequest`] when there are more than `most`.
pub async fn all_ids(domain: &Domain, most: i64) -> Result<Vec<String>> {
    let filter = Filter::default();
    let rows = store::users::page(&domain.db, &filter, Sort::Id, false, most + 1, 0)
        .await
        .map_err(storage)?;
    match i64::try_from(rows.len()).is_ok_and(|count| count <= most) {
        true => Ok(rows.into_iter().map(|row| row.id).collect()),
        false => Err(Error::new(
            Code::BadRequest,
            format!("there are more than {most} users: name those that are meant"),
        )),
    }
}
