//! Giving what was asked for, for a time, and taking it back when the time is over.

use std::time::Duration;

use base::{Code, Error, Millis, Result, Secret, ids};
use serde_json::json;
use store::budgets::BudgetRow;
use store::model_grants::ModelGrantRow;
use store::requests::{self, RequestRow};
use store::{Tx, budgets, model_grants};

use super::decide::{Level, lock};
use super::{Kind, asking, not_found, note, status};
use crate::audit::{self, Action, Actor, Entry};
use crate::keys::{self, KeyPatch, Owner};
use crate::patch::Patch;
use crate::scopes::{INCREASE, ScopeKind};
use crate::teams::{self, MemberTerms, NewMember, Person, TeamRole};
use crate::{Change, Domain, entity_budgets, storage};

/// How often it is looked for what is over. What calls may do ends by the clock, not by this.
const PERIOD: Duration = Duration::from_secs(1);

/// What a decision has touched, to be made seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub hashes: Vec<String>,
}

/// Commits, and makes seen what was touched.
pub(super) async fn commit(domain: &Domain, tx: Tx, given: &Given) -> Result<()> {
    let user = given.user_id.as_deref().map(Change::User);
    let team = given.team_id.as_deref().map(Change::Team);
    let keys = given.hashes.iter().map(|hash| Change::Key(hash));
    let changes: Vec<Change<'_>> = user.into_iter().chain(team).chain(keys).collect();
    domain.commit(tx, &changes).await
}

/// Gives what a request asks for, with its terms as they were settled.
pub(super) async fn give(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    level: Level,
    row: &mut RequestRow,
) -> Result<Given> {
    let until = row.granted_until.unwrap_or_default();
    match Kind::of(row)? {
        Kind::Budget => give_budget(domain, tx, actor, row, until).await,
        Kind::Model => give_model(domain, tx, actor, level, row, until).await,
        Kind::Key => check_key(domain, tx, level, row).await,
        Kind::Seat => give_seat(domain, tx, actor, row).await,
    }
}

fn scope_of(row: &RequestRow) -> Result<(ScopeKind, &str)> {
    let kind = row.scope_kind.as_deref().and_then(ScopeKind::parse);
    let kind = kind.ok_or_else(|| Error::internal("a request for a budget of nothing"))?;
    Ok((kind, row.scope_id.as_deref().unwrap_or_default()))
}

/// More of a budget: a row beside it, which counts until its end.
async fn give_budget(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    row: &mut RequestRow,
    until: Millis,
) -> Result<Given> {
    let now = domain.clock.now();
    let (kind, id) = scope_of(row)?;
    let raised = asking::raised(tx, kind, Some(id), row.budget_id.as_deref()).await?;
    let before = entity_budgets::described(tx, kind, id).await?;
    let increase = BudgetRow {
        id: ids::new_id(now),
        model: None,
        amount: None,
        increase: row.granted_amount,
        increase_until: Some(until),
        period: "total".to_owned(),
        enforcement: INCREASE.to_owned(),
        plan_id: None,
        resets_at: None,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
        ..raised
    };
    budgets::insert(&mut *tx, &increase)
        .await
        .map_err(storage)?;
    let after = entity_budgets::described(tx, kind, id).await?;
    note_budget(tx, actor, now, row, (before, after)).await?;
    let given = touched(tx, kind, id, row).await?;
    row.made_id = Some(increase.id);
    Ok(given)
}

async fn note_budget(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    row: &RequestRow,
    (before, after): (serde_json::Value, serde_json::Value),
) -> Result<()> {
    let (kind, id) = scope_of(row)?;
    let whose = |budgets| {
        json!({"user_id": row.user_id, "team_id": row.team_id,
            "organization_id": row.organization_id, "request_id": row.id, "budgets": budgets})
    };
    let entry = Entry {
        action: Action::Updated,
        kind: kind.as_str(),
        id,
        before: Some(whose(before)),
        after: Some(whose(after)),
    };
    audit::record(tx, actor, now, entry).await
}

