//! Usage reports of the `/v2` API against the ledger's other readers, its API keys, and what it does with
//! requests that make no sense.

use http::Method;
use serde_json::{Value, json};
use testkit::Reply;

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::openapi;
use crate::v2::person;

async fn ask(app: &TestApp, token: &str, model: &str) {
    app.provider.reply(Reply::text(["Hello"]).usage(1000, 500));
    let body = json!({"model_id": model, "messages": [{"role": "user", "content": "=1+1"}]});
    let answer = app
        .post("/v2/llm/chat/completions", body)
        .with_key(token)
        .await;
    assert_eq!(answer.status, 200, "{answer}");
}

async fn api_key(app: &TestApp, token: &str, name: &str) -> Answer {
    let made = app
        .post("/v2/api-keys/", json!({"name": name}))
        .with_key(token)
        .await;
    assert_eq!(made.status, 200, "{made}");
    made
}

#[tokio::test]
async fn all_reports_say_the_same() {
    each_database(async |app| {
        let ada = person(app, "ada@example.com").await;
        let bob = person(app, "bob@example.com").await;
        let key = api_key(app, &ada, "CI").await.text("/full_key");
        for (token, model) in [
            (&ada, "gpt-4o"),
            (&key, "gpt-4o"),
            (&key, "gpt-3.5-turbo"),
            (&bob, "gpt-4o"),
        ] {
            ask(app, token, model).await;
        }
        // a call of another API counts the same
        app.provider.reply(Reply::text(["Hello"]).usage(1000, 500));
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(
            app.post("/v1/chat/completions", body)
                .with_key(&key)
                .await
                .status,
            200
        );

        let mine = app
            .get("/v2/billing/usage/my-usage?days=1")
            .with_key(&ada)
            .await;
        assert_eq!(mine.json["total_requests"], 4, "{mine}");
        assert_eq!(mine.json["total_input_tokens"], 4000);
        assert_eq!(mine.json["total_tokens"], 6000);
        let sources = mine.json["by_source"].as_array().unwrap();
        let of = |source: &str| sources.iter().find(|it| it["source"] == source).unwrap();
        assert_eq!(of("api")["total_requests"], 3);
        assert_eq!(of("playground")["total_requests"], 1);
        assert_eq!(sources[0]["source"], "api", "the dearest first");
        let by_key = app
            .get("/v2/billing/usage/my-usage?days=1")
            .with_key(&key)
            .await;
        assert_eq!(by_key.json, mine.json);

        let report = app.get("/v2/billing/usage/report?days=1").await;
        assert_eq!(report.status, 200, "{report}");
        assert_eq!(report.json["total_requests"], 5);
        assert_eq!(report.json["total_users"], 2);
        let shares = report.json["by_user"].as_array().unwrap();
        let own = shares
            .iter()
            .find(|it| it["user_email"] == "ada@example.com")
            .unwrap();
        assert_eq!(own, &mine.json);
        let by_model = report.json["by_model"].as_array().unwrap();
        assert_eq!(by_model[0]["model_name"], "GPT-4o", "{report}");
        assert_eq!(by_model[0]["total_requests"], 4);
        assert_eq!(report.json["by_key_source"][0]["key_source"], "system");

        let spend =
            app.get("/user/daily/activity/aggregated?start_date=2020-01-01&end_date=2100-01-01");
        let spend = spend.with_key(&ada).await;
        let metadata = &spend.json["metadata"];
        assert_eq!(metadata["total_spend"], mine.json["total_cost"], "{spend}");
        let total = app.get("/global/spend").await;
        assert_eq!(total.json["spend"], report.json["total_cost"], "{total}");

        let csv = app.get("/v2/billing/usage/export-csv?days=1").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        assert!(
            csv.header("content-disposition")
                .starts_with("attachment; filename=llm_usage_20")
        );
        let text = String::from_utf8(csv.body.to_vec()).unwrap();
        let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert_eq!(
            lines[0],
            "Date,User Email,User ID,Model Name,Provider,Input Tokens,Output Tokens,Total Tokens,\
             Cost (USD),Conversation ID,Source,Key Source"
        );
        assert!(
            lines[1].contains(",GPT-4o,openai,1000,500,1500,0.007500,"),
            "{}",
            lines[1]
        );
        assert!(lines[1].ends_with(",playground,system"), "{}", lines[1]);

        for query in ["days=0", "days=366", "days=x"] {
            let answer = app
                .get(&format!("/v2/billing/usage/my-usage?{query}"))
                .await;
            assert_eq!(answer.status, 422, "{query}: {answer}");
        }
        let refused = app.get("/v2/billing/usage/report").with_key(&ada).await;
        assert_eq!(
            refused.json["detail"],
            "The user doesn't have enough privileges"
        );
        let none = app
            .get("/v2/billing/usage/report?start_date=2020-01-01&end_date=2020-01-02")
            .await;
        assert_eq!(
            (none.status, &none.json["total_requests"]),
            (200, &json!(0)),
            "{none}"
        );
    })
    .await;
}

