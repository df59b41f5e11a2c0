//! What is known of models: limits, prices, abilities (contract §16.4, §16.5).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use base::{Code, Error};
use domain::deployment::{Chosen, Deployment, Target};
use domain::model_facts::{self, Facts};
use domain::snapshot::Snapshot;
use domain::{Actor, Domain, access};
use llm::price::PriceRecord;
use llm::usage::Bucket;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{Object, Sent};
use crate::page::{Page, Sizes};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct InfoQuery {
    /// Only the deployment with this id.
    #[param(value_type = Option<String>)]
    litellm_model_id: Sent<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    #[param(value_type = Option<i64>)]
    size: Sent<i64>,
    /// Only deployments whose public name holds this text.
    #[param(value_type = Option<String>)]
    search: Sent<String>,
    /// Only deployments of this public name.
    #[param(value_type = Option<String>)]
    model: Sent<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct GroupQuery {
    /// Only this public name.
    #[param(value_type = Option<String>)]
    model_group: Sent<String>,
}

/// Deployments that the key may call.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelInfos {
    data: Vec<ModelInfo>,
}

/// A page of deployments.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelInfoPage {
    data: Vec<ModelInfo>,
    total_count: i64,
    current_page: i64,
    total_pages: i64,
    size: i64,
}

/// A deployment, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelInfo {
    model_name: String,
    #[schema(value_type = Object)]
    litellm_params: Object,
    #[schema(value_type = Object)]
    model_info: Object,
}

/// Public names with what is known of their deployments together.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelGroups {
    #[schema(value_type = Vec<Object>)]
    data: Vec<Value>,
}

/// Shows the deployments that the key may call.
#[utoipa::path(get, path = "/v1/model/info", operation_id = "model_info_info", tag = "models", params(InfoQuery),
    responses((status = 200, body = ModelInfos)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<InfoQuery>,
) -> Result<Json<ModelInfos>> {
    infos(&domain, &actor, query)
}

/// The same without `/v1`.
#[utoipa::path(get, path = "/model/info", operation_id = "model_info_info_unversioned", tag = "models", params(InfoQuery),
    responses((status = 200, body = ModelInfos)))]
pub async fn info_unversioned(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<InfoQuery>,
) -> Result<Json<ModelInfos>> {
    infos(&domain, &actor, query)
}

/// Shows the deployments that the key may call, page by page.
#[utoipa::path(get, path = "/v2/model/info", operation_id = "model_info_info_page", tag = "models", params(PageQuery),
    responses((status = 200, body = ModelInfoPage)))]
pub async fn info_page(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<PageQuery>,
) -> Result<Json<ModelInfoPage>> {
    let sizes = Sizes {
        name: "size",
        usual: 50,
        most: 1000,
    };
    let page = Page::read(&query.page, &query.size, sizes)?;
    let snapshot = domain.models.now();
    let search = query.search.0.value().unwrap_or_default().to_lowercase();
    let model = query.model.0.value();
    let mut found = visible(&actor, &snapshot);
    found.retain(|deployment| {
        deployment.model_name.to_lowercase().contains(&search)
            && model
                .as_ref()
                .is_none_or(|model| *model == deployment.model_name)
    });
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let (offset, size) = (page.offset(), page.size);
    let shown = found
        .iter()
        .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        .take(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(Json(ModelInfoPage {
        data: shown
            .map(|deployment| described(&actor, &snapshot, deployment))
            .collect(),
        total_count: total,
        current_page: page.number,
        total_pages: page.count(total),
        size,
    }))
}

fn infos(domain: &Domain, actor: &Actor, query: InfoQuery) -> Result<Json<ModelInfos>> {
    let snapshot = domain.models.now();
    let mut found = visible(actor, &snapshot);
    if let Some(id) = query.litellm_model_id.0.value() {
        found.retain(|deployment| deployment.id == id);
        if found.is_empty() {
            return Err(Refused::detail(Error::new(
                Code::BadRequest,
                format!("Model id = {id} not found on litellm proxy"),
            )));
        }
    }
    let data = found
        .iter()
        .map(|deployment| described(actor, &snapshot, deployment))
        .collect();
    Ok(Json(ModelInfos { data }))
}

/// The deployments that a caller may call, in the order of their names; administrators see all.
pub fn visible(actor: &Actor, snapshot: &Snapshot) -> Vec<Arc<Deployment>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let names = snapshot.names.iter().chain(&snapshot.wildcards);
    let named = names.flat_map(|name| {
        let group = &snapshot.groups[name];
        group
            .iter()
            .filter(move |_| actor.sees_all() || access::check_model(actor, snapshot, name).is_ok())
    });
    let rest = snapshot.deployments.values().filter(|deployment| {
        let own = deployment
            .team_id
            .as_deref()
            .is_some_and(|id| Some(id) == actor.team_id());
        actor.sees_all()
            || (own
                && !deployment.is_blocked
                && access::check_model(actor, snapshot, &deployment.model_name).is_ok())
    });
    for deployment in named.chain(rest) {
        if seen.insert(deployment.id.clone()) {
            found.push(Arc::clone(deployment));
        }
    }
    found
}

