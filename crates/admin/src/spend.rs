//! Reports of what was spent (contract §18).

mod log;
mod paged;
mod ranking;

use std::collections::BTreeMap;

use axum::extract::State;
use base::{Code, Error, Millis, Money};
use domain::spend::{self, Filter, Order, Part, Wanted};
use domain::{Domain, Patch, estimates};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::spend::Cell;
use utoipa::{IntoParams, ToSchema};

pub use log::{SpendLog, model_name};
pub use paged::*;
pub use ranking::*;

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::fields::{Object, Sent};
use crate::page::{Page, Sizes};

/// How many rows `/spend/logs` gives when not told, and at the most.
const USUAL_ROWS: i64 = 1_000;
const MOST_ROWS: i64 = 10_000;

/// Which calls, and in which shape.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// A key, in plain text or as its hash.
    #[param(value_type = Option<String>)]
    api_key: Sent<String>,
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
    #[param(value_type = Option<String>)]
    team_id: Sent<String>,
    /// The id of the call, or the id in its answer.
    #[param(value_type = Option<String>)]
    request_id: Sent<String>,
    /// `YYYY-MM-DD`, a UTC day.
    #[param(value_type = Option<String>)]
    start_date: Sent<String>,
    /// `YYYY-MM-DD`, a UTC day; included.
    #[param(value_type = Option<String>)]
    end_date: Sent<String>,
    /// With both dates: sums by day (the default), or rows.
    #[param(value_type = Option<bool>)]
    summarize: Sent<bool>,
    /// How many rows, newest first: 1000 if not said, 10000 at the most.
    #[param(value_type = Option<i64>)]
    limit: Sent<i64>,
    /// Which page of so many rows, from 1.
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
}

/// Rows, or sums by day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Logs {
    Rows(Vec<SpendLog>),
    Days(Vec<Day>),
}

/// The sums of one day. Next to these names stands the spend of each key, under its hash.
#[derive(Debug, Serialize, ToSchema)]
pub struct Day {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    keys: BTreeMap<String, Money>,
    #[serde(rename = "startTime")]
    date: String,
    #[schema(value_type = f64)]
    spend: Money,
    #[schema(value_type = Object)]
    users: BTreeMap<String, Money>,
    #[schema(value_type = Object)]
    models: BTreeMap<String, Money>,
}

/// Lists calls, or sums them by day.
///
/// Administrators see all; others see their own calls, and with `team_id` those of a team that they
/// administer.
#[utoipa::path(get, path = "/spend/logs", operation_id = "spend_logs", tag = "spend", params(LogsQuery),
    responses((status = 200, body = Logs)))]
pub async fn logs(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<LogsQuery>,
) -> Result<Json<Logs>> {
    let sizes = Sizes {
        name: "limit",
        usual: USUAL_ROWS,
        most: MOST_ROWS,
    };
    let page = Page::read(&query.page, &query.limit, sizes)?;
    let has_both_dates = text(&query.start_date).is_some() && text(&query.end_date).is_some();
    let summarize = query.summarize.0.clone().value().unwrap_or(true);
    let filter = Filter {
        request_id: text(&query.request_id),
        user_id: text(&query.user_id),
        team_id: text(&query.team_id),
        from: text(&query.start_date)
            .map(|date| spend::range_start("start_date", &date))
            .transpose()?,
        until: text(&query.end_date)
            .map(|date| spend::range_end("end_date", &date))
            .transpose()?,
        ..Filter::default()
    };
    let until = filter.until;
    let wanted = Wanted {
        filter,
        api_key: text(&query.api_key),
    };
    if has_both_dates && summarize {
        let cells = spend::cells(&domain, &actor, wanted).await?;
        return Ok(Json(Logs::Days(days(&cells, until))));
    }
    let part = Part {
        order: Order::default(),
        limit: page.size,
        offset: page.offset(),
    };
    let calls = spend::calls(&domain, &actor, wanted, part).await?;
    let rows = calls.into_iter().map(SpendLog::from).collect();
    Ok(Json(Logs::Rows(rows)))
}

/// A call to be priced.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Calculation {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    model: Sent<String>,
    /// Messages that would be sent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    messages: Sent<Vec<Value>>,
    /// An answer that was received, with its usage.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    completion_response: Sent<Object>,
}

/// Dollars.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cost {
    #[schema(value_type = f64)]
    cost: Money,
}

/// Calculates what messages would cost, or what an answer has cost.
#[utoipa::path(post, path = "/spend/calculate", operation_id = "spend_calculate", tag = "spend", request_body = Calculation,
    responses((status = 200, body = Cost)))]
pub async fn calculate(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(call): Json<Calculation>,
) -> Result<Json<Cost>> {
    let model = text(&call.model);
    let cost = match (call.completion_response.0.value(), call.messages.0.value()) {
        (Some(answer), _) => {
            estimates::of_answer(&domain, &actor, model.as_deref(), &Value::Object(answer))?
        }
        (None, messages) => {
            let model = model.ok_or_else(|| {
                let message =
                    "Bad Request - Either 'model' or 'completion_response' must be provided";
                Error::new(Code::BadRequest, message)
            })?;
            let messages = messages.ok_or_else(|| {
                let message = "Bad Request - 'messages' must be provided with 'model'";
                Error::new(Code::BadRequest, message).param("messages")
            })?;
            estimates::of_messages(&domain, &actor, &model, messages).await?
        }
    };
    Ok(Json(Cost { cost }))
}

/// Sums by day, from the first day with a call to the last day asked for.
fn days(cells: &[Cell], until: Option<Millis>) -> Vec<Day> {
    let Some(first) = cells.iter().map(|cell| cell.day).min() else {
        return Vec::new();
    };
    let last_call = cells.iter().map(|cell| cell.day).max().unwrap_or(first);
    let last = match until {
        // a range may end in the year 9999: no more empty days than a year has
        Some(until) => ((until.0 - 1).div_euclid(spend::DAY)).min(last_call + 366),
        None => last_call,
    };
    (first..=last.max(last_call))
        .map(|day| day_of(day, cells.iter().filter(|cell| cell.day == day)))
        .collect()
}

fn day_of<'a>(day: i64, cells: impl Iterator<Item = &'a Cell>) -> Day {
    let mut sums = Day {
        keys: BTreeMap::new(),
        date: date(day),
        spend: Money::ZERO,
        users: BTreeMap::new(),
        models: BTreeMap::new(),
    };
    for cell in cells {
        let add = |sums: &mut BTreeMap<String, Money>, name: String| {
            *sums.entry(name).or_default() += cell.spend;
        };
        add(&mut sums.keys, cell.key_hash.clone().unwrap_or_default());
        add(&mut sums.users, cell.user_id.clone().unwrap_or_default());
        add(&mut sums.models, model_of(cell));
        sums.spend += cell.spend;
    }
    sums
}

/// The model of a cell as reports name it.
pub fn model_of(cell: &Cell) -> String {
    let provider = cell.provider.as_deref();
    model_name(
        provider,
        cell.upstream_model.as_deref(),
        &cell.requested_model,
    )
}

/// A day since 1970 as `YYYY-MM-DD`.
pub fn date(day: i64) -> String {
    let text = Millis(day.saturating_mul(spend::DAY)).to_rfc3339();
    text.chars().take("2026-01-31".len()).collect()
}

/// A text that was sent and is not empty.
pub fn text(sent: &Sent<String>) -> Option<String> {
    match &sent.0 {
        Patch::Value(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}
