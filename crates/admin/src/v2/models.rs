//! Models (the `/v2` API): what the caller can use now, and what a key of theirs would open.

use axum::extract::State;
use base::{Code, Error};
use domain::llm_models::{self, Callable, LlmModel};
use domain::{Actor, Domain, Patch};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Detail, part};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path, Query};
use crate::fields::Sent;

/// A model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Model, example = json!({
    "name": "claude-sonnet-4-5", "model_id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5",
    "input_token_price": 3.0, "output_token_price": 15.0, "max_tokens": 64000, "is_active": true,
    "id": "b5d0e9a8-54cb-5d9e-b8a5-1d6b42c3c1d0", "provider_id": "1f6a4f0e-3c39-5b6b-9c4e-8d1d0e0f6a2b",
    "provider": "anthropic", "key_source": "personal", "context_window": 200000, "max_output_tokens": 64000}))]
pub struct Model {
    name: String,
    /// The provider's name of it.
    model_id: String,
    display_name: String,
    /// Dollars for a million tokens, at the provider's list price.
    input_token_price: f64,
    output_token_price: f64,
    max_tokens: u64,
    /// The caller can use it now.
    is_active: bool,
    /// The same in every installation.
    id: String,
    provider_id: String,
    #[schema(value_type = Option<String>)]
    provider: Option<&'static str>,
    /// Whose key would pay: `personal`, `system`, or null where there is none.
    #[schema(value_type = Option<String>)]
    key_source: Option<&'static str>,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
}

impl From<LlmModel> for Model {
    fn from(model: LlmModel) -> Model {
        let [input_token_price, output_token_price] = model.prices();
        let source = |callable: &Callable| callable.key_source.as_str();
        Model {
            input_token_price,
            output_token_price,
            max_tokens: model.max_tokens(),
            is_active: model.is_active(),
            id: model.id.to_string(),
            provider_id: llm_models::provider_id(model.provider).to_string(),
            provider: Some(llm_models::shown_provider(model.provider)),
            key_source: model.callable.as_ref().map(source),
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            name: model.name,
            model_id: model.model_id,
            display_name: model.display_name,
        }
    }
}

/// Models.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Models)]
pub struct Models {
    data: Vec<Model>,
    /// How many match in all.
    count: usize,
}

/// Which models.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ModelQuery {
    /// `true`: those that the caller can use now; `false`: the others; all if not given.
    #[param(value_type = Option<bool>, example = true)]
    is_active: Sent<bool>,
    /// Of this provider.
    #[param(value_type = Option<String>, example = "anthropic")]
    provider: Sent<String>,
    /// Part of a name or of a provider's, in any case.
    #[param(value_type = Option<String>, example = "sonnet")]
    q: Sent<String>,
    /// How many entries come before, 0 if not given.
    #[param(value_type = Option<i64>)]
    skip: Sent<i64>,
    /// How many entries there are at the most, 100 if not given; up to 1000.
    #[param(value_type = Option<i64>)]
    limit: Sent<i64>,
}

/// Lists models, by provider and name.
#[utoipa::path(get, path = "/v2/llm-models", operation_id = "v2_models", tag = "v2", params(ModelQuery),
    responses((status = 200, body = Models), (status = 401, body = Detail), (status = 422, body = Detail)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ModelQuery>,
) -> Result<Json<Models>> {
    let part = part(&query.skip, &query.limit)?;
    let mut models = of(&domain, &actor);
    if let Patch::Value(is_active) = query.is_active.0 {
        models.retain(|model| model.is_active() == is_active);
    }
    if let Some(provider) = query.provider.0.value() {
        let wanted = llm_models::find_provider(provider.trim());
        models.retain(|model| Some(model.provider.name) == wanted.map(|wanted| wanted.name));
    }
    if let Some(text) = query.q.0.value() {
        let text = text.trim().to_lowercase();
        models.retain(|model| has(model, &text));
    }
    let from = |number| usize::try_from(number).unwrap_or(0);
    let count = models.len();
    let shown = models
        .into_iter()
        .skip(from(part.skip))
        .take(from(part.limit));
    Ok(Json(Models {
        data: shown.map(Model::from).collect(),
        count,
    }))
}

fn of(domain: &Domain, actor: &Actor) -> Vec<LlmModel> {
    llm_models::list(domain, &actor.caller)
}

fn has(model: &LlmModel, text: &str) -> bool {
    let provider = llm_models::shown_provider(model.provider);
    [&model.name, &model.model_id, &model.display_name]
        .into_iter()
        .any(|name| name.to_lowercase().contains(text))
        || provider.contains(text)
}

/// Shows one model, by its id, its provider's name of it, or its short name.
#[utoipa::path(get, path = "/v2/llm-models/{*model_id}", operation_id = "v2_model", tag = "v2",
    params(("model_id" = String, Path, example = "gpt-4o")),
    responses((status = 200, body = Model), (status = 401, body = Detail), (status = 404, body = Detail)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(text): Path<String>,
) -> Result<Json<Model>> {
    let model = llm_models::find(&domain, &actor.caller, &text)
        .ok_or_else(|| Error::new(Code::NotFound, "Model not found"))?;
    Ok(Json(model.into()))
}
