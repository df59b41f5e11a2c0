//! Making requests, reading them, and taking them back.

use std::time::Duration;

use base::{Code, Error, Millis, Money, Result, ids};
use store::budgets::BudgetRow;
use store::requests::{Filter, RequestRow};
use store::{Tx, budgets, requests};

use super::{
    Kind, LONGEST_GRANT, cut, decide, give, letters, millis, not_found, note, rules, status,
};
use crate::audit::{Action, Actor};
use crate::scopes::{MAIN, ScopeKind};
use crate::{Domain, keys, storage, teams};

/// How many requests of one person may wait at a time.
const MOST_PENDING: i64 = 20;
/// The longest name of a model and alias of a key.
const LONGEST_NAME: usize = 256;

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Budget {
        scope: ScopeKind,
        /// `None`: the key that is used, the person themselves, their membership of `team_id`.
        scope_id: Option<String>,
        team_id: Option<String>,
        /// Which of the scope's budgets; `None`: its main one.
        budget_id: Option<String>,
        amount: Money,
    },
    Model {
        model: String,
        /// For keys of this team; `None`: for personal ones.
        team_id: Option<String>,
        /// The key whose own list leaves it out, in place of `team_id`.
        key_id: Option<String>,
    },
    Key {
        team_id: Option<String>,
        alias: Option<String>,
        /// The only model it is for; `None`: all that the person may use.
        model: Option<String>,
        amount: Option<Money>,
    },
    /// A place in a team.
    Seat { team_id: String },
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct New {
    pub ask: Ask,
    /// For how long; `None`: as configured.
    pub duration: Option<Duration>,
    pub reason: Option<String>,
}

/// Makes a request in the actor's own name. What a rule grants is granted at once.
///
/// # Errors
/// 400 for what makes no sense, 403 for what is not the actor's, 404 for what is not there, 429 for
/// somebody who has too many requests open.
pub async fn create(domain: &Domain, actor: &Actor, new: New) -> Result<RequestRow> {
    let Some(user_id) = actor.user_id.clone() else {
        let message = "a request is made by a user, and this key has none";
        return Err(Error::new(Code::Forbidden, message));
    };
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    // first of all locks, also where requests end with their user
    let user = store::users::lock(&mut tx, &user_id)
        .await
        .map_err(storage)?;
    if user.is_none_or(|user| user.blocked) {
        let message = "a request is made by a user of the gateway";
        return Err(Error::new(Code::Forbidden, message));
    }
    let pending = requests::count_pending(&mut tx, &user_id)
        .await
        .map_err(storage)?;
    if pending >= MOST_PENDING {
        let message =
            format!("{pending} of your requests wait to be decided; withdraw some of them");
        return Err(Error::new(Code::RateLimited, message));
    }
    let mut row = blank(domain, &user_id, &new, now)?;
    fill(&mut tx, actor, &user_id, &new.ask, &mut row).await?;
    requests::insert(&mut tx, &row).await.map_err(storage)?;
    note(&mut tx, actor, now, Action::Created, None, &row).await?;
    if decide::is_automatic(domain, &mut tx, &row).await? {
        let given = decide::approve_by_rule(domain, &mut tx, actor, &mut row).await?;
        give::commit(domain, tx, &given).await?;
        return Ok(row);
    }
    letters::ask_approvers(domain, &mut tx, &row).await?;
    domain.commit(tx, &[]).await?;
    Ok(row)
}

