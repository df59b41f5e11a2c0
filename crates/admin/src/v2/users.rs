//! Accounts (the `/v2` API): one's own, and for administrators everybody's.

use axum::extract::State;
use base::{Code, Error, Secret};
use domain::conversations::owner;
use domain::users::{self, NewUser, Selector, UserFields};
use domain::{Actor, Domain, Patch, Role, passwords};
use serde::{Deserialize, Serialize};
use store::users::{Filter, Sort, UserRow};
use utoipa::ToSchema;

use super::login::{LONGEST, SHORTEST};
use super::{Detail, Message, PartQuery, check_length, must_be_person, naive, part};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path, Query};
use crate::fields::{Required, Sent};

/// The longest name and address.
const LONGEST_NAME: usize = 255;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2User)]
pub struct UserPublic {
    email: Option<String>,
    is_active: bool,
    is_superuser: bool,
    full_name: Option<String>,
    /// Always true: nobody subscribes here.
    has_subscription: bool,
    is_trial: bool,
    is_deactivated: bool,
    stripe_customer_id: Option<String>,
    id: String,
    created_at: Option<String>,
    signup_ip: Option<String>,
    tos_accepted_at: Option<String>,
    email_verified_at: Option<String>,
}

impl From<UserRow> for UserPublic {
    fn from(row: UserRow) -> UserPublic {
        UserPublic {
            email: row.email,
            is_active: !row.blocked,
            is_superuser: row.role.as_deref() == Some(Role::ProxyAdmin.as_str()),
            full_name: row.alias,
            has_subscription: true,
            is_trial: false,
            is_deactivated: row.blocked,
            stripe_customer_id: None,
            id: row.id,
            created_at: Some(naive(row.created_at)),
            signup_ip: None,
            tos_accepted_at: None,
            email_verified_at: None,
        }
    }
}

/// The account of whoever asks.
pub async fn public(domain: &Domain, actor: &Actor) -> base::Result<UserPublic> {
    let id = owner(actor)?;
    match users::seen(domain, actor, Some(id)).await {
        Ok(user) => Ok(user.row.into()),
        // the administrator of the configuration needs no account
        Err(error) if error.code() == Code::NotFound => Ok(UserPublic {
            email: None,
            is_active: true,
            is_superuser: actor.is_admin(),
            full_name: None,
            has_subscription: true,
            is_trial: false,
            is_deactivated: false,
            stripe_customer_id: None,
            id: id.to_owned(),
            created_at: None,
            signup_ip: None,
            tos_accepted_at: None,
            email_verified_at: None,
        }),
        Err(error) => Err(error),
    }
}

/// Shows one's own account.
#[utoipa::path(get, path = "/v2/users/me", operation_id = "v2_me", tag = "v2",
    responses((status = 200, body = UserPublic), (status = 401, body = Detail), (status = 403, body = Detail)))]
pub async fn me(State(domain): State<Domain>, actor: Anyone) -> Result<Json<UserPublic>> {
    Ok(Json(public(&domain, &actor).await?))
}

/// What changes of one's own account.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = V2OwnUpdate, example = json!({"full_name": "Ada Lovelace"}))]
pub struct OwnUpdate {
    #[schema(value_type = Option<String>)]
    full_name: Sent<String>,
    /// Another e-mail address, which asks for the current password: links that set a new one are mailed
    /// there.
    #[schema(value_type = Option<String>)]
    email: Sent<String>,
    #[schema(value_type = Option<String>)]
    current_password: Sent<String>,
}

/// Changes one's own name, and with the current password one's e-mail address.
#[utoipa::path(patch, path = "/v2/users/me", operation_id = "v2_update_me", tag = "v2", request_body = OwnUpdate,
    responses((status = 200, body = UserPublic), (status = 400, body = Detail), (status = 403, body = Detail),
        (status = 409, body = Detail), (status = 422, body = Detail)))]
pub async fn update_me(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<OwnUpdate>,
) -> Result<Json<UserPublic>> {
    must_be_person(&actor)?;
    check_name(&sent.full_name)?;
    let own = actor.user.as_ref().and_then(|user| user.email.clone());
    let email = sent.email.0.value().map(|email| email.trim().to_owned());
    // the address as it is changes nothing
    let email = email.filter(|email| Some(email.to_lowercase()) != own);
    let email = match email {
        None => None,
        Some(email) => {
            let current = sent.current_password.0.value().ok_or_else(|| {
                let message = "another e-mail address asks for `current_password`";
                Error::new(Code::BadRequest, message)
            })?;
            Some((email, Secret::new(current)))
        }
    };
    let updated = users::update_own(&domain, &actor, sent.full_name.0, email).await;
    Ok(Json(updated.map_err(told)?.row.into()))
}

