//! Users: people who own keys, are in teams and have budgets (contract §9).
//!
//! E-mail addresses are compared and kept in lower case; nobody shares one. An update never makes a
//! user, and a user who is deleted takes their keys and memberships along.

mod delete;
mod own;
mod record;
mod views;

use base::{Code, Error, Money, Result, Secret, ids};
use serde::Deserialize;
use store::Tx;
use store::json::Object;
use store::keys::KeyRow;
use store::users::UserRow;

pub use delete::delete;
pub use own::{delete_own, update_own};
pub use record::clean_email;
pub use views::{Info, Listed, UserView, info, list, seen, view, views_of};
pub use views::{all_ids, count, find};

use self::record::{apply, blank, checked_id, described};
use crate::audit::{self, Action, Actor};
use crate::caller::Role;
use crate::entity_budgets::{self, BudgetPatch};
use crate::grants::{self, Ceiling, Given};
use crate::invitations::{self, Wish};
use crate::keys::{self, KeyPatch, NewKey};
use crate::organizations::{self, OrganizationRole};
use crate::patch::Patch;
use crate::scopes::ScopeKind;
use crate::teams::{self, MemberTerms, NewMember, Person, TeamRole};
use crate::{Change, Domain, passwords, storage};

/// The role of a user who is given none.
pub const DEFAULT_ROLE: Role = Role::InternalUser;

/// What a request says of a user's fields.
#[derive(Clone, Debug, Default)]
pub struct UserFields {
    pub email: Patch<String>,
    pub alias: Patch<String>,
    pub role: Patch<Role>,
    pub sso_subject: Patch<String>,
    pub models: Patch<Vec<String>>,
    pub metadata: Patch<Object>,
    /// Fields that are kept in the metadata; null takes one away.
    pub in_metadata: Object,
    /// Fields that are kept and given back; null takes one away.
    pub settings: Object,
    pub blocked: Patch<bool>,
    pub rpm_limit: Patch<i64>,
    pub tpm_limit: Patch<i64>,
    pub tpd_limit: Patch<i64>,
    pub max_parallel_requests: Patch<i64>,
    pub budgets: BudgetPatch,
    /// Moves the `main` counter.
    pub spend: Patch<Money>,
}

/// A user to be made.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    pub id: Option<String>,
    pub fields: UserFields,
    /// `None`: the configured ones.
    pub teams: Option<Vec<Membership>>,
    pub organizations: Vec<String>,
    /// A key to be made along; its owner and its limits are the user's.
    pub key: Option<KeyPatch>,
    /// Mails an invitation.
    pub invite: bool,
}

/// A user that was made, and the key that was made along.
#[derive(Debug)]
pub struct Created {
    pub user: UserView,
    pub key: Option<NewKey>,
}

/// A team that a new user joins.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Membership {
    Id(String),
    With {
        team_id: String,
        #[serde(default)]
        max_budget_in_team: Option<Money>,
        #[serde(default)]
        user_role: Option<String>,
    },
}

/// `default_internal_user_params` (contract §22).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Defaults {
    pub user_role: Option<String>,
    pub max_budget: Option<Money>,
    pub budget_duration: Option<String>,
    pub models: Option<Vec<String>>,
    pub teams: Option<Vec<Membership>>,
    /// Teams that users may join by themselves.
    pub available_teams: Vec<String>,
}

/// What the configuration says of new users.
///
/// # Errors
/// [`Code::Internal`] when it cannot be understood.
pub fn defaults(domain: &Domain) -> Result<Defaults> {
    let params = domain.config.default_user_params.clone();
    serde_json::from_value(params.into()).map_err(Error::internal)
}

/// Checks what the configuration says of new users, at start.
///
/// # Errors
/// [`Code::BadRequest`] naming what cannot be understood.
pub fn check_defaults(params: &Object) -> Result<()> {
    let wrong = |reason: String| Error::new(Code::BadRequest, reason);
    let defaults: Defaults =
        serde_json::from_value(params.clone().into()).map_err(|error| wrong(error.to_string()))?;
    if let Some(role) = &defaults.user_role
        && Role::parse(role).is_none()
    {
        return Err(wrong(format!("user_role is '{role}', which is no role")));
    }
    let duration = defaults.budget_duration.as_deref();
    duration
        .map(entity_budgets::parse_duration)
        .transpose()
        .map(drop)
}

/// Which user a request means.
#[derive(Clone, Debug)]
pub enum Selector {
    Id(String),
    Email(String),
}

