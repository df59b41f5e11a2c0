//! Named plans of budgets, which keys, users, teams and members follow by `budget_id` (contract §12).

use std::collections::BTreeMap;

use axum::extract::State;
use base::{Code, Error, Millis, Money};
use domain::plans::{self, PlanFields};
use domain::{Domain, Patch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::budget_plans::BudgetPlanRow;
use utoipa::{IntoParams, ToSchema};

use crate::budgets::{self, ModelBudget, ModelField};
use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{self, Amount, Object, Required, Sent};

/// The limits of a plan.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct PlanBody {
    /// A fresh one if not given.
    #[schema(value_type = Option<String>)]
    budget_id: Sent<String>,
    /// Dollars that each follower may spend, in each period of `budget_duration` where one is given.
    #[schema(value_type = Option<f64>)]
    max_budget: Sent<Amount>,
    /// Dollars above which is told, and nothing refused.
    #[schema(value_type = Option<f64>)]
    soft_budget: Sent<Amount>,
    /// How often spend is reset, such as `30d`.
    #[schema(value_type = Option<String>)]
    budget_duration: Sent<String>,
    /// When the current period ends; by default `budget_duration` says.
    #[schema(value_type = Option<String>)]
    budget_reset_at: Sent<String>,
    /// Requests per minute.
    #[schema(value_type = Option<i64>)]
    rpm_limit: Sent<i64>,
    /// Tokens per minute.
    #[schema(value_type = Option<i64>)]
    tpm_limit: Sent<i64>,
    /// Tokens per day.
    #[schema(value_type = Option<i64>)]
    tpd_limit: Sent<i64>,
    #[schema(value_type = Option<i64>)]
    max_parallel_requests: Sent<i64>,
    /// Budgets of single models.
    #[schema(value_type = Option<BTreeMap<String, ModelBudget>>)]
    model_max_budget: Sent<Object>,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanObject {
    budget_id: String,
    #[schema(value_type = Option<f64>)]
    max_budget: Option<Money>,
    #[schema(value_type = Option<f64>)]
    soft_budget: Option<Money>,
    max_parallel_requests: Option<i64>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    tpd_limit: Option<i64>,
    #[schema(value_type = Option<BTreeMap<String, ModelBudget>>)]
    model_max_budget: Option<Object>,
    budget_duration: Option<String>,
    budget_reset_at: Option<String>,
    /// Always empty: models are limited where the follower is.
    allowed_models: Vec<String>,
    #[schema(value_type = Option<f64>)]
    temp_budget_increase: Option<Money>,
    temp_budget_expiry: Option<String>,
    created_at: String,
    created_by: Option<String>,
    updated_at: String,
    updated_by: Option<String>,
    /// Always null: followers name the plan, not the other way round.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    followers: Object,
}

impl From<&BudgetPlanRow> for PlanObject {
    fn from(plan: &BudgetPlanRow) -> PlanObject {
        const FOLLOWERS: [&str; 8] = [
            "organization",
            "projects",
            "keys",
            "end_users",
            "tags",
            "model_access_groups",
            "team_membership",
            "organization_membership",
        ];
        let models = Some(plan.model_budgets.0.clone());
        PlanObject {
            budget_id: plan.id.clone(),
            max_budget: plan.max_budget,
            soft_budget: plan.soft_budget,
            max_parallel_requests: plan.max_parallel_requests,
            tpm_limit: plan.tpm_limit,
            rpm_limit: plan.rpm_limit,
            tpd_limit: plan.tpd_limit,
            model_max_budget: models.filter(|models| !models.is_empty()),
            budget_duration: plan.period.clone(),
            budget_reset_at: plan.resets_at.map(Millis::to_rfc3339),
            allowed_models: Vec::new(),
            temp_budget_increase: None,
            temp_budget_expiry: None,
            created_at: plan.created_at.to_rfc3339(),
            created_by: plan.created_by.clone(),
            updated_at: plan.updated_at.to_rfc3339(),
            updated_by: plan.updated_by.clone(),
            followers: FOLLOWERS
                .iter()
                .map(|name| (name.to_string(), Value::Null))
                .collect(),
        }
    }
}

/// `litellm_budget_table` of whatever follows a plan.
pub fn table(plan: &BudgetPlanRow) -> Value {
    serde_json::to_value(PlanObject::from(plan)).unwrap_or_default()
}

fn read(body: &PlanBody) -> base::Result<PlanFields> {
    let limits = budgets::patch(&body.max_budget, &body.soft_budget, &body.budget_duration)?;
    // whoever follows is held to them, so that they are read here as they are there
    if let Patch::Value(models) = &body.model_max_budget.0 {
        let sent = json!({"model_max_budget": models});
        let sent: Models = fields::read(sent, "body")?;
        budgets::models(&sent.model_max_budget)?;
    }
    let moment = |text: String| {
        Millis::parse(&text).ok_or_else(|| {
            let message =
                format!("budget_reset_at '{text}' is not a time: write 2030-01-31T00:00:00Z");
            Error::new(Code::BadRequest, message).param("budget_reset_at")
        })
    };
    Ok(PlanFields {
        max_budget: limits.max_budget,
        soft_budget: limits.soft_budget,
        period: limits.duration,
        resets_at: body.budget_reset_at.0.clone().try_map(moment)?,
        rpm_limit: body.rpm_limit.0.clone(),
        tpm_limit: body.tpm_limit.0.clone(),
        tpd_limit: body.tpd_limit.0.clone(),
        max_parallel_requests: body.max_parallel_requests.0.clone(),
        models: body.model_max_budget.0.clone(),
    })
}

#[derive(Deserialize)]
struct Models {
    model_max_budget: Sent<BTreeMap<String, ModelField>>,
}

/// Makes a plan of budgets that others can follow.
#[utoipa::path(post, path = "/budget/new", operation_id = "budget_new", tag = "budgets",
    request_body = PlanBody, responses((status = 200, body = PlanObject)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<PlanBody>,
) -> Result<Json<PlanObject>> {
    let fields = read(&body)?;
    let id = body.budget_id.0.value().filter(|id| !id.is_empty());
    let made = plans::create(&domain, &actor, id, fields).await;
    let plan = made.map_err(Refused::detail)?;
    Ok(Json(PlanObject::from(&plan)))
}

/// Changes a plan, and with it the limits of all that follow it. Null where there is no such plan.
#[utoipa::path(post, path = "/budget/update", operation_id = "budget_update", tag = "budgets",
    request_body = PlanBody, responses((status = 200, body = Option<PlanObject>)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<PlanBody>,
) -> Result<Json<Option<PlanObject>>> {
    let fields = read(&body)?;
    let Some(id) = body.budget_id.0.value().filter(|id| !id.is_empty()) else {
        let error = Error::new(Code::BadRequest, "budget_id is required");
        return Err(Refused::detail(error.param("budget_id")));
    };
    let changed = plans::update(&domain, &actor, &id, fields).await?;
    Ok(Json(changed.as_ref().map(PlanObject::from)))
}

/// Plans to be shown.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PlanIds {
    #[schema(value_type = Vec<String>)]
    budgets: Required<Vec<String>>,
}

