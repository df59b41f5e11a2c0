//! Users as SCIM has them. Who is not active is blocked: their keys and sessions stop at once.

use std::collections::HashMap;

use base::{Code, Error, Result};
use serde_json::{Map, Value, json};
use store::scim::{ScimRow, USER};
use store::users::{Filter as Rows, Sort, UserRow};
use store::{On, Tx};

use super::path::attribute;
use super::{BATCH, Filter, Found, Kept, Question};
use super::{complete, differing, is_same, location, not_found, patch, put_failed, row_of};
use super::{split, text, truth, wrong};
use crate::audit::Actor;
use crate::users::{self as ours, NewUser, Selector, UserFields};
use crate::{Change, Domain, Patch, storage};

/// What a provider says of a user.
struct Person {
    user_name: String,
    active: Option<bool>,
    email: Patch<String>,
    alias: Option<String>,
    kept: Kept,
}

/// Reads a user that was sent whole.
fn read(resource: &Value) -> Result<Person> {
    let names = ["userName", "active", "displayName", "emails"];
    let ([user_name, active, display_name, emails], mut kept) = split(resource, names)?;
    let user_name = user_name.ok_or_else(|| wrong("'userName' is required"))?;
    let user_name = text("userName", &user_name)?;
    let active = active.map(|active| truth("active", &active)).transpose()?;
    let display_name = display_name.filter(|name| name != "");
    let display_name = display_name.map(|name| text("displayName", &name));
    let email = match &emails {
        None => Patch::Absent,
        Some(emails) => address(emails)?.map_or(Patch::Null, Patch::Value),
    };
    if let Some(emails) = emails {
        kept.attributes.insert("emails".to_owned(), emails);
    }
    let alias = display_name.transpose()?;
    let alias = alias.or_else(|| full_name(attribute(&kept.attributes, "name")));
    kept.attributes
        .insert("userName".to_owned(), user_name.clone().into());
    Ok(Person {
        user_name,
        active,
        email,
        alias,
        kept,
    })
}

/// The one address that we know somebody by: the primary one, or that of their work, or the first.
fn address(emails: &Value) -> Result<Option<String>> {
    let Value::Array(emails) = emails else {
        return Err(wrong("'emails' is a list"));
    };
    let value = |email: &Value| match email {
        Value::Object(email) => attribute(email, "value").cloned(),
        other => Some(other.clone()),
    };
    let is_primary = |email: &&Value| {
        let primary = email.get("primary");
        primary.is_some_and(|primary| truth("primary", primary).unwrap_or(false))
    };
    let mut all = emails.iter();
    let chosen = all.clone().find(is_primary);
    let chosen = chosen.or_else(|| all.clone().find(|email| email["type"] == "work"));
    let Some(chosen) = chosen.or_else(|| all.next()).and_then(value) else {
        return Ok(None);
    };
    let chosen = text("emails.value", &chosen)?;
    ours::clean_email(&chosen).map(Some)
}

fn full_name(name: Option<&Value>) -> Option<String> {
    let name = name?.as_object()?;
    let part = |part: &str| {
        let part = attribute(name, part)?.as_str()?.trim();
        Some(part).filter(|part| !part.is_empty())
    };
    let parts = [part("givenName"), part("familyName")];
    let both = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let whole = part("formatted").map_or(both, str::to_owned);
    let fits = !whole.is_empty() && whole.len() <= super::LONGEST;
    Some(whole).filter(|_| fits)
}

/// The name that somebody has at the provider, or would have.
fn user_name(user: &UserRow, row: Option<&ScimRow>) -> String {
    let kept = row.and_then(|row| row.attributes.get("userName"));
    let kept = kept.and_then(Value::as_str).map(str::to_owned);
    kept.or_else(|| user.email.clone())
        .unwrap_or_else(|| user.id.clone())
}

/// Users as resources, with their groups.
async fn shown(domain: &Domain, on: On<'_>, users: &[UserRow]) -> Result<Vec<Value>> {
    let mut on = on;
    let ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
    let rows = store::scim::find_many(on.again(), USER, &ids)
        .await
        .map_err(storage)?;
    let rows: HashMap<&str, &ScimRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let memberships = store::teams::memberships_of_users(on.again(), &ids)
        .await
        .map_err(storage)?;
    let team_ids: Vec<String> = memberships.iter().map(|it| it.team_id.clone()).collect();
    let teams = store::teams::find_many(on, &team_ids)
        .await
        .map_err(storage)?;
    let names: HashMap<&str, Option<&String>> = teams
        .iter()
        .map(|team| (team.id.as_str(), team.alias.as_ref()))
        .collect();
    let shown = users.iter().map(|user| {
        let own = memberships.iter().filter(|it| it.user_id == user.id);
        let groups = own.map(|it| {
            let name = names.get(it.team_id.as_str()).copied().flatten();
            json!({"value": it.team_id, "display": name.unwrap_or(&it.team_id),
                "type": "direct", "$ref": location(domain, "Group", &it.team_id)})
        });
        let row = rows.get(user.id.as_str()).copied();
        resource(domain, user, row, groups.collect())
    });
    Ok(shown.collect())
}