/// Makes a user with their memberships, budgets and key: all of it, or nothing.
///
/// # Errors
/// [`Code::Conflict`] for a taken id, e-mail address or SSO subject; [`Code::NotFound`] for a team
/// that is not there; [`Code::BadRequest`] for what makes no sense.
pub async fn create(domain: &Domain, actor: &Actor, new: NewUser) -> Result<Created> {
    let spend = new.fields.spend.clone().value().unwrap_or_default();
    let mut tx = domain.begin().await?;
    let (id, key) = Box::pin(create_in(domain, &mut tx, actor, new)).await?;
    let hash = key.as_ref().map(|(row, _)| Change::Key(&row.hash));
    let changes: Vec<Change<'_>> = [Change::User(&id)].into_iter().chain(hash).collect();
    domain.commit(tx, &changes).await?;
    let key = match key {
        Some((row, plain)) => Some(NewKey {
            view: keys::view(domain, row).await?,
            plain,
        }),
        None => None,
    };
    let mut user = views::view(domain, &id).await?;
    if user.account.spend != spend {
        // spent elsewhere before, or by somebody who had this id and was deleted
        entity_budgets::set_spend(domain, ScopeKind::User, &id, spend).await?;
        user = views::view(domain, &id).await?;
    }
    Ok(Created { user, key })
}

/// The same in an open transaction; gives the user's id, and the key that was made along.
pub(crate) async fn create_in(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    new: NewUser,
) -> Result<(String, Option<(KeyRow, Secret)>)> {
    let defaults = defaults(domain)?;
    let id = match &new.id {
        Some(id) => checked_id(id.clone())?,
        None => ids::new_id(domain.clock.now()),
    };
    let mut fields = new.fields.clone();
    fill(domain, &mut fields, &defaults)?;
    may_create(domain, tx, actor, &new).await?;
    add(domain, tx, actor, &id, &fields).await?;
    for membership in new.teams.or(defaults.teams).unwrap_or_default() {
        enter(domain, tx, actor, &id, membership).await?;
    }
    for organization_id in new.organizations {
        enter_organization(domain, tx, actor, &id, &organization_id).await?;
    }
    let key = match new.key {
        Some(key) => Some(keys::generate_along(domain, tx, actor, &id, key).await?),
        None => None,
    };
    if new.invite {
        invite(domain, tx, actor, &id).await?;
    }
    Ok((id, key))
}

/// Mails an invitation to a user who is being made, where mail is configured and they have an address.
async fn invite(domain: &Domain, tx: &mut Tx, actor: &Actor, id: &str) -> Result<()> {
    let user = store::users::find(&mut *tx, id).await.map_err(storage)?;
    let user = user.filter(|user| user.email.is_some() && domain.config.mail.is_some());
    let Some(user) = user else {
        return Ok(());
    };
    let wish = Wish {
        replace: false,
        send_email: true,
    };
    invitations::create_in(domain, tx, actor, &user, wish)
        .await
        .map(drop)
}

/// The id of a person, who becomes a user if they are not one yet.
pub(crate) async fn known(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    person: &Person,
) -> Result<String> {
    if let Some(user_id) = &person.user_id {
        // the administrator behind the master key needs no row
        let is_known = *user_id == domain.config.admin_user_id
            // who is being deleted meanwhile does not join
            || store::users::lock(tx, user_id)
                .await
                .map_err(storage)?
                .is_some();
        if is_known {
            return Ok(user_id.clone());
        }
    } else if let Some(email) = &person.email {
        let email = clean_email(email)?;
        let found = store::users::find_by_email(&mut *tx, &email)
            .await
            .map_err(storage)?;
        if let Some(user) = found
            && let Some(user) = store::users::lock(tx, &user.id).await.map_err(storage)?
        {
            return Ok(user.id);
        }
    }
    create_for_team(domain, tx, actor, person).await
}

/// Makes a user out of somebody who is added to a team or an organization.
async fn create_for_team(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    person: &Person,
) -> Result<String> {
    let id = match &person.user_id {
        Some(id) => checked_id(id.clone())?,
        None => ids::new_id(domain.clock.now()),
    };
    let mut fields = UserFields {
        email: person.email.clone().into(),
        ..UserFields::default()
    };
    fill(domain, &mut fields, &defaults(domain)?)?;
    add(domain, tx, actor, &id, &fields).await?;
    Ok(id)
}

