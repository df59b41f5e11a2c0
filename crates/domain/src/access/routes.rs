//! Routes: groups of them, which role may call which group, and keys that are limited to some
//! (contract §3.4, §4.1–4.3). The tables below are the whole policy; what they leave out is for
//! administrators.

use base::{Code, Error, Result};
use http::Method;

use crate::caller::{Caller, Role};

type Patterns = &'static [&'static str];

// A pattern is a path. `?` at its start stands for `/v1` or nothing, `{…}` for one segment, `*` at
// the end for any rest.

const OPENAI: Patterns = &[
    "?/chat/completions",
    "?/completions",
    "?/embeddings",
    "?/models",
    "?/models/*",
    "?/responses",
    "?/responses/*",
    "?/images/*",
    "?/audio/*",
    "?/moderations",
    "?/rerank",
    "?/files",
    "?/files/*",
    "?/batches",
    "?/batches/*",
    "?/fine_tuning/*",
    "?/vector_stores",
    "?/vector_stores/*",
    "?/uploads",
    "?/uploads/*",
    "/v2/rerank",
    "?/realtime",
    "?/realtime/*",
    "/openai/realtime",
    "/openai/v1/realtime",
    "?/engines/*",
    "?/openai/deployments/*",
];
const ANTHROPIC: Patterns = &["/v1/messages", "/v1/messages/*", "?/models", "?/models/*"];
// calls of models are known at `/v1/models/…` and `/models/…` as well
const GOOGLE: Patterns = &["/v1beta/*", "?/models", "?/models/*"];
/// What clients of models need besides the calls themselves.
const MODEL_FACTS: Patterns = &[
    "/model/info",
    "/v1/model/info",
    "/model_group/info",
    "/utils/token_counter",
    "/utils/transform_request",
    "/utils/supported_openai_params",
    "/v1/receipts/{request_id}",
];
const INFO: Patterns = &[
    "/key/info",
    "/v2/key/info",
    "/key/health",
    "/key/list",
    "/key/aliases",
    "/team/info",
    "/team/list",
    "/v2/team/list",
    "/team/available",
    "/organization/list",
    "/user/info",
    "/v2/user/info",
    "/user/filter/ui",
    "/model/info",
    "/v1/model/info",
    "/v2/model/info",
    "/model_group/info",
    "/models",
    "/v1/models",
    "/health",
    "/health/services",
    "/sso/get/ui_settings",
];
const KEY_MANAGEMENT: Patterns = &[
    "/key/generate",
    "/key/service-account/generate",
    "/key/update",
    "/key/bulk_update",
    "/key/delete",
    "/key/info",
    "/key/list",
    "/key/aliases",
    "/key/regenerate",
    "/key/{key}/regenerate",
    "/key/block",
    "/key/unblock",
    "/key/{key}/reset_spend",
    "/team/key/bulk_update",
    "/team/daily/activity",
    "/team/daily/activity/aggregated",
    "/spend/logs",
    "/spend/logs/v2",
];
const MANAGEMENT: Patterns = &[
    "/user/*",
    "/v2/user/*",
    "/team/*",
    "/v2/team/*",
    "/model/*",
    "/v1/model/info",
    "/v2/model/info",
    "/model_group/info",
    "/invitation/*",
    "/organization/*",
    "/v2/organization/*",
    "/budget/*",
    "/customer/*",
    "/end_user/*",
];
const SPEND_TRACKING: Patterns = &[
    "/spend/keys",
    "/spend/users",
    "/spend/tags",
    "/spend/calculate",
    "/spend/logs",
    "/spend/logs/v2",
    "/spend/logs/ui",
    "/spend/logs/ui/{request_id}",
    "/spend/logs/session/ui",
    "/key/spend/report",
    "/user/spend/report",
    "/team/spend/report",
    "/organization/spend/report",
    "/cost/estimate",
];
const GLOBAL_SPEND: Patterns = &[
    "/global/spend",
    "/global/spend/logs",
    "/global/spend/keys",
    "/global/spend/teams",
    "/global/spend/end_users",
    "/global/spend/models",
    "/global/spend/report",
    "/global/spend/provider",
    "/global/spend/tags",
    "/global/spend/all_tag_names",
    "/global/predict/spend/logs",
];
const MASTER_ONLY: Patterns = &["/global/spend/reset", "/memory-usage-in-mem-cache*"];
/// Open to every role: the rule behind each decides by whose data is asked for.
const SELF_MANAGED: Patterns = &[
    "/team/update",
    "/team/member_add",
    "/team/member_delete",
    "/team/member_update",
    "/team/{team_id}/member/{user_id}/reset_spend",
    "/team/permissions_list",
    "/team/permissions_update",
    "/team/{team_id}/members/me",
    "/team/daily/activity",
    "/team/daily/activity/aggregated",
    "/user/daily/activity",
    "/user/daily/activity/aggregated",
    "/organization/daily/activity",
    "/organization/daily/activity/aggregated",
    "/model/new",
    "/model/update",
    "/model/delete",
    "/user/list",
    "/user/available_roles",
    "/user/password/change",
    "/session/logout",
    "/invitation/new",
    "/invitation/delete",
    "/health/test_connection",
];
const TAG_READS: Patterns = &[
    "/tag/list",
    "/tag/daily/activity",
    "/tag/daily/activity/aggregated",
];
const INTERNAL_USER_READS: Patterns = &[
    "/global/activity",
    "/global/activity/*",
    "/project/list",
    "/project/info",
    "/guardrails/list",
];
/// What a viewing administrator may send with another method than GET: what only reads, and what
/// concerns their own login.
const VIEWER_POSTS: Patterns = &[
    "/spend/calculate",
    "/global/spend/end_users",
    "/key/health",
    "/v2/key/info",
    "/user/password/change",
    "/session/logout",
];