#[tokio::test]
async fn api_keys_are_shown_once_switched_and_deleted() {
    each_database(async |app| {
        let ada = person(app, "ada@example.com").await;
        let bob = person(app, "bob@example.com").await;
        let made = api_key(app, &ada, "Production").await;
        // names are nobody's alone
        api_key(app, &bob, "Production").await;
        let key = made.text("/full_key");
        assert!(key.starts_with("sk-"));
        ask(app, &key, "gpt-4o").await;
        let list = app.get("/v2/api-keys/").with_key(&ada).await;
        assert_eq!(list.json["count"], 1, "{list}");
        let row = &list.json["data"][0];
        assert_eq!(
            (&row["name"], &row["request_count"]),
            (&json!("Production"), &json!(1)),
            "{list}"
        );
        assert_eq!(row["last_ip"], "127.0.0.1");
        assert!(row.get("full_key").is_none() && !list.to_string().contains(&key));
        // a key of this kind calls models and reads what is its owner's, and manages nothing
        for path in [
            "/v2/users/me",
            "/v2/llm-models",
            "/v2/conversations",
            "/v2/api-keys",
            "/v2/billing/usage/my-usage",
            "/v2/users/me/api-key-status",
        ] {
            let answer = app.get(path).with_key(&key).await;
            assert_eq!(answer.status, 200, "{path}: {answer}");
        }
        let more = app.post("/key/generate", json!({})).with_key(&key).await;
        assert_eq!(more.status, 403, "{more}");

        let path = format!("/v2/api-keys/{}", made.text("/id"));
        let toggle = |token: &str| {
            app.call(Method::PATCH, &format!("{path}/toggle"), None)
                .with_key(token)
        };
        let other = toggle(&bob).await;
        assert_eq!(
            (other.status, &other.json["detail"]),
            (404, &json!("API key not found"))
        );
        assert_eq!(toggle(&ada).await.json["is_active"], false);
        let off = app.get("/v2/users/me").with_key(&key).await;
        assert_eq!(
            (off.status, &off.json["detail"]),
            (403, &json!("Invalid API key")),
            "{off}"
        );
        assert_eq!(toggle(&ada).await.json["is_active"], true);
        let block = app.post("/key/block", json!({"key": key})).await;
        assert_eq!(block.status, 200, "{block}");
        let kept = toggle(&ada).await;
        assert_eq!(
            kept.status, 403,
            "what an administrator has blocked stays so: {kept}"
        );
        let delete = |token: &str| app.call(Method::DELETE, &path, None).with_key(token);
        assert_eq!(delete(&bob).await.status, 404);
        let gone = delete(&ada).await;
        assert_eq!(
            gone.json["message"], "API key deleted successfully",
            "{gone}"
        );
        let usage = app.get("/v2/billing/usage/my-usage").with_key(&ada).await;
        assert_eq!(
            usage.json["total_requests"], 1,
            "what it was used for stays: {usage}"
        );
    })
    .await;
}

#[tokio::test]
async fn models_are_found_by_id_and_names_in_a_stable_order() {
    let app = Setup::default().start().await;
    let token = person(&app, "ada@example.com").await;
    let list = async |query: &str| {
        let answer = app
            .get(&format!("/v2/llm-models/?{query}"))
            .with_key(&token)
            .await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.json
    };
    let all = list("limit=1000").await;
    let rows = all["data"].as_array().unwrap().clone();
    assert_eq!(all["count"], json!(rows.len()));
    let order = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_lowercase();
        (text("provider"), text("display_name"))
    };
    assert!(rows.is_sorted_by_key(order));
    let names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    assert_eq!(
        names[..10],
        [
            "name",
            "model_id",
            "display_name",
            "input_token_price",
            "output_token_price",
            "max_tokens",
            "is_active",
            "id",
            "provider_id",
            "provider"
        ]
    );
    let active = list("is_active=true&limit=1000").await;
    let inactive = list("is_active=false&limit=1000").await;
    let count = |list: &Value| list["count"].as_u64().unwrap();
    assert_eq!(count(&active) + count(&inactive), count(&all));
    assert!(
        active["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["is_active"] == true)
    );
    let claude = list("provider=anthropic&q=SONNET").await;
    assert!(count(&claude) > 0);
    for row in claude["data"].as_array().unwrap() {
        assert_eq!(
            (&row["provider"], &row["key_source"]),
            (&json!("anthropic"), &Value::Null)
        );
    }
    assert_eq!(list("provider=nobody").await["count"], 0);
    let page = list("skip=1&limit=2").await;
    assert_eq!(page["data"], json!(rows[1..3]));

    let gpt = rows.iter().find(|row| row["name"] == "gpt-4o").unwrap();
    for name in [gpt["id"].as_str().unwrap(), "gpt-4o", "openai/gpt-4o"] {
        let one = app
            .get(&format!("/v2/llm-models/{name}"))
            .with_key(&token)
            .await;
        assert_eq!(&one.json, gpt, "{name}");
    }
    // ids stand in documentation: they are the same wherever the gateway runs
    assert_eq!(gpt["id"], GPT_4O);
    let none = app.get("/v2/llm-models/nothing").with_key(&token).await;
    assert_eq!(
        (none.status, &none.json["detail"]),
        (404, &json!("Model not found"))
    );
}

