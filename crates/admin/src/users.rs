//! Users (contract §9).

mod find;
mod row;
mod several;

use axum::extract::State;
use base::{Code, Error, Money, Secret};
use domain::keys::{Home, KEPT, KeyPatch};
use domain::users::{self, Membership, Selector, UserFields, UserView};
use domain::{Actor, Domain, Patch, Role, passwords};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::users::{Filter, Sort};
use utoipa::{IntoParams, ToSchema};

pub use find::*;
pub use row::{OrganizationMembership, UserObject};
pub use several::*;

use crate::budgets;
use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{self, Field, Object, Required, Sent, Wrong, choice};
use crate::keys::{KeyFields, KeyObject, key_fields, not_sent};
use crate::page::{Page, Sizes};
use crate::plans;
use crate::spend::text;
use crate::teams::{TeamObject, is_descending};

impl Field for Role {
    fn read(value: Value) -> std::result::Result<Role, Wrong> {
        let words = Role::ALL.map(|role| (role.as_str(), role));
        choice(&value, &words).map_err(|wrong| Wrong {
            kind: "literal_error",
            ..wrong
        })
    }
}

impl Field for Membership {
    fn read(value: Value) -> std::result::Result<Membership, Wrong> {
        fields::nested(value)
    }
}

/// What is said of a user besides the limits that users and keys share.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct UserBody {
    /// A fresh one if not given.
    #[schema(value_type = Option<String>)]
    user_id: Sent<String>,
    /// Unique, whatever the case.
    #[schema(value_type = Option<String>)]
    user_email: Sent<String>,
    #[schema(value_type = Option<String>)]
    user_alias: Sent<String>,
    /// `internal_user` if not given and not configured otherwise.
    #[schema(value_type = Option<String>)]
    user_role: Sent<Role>,
    /// What the identity provider calls them.
    #[schema(value_type = Option<String>)]
    sso_user_id: Sent<String>,
    /// Ids of teams, or objects with `team_id`, `max_budget_in_team` and `user_role`.
    #[schema(value_type = Option<Vec<String>>)]
    teams: Sent<Vec<Membership>>,
    #[schema(value_type = Option<Vec<String>>)]
    organizations: Sent<Vec<String>>,
    /// Whether to make a key for them, too: yes if not said.
    #[schema(value_type = Option<bool>)]
    auto_create_key: Sent<bool>,
    /// Only for `/user/update`, by administrators; otherwise users set their own. All sessions of the user end.
    #[schema(value_type = Option<String>)]
    password: Sent<Value>,
    /// Mails an invitation, where mail is configured.
    #[schema(value_type = Option<bool>)]
    send_invite_email: Sent<bool>,
}

/// A user to be made, with the limits that users and keys share. `duration`, `key_alias`, `aliases`,
/// `permissions` and `team_id` are those of the key that is made along.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read in two parts")]
pub struct NewUser {
    #[serde(flatten)]
    user: UserBody,
    #[serde(flatten)]
    limits: KeyFields,
}

/// A user that was made, and the key that was made along.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedUser {
    user_id: String,
    user_email: Option<String>,
    user_role: Option<String>,
    user_alias: Option<String>,
    teams: Vec<String>,
    /// The key itself, shown here and never again; empty where none was made.
    key: String,
    key_name: Option<String>,
    key_alias: Option<String>,
    /// The key's hash.
    token: Option<String>,
    token_id: Option<String>,
    key_type: Option<String>,
    expires: Option<String>,
    duration: Option<String>,
    models: Vec<String>,
    metadata: Object,
    #[schema(value_type = f64)]
    spend: Money,
    #[schema(value_type = Option<f64>)]
    max_budget: Option<Money>,
    #[schema(value_type = Option<f64>)]
    soft_budget: Option<Money>,
    budget_duration: Option<String>,
    budget_reset_at: Option<String>,
    budget_limits: Option<Vec<budgets::Window>>,
    model_max_budget: std::collections::BTreeMap<String, budgets::ModelBudget>,
    blocked: Option<bool>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    tpd_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    created_at: String,
    created_by: Option<String>,
    updated_at: String,
    updated_by: Option<String>,
    /// Stored and echoed.
    #[serde(flatten)]
    rest: Object,
}