fn blank(domain: &Domain, user_id: &str, new: &New, now: Millis) -> Result<RequestRow> {
    if new
        .duration
        .is_some_and(|duration| duration.is_zero() || duration > LONGEST_GRANT)
    {
        let message = "duration must be more than nothing and at most 366 days";
        return Err(Error::new(Code::BadRequest, message).param("duration"));
    }
    let kind = match new.ask {
        Ask::Budget { .. } => Kind::Budget,
        Ask::Model { .. } => Kind::Model,
        Ask::Key { .. } => Kind::Key,
        Ask::Seat { .. } => Kind::Seat,
    };
    Ok(RequestRow {
        id: ids::new_id(now),
        kind: kind.as_str().to_owned(),
        user_id: user_id.to_owned(),
        team_id: None,
        organization_id: None,
        scope_kind: None,
        scope_id: None,
        budget_id: None,
        amount: None,
        model: None,
        key_alias: None,
        duration: new.duration.map(millis),
        reason: cut(new.reason.clone()),
        asked_limit: None,
        status: status::PENDING.to_owned(),
        decided_at: None,
        decided_by: None,
        decided_how: None,
        note: None,
        granted_amount: None,
        granted_until: None,
        made_id: None,
        lapses_at: now + domain.config.requests.request_time,
        created_at: now,
        updated_at: now,
    })
}

/// Checks what is asked, and says whose it is.
async fn fill(
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    ask: &Ask,
    row: &mut RequestRow,
) -> Result<()> {
    match ask {
        Ask::Budget {
            scope,
            scope_id,
            team_id,
            budget_id,
            amount,
        } => {
            row.amount = Some(positive(*amount)?);
            fill_scope(tx, actor, user_id, *scope, (scope_id, team_id), row).await?;
            let budget = raised(tx, *scope, row.scope_id.as_deref(), budget_id.as_deref()).await?;
            row.asked_limit = budget.amount;
            row.budget_id = Some(budget.id);
        }
        Ask::Model {
            model,
            team_id,
            key_id,
        } => {
            row.model = Some(named(model, "model")?);
            match key_id {
                Some(_) => {
                    let whose = (key_id, team_id);
                    fill_scope(tx, actor, user_id, ScopeKind::Key, whose, row).await?;
                }
                None => fill_team(tx, user_id, team_id.as_deref(), row).await?,
            }
        }
        Ask::Key {
            team_id,
            alias,
            model,
            amount,
        } => {
            row.amount = amount.map(positive).transpose()?;
            row.model = model
                .as_deref()
                .map(|name| named(name, "model"))
                .transpose()?;
            let alias = alias.as_deref().filter(|alias| !alias.trim().is_empty());
            row.key_alias = alias.map(|name| named(name, "key_alias")).transpose()?;
            fill_team(tx, user_id, team_id.as_deref(), row).await?;
        }
        Ask::Seat { team_id } => {
            let team = store::teams::find(&mut *tx, team_id)
                .await
                .map_err(storage)?;
            let team = team.ok_or_else(|| teams::not_found(team_id))?;
            let member = store::teams::find_member(tx, team_id, user_id)
                .await
                .map_err(storage)?;
            if member.is_some() {
                let message = format!("you are in team {team_id} already");
                return Err(Error::new(Code::AlreadyMember, message).param("team_id"));
            }
            row.organization_id = team.organization_id;
            row.team_id = Some(team_id.clone());
        }
    }
    Ok(())
}

fn positive(amount: Money) -> Result<Money> {
    match amount > Money::ZERO {
        true => Ok(amount),
        false => Err(Error::new(Code::BadRequest, "amount must be more than 0").param("amount")),
    }
}

/// The name of one thing: a pattern would ask for more than is read.
fn named(name: &str, param: &'static str) -> Result<String> {
    let name = name.trim();
    let is_name = !name.is_empty() && !name.contains('*') && name.chars().count() <= LONGEST_NAME;
    match is_name {
        true => Ok(name.to_owned()),
        false => {
            let message = format!("{param} must be one name of at most {LONGEST_NAME} characters");
            Err(Error::new(Code::BadRequest, message).param(param))
        }
    }
}

