//! What ledger rows have in common: who called, what answered, at which prices, how it ended. Kept once
//! for all calls that agree in all of it, so that a call's own row is a few numbers.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::db::{Result, Tx, Value, query_with_values};
use crate::ledger::LinePrice;
use crate::{row, sql};

/// One row of `ledger_contexts`, borrowed from whoever knows the call.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub kind: &'a str,
    pub key_id: Option<&'a str>,
    pub key_hash: Option<&'a str>,
    pub user_id: Option<&'a str>,
    pub team_id: Option<&'a str>,
    pub team_member_id: Option<&'a str>,
    pub organization_id: Option<&'a str>,
    pub end_user: Option<&'a str>,
    pub endpoint: &'a str,
    pub stream: bool,
    pub source: &'a str,
    pub requested_model: &'a str,
    pub answered_model: Option<&'a str>,
    pub deployment_id: Option<&'a str>,
    pub model_group: Option<&'a str>,
    pub provider: Option<&'a str>,
    pub upstream_model: Option<&'a str>,
    pub api_base: Option<&'a str>,
    pub paid_by: &'a str,
    pub credential_id: Option<&'a str>,
    pub attempts: i64,
    pub status: &'a str,
    pub http_status: i64,
    pub error_code: Option<&'a str>,
    pub service_tier: Option<&'a str>,
    pub usage_source: &'a str,
    pub price_version: Option<&'a str>,
    pub line_prices: &'a [LinePrice],
    pub tags: &'a [String],
    pub user_agent: Option<&'a str>,
    pub client_address: Option<&'a str>,
}

/// The value of a column.
#[derive(Clone, Copy)]
enum Field<'a> {
    Text(Option<&'a str>),
    Int(i64),
    Bool(bool),
    Tags(&'a [String]),
    Prices(&'a [LinePrice]),
}

impl<'a> Context<'a> {
    /// Every column but `id` and `hash`.
    fn fields(&self) -> [(&'static str, Field<'a>); 31] {
        let text = |value: &'a str| Field::Text(Some(value));
        [
            ("kind", text(self.kind)),
            ("key_id", Field::Text(self.key_id)),
            ("key_hash", Field::Text(self.key_hash)),
            ("user_id", Field::Text(self.user_id)),
            ("team_id", Field::Text(self.team_id)),
            ("team_member_id", Field::Text(self.team_member_id)),
            ("organization_id", Field::Text(self.organization_id)),
            ("end_user", Field::Text(self.end_user)),
            ("endpoint", text(self.endpoint)),
            ("stream", Field::Bool(self.stream)),
            ("source", text(self.source)),
            ("requested_model", text(self.requested_model)),
            ("answered_model", Field::Text(self.answered_model)),
            ("deployment_id", Field::Text(self.deployment_id)),
            ("model_group", Field::Text(self.model_group)),
            ("provider", Field::Text(self.provider)),
            ("upstream_model", Field::Text(self.upstream_model)),
            ("api_base", Field::Text(self.api_base)),
            ("paid_by", text(self.paid_by)),
            ("credential_id", Field::Text(self.credential_id)),
            ("attempts", Field::Int(self.attempts)),
            ("status", text(self.status)),
            ("http_status", Field::Int(self.http_status)),
            ("error_code", Field::Text(self.error_code)),
            ("service_tier", Field::Text(self.service_tier)),
            ("usage_source", text(self.usage_source)),
            ("price_version", Field::Text(self.price_version)),
            ("line_prices", Field::Prices(self.line_prices)),
            ("tags", Field::Tags(self.tags)),
            ("user_agent", Field::Text(self.user_agent)),
            ("client_address", Field::Text(self.client_address)),
        ]
    }

    /// Appends bytes that are the same for two contexts exactly if all their columns are.
    pub fn identity(&self, bytes: &mut Vec<u8>) {
        for (_, field) in self.fields() {
            field.identity(bytes);
        }
    }

    /// The row to be stored, owned.
    pub fn to_row(&self) -> ContextRow {
        let mut identity = Vec::with_capacity(1024);
        self.identity(&mut identity);
        let digest: [u8; 32] = Sha256::digest(&identity).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        ContextRow {
            first_id: i64::from_be_bytes([a, b, c, d, e, f, g, h]) & i64::MAX,
            hash: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            columns: self
                .fields()
                .map(|(name, field)| (name, field.value()))
                .to_vec(),
        }
    }
}

impl Field<'_> {
    fn identity(self, bytes: &mut Vec<u8>) {
        let mut text = |text: &str| {
            bytes.extend_from_slice(&text.len().to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        match self {
            Field::Text(Some(value)) => text(value),
            // no length
            Field::Text(None) => bytes.extend_from_slice(&usize::MAX.to_le_bytes()),
            Field::Int(value) => bytes.extend_from_slice(&value.to_le_bytes()),
            Field::Bool(value) => bytes.push(value.into()),
            Field::Tags(tags) => {
                tags.iter().for_each(|tag| text(tag));
                bytes.extend_from_slice(&tags.len().to_le_bytes());
            }
            Field::Prices(prices) => {
                for price in prices {
                    text(&price.bucket);
                    text(price.priced_as.as_deref().unwrap_or_default());
                    text(&price.price.to_string());
                }
                bytes.extend_from_slice(&prices.len().to_le_bytes());
            }
        }
    }

    fn value(self) -> Value {
        match self {
            Field::Text(text) => Value::Text(text.map(str::to_owned)),
            Field::Int(value) => value.into(),
            Field::Bool(value) => value.into(),
            Field::Tags(tags) => json(tags),
            Field::Prices(prices) => json(prices),
        }
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Value {
    let text = serde_json::to_string(value).expect("lists of plain data are always JSON");
    Value::Text(Some(text))
}

/// A context that may have to be stored.
#[derive(Clone, Debug)]
pub struct ContextRow {
    /// Where its id is looked for: the beginning of the hash, or what follows if that is taken.
    first_id: i64,
    hash: String,
    columns: Vec<(&'static str, Value)>,
}

row! {
    /// Where a context is kept.
    pub struct Found {
        pub id: i64,
    }
}

/// The id of a context, which is stored if it is not yet.
pub async fn put(tx: &mut Tx, context: &ContextRow) -> Result<i64> {
    let mut id = context.first_id;
    loop {
        if let Some(found) = find(tx, &context.hash).await? {
            return Ok(found);
        }
        if insert(tx, context, id).await? == 0 {
            // another process has stored it meanwhile, or another context has the id
            if let Some(found) = find(tx, &context.hash).await? {
                return Ok(found);
            }
            id = id.wrapping_add(1) & i64::MAX;
        }
    }
}

async fn find(tx: &mut Tx, hash: &str) -> Result<Option<i64>> {
    let found: Option<Found> = sql!("SELECT id FROM ledger_contexts WHERE hash = $1")
        .bind(hash)
        .optional(tx)
        .await?;
    Ok(found.map(|found| found.id))
}

async fn insert(tx: &mut Tx, context: &ContextRow, id: i64) -> Result<u64> {
    let mut names = String::from("id, hash");
    let mut places = String::from("$1, $2");
    for (at, (name, _)) in context.columns.iter().enumerate() {
        names.push_str(&format!(", {name}"));
        places.push_str(&format!(", ${}", at + 3));
    }
    let text =
        format!("INSERT INTO ledger_contexts ({names}) VALUES ({places}) ON CONFLICT DO NOTHING");
    let values = context.columns.iter().map(|(_, value)| value.clone());
    let values = [Value::from(id), Value::from(&context.hash)]
        .into_iter()
        .chain(values);
    query_with_values(text, values).execute(tx).await
}