/// Shows plans; those that do not exist are left out.
#[utoipa::path(post, path = "/budget/info", operation_id = "budget_info", tag = "budgets",
    request_body = PlanIds, responses((status = 200, body = Vec<PlanObject>)))]
pub async fn info(
    State(domain): State<Domain>,
    _: Anyone,
    Json(body): Json<PlanIds>,
) -> Result<Json<Vec<PlanObject>>> {
    let ids = body.budgets.0;
    if ids.is_empty() {
        let message = "Specify list of budget id's to query. Passed in=[]";
        return Err(Refused::detail(
            Error::new(Code::BadRequest, message).param("budgets"),
        ));
    }
    let found = plans::find(&domain, &ids).await?;
    Ok(Json(found.iter().map(PlanObject::from).collect()))
}

/// Lists all plans.
#[utoipa::path(get, path = "/budget/list", operation_id = "budget_list", tag = "budgets",
    responses((status = 200, body = Vec<PlanObject>)))]
pub async fn list(State(domain): State<Domain>, _: Anyone) -> Result<Json<Vec<PlanObject>>> {
    let all = plans::list(&domain).await?;
    Ok(Json(all.iter().map(PlanObject::from).collect()))
}

/// Which plan is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PlanQuery {
    #[param(value_type = String)]
    budget_id: Required<String>,
}