/// Whose administrators decide about something in a team of the person.
async fn fill_team(
    tx: &mut Tx,
    user_id: &str,
    team_id: Option<&str>,
    row: &mut RequestRow,
) -> Result<()> {
    let Some(team_id) = team_id else {
        return Ok(());
    };
    let member = store::teams::find_member(&mut *tx, team_id, user_id)
        .await
        .map_err(storage)?;
    let team = match member {
        Some(_) => store::teams::find(tx, team_id).await.map_err(storage)?,
        None => None,
    };
    // whoever is not in it does not learn whether it is there
    let team = team.ok_or_else(|| teams::not_found(team_id))?;
    row.organization_id = team.organization_id;
    row.team_id = Some(team.id);
    Ok(())
}

async fn fill_scope(
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    scope: ScopeKind,
    (scope_id, team_id): (&Option<String>, &Option<String>),
    row: &mut RequestRow,
) -> Result<()> {
    row.scope_kind = Some(scope.as_str().to_owned());
    let id = match scope {
        ScopeKind::User => user_id.to_owned(),
        ScopeKind::Key => {
            let key = owned_key(tx, actor, user_id, scope_id.as_deref(), row.created_at).await?;
            row.team_id = key.team_id.clone();
            row.organization_id = key.organization_id;
            if let Some(team_id) = key.team_id {
                let team = store::teams::find(tx, &team_id).await.map_err(storage)?;
                row.organization_id = team.and_then(|team| team.organization_id);
            }
            key.id
        }
        ScopeKind::Team | ScopeKind::TeamMember => {
            let of_key = actor.team_id().map(str::to_owned);
            let named = match scope {
                ScopeKind::Team => scope_id.clone().or_else(|| team_id.clone()),
                _ => team_id.clone(),
            };
            let Some(team_id) = named.or(of_key) else {
                let message = "team_id says whose budget it is about";
                return Err(Error::new(Code::BadRequest, message).param("team_id"));
            };
            fill_team(tx, user_id, Some(&team_id), row).await?;
            match scope {
                ScopeKind::Team => team_id,
                _ => {
                    let member = store::teams::find_member(tx, &team_id, user_id)
                        .await
                        .map_err(storage)?;
                    member.ok_or_else(|| teams::not_found(&team_id))?.id
                }
            }
        }
        ScopeKind::Organization | ScopeKind::OrganizationMember | ScopeKind::Gateway => {
            let message =
                "only administrators change the budget of an organization or of the gateway";
            return Err(Error::new(Code::BadRequest, message).param("scope"));
        }
    };
    row.scope_id = Some(id);
    Ok(())
}

/// A live key of the person: by its id, its hash or itself, or the one that is used.
async fn owned_key(
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    named: Option<&str>,
    now: Millis,
) -> Result<store::keys::KeyRow> {
    let missing = || Error::new(Code::NotFound, "Key not found").param("scope_id");
    let used = actor.key_id().map(str::to_owned);
    let id = match named {
        None => used.ok_or_else(missing)?,
        Some(named) => named.to_owned(),
    };
    let row = match store::keys::lock(&mut *tx, &id).await.map_err(storage)? {
        Some(row) => Some(row),
        None => {
            let keys::Selector::Hash(hash) = keys::Selector::key(&id) else {
                return Err(missing());
            };
            store::keys::find_by_hash(tx, &hash, now)
                .await
                .map_err(storage)?
        }
    };
    let row = row.filter(|row| row.deleted_at.is_none());
    row.filter(|row| row.user_id.as_deref() == Some(user_id))
        .ok_or_else(missing)
}

/// The budget that a request is to raise: one that limits.
pub(super) async fn raised(
    tx: &mut Tx,
    scope: ScopeKind,
    scope_id: Option<&str>,
    budget_id: Option<&str>,
) -> Result<BudgetRow> {
    let rows = budgets::list_for_scope(tx, scope.as_str(), scope_id.unwrap_or_default())
        .await
        .map_err(storage)?;
    let is_meant = |row: &BudgetRow| match budget_id {
        Some(id) => row.id == id,
        None => row.counter == MAIN,
    };
    let found = rows.into_iter().find(|row| {
        row.enforcement == "hard" && row.model.is_none() && row.amount.is_some() && is_meant(row)
    });
    found.ok_or_else(|| {
        let scope = scope.as_str().replace('_', " ");
        let message = format!("no such budget limits this {scope}");
        Error::new(Code::BadRequest, message).param("scope")
    })
}

