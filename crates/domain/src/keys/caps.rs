//! The configured caps on what a key may be given (`upperbound_key_generate_params`, contract §8.1).

use base::{Code, Error, Millis, Money, Result};
use serde_json::Value;
use store::On;
use store::budget_plans::BudgetPlanRow;

use super::fields::{KeyPatch, Object, expiry, span};
use crate::periods::Period;
use crate::{Domain, Patch, storage};

/// Checks what the configuration says, at start: a cap that cannot be understood would hold nobody.
///
/// # Errors
/// 400 naming the cap.
pub fn check_settings(caps: &Object) -> Result<()> {
    for (name, cap) in caps {
        let is_right = match name.as_str() {
            "max_budget" => cap.as_number().and_then(Money::from_json).is_some(),
            "duration" | "budget_duration" => {
                cap.as_str().is_some_and(|text| Period::parse(text).is_ok())
            }
            "max_parallel_requests" | "tpm_limit" | "rpm_limit" => cap.as_i64().is_some(),
            _ => continue,
        };
        if !is_right && !cap.is_null() {
            return Err(Error::new(Code::BadRequest, format!("{name} is {cap}")));
        }
    }
    Ok(())
}

/// Holds a key to the caps, and fills what is missing with them where `fill` says so. A plan that the
/// key is to follow says what the key itself does not.
///
/// # Errors
/// 400 for what is over a cap.
pub(super) async fn check<'a>(
    domain: &Domain,
    on: impl Into<On<'a>>,
    patch: &mut KeyPatch,
    now: Millis,
    fill: bool,
) -> Result<()> {
    let caps = &domain.config.upperbound_key_params;
    if caps.is_empty() {
        return Ok(());
    }
    let plan = match &patch.budgets.plan {
        Patch::Value(id) => store::budget_plans::find_many(on, std::slice::from_ref(id))
            .await
            .map_err(storage)?
            .pop(),
        Patch::Absent | Patch::Null => None,
    };
    for (name, cap) in caps {
        hold_one(name, cap, patch, plan.as_ref(), now, fill)?;
    }
    Ok(())
}

fn hold_one(
    name: &str,
    cap: &Value,
    patch: &mut KeyPatch,
    plan: Option<&BudgetPlanRow>,
    now: Millis,
    fill: bool,
) -> Result<()> {
    let count = cap.as_i64();
    match name {
        "max_budget" => {
            let most = cap.as_number().and_then(Money::from_json);
            let planned = plan.and_then(|plan| plan.max_budget);
            hold(name, &mut patch.budgets.max_budget, planned, most, fill)
        }
        "max_parallel_requests" => {
            let planned = plan.and_then(|plan| plan.max_parallel_requests);
            hold(name, &mut patch.max_parallel_requests, planned, count, fill)
        }
        "tpm_limit" => {
            let planned = plan.and_then(|plan| plan.tpm_limit);
            hold(name, &mut patch.tpm_limit, planned, count, fill)
        }
        "rpm_limit" => {
            let planned = plan.and_then(|plan| plan.rpm_limit);
            hold(name, &mut patch.rpm_limit, planned, count, fill)
        }
        "duration" => {
            let at = |text: &str| Ok(expiry(text, now)?.unwrap_or(Millis(i64::MAX)));
            hold_span(name, &mut patch.duration, None, cap.as_str(), fill, at)
        }
        "budget_duration" => {
            let at = |text: &str| Ok(span("budget_duration", text)?.after(now));
            let planned = plan.and_then(|plan| plan.period.as_deref());
            let field = &mut patch.budgets.duration;
            hold_span(name, field, planned, cap.as_str(), fill, at)
        }
        _ => Ok(()),
    }
}

pub(crate) fn hold<T: PartialOrd + Clone + std::fmt::Display>(
    name: &str,
    field: &mut Patch<T>,
    planned: Option<T>,
    most: Option<T>,
    fill: bool,
) -> Result<()> {
    let Some(most) = most else {
        return Ok(());
    };
    match (&field, planned) {
        (Patch::Value(value), _) if *value > most => Err(over(name, value, &most)),
        (Patch::Value(_), _) => Ok(()),
        (_, Some(planned)) if planned > most => Err(over(name, planned, &most)),
        (_, Some(_)) => Ok(()),
        (Patch::Null, None) if !fill => Err(over(name, "none", &most)),
        (Patch::Absent, None) if !fill => Ok(()),
        (Patch::Absent | Patch::Null, None) => {
            *field = Patch::Value(most);
            Ok(())
        }
    }
}

pub(crate) fn hold_span(
    name: &str,
    field: &mut Patch<String>,
    planned: Option<&str>,
    most: Option<&str>,
    fill: bool,
    at: impl Fn(&str) -> Result<Millis>,
) -> Result<()> {
    let Some(most) = most else {
        return Ok(());
    };
    let wanted = match (&field, planned) {
        (Patch::Value(text), _) => Some(text.as_str()),
        (Patch::Absent | Patch::Null, planned) => planned,
    };
    match wanted {
        Some(text) if at(text)? > at(most)? => Err(over(name, text, most)),
        Some(_) => Ok(()),
        None => hold(name, field, None, Some(most.to_owned()), fill),
    }
}

fn over(name: &str, value: impl std::fmt::Display, most: impl std::fmt::Display) -> Error {
    Error::new(
        Code::BadRequest,
        format!("{name} is over max limit set in config - user_value={value}; max_value={most}"),
    )
    .param(name.to_owned())
}
