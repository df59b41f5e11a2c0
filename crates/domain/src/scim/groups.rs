//! Groups of SCIM, which are teams here. Who leaves a group loses the keys that they have in the team.

use std::collections::{HashMap, HashSet};

use base::{Code, Error, Result};
use serde_json::{Map, Value, json};
use store::scim::{ScimRow, TEAM};
use store::teams::{Filter as Rows, MemberRow, Sort, TeamRow};
use store::{On, Tx};

use super::path::attribute;
use super::{BATCH, Filter, Found, Kept, Question};
use super::{complete, is_same, location, not_found, patch, put_failed, row_of};
use super::{split, text, wrong};
use crate::audit::Actor;
use crate::teams::{self as ours, MemberTerms, NewMember, NewTeam, Person, TeamFields, TeamRole};
use crate::{Change, Domain, Patch, storage};

/// What a provider says of a group.
struct Group {
    name: String,
    /// Ids of users; `None`: nothing is said of them.
    members: Option<Vec<String>>,
    kept: Kept,
}

/// Reads a group that was sent whole.
fn read(resource: &Value) -> Result<Group> {
    let ([name, members], kept) = split(resource, ["displayName", "members"])?;
    let name = name.ok_or_else(|| wrong("'displayName' is required"))?;
    let members = match members {
        None => None,
        Some(Value::Array(members)) => {
            let ids: Result<Vec<String>> = members.iter().map(member).collect();
            Some(ids?)
        }
        Some(_) => return Err(wrong("'members' is a list")),
    };
    Ok(Group {
        name: text("displayName", &name)?,
        members,
        kept,
    })
}

/// The id of a member.
fn member(member: &Value) -> Result<String> {
    let Value::Object(member) = member else {
        return Err(wrong(
            "a member is an object with the id of a user as 'value'",
        ));
    };
    let kind = attribute(member, "type").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("group")) {
        return Err(wrong(
            "members of a group are users: groups in groups are not kept",
        ));
    }
    text(
        "members.value",
        attribute(member, "value").unwrap_or(&Value::Null),
    )
}

/// Teams as resources, with their members.
async fn shown(domain: &Domain, on: On<'_>, teams: &[TeamRow]) -> Result<Vec<Value>> {
    let mut on = on;
    let ids: Vec<String> = teams.iter().map(|team| team.id.clone()).collect();
    let rows = store::scim::find_many(on.again(), TEAM, &ids)
        .await
        .map_err(storage)?;
    let rows: HashMap<&str, &ScimRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let members = store::teams::members_of_teams(on.again(), &ids)
        .await
        .map_err(storage)?;
    let user_ids: Vec<String> = members.iter().map(|it| it.user_id.clone()).collect();
    let users = store::users::find_many(on, &user_ids)
        .await
        .map_err(storage)?;
    let users: HashMap<&str, Option<&String>> = users
        .iter()
        .map(|user| {
            (
                user.id.as_str(),
                user.alias.as_ref().or(user.email.as_ref()),
            )
        })
        .collect();
    let mut of_team: HashMap<&str, Vec<Value>> = HashMap::new();
    for member in &members {
        let id = &member.user_id;
        let name = users.get(id.as_str()).copied().flatten();
        let shown = json!({"value": id, "display": name.unwrap_or(id), "type": "User",
            "$ref": location(domain, "User", id)});
        of_team.entry(&member.team_id).or_default().push(shown);
    }
    let shown = teams.iter().map(|team| {
        let row = rows.get(team.id.as_str()).copied();
        let mut resource: Map<String, Value> =
            row.map(|row| row.attributes.0.clone()).unwrap_or_default();
        if let Some(external_id) = row.and_then(|row| row.external_id.as_ref()) {
            resource.insert("externalId".to_owned(), external_id.as_str().into());
        }
        let name = team.alias.as_ref().unwrap_or(&team.id);
        resource.insert("displayName".to_owned(), name.as_str().into());
        let members = of_team.remove(team.id.as_str()).unwrap_or_default();
        resource.insert("members".to_owned(), Value::Array(members));
        let times = (team.created_at, team.updated_at);
        complete(domain, &mut resource, "Group", &team.id, times);
        Value::Object(resource)
    });
    Ok(shown.collect())
}

/// One group.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn find(domain: &Domain, id: &str) -> Result<Value> {
    let team = store::teams::find(&domain.db, id).await.map_err(storage)?;
    let team = team.ok_or_else(|| not_found("group", id))?;
    one(domain, (&domain.db).into(), team).await
}