fn described(actor: &Actor, snapshot: &Snapshot, deployment: &Arc<Deployment>) -> ModelInfo {
    let facts = model_facts::of(&chosen(deployment));
    let mut info = deployment.info.clone();
    let mut add = |name: &str, value: Value| drop(info.insert(name.to_owned(), value));
    add("id", deployment.id.as_str().into());
    add("db_model", (!deployment.is_configured).into());
    add("blocked", deployment.is_blocked.into());
    add("key", facts.key.into());
    add("mode", facts.mode.clone().into());
    add("max_tokens", facts.max_output_tokens.into());
    add("max_input_tokens", facts.max_input_tokens.into());
    add("max_output_tokens", facts.max_output_tokens.into());
    add("litellm_provider", facts.provider.into());
    let teams: Vec<&str> = actor.team_id().into_iter().collect();
    let is_direct = deployment.team_id.is_none()
        && (actor.sees_all()
            || access::check_model(actor, snapshot, &deployment.model_name).is_ok());
    add("direct_access", is_direct.into());
    add("access_via_team_ids", teams.into());
    for name in ["input_cost_per_token", "output_cost_per_token"] {
        add(name, Value::Null);
    }
    let prices = facts.price.as_deref().map(llm::overrides::names);
    for (name, dollars) in prices.into_iter().flatten() {
        add(&name, dollars.into());
    }
    for (capability, name) in CAPABILITIES {
        let known = facts.key.map(|_| facts.capabilities.contains(capability));
        add(name, known.into());
    }
    add("supported_openai_params", supported(&facts).into());
    ModelInfo {
        model_name: deployment.model_name.clone(),
        litellm_params: params(actor, deployment),
        model_info: info,
    }
}

/// The parameters without what is secret; where a model stands is for administrators.
fn params(actor: &Actor, deployment: &Deployment) -> Object {
    let mut params = deployment.params.clone();
    if !actor.sees_all() {
        for name in ["api_base", "base_url", "organization"] {
            params.remove(name);
        }
    }
    params
}

fn chosen(deployment: &Arc<Deployment>) -> Chosen {
    let model = match &deployment.target {
        Target::Upstream(upstream) => upstream.model.clone(),
        Target::Mock(_) | Target::Demo => deployment.model_name.clone(),
    };
    Chosen {
        deployment: Arc::clone(deployment),
        model,
        price: deployment.price.clone(),
        payer: None,
    }
}

/// The catalogue's words for abilities, and LiteLLM's.
const CAPABILITIES: &[(&str, &str)] = &[
    ("assistant_prefill", "supports_assistant_prefill"),
    ("audio_input", "supports_audio_input"),
    ("audio_output", "supports_audio_output"),
    ("computer_use", "supports_computer_use"),
    ("json_schema", "supports_response_schema"),
    ("parallel_tools", "supports_parallel_function_calling"),
    ("pdf_input", "supports_pdf_input"),
    ("prompt_caching", "supports_prompt_caching"),
    ("reasoning", "supports_reasoning"),
    ("system_messages", "supports_system_messages"),
    ("tool_choice", "supports_tool_choice"),
    ("tools", "supports_function_calling"),
    ("url_context", "supports_url_context"),
    ("video_input", "supports_video_input"),
    ("vision", "supports_vision"),
    ("web_search", "supports_web_search"),
];