/// What is to be read again after a scope's budgets have changed.
async fn touched(tx: &mut Tx, kind: ScopeKind, id: &str, row: &RequestRow) -> Result<Given> {
    let key = match kind {
        ScopeKind::Key => store::keys::lock(tx, id).await.map_err(storage)?,
        _ => None,
    };
    Ok(Given {
        user_id: Some(row.user_id.clone()),
        team_id: row.team_id.clone(),
        hashes: key.into_iter().map(|key| key.hash).collect(),
    })
}

/// A model, past the lists that whoever decides is above.
async fn give_model(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    level: Level,
    row: &mut RequestRow,
    until: Millis,
) -> Result<Given> {
    let now = domain.clock.now();
    let model = row.model.clone().unwrap_or_default();
    let team = row.team_id.as_deref();
    if domain.models.now().find_for(team, &model).is_empty() {
        let message = format!("there is no model '{model}'");
        return Err(Error::new(Code::BadRequest, message).param("model"));
    }
    let grant = ModelGrantRow {
        id: ids::new_id(now),
        user_id: row.user_id.clone(),
        team_id: row.team_id.clone(),
        key_id: row.scope_id.clone(),
        model,
        level: match level {
            Level::Admin => "organization",
            Level::OrganizationAdmin => "team",
            Level::TeamAdmin | Level::Rule => "member",
        }
        .to_owned(),
        until,
        created_at: now,
    };
    check_model(domain, tx, level, row).await?;
    model_grants::insert(tx, &grant).await.map_err(storage)?;
    note_grant(tx, actor, now, Action::Created, row, &grant).await?;
    row.made_id = Some(grant.id);
    Ok(Given {
        user_id: Some(row.user_id.clone()),
        ..Given::default()
    })
}

/// Refuses a model that those who decide do not have themselves: a team's administrators give what the
/// team may use, an organization's what the organization may.
async fn check_model(domain: &Domain, tx: &mut Tx, level: Level, row: &RequestRow) -> Result<()> {
    let Some(model) = row.model.as_deref() else {
        return Ok(());
    };
    let team = match (&row.team_id, level) {
        (Some(id), Level::TeamAdmin) => store::teams::find(&mut *tx, id).await.map_err(storage)?,
        _ => None,
    };
    let organization = match (&row.organization_id, level) {
        (Some(id), Level::TeamAdmin | Level::OrganizationAdmin) => {
            store::organizations::find(tx, id).await.map_err(storage)?
        }
        _ => None,
    };
    let snapshot = domain.models.now();
    let lists = [
        ("team", team.map(|team| team.models)),
        ("organization", organization.map(|place| place.models)),
    ];
    for (holder, list) in lists {
        let allows = list.is_none_or(|list| crate::access::lets_through(&list, &snapshot, model));
        if !allows {
            let message = format!(
                "the {holder} itself may not use model '{model}'; an administrator can give it"
            );
            return Err(Error::new(Code::Forbidden, message).param("model"));
        }
    }
    Ok(())
}

async fn note_grant(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    action: Action,
    row: &RequestRow,
    grant: &ModelGrantRow,
) -> Result<()> {
    let described = json!({"user_id": grant.user_id, "team_id": grant.team_id,
        "organization_id": row.organization_id, "request_id": row.id, "model": grant.model,
        "level": grant.level, "until": grant.until.to_rfc3339()});
    let is_over = action == Action::Ended;
    let entry = Entry {
        action,
        kind: "model_grant",
        id: &grant.id,
        before: is_over.then(|| described.clone()),
        after: (!is_over).then_some(described),
    };
    audit::record(tx, actor, now, entry).await
}

/// A key is made when it is collected: only whoever asked for it ever sees it.
async fn check_key(domain: &Domain, tx: &mut Tx, level: Level, row: &RequestRow) -> Result<Given> {
    check_model(domain, tx, level, row).await?;
    Ok(Given::default())
}

/// A key that was collected, with its plain text, which is never seen again.
#[derive(Debug)]
pub struct Collected {
    pub request: RequestRow,
    pub key: keys::NewKey,
}

