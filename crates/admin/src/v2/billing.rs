//! Usage (the `/v2` API): one's own, and for administrators everybody's, as a report and as a file. The
//! same ledger as all other reports are read from.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base::{Code, Error, Millis, Money};
use bytes::Bytes;
use domain::Domain;
use domain::conversations::owner;
use domain::llm_models;
use domain::usage::{self, ModelKey, Totals, Usage};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::usage::{UsageLine, Window};
use utoipa::{IntoParams, ToSchema};

use super::csv::write_row;
use super::{Detail, naive, wrong};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::fields::Sent;

/// The longest window that is asked for in days.
const MOST_DAYS: i64 = 365;
const USUAL_DAYS: i64 = 30;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// What some calls used together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2UsageTotals)]
pub struct Sums {
    total_requests: i64,
    total_input_tokens: i64,
    total_output_tokens: i64,
    total_tokens: i64,
    /// Dollars.
    #[schema(value_type = f64)]
    total_cost: Money,
}

impl From<Totals> for Sums {
    fn from(totals: Totals) -> Sums {
        Sums {
            total_requests: totals.requests,
            total_input_tokens: totals.input_tokens,
            total_output_tokens: totals.output_tokens,
            total_tokens: totals.tokens(),
            total_cost: totals.cost,
        }
    }
}

/// What came from one side: the playground (a session) or the API (a key).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2UsageBySource)]
pub struct BySource {
    /// `playground` or `api`.
    source: String,
    #[serde(flatten)]
    sums: Sums,
}

/// What was paid with keys of one kind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2UsageByKeySource)]
pub struct ByKeySource {
    /// `personal` or `system`.
    key_source: String,
    #[serde(flatten)]
    sums: Sums,
}

/// What one person used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2UserUsage)]
pub struct UserUsage {
    user_id: String,
    user_email: String,
    #[serde(flatten)]
    sums: Sums,
    /// Their names.
    models_used: Vec<String>,
    /// The dearest first.
    by_source: Vec<BySource>,
    by_key_source: Vec<ByKeySource>,
}

impl UserUsage {
    fn new(user_id: String, email: Option<String>, usage: Usage) -> UserUsage {
        let mut models: Vec<String> = usage
            .by_model
            .iter()
            .map(|(model, _)| llm_models::title_of(&model.name))
            .collect();
        models.sort();
        models.dedup();
        UserUsage {
            user_id,
            user_email: email.unwrap_or_else(|| "Unknown".to_owned()),
            models_used: models,
            sums: usage.totals.into(),
            by_source: sources(usage.by_source),
            by_key_source: key_sources(usage.by_key_source),
        }
    }
}

fn sources(groups: Vec<(String, Totals)>) -> Vec<BySource> {
    let group = |(source, totals): (String, Totals)| BySource {
        source,
        sums: totals.into(),
    };
    groups.into_iter().map(group).collect()
}

fn key_sources(groups: Vec<(String, Totals)>) -> Vec<ByKeySource> {
    let group = |(key_source, totals): (String, Totals)| ByKeySource {
        key_source,
        sums: totals.into(),
    };
    groups.into_iter().map(group).collect()
}

/// How many days back.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct DaysQuery {
    /// 1 to 365, 30 if not given.
    #[param(value_type = Option<i64>, example = 30)]
    days: Sent<i64>,
}

fn days(sent: &Sent<i64>) -> base::Result<i64> {
    let place = || json!(["query", "days"]);
    match sent.0.as_ref().value().copied() {
        None => Ok(USUAL_DAYS),
        Some(..1) => Err(wrong(
            place(),
            "greater_than_equal",
            "Input should be greater than or equal to 1",
            json!({"ge": 1}),
        )),
        Some(days) if days > MOST_DAYS => Err(wrong(
            place(),
            "less_than_equal",
            &format!("Input should be less than or equal to {MOST_DAYS}"),
            json!({"le": MOST_DAYS}),
        )),
        Some(days) => Ok(days),
    }
}

/// Shows what one used in the last days.
#[utoipa::path(get, path = "/v2/billing/usage/my-usage", operation_id = "v2_my_usage", tag = "v2",
    params(DaysQuery),
    responses((status = 200, body = UserUsage), (status = 401, body = Detail), (status = 422, body = Detail)))]
