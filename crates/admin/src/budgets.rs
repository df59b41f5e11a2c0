//! Budget fields, as keys, users, teams and members all have them: from bodies, and into answers
//! (contract §5.2, §5.6, §8.1).

use std::collections::BTreeMap;

use base::{Code, Error, Millis, Money, Result};
use domain::Patch;
use domain::entity_budgets::{self, Account, BudgetPatch, Increase, ModelLimit, WindowLimit};
use domain::periods::Period;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{self, Amount, Field, Object, Sent, Wrong};

/// One of `budget_limits`, as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowField {
    duration: String,
    amount: Amount,
}

/// One entry of `model_max_budget`, as it was sent: a number, or an object that older clients write
/// with other names.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelField {
    duration: Option<String>,
    amount: Option<Amount>,
}

impl Field for WindowField {
    fn read(value: Value) -> std::result::Result<WindowField, Wrong> {
        let mut object = Object::read(value)?;
        Ok(WindowField {
            duration: member(&mut object, &["budget_duration"])?
                .ok_or_else(|| missing("budget_duration"))?,
            amount: member(&mut object, &["max_budget"])?.ok_or_else(|| missing("max_budget"))?,
        })
    }
}

impl Field for ModelField {
    fn read(value: Value) -> std::result::Result<ModelField, Wrong> {
        if !value.is_object() {
            return Ok(ModelField {
                duration: None,
                amount: Some(Amount::read(value)?),
            });
        }
        let mut object = Object::read(value)?;
        Ok(ModelField {
            duration: member(&mut object, &["budget_duration", "time_period"])?,
            amount: member(&mut object, &["max_budget", "budget_limit"])?,
        })
    }
}

/// The first of these members that is there.
fn member<T: Field>(
    object: &mut Object,
    names: &[&'static str],
) -> std::result::Result<Option<T>, Wrong> {
    for name in names {
        match object.remove(*name) {
            None | Some(Value::Null) => {}
            Some(value) => {
                return T::read(value).map(Some).map_err(|mut wrong| {
                    wrong.place.insert(0, (*name).into());
                    wrong
                });
            }
        }
    }
    Ok(None)
}

fn missing(name: &'static str) -> Wrong {
    let mut wrong = Wrong::new("missing", "Field required");
    wrong.place = vec![name.into()];
    wrong
}

/// What a body says of the `main` and the soft budget.
///
/// # Errors
/// [`base::Code::BadRequest`] for amounts that are none and durations that cannot be read.
pub fn patch(
    max_budget: &Sent<Amount>,
    soft_budget: &Sent<Amount>,
    duration: &Sent<String>,
) -> Result<BudgetPatch> {
    if let Patch::Value(duration) = &duration.0 {
        entity_budgets::parse_duration(duration)?;
    }
    Ok(BudgetPatch {
        max_budget: amount("max_budget", max_budget)?,
        soft_budget: amount("soft_budget", soft_budget)?,
        duration: duration.0.clone(),
        ..BudgetPatch::default()
    })
}

/// An amount of money, where one was sent.
///
/// # Errors
/// [`base::Code::BadRequest`] for what is none.
pub fn amount(name: &'static str, sent: &Sent<Amount>) -> Result<Patch<Money>> {
    sent.0.clone().try_map(|amount| amount.limit(name))
}

/// What a body says of further windows.
///
/// # Errors
/// As [`patch`].
pub fn windows(sent: &Sent<Vec<WindowField>>) -> Result<Patch<Vec<WindowLimit>>> {
    let limit = |window: WindowField| {
        entity_budgets::parse_duration(&window.duration)?;
        Ok(WindowLimit {
            max_budget: window.amount.limit("max_budget")?,
            duration: window.duration,
        })
    };
    let all = |windows: Vec<WindowField>| windows.into_iter().map(limit).collect();
    sent.0.clone().try_map(all)
}

/// What a body says of single models. Entries without an amount limit nothing.
///
/// # Errors
/// As [`patch`].
pub fn models(
    sent: &Sent<BTreeMap<String, ModelField>>,
) -> Result<Patch<BTreeMap<String, ModelLimit>>> {
    let limit = |(model, field): (String, ModelField)| {
        let amount = field.amount?;
        let checked = || {
            if let Some(duration) = &field.duration {
                entity_budgets::parse_duration(duration)?;
            }
            Ok(ModelLimit {
                max_budget: amount.limit("model_max_budget")?,
                duration: field.duration.clone(),
            })
        };
        Some(checked().map(|limit| (model, limit)))
    };
    let all = |models: BTreeMap<String, ModelField>| models.into_iter().filter_map(limit).collect();
    sent.0.clone().try_map(all)
}

/// What a body says of a temporary increase (contract §5.7).
///
/// # Errors
/// 422 where one of the two is there without the other, 400 for an end that is no time.
pub fn increase(
    amount: &Sent<Amount>,
    expiry: &Sent<String>,
    now: Millis,
) -> Result<Patch<Increase>> {
    match (&amount.0, &expiry.0) {
        (Patch::Absent, Patch::Absent) => Ok(Patch::Absent),
        (Patch::Null, Patch::Null) => Ok(Patch::Null),
        (Patch::Value(amount), Patch::Value(expiry)) => Ok(Patch::Value(Increase {
            amount: amount.limit("temp_budget_increase")?,
            until: moment(expiry, now).ok_or_else(|| {
                let message =
                    format!("temp_budget_expiry '{expiry}' is neither a date nor a duration");
                Error::new(Code::BadRequest, message).param("temp_budget_expiry")
            })?,
        })),
        _ => Err(fields::broken(
            "temp_budget_increase and temp_budget_expiry must be set together",
        )),
    }
}

/// A date, a date and time, or a duration from now.
fn moment(text: &str, now: Millis) -> Option<Millis> {
    Millis::parse(text).or_else(|| Period::parse(text).ok().map(|period| period.after(now)))
}

/// One of `budget_limits`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Window {
    pub budget_duration: String,
    #[schema(value_type = f64)]
    pub max_budget: Money,
}

