use base::Code;
use http::Method;

use super::*;
use crate::caller::tests::{caller, key, master};
use crate::{Caller, Role};

fn allowed(caller: &Caller, method: Method, path: &str) -> Option<Code> {
    let answer = match find(&method, path) {
        Some(row) => admit(row, caller, path),
        None => admit_call(caller, path, &Overrides::default()),
    };
    answer.err().map(|error| error.code())
}

/// A key that is limited to these routes.
fn limited(role: Option<Role>, routes: &[&str]) -> Caller {
    let mut key = key();
    key.allowed_routes.0 = routes.iter().map(ToString::to_string).collect();
    caller(role, key)
}

#[test]
fn every_operation_has_one_row() {
    let mut names: Vec<_> = rows().map(|row| (row.path, row.method)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_viewing_administrator_reads_everything_and_changes_nothing() {
    for row in rows().filter(|row| row.method != "*") {
        let Door::Key(admitted) = row.door else {
            continue;
        };
        // it sends a letter
        let is_done = row.path == "/health/services";
        let only_reads = row.method == "GET" && !is_done || row.why.ends_with("it only reads");
        // how somebody gets in, who they are, and what they say to models is their own affair
        let own = [
            "/session/",
            "/user/password/change",
            "/v2/users/me",
            "/v2/conversations",
        ];
        let is_their_own = own.iter().any(|path| row.path.starts_with(path));
        let admits = admitted.contains(&Who::Viewer);
        assert_eq!(
            admits,
            only_reads || is_their_own,
            "{} {}",
            row.method,
            row.path
        );
    }
}

#[test]
fn administrators_get_through_every_door() {
    for row in rows() {
        if let Door::Key(admitted) = row.door {
            assert!(admitted.contains(&Who::Admin), "{}", row.path);
        }
    }
}

#[test]
fn the_master_key_may_call_everything() {
    for row in rows() {
        assert!(admit(row, &master(), row.path).is_ok(), "{}", row.path);
    }
}

#[test]
fn roles_get_through_the_doors_of_the_contract_and_no_others() {
    let calls = [
        // method, path, admin, viewer, user, user viewer, none
        (Method::POST, "/v1/chat/completions", [true; 5]),
        (Method::GET, "/models", [true; 5]),
        (Method::GET, "/key/info", [true; 5]),
        (
            Method::POST,
            "/key/generate",
            [true, false, true, false, false],
        ),
        (
            Method::POST,
            "/key/{key}/regenerate",
            [true, false, true, false, false],
        ),
        (
            Method::POST,
            "/user/delete",
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
        (Method::POST, "/not/yet/known", [false; 5]),
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
            let found = allowed(&caller(*role, key()), method.clone(), path).is_none();
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
    let limited = |routes: &[&str]| limited(Some(Role::ProxyAdmin), routes);
    let forbidden = Some(Code::RouteForbidden);
    let llm = limited(&["llm_api_routes"]);
    assert_eq!(allowed(&llm, Method::GET, "/key/info"), forbidden);
    let groups = [
        ("llm_api_routes", "/v1/chat/completions", true),
        ("llm_api_routes", "/engines/gpt-4o/chat/completions", true),
        ("llm_api_routes", "/v1/realtime", true),
        ("llm_api_routes", "/cohere/v2/chat", true),
        ("openai_routes", "/openai/v1/realtime", true),
        ("openai_routes", "/openai/v1/files", true),
        ("openai_routes", "/anthropic/v1/files", false),
        ("anthropic_routes", "/v1/messages/count_tokens", true),
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
    ];
    for (group, path, is_open) in groups {
        let found = allowed(&limited(&[group]), Method::POST, path);
        assert_eq!(found.is_none(), is_open, "{group} {path}");
    }
    let anthropic = limited(&["anthropic_routes"]);
    assert_eq!(allowed(&anthropic, Method::GET, "/v1/models"), None);
    let exact = limited(&["/v1/chat/completions"]);
    assert_eq!(allowed(&exact, Method::GET, "/v1/models"), forbidden);
    let prefix = limited(&["/key/*"]);
    assert_eq!(allowed(&prefix, Method::GET, "/key/info"), None);
    assert_eq!(allowed(&prefix, Method::GET, "/team/info"), forbidden);
    let management = limited(&["management_routes"]);
    let call = allowed(&management, Method::POST, "/v1/chat/completions");
    assert_eq!(call, forbidden);
    assert_eq!(allowed(&management, Method::POST, "/user/new"), None);
}

#[test]
fn a_key_without_a_user_acts_for_the_administrator_who_limited_it() {
    let acts = |routes: &str, user: Option<&str>, path: &str| {
        let mut caller = limited(None, &[routes]);
        caller.user_id = user.map(str::to_owned);
        let row = find(&Method::POST, path).or_else(|| find(&Method::GET, path));
        let row = row.unwrap();
        (
            is_delegate(&caller, row, path),
            admit(row, &caller, path).is_ok(),
        )
    };
    assert_eq!(acts("management_routes", None, "/user/new"), (true, true));
    assert_eq!(acts("/user/new", None, "/user/new"), (true, true));
    assert_eq!(acts("/user/new", None, "/user/delete"), (false, false));
    assert_eq!(acts("info_routes", None, "/key/list"), (false, true));
    // as its user, who makes keys for themselves, but no users
    assert_eq!(
        acts("/key/generate", Some("u"), "/key/generate"),
        (false, true)
    );
    assert_eq!(
        acts("/organization/new", Some("u"), "/organization/new"),
        (false, false)
    );
}

#[test]
fn an_entry_names_no_more_than_it_says() {
    for (entry, path) in [
        ("/key/*", "/keyring"),
        ("/user*/new", "/user/new"),
        ("/user/{id}", "/user/"),
    ] {
        let forbidden = allowed(&limited(None, &[entry]), Method::POST, path);
        assert_ne!(forbidden, None, "{entry} {path}");
    }
}

#[test]
fn the_configuration_takes_away_and_opens_only_what_is_nobodys() {
    let entries = |entries: &[&str]| entries.iter().map(ToString::to_string).collect();
    let row = |method: Method, path: &str| find(&method, path).unwrap();
    let overrides = Overrides {
        admin_only: entries(&["/model/info"]),
        public: entries(&[
            "/model/info",
            "/spend/calculate",
            "/key/*",
            "/v1/chat/completions",
        ]),
        allowed: entries(&["llm_api_routes", "/key/*"]),
        ..Overrides::default()
    };
    let user = caller(Some(Role::InternalUser), key());
    let info = row(Method::GET, "/model/info");
    assert!(overrides.check_caller(info, &user, info.path).is_err());
    assert!(overrides.check_caller(info, &master(), info.path).is_ok());
    assert!(overrides.opens(info, info.path));
    assert!(overrides.opens(row(Method::POST, "/spend/calculate"), "/spend/calculate"));
    for (method, path) in [(Method::GET, "/key/info"), (Method::POST, "/key/generate")] {
        assert!(!overrides.opens(row(method, path), path), "{path}");
    }
    let call = find_call("/v1/chat/completions").unwrap();
    assert!(!overrides.opens(call, "/v1/chat/completions"));
    assert!(
        overrides
            .check_operation(call, "/v1/chat/completions")
            .is_ok()
    );
    let user_new = row(Method::POST, "/user/new");
    assert!(overrides.check_operation(user_new, "/user/new").is_err());
    let refused = not_public(&overrides.public);
    assert_eq!(refused, ["/v1/chat/completions"]);
    let off = Overrides {
        management_is_off: true,
        ..Overrides::default()
    };
    assert!(off.check_operation(user_new, "/user/new").is_err());
    assert!(off.check_operation(call, "/v1/chat/completions").is_ok());
}

#[test]
fn a_refusal_does_not_repeat_a_key_in_the_path() {
    let viewer = caller(Some(Role::InternalUserViewer), key());
    let row = find(&Method::POST, "/key/{key}/regenerate").unwrap();
    let refused = admit(row, &viewer, "/key/sk-secret/regenerate");
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

#[test]
fn who_administers_an_organization_gets_through_the_doors_for_that() {
    let mut somebody = caller(Some(Role::InternalUserViewer), key());
    let path = "/key/generate";
    assert_eq!(
        allowed(&somebody, Method::POST, path),
        Some(Code::RoleForbidden)
    );
    somebody.administers = vec!["organization".to_owned()];
    assert_eq!(allowed(&somebody, Method::POST, path), None);
}