/// Fills what was not sent from the configuration.
fn fill(domain: &Domain, fields: &mut UserFields, defaults: &Defaults) -> Result<()> {
    let role = match defaults.user_role.as_deref() {
        None => DEFAULT_ROLE,
        Some(name) => Role::parse(name).ok_or_else(|| {
            Error::internal(format!(
                "default_internal_user_params.user_role is '{name}'"
            ))
        })?,
    };
    fields.role.fill(Some(role));
    fields.models.fill(defaults.models.clone());
    let budgets = &mut fields.budgets;
    if let Patch::Value(_) = budgets.plan {
        // a plan that was named says it
        return Ok(());
    }
    budgets.max_budget.fill(defaults.max_budget);
    budgets.duration.fill(defaults.budget_duration.clone());
    let role = fields.role.as_ref().value().copied();
    if let Some(Role::InternalUser | Role::InternalUserViewer) = role {
        let (amount, duration) = domain.config.internal_user_budget.clone();
        // the period belongs to the amount
        if amount.is_some() && budgets.max_budget.as_ref().value().is_none() {
            budgets.duration.fill(duration);
            budgets.max_budget.fill(amount);
        }
    }
    Ok(())
}

/// Adds the row and the budgets.
async fn add(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
    fields: &UserFields,
) -> Result<()> {
    let now = domain.clock.now();
    let mut row = blank(id, actor, now);
    apply(&mut row, fields)?;
    if !store::users::insert(&mut *tx, &row)
        .await
        .map_err(storage)?
    {
        return Err(taken(tx, &row).await?);
    }
    put_budgets(domain, tx, actor, id, &fields.budgets).await?;
    let after = described(tx, &row).await?;
    audit::changed(
        tx,
        actor,
        now,
        Action::Created,
        ("user", id),
        (None, Some(after)),
    );
    Ok(())
}

async fn put_budgets(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
    budgets: &BudgetPatch,
) -> Result<()> {
    let by = actor.name();
    entity_budgets::write(domain, tx, ScopeKind::User, id, budgets, by.as_deref()).await
}

/// Which of a row's unique values somebody else has.
async fn taken(tx: &mut Tx, row: &UserRow) -> Result<Error> {
    let same_id = store::users::find(&mut *tx, &row.id)
        .await
        .map_err(storage)?;
    if same_id.is_some() {
        let message = format!("User with id {} already exists", row.id);
        return Ok(Error::new(Code::Conflict, message).param("user_id"));
    }
    if let Some(email) = &row.email {
        let same = store::users::find_by_email(tx, email)
            .await
            .map_err(storage)?;
        if same.is_some_and(|other| other.id != row.id) {
            return Ok(email_taken(email));
        }
    }
    let message = "A user with this sso_user_id already exists";
    Ok(Error::new(Code::Conflict, message).param("sso_user_id"))
}

fn email_taken(email: &str) -> Error {
    let message = format!("User with email {email} already exists");
    Error::new(Code::Conflict, message).param("user_email")
}

async fn enter(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    membership: Membership,
) -> Result<()> {
    let (team_id, max_budget, role) = match membership {
        Membership::Id(team_id) => (team_id, None, None),
        Membership::With {
            team_id,
            max_budget_in_team,
            user_role,
        } => (team_id, max_budget_in_team, user_role),
    };
    let role = match role.as_deref() {
        None | Some("user") => TeamRole::User,
        Some("admin") => TeamRole::Admin,
        Some(other) => {
            let message = format!("user_role in a team is 'admin' or 'user', not '{other}'");
            return Err(Error::new(Code::BadRequest, message).param("teams"));
        }
    };
    let team = store::teams::lock(tx, &team_id).await.map_err(storage)?;
    let team = team.ok_or_else(|| teams::not_found(&team_id))?;
    let joining = vec![NewMember {
        person: Person::by_id(user_id),
        role,
    }];
    let mut terms = MemberTerms::default();
    terms.budget.max_budget = max_budget.into();
    teams::join(domain, tx, actor, &team, joining, &terms)
        .await
        .map(drop)
}

async fn enter_organization(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    id: &str,
) -> Result<()> {
    let found = store::organizations::lock(tx, id).await.map_err(storage)?;
    let organization = found.ok_or_else(|| {
        let message = format!("Organization not found for organization_id={id}");
        Error::new(Code::BadRequest, message).param("organizations")
    })?;
    let role = OrganizationRole::User;
    organizations::join(domain, tx, actor, &organization, user_id, role).await
}

/// Administrators make every user; who administers organizations makes users of these alone, within
/// what they have, in teams of theirs.
async fn may_create(domain: &Domain, tx: &mut Tx, actor: &Actor, new: &NewUser) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    let forbidden = |message: &'static str, param: &'static str| {
        Err(Error::new(Code::Forbidden, message).param(param))
    };
    let theirs = |id: &String| actor.administers(id);
    if new.organizations.is_empty() || !new.organizations.iter().all(theirs) {
        let message = "users are made by administrators of the gateway, and by those of an \
                       organization for it: name it in `organizations`";
        return forbidden(message, "organizations");
    }
    for membership in new.teams.iter().flatten() {
        let (Membership::Id(team_id) | Membership::With { team_id, .. }) = membership;
        if !teams::reach(&mut *tx, actor, team_id).await?.manages() {
            return forbidden("a team that is not yours to manage", "teams");
        }
    }
    if let Some(key) = &new.key {
        keys::only_for_admins(key)?;
    }
    may_give(domain, tx, actor, &new.fields, &new.organizations).await
}