fn resource(domain: &Domain, user: &UserRow, row: Option<&ScimRow>, groups: Vec<Value>) -> Value {
    let mut resource: Map<String, Value> =
        row.map(|row| row.attributes.0.clone()).unwrap_or_default();
    resource.insert("userName".to_owned(), user_name(user, row).into());
    if let Some(external_id) = row.and_then(|row| row.external_id.as_ref()) {
        resource.insert("externalId".to_owned(), external_id.as_str().into());
    }
    if let Some(alias) = &user.alias {
        resource.insert("displayName".to_owned(), alias.as_str().into());
    }
    let sent = resource.remove("emails");
    let is_theirs = |emails: &Value| matches!(address(emails), Ok(email) if email == user.email);
    let emails = match (sent.filter(is_theirs), &user.email) {
        (Some(emails), _) => Some(emails),
        // changed since, or never said here
        (None, Some(email)) => Some(json!([{"value": email, "type": "work", "primary": true}])),
        (None, None) => None,
    };
    if let Some(emails) = emails {
        resource.insert("emails".to_owned(), emails);
    }
    resource.insert("active".to_owned(), (!user.blocked).into());
    resource.insert("groups".to_owned(), Value::Array(groups));
    let times = (user.created_at, user.updated_at);
    complete(domain, &mut resource, "User", &user.id, times);
    Value::Object(resource)
}

/// One user.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn find(domain: &Domain, id: &str) -> Result<Value> {
    let user = store::users::find(&domain.db, id).await.map_err(storage)?;
    let user = user.ok_or_else(|| not_found("user", id))?;
    one(domain, (&domain.db).into(), user).await
}

async fn one(domain: &Domain, on: On<'_>, user: UserRow) -> Result<Value> {
    let mut shown = shown(domain, on, &[user]).await?;
    shown.pop().ok_or_else(|| not_found("user", ""))
}

/// The users that are asked for, the oldest first.
pub async fn list(domain: &Domain, question: &Question) -> Result<Found> {
    let all = Rows::default();
    let page = async |count: i64, offset: i64| {
        let page = store::users::page(&domain.db, &all, Sort::CreatedAt, false, count, offset);
        page.await.map_err(storage)
    };
    let Some(filter) = &question.filter else {
        let users = page(question.count, question.start - 1).await?;
        return Ok(Found {
            resources: shown(domain, (&domain.db).into(), &users).await?,
            total: store::users::count(&domain.db, &all)
                .await
                .map_err(storage)?,
        });
    };
    let mut found = Found::default();
    if let Some(users) = looked_up(domain, filter).await? {
        for user in shown(domain, (&domain.db).into(), &users).await? {
            question.take(&mut found, user);
        }
        return Ok(found);
    }
    let mut offset = 0;
    loop {
        let users = page(BATCH, offset).await?;
        if users.is_empty() {
            return Ok(found);
        }
        offset += BATCH;
        for user in shown(domain, (&domain.db).into(), &users).await? {
            question.take(&mut found, user);
        }
    }
}

/// All users that a filter can mean, where an index finds them.
async fn looked_up(domain: &Domain, filter: &Filter) -> Result<Option<Vec<UserRow>>> {
    let db = &domain.db;
    for (steps, value) in filter.equalities() {
        let name = match steps.as_slice() {
            [only] => only.to_ascii_lowercase(),
            _ => continue,
        };
        let mut ids = match name.as_str() {
            "id" => vec![value.to_owned()],
            "externalid" => {
                let rows = store::scim::find_by_external_id(db, USER, value).await;
                let rows = rows.map_err(storage)?;
                rows.into_iter().map(|row| row.id).collect()
            }
            "username" => with_name(db.into(), value).await?,
            _ => continue,
        };
        ids.sort_unstable();
        ids.dedup();
        let users = store::users::find_many(db, &ids).await;
        return users.map(Some).map_err(storage);
    }
    Ok(None)
}

/// The ids of all who have or would have a name at the provider.
async fn with_name(on: On<'_>, name: &str) -> Result<Vec<String>> {
    let mut on = on;
    let row = store::scim::find_by_name(on.again(), USER, &name.to_lowercase())
        .await
        .map_err(storage)?;
    let by_email = store::users::find_by_email(on.again(), name)
        .await
        .map_err(storage)?;
    let by_id = store::users::find(on, name).await.map_err(storage)?;
    let users = [by_email, by_id].into_iter().flatten().map(|user| user.id);
    Ok(row.into_iter().map(|row| row.id).chain(users).collect())
}

