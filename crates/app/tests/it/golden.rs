//! Answers of the reference, recorded, and how ours must agree with them: the same status, the same
//! outer shape, and every field of the recorded body with a value of the same JSON type. What we
//! answer differently on purpose is in [`DEVIATIONS`], with the reason.
//!
//! The recordings lie outside the repository (`TOLLGATE_GOLDEN`, by default
//! `../shared/contracts/golden`); where they are absent that is said plainly and nothing is compared.

use std::path::{Path, PathBuf};

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::app::{Answer, Call, TestApp};

/// What a deviation leaves out of the comparison.
enum Differs {
    /// The status is another one, and the body an error with it.
    Status(u16),
    /// The value at this pointer of the body; a `*` at its end stands for any rest of the name.
    At(&'static str),
}

/// Where we do the right thing instead: recording, difference, reason. One line each.
const DEVIATIONS: &[(&str, Differs, &str)] = &[
    (
        "cfg2_team_self_join_admin",
        Differs::Status(403),
        "a right that one has not, and no matter of licences",
    ),
    (
        "cfg2_enforce_user_param",
        Differs::At("/error/param"),
        "the field that is missing is named",
    ),
    (
        "key_type_management_chat",
        Differs::At("/detail"),
        "a call is refused in the protocol of the call (contract §2.1 E1)",
    ),
    (
        "key_generate_bad_duration",
        Differs::Status(400),
        "bad input is a 400, whatever field it is in (contract §3.5)",
    ),
    (
        "key_generate_custom_key_dup",
        Differs::Status(409),
        "a custom key that exists is refused, not silently left alone (contract §3.3)",
    ),
    (
        "key_info_deleted",
        Differs::At("/info/deleted_by_api_key"),
        "the audit log says with which key a key was deleted",
    ),
    (
        "model_delete_missing",
        Differs::At("/error/type"),
        "auth_error is said of what is no matter of authentication (contract §2.1)",
    ),
    (
        "model_delete_missing",
        Differs::At("/error/param"),
        "the field at fault is named",
    ),
    (
        "model_info",
        Differs::At("/data/0/litellm_params"),
        "flags of Python classes that were never stated",
    ),
    (
        "model_info",
        Differs::At("/data/0/model_info"),
        "prices that nobody states are left out instead of a hundred nulls",
    ),
    (
        "model_info_internal",
        Differs::At("/data/0/litellm_params"),
        "flags of Python classes, and the address is for administrators",
    ),
    (
        "model_info_internal",
        Differs::At("/data/0/model_info"),
        "prices that nobody states are left out instead of a hundred nulls",
    ),
    (
        "model_info_v1",
        Differs::At("/data/0/litellm_params"),
        "flags of Python classes that were never stated",
    ),
    (
        "model_info_v1",
        Differs::At("/data/0/model_info"),
        "prices that nobody states are left out instead of a hundred nulls",
    ),
    (
        "model_info_v2",
        Differs::At("/data/0/litellm_params"),
        "flags of Python classes that were never stated",
    ),
    (
        "model_info_v2",
        Differs::At("/data/0/model_info"),
        "prices that nobody states are left out instead of a hundred nulls",
    ),
    (
        "model_new",
        Differs::At("/litellm_params"),
        "what is no secret is shown, secrets are masked and not shown sealed",
    ),
    (
        "model_new",
        Differs::At("/model_info/member_auto_router"),
        "a feature that does not exist here",
    ),
    (
        "model_new_bad",
        Differs::Status(422),
        "a missing field is no fault of the server (contract §16.1)",
    ),
    (
        "model_new_dup",
        Differs::Status(409),
        "a taken id is no fault of the server (contract §16.1)",
    ),
    (
        "model_patch",
        Differs::At("/litellm_params"),
        "what is no secret is shown, secrets are masked and not shown sealed",
    ),
    (
        "model_patch",
        Differs::At("/model_info/member_auto_router"),
        "a feature that does not exist here",
    ),
    (
        "model_update",
        Differs::At("/litellm_params"),
        "what is no secret is shown, secrets are masked and not shown sealed",
    ),
    (
        "model_update",
        Differs::At("/model_info/member_auto_router"),
        "a feature that does not exist here",
    ),
    (
        "model_update_config_model",
        Differs::At("/error/type"),
        "auth_error is said of what is no matter of authentication (contract §2.1)",
    ),
    (
        "model_update_config_model",
        Differs::At("/error/param"),
        "the field at fault is named",
    ),
    (
        "ui_session_user_info",
        Differs::At("/user_info/last_breach_check_at"),
        "passwords are compared with a list when they are set, and with nothing later",
    ),
    (
        "invitation_new_by_internal",
        Differs::Status(403),
        "a caller without the right is forbidden, not wrong (contract §14.1)",
    ),
    (
        "health",
        Differs::At("/unhealthy_endpoints/0/raw_request_typed_dict"),
        "no request that costs money is made",
    ),
    (
        "health",
        Differs::At("/unhealthy_endpoints/0/exception_status"),
        "no request that costs money is made",
    ),
    (
        "health_internal",
        Differs::At("/unhealthy_endpoints/0/raw_request_typed_dict"),
        "no request that costs money is made",
    ),
    (
        "health_internal",
        Differs::At("/unhealthy_endpoints/0/exception_status"),
        "no request that costs money is made",
    ),
    (
        "health_readiness_details",
        Differs::At("/use_aiohttp_transport"),
        "a switch of a Python library",
    ),
    (
        "health_readiness_details",
        Differs::At("/show_no_redis_warning"),
        "there is no such warning",
    ),
    (
        "health_readiness_details",
        Differs::At("/show_env_credential_login_warning"),
        "there is no such warning",
    ),
    (
        "health_readiness_details",
        Differs::At("/success_callbacks"),
        "there are no Python callbacks",
    ),
    (
        "user_info_by_id",
        Differs::At("/keys/0/team_alias"),
        "a key without a team has no team's alias, not the word None (contract §9.2)",
    ),
    (
        "user_info_self",
        Differs::At("/keys/0/team_alias"),
        "as in user_info_by_id",
    ),
    (
        "user_info_admin_no_id",
        Differs::At("/keys/0/team_alias"),
        "as in user_info_by_id",
    ),
    (
        "user_update_missing",
        Differs::Status(404),
        "an update never makes a user (contract §9.4)",
    ),
    (
        "user_delete_missing",
        Differs::Status(404),
        "nobody was made by the update before, so nobody can be deleted (contract §9.5)",
    ),
    (
        "team_info_missing",
        Differs::At("/error/type"),
        "a truthful type in place of auth_error (contract §2.1)",
    ),
    (
        "team_info_no_id",
        Differs::At("/error/type"),
        "as in team_info_missing",
    ),
    (
        "team_info_no_id",
        Differs::At("/error/param"),
        "the parameter that is missing is named",
    ),
    (
        "team_info_missing",
        Differs::At("/error/param"),
        "the parameter that names nothing is named",
    ),
    (
        "team_new_member_budget",
        Differs::At("/model_id"),
        "a team's model aliases are no table of their own, so there is no number for it",
    ),
    (
        "team_new_member_budget",
        Differs::At("/litellm_model_table/id"),
        "as for model_id",
    ),
    (
        "team_list_v2",
        Differs::At("/teams/0/model_id"),
        "as in team_new_member_budget",
    ),
    (
        "team_list_v2",
        Differs::At("/teams/0/litellm_model_table/id"),
        "as in team_new_member_budget",
    ),
    (
        "team_member_update_missing",
        Differs::Status(404),
        "who is not a member cannot be changed (contract §10.5)",
    ),
    (
        "spend_logs_ui",
        Differs::At("/data/0/session_*"),
        "calls are not gathered into sessions",
    ),
    (
        "spend_calculate_bad",
        Differs::At("/error/type"),
        "a truthful type in place of the word None (contract §2.2)",
    ),
    (
        "global_spend_teams",
        Differs::At("/daily_spend/0/team-a2"),
        "a team of the recording",
    ),
];

/// Objects whose names are the caller's or a feature's own: only their type is compared.
const FREE_FORM: &[&str] = &[
    "metadata",
    "router_settings",
    "litellm_budget_table",
    "permissions",
    "aliases",
    "config",
    "model_max_budget",
    "object_permission",
    // reports, by name
    "users",
    "models",
    "model_groups",
    "providers",
    "endpoints",
    "entities",
    "api_keys",
    "api_key_breakdown",
];

/// A recorded exchange.
#[derive(Debug, Deserialize)]
pub struct Golden {
    pub name: String,
    pub request: GoldenRequest,
    pub response: GoldenResponse,
}

#[derive(Debug, Deserialize)]
pub struct GoldenRequest {
    pub method: String,
    pub path: String,
    pub body: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub struct GoldenResponse {
    pub status: u16,
    pub body: Value,
}

impl Golden {
    /// A recording by name; `None` where the recordings are not on this machine.
    pub fn load(name: &str) -> Option<Golden> {
        let folder = folder();
        if !folder.is_dir() {
            eprintln!(
                "{name} is not compared: there are no recordings in {}",
                folder.display()
            );
            return None;
        }
        let text = std::fs::read_to_string(folder.join(format!("{name}.json")))
            .unwrap_or_else(|error| panic!("the recording {name}: {error}"));
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    /// The recorded request, with texts of the recording (keys, ids) replaced by ours, made with the
    /// master key.
    pub fn call<'a>(&self, app: &'a TestApp, replace: &[(&str, &str)]) -> Call<'a> {
        let ours = |text: String| {
            let pair = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
            replace.iter().fold(text, pair)
        };
        let method: Method = self.request.method.parse().expect("a method");
        let body = self.request.body.as_ref().map(|body| {
            let text = ours(body.to_string());
            serde_json::from_str(&text).expect("JSON stays JSON")
        });
        app.call(method, &ours(self.request.path.clone()), body)
    }

