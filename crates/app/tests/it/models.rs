//! Models: made, changed, listed, and called through the API.

use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, MASTER_KEY, Setup, TestApp, each_database};
use crate::golden::Golden;

/// Compares an answer with the recorded one, where recordings are there.
fn as_recorded(name: &str, answer: &Answer) {
    if let Some(golden) = Golden::load(name) {
        golden.compare(answer);
    }
}

async fn make(app: &TestApp, id: &str, name: &str) -> Answer {
    let body = json!({
        "model_name": name,
        "litellm_params": {
            "model": "openai/gpt-4o-mini",
            "api_key": "sk-upstream-secret",
            "api_base": app.provider.url(),
        },
        "model_info": {"id": id, "mode": "chat"},
    });
    app.post("/model/new", body).await
}

async fn chat(app: &TestApp, model: &str) -> Answer {
    let messages = json!([{"role": "user", "content": "Hello!"}]);
    app.post(
        "/v1/chat/completions",
        json!({"model": model, "messages": messages}),
    )
    .await
}

fn names(list: &Answer) -> Vec<String> {
    let models = list.json["data"].as_array().expect("a list");
    let ids = models
        .iter()
        .map(|model| model["id"].as_str().expect("an id").to_owned());
    ids.collect()
}

#[tokio::test]
async fn a_model_is_made_called_changed_and_deleted() {
    each_database(async |app| {
        let made = make(app, "db-1", "mine").await;
        assert_eq!(made.status, 200, "{made}");
        assert_eq!(made.text("/model_id"), "db-1");
        assert_eq!(made.text("/litellm_params/model"), "openai/gpt-4o-mini");
        assert_eq!(chat(app, "mine").await.status, 200);
        assert_eq!(chat(app, "db-1").await.status, 200);
        let key = app
            .provider
            .last_request()
            .header("authorization")
            .to_owned();
        assert_eq!(key, "Bearer sk-upstream-secret");

        let change = json!({
            "litellm_params": {"model": "openai/gpt-4o", "rpm": 5},
            "model_info": {"id": "db-1", "mode": null},
        });
        let changed = app.post("/model/update", change).await;
        assert_eq!(changed.status, 200, "{changed}");
        assert_eq!(changed.json["litellm_params"]["rpm"], 5);
        assert_eq!(changed.json["model_info"]["mode"], Value::Null);
        assert_eq!(chat(app, "mine").await.status, 200);
        let asked = app.provider.last_request();
        assert_eq!(asked.json()["model"], "gpt-4o");
        assert_eq!(asked.header("authorization"), "Bearer sk-upstream-secret");

        app.restart().await;
        assert_eq!(chat(app, "mine").await.status, 200);
        let asked = app.provider.last_request();
        assert_eq!(asked.header("authorization"), "Bearer sk-upstream-secret");

        let deleted = app.post("/model/delete", json!({"id": "db-1"})).await;
        assert_eq!(deleted.status, 200, "{deleted}");
        assert_eq!(chat(app, "mine").await.status, 400);
        assert_eq!(
            app.post("/model/delete", json!({"id": "db-1"}))
                .await
                .status,
            400
        );
    })
    .await;
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_keeps_the_id() {
    each_database(async |app| {
        make(app, "db-1", "mine").await;
        let body = json!({"model_info": {"mode": "chat", "foo": "bar"}});
        let patched = app
            .call(Method::PATCH, "/model/db-1/update", Some(body))
            .await;
        assert_eq!(patched.status, 200, "{patched}");
        assert_eq!(patched.text("/model_info/id"), "db-1");
        assert_eq!(patched.text("/model_info/foo"), "bar");
        let body = json!({"blocked": true});
        let blocked = app
            .call(Method::PATCH, "/model/db-1/update", Some(body))
            .await;
        assert_eq!(blocked.json["blocked"], true);
        assert_eq!(chat(app, "mine").await.status, 400);
    })
    .await;
}

#[tokio::test]
async fn what_is_listed_is_a_model_and_not_the_price_of_one_size() {
    each_database(async |app| {
        let key = app.post("/key/generate", json!({})).await.text("/key");
        let listed = app.get("/v1/models").with_key(&key).await;
        let names = listed.json["data"].as_array().unwrap().iter();
        let names: Vec<&str> = names.filter_map(|model| model["id"].as_str()).collect();
        assert!(names.contains(&"openai/gpt-image-1.5"), "{names:?}");
        assert!(names.iter().all(|name| !name.contains("-x-")), "{names:?}");
    })
    .await;
}

#[tokio::test]
async fn no_answer_holds_a_provider_s_key() {
    each_database(async |app| {
        let made = make(app, "db-1", "mine").await;
        let mut shown = vec![made];
        for path in [
            "/model/info",
            "/v1/model/info",
            "/v2/model/info",
            "/model_group/info",
            "/health",
        ] {
            let answer = app.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {answer}");
            shown.push(answer);
        }
        let body = json!({"model_info": {"id": "db-1"}, "litellm_params": {"rpm": 1}});
        shown.push(app.post("/model/update", body).await);
        let rows = store::deployments::list(&app.domain().db).await.unwrap();
        let kept = format!("{:?}", rows[0].params);
        for text in shown.iter().map(|answer| answer.to_string()).chain([kept]) {
            assert!(!text.contains("sk-upstream-secret"), "{text}");
            assert!(!text.contains("sk-the-provider-s-own"), "{text}");
        }
        assert!(
            rows[0].params["api_key"]
                .as_str()
                .unwrap()
                .starts_with("v1.")
        );
    })
    .await;
}

#[tokio::test]
async fn wrong_models_are_refused_without_a_trace() {
    let app = Setup::default().start().await;
    let refused = |body: Value, status: u16| {
        let app = &app;
        async move {
            let answer = app.post("/model/new", body.clone()).await;
            assert_eq!(answer.status, status, "{body}: {answer}");
            answer
        }
    };
    let missing = refused(json!({"model_name": "x"}), 422).await;
    assert_eq!(
        missing.json["detail"][0]["loc"],
        json!(["body", "litellm_params"])
    );
    refused(json!({"litellm_params": {"model": "openai/gpt-4o"}}), 422).await;
    refused(json!({"model_name": "x", "litellm_params": "gpt-4o"}), 422).await;
    let unknown = json!({"model_name": "x", "litellm_params": {"model": "nowhere-to-be-found"}});
    assert_eq!(refused(unknown, 400).await.text("/error/param"), "model");
    let base = json!({"model": "openai/gpt-4o", "api_base": "file:///etc/passwd"});
    let base = json!({"model_name": "x", "litellm_params": base});
    assert_eq!(refused(base, 400).await.text("/error/param"), "api_base");
    let stolen = json!({"model": "openai/gpt-4o", "api_key": "os.environ/TOLLGATE_MASTER_KEY"});
    refused(json!({"model_name": "x", "litellm_params": stolen}), 400).await;
    refused(
        json!({"model_name": " ", "litellm_params": {"model": "openai/gpt-4o"}}),
        400,
    )
    .await;
    assert_eq!(app.get("/v1/models/x").await.status, 404);

    make(&app, "db-1", "mine").await;
    assert_eq!(make(&app, "db-1", "other").await.status, 409);
    assert_eq!(make(&app, "fixed-model-id-35", "other").await.status, 409);
    let configured = json!({
        "litellm_params": {"model": "openai/gpt-4o-mini"},
        "model_info": {"id": "fixed-model-id-35"},
    });
    let configured = app.post("/model/update", configured).await;
    assert_eq!(configured.status, 400);
    assert!(
        configured
            .text("/error/message")
            .starts_with("Can't edit model.")
    );
    let nameless = app
        .post("/model/update", json!({"litellm_params": {}}))
        .await;
    assert_eq!(nameless.status, 422, "{nameless}");
}

#[tokio::test]
async fn the_list_has_what_can_be_called_and_the_catalogue_behind_wildcards() {
    let app = Setup::default().start().await;
    let list = app.get("/v1/models").await;
    assert_eq!(list.status, 200, "{list}");
    let first = &list.json["data"][1];
    assert_eq!(
        *first,
        json!({
            "id": "gpt-4o", "object": "model", "created": 1_677_610_602, "owned_by": "openai",
            "mode": "chat", "max_input_tokens": 128_000, "max_output_tokens": 16_384,
        })
    );
    let names = names(&list);
    assert_eq!(names[0], "fake-openai-endpoint");
    assert!(names.iter().any(|name| name == "openai/gpt-4o-mini"));
    assert!(!names.iter().any(|name| name.contains('*')));
    let wildcards = app.get("/models?return_wildcard_routes=true").await;
    assert_eq!(wildcards.text("/data/0/id"), "openai/*");
    for (id, status) in [
        ("gpt-4o", 200),
        ("openai/gpt-4o", 200),
        ("openai/brand-new", 200),
        ("nope", 404),
    ] {
        let one = app.get(&format!("/v1/models/{id}")).await;
        assert_eq!(one.status, status, "{one}");
        if status == 200 {
            assert_eq!(one.text("/id"), id);
        }
    }
}

#[tokio::test]
async fn a_gateway_without_providers_has_a_demonstration() {
    let app = Setup::default().config("").start().await;
    assert_eq!(
        names(&app.get("/v1/models").await),
        ["demo", "gpt-3.5-turbo"]
    );
    let answer = chat(&app, "gpt-3.5-turbo").await;
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.text("/choices/0/message/content").contains("demo"));
    assert_eq!(chat(&app, "gpt-4o").await.status, 400);
}

