//! What a call would cost, or has cost, without making one: the prices that calls are billed with,
//! applied to counted messages or to an answer's own usage.

use base::{Code, Error, Money, Result};
use llm::cost::Served;
use llm::price::PriceRecord;
use llm::{Catalogue, Format, Usage, UsageRule, tokens};
use serde_json::{Value, json};

use crate::deployment::Target;
use crate::{Actor, Domain};

/// The cost of sending these messages, before anything is answered.
///
/// # Errors
/// [`Code::BadRequest`] for a model that is unknown or has no price.
pub async fn of_messages(
    domain: &Domain,
    actor: &Actor,
    model: &str,
    messages: Vec<Value>,
) -> Result<Money> {
    let name = model.to_owned();
    // long texts keep a processor busy for a while
    let count = move || tokens::count_request(&name, &json!({"messages": messages}));
    let input = tokio::task::spawn_blocking(count)
        .await
        .map_err(Error::internal)?;
    let usage = Usage {
        input,
        ..Usage::default()
    };
    price(domain, actor, model, &usage, Served::default())
}

/// The cost of an answer that was received, by the usage that it reports.
///
/// # Errors
/// [`Code::BadRequest`] for an answer without usage, and a model that is unknown or has no price.
pub fn of_answer(
    domain: &Domain,
    actor: &Actor,
    model: Option<&str>,
    answer: &Value,
) -> Result<Money> {
    let named = model.or_else(|| answer["model"].as_str());
    let model = named.ok_or_else(|| {
        let message = "'completion_response' names no model: give one in 'model'";
        Error::new(Code::BadRequest, message).param("model")
    })?;
    let body = answer.to_string().into_bytes().into();
    let rule = rule(domain, actor, model);
    let (_, observed) = llm::response::observe(Format::OpenAiChat, rule, body, model);
    let usage = observed.usage.ok_or_else(|| {
        let message = "'completion_response' has no usage to be priced";
        Error::new(Code::BadRequest, message).param("completion_response")
    })?;
    let served = Served {
        service_tier: observed.service_tier.as_deref(),
        search_context: observed.search_context,
    };
    price(domain, actor, model, &usage, served)
}

/// How the provider of a model counts.
fn rule(domain: &Domain, actor: &Actor, model: &str) -> UsageRule {
    let chosen = domain.models.now().find_for(actor.team_id(), model);
    match chosen.first().map(|chosen| &chosen.deployment.target) {
        Some(Target::Upstream(upstream)) => upstream.provider.usage_rule(&upstream.model),
        _ => UsageRule::default(),
    }
}

fn price(
    domain: &Domain,
    actor: &Actor,
    model: &str,
    usage: &Usage,
    served: Served<'_>,
) -> Result<Money> {
    let chosen = domain.models.now().find_for(actor.team_id(), model);
    let deployed = chosen.iter().find_map(|chosen| chosen.price.as_ref());
    let shipped: Option<PriceRecord>;
    let record = match deployed {
        Some(price) => Some(price.record.as_ref()),
        None => {
            let found = Catalogue::shipped().find_by_name(model);
            shipped = found.and_then(|record| record.price);
            shipped.as_ref()
        }
    };
    let receipt = record.and_then(|record| llm::cost(usage, record, served));
    receipt.map(|receipt| receipt.total).ok_or_else(|| {
        Error::new(
            Code::BadRequest,
            format!("model '{model}' has no price, so its cost cannot be calculated"),
        )
        .param("model")
    })
}