/// Deletes one's own account with its keys, its keys at providers and its conversations. What was used
/// stays in the ledger.
#[utoipa::path(delete, path = "/v2/users/me", operation_id = "v2_delete_me", tag = "v2",
    responses((status = 200, body = Message), (status = 403, body = Detail)))]
pub async fn delete_me(State(domain): State<Domain>, actor: Anyone) -> Result<Json<Message>> {
    must_be_person(&actor)?;
    users::delete_own(&domain, &actor).await?;
    Ok(Json(Message {
        message: "User deleted successfully",
    }))
}

/// The password as it is and as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = V2PasswordChange)]
pub struct PasswordChange {
    #[schema(value_type = String)]
    current_password: Required<String>,
    #[schema(value_type = String)]
    new_password: Required<String>,
}

/// Changes one's own password. All sessions end, this one too.
#[utoipa::path(patch, path = "/v2/users/me/password", operation_id = "v2_change_password", tag = "v2",
    request_body = PasswordChange,
    responses((status = 200, body = Message), (status = 400, body = Detail), (status = 403, body = Detail),
        (status = 422, body = Detail), (status = 429, body = Detail)))]
pub async fn change_password(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<PasswordChange>,
) -> Result<Json<Message>> {
    must_be_person(&actor)?;
    let (current, new) = (sent.current_password.0, sent.new_password.0);
    check_length("current_password", &current, SHORTEST, LONGEST)?;
    check_length("new_password", &new, SHORTEST, LONGEST)?;
    let is_same = current == new;
    let current = Secret::new(current);
    if is_same {
        passwords::prove(&domain, &actor, current)
            .await
            .map_err(told)?;
        let message = "New password cannot be the same as the current one";
        return Err(Error::new(Code::BadRequest, message).into());
    }
    let changed = passwords::change(&domain, &actor, current, Secret::new(new)).await;
    changed.map_err(told)?;
    Ok(Json(Message {
        message: "Password updated successfully",
    }))
}

/// Errors of accounts in the words of this API.
fn told(error: Error) -> Error {
    match (error.code(), error.parameter()) {
        (Code::BadRequest, Some("current_password")) => {
            Error::new(Code::BadRequest, "Incorrect password")
        }
        (Code::Conflict, Some("user_email")) => {
            Error::new(Code::Conflict, "User with this email already exists")
        }
        (Code::NotFound, _) => Error::new(
            Code::NotFound,
            "The user with this id does not exist in the system",
        ),
        _ => error,
    }
}

fn check_name(name: &Sent<String>) -> base::Result<()> {
    match &name.0 {
        Patch::Value(name) => check_length("full_name", name, 0, LONGEST_NAME),
        Patch::Absent | Patch::Null => Ok(()),
    }
}

/// Accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Users)]
pub struct Users {
    data: Vec<UserPublic>,
    /// How many there are in all.
    count: i64,
}

/// Lists all accounts.
#[utoipa::path(get, path = "/v2/users", operation_id = "v2_users", tag = "v2", params(PartQuery),
    responses((status = 200, body = Users), (status = 403, body = Detail), (status = 422, body = Detail)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<PartQuery>,
) -> Result<Json<Users>> {
    let part = part(&query.skip, &query.limit)?;
    let order = (Sort::CreatedAt, false);
    let slice = (part.limit, part.skip);
    let listed = users::list(&domain, &actor, Filter::default(), order, slice).await?;
    let users = listed.users.into_iter();
    Ok(Json(Users {
        data: users.map(|user| user.row.into()).collect(),
        count: listed.total,
    }))
}

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = V2NewUser, example = json!({"email": "ada@example.com", "password": "a long passphrase"}))]
pub struct NewAccount {
    #[schema(value_type = String)]
    email: Required<String>,
    #[schema(value_type = String)]
    password: Required<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    full_name: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    is_superuser: Sent<bool>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    is_active: Sent<bool>,
}

/// Makes an account. Its owner can sign in at once.
#[utoipa::path(post, path = "/v2/users", operation_id = "v2_create_user", tag = "v2", request_body = NewAccount,
    responses((status = 200, body = UserPublic), (status = 400, body = Detail), (status = 403, body = Detail),
        (status = 422, body = Detail)))]
