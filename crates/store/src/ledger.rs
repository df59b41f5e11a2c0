//! The ledger as it is read: append-only, one row for each request that reached a decision. What a row
//! shares with others is kept in [`ledger_contexts`](crate::ledger_contexts), the rest in
//! [`ledger_calls`](crate::ledger_calls).

use std::borrow::Cow;

use base::money::Femto;
use base::{Millis, Money, Price};
use serde::{Deserialize, Serialize};

use crate::db::{Db, Result};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of the view `ledger`.
    #[derive(Clone, Debug)]
    pub struct LedgerRow {
        pub request_id: String,
        pub kind: String,
        pub corrects: Option<String>,
        pub started_at: Millis,
        pub ended_at: Millis,
        pub first_token_at: Option<Millis>,
        pub key_id: Option<String>,
        pub key_hash: Option<String>,
        pub user_id: Option<String>,
        pub team_id: Option<String>,
        pub team_member_id: Option<String>,
        pub organization_id: Option<String>,
        pub end_user: Option<String>,
        pub endpoint: String,
        pub stream: bool,
        pub source: String,
        pub requested_model: String,
        pub answered_model: Option<String>,
        pub deployment_id: Option<String>,
        pub model_group: Option<String>,
        pub provider: Option<String>,
        pub upstream_model: Option<String>,
        pub api_base: Option<String>,
        pub paid_by: String,
        pub credential_id: Option<String>,
        pub attempts: i64,
        pub status: String,
        pub http_status: i64,
        pub error_code: Option<String>,
        pub error_message: Option<String>,
        pub upstream_id: Option<String>,
        pub service_tier: Option<String>,
        pub usage_source: String,
        pub input_tokens: i64,
        pub cache_read_tokens: i64,
        pub cache_write_5m_tokens: i64,
        pub cache_write_1h_tokens: i64,
        pub input_audio_tokens: i64,
        pub input_image_tokens: i64,
        pub output_tokens: i64,
        pub reasoning_tokens: i64,
        pub output_audio_tokens: i64,
        pub output_image_tokens: i64,
        pub units: Json<Object>,
        pub price_version: Option<String>,
        pub line_prices: Json<Vec<LinePrice>>,
        pub cost: Option<Money>,
        pub provider_cost: Option<Money>,
        pub tags: Json<Vec<String>>,
        pub metadata: Json<Object>,
        pub user_agent: Option<String>,
        pub client_address: Option<String>,
        pub session_id: Option<String>,
    }
}

/// A line of a receipt without its quantity, which is the call's usage of the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePrice {
    #[serde(rename = "b")]
    pub bucket: Cow<'static, str>,
    /// The bucket whose price was applied, where that is another.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub priced_as: Option<Cow<'static, str>>,
    /// Nano-dollars per million of the quantity.
    #[serde(rename = "p")]
    pub price: i64,
}

/// A line of a receipt: so many of a bucket at a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub quantity: u64,
    pub price: LinePrice,
}

impl LinePrice {
    /// The bucket whose price was applied.
    pub fn priced_as(&self) -> &str {
        self.priced_as.as_deref().unwrap_or(&self.bucket)
    }
}

impl Line {
    /// What the line costs, in femto-dollars: quantity times price, exactly.
    pub fn amount(&self) -> Femto {
        Price(self.price.price).times(self.quantity)
    }
}

impl LedgerRow {
    /// The lines of the receipt.
    pub fn line_items(&self) -> Vec<Line> {
        let line = |price: &LinePrice| Line {
            quantity: self.quantity(&price.bucket),
            price: price.clone(),
        };
        self.line_prices.iter().map(line).collect()
    }

    /// How much of a bucket the call used.
    fn quantity(&self, bucket: &str) -> u64 {
        let tokens = match bucket {
            "input" => self.input_tokens,
            "cache_read" => self.cache_read_tokens,
            "cache_write_5m" => self.cache_write_5m_tokens,
            "cache_write_1h" => self.cache_write_1h_tokens,
            "input_audio" => self.input_audio_tokens,
            "input_image" => self.input_image_tokens,
            "output" => self.output_tokens,
            "reasoning" => self.reasoning_tokens,
            "output_audio" => self.output_audio_tokens,
            "output_image" => self.output_image_tokens,
            // the call itself, where a provider charges for each
            "requests" => 1,
            unit => {
                let units = self.units.get(unit);
                return units.and_then(serde_json::Value::as_u64).unwrap_or(0);
            }
        };
        u64::try_from(tokens).unwrap_or(0)
    }

    /// All tokens that went in, cached ones too.
    pub fn prompt_tokens(&self) -> i64 {
        [
            self.cache_read_tokens,
            self.cache_write_5m_tokens,
            self.cache_write_1h_tokens,
            self.input_audio_tokens,
            self.input_image_tokens,
        ]
        .into_iter()
        .fold(self.input_tokens, i64::saturating_add)
    }

    /// All tokens that came out, reasoning too.
    pub fn completion_tokens(&self) -> i64 {
        [
            self.reasoning_tokens,
            self.output_audio_tokens,
            self.output_image_tokens,
        ]
        .into_iter()
        .fold(self.output_tokens, i64::saturating_add)
    }
}

pub async fn find(db: &Db, request_id: &str) -> Result<Option<LedgerRow>> {
    sql!("SELECT * FROM ledger WHERE request_id = $1")
        .bind(request_id)
        .optional(db)
        .await
}

/// The last call whose answer had this id at the provider.
pub async fn find_by_upstream(db: &Db, upstream_id: &str) -> Result<Option<LedgerRow>> {
    sql!("SELECT * FROM ledger WHERE upstream_id = $1 ORDER BY started_at DESC LIMIT 1")
        .bind(upstream_id)
        .optional(db)
        .await
}
