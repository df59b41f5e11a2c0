//! Virtual keys: made, shown, changed, replaced, blocked and deleted, by those who may.

use base::{Clock, Millis};
use domain::Role;
use serde_json::{Value, json};
use std::time::Duration;
use store::Json;
use store::teams::{MemberRow, TeamRow};
use store::users::UserRow;

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::golden::Golden;

/// Puts a user into the database.
pub async fn add_user(app: &TestApp, id: &str, role: Option<Role>) {
    let user = UserRow {
        id: id.to_owned(),
        email: None,
        alias: None,
        role: role.map(|role| role.as_str().to_owned()),
        sso_subject: None,
        password_hash: None,
        models: Json::default(),
        metadata: Json::default(),
        settings: Json::default(),
        blocked: false,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        created_at: Millis(0),
        created_by: None,
        updated_at: Millis(0),
        updated_by: None,
    };
    let db = &app.domain().db;
    store::users::insert(db, &user).await.expect("a new user");
}

/// Puts a team into the database.
pub async fn add_team(app: &TestApp, id: &str, change: impl FnOnce(&mut TeamRow)) {
    let mut team = TeamRow {
        id: id.to_owned(),
        alias: None,
        organization_id: None,
        models: Json::default(),
        model_aliases: Json::default(),
        default_member_models: Json::default(),
        member_permissions: Json::default(),
        metadata: Json::default(),
        settings: Json::default(),
        blocked: false,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        created_at: Millis(0),
        created_by: None,
        updated_at: Millis(0),
        updated_by: None,
    };
    change(&mut team);
    let db = &app.domain().db;
    store::teams::insert(db, &team).await.expect("a new team");
}

/// Makes a user a member of a team.
pub async fn add_member(app: &TestApp, team_id: &str, user_id: &str, role: &str) {
    let member = MemberRow {
        id: format!("{team_id}/{user_id}"),
        team_id: team_id.to_owned(),
        user_id: user_id.to_owned(),
        role: role.to_owned(),
        allowed_models: Json::default(),
        rpm_limit: None,
        tpm_limit: None,
        created_at: Millis(0),
        updated_at: Millis(0),
    };
    let db = &app.domain().db;
    store::teams::insert_member(db, &member)
        .await
        .expect("a new member");
}

/// Makes a key with the master key.
pub async fn make(app: &TestApp, body: Value) -> Answer {
    let made = app.post("/key/generate", body).await;
    assert_eq!(made.status, 200, "{made}");
    made
}

/// A body with every field that the reference was asked with.
fn full() -> Value {
    json!({
        "user_id": "ku1", "key_alias": "alias-1", "duration": "30d",
        "models": ["gpt-4o", "fake-openai-endpoint"], "max_budget": 1.5, "soft_budget": 1.0,
        "budget_duration": "1mo", "tpm_limit": 1000, "rpm_limit": 10, "max_parallel_requests": 3,
        "metadata": {"env": "dev"}, "aliases": {"mygpt": "gpt-4o"}, "permissions": {"p": 1},
        "model_rpm_limit": {"gpt-4o": 5}, "model_tpm_limit": {"gpt-4o": 500},
        "allowed_routes": ["llm_api_routes"], "blocked": false,
    })
}