    /// Fails with every difference between the recording and an answer of ours.
    pub fn compare(&self, answer: &Answer) {
        let differences = self.differences(answer);
        assert!(
            differences.is_empty(),
            "{}: {}\nours: {answer}\nrecorded: {}",
            self.name,
            differences.join("; "),
            self.response.body
        );
    }

    /// Every difference between the recording and an answer of ours.
    pub fn differences(&self, answer: &Answer) -> Vec<String> {
        let mut differences = Vec::new();
        let status = self.differing_status();
        let expected = status.unwrap_or(self.response.status);
        if answer.status != expected {
            differences.push(format!("status {} instead of {expected}", answer.status));
        }
        match status {
            Some(_) => differences.extend(not_an_error(&answer.json)),
            None => self.walk("", &self.response.body, &answer.json, &mut differences),
        }
        differences
    }

    fn differing_status(&self) -> Option<u16> {
        DEVIATIONS
            .iter()
            .find_map(|(name, differs, _)| match differs {
                Differs::Status(status) if *name == self.name => Some(*status),
                _ => None,
            })
    }

    fn is_left_out(&self, pointer: &str) -> bool {
        DEVIATIONS.iter().any(|(name, differs, _)| {
            let Differs::At(at) = differs else {
                return false;
            };
            let found = match at.strip_suffix('*') {
                Some(start) => pointer.starts_with(start),
                None => *at == pointer,
            };
            *name == self.name && found
        })
    }