pub async fn create(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<NewAccount>,
) -> Result<Json<UserPublic>> {
    must_be_person(&actor)?;
    check_length("password", &sent.password.0, SHORTEST, LONGEST)?;
    check_length("email", &sent.email.0, 3, LONGEST_NAME)?;
    check_name(&sent.full_name)?;
    let password = Secret::new(sent.password.0);
    let shortest = domain.config.sign_in.shortest_password;
    passwords::check(&password, Some(&sent.email.0), shortest)?;
    let is_superuser = sent.is_superuser.0.value().unwrap_or(false);
    let new = NewUser {
        fields: UserFields {
            email: Patch::Value(sent.email.0),
            alias: sent.full_name.0,
            role: match is_superuser {
                true => Patch::Value(Role::ProxyAdmin),
                false => Patch::Absent,
            },
            blocked: sent.is_active.0.map(|is_active| !is_active),
            ..UserFields::default()
        },
        ..NewUser::default()
    };
    let created = users::create(&domain, &actor, new).await;
    let created = created.map_err(|error| match error.code() {
        Code::Conflict => Error::new(
            Code::BadRequest,
            "The user with this email already exists in the system.",
        ),
        _ => error,
    })?;
    passwords::set(&domain, &actor, &created.user.row.id, password).await?;
    Ok(Json(created.user.row.into()))
}

/// Shows an account: one's own, or anybody's to administrators.
#[utoipa::path(get, path = "/v2/users/{user_id}", operation_id = "v2_user", tag = "v2",
    params(("user_id" = String, Path)),
    responses((status = 200, body = UserPublic), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<UserPublic>> {
    let user = users::seen(&domain, &actor, Some(&id)).await;
    let user = user.map_err(|error| match error.code() {
        Code::Forbidden => Error::new(Code::Forbidden, "Accounts of others are for administrators"),
        _ => told(error),
    })?;
    Ok(Json(user.row.into()))
}

/// What changes of an account.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = V2UserUpdate, example = json!({"is_active": false}))]
pub struct AccountUpdate {
    #[schema(value_type = Option<String>)]
    email: Sent<String>,
    #[schema(value_type = Option<String>)]
    password: Sent<String>,
    #[schema(value_type = Option<String>)]
    full_name: Sent<String>,
    #[schema(value_type = Option<bool>)]
    is_superuser: Sent<bool>,
    #[schema(value_type = Option<bool>)]
    is_active: Sent<bool>,
}

/// Changes an account.
#[utoipa::path(patch, path = "/v2/users/{user_id}", operation_id = "v2_update_user", tag = "v2",
    params(("user_id" = String, Path)), request_body = AccountUpdate,
    responses((status = 200, body = UserPublic), (status = 400, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail), (status = 409, body = Detail), (status = 422, body = Detail)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(sent): Json<AccountUpdate>,
) -> Result<Json<UserPublic>> {
    must_be_person(&actor)?;
    check_name(&sent.full_name)?;
    let before = users::seen(&domain, &actor, Some(&id)).await;
    let before = before.map_err(told)?.row;
    let password = sent.password.0.value();
    if let Some(password) = &password {
        check_length("password", password, SHORTEST, LONGEST)?;
        let shortest = domain.config.sign_in.shortest_password;
        let secret = Secret::new(password.as_str());
        passwords::check(&secret, before.email.as_deref(), shortest)?;
    }
    let fields = UserFields {
        // an account keeps an address
        email: match sent.email.0 {
            Patch::Null => Patch::Absent,
            email => email,
        },
        alias: sent.full_name.0,
        role: role(&before, sent.is_superuser.0.value()),
        blocked: match sent.is_active.0 {
            Patch::Null => Patch::Absent,
            is_active => is_active.map(|is_active| !is_active),
        },
        ..UserFields::default()
    };
    let updated = users::update(&domain, &actor, &Selector::Id(id.clone()), fields).await;
    let updated = updated.map_err(told)?;
    if let Some(password) = password {
        passwords::set(&domain, &actor, &id, Secret::new(password)).await?;
    }
    Ok(Json(updated.row.into()))
}

/// The role of somebody who becomes, or ceases to be, an administrator; another role stays.
fn role(before: &UserRow, is_superuser: Option<bool>) -> Patch<Role> {
    let was = before.role.as_deref() == Some(Role::ProxyAdmin.as_str());
    match is_superuser {
        Some(true) => Patch::Value(Role::ProxyAdmin),
        Some(false) if was => Patch::Value(users::DEFAULT_ROLE),
        _ => Patch::Absent,
    }
}

/// Deletes an account, as its owner can.
#[utoipa::path(delete, path = "/v2/users/{user_id}", operation_id = "v2_delete_user", tag = "v2",
    params(("user_id" = String, Path)),
    responses((status = 200, body = Message), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<Message>> {
    must_be_person(&actor)?;
    if actor.user_id.as_ref() == Some(&id) {
        let message = "Super users are not allowed to delete themselves";
        return Err(Error::new(Code::Forbidden, message).into());
    }
    let deleted = users::delete(&domain, &actor, &[id]).await;
    deleted.map_err(|error| match error.code() {
        Code::NotFound => Error::new(Code::NotFound, "User not found"),
        _ => error,
    })?;
    Ok(Json(Message {
        message: "User deleted successfully",
    }))
}
