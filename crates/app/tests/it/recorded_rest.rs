//! The recordings that no other test walks: defaults of people and teams, keys of each kind, pages. And
//! that each recording of the reference is walked by some test, or listed here with the reason.

use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp};
use crate::golden::{self, Golden};
use crate::sign_in::cookies;

/// What is not walked, with the reason; a `*` stands for the rest of a name.
const LISTED: &[(&str, &str)] = &[
    (
        "chat_*",
        "calls of models: `calls`, `key_budgets` and `protocols` say what is answered",
    ),
    (
        "cfg2_chat_*",
        "calls of models, with budgets and lists of models: the same",
    ),
    ("nodb_*", "there is always a database"),
    ("customer_*", "end users are no objects here"),
    ("cfg2_customer_info", "the same"),
    ("end_user_info", "the same"),
    (
        "access_group_list",
        "access groups are named at models, and are no objects here",
    ),
    (
        "key_info_over_budget",
        "a budget as in key_info_by_hash, and a call as in key_info_after_stream",
    ),
    ("tag_*", "tags are no objects here"),
    ("key_generate_tags", "a feature that needs a licence there"),
    ("key_generate_model_max_budget", "the same"),
    ("key_regenerate", "the same"),
    ("key_regenerate2", "the same"),
    ("organization_new", "the same"),
    ("team_member_update", "the same"),
    (
        "credentials",
        "the reference's keys of providers that models share",
    ),
    (
        "password_change",
        "a session is needed: `sign_in` changes passwords",
    ),
    ("budget_update_missing", "null, which is compared below"),
    ("budget_delete_missing", "the same"),
    ("provider_budgets", "there are no budgets of providers"),
    ("cache_ping", "answers are not cached"),
    ("global_activity_cache_hits", "the same"),
    ("callbacks_list", "there are no Python callbacks"),
    (
        "config_list",
        "the configuration is a file, and not changed by calls",
    ),
    (
        "get_ui_settings",
        "switches of the reference's own interface",
    ),
    ("health_license", "there are no licences"),
    (
        "global_predict_spend_logs",
        "it does not exist there either",
    ),
    (
        "global_spend_report",
        "a feature that needs a licence there",
    ),
    (
        "global_spend_reset_nonmaster",
        "what was spent is never reset as a whole",
    ),
    ("test_ep", "says nothing"),
    ("token_counter*", "a tool of the reference's library"),
    ("utils_supported", "the same"),
    (
        "login_v3",
        "a way of signing in between several installations of the reference",
    ),
    (
        "cfg2_sso_callback",
        "an identity provider is needed: `sso` goes there and back",
    ),
    (
        "cfg2_sso_key_generate",
        "the same; the state is fresh each time",
    ),
    (
        "models_over_budget",
        "a list of models costs nothing, and is shown whatever was spent",
    ),
    ("ui_session_chat", "a call of a model"),
    (
        "get_sso_settings",
        "the identity provider is configured by the environment alone",
    ),
];

/// Compares, and keeps what differs.
#[derive(Default)]
struct Differing(Vec<String>);

