//! The `/v2` API: accounts, keys at providers, models, conversations, usage and API keys, as clients of a
//! bring-your-own-key service know them (docs/v2.md). A face of what the gateway has; chats themselves are
//! calls, and answered by the data plane.
//!
//! Errors are `{"detail": …}`; see [`crate::dialect`]. Every path is served with a slash at its end, too.

pub mod api_keys;
pub mod billing;
pub mod conversations;
mod csv;
pub mod login;
pub mod models;
pub mod provider_keys;
pub mod users;

use base::{Code, Error, Millis, Result};
use domain::conversations::Part;
use domain::{Actor, Patch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::fields::Sent;

crate::operations::operations! {
    login: access_token, test_token, recover, reset;
    users: me, update_me, delete_me, change_password, list, create, info, update, delete;
    provider_keys: status, set, remove_all, remove, test, system, set_system;
    models: list, info;
    conversations: list, create, info, rename, delete, messages;
    billing: my_usage, report, export;
    api_keys: list, create, toggle, delete;
}

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Message, example = json!({"message": "Password updated successfully"}))]
pub struct Message {
    #[schema(value_type = String)]
    pub message: &'static str,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Error, example = json!({"detail": "Not authenticated"}))]
pub struct Detail {
    /// A sentence, or the places of the request that are wrong.
    #[schema(value_type = Object)]
    pub detail: Value,
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PartQuery {
    /// How many entries come before, 0 if not given.
    #[param(value_type = Option<i64>, example = 0)]
    pub skip: Sent<i64>,
    /// How many entries there are at the most, 100 if not given; up to 1000.
    #[param(value_type = Option<i64>, example = 100)]
    pub limit: Sent<i64>,
}

/// The longest part of a list.
const MOST: i64 = 1_000;

/// Reads which part of a list is asked for.
///
/// # Errors
/// 422 for what is negative.
pub fn part(skip: &Sent<i64>, limit: &Sent<i64>) -> Result<Part> {
    let read = |name: &str, sent: &Sent<i64>, usual: i64| match sent.0 {
        Patch::Value(number @ ..0) => Err(wrong(
            json!(["query", name]),
            "greater_than_equal",
            "Input should be greater than or equal to 0",
            json!({"ge": 0, "input": number}),
        )),
        Patch::Value(number) => Ok(number),
        Patch::Absent | Patch::Null => Ok(usual),
    };
    Ok(Part {
        skip: read("skip", skip, 0)?,
        limit: read("limit", limit, 100)?.min(MOST),
    })
}

/// A validation error at one place, in pydantic's words.
pub fn wrong(place: Value, kind: &str, message: &str, context: Value) -> Error {
    let mut wrong = json!({"type": kind, "loc": place, "msg": message});
    if !context.is_null() {
        wrong["ctx"] = context;
    }
    Error::new(Code::Validation, message.to_owned()).with_details(json!([wrong]))
}

/// Checks how long a text of a body is.
///
/// # Errors
/// 422 for one that is too short or too long. The text is not quoted: it may be a password.
pub fn check_length(name: &str, text: &str, least: usize, most: usize) -> Result<()> {
    let count = text.chars().count();
    let (kind, message, context) = if count < least {
        let message = format!("String should have at least {least} characters");
        ("string_too_short", message, json!({"min_length": least}))
    } else if count > most {
        let message = format!("String should have at most {most} characters");
        ("string_too_long", message, json!({"max_length": most}))
    } else {
        return Ok(());
    };
    Err(wrong(json!(["body", name]), kind, &message, context))
}

/// Checks that a parameter of the path is an id.
///
/// # Errors
/// 422 for what is none.
pub fn check_id(name: &str, text: &str) -> Result<()> {
    match domain::v2::is_uuid(text) {
        true => Ok(()),
        false => Err(wrong(
            json!(["path", name]),
            "uuid_parsing",
            "Input should be a valid UUID",
            Value::Null,
        )),
    }
}

/// A time as this API has them: UTC without saying so, with microseconds.
pub fn naive(at: Millis) -> String {
    let mut text = at.to_rfc3339();
    if text.ends_with('Z') {
        text.pop();
    }
    text
}

/// A person who has signed in, or the master key: what changes an account, or opens doors to it, is not
/// for API keys, which are given to programs.
///
/// # Errors
/// [`Code::Forbidden`] for an API key.
pub fn must_be_person(actor: &Actor) -> Result<()> {
    match actor.session.is_some() || actor.is_master() {
        true => Ok(()),
        false => Err(Error::new(
            Code::Forbidden,
            "API keys cannot do this: sign in (POST /v2/login/access-token)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_say_no_zone() {
        let at = Millis::parse("2026-11-21T10:37:42.020Z").unwrap();
        assert_eq!(naive(at), "2026-11-21T10:37:42.020000");
    }

    #[test]
    fn parts_of_lists_are_not_negative_and_not_endless() {
        let sent = |number| Sent(Patch::Value(number));
        let all = part(&Sent::default(), &sent(i64::MAX)).unwrap();
        assert_eq!((all.skip, all.limit), (0, MOST));
        assert_eq!(part(&sent(-1), &Sent::default()).unwrap_err().status(), 422);
        assert_eq!(part(&Sent::default(), &sent(-1)).unwrap_err().status(), 422);
    }

    #[test]
    fn texts_are_measured_in_characters() {
        assert!(check_length("title", "éé", 1, 2).is_ok());
        let long = check_length("title", "ééé", 1, 2).unwrap_err();
        assert_eq!(long.details().unwrap()[0]["type"], "string_too_long");
        let short = check_length("password", "a", 8, 40).unwrap_err();
        assert_eq!(short.details().unwrap()[0]["ctx"]["min_length"], 8);
    }
}
