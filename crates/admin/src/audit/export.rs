//! The audit log as a file: read and sent in parts, so that its size does not matter.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use domain::Domain;
use domain::audit;
use http::{HeaderValue, header};
use serde::Deserialize;
use store::audit::{AuditRow, Filter};
use utoipa::IntoParams;

use super::{AuditEntry, AuditFilter};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::Query;
use crate::fields::{Field, Sent, Wrong, choice};

/// How many entries are read at a time.
const BATCH: i64 = 500;

/// What the file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
}

impl Field for Format {
    fn read(value: serde_json::Value) -> std::result::Result<Format, Wrong> {
        choice(
            &value,
            &[("csv", Format::Csv), ("jsonl", Format::JsonLines)],
        )
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `csv` or `jsonl`; CSV if not given.
    #[param(value_type = Option<String>)]
    format: Sent<Format>,
}

/// Exports entries, the newest first.
#[utoipa::path(get, path = "/audit/export", operation_id = "audit_export", tag = "audit",
    params(AuditFilter, ExportQuery),
    responses((status = 200, body = String, content_type = "text/csv")))]
pub async fn export(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(filter): Query<AuditFilter>,
    Query(query): Query<ExportQuery>,
) -> Result<Response> {
    let format = query.format.0.value().unwrap_or(Format::Csv);
    let mut filter = filter.read()?;
    audit::may_read(&actor, &mut filter)?;
    let (content_type, disposition) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=audit.csv"),
        Format::JsonLines => (
            "application/jsonl; charset=utf-8",
            "attachment; filename=audit.jsonl",
        ),
    };
    let reading = Reading {
        domain,
        filter: Some(filter),
        format,
        is_begun: false,
    };
    let parts = futures_util::stream::try_unfold(reading, next);
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let disposition = HeaderValue::from_static(disposition);
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

struct Reading {
    domain: Domain,
    /// `None`: all was read.
    filter: Option<Filter>,
    format: Format,
    is_begun: bool,
}

/// The next part of the file.
async fn next(mut reading: Reading) -> base::Result<Option<(Bytes, Reading)>> {
    let Some(filter) = reading.filter.take() else {
        return Ok(None);
    };
    let entries = audit::batch(&reading.domain, &filter, BATCH).await?;
    let mut text = String::new();
    if !reading.is_begun && reading.format == Format::Csv {
        text.push_str(&COLUMNS.join(","));
        text.push_str("\r\n");
    }
    reading.is_begun = true;
    let is_last = i64::try_from(entries.len()).unwrap_or(i64::MAX) < BATCH;
    let before = entries.last().map(|entry| entry.sequence);
    for entry in entries {
        match reading.format {
            Format::Csv => write_csv(&mut text, &entry),
            Format::JsonLines => {
                let line = serde_json::to_string(&AuditEntry::from(entry))
                    .expect("an entry is made of texts and numbers");
                text.push_str(&line);
                text.push('\n');
            }
        }
    }
    reading.filter = (!is_last).then_some(Filter { before, ..filter });
    Ok(Some((text.into(), reading)))
}

const COLUMNS: [&str; 17] = [
    "sequence",
    "time",
    "how",
    "user_id",
    "key_id",
    "changed_by",
    "session_id",
    "client_address",
    "user_agent",
    "action",
    "object_kind",
    "object_id",
    "outcome",
    "reason",
    "before",
    "after",
    "hash",
];

fn write_csv(text: &mut String, entry: &AuditRow) {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells = [
        entry.at.to_rfc3339(),
        entry.how.clone(),
        optional(&entry.actor_user_id),
        optional(&entry.actor_key_id),
        optional(&entry.changed_by),
        optional(&entry.session_id),
        optional(&entry.client_address),
        optional(&entry.user_agent),
        entry.action.clone(),
        entry.object_kind.clone(),
        entry.object_id.clone(),
        entry.outcome.clone(),
        optional(&entry.reason),
        optional(&entry.before),
        optional(&entry.after),
        entry.hash.clone(),
    ];
    text.push_str(&entry.sequence.to_string());
    for cell in cells {
        text.push(',');
        write_cell(text, &cell);
    }
    text.push_str("\r\n");
}

/// A cell of a table (RFC 4180). What a spreadsheet would take for a formula is marked as text: an entry
/// may hold what anybody has written.
fn write_cell(text: &mut String, cell: &str) {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    text.push('"');
    if is_formula {
        text.push('\'');
    }
    text.push_str(&cell.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas_and_stay_one_cell() {
        for (cell, written) in [
            ("plain", "\"plain\""),
            ("", "\"\""),
            ("a,\"b\"\r\nc", "\"a,\"\"b\"\"\r\nc\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\n=1", "\"'\n=1\""),
        ] {
            let mut text = String::new();
            write_cell(&mut text, cell);
            assert_eq!(text, written);
        }
    }
}