async fn one(domain: &Domain, on: On<'_>, team: TeamRow) -> Result<Value> {
    let mut shown = shown(domain, on, &[team]).await?;
    shown.pop().ok_or_else(|| not_found("group", ""))
}

/// The groups that are asked for, the oldest first.
pub async fn list(domain: &Domain, question: &Question) -> Result<Found> {
    let db = &domain.db;
    let page = async |rows: &Rows, count: i64, offset: i64| {
        let page = store::teams::page(db, rows, Sort::CreatedAt, false, count, offset);
        page.await.map_err(storage)
    };
    let all = Rows::default();
    let Some(filter) = &question.filter else {
        let teams = page(&all, question.count, question.start - 1).await?;
        return Ok(Found {
            resources: shown(domain, db.into(), &teams).await?,
            total: store::teams::count(db, &all).await.map_err(storage)?,
        });
    };
    let rows = narrowed(filter);
    let mut found = Found::default();
    let mut offset = 0;
    loop {
        let teams = page(&rows, BATCH, offset).await?;
        if teams.is_empty() {
            return Ok(found);
        }
        offset += BATCH;
        for team in shown(domain, db.into(), &teams).await? {
            question.take(&mut found, team);
        }
    }
}

/// The teams that a filter can mean, as far as the database knows.
fn narrowed(filter: &Filter) -> Rows {
    let mut rows = Rows::default();
    for (steps, value) in filter.equalities() {
        match steps.as_slice() {
            [only] if only.eq_ignore_ascii_case("id") => rows.id = Some(value.to_owned()),
            // a team without a name is known by its id
            [only] if only.eq_ignore_ascii_case("displayName") => {
                rows.search = Some(value.to_owned());
            }
            _ => {}
        }
    }
    rows
}

/// Makes a team.
///
/// # Errors
/// [`Code::Conflict`] where a team has the name; [`Code::BadRequest`].
pub async fn create(domain: &Domain, actor: &Actor, resource: &Value) -> Result<Value> {
    let group = read(resource)?;
    check_name(domain, None, &group.name).await?;
    let mut tx = domain.begin().await?;
    let members = unique(group.members.unwrap_or_default());
    known(&mut tx, &members).await?;
    let new = NewTeam {
        fields: TeamFields {
            alias: Patch::Value(group.name),
            ..TeamFields::default()
        },
        members: members.iter().map(|id| joining(id)).collect(),
        ..NewTeam::default()
    };
    let id = Box::pin(ours::create_in(domain, &mut tx, actor, new)).await?;
    let row = row_of(TEAM, &id, None, group.kept)?;
    store::scim::put(&mut tx, &row).await.map_err(put_failed)?;
    let users = members.iter().map(|id| Change::User(id));
    let changes: Vec<Change<'_>> = [Change::Team(&id)].into_iter().chain(users).collect();
    domain.commit(tx, &changes).await?;
    find(domain, &id).await
}

fn joining(user_id: &str) -> NewMember {
    NewMember {
        person: Person::by_id(user_id),
        role: TeamRole::User,
    }
}