impl Differing {
    fn compare(&mut self, name: &str, answer: &Answer) {
        if let Some(golden) = Golden::load(name) {
            let found = golden.differences(answer);
            let told = found
                .into_iter()
                .map(|found| format!("{name}: {found}: {answer:.600}"));
            self.0.extend(told);
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

async fn user(app: &TestApp, user_id: &str, role: &str) -> String {
    let body = json!({"user_id": user_id, "user_role": role});
    let made = app.post("/user/new", body).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

#[tokio::test]
async fn keys_of_each_kind_and_owner_are_answered_as_recorded() {
    let app = Setup::default().start().await;
    let mut differing = Differing::default();
    let own = user(&app, "ku1", "internal_user").await;
    let team = json!({"team_id": "t1", "models": ["gpt-4o"],
        "members_with_roles": [{"role": "user", "user_id": "ku1"}]});
    assert_eq!(app.post("/team/new", team).await.status, 200);
    for (name, body) in [
        (
            "key_generate_auto_rotate",
            json!({"auto_rotate": true, "rotation_interval": "30d"}),
        ),
        (
            "key_generate_send_invite_email",
            json!({"send_invite_email": true}),
        ),
        ("key_generate_keytype_llm", json!({"key_type": "llm_api"})),
        (
            "key_generate_keytype_mgmt",
            json!({"key_type": "management"}),
        ),
        ("key_generate_keytype_ro", json!({"key_type": "read_only"})),
        (
            "key_generate_team",
            json!({"team_id": "t1", "user_id": "ku1", "models": ["all-team-models"]}),
        ),
        (
            "key_generate_team_by_admin",
            json!({"team_id": "t1", "user_id": "ku1"}),
        ),
    ] {
        let made = app.post("/key/generate", body).await;
        differing.compare(name, &made);
        let key = made.text("/key");
        match name {
            "key_generate_keytype_llm" => {
                let refused = app.get("/user/info").with_key(&key).await;
                differing.compare("key_type_llm_user_info", &refused);
                let health = app.post("/key/health", json!({})).with_key(&key).await;
                differing.compare("key_health", &health);
            }
            "key_generate_keytype_mgmt" => {
                let call = app
                    .post("/v1/chat/completions", hello())
                    .with_key(&key)
                    .await;
                differing.compare("key_type_management_chat", &call);
            }
            _ => {}
        }
    }
    let made = app
        .post("/key/generate", json!({"key_alias": "mine"}))
        .with_key(&own);
    let made = made.await;
    differing.compare("key_generate_by_internal", &made);
    let key = made.text("/key");
    let more = json!({"key": key, "max_budget": 100});
    let refused = app.post("/key/update", more).with_key(&own).await;
    differing.compare("key_update_internal_budget", &refused);
    let call = app
        .post("/v1/chat/completions", hello())
        .with_key(&key)
        .await;
    assert_eq!(call.status, 200, "{call}");
    for (name, path) in [
        ("key_info_self_internal", "/key/info".to_owned()),
        ("key_info_after_stream", "/key/info".to_owned()),
        ("key_list_internal", "/key/list".to_owned()),
        ("key_list_by_user", "/key/list?user_id=ku1".to_owned()),
    ] {
        differing.compare(name, &app.get(&path).with_key(&key).await);
    }
    let rich = rich_key(&app).await;
    let info = app
        .get(&format!("/key/info?key={}", rich.text("/token")))
        .await;
    differing.compare("key_info_by_hash", &info);
    let listed = "/key/list?key_alias=alias-1&return_full_object=true";
    differing.compare("key_list_by_alias", &app.get(listed).await);
    let model = json!({"model_name": "x", "litellm_params": {"model": "openai/gpt-4o-mini"}});
    let refused = app.post("/model/new", model).with_key(&own).await;
    differing.compare("model_new_internal", &refused);
    let beyond = json!({"team_id": "t1", "models": ["gpt-3.5-turbo"]});
    differing.compare(
        "key_generate_team_model_denied",
        &app.post("/key/generate", beyond).await,
    );
    let gone = app
        .post("/key/delete", json!({"key_aliases": ["mine"]}))
        .await;
    differing.compare("key_delete_alias", &gone);
    let gone = json!({"keys": [rich.text("/key")]});
    differing.compare("key_delete", &app.post("/key/delete", gone).await);
    let stranger = app
        .post("/key/generate", json!({}))
        .with_key("sk-wrong-key-of-nobody")
        .await;
    differing.compare("key_generate_badkey", &stranger);
    let nobody = app.post("/key/generate", json!({})).without_key().await;
    differing.compare("key_generate_noauth", &nobody);
    differing.compare(
        "not_found_noauth",
        &app.get("/nope-route").without_key().await,
    );
    differing.compare("not_found", &app.get("/nope-route").await);
    let sso = app.get("/sso/readiness").without_key().await;
    differing.compare("sso_readiness", &sso);
    differing.compare("method_not_allowed", &app.get("/key/generate").await);
    for path in ["/budget/update", "/budget/delete"] {
        let body = json!({"budget_id": "nope", "id": "nope", "max_budget": 4});
        let answer = app.post(path, body).await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &b"null"[..]),
            "{path}"
        );
    }
    let viewer = user(&app, "viewer", "proxy_admin_viewer").await;
    let spend = app.get("/global/spend").with_key(&viewer).await;
    differing.compare("global_spend_admin_viewer", &spend);
    differing.none();
}

/// A key with a value in every field that the recordings have one in.
async fn rich_key(app: &TestApp) -> Answer {
    let plan = json!({"budget_id": "plan", "rpm_limit": 5});
    assert_eq!(app.post("/budget/new", plan).await.status, 200);
    let key = json!({"key_alias": "alias-1", "user_id": "ku1", "duration": "30d", "max_budget": 1.5,
        "budget_duration": "1mo", "tpm_limit": 1000, "rpm_limit": 10, "max_parallel_requests": 3,
        "models": ["gpt-4o"], "aliases": {"mygpt": "gpt-4o"}, "blocked": false, "budget_id": "plan",
        "allowed_routes": ["/v1/chat/completions"], "metadata": {"env": "dev"}});
    let key = app.post("/key/generate", key).await;
    assert_eq!(key.status, 200, "{key}");
    key
}

fn hello() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]})
}