/// Makes a user, and a key for them unless `auto_create_key` is false.
#[utoipa::path(post, path = "/user/new", operation_id = "user_new", tag = "users", request_body = NewUser,
    responses((status = 200, body = CreatedUser)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Object>,
) -> Result<Json<CreatedUser>> {
    let body: UserBody = fields::read(Value::Object(sent.clone()), "body")?;
    if !body.password.0.is_absent() && body.password.0 != Patch::Null {
        let mut wrong = Wrong::new(
            "value_error",
            "Value error, password cannot be set via /user/new. Users set their own password \
             through an invitation link (POST /invitation/new).",
        );
        wrong.place = vec!["password".into()];
        return Err(fields::invalid("body", wrong).into());
    }
    let limits = key_fields(&sent, domain.clock.now())?;
    let key = match body.auto_create_key.0.clone().value().unwrap_or(true) {
        true => Some(key_of(&limits)),
        false => None,
    };
    let new = users::NewUser {
        id: body.user_id.0.clone().value(),
        teams: body.teams.0.clone().value(),
        organizations: body.organizations.0.clone().value().unwrap_or_default(),
        invite: body.send_invite_email.0.clone().value().unwrap_or(false),
        fields: user_fields(body, limits),
        key,
    };
    let made = users::create(&domain, &actor, new).await?;
    Ok(Json(created(made)))
}

/// The fields of a user among those that users and keys share.
fn user_fields(body: UserBody, limits: KeyPatch) -> UserFields {
    let kept = |home: Home| {
        let fields = KEPT
            .iter()
            .filter(|field| field.home == home && field.name != "model_max_budget");
        let names: Vec<&str> = fields.map(|field| field.name).collect();
        fields::pick(&limits.kept, &names)
    };
    UserFields {
        in_metadata: kept(Home::Metadata),
        settings: kept(Home::Settings),
        email: body.user_email.0,
        alias: body.user_alias.0,
        role: body.user_role.0,
        sso_subject: body.sso_user_id.0,
        models: limits.models,
        metadata: limits.metadata,
        blocked: limits.blocked,
        rpm_limit: limits.rpm_limit,
        tpm_limit: limits.tpm_limit,
        tpd_limit: limits.tpd_limit,
        max_parallel_requests: limits.max_parallel_requests,
        budgets: limits.budgets,
        spend: limits.spend,
    }
}

/// The key that is made along with a user. Limits are the user's, and hold for all their keys.
fn key_of(limits: &KeyPatch) -> KeyPatch {
    KeyPatch {
        named: limits.named.clone(),
        alias: limits.alias.clone(),
        duration: limits.duration.clone(),
        aliases: limits.aliases.clone(),
        permissions: limits.permissions.clone(),
        team_id: limits.team_id.clone(),
        ..KeyPatch::default()
    }
}

fn created(made: users::Created) -> CreatedUser {
    let user = made.user;
    let (row, account) = (user.row, user.account);
    let (plain, key) = match made.key {
        Some(key) => {
            let plain = key.plain.expose().to_owned();
            (plain, Some(KeyObject::new(key.view)))
        }
        None => (String::new(), None),
    };
    let token = key.as_ref().and_then(|key| key.token.clone());
    let mut rest = match &key {
        Some(key) => key.kept.clone(),
        None => KEPT
            .iter()
            .map(|field| (field.name.to_owned(), not_sent(field.form)))
            .collect(),
    };
    let key_part = json!({
        "aliases": key.as_ref().map(|key| key.aliases.clone()).unwrap_or_default(),
        "permissions": key.as_ref().map(|key| key.permissions.clone()).unwrap_or_default(),
        "allowed_routes": key.as_ref().map(|key| key.allowed_routes.clone()).unwrap_or_default(),
        "team_id": key.as_ref().and_then(|key| key.team_id.clone()),
        "organization_id": key.as_ref().and_then(|key| key.organization_id.clone()),
        "budget_id": account.plan.as_ref().map(|plan| plan.id.clone()),
        "litellm_budget_table": account.plan.as_ref().map(plans::table),
    });
    if let Value::Object(part) = key_part {
        rest.extend(part);
    }
    // the user's own is among the named fields
    rest.remove("model_max_budget");
    for kept in [&row.settings.0, &row.metadata.0] {
        for field in KEPT {
            if let Some(value) = kept.get(field.name) {
                rest.insert(field.name.to_owned(), value.clone());
            }
        }
    }
    CreatedUser {
        user_id: row.id,
        user_email: row.email,
        user_role: row.role,
        user_alias: row.alias,
        teams: user.teams,
        key: plain,
        key_name: key.as_ref().map(|key| key.key_name.clone()),
        key_alias: key.as_ref().and_then(|key| key.key_alias.clone()),
        token_id: token.clone(),
        token,
        key_type: key.as_ref().map(|key| key.key_type.clone()),
        expires: key.as_ref().and_then(|key| key.expires.clone()),
        duration: None,
        models: row.models.0,
        metadata: row.metadata.0,
        spend: account.spend,
        max_budget: account.max_budget,
        soft_budget: account.soft_budget,
        budget_reset_at: budgets::shown_time(account.resets_at),
        budget_limits: budgets::shown_windows(&account),
        model_max_budget: budgets::shown_models(&account),
        budget_duration: account.duration,
        blocked: Some(row.blocked),
        tpm_limit: row.tpm_limit,
        rpm_limit: row.rpm_limit,
        tpd_limit: row.tpd_limit,
        max_parallel_requests: row.max_parallel_requests,
        created_at: row.created_at.to_rfc3339(),
        created_by: row.created_by,
        updated_at: row.updated_at.to_rfc3339(),
        updated_by: row.updated_by,
        rest,
    }
}