fn unique(mut ids: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

/// Providers know groups by their names, so no two have the same.
async fn check_name(domain: &Domain, own: Option<&str>, name: &str) -> Result<()> {
    let rows = Rows {
        alias: Some(name.to_owned()),
        ..Rows::default()
    };
    let teams = store::teams::page(&domain.db, &rows, Sort::Id, false, i64::MAX, 0)
        .await
        .map_err(storage)?;
    let is_taken = teams.iter().any(|team| {
        let alias = team.alias.as_deref().unwrap_or_default();
        alias.to_lowercase() == name.to_lowercase() && Some(team.id.as_str()) != own
    });
    match is_taken {
        false => Ok(()),
        true => {
            let message = format!("another group has the displayName {name}");
            Err(Error::new(Code::Conflict, message))
        }
    }
}

/// Refuses members who are no users.
async fn known(tx: &mut Tx, ids: &[String]) -> Result<()> {
    let users = store::users::find_many(tx, ids).await.map_err(storage)?;
    let users: HashSet<&str> = users.iter().map(|user| user.id.as_str()).collect();
    match ids.iter().find(|id| !users.contains(id.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(wrong(format!("there is no user with the id {unknown}"))),
    }
}

/// Puts a group in the place of what is there of it.
///
/// # Errors
/// As [`create`]; [`Code::NotFound`].
pub async fn replace(domain: &Domain, actor: &Actor, id: &str, resource: &Value) -> Result<Value> {
    let mut group = read(resource)?;
    // sent whole: who is not named is not in it
    group.members.get_or_insert_default();
    let mut tx = domain.begin().await?;
    let team = locked(&mut tx, id).await?;
    let changed = write(domain, &mut tx, actor, &team, group).await?;
    changed.commit(domain, tx, id).await?;
    find(domain, id).await
}

/// Applies the operations of a request to a group.
///
/// # Errors
/// As [`replace`].
pub async fn change(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    request: &Map<String, Value>,
) -> Result<Value> {
    let mut tx = domain.begin().await?;
    let team = locked(&mut tx, id).await?;
    let mut resource = one(domain, (&mut tx).into(), team.clone()).await?;
    patch::apply(&mut resource, request)?;
    let mut group = read(&resource)?;
    group.members.get_or_insert_default();
    let changed = write(domain, &mut tx, actor, &team, group).await?;
    changed.commit(domain, tx, id).await?;
    find(domain, id).await
}

async fn locked(tx: &mut Tx, id: &str) -> Result<TeamRow> {
    let team = store::teams::lock(tx, id).await.map_err(storage)?;
    team.ok_or_else(|| not_found("group", id))
}

/// What a change of a group touched besides it.
#[derive(Default)]
struct Changed {
    user_ids: Vec<String>,
    hashes: Vec<String>,
}

impl Changed {
    async fn commit(&self, domain: &Domain, tx: Tx, id: &str) -> Result<()> {
        let users = self.user_ids.iter().map(|id| Change::User(id));
        let keys = self.hashes.iter().map(|hash| Change::Key(hash));
        let changes = [Change::Team(id)].into_iter().chain(users).chain(keys);
        domain.commit(tx, &changes.collect::<Vec<_>>()).await
    }
}

/// Brings what a provider says into a team's rows; nothing is written where nothing differs.
async fn write(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    team: &TeamRow,
    group: Group,
) -> Result<Changed> {
    let rows = store::scim::find_many(&mut *tx, TEAM, std::slice::from_ref(&team.id))
        .await
        .map_err(storage)?;
    let row = row_of(TEAM, &team.id, None, group.kept)?;
    let members = store::teams::members_of_teams(&mut *tx, std::slice::from_ref(&team.id))
        .await
        .map_err(storage)?;
    let wanted = unique(group.members.unwrap_or_default());
    let now: HashSet<&str> = members.iter().map(|it| it.user_id.as_str()).collect();
    let is_new = |id: &&String| !now.contains(id.as_str());
    let new: Vec<String> = wanted.iter().filter(is_new).cloned().collect();
    let wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    let is_gone = |member: &&MemberRow| !wanted.contains(member.user_id.as_str());
    let gone: Vec<&MemberRow> = members.iter().filter(is_gone).collect();
    let is_renamed = team.alias.as_ref().unwrap_or(&team.id) != &group.name;
    let mut changed = Changed::default();
    if new.is_empty() && gone.is_empty() && !is_renamed && is_same(rows.first(), &row) {
        return Ok(changed);
    }
    if is_renamed {
        check_name(domain, Some(&team.id), &group.name).await?;
    }
    let mut fields = TeamFields::default();
    if is_renamed {
        fields.alias = Patch::Value(group.name);
    }
    let team = Box::pin(ours::update_in(domain, tx, actor, &team.id, &fields)).await?;
    for member in gone {
        let hashes = ours::leave(domain, tx, actor, member).await?;
        changed.hashes.extend(hashes);
        changed.user_ids.push(member.user_id.clone());
    }
    known(tx, &new).await?;
    let joining = new.iter().map(|id| joining(id)).collect();
    let terms = MemberTerms::default();
    ours::join(domain, tx, actor, &team, joining, &terms).await?;
    changed.user_ids.extend(new);
    store::scim::put(tx, &row).await.map_err(put_failed)?;
    Ok(changed)
}

/// Deletes a team with its memberships and keys; users and the ledger stay.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn delete(domain: &Domain, actor: &Actor, id: &str) -> Result<()> {
    let gone = ours::delete(domain, actor, &[id.to_owned()]).await;
    gone.map(drop).map_err(|error| match error.code() {
        Code::NotFound => not_found("group", id),
        _ => error,
    })
}