/// Makes the key of a request that was approved, once, for whoever asked.
///
/// # Errors
/// 404 for requests of others, 409 where there is no key to collect (any more).
pub async fn collect(domain: &Domain, actor: &Actor, id: &str) -> Result<Collected> {
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let mut row = lock(&mut tx, id).await?;
    if actor.user_id.as_deref() != Some(row.user_id.as_str()) {
        return Err(not_found(id));
    }
    let until = row.granted_until.filter(|until| now < *until);
    let (Kind::Key, status::APPROVED, Some(until)) = (Kind::of(&row)?, row.status.as_str(), until)
    else {
        let message = format!("Request {id} is {} and has no key to collect", row.status);
        return Err(Error::new(Code::Conflict, message));
    };
    if let Some(team_id) = &row.team_id {
        let member = store::teams::find_member(&mut tx, team_id, &row.user_id)
            .await
            .map_err(storage)?;
        if member.is_none() {
            let message = format!("you are not in team {team_id} any more");
            return Err(Error::new(Code::Conflict, message));
        }
    }
    let mut patch = KeyPatch {
        alias: row.key_alias.clone().into(),
        team_id: row.team_id.clone().into(),
        models: row.model.clone().map(|model| vec![model]).into(),
        ..KeyPatch::default()
    };
    patch.duration = Patch::Value(format!("{}s", until.since(now).as_secs().max(1)));
    patch.budgets.max_budget = row.granted_amount.into();
    // made for those who have approved it, with the rights that were looked at then
    let giver = Actor {
        changed_by: row.decided_by.clone(),
        origin: actor.origin.clone(),
        ..Actor::system()
    };
    let made = keys::generate_along(domain, &mut tx, &giver, &row.user_id, patch).await?;
    let (key, plain) = made;
    let before = row.clone();
    row.status = status::COLLECTED.to_owned();
    row.made_id = Some(key.id.clone());
    row.updated_at = now;
    requests::update(&mut tx, &row).await.map_err(storage)?;
    note(&mut tx, actor, now, Action::Updated, Some(&before), &row).await?;
    let given = Given {
        user_id: None,
        team_id: None,
        hashes: vec![key.hash.clone()],
    };
    commit(domain, tx, &given).await?;
    Ok(Collected {
        key: new_key(domain, key, plain).await?,
        request: row,
    })
}

async fn new_key(domain: &Domain, row: store::keys::KeyRow, plain: Secret) -> Result<keys::NewKey> {
    Ok(keys::NewKey {
        view: keys::view(domain, row).await?,
        plain,
    })
}

async fn give_seat(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    row: &mut RequestRow,
) -> Result<Given> {
    let team_id = row.team_id.clone().unwrap_or_default();
    let team = store::teams::lock(&mut *tx, &team_id)
        .await
        .map_err(storage)?;
    let team = team.ok_or_else(|| teams::not_found(&team_id))?;
    let joining = vec![NewMember {
        person: Person::by_id(&row.user_id),
        role: TeamRole::User,
    }];
    teams::join(domain, tx, actor, &team, joining, &MemberTerms::default()).await?;
    let member = store::teams::find_member(tx, &team_id, &row.user_id)
        .await
        .map_err(storage)?;
    row.made_id = member.map(|member| member.id);
    Ok(Given {
        user_id: Some(row.user_id.clone()),
        team_id: Some(team_id),
        hashes: Vec::new(),
    })
}

/// Takes back what a request gave, as far as it is still there.
pub(super) async fn take_back(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    row: &RequestRow,
) -> Result<Given> {
    let now = domain.clock.now();
    let Some(made_id) = row.made_id.as_deref() else {
        return Ok(Given::default());
    };
    match Kind::of(row)? {
        Kind::Budget => {
            let (kind, id) = scope_of(row)?;
            let before = entity_budgets::described(tx, kind, id).await?;
            let gone = budgets::delete(&mut *tx, made_id).await.map_err(storage)?;
            if gone == 0 {
                return Ok(Given::default());
            }
            let after = entity_budgets::described(tx, kind, id).await?;
            note_budget(tx, actor, now, row, (before, after)).await?;
            touched(tx, kind, id, row).await
        }
        Kind::Model => {
            let grant = model_grants::find(&mut *tx, made_id)
                .await
                .map_err(storage)?;
            if let Some(grant) = grant {
                model_grants::delete(tx, made_id).await.map_err(storage)?;
                note_grant(tx, actor, now, Action::Ended, row, &grant).await?;
            }
            Ok(Given {
                user_id: Some(row.user_id.clone()),
                ..Given::default()
            })
        }
        // it expires by itself, and its owner may delete it
        Kind::Key => Ok(Given::default()),
        Kind::Seat => take_seat(domain, tx, actor, row, made_id).await,
    }
}