/// The group of providers' own paths, which are told by their prefix.
const PASSTHROUGH: &str = "mapped_pass_through_routes";

/// The names that `allowed_routes` may hold for a whole group.
const GROUPS: &[(&str, &[Patterns])] = &[
    ("llm_api_routes", &[OPENAI, ANTHROPIC, GOOGLE, MODEL_FACTS]),
    ("openai_routes", &[OPENAI]),
    ("anthropic_routes", &[ANTHROPIC]),
    ("google_routes", &[GOOGLE]),
    (PASSTHROUGH, &[]),
    ("info_routes", &[INFO]),
    ("key_management_routes", &[KEY_MANAGEMENT]),
    ("management_routes", &[MANAGEMENT, KEY_MANAGEMENT]),
    ("spend_tracking_routes", &[SPEND_TRACKING]),
    ("global_spend_tracking_routes", &[GLOBAL_SPEND]),
    ("self_managed_routes", &[SELF_MANAGED]),
];

/// The groups that `key_type` gives to anybody's keys.
const PRESETS: &[&str] = &["llm_api_routes", "info_routes"];

/// Every caller with a valid key.
const ANYONE: &[Patterns] = &[OPENAI, ANTHROPIC, GOOGLE, MODEL_FACTS, INFO];
const NO_ROLE: &[Patterns] = &[SELF_MANAGED];
const INTERNAL_USER: &[Patterns] = &[
    SELF_MANAGED,
    KEY_MANAGEMENT,
    SPEND_TRACKING,
    TAG_READS,
    INTERNAL_USER_READS,
];
const INTERNAL_USER_VIEWER: &[Patterns] = &[SELF_MANAGED, SPEND_TRACKING, TAG_READS];