/// Holds what is given to a user to what the organizations have.
async fn may_give(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    fields: &UserFields,
    organization_ids: &[String],
) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    let is_set = |spend: Money| spend != Money::ZERO;
    if fields.spend.clone().value().is_some_and(is_set) || !fields.sso_subject.is_absent() {
        let message = "only a proxy admin can set `spend` and `sso_user_id` of a user";
        return Err(Error::new(Code::Forbidden, message));
    }
    let mut ceilings = Vec::new();
    for id in organization_ids {
        let found = store::organizations::find(&mut *tx, id)
            .await
            .map_err(storage)?;
        if let Some(organization) = found {
            ceilings.push(Ceiling::of_organization(&mut *tx, &organization).await?);
        }
    }
    let given = Given {
        role: fields.role.clone().value(),
        ..Given::from(fields)
    };
    grants::check(domain, actor, &given, &ceilings)
}

/// Changes a user.
///
/// # Errors
/// [`Code::NotFound`] for an unknown user, [`Code::Conflict`] for an e-mail address that somebody
/// else has.
pub async fn update(
    domain: &Domain,
    actor: &Actor,
    selector: &Selector,
    fields: UserFields,
) -> Result<UserView> {
    let mut tx = domain.begin().await?;
    let row = Box::pin(update_in(domain, &mut tx, actor, selector, &fields)).await?;
    domain.commit(tx, &[Change::User(&row.id)]).await?;
    if let Some(spend) = fields.spend.value() {
        entity_budgets::set_spend(domain, ScopeKind::User, &row.id, spend).await?;
    }
    views::view(domain, &row.id).await
}

/// The same in an open transaction, but for what the user has spent.
pub(crate) async fn update_in(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    selector: &Selector,
    fields: &UserFields,
) -> Result<UserRow> {
    let before = selected(tx, actor, selector).await?;
    let organizations = organization_ids(tx, &before.id).await?;
    may_give(domain, tx, actor, fields, &organizations).await?;
    let described_before = described(tx, &before).await?;
    let mut row = before.clone();
    apply(&mut row, fields)?;
    let now = domain.clock.now();
    row.updated_at = now;
    row.updated_by = actor.name();
    store::users::update(&mut *tx, &row).await.map_err(
        |error| match store::db::is_unique_violation(&error) {
            true if row.sso_subject != before.sso_subject => {
                let message = "A user with this sso_user_id already exists";
                Error::new(Code::Conflict, message).param("sso_user_id")
            }
            true => email_taken(row.email.as_deref().unwrap_or_default()),
            false => storage(error),
        },
    )?;
    put_budgets(domain, tx, actor, &row.id, &fields.budgets).await?;
    if row.blocked && !before.blocked {
        passwords::close_doors(tx, &row.id).await?;
    } else if row.role != before.role {
        store::sessions::delete_of_user(tx, &row.id)
            .await
            .map_err(storage)?;
    }
    let action = match (before.blocked, row.blocked) {
        (false, true) => Action::Blocked,
        (true, false) => Action::Unblocked,
        _ => Action::Updated,
    };
    let after = described(tx, &row).await?;
    let both = (Some(described_before), Some(after));
    audit::changed(tx, actor, now, action, ("user", &row.id), both);
    Ok(row)
}

async fn organization_ids(tx: &mut Tx, user_id: &str) -> Result<Vec<String>> {
    let memberships = store::organizations::memberships_of_user(tx, user_id)
        .await
        .map_err(storage)?;
    Ok(memberships
        .into_iter()
        .map(|it| it.organization_id)
        .collect())
}

/// The row that is meant, locked, if it is the actor's to change.
async fn selected(tx: &mut Tx, actor: &Actor, selector: &Selector) -> Result<UserRow> {
    let id = match selector {
        Selector::Id(id) => id.clone(),
        Selector::Email(email) => {
            let found = store::users::find_by_email(&mut *tx, email.trim())
                .await
                .map_err(storage)?;
            let not_found =
                || Error::new(Code::NotFound, format!("User with email {email} not found"));
            found.ok_or_else(not_found)?.id
        }
    };
    organizations::must_administer_user(&mut *tx, actor, &id).await?;
    let row = store::users::lock(tx, &id).await.map_err(storage)?;
    row.ok_or_else(|| not_found(&id))
}

fn not_found(id: &str) -> Error {
    Error::new(Code::NotFound, format!("User {id} not found")).param("user_id")
}