/// What clients may send: everything is passed on, so it is what OpenAI's own API knows.
const CHAT_PARAMS: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "max_tokens",
    "max_completion_tokens",
    "modalities",
    "prediction",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "function_call",
    "functions",
    "max_retries",
    "extra_headers",
    "parallel_tool_calls",
    "audio",
    "web_search_options",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "store",
    "response_format",
    "reasoning_effort",
];
const EMBEDDING_PARAMS: &[&str] = &["dimensions", "encoding_format", "user"];

fn supported(facts: &Facts) -> Vec<&'static str> {
    match facts.mode.as_deref() {
        Some("embedding") => EMBEDDING_PARAMS.to_vec(),
        _ => CHAT_PARAMS.to_vec(),
    }
}

/// Shows the public names that the key may call, each with what its deployments have in common.
#[utoipa::path(get, path = "/model_group/info", operation_id = "model_info_groups", tag = "models", params(GroupQuery),
    responses((status = 200, body = ModelGroups)))]
pub async fn groups(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<GroupQuery>,
) -> Result<Json<ModelGroups>> {
    let snapshot = domain.models.now();
    let wanted = query.model_group.0.value();
    let mut names = model_facts::visible(&actor, &snapshot);
    if let Some(wanted) = &wanted {
        names.retain(|name| name == wanted);
    }
    let data = names
        .iter()
        .map(|name| group(name, &snapshot.find_for(actor.team_id(), name)))
        .collect();
    Ok(Json(ModelGroups { data }))
}

fn group(name: &str, chosen: &[Chosen]) -> Value {
    let facts: Vec<Facts> = chosen.iter().map(model_facts::of).collect();
    let providers: BTreeSet<&str> = facts.iter().filter_map(|facts| facts.provider).collect();
    let price = |bucket: Bucket| {
        let prices = facts
            .iter()
            .filter_map(|facts| rate(facts.price.as_deref()?, bucket));
        prices.max_by(f64::total_cmp)
    };
    let sum = |param: &str| -> Option<i64> {
        let stated = chosen
            .iter()
            .filter_map(|chosen| chosen.deployment.params.get(param)?.as_i64());
        stated.reduce(i64::saturating_add)
    };
    let first = facts.first();
    let mut group = json!({
        "model_group": name,
        "providers": providers,
        "max_input_tokens": facts.iter().filter_map(|facts| facts.max_input_tokens).max(),
        "max_output_tokens": facts.iter().filter_map(|facts| facts.max_output_tokens).max(),
        "input_cost_per_token": price(Bucket::Input),
        "output_cost_per_token": price(Bucket::Output),
        "input_cost_per_pixel": null,
        "mode": first.and_then(|facts| facts.mode.clone()),
        "tpm": sum("tpm"),
        "rpm": sum("rpm"),
        "itpm": sum("itpm"),
        "otpm": sum("otpm"),
        "supports_fast_mode": false,
        "supported_reasoning_efforts": [],
        "supported_openai_params": first.map(supported),
        "configurable_clientside_auth_params": null,
        "is_public_model_group": false,
        "health_status": null,
        "health_response_time": null,
        "health_checked_at": null,
    });
    for (capability, field) in CAPABILITIES {
        let mut facts = facts.iter();
        group[*field] = facts
            .any(|facts| facts.capabilities.contains(capability))
            .into();
    }
    group
}

/// Dollars a token.
fn rate(record: &PriceRecord, bucket: Bucket) -> Option<f64> {
    let price = record.base.rates.get(bucket)?;
    Some(price.as_dollars_per_unit())
}