#[tokio::test]
async fn a_provider_in_the_environment_needs_no_file() {
    let app = Setup::default()
        .config("")
        .variable("OPENAI_API_KEY", "sk-of-the-environment")
        .variable("OPENAI_BASE_URL", "PROVIDER")
        .start()
        .await;
    let names = names(&app.get("/v1/models").await);
    assert!(names.iter().any(|name| name == "gpt-4o"), "{names:?}");
    for model in ["gpt-4o", "openai/gpt-4o"] {
        assert_eq!(chat(&app, model).await.status, 200);
        let asked = app.provider.last_request();
        assert_eq!(
            asked.header("authorization"),
            "Bearer sk-of-the-environment"
        );
        assert_eq!(asked.json()["model"], "gpt-4o");
    }
    assert_eq!(chat(&app, "demo").await.status, 400);
}

#[tokio::test]
async fn groups_sum_up_their_deployments() {
    let app = Setup::default().start().await;
    let group = app.get("/model_group/info?model_group=gpt-4o").await;
    let group = &group.json["data"][0];
    assert_eq!(group["providers"], json!(["openai"]));
    assert_eq!(group["input_cost_per_token"], 2.5e-6);
    assert_eq!(group["supports_vision"], true);
    let info = app
        .get("/v1/model/info?litellm_model_id=fixed-model-id-35")
        .await;
    let info = &info.json["data"][0]["model_info"];
    assert_eq!(info["input_cost_per_token"], 5e-7);
    assert_eq!(info["db_model"], false);
    assert_eq!(
        app.get("/model/info?litellm_model_id=nope").await.status,
        400
    );
}

