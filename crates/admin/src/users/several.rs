//! Changing many users at once (contract §9.4).

use axum::extract::State;
use base::{Code, Error};
use domain::{Domain, users};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{UserObject, change};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::Json;
use crate::fields::{Object, Sent, broken};

/// How many users are changed at once.
const MOST: i64 = 500;

/// Changes of several users, or one for all of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ChangeUsers {
    /// Each as `/user/update` takes it; at most 500.
    #[schema(value_type = Option<Vec<Object>>)]
    users: Sent<Vec<Object>>,
    /// Everybody, at most 500.
    #[schema(value_type = Option<bool>)]
    all_users: Sent<bool>,
    /// What is changed of all of them.
    #[schema(value_type = Option<Object>)]
    user_updates: Sent<Object>,
}

/// What became of each change.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedUsers {
    results: Vec<ChangedUser>,
    total_requested: usize,
    successful_updates: usize,
    failed_updates: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedUser {
    user_id: Option<String>,
    user_email: Option<String>,
    success: bool,
    error: Option<String>,
    updated_user: Option<UserObject>,
}

/// Changes several users, each by itself: one who cannot be changed leaves the others alone.
#[utoipa::path(post, path = "/user/bulk_update", operation_id = "user_bulk_update", tag = "users",
    request_body = ChangeUsers, responses((status = 200, body = ChangedUsers)))]
pub async fn update_several(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<ChangeUsers>,
) -> Result<Json<ChangedUsers>> {
    let changes = changes(&domain, sent).await?;
    let mut results = Vec::with_capacity(changes.len());
    for sent in changes {
        let said = |name: &str| sent.get(name).and_then(Value::as_str).map(str::to_owned);
        let result = match change(&domain, &actor, &sent).await {
            Ok(user) => ChangedUser {
                user_id: Some(user.row.id.clone()),
                user_email: user.row.email.clone(),
                success: true,
                error: None,
                updated_user: Some(UserObject::from(&user)),
            },
            Err(error) => ChangedUser {
                user_id: said("user_id"),
                user_email: said("user_email"),
                success: false,
                error: Some(error.message().to_owned()),
                updated_user: None,
            },
        };
        results.push(result);
    }
    let successful = results.iter().filter(|result| result.success).count();
    Ok(Json(ChangedUsers {
        total_requested: results.len(),
        successful_updates: successful,
        failed_updates: results.len() - successful,
        results,
    }))
}

/// The bodies of the single changes.
async fn changes(domain: &Domain, sent: ChangeUsers) -> base::Result<Vec<Object>> {
    let all = sent.all_users.0.value().unwrap_or_default();
    match (sent.users.0.value(), all, sent.user_updates.0.value()) {
        (Some(users), false, None) if !users.is_empty() => {
            match i64::try_from(users.len()).is_ok_and(|count| count <= MOST) {
                true => Ok(users),
                false => Err(Error::new(
                    Code::BadRequest,
                    format!("at most {MOST} users at once, not {}", users.len()),
                )
                .param("users")),
            }
        }
        (None, true, Some(update)) => {
            let ids = users::all_ids(domain, MOST).await?;
            let of = |id: String| {
                let mut update = update.clone();
                // one address is nobody's and everybody's
                update.remove("user_email");
                update.insert("user_id".to_owned(), id.into());
                update
            };
            Ok(ids.into_iter().map(of).collect())
        }
        _ => Err(broken(
            "Must specify either 'users' for individual updates or 'all_users=True' with \
             'user_updates' for bulk updates",
        )),
    }
}