/// A field of a plan, for forms.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanField {
    field_name: &'static str,
    /// `Float`, `Integer`, `String` or `Object`.
    field_type: &'static str,
    field_description: &'static str,
    field_value: Value,
    stored_in_db: bool,
    field_default_value: Value,
    premium_field: bool,
    nested_fields: Value,
    field_options: Value,
    field_tab: Value,
    source: &'static str,
    editable: bool,
}

/// Describes the fields of a plan with their values, for forms.
#[utoipa::path(get, path = "/budget/settings", operation_id = "budget_settings", tag = "budgets",
    params(PlanQuery), responses((status = 200, body = Vec<PlanField>)))]
pub async fn settings(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<PlanQuery>,
) -> Result<Json<Vec<PlanField>>> {
    let found = plans::find(&domain, std::slice::from_ref(&query.budget_id.0)).await?;
    let plan = found.first().map(PlanObject::from);
    let value = |read: fn(&PlanObject) -> Value| plan.as_ref().map_or(Value::Null, read);
    let field = |field_name, field_type, field_description, field_value| PlanField {
        field_name,
        field_type,
        field_description,
        field_value,
        stored_in_db: plan.is_some(),
        field_default_value: Value::Null,
        premium_field: false,
        nested_fields: Value::Null,
        field_options: Value::Null,
        field_tab: Value::Null,
        source: "unset",
        editable: true,
    };
    Ok(Json(vec![
        field(
            "max_budget",
            "Float",
            "dollars; calls are refused beyond",
            value(|plan| json!(plan.max_budget)),
        ),
        field(
            "soft_budget",
            "Float",
            "dollars; told beyond, and nothing refused",
            value(|plan| json!(plan.soft_budget)),
        ),
        field(
            "max_parallel_requests",
            "Integer",
            "requests at the same time",
            value(|plan| json!(plan.max_parallel_requests)),
        ),
        field(
            "tpm_limit",
            "Integer",
            "tokens per minute",
            value(|plan| json!(plan.tpm_limit)),
        ),
        field(
            "rpm_limit",
            "Integer",
            "requests per minute",
            value(|plan| json!(plan.rpm_limit)),
        ),
        field(
            "tpd_limit",
            "Integer",
            "tokens per day",
            value(|plan| json!(plan.tpd_limit)),
        ),
        field(
            "budget_duration",
            "String",
            "how often spend is reset, such as 1d or 30d",
            value(|plan| json!(plan.budget_duration)),
        ),
        field(
            "model_max_budget",
            "Object",
            "budgets of single models, such as {\"gpt-4o\": {\"max_budget\": 1, \"budget_duration\": \"1d\"}}",
            value(|plan| json!(plan.model_max_budget)),
        ),
    ]))
}

/// A plan to be deleted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PlanId {
    #[schema(value_type = String)]
    id: Required<String>,
}

/// Deletes a plan. Who followed it keeps its limits as their own. Null where there is no such plan.
#[utoipa::path(post, path = "/budget/delete", operation_id = "budget_delete", tag = "budgets",
    request_body = PlanId, responses((status = 200, body = Option<PlanObject>)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<PlanId>,
) -> Result<Json<Option<PlanObject>>> {
    let deleted = plans::delete(&domain, &actor, &body.id.0).await?;
    Ok(Json(deleted.as_ref().map(PlanObject::from)))
}