/// One request, for whoever made it and those who may decide it.
///
/// # Errors
/// 404 for others, too.
pub async fn info(domain: &Domain, actor: &Actor, id: &str) -> Result<RequestRow> {
    let row = requests::find(&domain.db, id).await.map_err(storage)?;
    let row = row.ok_or_else(|| not_found(id))?;
    let is_own = actor.user_id.as_deref() == Some(row.user_id.as_str());
    if is_own || actor.sees_all() {
        return Ok(row);
    }
    match decide::level(&domain.db, actor, &row).await? {
        Some(_) => Ok(row),
        None => Err(not_found(id)),
    }
}

/// Some requests, and how many there are.
#[derive(Clone, Debug)]
pub struct Page {
    pub requests: Vec<RequestRow>,
    pub total: i64,
}

/// Lists requests, the newest first: all for those who see everything, else what the actor made and what
/// they may decide.
///
/// # Errors
/// 403 for a key without a user.
pub async fn list(
    domain: &Domain,
    actor: &Actor,
    mut filter: Filter,
    limit: i64,
    offset: i64,
) -> Result<Page> {
    if !actor.sees_all() {
        let Some(user_id) = &actor.user_id else {
            let message = "a key without a user has no requests";
            return Err(Error::new(Code::Forbidden, message));
        };
        filter.reader = Some(user_id.clone());
    }
    let requests = requests::page(&domain.db, &filter, limit, offset)
        .await
        .map_err(storage)?;
    let total = requests::count(&domain.db, &filter)
        .await
        .map_err(storage)?;
    Ok(Page { requests, total })
}

/// Takes a request back, or gives back what it gave. Those who may decide may end what was given, too.
///
/// # Errors
/// 404 for requests of others, 409 for one that is over.
pub async fn withdraw(domain: &Domain, actor: &Actor, id: &str) -> Result<RequestRow> {
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let mut row = super::decide::lock(&mut tx, id).await?;
    let is_own = actor.user_id.as_deref() == Some(row.user_id.as_str());
    let is_given = row.status == status::APPROVED;
    let may_end = is_given && decide::level(&mut tx, actor, &row).await?.is_some();
    if !is_own && !may_end {
        return Err(not_found(id));
    }
    let before = row.clone();
    row.updated_at = now;
    let mut given = give::Given::default();
    match row.status.as_str() {
        status::PENDING => row.status = status::WITHDRAWN.to_owned(),
        _ if is_given => {
            given = give::take_back(domain, &mut tx, actor, &row).await?;
            row.granted_until = Some(now);
            row.status = status::ENDED.to_owned();
        }
        status::COLLECTED => {
            let message = "the key was collected: delete it in place of the request";
            return Err(Error::new(Code::Conflict, message));
        }
        other => {
            let message = format!("Request {id} is {other}");
            return Err(Error::new(Code::Conflict, message));
        }
    }
    requests::update(&mut tx, &row).await.map_err(storage)?;
    let action = match is_given {
        true => Action::Ended,
        false => Action::Withdrawn,
    };
    note(&mut tx, actor, now, action, Some(&before), &row).await?;
    give::commit(domain, tx, &given).await?;
    Ok(row)
}

/// What [`rules::rule`] lets somebody have without anybody being asked, in this month.
pub(super) async fn automatic_rest(
    domain: &Domain,
    tx: &mut Tx,
    row: &RequestRow,
) -> Result<Money> {
    let rule = rules::rule(domain, &mut *tx, row.team_id.as_deref()).await?;
    let since = rules::month_start(domain.clock.now(), &domain.config.zone);
    let granted = requests::granted_since(tx, &row.user_id, decide::BY_RULE, since)
        .await
        .map_err(storage)?;
    Ok(rule.automatic_limit - granted)
}