#[tokio::test]
async fn two_gateways_on_one_database_learn_of_each_other_s_models() {
    for database in testkit::databases().await {
        let Some(again) = database.again().await else {
            continue;
        };
        let other = TestApp::start(Setup::default(), again).await;
        let app = TestApp::start(Setup::default(), database).await;
        make(&app, "db-1", "mine").await;
        let deadline = std::time::Instant::now() + testkit::PATIENCE;
        while other.get("/v1/models/mine").await.status != 200 {
            assert!(
                std::time::Instant::now() < deadline,
                "the change does not arrive"
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn changes_are_answered_as_the_reference_answers() {
    each_database(async |app| {
        let made = make(app, "db-model-1", "db-model").await;
        as_recorded("model_new", &made);
        as_recorded("model_new_dup", &make(app, "db-model-1", "db-model").await);
        as_recorded(
            "model_new_bad",
            &app.post("/model/new", json!({"model_name": "x"})).await,
        );
        let change = json!({
            "model_name": "db-model",
            "litellm_params": {"model": "openai/gpt-4o-mini", "rpm": 5},
            "model_info": {"id": "db-model-1"},
        });
        as_recorded("model_update", &app.post("/model/update", change).await);
        let patch = Some(json!({"model_info": {"mode": "chat", "foo": "bar"}}));
        let patched = app
            .call(Method::PATCH, "/model/db-model-1/update", patch)
            .await;
        as_recorded("model_patch", &patched);
        let configured = json!({
            "litellm_params": {"model": "openai/gpt-4o-mini"},
            "model_info": {"id": "fixed-model-id-35"},
        });
        as_recorded(
            "model_update_config_model",
            &app.post("/model/update", configured).await,
        );
        let deleted = app.post("/model/delete", json!({"id": "db-model-1"})).await;
        as_recorded("model_delete", &deleted);
        let missing = app.post("/model/delete", json!({"id": "nope"})).await;
        as_recorded("model_delete_missing", &missing);
    })
    .await;
}

#[tokio::test]
async fn lists_and_facts_are_answered_as_the_reference_answers() {
    let app = Setup::default().start().await;
    for (name, path) in [
        ("models_master", "/v1/models"),
        ("models_wildcard", "/v1/models?return_wildcard_routes=true"),
        (
            "models_access_groups",
            "/v1/models?include_model_access_groups=true",
        ),
        ("model_retrieve", "/v1/models/gpt-4o"),
        ("model_retrieve_missing", "/v1/models/nope"),
        ("model_info", "/model/info"),
        (
            "model_info_v1",
            "/v1/model/info?litellm_model_id=fixed-model-id-35",
        ),
        ("model_info_v2", "/v2/model/info?page=1&size=1"),
        ("model_info_missing", "/model/info?litellm_model_id=nope"),
        ("model_group_info", "/model_group/info?model_group=gpt-4o"),
        ("health", "/health"),
        ("health_model", "/health?model=gpt-4o"),
        ("health_readiness_details", "/health/readiness/details"),
    ] {
        as_recorded(name, &app.get(path).await);
    }
    for (name, path) in [
        ("health_noauth", "/health"),
        ("health_liveliness", "/health/liveliness"),
        ("health_readiness", "/health/readiness"),
        ("metrics_noauth", "/metrics"),
        ("metrics_redirect", "/metrics/"),
    ] {
        as_recorded(name, &app.get(path).without_key().await);
    }
}

#[tokio::test]
async fn a_key_sees_its_models_and_nothing_of_where_they_are() {
    each_database(async |app| {
        let limited = json!({"models": ["gpt-4o", "beta-models", "groq/*"]});
        let key = app.post("/key/generate", limited).await.text("/key");
        let list = app.get("/v1/models").with_key(&key).await;
        assert_eq!(names(&list), ["gpt-4o", "gpt-3.5-turbo"]);
        as_recorded("models_restricted", &list);
        assert_eq!(
            app.get("/v1/models/gpt-4o").with_key(&key).await.status,
            200
        );
        let hidden = app.get("/v1/models/mock-model").with_key(&key).await;
        assert_eq!(hidden.status, 404);
        as_recorded("model_retrieve_missing", &hidden);
        let groups = app.get("/model_group/info").with_key(&key).await;
        assert_eq!(
            groups.json["data"].as_array().map(Vec::len),
            Some(2),
            "{groups}"
        );
        for path in ["/model/info", "/v1/model/info", "/health"] {
            let answer = app.get(path).with_key(&key).await;
            assert_eq!(answer.status, 200, "{answer}");
            assert!(answer.to_string().contains("fixed-model-id-35"));
            assert!(!answer.to_string().contains("127.0.0.1"), "{answer}");
            assert!(!answer.to_string().contains("mock-model"), "{answer}");
        }
        let new = json!({"model_name": "x", "litellm_params": {"model": "openai/gpt-4o-mini"}});
        let refused = app.post("/model/new", new).with_key(&key).await;
        assert!([401, 403].contains(&refused.status), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_team_s_administrator_brings_models_for_that_team_alone() {
    each_database(async |app| {
        let user =
            json!({"user_id": "ann", "user_role": "internal_user", "auto_create_key": false});
        assert_eq!(app.post("/user/new", user).await.status, 200);
        let team =
            json!({"team_id": "t", "members_with_roles": [{"role": "admin", "user_id": "ann"}]});
        assert_eq!(app.post("/team/new", team).await.status, 200);
        let own = app
            .post("/key/generate", json!({"user_id": "ann"}))
            .await
            .text("/key");
        let of_team = app
            .post("/key/generate", json!({"team_id": "t"}))
            .await
            .text("/key");
        let new = |params: Value, team: &str| {
            let body = json!({
                "model_name": "ours_t_1",
                "litellm_params": params,
                "model_info": {"team_id": team, "team_public_model_name": "ours"},
            });
            app.post("/model/new", body).with_key(&own)
        };
        let with_key = json!({"model": "openai/gpt-4o-mini", "api_key": "sk-of-the-team"});
        let mut elsewhere = with_key.clone();
        elsewhere["api_base"] = app.provider.url().into();
        let environment = json!({"model": "openai/gpt-4o", "api_key": "os.environ/OPENAI_API_KEY"});
        for (params, team) in [
            (json!({"model": "openai/gpt-4o-mini"}), "t"),
            (elsewhere, "t"),
            (environment, "t"),
            (with_key.clone(), "other"),
        ] {
            let refused = new(params.clone(), team).await;
            assert_eq!(refused.status, 403, "{params}: {refused}");
        }
        let made = new(with_key, "t").await;
        assert_eq!(made.status, 200, "{made}");
        let sees = async |key: &str| app.get("/v1/models/ours").with_key(key).await.status;
        assert_eq!((sees(&of_team).await, sees(&own).await), (200, 404));
        assert!(
            names(&app.get("/v1/models").with_key(&of_team).await).contains(&"ours".to_owned())
        );
        assert!(!names(&app.get("/v1/models").await).contains(&"ours".to_owned()));
    })
    .await;
}

const DIALECTS: &str = r#"
model_list:
  - model_name: one
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-of-a-model-98e4}
    model_info: {max_input_tokens: 1000, max_output_tokens: 100}
  - model_name: two/b
    litellm_params: {model: openai/gpt-4o, api_key: sk-of-a-model-98e4}
  - model_name: three
    litellm_params: {model: openai/text-embedding-3-small, api_key: sk-of-a-model-98e4}
    model_info: {mode: embedding}
"#;

#[tokio::test]
async fn models_are_listed_in_anthropic_s_dialect_to_its_clients() {
    let app = Setup::default().config(DIALECTS).start().await;
    let get = |path: &str| app.get(path).header("anthropic-version", "2023-06-01");
    let ids = |answer: &Answer| -> Vec<String> {
        let data = answer.json["data"].as_array().expect("a list");
        data.iter()
            .map(|model| model["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let all = get("/v1/models").await;
    assert_eq!(ids(&all), ["one", "two/b", "three"], "{all}");
    assert_eq!(all.json["has_more"], false);
    assert_eq!(
        (all.text("/first_id"), all.text("/last_id")),
        ("one".into(), "three".into())
    );
    let first = json!({"type": "model", "id": "one", "display_name": "one",
        "created_at": "1970-01-01T00:00:00Z", "max_input_tokens": 1000, "max_tokens": 100});
    assert_eq!(all.json["data"][0], first);
    let page = get("/models?limit=1&after_id=one").await;
    assert_eq!(
        (ids(&page), &page.json["has_more"]),
        (vec!["two/b".to_owned()], &json!(true))
    );
    let before = get("/v1/models?limit=1&before_id=three").await;
    assert_eq!(
        (ids(&before), &before.json["has_more"]),
        (vec!["two/b".to_owned()], &json!(true))
    );
    let end = get("/v1/models?after_id=three").await;
    assert_eq!(
        (&end.json["data"], &end.json["first_id"]),
        (&json!([]), &json!(null))
    );
    assert_eq!(get("/v1/models/two/b").await.text("/id"), "two/b");
    assert_eq!(get("/v1/models/two%2Fb").await.text("/id"), "two/b");
    for (path, status, kind) in [
        ("/v1/models/nope", 404, "not_found_error"),
        ("/v1/models?after_id=nope", 400, "invalid_request_error"),
        ("/v1/models?limit=0", 400, "invalid_request_error"),
        (
            "/v1/models?after_id=one&before_id=three",
            400,
            "invalid_request_error",
        ),
    ] {
        let refused = get(path).await;
        assert_eq!(refused.status, status, "{path}: {refused}");
        assert_eq!(refused.text("/type"), "error", "{path}: {refused}");
        assert_eq!(refused.text("/error/type"), kind, "{path}: {refused}");
    }
    let nobody = get("/v1/models").without_key().await;
    assert_eq!(
        nobody.text("/error/type"),
        "authentication_error",
        "{nobody}"
    );
    assert_eq!(app.get("/v1/models").await.text("/object"), "list");
}

#[tokio::test]
async fn models_are_listed_in_gemini_s_dialect_on_its_paths() {
    let app = Setup::default().config(DIALECTS).start().await;
    let all = app.get("/v1beta/models").await;
    let first = json!({"name": "models/one", "version": "001", "displayName": "one",
        "inputTokenLimit": 1000, "outputTokenLimit": 100,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"]});
    assert_eq!(all.json["models"][0], first, "{all}");
    assert!(all.json.get("nextPageToken").is_none(), "{all}");
    let methods = &all.json["models"][2]["supportedGenerationMethods"];
    assert_eq!(*methods, json!(["embedContent", "batchEmbedContents"]));
    let page = app.get("/v1beta/models?pageSize=2").await;
    assert_eq!(
        page.json["models"].as_array().map(Vec::len),
        Some(2),
        "{page}"
    );
    let token = page.text("/nextPageToken").replace('/', "%2F");
    let rest = app
        .get(&format!("/v1beta/models?pageSize=2&pageToken={token}"))
        .await;
    assert_eq!(rest.text("/models/0/name"), "models/three");
    assert!(rest.json.get("nextPageToken").is_none(), "{rest}");
    let one = app.get("/v1beta/models/two/b").without_key();
    let one = one.header("x-goog-api-key", MASTER_KEY).await;
    assert_eq!(one.text("/name"), "models/two/b");
    for (path, status, word) in [
        ("/v1beta/models/nope", 404, "NOT_FOUND"),
        ("/v1beta/models?pageToken=nope", 400, "INVALID_ARGUMENT"),
        ("/v1beta/models?pageSize=-1", 400, "INVALID_ARGUMENT"),
    ] {
        let refused = app.get(path).await;
        assert_eq!(refused.status, status, "{path}: {refused}");
        assert_eq!(refused.text("/error/status"), word, "{path}: {refused}");
        assert_eq!(refused.json["error"]["code"], status, "{path}: {refused}");
    }
    let nobody = app.get("/v1beta/models").without_key().await;
    assert_eq!(nobody.text("/error/status"), "UNAUTHENTICATED", "{nobody}");
}