/// Whether the caller may call this route at all; what it may do there is for the rule behind it.
///
/// # Errors
/// [`Code::RouteForbidden`] when the key is limited to other routes, [`Code::ReadOnlyRole`] when a
/// viewing administrator wants to write, [`Code::RoleForbidden`] otherwise.
pub fn check_route(caller: &Caller, method: &Method, path: &str) -> Result<()> {
    let Some(key) = &caller.key else {
        return Ok(());
    };
    let limited = !key.allowed_routes.is_empty();
    if limited && !is_named(caller, path) {
        return Err(Error::new(
            Code::RouteForbidden,
            format!(
                "Virtual key is not allowed to call this route. Only allowed to call routes: {}. \
                 Tried to call route: {}",
                quoted(&key.allowed_routes),
                shown(path)
            ),
        ));
    }
    if is_in(ANYONE, path) || is_passthrough(path) {
        return Ok(());
    }
    let granted = match caller.role {
        Some(Role::ProxyAdmin) => !is_in(&[MASTER_ONLY], path),
        Some(Role::ProxyAdminViewer) => {
            if is_safe(method) || is_in(&[VIEWER_POSTS], path) {
                return Ok(());
            }
            return Err(refused(caller, Code::ReadOnlyRole, path));
        }
        Some(Role::InternalUser) => is_in(INTERNAL_USER, path),
        Some(Role::InternalUserViewer) => is_in(INTERNAL_USER_VIEWER, path),
        // only an administrator can have limited such a key to what it names
        None => is_in(NO_ROLE, path) || (limited && !is_in(&[MASTER_ONLY], path)),
    };
    if granted || (sees_global_spend(caller) && is_in(&[GLOBAL_SPEND], path)) {
        return Ok(());
    }
    Err(refused(caller, Code::RoleForbidden, path))
}

/// What a caller reads whose role is too small for a route.
pub fn refused(caller: &Caller, code: Code, path: &str) -> Error {
    let role = caller.role.map_or("unknown", Role::as_str);
    let path = shown(path);
    let message = match code {
        Code::ReadOnlyRole => {
            format!("user not allowed to access this route, role= {role}. Trying to access: {path}")
        }
        _ => format!(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info \
             for new keys/users/teams. Route={path}. Your role={role}. Your user_id={}",
            caller.user_id.as_deref().unwrap_or("unknown"),
        ),
    };
    Error::new(code, message)
}

