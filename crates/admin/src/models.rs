//! Models made through the API: new, update, delete (contract §16.1–16.3).

use axum::extract::State;
use domain::Domain;
use domain::models::{self, Changes, New};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::deployments::DeploymentRow;
use utoipa::ToSchema;

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path};
use crate::fields::{Object, Required, Sent};

/// A model to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewModel {
    /// The name that clients ask for; may hold a `*`.
    #[schema(value_type = String)]
    model_name: Required<String>,
    /// `model` (`provider/model`), and `api_key`, `api_base`, `rpm`, prices …
    #[schema(value_type = Object)]
    litellm_params: Required<Object>,
    /// `id`, `mode`, `base_model`, `access_groups`, `team_id`, prices …
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    model_info: Sent<Object>,
}

/// What is to change of a model. A member that is null is cleared, one that is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ModelChanges {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    model_name: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    litellm_params: Sent<Object>,
    /// `id` names the model, where the path does not.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    model_info: Sent<Object>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    blocked: Sent<bool>,
}

/// Names a model.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ModelId {
    #[schema(value_type = String)]
    id: Required<String>,
}

/// A model as it is stored. Secrets are masked.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoredModel {
    model_id: String,
    model_name: String,
    #[schema(value_type = Object)]
    litellm_params: Object,
    #[schema(value_type = Object)]
    model_info: Object,
    blocked: bool,
    created_at: String,
    created_by: Option<String>,
    updated_at: String,
    updated_by: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelDeleted {
    message: String,
}

impl From<DeploymentRow> for StoredModel {
    fn from(row: DeploymentRow) -> StoredModel {
        let mut model_info = row.info.0.clone();
        model_info.insert("db_model".to_owned(), true.into());
        StoredModel {
            litellm_params: models::masked(&row),
            model_info,
            model_id: row.id,
            model_name: row.model_name,
            blocked: row.blocked,
            created_at: row.created_at.to_rfc3339(),
            created_by: row.created_by,
            updated_at: row.updated_at.to_rfc3339(),
            updated_by: row.updated_by,
        }
    }
}

/// Makes a model. Models of the same name share its calls.
#[utoipa::path(post, path = "/model/new", operation_id = "model_new", tag = "models", request_body = NewModel,
    responses((status = 200, body = StoredModel)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(new): Json<NewModel>,
) -> Result<Json<StoredModel>> {
    let new = New {
        model_name: new.model_name.0,
        params: new.litellm_params.0,
        info: new.model_info.0.value().unwrap_or_default(),
    };
    let row = models::create(&domain, &actor, new).await?;
    Ok(Json(row.into()))
}

/// Changes a model, named by `model_info.id`.
#[utoipa::path(post, path = "/model/update", operation_id = "model_update", tag = "models", request_body = ModelChanges,
    responses((status = 200, body = StoredModel)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(changes): Json<ModelChanges>,
) -> Result<Json<StoredModel>> {
    let info = changes.model_info.0.as_ref().value();
    let id = info.and_then(|info| info.get("id")).and_then(Value::as_str);
    let Some(id) = id.map(str::to_owned) else {
        return Err(missing_id().into());
    };
    change(&domain, &actor, &id, changes).await
}

/// Changes a model.
#[utoipa::path(patch, path = "/model/{model_id}/update", operation_id = "model_patch", tag = "models",
    params(("model_id" = String, Path)), request_body = ModelChanges,
    responses((status = 200, body = StoredModel)))]
pub async fn patch(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(changes): Json<ModelChanges>,
) -> Result<Json<StoredModel>> {
    change(&domain, &actor, &id, changes).await
}

async fn change(
    domain: &Domain,
    actor: &Anyone,
    id: &str,
    changes: ModelChanges,
) -> Result<Json<StoredModel>> {
    let changes = Changes {
        model_name: changes.model_name.0.value(),
        params: changes.litellm_params.0.value().unwrap_or_default(),
        info: changes.model_info.0.value().unwrap_or_default(),
        blocked: changes.blocked.0.value(),
    };
    let row = models::update(domain, actor, id, changes).await?;
    Ok(Json(row.into()))
}

/// Deletes a model.
#[utoipa::path(post, path = "/model/delete", operation_id = "model_delete", tag = "models", request_body = ModelId,
    responses((status = 200, body = ModelDeleted)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(model): Json<ModelId>,
) -> Result<Json<ModelDeleted>> {
    let id = model.id.0;
    models::delete(&domain, &actor, &id).await?;
    Ok(Json(ModelDeleted {
        message: format!("Model: {id} deleted successfully"),
    }))
}

fn missing_id() -> base::Error {
    let mut wrong = crate::fields::Wrong::new("missing", "Field required");
    wrong.place = vec!["model_info".into(), "id".into()];
    crate::fields::invalid("body", wrong)
}
