//! A finished call on its way into the ledger. It shares what is shared by reference count and copies
//! what is small, so that handing it over costs the call next to nothing.

use std::net::IpAddr;
use std::sync::Arc;

use base::{Millis, Money, RequestId};
use llm::cost::LineItem;
use llm::usage::Bucket;
use llm::{Usage, UsageSource};
use store::ledger::LinePrice;
use store::ledger_calls::CallRow;
use store::ledger_contexts::Context;

use crate::budgets::Settled;
use crate::caller::Caller;
use crate::deployment::{Chosen, Target};
use crate::payers::PaidBy;

/// A finished call and what it has added to the counters.
#[derive(Debug)]
pub struct Entry {
    pub id: RequestId,
    pub started_at: Millis,
    pub ended_at: Millis,
    pub first_token_at: Option<Millis>,
    pub client: IpAddr,
    pub user_agent: Option<String>,
    pub caller: Option<Arc<Caller>>,
    pub end_user: Option<String>,
    pub tags: Vec<String>,
    /// What was called, in the words of LiteLLM's `call_type`.
    pub endpoint: &'static str,
    pub stream: bool,
    pub requested_model: String,
    pub answered_model: Option<String>,
    pub chosen: Option<Chosen>,
    pub attempts: u32,
    pub status: &'static str,
    pub http_status: u16,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// The answer's id at the provider.
    pub upstream_id: Option<String>,
    pub service_tier: Option<String>,
    pub usage: Usage,
    pub usage_source: UsageSource,
    pub price_version: Option<Arc<str>>,
    pub lines: Vec<LineItem>,
    /// `None`: unpriced.
    pub cost: Option<Money>,
    pub provider_cost: Option<Money>,
    /// The counters that the cost was added to.
    pub settled: Vec<Settled>,
    /// The conversation that the call is part of.
    pub session_id: Option<String>,
}

/// Texts and lists that a context borrows and nobody keeps.
#[derive(Default)]
pub(super) struct Scratch {
    address: String,
    prices: Vec<LinePrice>,
}

impl Entry {
    /// What the call has in common with others.
    pub(super) fn context<'a>(&'a self, scratch: &'a mut Scratch) -> Context<'a> {
        use std::fmt::Write as _;
        scratch.address.clear();
        // writing to a string cannot fail
        let _ = write!(scratch.address, "{}", self.client);
        scratch.prices.clear();
        scratch.prices.extend(self.lines.iter().map(line_price));
        let caller = self.caller.as_deref();
        let key = caller.and_then(|caller| caller.key.as_ref());
        let member = caller.and_then(|caller| caller.member.as_ref());
        let organization = caller.and_then(|caller| caller.organization.as_ref());
        let chosen = self.chosen.as_ref();
        let deployment = chosen.map(|chosen| chosen.deployment.as_ref());
        let upstream = deployment.and_then(|deployment| match &deployment.target {
            Target::Upstream(upstream) => Some(upstream),
            Target::Demo | Target::Mock(_) => None,
        });
        let provider_key = chosen.and_then(Chosen::provider_key);
        let paid_by = chosen.and_then(Chosen::paid_by);
        Context {
            kind: "call",
            key_id: key.map(|key| key.id.as_str()),
            key_hash: caller.map(Caller::key_hash),
            user_id: caller.and_then(|caller| caller.user_id.as_deref()),
            team_id: key.and_then(|key| key.team_id.as_deref()),
            team_member_id: member.map(|member| member.id.as_str()),
            organization_id: organization.map(|organization| organization.id.as_str()),
            end_user: self.end_user.as_deref(),
            endpoint: self.endpoint,
            stream: self.stream,
            source: match caller.is_some_and(|caller| caller.session.is_some()) {
                true => "playground",
                false => "api",
            },
            requested_model: &self.requested_model,
            answered_model: self.answered_model.as_deref(),
            deployment_id: deployment.map(|deployment| deployment.id.as_str()),
            model_group: deployment.map(|deployment| deployment.model_name.as_str()),
            provider: upstream.map(|upstream| upstream.provider.name),
            upstream_model: chosen.map(|chosen| &*chosen.model),
            api_base: match provider_key.and_then(|key| key.base_url.as_deref()) {
                None => upstream.map(|upstream| upstream.api_base.as_str()),
                own => own,
            },
            paid_by: paid_by.map_or("none", PaidBy::as_str),
            credential_id: provider_key.map(|key| key.id.as_str()),
            attempts: self.attempts.into(),
            status: self.status,
            http_status: self.http_status.into(),
            error_code: self.error_code.as_deref(),
            service_tier: self.service_tier.as_deref(),
            usage_source: self.usage_source.name(),
            price_version: self.price_version.as_deref(),
            line_prices: &scratch.prices,
            tags: &self.tags,
            user_agent: self.user_agent.as_deref(),
            client_address: Some(&scratch.address),
        }
    }

    /// What is the call's own; the id of its context is known when the batch is written.
    pub(super) fn into_call(self) -> CallRow {
        let usage = &self.usage;
        CallRow {
            request_id: self.id.to_string(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            first_token_at: self.first_token_at,
            context_id: 0,
            upstream_id: self.upstream_id,
            input_tokens: count(usage.input),
            output_tokens: count(usage.output),
            cache_read_tokens: count(usage.cache_read),
            cache_write_5m_tokens: count(usage.cache_write_5m),
            cache_write_1h_tokens: count(usage.cache_write_1h),
            input_audio_tokens: count(usage.input_audio),
            input_image_tokens: count(usage.input_image),
            reasoning_tokens: count(usage.reasoning),
            output_audio_tokens: count(usage.output_audio),
            output_image_tokens: count(usage.output_image),
            cost: self.cost,
            provider_cost: self.provider_cost,
            units: units(usage),
            corrects: None,
            error_message: self.error_message,
            metadata: None,
            session_id: self.session_id,
        }
    }
}

/// A count as the database keeps it. What no provider can mean is cut, so that sums over many rows
/// stay within the database's integers.
fn count(tokens: u64) -> i64 {
    const MOST: i64 = 1_000_000_000_000_000;
    i64::try_from(tokens).map_or(MOST, |tokens| tokens.min(MOST))
}

/// What was used beside tokens, as a JSON object.
fn units(usage: &Usage) -> Option<String> {
    let mut units = Bucket::ALL
        .into_iter()
        .filter(|bucket| !bucket.is_tokens() && usage.get(*bucket) > 0)
        .peekable();
    units.peek()?;
    let units: store::json::Object = units
        .map(|bucket| (bucket.name().to_owned(), usage.get(bucket).into()))
        .collect();
    Some(serde_json::Value::Object(units).to_string())
}

fn line_price(item: &LineItem) -> LinePrice {
    LinePrice {
        bucket: item.bucket.name().into(),
        priced_as: (item.priced_as != item.bucket).then(|| item.priced_as.name().into()),
        price: item.price.0,
    }
}