pub async fn my_usage(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<DaysQuery>,
) -> Result<Json<UserUsage>> {
    let days = days(&query.days)?;
    let user_id = owner(&actor)?;
    let now = domain.clock.now();
    let window = Window {
        from: Millis(now.0 - days * DAY),
        until: now,
        user_id: None,
    };
    let usage = usage::of_user(&domain, user_id, window).await?;
    let email = actor.user.as_ref().and_then(|user| user.email.clone());
    Ok(Json(UserUsage::new(user_id.to_owned(), email, usage)))
}

/// What a report is about.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct WindowQuery {
    /// The first moment, or the first day (UTC); `days` before the end if not given.
    #[param(value_type = Option<String>, example = "2026-11-01")]
    start_date: Sent<String>,
    /// The last moment, or the last day; now if not given.
    #[param(value_type = Option<String>, example = "2026-11-30")]
    end_date: Sent<String>,
    /// 1 to 365, 30 if not given.
    #[param(value_type = Option<i64>, example = 30)]
    days: Sent<i64>,
}

impl WindowQuery {
    fn window(&self, now: Millis) -> base::Result<Window> {
        let days = days(&self.days)?;
        let start = self.start_date.0.as_ref().value();
        let start = start.map(|text| moment("start_date", text)).transpose()?;
        let end = self.end_date.0.as_ref().value();
        let until = match end {
            None => now,
            Some(text) => {
                let at = moment("end_date", text)?;
                // a day ends with its last moment
                match text.trim().len() == "2026-01-31".len() {
                    true => Millis(at.0.saturating_add(DAY - 1)),
                    false => at,
                }
            }
        };
        let from = start.unwrap_or(Millis(until.0.saturating_sub(days * DAY)));
        if from > until {
            return Err(wrong(
                json!(["query", "start_date"]),
                "value_error",
                "Value error, start_date is after end_date",
                serde_json::Value::Null,
            ));
        }
        Ok(Window {
            from,
            until,
            user_id: None,
        })
    }
}

fn moment(name: &str, text: &str) -> base::Result<Millis> {
    Millis::parse(text.trim()).ok_or_else(|| {
        wrong(
            json!(["query", name]),
            "datetime_from_date_parsing",
            "Input should be a valid datetime or date",
            serde_json::Value::Null,
        )
    })
}

/// What one model was used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2ModelUsage)]
pub struct ModelUsage {
    model_id: String,
    model_name: String,
    provider: Option<String>,
    #[serde(flatten)]
    sums: Sums,
}

impl From<(ModelKey, Totals)> for ModelUsage {
    fn from((model, totals): (ModelKey, Totals)) -> ModelUsage {
        ModelUsage {
            provider: model.provider.as_deref().map(shown_provider),
            model_name: llm_models::title_of(&model.name),
            model_id: model.model,
            sums: totals.into(),
        }
    }
}

fn shown_provider(name: &str) -> String {
    match llm::provider::find(name) {
        Some(provider) => llm_models::shown_provider(provider).to_owned(),
        None => name.to_owned(),
    }
}

/// What everybody used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2UsageReport)]
pub struct Report {
    period_start: String,
    period_end: String,
    total_users: usize,
    #[serde(flatten)]
    sums: Sums,
    /// The dearest first.
    by_user: Vec<UserUsage>,
    by_model: Vec<ModelUsage>,
    by_source: Vec<BySource>,
    by_key_source: Vec<ByKeySource>,
}

/// Shows what everybody used.
#[utoipa::path(get, path = "/v2/billing/usage/report", operation_id = "v2_usage_report", tag = "v2",
    params(WindowQuery),
    responses((status = 200, body = Report), (status = 403, body = Detail), (status = 422, body = Detail)))]
pub async fn report(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<WindowQuery>,
) -> Result<Json<Report>> {
    let window = query.window(domain.clock.now())?;
    let report = usage::report(&domain, &window).await?;
    let by_user = report.shares.into_iter();
    let by_user = by_user.map(|share| UserUsage::new(share.user_id, share.email, share.usage));
    let by_user: Vec<UserUsage> = by_user.collect();
    let usage = report.usage;
    Ok(Json(Report {
        period_start: naive(window.from),
        period_end: naive(window.until),
        total_users: by_user.len(),
        sums: usage.totals.into(),
        by_user,
        by_model: usage.by_model.into_iter().map(ModelUsage::from).collect(),
        by_source: sources(usage.by_source),
        by_key_source: key_sources(usage.by_key_source),
    }))
}

