//! Models as Gemini's API lists them: <https://ai.google.dev/api/models>.

use axum::extract::State;
use base::{Code, Error};
use domain::model_facts::Facts;
use domain::{Domain, Patch, budgets, payers};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path, Query};
use crate::fields::Sent;

/// A page where the client does not say how long, and the longest, which longer ones are cut to.
const USUAL: usize = 50;
const MOST: usize = 1000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many models a page has, up to 1000; 50 where nothing is said.
    #[serde(rename = "pageSize", alias = "page_size")]
    #[param(value_type = Option<i64>)]
    size: Sent<i64>,
    /// The `nextPageToken` of the page before.
    #[serde(rename = "pageToken", alias = "page_token")]
    #[param(value_type = Option<String>)]
    token: Sent<String>,
}

/// A page of models.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GeminiModelList)]
#[serde(rename_all = "camelCase")]
pub struct ModelList {
    models: Vec<Model>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// A model by the name that calls use, behind `models/`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GeminiModel)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    name: String,
    #[schema(value_type = String)]
    version: &'static str,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_token_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_token_limit: Option<u64>,
    #[schema(value_type = Vec<String>)]
    supported_generation_methods: &'static [&'static str],
}

/// Lists the models that the key may call (Gemini's protocol).
#[utoipa::path(get, path = "/v1beta/models", operation_id = "gemini_models_list", tag = "models",
    params(ListQuery), responses((status = 200, body = ModelList)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ListQuery>,
) -> Result<Json<ModelList>> {
    budgets::check(&domain, &actor)?;
    let snapshot = domain.models.now();
    let names = payers::visible(&domain, &actor, &snapshot);
    let size = match query.size.0 {
        Patch::Absent | Patch::Null | Patch::Value(0) => USUAL,
        Patch::Value(size) => usize::try_from(size)
            .map_err(|_| wrong("pageSize", "pageSize must not be negative"))?
            .min(MOST),
    };
    let start = match &query.token.0 {
        Patch::Absent | Patch::Null => 0,
        Patch::Value(token) => match names.iter().position(|name| name == token) {
            Some(last) => last + 1,
            None => return Err(wrong("pageToken", "pageToken is of no page").into()),
        },
    };
    let end = names.len().min(start.saturating_add(size));
    let shown = &names[start..end];
    Ok(Json(ModelList {
        models: shown
            .iter()
            .map(|name| model(name, &super::facts(&domain, &actor, &snapshot, name)))
            .collect(),
        next_page_token: shown.last().filter(|_| end < names.len()).cloned(),
    }))
}

/// Shows one model that the key may call (Gemini's protocol).
#[utoipa::path(get, path = "/v1beta/models/{*model_id}", operation_id = "gemini_models_retrieve", tag = "models",
    params(("model_id" = String, Path)), responses((status = 200, body = Model)))]
pub async fn retrieve(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<Model>> {
    let facts = super::find(&domain, &actor, &id)?;
    Ok(Json(model(&id, &facts)))
}

fn model(id: &str, facts: &Facts) -> Model {
    Model {
        name: format!("models/{id}"),
        version: "001",
        display_name: id.to_owned(),
        input_token_limit: facts.max_input_tokens,
        output_token_limit: facts.max_output_tokens,
        supported_generation_methods: methods(facts.mode.as_deref()),
    }
}

/// What the gateway does with such a model in Gemini's protocol; of one of which nothing is known it is
/// taken that it chats.
fn methods(mode: Option<&str>) -> &'static [&'static str] {
    match mode {
        None | Some("chat" | "responses" | "completion") => {
            &["generateContent", "streamGenerateContent", "countTokens"]
        }
        Some("embedding") => &["embedContent", "batchEmbedContents"],
        Some(_) => &[],
    }
}

fn wrong(field: &'static str, message: &'static str) -> Error {
    Error::new(Code::InvalidRequest, message).param(field)
}