/// Which user is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// The caller, if not given.
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
}

/// A user with their keys and teams.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserInfo {
    user_id: String,
    /// Null for the administrator behind the master key.
    user_info: Option<UserObject>,
    keys: Vec<UserKey>,
    teams: Vec<TeamObject>,
}

/// A key with the name of its team.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserKey {
    #[serde(flatten)]
    key: KeyObject,
    team_alias: Option<String>,
}

/// Shows a user to themselves and to administrators.
#[utoipa::path(get, path = "/user/info", operation_id = "user_info", tag = "users", params(UserQuery),
    responses((status = 200, body = UserInfo)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<UserQuery>,
) -> Result<Json<UserInfo>> {
    let info = users::info(&domain, &actor, text(&query.user_id).as_deref()).await?;
    let alias = |team_id: &Option<String>| {
        let mut teams = info.teams.iter();
        let team = teams.find(|team| Some(&team.row.id) == team_id.as_ref());
        team.and_then(|team| team.row.alias.clone())
    };
    let keys = info.keys.iter().map(|key| UserKey {
        team_alias: alias(&key.row.team_id),
        key: KeyObject::new(key.clone()),
    });
    Ok(Json(UserInfo {
        keys: keys.collect(),
        teams: info.teams.iter().map(TeamObject::from).collect(),
        user_id: info.user_id,
        user_info: info
            .user
            .as_ref()
            .map(|user| UserObject::from(user).in_organizations(info.organizations)),
    }))
}

/// Shows a user without their keys and teams.
#[utoipa::path(get, path = "/v2/user/info", operation_id = "v2_user_info", tag = "users", params(UserQuery),
    responses((status = 200, body = UserObject)))]
pub async fn info_v2(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<UserQuery>,
) -> Result<Json<UserObject>> {
    let user = users::seen(&domain, &actor, text(&query.user_id).as_deref()).await?;
    Ok(Json(UserObject::from(&user)))
}

/// Which users are listed, and how.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct UsersQuery {
    #[param(value_type = Option<String>)]
    role: Sent<String>,
    /// Ids, with commas between them.
    #[param(value_type = Option<String>)]
    user_ids: Sent<String>,
    /// With commas between them.
    #[param(value_type = Option<String>)]
    sso_user_ids: Sent<String>,
    /// A part of the address.
    #[param(value_type = Option<String>)]
    user_email: Sent<String>,
    /// A part of the id or the address.
    #[param(value_type = Option<String>)]
    search: Sent<String>,
    /// The id of a team.
    #[param(value_type = Option<String>)]
    team: Sent<String>,
    /// With commas between them.
    #[param(value_type = Option<String>)]
    organization_ids: Sent<String>,
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    #[param(value_type = Option<i64>)]
    page_size: Sent<i64>,
    /// `user_id`, `user_email`, `created_at`, `spend`, `user_alias` or `user_role`.
    #[param(value_type = Option<String>)]
    sort_by: Sent<String>,
    /// `asc` or `desc`.
    #[param(value_type = Option<String>)]
    sort_order: Sent<String>,
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsersPage {
    users: Vec<UserObject>,
    total: i64,
    page: i64,
    page_size: i64,
    total_pages: i64,
}

/// Lists users, the newest first.
#[utoipa::path(get, path = "/user/list", operation_id = "user_list", tag = "users", params(UsersQuery),
    responses((status = 200, body = UsersPage)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<UsersQuery>,
) -> Result<Json<UsersPage>> {
    let sizes = Sizes {
        name: "page_size",
        usual: 25,
        most: 100,
    };
    let page = Page::read(&query.page, &query.page_size, sizes)?;
    let sort = sort(text(&query.sort_by).as_deref())?;
    // the newest first, where no order was asked for
    let order = match sort {
        None => (Sort::CreatedAt, true),
        Some(sort) => (sort, is_descending(&query.sort_order, false)?),
    };
    let part = (page.size, page.offset());
    let listed = users::list(&domain, &actor, query.filter(), order, part)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(UsersPage {
        users: listed.users.iter().map(UserObject::from).collect(),
        total: listed.total,
        page: page.number,
        page_size: page.size,
        total_pages: page.count(listed.total),
    }))
}