/// The settings of the second configuration that was recorded.
const SECOND: &str = r"
litellm_settings:
  default_internal_user_params: {user_role: internal_user, models: [gpt-4o], available_teams: [open-team]}
  default_team_params: {max_budget: 100, budget_duration: 30d, tpm_limit: 100000}
general_settings: {enforce_user_param: true}
";

#[tokio::test]
async fn defaults_of_people_and_teams_are_answered_as_recorded() {
    let app = Setup::default().with(SECOND).start().await;
    let mut differing = Differing::default();
    let made = app
        .post("/user/new", json!({"user_email": "d@example.com"}))
        .await;
    differing.compare("cfg2_user_new_default_role", &made);
    let (user_id, key) = (made.text("/user_id"), made.text("/key"));
    let team = json!({"team_id": "open-team", "team_alias": "Open"});
    differing.compare("cfg2_team_new_defaults", &app.post("/team/new", team).await);
    let open = app.get("/team/available").with_key(&key).await;
    differing.compare("cfg2_team_available", &open);
    for (name, role, who) in [
        ("cfg2_team_self_join_other", "user", "someone"),
        ("cfg2_team_self_join_admin", "admin", user_id.as_str()),
        ("cfg2_team_self_join", "user", user_id.as_str()),
    ] {
        let body = json!({"team_id": "open-team", "member": {"role": role, "user_id": who}});
        let joined = app.post("/team/member_add", body).with_key(&key).await;
        differing.compare(name, &joined);
    }
    let own = app
        .get(&format!("/team/list?user_id={user_id}"))
        .with_key(&key)
        .await;
    differing.compare("cfg2_team_list_self", &own);
    differing.compare("cfg2_user_list", &app.get("/user/list").await);
    differing.compare("cfg2_models", &app.get("/v1/models").with_key(&key).await);
    differing.compare("cfg2_global_spend", &app.get("/global/spend").await);
    let call = app
        .post("/v1/chat/completions", hello())
        .with_key(&key)
        .await;
    differing.compare("cfg2_enforce_user_param", &call);
    differing.none();
}

#[tokio::test]
async fn pages_and_forms_of_signing_in_are_answered_as_recorded() {
    let app = Setup::default()
        .variable("UI_USERNAME", "admin")
        .variable("UI_PASSWORD", "adminpw")
        .variable("PROXY_BASE_URL", "http://gateway.example")
        .start()
        .await;
    for path in ["/fallback/login", "/sso/key/generate"] {
        let name = path.trim_start_matches('/').replace('/', "_");
        let page = app.get(path).without_key().await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        if let Some(golden) = Golden::load(&name) {
            assert_eq!(page.status, golden.response.status, "{name}");
        }
    }
    let form = |body: &'static str| {
        let call = app
            .call(Method::POST, "/login", None)
            .without_key()
            .body(body);
        call.header("content-type", "application/x-www-form-urlencoded")
    };
    let mut differing = Differing::default();
    let entered = form("username=admin&password=adminpw").await;
    assert_eq!(
        entered.header("location"),
        "http://gateway.example/ui?login=success"
    );
    if let Some(golden) = Golden::load("login_form_admin") {
        assert_eq!(entered.status, golden.response.status);
    }
    let models = app.get("/v1/models").without_key();
    let models = models.header("cookie", &cookies(&entered)).await;
    differing.compare("ui_session_models", &models);
    differing.compare(
        "login_form_bad",
        &form("username=admin&password=wrong").await,
    );
    let guess = json!({"username": "brute@example.com", "password": "x"});
    for _ in 0..11 {
        app.post("/v2/login", guess.clone()).without_key().await;
    }
    let throttled = app.post("/v2/login", guess).without_key().await;
    differing.compare("login_v2_throttled", &throttled);
    differing.none();
}

#[test]
fn every_recording_is_walked_or_listed_with_its_reason() {
    let Ok(recordings) = std::fs::read_dir(golden::folder()) else {
        eprintln!("there are no recordings in {}", golden::folder().display());
        return;
    };
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let sources = std::fs::read_dir(sources).unwrap();
    let sources = sources.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let sources: String = sources.collect();
    let is_listed = |name: &str| {
        LISTED.iter().any(|(listed, reason)| {
            let is = match listed.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *listed,
            };
            is && !reason.is_empty()
        })
    };
    // their names are made of their paths above
    let of_pages = ["fallback_login", "sso_key_generate"];
    let mut lacking = Vec::new();
    for file in recordings {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let is_walked =
            sources.contains(&format!("\"{name}\"")) || of_pages.contains(&name.as_str());
        if !is_walked && !is_listed(&name) {
            lacking.push(name);
        }
    }
    assert!(lacking.is_empty(), "neither walked nor listed: {lacking:?}");
}