/// The budget of one model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelBudget {
    #[schema(value_type = f64)]
    pub max_budget: Money,
    pub budget_duration: Option<String>,
}

/// `budget_limits` of an answer: null where there are none.
pub fn shown_windows(account: &Account) -> Option<Vec<Window>> {
    let shown = account.windows.iter().map(|window| Window {
        budget_duration: window.duration.clone(),
        max_budget: window.max_budget,
    });
    Some(shown.collect::<Vec<_>>()).filter(|windows| !windows.is_empty())
}

/// `model_max_budget` of an answer.
pub fn shown_models(account: &Account) -> BTreeMap<String, ModelBudget> {
    let shown = account.models.iter().map(|(model, limit)| {
        let budget = ModelBudget {
            max_budget: limit.max_budget,
            budget_duration: limit.duration.clone(),
        };
        (model.clone(), budget)
    });
    shown.collect()
}

/// A time of an answer.
pub fn shown_time(at: Option<Millis>) -> Option<String> {
    at.map(Millis::to_rfc3339)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Body {
        max_budget: Sent<Amount>,
        soft_budget: Sent<Amount>,
        budget_duration: Sent<String>,
        budget_limits: Sent<Vec<WindowField>>,
        model_max_budget: Sent<BTreeMap<String, ModelField>>,
    }

    fn read(body: Value) -> Result<BudgetPatch> {
        let body: Body = fields::read(body, "body")?;
        let patch = patch(&body.max_budget, &body.soft_budget, &body.budget_duration)?;
        Ok(BudgetPatch {
            windows: windows(&body.budget_limits)?,
            models: models(&body.model_max_budget)?,
            ..patch
        })
    }

    #[test]
    fn every_spelling_of_a_model_s_budget_is_read() {
        let patch = read(json!({"model_max_budget": {
            "a": {"max_budget": 1, "budget_duration": "1d"},
            "b": {"budget_limit": "0.5", "time_period": "30d"},
            "c": 2,
            "d": {"rpm_limit": 5},
        }}));
        let models = patch.unwrap().models.value().unwrap();
        assert_eq!(models["a"].duration.as_deref(), Some("1d"));
        assert_eq!(models["b"].max_budget, Money(500_000_000));
        assert_eq!(models["c"].duration, None);
        assert!(!models.contains_key("d"));
    }

    #[test]
    fn what_is_wrong_in_a_budget_has_the_status_of_the_contract() {
        for (body, status) in [
            (json!({"max_budget": -1}), 400),
            (json!({"max_budget": "abc"}), 422),
            (json!({"budget_duration": "soon"}), 400),
            (json!({"budget_limits": [{"max_budget": 1}]}), 422),
            (
                json!({"budget_limits": [{"max_budget": 1, "budget_duration": "x"}]}),
                400,
            ),
            (json!({"model_max_budget": {"a": {"max_budget": -1}}}), 400),
            (json!({"model_max_budget": []}), 422),
        ] {
            let said = body.to_string();
            assert_eq!(read(body).unwrap_err().status(), status, "{said}");
        }
    }

    #[test]
    fn null_clears_and_absence_leaves_alone() {
        let patch = read(json!({"max_budget": null, "budget_limits": null})).unwrap();
        assert_eq!(patch.max_budget, Patch::Null);
        assert_eq!(patch.windows, Patch::Null);
        assert!(patch.soft_budget.is_absent() && patch.models.is_absent());
    }
}