async fn take_seat(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    row: &RequestRow,
    member_id: &str,
) -> Result<Given> {
    let now = domain.clock.now();
    let team_id = row.team_id.clone().unwrap_or_default();
    store::teams::lock(&mut *tx, &team_id)
        .await
        .map_err(storage)?;
    let member = store::teams::find_member(&mut *tx, &team_id, &row.user_id)
        .await
        .map_err(storage)?;
    // somebody who left and was let in again has another place
    let Some(member) = member.filter(|member| member.id == member_id) else {
        return Ok(Given::default());
    };
    teams::erase(tx, &member).await?;
    let owner = Owner::Member {
        team_id: &team_id,
        user_id: &row.user_id,
    };
    let hashes = keys::delete_owned(domain, tx, actor, owner).await?;
    let entry = Entry {
        action: Action::Deleted,
        kind: "team_member",
        id: member_id,
        before: Some(
            json!({"team_id": team_id, "user_id": row.user_id, "role": member.role,
            "request_id": row.id}),
        ),
        after: None,
    };
    audit::record(tx, actor, now, entry).await?;
    Ok(Given {
        user_id: Some(row.user_id.clone()),
        team_id: Some(team_id),
        hashes,
    })
}

/// Ends what is over until the process ends.
pub async fn run(domain: Domain) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = domain.tasks.stopping() => return,
        }
        if let Err(error) = end_due(&domain).await {
            tracing::warn!(%error, "grants that are over could not be ended; trying again");
        }
    }
}

/// Ends grants whose time is over and requests that nobody decided in time.
///
/// # Errors
/// When the database does not answer; what was not ended is ended next time.
pub async fn end_due(domain: &Domain) -> Result<()> {
    let due = requests::due(&domain.db, domain.clock.now())
        .await
        .map_err(storage)?;
    for row in due {
        end(domain, &row.id).await?;
    }
    Ok(())
}

async fn end(domain: &Domain, id: &str) -> Result<()> {
    let now = domain.clock.now();
    let system = Actor::system();
    let mut tx = domain.begin().await?;
    let mut row = lock(&mut tx, id).await?;
    let before = row.clone();
    row.updated_at = now;
    let is_over = row.granted_until.is_some_and(|until| until <= now);
    let mut given = Given::default();
    match row.status.as_str() {
        status::APPROVED | status::COLLECTED if is_over => {
            given = take_back(domain, &mut tx, &system, &row).await?;
            row.status = status::ENDED.to_owned();
        }
        status::PENDING if row.lapses_at <= now => row.status = status::LAPSED.to_owned(),
        // another replica was faster
        _ => return Ok(()),
    }
    requests::update(&mut tx, &row).await.map_err(storage)?;
    note(&mut tx, &system, now, Action::Ended, Some(&before), &row).await?;
    commit(domain, tx, &given).await
}

/// Closes the requests of somebody who is deleted, in that transaction.
pub(crate) async fn forget_user(domain: &Domain, tx: &mut Tx, user_id: &str) -> Result<()> {
    let now = domain.clock.now();
    let system = Actor::system();
    let open = requests::open_of_user(&mut *tx, user_id)
        .await
        .map_err(storage)?;
    for before in open {
        let mut row = before.clone();
        row.updated_at = now;
        row.status = match before.status.as_str() {
            status::PENDING => status::WITHDRAWN.to_owned(),
            _ => {
                // a place in a team goes with its person, and so do keys
                if matches!(Kind::of(&row)?, Kind::Budget | Kind::Model) {
                    take_back(domain, tx, &system, &row).await?;
                }
                status::ENDED.to_owned()
            }
        };
        requests::update(&mut *tx, &row).await.map_err(storage)?;
        note(tx, &system, now, Action::Ended, Some(&before), &row).await?;
    }
    Ok(())
}