const COLUMNS: [&str; 12] = [
    "Date",
    "User Email",
    "User ID",
    "Model Name",
    "Provider",
    "Input Tokens",
    "Output Tokens",
    "Total Tokens",
    "Cost (USD)",
    "Conversation ID",
    "Source",
    "Key Source",
];

/// Exports every call as CSV, the oldest first.
#[utoipa::path(get, path = "/v2/billing/usage/export-csv", operation_id = "v2_usage_export", tag = "v2",
    params(WindowQuery),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 403, body = Detail),
        (status = 422, body = Detail)))]
pub async fn export(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<WindowQuery>,
) -> Result<Response> {
    let window = query.window(domain.clock.now())?;
    let day = |at: Millis| naive(at).chars().take(10).collect::<String>();
    let name = format!("llm_usage_{}_{}.csv", day(window.from), day(window.until));
    let disposition = format!("attachment; filename={name}");
    let disposition = HeaderValue::try_from(disposition)
        .map_err(|error| Error::new(Code::BadRequest, "no such days").caused_by(error))?;
    let reading = Reading {
        domain,
        window,
        at: At::Begin,
    };
    let parts = futures_util::stream::try_unfold(reading, next);
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    let csv = HeaderValue::from_static("text/csv; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, csv);
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// An export under way.
struct Reading {
    domain: Domain,
    window: Window,
    at: At,
}

enum At {
    Begin,
    After(Box<UsageLine>),
    End,
}

/// The next part of the file.
async fn next(mut reading: Reading) -> base::Result<Option<(Bytes, Reading)>> {
    let mut text = String::new();
    let after = match &reading.at {
        At::Begin => {
            write_row(&mut text, COLUMNS);
            None
        }
        At::After(line) => Some(&**line),
        At::End => return Ok(None),
    };
    let lines = usage::lines(&reading.domain, &reading.window, after).await?;
    for line in &lines {
        write_line(&mut text, line);
    }
    reading.at = match lines.into_iter().last() {
        Some(line) => At::After(Box::new(line)),
        None => At::End,
    };
    Ok(Some((text.into(), reading)))
}

fn write_line(text: &mut String, line: &UsageLine) {
    let provider = line.provider.as_deref().map(shown_provider);
    let total = line.input_tokens.saturating_add(line.output_tokens);
    let cells = [
        naive(line.started_at),
        line.email.clone().unwrap_or_default(),
        line.user_id.clone().unwrap_or_default(),
        llm_models::title_of(&line.model),
        provider.unwrap_or_default(),
        line.input_tokens.to_string(),
        line.output_tokens.to_string(),
        total.to_string(),
        format!("{:.6}", line.cost.unwrap_or_default().as_dollars()),
        line.session_id.clone().unwrap_or_default(),
        line.source.clone(),
        usage::key_source(&line.paid_by).to_owned(),
    ];
    write_row(text, cells.iter().map(String::as_str));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(start: &str, end: &str) -> base::Result<Window> {
        let text = |text: &str| match text {
            "" => Sent::default(),
            text => Sent(domain::Patch::Value(text.to_owned())),
        };
        let query = WindowQuery {
            start_date: text(start),
            end_date: text(end),
            days: Sent::default(),
        };
        query.window(Millis::parse("2026-11-21T12:00:00Z").unwrap())
    }

    #[test]
    fn windows_end_with_their_last_day() {
        let window = query("2026-11-01", "2026-11-02").unwrap();
        assert_eq!(naive(window.from), "2026-11-01T00:00:00.000000");
        assert_eq!(naive(window.until), "2026-11-02T23:59:59.999000");
        let window = query("", "").unwrap();
        assert_eq!(naive(window.from), "2026-10-22T12:00:00.000000");
        for (start, end) in [("x", ""), ("", "yesterday"), ("2026-11-02", "2026-11-01")] {
            assert_eq!(
                query(start, end).unwrap_err().status(),
                422,
                "{start} {end}"
            );
        }
    }
}
