//! How much a team's administrators may grant, and how much is granted without anybody being asked.

use base::{Code, Error, Millis, Money, Result};
use jiff::tz::TimeZone;
use serde_json::json;
use store::On;
use store::requests::RuleRow;

use crate::audit::{self, Action, Actor, Entry};
use crate::{Domain, storage};

/// What applies in a team, or to what belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub team_admin_limit: Money,
    pub automatic_limit: Money,
}

/// The rule of a team: its own where it has one, else the gateway's, else the configured one.
///
/// # Errors
/// When the database does not answer.
pub async fn rule<'a>(
    domain: &Domain,
    on: impl Into<On<'a>>,
    team_id: Option<&str>,
) -> Result<Rule> {
    let mut on = on.into();
    let team = match team_id {
        Some(team_id) => store::requests::find_rule(on.again(), team_id)
            .await
            .map_err(storage)?,
        None => None,
    };
    let gateway = store::requests::find_rule(on, "").await.map_err(storage)?;
    let config = &domain.config.requests;
    let of = |limit: fn(&RuleRow) -> Option<Money>, default| {
        let own = team.as_ref().and_then(limit);
        let common = || gateway.as_ref().and_then(limit);
        own.or_else(common).unwrap_or(default)
    };
    Ok(Rule {
        team_admin_limit: of(|rule| rule.team_admin_limit, config.team_admin_limit),
        automatic_limit: of(|rule| rule.automatic_limit, config.automatic_limit),
    })
}

/// Sets what applies in a team, or everywhere; `None`: what applies where nothing is said.
///
/// # Errors
/// 404 for an unknown team.
pub async fn set_rule(
    domain: &Domain,
    actor: &Actor,
    team_id: Option<&str>,
    team_admin_limit: Option<Money>,
    automatic_limit: Option<Money>,
) -> Result<Rule> {
    let now = domain.clock.now();
    let id = team_id.unwrap_or_default();
    let mut tx = domain.begin().await?;
    if let Some(team_id) = team_id {
        let team = store::teams::lock(&mut tx, team_id)
            .await
            .map_err(storage)?;
        if team.is_none() {
            let message = format!("Team not found, passed team_id={team_id}");
            return Err(Error::new(Code::NotFound, message).param("team_id"));
        }
    }
    let before = store::requests::find_rule(&mut tx, id)
        .await
        .map_err(storage)?;
    let after = RuleRow {
        team_id: id.to_owned(),
        team_admin_limit,
        automatic_limit,
        updated_at: now,
        updated_by: actor.name(),
    };
    store::requests::put_rule(&mut tx, &after)
        .await
        .map_err(storage)?;
    let described = |rule: &RuleRow| {
        json!({
            "team_id": team_id,
            "team_admin_limit": rule.team_admin_limit,
            "automatic_limit": rule.automatic_limit,
        })
    };
    let entry = Entry {
        action: Action::Updated,
        kind: "request_rule",
        id: team_id.unwrap_or("gateway"),
        before: before.as_ref().map(described),
        after: Some(described(&after)),
    };
    audit::record(&mut tx, actor, now, entry).await?;
    domain.commit(tx, &[]).await?;
    rule(domain, &domain.db, team_id).await
}

/// When the calendar month of a moment began.
pub(super) fn month_start(now: Millis, zone: &TimeZone) -> Millis {
    let begun = jiff::Timestamp::from_millisecond(now.0)
        .ok()
        .and_then(|now| now.to_zoned(zone.clone()).first_of_month().ok())
        .and_then(|first| first.start_of_day().ok());
    begun.map_or(Millis(0), |begun| {
        Millis(begun.timestamp().as_millisecond())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day_in_the_zone() {
        let at = |text| Millis::parse(text).unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let noon = at("2026-11-21T12:00:00Z");
        assert_eq!(
            month_start(noon, &TimeZone::UTC),
            at("2026-11-01T00:00:00Z")
        );
        assert_eq!(month_start(noon, &berlin), at("2026-10-31T23:00:00Z"));
        let late = at("2026-11-30T23:30:00Z");
        assert_eq!(month_start(late, &berlin), at("2026-11-30T23:00:00Z"));
    }
}