/// A path without the keys that some routes have in it.
fn shown(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| match segment.starts_with("sk-") {
            true => "sk-...",
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

/// Whether the key acts for the administrator who made it: it has no user and no role, and is
/// limited to routes among which is this one. Groups that others than administrators can give to a
/// key (`key_type`) do not count.
pub fn is_delegate(caller: &Caller, path: &str) -> bool {
    caller.role.is_none()
        && caller.user_id.is_none()
        && caller.key.as_ref().is_some_and(|key| {
            let mut entries = key.allowed_routes.iter();
            entries.any(|entry| !PRESETS.contains(&entry.as_str()) && names(entry, path))
        })
}

/// Whether the key's `allowed_routes` name this path, by itself or with a group.
fn is_named(caller: &Caller, path: &str) -> bool {
    let Some(key) = &caller.key else {
        return false;
    };
    key.allowed_routes.iter().any(|entry| names(entry, path))
}

fn names(entry: &str, path: &str) -> bool {
    match GROUPS.iter().find(|(name, _)| *name == entry) {
        Some((_, group)) => is_in(group, path) || is_passthrough_of(entry, path),
        None => matches(entry, path),
    }
}

/// A provider's own path, passed on as it is.
fn is_passthrough(path: &str) -> bool {
    llm::provider::passthrough(path).is_some()
}

/// Whether a group holds such a path: one group all of them, others those of their provider.
fn is_passthrough_of(group: &str, path: &str) -> bool {
    let Some(found) = llm::provider::passthrough(path) else {
        return false;
    };
    match group {
        "llm_api_routes" | PASSTHROUGH => true,
        "openai_routes" => matches!(found.provider.name, "openai" | "azure"),
        "anthropic_routes" => found.provider.name == "anthropic",
        "google_routes" => matches!(found.provider.name, "gemini" | "vertex_ai"),
        _ => false,
    }
}

/// Whether a method only reads (RFC 9110 §9.2.1).
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn sees_global_spend(caller: &Caller) -> bool {
    caller.key.as_ref().is_some_and(|key| {
        key.permissions.get("get_spend_routes") == Some(&serde_json::Value::Bool(true))
    })
}

fn is_in(groups: &[Patterns], path: &str) -> bool {
    let mut patterns = groups.iter().copied().flatten();
    patterns.any(|pattern| matches(pattern, path))
}

fn matches(pattern: &str, path: &str) -> bool {
    if let Some(pattern) = pattern.strip_prefix('?') {
        let rest = path.strip_prefix("/v1");
        return matches(pattern, path) || rest.is_some_and(|rest| matches(pattern, rest));
    }
    if let Some(start) = pattern.strip_suffix('*') {
        return path.starts_with(start);
    }
    if !pattern.contains('{') {
        return pattern == path;
    }
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}

/// A list as clients know it from the reference: `['a', 'b']`.
fn quoted(entries: &[String]) -> String {
    format!("['{}']", entries.join("', '"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::tests::{caller, key};

    fn allowed(caller: &Caller, method: Method, path: &str) -> Option<Code> {
        check_route(caller, &method, path)
            .err()
            .map(|error| error.code())
    }

    #[test]
    fn the_master_key_may_call_everything() {
        let master = crate::caller::tests::master();
        assert_eq!(allowed(&master, Method::POST, "/global/spend/reset"), None);
        assert_eq!(allowed(&master, Method::POST, "/anything"), None);
    }

    #[test]
    fn roles_get_the_groups_of_the_contract_and_nothing_else() {
        let calls = [
            // method, path, admin, viewer, user, user viewer, none
            (
                Method::POST,
                "/v1/chat/completions",
                [true, true, true, true, true],
            ),
            (Method::GET, "/models", [true, true, true, true, true]),
            (Method::GET, "/key/info", [true, true, true, true, true]),
            (
                Method::POST,
                "/key/generate",
                [true, false, true, false, false],
            ),
            (
                Method::POST,
                "/key/sk-x/regenerate",
                [true, false, true, false, false],
            ),
            (
                Method::POST,
                "/user/new",
                [true, false, false, false, false],
            ),
            (
                Method::GET,
                "/budget/list",
                [true, true, false, false, false],
            ),
            (
                Method::POST,
                "/budget/info",
                [true, false, false, false, false],
            ),
            (Method::GET, "/spend/logs", [true, true, true, true, false]),
            (
                Method::POST,
                "/spend/calculate",
                [true, true, true, true, false],
            ),
            (
                Method::POST,
                "/team/member_add",
                [true, false, true, true, true],
            ),
            (
                Method::GET,
                "/global/spend",
                [true, true, false, false, false],
            ),
            (
                Method::POST,
                "/global/spend/reset",
                [false, false, false, false, false],
            ),
            (
                Method::POST,
                "/not/yet/known",
                [true, false, false, false, false],
            ),
        ];
        let roles = [
            Some(Role::ProxyAdmin),
            Some(Role::ProxyAdminViewer),
            Some(Role::InternalUser),
            Some(Role::InternalUserViewer),
            None,
        ];
        for (method, path, expected) in calls {
            for (role, expected) in roles.iter().zip(expected) {
                let found = check_route(&caller(*role, key()), &method, path).is_ok();
                assert_eq!(found, expected, "{role:?} {method} {path}");
            }
        }
    }

    #[test]
    fn a_viewer_who_writes_is_told_so() {
        let viewer = caller(Some(Role::ProxyAdminViewer), key());
        let found = allowed(&viewer, Method::POST, "/key/generate");
        assert_eq!(found, Some(Code::ReadOnlyRole));
    }

    #[test]
    fn a_limited_key_reaches_only_what_it_names() {
        let limited = |routes: &[&str]| {
            let mut key = key();
            key.allowed_routes.0 = routes.iter().map(ToString::to_string).collect();
            caller(Some(Role::ProxyAdmin), key)
        };
        let forbidden = Some(Code::RouteForbidden);
        let llm = limited(&["llm_api_routes"]);
        assert_eq!(allowed(&llm, Method::POST, "/v1/chat/completions"), None);
        assert_eq!(
            allowed(&llm, Method::POST, "/engines/gpt-4o/chat/completions"),
            None
        );
        assert_eq!(allowed(&llm, Method::GET, "/key/info"), forbidden);
        let groups = [
            ("openai_routes", "/openai/v1/realtime", true),
            ("openai_routes", "/anthropic/v1/files", false),
            ("anthropic_routes", "/v1/messages/count_tokens", true),
            ("anthropic_routes", "/v1/models", true),
            ("anthropic_routes", "/anthropic/v1/files", true),
            ("anthropic_routes", "/v1/chat/completions", false),
            (
                "google_routes",
                "/v1beta/models/gemini:generateContent",
                true,
            ),
            ("google_routes", "/gemini/v1beta/files", true),
            ("google_routes", "/v1/messages", false),
            ("mapped_pass_through_routes", "/mistral/v1/ocr", true),
            ("mapped_pass_through_routes", "/v1/embeddings", false),
            ("llm_api_routes", "/v1/realtime", true),
            ("llm_api_routes", "/cohere/v2/chat", true),
        ];
        for (group, path, is_open) in groups {
            let found = allowed(&limited(&[group]), Method::POST, path);
            assert_eq!(found.is_none(), is_open, "{group} {path}");
        }
        let exact = limited(&["/v1/chat/completions"]);
        assert_eq!(allowed(&exact, Method::GET, "/v1/models"), forbidden);
        let prefix = limited(&["/key/*"]);
        assert_eq!(allowed(&prefix, Method::GET, "/key/info"), None);
        assert_eq!(allowed(&prefix, Method::GET, "/keyring"), forbidden);
        let management = limited(&["management_routes"]);
        assert_eq!(
            allowed(&management, Method::POST, "/v1/chat/completions"),
            forbidden
        );
        assert_eq!(allowed(&management, Method::POST, "/user/new"), None);
    }

    #[test]
    fn a_key_without_a_user_acts_for_the_administrator_who_limited_it() {
        let limited = |routes: &str, user: Option<&str>| {
            let mut key = key();
            key.allowed_routes.0 = vec![routes.to_owned()];
            key.user_id = user.map(str::to_owned);
            caller(None, key)
        };
        assert!(is_delegate(
            &limited("management_routes", None),
            "/user/new"
        ));
        assert!(is_delegate(&limited("/user/new", None), "/user/new"));
        assert!(!is_delegate(&limited("/user/new", None), "/user/delete"));
        assert!(!is_delegate(&limited("info_routes", None), "/key/list"));
        assert!(!is_delegate(
            &limited("management_routes", Some("u")),
            "/user/new"
        ));
        assert!(!is_delegate(&caller(None, key()), "/key/list"));
    }

    #[test]
    fn a_refusal_does_not_repeat_a_key_in_the_path() {
        let viewer = caller(Some(Role::InternalUserViewer), key());
        let refused = check_route(&viewer, &Method::POST, "/key/sk-secret/regenerate");
        let message = refused.unwrap_err().message().to_owned();
        assert!(
            message.contains("Route=/key/sk-.../regenerate."),
            "{message}"
        );
    }

    #[test]
    fn a_permission_opens_global_spend() {
        let mut with = key();
        with.permissions
            .insert("get_spend_routes".to_owned(), true.into());
        let with = caller(Some(Role::InternalUser), with);
        assert_eq!(allowed(&with, Method::GET, "/global/spend/logs"), None);
    }
}