/// Makes a user.
///
/// # Errors
/// [`Code::Conflict`] where somebody has the name or the address; [`Code::BadRequest`].
pub async fn create(domain: &Domain, actor: &Actor, resource: &Value) -> Result<Value> {
    let person = read(resource)?;
    let mut tx = domain.begin().await?;
    check_name(domain, &mut tx, None, &person.user_name).await?;
    let email = match person.email {
        Patch::Absent => ours::clean_email(&person.user_name).map_or(Patch::Absent, Patch::Value),
        email => email,
    };
    let new = NewUser {
        fields: UserFields {
            email,
            alias: person.alias.into(),
            blocked: person.active.map(|active| !active).into(),
            ..UserFields::default()
        },
        ..NewUser::default()
    };
    let (id, _) = Box::pin(ours::create_in(domain, &mut tx, actor, new)).await?;
    let name = Some(person.user_name.to_lowercase());
    let row = row_of(USER, &id, name, person.kept)?;
    store::scim::put(&mut tx, &row).await.map_err(put_failed)?;
    domain.commit(tx, &[Change::User(&id)]).await?;
    find(domain, &id).await
}

/// Refuses a name that somebody else has.
async fn check_name(domain: &Domain, tx: &mut Tx, own: Option<&str>, name: &str) -> Result<()> {
    let ids = with_name((&mut *tx).into(), name).await?;
    let users = store::users::find_many(&mut *tx, &ids)
        .await
        .map_err(storage)?;
    for other in shown(domain, tx.into(), &users).await? {
        let has_it = other["userName"]
            .as_str()
            .is_some_and(|other| other.to_lowercase() == name.to_lowercase());
        if has_it && other["id"].as_str() != own {
            let message = format!("another user has the userName {name}");
            return Err(Error::new(Code::Conflict, message));
        }
    }
    Ok(())
}

/// Puts a user in the place of what is there of them.
///
/// # Errors
/// As [`create`]; [`Code::NotFound`].
pub async fn replace(domain: &Domain, actor: &Actor, id: &str, resource: &Value) -> Result<Value> {
    let person = read(resource)?;
    let mut tx = domain.begin().await?;
    let user = locked(&mut tx, id).await?;
    write(domain, &mut tx, actor, &user, person).await?;
    domain.commit(tx, &[Change::User(id)]).await?;
    find(domain, id).await
}

/// Applies the operations of a request to a user.
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
    let user = locked(&mut tx, id).await?;
    let mut resource = one(domain, (&mut tx).into(), user.clone()).await?;
    patch::apply(&mut resource, request)?;
    write(domain, &mut tx, actor, &user, read(&resource)?).await?;
    domain.commit(tx, &[Change::User(id)]).await?;
    find(domain, id).await
}

async fn locked(tx: &mut Tx, id: &str) -> Result<UserRow> {
    let user = store::users::lock(tx, id).await.map_err(storage)?;
    user.ok_or_else(|| not_found("user", id))
}

/// Brings what a provider says into a user's rows; nothing is written where nothing differs.
async fn write(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    user: &UserRow,
    person: Person,
) -> Result<()> {
    check_name(domain, tx, Some(&user.id), &person.user_name).await?;
    let rows = store::scim::find_many(&mut *tx, USER, std::slice::from_ref(&user.id))
        .await
        .map_err(storage)?;
    let name = Some(person.user_name.to_lowercase());
    let row = row_of(USER, &user.id, name, person.kept)?;
    let blocked: Patch<bool> = person.active.map(|active| !active).into();
    let fields = UserFields {
        email: differing(user.email.as_ref(), person.email),
        alias: differing(user.alias.as_ref(), person.alias.into()),
        blocked: differing(Some(&user.blocked), blocked),
        ..UserFields::default()
    };
    let is_as_it_was = fields.email.is_absent()
        && fields.alias.is_absent()
        && fields.blocked.is_absent()
        && is_same(rows.first(), &row);
    if is_as_it_was {
        return Ok(());
    }
    let selector = Selector::Id(user.id.clone());
    Box::pin(ours::update_in(domain, tx, actor, &selector, &fields)).await?;
    store::scim::put(tx, &row).await.map_err(put_failed)
}

/// Deletes a user with their keys and memberships; the ledger stays.
///
/// # Errors
/// [`Code::NotFound`].
pub async fn delete(domain: &Domain, actor: &Actor, id: &str) -> Result<()> {
    let gone = ours::delete(domain, actor, &[id.to_owned()]).await;
    gone.map(drop).map_err(|error| match error.code() {
        Code::NotFound => not_found("user", id),
        _ => error,
    })
}