pub fn compare(name: &str, answer: &Answer) {
    if let Some(golden) = Golden::load(name) {
        golden.compare(answer);
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_deleted() {
    each_database(async |app| {
        let body = json!({"key_alias": "mine", "max_budget": 1.5, "user_id": "ku1"});
        let made = make(app, body).await;
        let key = made.text("/key");
        assert!(key.starts_with("sk-tg-") && key.len() == 55, "{key}");
        assert_eq!(made.text("/key_name"), format!("sk-...{}", &key[51..]));
        assert_eq!(made.text("/token"), domain::auth::hash(&key));
        assert_eq!(made.json["max_budget"], 1.5);

        let info = app.get("/key/info").with_key(&key).await;
        assert_eq!(info.status, 200, "{info}");
        assert_eq!(info.json["info"]["key_alias"], "mine");
        assert_eq!(info.json["info"]["status"], "active");
        for answer in [&info, &app.get("/key/list?return_full_object=true").await] {
            let text = answer.json.to_string();
            assert!(!text.contains(&key), "the key is shown again: {text}");
        }

        app.post("/key/update", json!({"key": key, "rpm_limit": 5}))
            .await;
        let deleted = app.post("/key/delete", json!({"keys": [key]})).await;
        assert_eq!(deleted.json, json!({"deleted_keys": [key]}));
        let refused = app.get("/key/info").with_key(&key).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.json["error"]["type"], "token_not_found_in_db");
        let gone = app.get(&format!("/key/info?key={key}")).await;
        assert_eq!(gone.json["info"]["status"], "deleted", "{gone}");
        compare("key_info_deleted", &gone);
    })
    .await;
}

#[tokio::test]
async fn every_field_is_stored_and_echoed() {
    each_database(async |app| {
        let mut body = full();
        body["budget_limits"] = json!([{"budget_duration": "1d", "max_budget": 0.5}]);
        body["model_max_budget"] = json!({"gpt-4o": {"budget_limit": 1, "time_period": "1d"}});
        let made = make(app, body).await;
        compare("key_generate_full", &made);
        let info = app.get(&format!("/key/info?key={}", made.text("/token"))).await;
        compare("key_info_by_key", &info);
        let info = &info.json["info"];
        assert_eq!(info["soft_budget"], 1.0);
        assert_eq!(info["budget_id"], info["litellm_budget_table"]["budget_id"]);
        assert_eq!(
            info["metadata"],
            json!({"env": "dev", "model_rpm_limit": {"gpt-4o": 5}, "model_tpm_limit": {"gpt-4o": 500}})
        );
        assert_eq!(
            info["budget_limits"],
            json!([{"budget_duration": "1d", "max_budget": 0.5}])
        );
        assert_eq!(info["key_type"], "default");
        assert!(info["budget_reset_at"].as_str().unwrap().contains("-01T00:00:00"));
    })
    .await;
}

#[tokio::test]
async fn defaults_are_those_of_the_reference() {
    let app = Setup::default().start().await;
    let basic = make(&app, json!({"user_id": "ku1", "max_budget": 10})).await;
    compare("key_generate_basic", &basic);
    compare("key_generate_empty_json", &make(&app, json!({})).await);
    let extra = make(&app, json!({"unknown_field": 1})).await;
    compare("key_generate_extra_field", &extra);
    compare(
        "key_generate_unknown_team",
        &make(&app, json!({"team_id": "no-such-team"})).await,
    );
    compare(
        "key_generate_unknown_user",
        &make(&app, json!({"user_id": "nobody"})).await,
    );
    compare(
        "key_generate_unknown_model",
        &make(&app, json!({"models": ["nope"]})).await,
    );
    for (key_type, routes) in [
        ("llm_api", json!(["llm_api_routes"])),
        ("management", json!(["management_routes"])),
        ("read_only", json!(["info_routes"])),
        ("default", json!([])),
    ] {
        let made = make(&app, json!({"key_type": key_type})).await;
        assert_eq!(made.json["allowed_routes"], routes);
        assert_eq!(made.json["key_type"], key_type);
    }
    let numbers = make(&app, json!({"max_budget": "10", "rpm_limit": "3"})).await;
    assert_eq!(
        (&numbers.json["max_budget"], &numbers.json["rpm_limit"]),
        (&json!(10.0), &json!(3))
    );
}

#[tokio::test]
async fn bad_input_is_refused_and_leaves_nothing_behind() {
    each_database(async |app| {
        make(app, json!({"key_alias": "taken"})).await;
        let refused = [
            (json!({"max_budget": -1}), 400, "key_generate_neg_budget"),
            (json!({"max_budget": "NaN"}), 400, ""),
            (json!({"max_budget": "inf"}), 400, ""),
            (json!({"max_budget": 1e30}), 400, ""),
            (json!({"soft_budget": -0.5}), 400, ""),
            (json!({"spend": -1}), 400, ""),
            (
                json!({"budget_duration": "banana"}),
                400,
                "key_generate_bad_budget_duration",
            ),
            (json!({"budget_duration": "0d"}), 400, ""),
            (json!({"duration": "30x"}), 400, "key_generate_bad_duration"),
            (json!({"duration": "99999999999d"}), 400, ""),
            (json!({"rpm_limit": -1}), 400, ""),
            (json!({"key_alias": "taken"}), 400, "key_generate_dup_alias"),
            (
                json!({"key": "not-a-key-of-ours"}),
                400,
                "key_generate_custom_key_badprefix",
            ),
            (json!({"key": "sk-short"}), 400, ""),
            (json!({"key": "sk-with spaces in it"}), 400, ""),
            (json!({"budget_id": "no-such-budget"}), 400, ""),
            (json!({"auto_rotate": true}), 400, ""),
            (json!({"model_max_budget": {"gpt-4o": []}}), 422, ""),
            (json!({"max_budget": "abc"}), 422, "key_generate_type_error"),
            (json!({"models": "gpt-4o"}), 422, ""),
            (json!({"metadata": []}), 422, ""),
            (json!({"tags": {"a": 1}}), 422, ""),
            (json!({"key_type": "root"}), 422, ""),
            (json!({"user_id": 5}), 422, ""),
            (json!({"budget_limits": [{"max_budget": 1}]}), 422, ""),
            (json!({"temp_budget_increase": 1}), 422, ""),
        ];
        for (body, status, golden) in refused {
            let answer = app.post("/key/generate", body.clone()).await;
            assert_eq!(answer.status, status, "{body}: {answer}");
            if !golden.is_empty() {
                compare(golden, &answer);
            }
        }
        let whole = app.post("/key/generate", json!({})).body("").await;
        compare("key_generate_no_body", &whole);
        assert_eq!(whole.json["detail"][0]["loc"], json!(["body"]));
        for body in ["{", "nonsense", "[]", "\u{0}", "{\"max_budget\": NaN}"] {
            let answer = app.post("/key/generate", json!({})).body(body).await;
            assert_eq!(answer.status, 422, "{body}: {answer}");
            assert_eq!(answer.json["detail"][0]["loc"][0], "body");
        }
        let list = app.get("/key/list").await;
        assert_eq!(list.json["total_count"], 1, "{list}");
    })
    .await;
}

#[tokio::test]
async fn of_two_keys_at_once_one_gets_the_alias() {
    each_database(async |app| {
        let generate = async || app.post("/key/generate", json!({"key_alias": "one"})).await;
        let (first, second, third) = tokio::join!(generate(), generate(), generate());
        let mut statuses = [first.status, second.status, third.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400, 400]);
        assert_eq!(app.get("/key/list").await.json["total_count"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_in_the_usual_shape() {
    let app = Setup::default().start().await;
    let refused = app.post("/key/%FF/regenerate", json!({})).await;
    assert_eq!(refused.status, 400, "{refused}");
    assert_eq!(refused.text("/error/code"), "400");
}

#[tokio::test]
async fn custom_keys_are_taken_once() {
    each_database(async |app| {
        let custom = "sk-a-key-of-my-own-choice";
        let made = make(app, json!({"key": custom, "key_alias": "custom"})).await;
        compare("key_generate_custom_key", &made);
        assert_eq!(made.text("/key"), custom);
        let again = app.post("/key/generate", json!({"key": custom})).await;
        assert_eq!(again.status, 409, "{again}");
        compare("key_generate_custom_key_dup", &again);
        let master = app
            .post("/key/generate", json!({"key": crate::app::MASTER_KEY}))
            .await;
        assert_eq!(master.status, 409);
        let worked = app.get("/key/info").with_key(custom).await;
        assert_eq!(worked.json["info"]["key_alias"], "custom");
    })
    .await;
}

#[tokio::test]
async fn keys_expire_to_the_moment() {
    let clock = Clock::fixed(Millis(1_795_000_000_000));
    let setup = Setup::default().clock(clock.clone());
    setup
        .each_database(async |app| {
            let body = json!({"duration": "1h", "max_budget": 1});
            let key = make(app, body).await.text("/key");
            clock.advance(Duration::from_secs(3599));
            assert_eq!(app.get("/key/info").with_key(&key).await.status, 200);
            clock.advance(Duration::from_secs(1));
            let expired = app.get("/key/info").with_key(&key).await;
            assert_eq!(
                (expired.status, expired.text("/error/type").as_str()),
                (401, "expired_key")
            );
            let info = app.get(&format!("/key/info?key={key}")).await;
            assert_eq!(info.json["info"]["status"], "expired");
            let list = app.get("/key/list?status=expired").await;
            assert_eq!(list.json["total_count"], 1, "{list}");
            let list = app.get("/key/list?status=active").await;
            assert_eq!(list.json["total_count"], 0, "{list}");

            let never = json!({"key": key, "duration": "-1"});
            let never = app.post("/key/update", never).await;
            compare("key_update_duration_never", &never);
            assert_eq!(never.json["expires"], Value::Null);
            assert_eq!(app.get("/key/info").with_key(&key).await.status, 200);
        })
        .await;
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    each_database(async |app| {
        let full = json!({
            "user_id": "ku1", "key_alias": "alias-1", "max_budget": 1.5, "tpm_limit": 7,
            "rpm_limit": 10, "budget_duration": "1mo", "models": ["gpt-4o", "mock-model"],
            "metadata": {"env": "dev"}, "tags": ["a"], "soft_budget": 1, "blocked": false,
            "duration": "30d", "max_parallel_requests": 3, "tpd_limit": 9,
            "allowed_routes": ["llm_api_routes", "info_routes"],
        });
        let key = make(app, full).await.text("/key");
        let change = json!({"key": key, "max_budget": 20, "models": ["gpt-4o"],
            "metadata": {"env": "prod"}, "tpd_limit": null});
        let updated = app.post("/key/update", change).await;
        compare("key_update", &updated);
        assert_eq!(updated.json["key"], json!(key));
        let info = app.get("/key/info").with_key(&key).await;
        let info = &info.json["info"];
        for (name, expected) in [
            ("max_budget", json!(20.0)),
            ("models", json!(["gpt-4o"])),
            ("metadata", json!({"env": "prod", "tags": ["a"]})),
            ("tpd_limit", json!(null)),
            ("tpm_limit", json!(7)),
            ("rpm_limit", json!(10)),
            ("key_alias", json!("alias-1")),
            ("user_id", json!("ku1")),
            ("budget_duration", json!("1mo")),
            ("soft_budget", json!(1.0)),
        ] {
            assert_eq!(info[name], expected, "{name}");
        }
        assert!(info["settings_updated_at"].is_string());

        let by_alias = json!({"key_alias": "alias-1", "tpm_limit": 77});
        let by_alias = app.post("/key/update", by_alias).await;
        compare("key_update_by_alias", &by_alias);
        let clear = json!({"key_alias": "alias-1", "max_budget": null, "soft_budget": null,
            "budget_duration": null, "models": null, "tags": null});
        let cleared = app.post("/key/update", clear).await;
        for name in [
            "max_budget",
            "soft_budget",
            "budget_duration",
            "budget_reset_at",
        ] {
            assert_eq!(cleared.json[name], Value::Null, "{name}");
        }
        assert_eq!(cleared.json["models"], json!([]));
        assert_eq!(cleared.json["metadata"], json!({"env": "prod"}));
    })
    .await;
}

#[tokio::test]
async fn updates_of_nothing_and_of_nobody_are_refused() {
    let app = Setup::default().start().await;
    make(&app, json!({"key_alias": "taken"})).await;
    let key = make(&app, json!({})).await.text("/key");
    compare(
        "key_update_nokey",
        &app.post("/key/update", json!({"max_budget": 1})).await,
    );
    let missing = json!({"key": "sk-none", "max_budget": 1});
    compare(
        "key_update_missing",
        &app.post("/key/update", missing).await,
    );
    let half = json!({"key": key, "temp_budget_increase": 1});
    compare(
        "key_update_temp_partial",
        &app.post("/key/update", half).await,
    );
    let taken = json!({"key": key, "key_alias": "taken"});
    assert_eq!(app.post("/key/update", taken).await.status, 400);
    let team = json!({"key": key, "team_id": "no-such-team"});
    assert_eq!(app.post("/key/update", team).await.status, 404);
    compare("key_info_missing", &app.get("/key/info?key=sk-nope").await);
    compare(
        "key_block_missing",
        &app.post("/key/block", json!({"key": "sk-none"})).await,
    );
    compare(
        "key_delete_missing",
        &app.post("/key/delete", json!({"keys": ["sk-zzz"]})).await,
    );
    compare(
        "key_delete_empty",
        &app.post("/key/delete", json!({})).await,
    );
    assert_eq!(app.get("/key/info").await.status, 422);
}

#[tokio::test]
async fn a_blocked_key_is_refused_at_once() {
    each_database(async |app| {
        let key = make(app, full()).await.text("/key");
        assert_eq!(app.get("/v1/models").with_key(&key).await.status, 200);
        let blocked = app.post("/key/block", json!({"key": key})).await;
        compare("key_block", &blocked);
        assert_eq!(blocked.json["blocked"], true);
        let refused = app.get("/v1/models").with_key(&key).await;
        assert_eq!(refused.status, 401);
        assert!(refused.text("/error/message").contains("Key is blocked"));
        let info = app.get(&format!("/key/info?key={key}")).await;
        assert_eq!(info.json["info"]["status"], "revoked");
        let unblocked = app.post("/key/unblock", json!({"key": key})).await;
        compare("key_unblock", &unblocked);
        assert_eq!(app.get("/v1/models").with_key(&key).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_replaced_key_keeps_everything_but_its_text() {
    let clock = Clock::fixed(Millis(1_795_000_000_000));
    let setup = Setup::default().clock(clock.clone());
    setup
        .each_database(async |app| {
            let body = json!({"key_alias": "mine", "max_budget": 5, "spend": 2});
            let old = make(app, body).await.text("/key");
            let replaced = app
                .post(&format!("/key/{old}/regenerate"), json!({}))
                .body("")
                .await;
            assert_eq!(replaced.status, 200, "{replaced}");
            let new = replaced.text("/key");
            assert_ne!(new, old);
            assert_eq!(app.get("/key/info").with_key(&old).await.status, 401);
            let info = app.get("/key/info").with_key(&new).await;
            let info = &info.json["info"];
            assert_eq!(info["key_alias"], "mine");
            assert_eq!(
                (&info["spend"], &info["max_budget"]),
                (&json!(2.0), &json!(5.0))
            );
            assert_eq!(info["rotation_count"], 1);

            let body = json!({"key": new, "grace_period": "1h", "max_budget": 7});
            let replaced = app.post("/key/regenerate", body).await;
            let newest = replaced.text("/key");
            assert_eq!(replaced.json["max_budget"], 7.0);
            for key in [&new, &newest] {
                assert_eq!(app.get("/key/info").with_key(key).await.status, 200);
            }
            clock.advance(Duration::from_secs(3601));
            assert_eq!(app.get("/key/info").with_key(&new).await.status, 401);
            assert_eq!(app.get("/key/info").with_key(&newest).await.status, 200);

            let missing = app.post("/key/regenerate", json!({"key": "sk-none"})).await;
            assert_eq!(missing.status, 404);
            let chosen = json!({"key": newest, "new_key": "sk-chosen-by-somebody"});
            let chosen = app.post("/key/regenerate", chosen).await;
            assert_eq!(chosen.text("/key"), "sk-chosen-by-somebody");
        })
        .await;
}

#[tokio::test]
async fn a_key_says_that_it_is_healthy() {
    let app = Setup::default().start().await;
    let key = make(&app, json!({})).await.text("/key");
    let health = app.post("/key/health", json!({})).with_key(&key).await;
    compare("key_health_admin", &health);
    assert_eq!(health.json["key"], "healthy");
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_without_secrets() {
    each_database(async |app| {
        let key = make(app, json!({"key_alias": "watched"}))
            .await
            .text("/key");
        let change = app.post("/key/update", json!({"key": key, "rpm_limit": 5}));
        change.header("litellm-changed-by", "somebody else").await;
        app.post("/key/block", json!({"key": key})).await;
        let new = app
            .post("/key/regenerate", json!({"key": key}))
            .await
            .text("/key");
        app.post("/key/delete", json!({"keys": [new]})).await;
        let entries = store::audit::list(&app.domain().db, "key").await.unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(
            actions,
            ["created", "updated", "blocked", "rotated", "deleted"]
        );
        assert_eq!(entries[1].changed_by.as_deref(), Some("somebody else"));
        for entry in &entries {
            let text = format!("{entry:?}");
            assert!(!text.contains(&key) && !text.contains(&new), "{text}");
        }
    })
    .await;
}