fn sort(name: Option<&str>) -> Result<Option<Sort>> {
    Ok(Some(match name {
        None => return Ok(None),
        Some("user_id") => Sort::Id,
        Some("user_email") => Sort::Email,
        Some("created_at") => Sort::CreatedAt,
        Some("spend") => Sort::Spend,
        Some("user_alias") => Sort::Alias,
        Some("user_role") => Sort::Role,
        Some(other) => {
            let message = format!(
                "sort_by is '{other}'; users are sorted by user_id, user_email, created_at, \
                 spend, user_alias or user_role"
            );
            let error = Error::new(Code::BadRequest, message).param("sort_by");
            return Err(Refused::detail(error));
        }
    }))
}

impl UsersQuery {
    fn filter(&self) -> Filter {
        let several = |sent: &Sent<String>| {
            let texts = text(sent)?;
            let parts = texts.split(',').map(|part| part.trim().to_owned());
            Some(parts.filter(|part| !part.is_empty()).collect())
        };
        Filter {
            role: text(&self.role),
            email: text(&self.user_email),
            search: text(&self.search),
            ids: several(&self.user_ids),
            sso_subjects: several(&self.sso_user_ids),
            team_id: text(&self.team),
            organization_ids: several(&self.organization_ids),
        }
    }
}

/// A user after a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpdatedUser {
    user_id: String,
    data: UserObject,
}

/// Changes a user, named by `user_id` or by `user_email`. Never makes one.
#[utoipa::path(post, path = "/user/update", operation_id = "user_update", tag = "users", request_body = NewUser,
    responses((status = 200, body = UpdatedUser)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Object>,
) -> Result<Json<UpdatedUser>> {
    let user = change(&domain, &actor, &sent).await?;
    Ok(Json(UpdatedUser {
        user_id: user.row.id.clone(),
        data: UserObject::from(&user),
    }))
}

/// Changes the user whom a body names.
async fn change(domain: &Domain, actor: &Actor, sent: &Object) -> base::Result<UserView> {
    let mut body: UserBody = fields::read(Value::Object(sent.clone()), "body")?;
    let password = match body.password.0.clone().value() {
        None => None,
        Some(Value::String(password)) => Some(Secret::new(password)),
        Some(_) => {
            let error = Error::new(Code::BadRequest, "password must be text");
            return Err(error.param("password"));
        }
    };
    let selector = match (text(&body.user_id), text(&body.user_email)) {
        (Some(id), _) => Selector::Id(id),
        (None, Some(email)) => {
            body.user_email = Sent::default();
            Selector::Email(email)
        }
        (None, None) => {
            return Err(fields::broken(
                "Either user id or user email must be provided",
            ));
        }
    };
    let limits = key_fields(sent, domain.clock.now())?;
    let user = users::update(domain, actor, &selector, user_fields(body, limits)).await?;
    if let Some(password) = password {
        passwords::set(domain, actor, &user.row.id, password).await?;
        return users::view(domain, &user.row.id).await;
    }
    Ok(user)
}

/// Which users.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UserIds {
    #[schema(value_type = Vec<String>)]
    user_ids: Required<Vec<String>>,
}

/// Deletes users with their keys and memberships: all of them, or none if one is unknown. Answers
/// how many.
#[utoipa::path(post, path = "/user/delete", operation_id = "user_delete", tag = "users", request_body = UserIds,
    responses((status = 200, body = usize)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<UserIds>,
) -> Result<Json<usize>> {
    let deleted = users::delete(&domain, &actor, &sent.user_ids.0)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(deleted))
}

/// The roles that a user can have.
#[derive(Debug, Serialize, ToSchema)]
pub struct Roles {
    proxy_admin: RoleDescription,
    proxy_admin_viewer: RoleDescription,
    internal_user: RoleDescription,
    internal_user_viewer: RoleDescription,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RoleDescription {
    #[schema(value_type = String)]
    description: &'static str,
    #[schema(value_type = String)]
    ui_label: &'static str,
}

/// Explains the roles that a user can have.
#[utoipa::path(get, path = "/user/available_roles", operation_id = "user_available_roles", tag = "users",
    responses((status = 200, body = Roles)))]
pub async fn roles(_: Anyone) -> Json<Roles> {
    let role = |description, ui_label| RoleDescription {
        description,
        ui_label,
    };
    Json(Roles {
        proxy_admin: role(
            "administers the gateway: sees and changes everything",
            "Admin (All Permissions)",
        ),
        proxy_admin_viewer: role(
            "sees all keys and all spend, changes nothing",
            "Admin (View Only)",
        ),
        internal_user: role(
            "sees, makes and deletes their own keys, sees their own spend",
            "Internal User (Create/Delete/View)",
        ),
        internal_user_viewer: role(
            "sees their own keys and their own spend",
            "Internal User (View Only)",
        ),
    })
}
