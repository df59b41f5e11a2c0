//! Requests: what people ask for who may not take it themselves (more budget, a model, a key, a place in
//! a team), who decides, and what is given then: always for a time.
//!
//! Nobody decides their own request. Whoever decides gives no more than they could give otherwise, and a
//! request is decided once, however many try. What is given ends by itself.

mod asking;
mod decide;
mod give;
mod letters;
mod links;
mod receipts;
mod rules;

use std::time::Duration;

use base::{Code, Error, Millis, Money, Result};
use serde_json::{Value, json};
use store::requests::RequestRow;
use store::{On, Tx};

pub use asking::{Ask, New, Page, create, info, list, withdraw};
pub use decide::{Decision, Verdict, decide};
pub(crate) use give::forget_user;
pub use give::{Collected, collect, end_due, run};
pub use links::{Letter, Offer, ask_by_offer, decide_by_letter, invite, of_letter, of_offer};
pub(crate) use links::{for_budget, with_url};
pub use receipts::grants_of;
pub use rules::{Rule, rule, set_rule};

use crate::audit::{self, Action, Actor, Entry};
use crate::storage;

/// How requests are treated if nothing else is said for a team.
#[derive(Clone, Debug)]
pub struct RequestConfig {
    /// What a team's administrators may grant one person in a calendar month.
    pub team_admin_limit: Money,
    /// What one person is granted in a calendar month without anybody being asked.
    pub automatic_limit: Money,
    /// How long a grant lasts if nobody says.
    pub grant_time: Duration,
    /// How long a request waits to be decided.
    pub request_time: Duration,
}

impl Default for RequestConfig {
    fn default() -> RequestConfig {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        RequestConfig {
            team_admin_limit: Money::ZERO,
            automatic_limit: Money::ZERO,
            grant_time: 30 * DAY,
            request_time: 14 * DAY,
        }
    }
}

/// The longest a grant may last.
const LONGEST_GRANT: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// The longest reason and note, in characters.
const LONGEST_TEXT: usize = 1000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Budget,
    Model,
    Key,
    Seat,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Budget, Kind::Model, Kind::Key, Kind::Seat];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Budget => "budget",
            Kind::Model => "model",
            Kind::Key => "key",
            Kind::Seat => "seat",
        }
    }

    fn of(row: &RequestRow) -> Result<Kind> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == row.kind);
        kind.ok_or_else(|| Error::internal(format!("a request of kind {}", row.kind)))
    }
}

/// Where a request stands.
pub mod status {
    /// Waits to be decided.
    pub const PENDING: &str = "pending";
    /// What was asked for is given; a key waits to be collected.
    pub const APPROVED: &str = "approved";
    /// The key was collected.
    pub const COLLECTED: &str = "collected";
    pub const DECLINED: &str = "declined";
    /// Taken back by whoever asked.
    pub const WITHDRAWN: &str = "withdrawn";
    /// Nobody decided in time.
    pub const LAPSED: &str = "lapsed";
    /// The time that it was given for is over.
    pub const ENDED: &str = "ended";
}

/// A request in words, for people who decide: what is asked for, and for how long.
pub fn in_words(row: &RequestRow) -> String {
    let amount = row.amount.unwrap_or_default();
    let team = row.team_id.as_deref();
    let of_team = team.map_or_else(String::new, |team| format!(" in team {team}"));
    let asks = match row.kind.as_str() {
        "budget" => {
            let scope = row
                .scope_kind
                .as_deref()
                .unwrap_or_default()
                .replace('_', " ");
            let id = row.scope_id.as_deref().unwrap_or_default();
            match scope.as_str() {
                "team member" => format!("${amount} more for themselves{of_team}"),
                _ => format!("${amount} more for the {scope} {id}{of_team}"),
            }
        }
        "model" => format!(
            "the model {}{of_team}",
            row.model.as_deref().unwrap_or_default()
        ),
        "key" => match row.amount {
            Some(amount) => format!("a key{of_team} with a budget of ${amount}"),
            None => format!("a key{of_team}"),
        },
        _ => format!("a place in team {}", team.unwrap_or_default()),
    };
    match row.duration {
        Some(duration) => format!("{asks}, for {}", time_in_words(duration)),
        None => asks,
    }
}

/// A number of milliseconds in the largest unit that measures it without a rest: `7 days`, `36 hours`.
fn time_in_words(millis: i64) -> String {
    let seconds = millis.max(0).unsigned_abs().div_ceil(1000);
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let unit = units
        .into_iter()
        .find(|(length, _)| seconds.is_multiple_of(*length) && seconds > 0);
    let (length, name) = unit.unwrap_or((1, "second"));
    match seconds / length {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

/// Somebody as whoever decides knows them: by name and address where there are any, else by id. A name
/// alone, which people choose themselves, is not enough.
async fn known_as<'a>(on: impl Into<On<'a>>, user_id: &str) -> Result<String> {
    let user = store::users::find(on, user_id).await.map_err(storage)?;
    let (email, alias) = user.map_or((None, None), |user| (user.email, user.alias));
    Ok(match (email, alias.filter(|alias| !alias.is_empty())) {
        (Some(email), Some(alias)) => format!("{alias} <{email}>"),
        (Some(email), None) => email,
        (None, Some(alias)) => format!("{alias} ({user_id})"),
        (None, None) => user_id.to_owned(),
    })
}

fn not_found(id: &str) -> Error {
    Error::new(Code::NotFound, format!("Request {id} not found")).param("request_id")
}

/// A text of people, cut to what is kept.
fn cut(text: Option<String>) -> Option<String> {
    let text = text.map(|text| text.trim().chars().take(LONGEST_TEXT).collect::<String>());
    text.filter(|text| !text.is_empty())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Notes what happened to a request.
async fn note(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    action: Action,
    before: Option<&RequestRow>,
    after: &RequestRow,
) -> Result<()> {
    let entry = Entry {
        action,
        kind: "request",
        id: &after.id,
        before: before.map(described),
        after: Some(described(after)),
    };
    audit::record(tx, actor, now, entry).await
}

fn described(row: &RequestRow) -> Value {
    json!({
        "kind": row.kind,
        "user_id": row.user_id,
        "team_id": row.team_id,
        "organization_id": row.organization_id,
        "scope_kind": row.scope_kind,
        "scope_id": row.scope_id,
        "amount": row.amount,
        "model": row.model,
        "key_alias": row.key_alias,
        "reason": row.reason,
        "status": row.status,
        "decided_by": row.decided_by,
        "decided_how": row.decided_how,
        "note": row.note,
        "granted_amount": row.granted_amount,
        "granted_until": row.granted_until.map(Millis::to_rfc3339),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_the_largest_unit_that_measures_it() {
        const HOUR: i64 = 60 * 60 * 1000;
        for (millis, words) in [
            (24 * HOUR, "1 day"),
            (31 * 24 * HOUR, "31 days"),
            (36 * HOUR, "36 hours"),
            (HOUR, "1 hour"),
            (HOUR + HOUR / 60, "61 minutes"),
            (1, "1 second"),
            (90_001, "91 seconds"),
            (0, "0 seconds"),
            (-5, "0 seconds"),
        ] {
            assert_eq!(time_in_words(millis), words, "{millis}");
        }
    }
}
