//! Models as Anthropic's API lists them: <https://docs.claude.com/en/api/models-list>.

use base::{Code, Error};
use domain::model_facts::Facts;
use domain::snapshot::Snapshot;
use domain::{Actor, Domain, Patch, payers};
use serde::Serialize;
use utoipa::ToSchema;

use super::ListQuery;
use crate::error::Result;
use crate::fields::Sent;

/// A page where the client does not say how long, and the longest.
const USUAL: usize = 20;
const MOST: i64 = 1000;

/// What the API says where it does not know when a model was released.
const UNKNOWN: &str = "1970-01-01T00:00:00Z";

/// A page of models.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnthropicModelList)]
pub struct ModelList {
    data: Vec<Model>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

/// A model by the name that calls use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnthropicModel)]
pub struct Model {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    id: String,
    display_name: String,
    #[schema(value_type = String)]
    created_at: &'static str,
    max_input_tokens: Option<u64>,
    max_tokens: Option<u64>,
}

pub fn model(id: &str, facts: &Facts) -> Model {
    Model {
        kind: "model",
        id: id.to_owned(),
        display_name: id.to_owned(),
        created_at: UNKNOWN,
        max_input_tokens: facts.max_input_tokens,
        max_tokens: facts.max_output_tokens,
    }
}

/// # Errors
/// 400 for a page that is none.
pub fn page(
    domain: &Domain,
    actor: &Actor,
    snapshot: &Snapshot,
    query: &ListQuery,
) -> Result<ModelList> {
    let names = payers::visible(domain, actor, snapshot);
    let place = |field: &'static str, sent: &Sent<String>| match &sent.0 {
        Patch::Absent | Patch::Null => Ok(None),
        Patch::Value(id) => match names.iter().position(|name| name == id) {
            Some(at) => Ok(Some(at)),
            None => Err(wrong(field, format!("{field}: there is no model `{id}`"))),
        },
    };
    let limit = match query.limit.0 {
        Patch::Absent | Patch::Null => USUAL,
        Patch::Value(limit) => match usize::try_from(limit) {
            Ok(size @ 1..) if limit <= MOST => size,
            _ => return Err(wrong("limit", format!("limit: must be 1 to {MOST}")).into()),
        },
    };
    let after = place("after_id", &query.after_id)?;
    let before = place("before_id", &query.before_id)?;
    let (shown, has_more) = match (after, before) {
        (Some(_), Some(_)) => {
            let message = "before_id: cannot be combined with after_id".to_owned();
            return Err(wrong("before_id", message).into());
        }
        (None, Some(end)) => (&names[end.saturating_sub(limit)..end], end > limit),
        (after, None) => {
            let rest = &names[after.map_or(0, |at| at + 1)..];
            (&rest[..limit.min(rest.len())], rest.len() > limit)
        }
    };
    Ok(ModelList {
        data: shown
            .iter()
            .map(|name| model(name, &super::facts(domain, actor, snapshot, name)))
            .collect(),
        has_more,
        first_id: shown.first().cloned(),
        last_id: shown.last().cloned(),
    })
}

fn wrong(field: &'static str, message: String) -> Error {
    Error::new(Code::InvalidRequest, message).param(field)
}