    fn walk(&self, pointer: &str, theirs: &Value, ours: &Value, differences: &mut Vec<String>) {
        if self.is_left_out(pointer) {
            return;
        }
        match (theirs, ours) {
            // what may be null is not told from one recording
            (Value::Null, _) => {}
            (Value::Object(theirs), Value::Object(found)) => {
                for (name, value) in theirs {
                    let pointer = format!("{pointer}/{name}");
                    match found.get(name) {
                        _ if self.is_left_out(&pointer) => {}
                        None if is_a_key(name) => {}
                        None => differences.push(format!("no {pointer}")),
                        Some(found) if FREE_FORM.contains(&name.as_str()) => {
                            if value.is_object() && !found.is_object() && !found.is_null() {
                                differences.push(format!("{pointer} is no object"));
                            }
                        }
                        Some(found) => self.walk(&pointer, value, found, differences),
                    }
                }
            }
            (Value::Array(theirs), Value::Array(found)) => {
                if let (Some(theirs), Some(found)) = (theirs.first(), found.first()) {
                    self.walk(&format!("{pointer}/0"), theirs, found, differences);
                }
                if found.is_empty() && !theirs.is_empty() {
                    differences.push(format!("{pointer} is empty"));
                }
            }
            (Value::String(theirs), found) if is_error_word(pointer) => {
                let said = || format!("{pointer} is {found} instead of '{theirs}'");
                differences.extend((!agrees(pointer, theirs, found)).then(said));
            }
            (theirs, found) if kind(theirs) != kind(found) => {
                differences.push(format!(
                    "{pointer} is {}, not {}",
                    kind(found),
                    kind(theirs)
                ));
            }
            _ => {}
        }
    }
}

/// Whether a name in a report stands for a key of the recording.
fn is_a_key(name: &str) -> bool {
    let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash || name.is_empty() || name == "litellm-internal-health-check"
}

/// Whether the value itself must agree, not only its type.
fn is_error_word(pointer: &str) -> bool {
    ["/error/type", "/error/code", "/error/param"].contains(&pointer)
        || (pointer.starts_with("/detail/0/") && !pointer.ends_with("/msg"))
}

fn agrees(pointer: &str, theirs: &str, ours: &Value) -> bool {
    match (pointer, theirs) {
        // a Python repr of "nothing" (contract §2.1)
        ("/error/param", "None") => ours.is_null(),
        // what the reference says of every error that it wraps (contract §2.1)
        ("/error/type", "internal_server_error") => ours.is_string(),
        _ => ours == theirs,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn not_an_error(body: &Value) -> Option<String> {
    let is_error = body["error"]["message"].is_string() || !body["detail"].is_null();
    (!is_error).then(|| "the body is no error".to_owned())
}

/// Where the recordings are.
pub fn folder() -> PathBuf {
    match std::env::var_os("TOLLGATE_GOLDEN") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts/golden"),
    }
}

#[test]
fn every_deviation_is_of_a_recording_that_exists() {
    if folder().is_dir() {
        for (name, _, reason) in DEVIATIONS {
            assert!(Golden::load(name).is_some() && !reason.is_empty());
        }
    }
}