const GPT_4O: &str = "598d98e1-c12e-50c0-9d4e-d47239e2a205";

/// Bodies that make no sense, most of which are JSON.
const NONSENSE: [&str; 14] = [
    "",
    "{",
    "null",
    "[]",
    "7",
    "\"text\"",
    "{}",
    "{\"\":null}",
    r#"{"email": 1, "password": [], "title": {}, "name": true, "model_id": null, "messages": 3}"#,
    r#"{"email": "", "password": "", "title": "", "name": "", "model_id": "", "messages": [null]}"#,
    r#"{"full_name": {"a": 1}, "is_superuser": "maybe", "is_active": [], "conversation_id": 5}"#,
    r#"{"anthropic_api_key": 5, "new_password": null, "current_password": {}, "token": 1}"#,
    r#"{"anthropic_api_key": "\u0000", "openai_api_key": "   ", "title": "\ud83d", "name": "\u0000"}"#,
    r#"{"max_tokens": 1e400, "temperature": -1e308, "messages": [{"role": {}, "content": 1}], "model_id": "\u0000"}"#,
];

#[tokio::test]
async fn nonsense_is_never_a_fault_of_ours() {
    each_database(async |app| {
        let token = person(app, "ada@example.com").await;
        let document = openapi::document();
        let long = "x".repeat(5000);
        let parameters = [
            "something",
            "%00",
            "%F0%9F%92%A9",
            "..%2f..",
            "564e8710-43a9-406f-b0ab-e8d651a33e82",
            &long,
        ];
        let queries = [
            "",
            "?skip=-1&limit=-1&days=-1",
            "?skip=99999999999999999999",
            "?limit=9223372036854775807&skip=9223372036854775807",
            "?is_active=%00&provider=%00&q=%00",
            "?start_date=x",
            "?end_date=-9999-01-01&start_date=9999-12-31",
            "?days=1&days=2&skip=&limit=",
        ];
        let mut tried = 0;
        for (method, path, _) in openapi::operations(&document) {
            if !domain::v2::is_path(&path) || method == "DELETE" {
                continue;
            }
            for key in [token.as_str(), crate::app::MASTER_KEY] {
                let cases: Vec<(String, Option<&str>)> = match method.as_str() {
                    "GET" => queries
                        .iter()
                        .map(|query| (format!("{path}{query}"), None))
                        .collect(),
                    _ => NONSENSE
                        .iter()
                        .map(|body| (path.clone(), Some(*body)))
                        .collect(),
                };
                for (at, (path, body)) in cases.into_iter().enumerate() {
                    let path = with_parameter(&path, parameters[at % parameters.len()]);
                    let call = app.call(method.parse().unwrap(), &path, None).with_key(key);
                    let call = call.header("content-type", "application/json");
                    let answer = call.body(body.unwrap_or_default().to_owned()).await;
                    assert!(answer.status < 500, "{method} {path} {body:?}: {answer}");
                    if answer.status >= 400 {
                        assert!(
                            !answer.json["detail"].is_null(),
                            "{method} {path}: {answer}"
                        );
                    }
                    tried += 1;
                }
            }
        }
        assert!(tried > 400, "{tried}");
        // whoever was patched with nonsense is who they were
        let me = app.get("/v2/users/me").with_key(&token).await;
        assert_eq!(me.json["email"], "ada@example.com", "{me}");
    })
    .await;
}

fn with_parameter(path: &str, value: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, parameter)) = rest.split_once('{') {
        filled.push_str(before);
        filled.push_str(value);
        rest = parameter.split_once('}').map_or("", |(_, rest)| rest);
    }
    filled + rest
}
