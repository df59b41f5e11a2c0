//! What the configuration gives to new teams (`default_team_params`), and the most that a team may be given
//! (`upperbound_team_params`).

use base::{Error, Millis, Money, Result};
use serde::Deserialize;

use super::TeamFields;
use crate::keys::{hold, hold_span, span};
use crate::{Domain, Patch};

/// The fields of `default_team_params` that a team has by itself.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Defaults {
    max_budget: Option<Money>,
    budget_duration: Option<String>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    models: Option<Vec<String>>,
    team_member_permissions: Option<Vec<String>>,
}

/// What a team has that is made by nobody's request.
///
/// # Errors
/// [`base::Code::Internal`] when the configuration cannot be understood.
pub fn default_fields(domain: &Domain) -> Result<TeamFields> {
    let params = domain.config.default_team_params.clone();
    let defaults: Defaults = serde_json::from_value(params.into()).map_err(Error::internal)?;
    let mut fields = TeamFields {
        models: defaults.models.into(),
        member_permissions: defaults.team_member_permissions.into(),
        tpm_limit: defaults.tpm_limit.into(),
        rpm_limit: defaults.rpm_limit.into(),
        ..TeamFields::default()
    };
    fields.budgets.max_budget = defaults.max_budget.into();
    fields.budgets.duration = defaults.budget_duration.into();
    Ok(fields)
}

/// Holds a team to the caps, and fills what a new one lacks with them.
///
/// # Errors
/// 400 for what is over a cap.
pub(super) fn check(
    domain: &Domain,
    fields: &mut TeamFields,
    now: Millis,
    is_new: bool,
) -> Result<()> {
    for (name, cap) in &domain.config.upperbound_team_params {
        let count = cap.as_i64();
        match name.as_str() {
            "max_budget" => {
                let most = cap.as_number().and_then(Money::from_json);
                hold(name, &mut fields.budgets.max_budget, None, most, is_new)?;
            }
            "max_parallel_requests" => {
                hold(name, &mut fields.max_parallel_requests, None, count, is_new)?;
            }
            "tpm_limit" => hold(name, &mut fields.tpm_limit, None, count, is_new)?,
            "rpm_limit" => hold(name, &mut fields.rpm_limit, None, count, is_new)?,
            "budget_duration" if is_new || matches!(fields.budgets.duration, Patch::Value(_)) => {
                let at = |text: &str| Ok(span("budget_duration", text)?.after(now));
                let field = &mut fields.budgets.duration;
                hold_span(name, field, None, cap.as_str(), is_new, at)?;
            }
            _ => {}
        }
    }
    Ok(())
}
