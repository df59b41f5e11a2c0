//! Looking users up, counting them, and what new ones get (contract §4.1, §9.3).

use axum::extract::State;
use domain::{Domain, users};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::users::Filter;
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::fields::{Object, Sent};
use crate::page::{Page, Sizes};
use crate::spend::text;

/// Whom a form looks for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FindQuery {
    /// A part of the id or the address.
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
    /// A part of the address.
    #[param(value_type = Option<String>)]
    user_email: Sent<String>,
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    #[param(value_type = Option<i64>)]
    page_size: Sent<i64>,
}

/// A user by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundUser {
    user_id: String,
    user_email: Option<String>,
    user_alias: Option<String>,
}

/// Finds users by a part of their id or address: all for those who see everything, those of one's
/// teams for administrators of teams.
#[utoipa::path(get, path = "/user/filter/ui", operation_id = "user_filter", tag = "users",
    params(FindQuery), responses((status = 200, body = Vec<FoundUser>)))]
pub async fn find(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<FindQuery>,
) -> Result<Json<Vec<FoundUser>>> {
    let sizes = Sizes {
        name: "page_size",
        usual: 50,
        most: 100,
    };
    let page = Page::read(&query.page, &query.page_size, sizes)?;
    let filter = Filter {
        search: text(&query.user_id),
        email: text(&query.user_email),
        ..Filter::default()
    };
    let found = users::find(&domain, &actor, filter, (page.size, page.offset())).await?;
    let found = found.into_iter().map(|row| FoundUser {
        user_id: row.id,
        user_email: row.email,
        user_alias: row.alias,
    });
    Ok(Json(found.collect()))
}

/// How many users and teams there are, and may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct Seats {
    /// Always null: there is no limit.
    total_users: Option<i64>,
    total_teams: Option<i64>,
    total_users_used: i64,
    total_teams_used: i64,
    total_users_remaining: Option<i64>,
    total_teams_remaining: Option<i64>,
}

/// Counts users and teams; there may be any number of them.
#[utoipa::path(get, path = "/user/available_users", operation_id = "user_available_users", tag = "users",
    responses((status = 200, body = Seats)))]
pub async fn available(State(domain): State<Domain>, _: Anyone) -> Result<Json<Seats>> {
    let (total_users_used, total_teams_used) = users::count(&domain).await?;
    Ok(Json(Seats {
        total_users: None,
        total_teams: None,
        total_users_used,
        total_teams_used,
        total_users_remaining: None,
        total_teams_remaining: None,
    }))
}

/// What new users get, and how a form shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DefaultSettings {
    /// `user_role`, `max_budget`, `budget_duration`, `models` and `teams`.
    values: Object,
    field_schema: Object,
}

/// Shows what the configuration gives to new users (`default_internal_user_params`).
#[utoipa::path(get, path = "/get/internal_user_settings", operation_id = "internal_user_settings",
    tag = "users", responses((status = 200, body = DefaultSettings)))]
pub async fn default_settings(
    State(domain): State<Domain>,
    _: Anyone,
) -> Result<Json<DefaultSettings>> {
    let configured = &domain.config.default_user_params;
    let field = |name: &str, kind: &str, description: &str| {
        let mut schema = json!({"type": kind, "description": description});
        if kind == "array" {
            schema["items"] = json!({"type": "string"});
        }
        (name.to_owned(), schema)
    };
    let fields = [
        field("user_role", "string", "the role of new users"),
        field("max_budget", "number", "what each may spend, in dollars"),
        field(
            "budget_duration",
            "string",
            "how often that is reset, such as 30d",
        ),
        field("models", "array", "the models that they may use"),
        field("teams", "array", "the teams that they join"),
    ];
    let mut values: Object = fields
        .iter()
        .map(|(name, _)| {
            let value = configured.get(name).cloned();
            (name.clone(), value.unwrap_or_default())
        })
        .collect();
    if values["user_role"].is_null() {
        values.insert("user_role".to_owned(), users::DEFAULT_ROLE.as_str().into());
    }
    let schema = json!({
        "description": "what users get who are made without saying otherwise",
        "properties": fields.into_iter().collect::<Object>(),
    });
    Ok(Json(DefaultSettings {
        values,
        field_schema: match schema {
            Value::Object(schema) => schema,
            _ => Object::new(),
        },
    }))
}
