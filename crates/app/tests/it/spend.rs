//! Reports of what was spent, over HTTP, and the receipts that explain them (contract §18).

use base::{Millis, Money};
use serde_json::{Value, json};
use store::Json;
use store::ledger::LedgerRow;

use crate::app::{Answer, TestApp, each_database};
use crate::golden::Golden;

/// Makes a user with a key of their own; gives the key.
async fn user(app: &TestApp, id: &str) -> String {
    let made = app.post("/user/new", json!({"user_id": id})).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

async fn ask(app: &TestApp, key: &str, model: &str) -> Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    app.post("/v1/chat/completions", body).with_key(key).await
}

/// Puts calls into the ledger that were never made.
async fn record(app: &TestApp, rows: Vec<LedgerRow>) {
    testkit::ledger::record(&app.domain().db, &rows)
        .await
        .expect("the rows are written");
}

/// A call of `ada` on a day.
fn call(request_id: &str, at: &str) -> LedgerRow {
    let started_at = Millis::parse(at).expect("a time");
    LedgerRow {
        request_id: request_id.to_owned(),
        kind: "call".to_owned(),
        corrects: None,
        started_at,
        ended_at: Millis(started_at.0 + 250),
        first_token_at: Some(Millis(started_at.0 + 100)),
        key_id: None,
        key_hash: Some("litellm_proxy_master_key".to_owned()),
        user_id: Some("ada".to_owned()),
        team_id: None,
        team_member_id: None,
        organization_id: None,
        end_user: None,
        endpoint: "acompletion".to_owned(),
        stream: false,
        source: "api".to_owned(),
        requested_model: "gpt-4o".to_owned(),
        answered_model: Some("gpt-4o-2024-08-06".to_owned()),
        deployment_id: Some("deployment".to_owned()),
        model_group: Some("gpt-4o".to_owned()),
        provider: Some("openai".to_owned()),
        upstream_model: Some("gpt-4o".to_owned()),
        api_base: Some("https://api.openai.com/v1".to_owned()),
        paid_by: "system".to_owned(),
        credential_id: None,
        attempts: 1,
        status: "completed".to_owned(),
        http_status: 200,
        error_code: None,
        error_message: None,
        upstream_id: Some(format!("chatcmpl-{request_id}")),
        service_tier: None,
        usage_source: "provider".to_owned(),
        input_tokens: 10,
        cache_read_tokens: 0,
        cache_write_5m_tokens: 0,
        cache_write_1h_tokens: 0,
        input_audio_tokens: 0,
        input_image_tokens: 0,
        output_tokens: 5,
        reasoning_tokens: 0,
        output_audio_tokens: 0,
        output_image_tokens: 0,
        units: Json::default(),
        price_version: Some("catalogue".to_owned()),
        line_prices: Json(Vec::new()),
        cost: Some(Money(75_000)),
        provider_cost: None,
        tags: Json(vec!["User-Agent: curl".to_owned()]),
        metadata: Json::default(),
        user_agent: Some("curl".to_owned()),
        client_address: Some("127.0.0.1".to_owned()),
        session_id: None,
    }
}

fn ids(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| row["request_id"].as_str()).collect()
}

#[tokio::test]
async fn every_call_is_shown_with_its_cost_and_has_a_receipt() {
    each_database(async |app| {
        let key = user(app, "ada").await;
        let answer = ask(app, &key, "gpt-4o").await;
        assert_eq!(answer.status, 200, "{answer}");
        let id = answer.header("x-litellm-call-id").to_owned();
        let logs = app.get("/spend/logs").with_key(&key).await;
        let row = &logs.json[0];
        assert_eq!(ids(&logs.json), [id.as_str()], "{logs}");
        assert_eq!(row["user"], "ada");
        assert_eq!(row["status"], "success");
        assert_eq!(row["model_group"], "gpt-4o");
        assert_eq!(row["model"], "openai/gpt-4o");
        let usage = &answer.json["usage"];
        assert_eq!(row["prompt_tokens"], usage["prompt_tokens"]);
        assert_eq!(row["completion_tokens"], usage["completion_tokens"]);

        let receipt = app.get(&format!("/v1/receipts/{id}")).with_key(&key).await;
        assert_eq!(receipt.status, 200, "{receipt}");
        let lines = receipt.json["line_items"].as_array().expect("lines");
        let femto: i128 = lines
            .iter()
            .filter_map(|line| line["amount_femto_dollars"].as_str()?.parse::<i128>().ok())
            .sum();
        for line in lines {
            let number = |name: &str| i128::from(line[name].as_i64().expect("a number"));
            let amount = line["amount_femto_dollars"].as_str().expect("an amount");
            let product = number("quantity") * number("price_nano_dollars_per_million");
            assert_eq!(amount.parse::<i128>().ok(), Some(product));
        }
        let total = receipt.json["total"]["nano_dollars"]
            .as_i64()
            .expect("a total");
        assert_eq!(i128::from(total), (femto + 500_000) / 1_000_000);
        assert!(total > 0);
        assert_eq!(receipt.json["total"]["dollars"], row["spend"]);
        assert_eq!(receipt.json["paid_by"]["kind"], "system");
        assert_eq!(receipt.json["usage"]["source"], "provider");
        let said = receipt.text("/upstream_id");
        for name in [&id, &said] {
            let found = app.get(&format!("/spend/logs?request_id={name}")).await;
            assert_eq!(ids(&found.json), [id.as_str()], "{found}");
        }
        let spent = app.get("/user/info").with_key(&key).await;
        assert_eq!(spent.json["user_info"]["spend"], row["spend"]);
        assert_eq!(spent.json["keys"][0]["spend"], row["spend"]);
    })
    .await;
}

#[tokio::test]
async fn calls_are_seen_by_those_who_made_them_and_by_administrators() {
    each_database(async |app| {
        let (ada, bob) = (user(app, "ada").await, user(app, "bob").await);
        record(
            app,
            vec![
                call("a1", "2026-11-21T10:00:00Z"),
                LedgerRow {
                    user_id: Some("bob".to_owned()),
                    ..call("b1", "2026-11-21T11:00:00Z")
                },
            ],
        )
        .await;
        let get = async |path: &str, key: &str| app.get(path).with_key(key).await;
        assert_eq!(ids(&app.get("/spend/logs").await.json), ["b1", "a1"]);
        assert_eq!(ids(&get("/spend/logs", &ada).await.json), ["a1"]);
        assert_eq!(
            ids(&get("/spend/logs?user_id=ada", &ada).await.json),
            ["a1"]
        );
        let denied = get("/spend/logs?user_id=bob", &ada).await;
        assert_eq!(denied.status, 403, "{denied}");
        let none = get("/spend/logs?request_id=b1", &ada).await;
        assert_eq!(none.json, json!([]), "{none}");
        for path in ["/v1/receipts/a1", "/spend/logs/ui/a1"] {
            let denied = get(path, &bob).await;
            assert_eq!(denied.status, 404, "{path}: {denied}");
            assert_eq!(get(path, &ada).await.status, 200);
        }
        let missing = app.get("/v1/receipts/nope").await;
        assert_eq!(missing.status, 404, "{missing}");
        let denied = get("/global/spend", &ada).await;
        assert_eq!(denied.status, 401, "{denied}");
        let users = get("/spend/users", &ada).await;
        assert_eq!(users.json.as_array().map(Vec::len), Some(1), "{users}");
        assert_eq!(users.json[0]["user_id"], "ada");
        let keys = get("/spend/keys", &ada).await;
        assert_eq!(keys.json.as_array().map(Vec::len), Some(1), "{keys}");
    })
    .await;
}

#[tokio::test]
async fn administrators_of_a_team_read_its_calls_and_members_if_they_are_let() {
    each_database(async |app| {
        let (boss, worker) = (user(app, "boss").await, user(app, "worker").await);
        let body = json!({"team_id": "t", "members_with_roles": [
            {"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "worker"}]});
        app.post("/team/new", body).await;
        let of_team = |id: &str, user: &str| LedgerRow {
            user_id: Some(user.to_owned()),
            team_id: Some("t".to_owned()),
            ..call(id, "2026-11-21T10:00:00Z")
        };
        record(app, vec![of_team("1", "boss"), of_team("2", "worker")]).await;
        let get = async |path: &str, key: &str| app.get(path).with_key(key).await;
        let path = "/spend/logs?team_id=t";
        assert_eq!(ids(&get(path, &boss).await.json), ["2", "1"]);
        assert_eq!(ids(&get("/spend/logs", &boss).await.json), ["1"]);
        assert_eq!(get("/v1/receipts/2", &boss).await.status, 200);
        assert_eq!(ids(&get(path, &worker).await.json), ["2"]);
        assert_eq!(get("/v1/receipts/1", &worker).await.status, 404);
        let allow = json!({"team_id": "t", "team_member_permissions": ["/spend/logs"]});
        app.post("/team/permissions_update", allow).await;
        assert_eq!(ids(&get(path, &worker).await.json), ["2", "1"]);
        let days = "start_date=2026-11-21&end_date=2026-11-21";
        let activity = get(&format!("/team/daily/activity?team_ids=t&{days}"), &worker).await;
        assert_eq!(
            activity.json["metadata"]["total_api_requests"], 2,
            "{activity}"
        );
        let entity = &activity.json["results"][0]["breakdown"]["entities"]["t"];
        assert_eq!(entity["metrics"]["api_requests"], 2);
    })
    .await;
}

#[tokio::test]
async fn days_are_whole_and_included() {
    each_database(async |app| {
        record(
            app,
            vec![
                call("before", "2026-11-19T23:59:59.999Z"),
                call("first", "2026-11-20T00:00:00Z"),
                call("last", "2026-11-21T23:59:59.999Z"),
                call("after", "2026-11-22T00:00:00Z"),
            ],
        )
        .await;
        let range = "start_date=2026-11-20&end_date=2026-11-21";
        let rows = app
            .get(&format!("/spend/logs?{range}&summarize=false"))
            .await;
        assert_eq!(ids(&rows.json), ["last", "first"], "{rows}");
        let days = app.get(&format!("/spend/logs?{range}")).await;
        assert_eq!(days.json.as_array().map(Vec::len), Some(2), "{days}");
        assert_eq!(days.json[0]["startTime"], "2026-11-20");
        assert_eq!(days.json[0]["spend"], json!(0.000_075));
        assert_eq!(days.json[0]["users"], json!({"ada": 0.000_075}));
        assert_eq!(days.json[0]["models"], json!({"openai/gpt-4o": 0.000_075}));
        assert_eq!(days.json[0]["litellm_proxy_master_key"], json!(0.000_075));
        // only one end: rows
        let rows = app.get("/spend/logs?start_date=2026-11-22").await;
        assert_eq!(ids(&rows.json), ["after"]);
        let seconds = "start_date=2026-11-20%2000:00:00&end_date=2026-11-21%2023:59:59";
        let page = app.get(&format!("/spend/logs/v2?{seconds}")).await;
        assert_eq!(ids(&page.json["data"]), ["last", "first"], "{page}");
        for query in [
            "start_date=yesterday&end_date=2026-11-21",
            "start_date=2026-13-01&end_date=2026-11-21",
        ] {
            let refused = app.get(&format!("/spend/logs?{query}")).await;
            assert_eq!(refused.status, 400, "{refused}");
            assert_eq!(refused.json["error"]["param"], "start_date");
        }
    })
    .await;
}

#[tokio::test]
async fn rows_are_filtered_and_paged() {
    each_database(async |app| {
        let made = app
            .post(
                "/key/generate",
                json!({"key_alias": "own", "user_id": "ada"}),
            )
            .await;
        let (key, hash) = (made.text("/key"), made.text("/token"));
        assert_eq!(ask(app, &key, "nope-model").await.status, 400);
        let at = "2026-11-21T10:00:00Z";
        record(
            app,
            vec![
                call("1", at),
                LedgerRow {
                    cost: Some(Money(1_000_000_000)),
                    ..call("2", at)
                },
                LedgerRow {
                    user_id: Some("bob".to_owned()),
                    status: "upstream_error".to_owned(),
                    error_code: Some("timeout".to_owned()),
                    ..call("3", at)
                },
            ],
        )
        .await;
        for key in [&key, &hash] {
            let own = app.get(&format!("/spend/logs?api_key={key}")).await;
            assert_eq!(own.json.as_array().map(Vec::len), Some(1), "{own}");
            assert_eq!(own.json[0]["status"], "failure");
            assert_eq!(own.json[0]["api_key"], json!(hash));
            assert_eq!(own.json[0]["metadata"]["user_api_key_alias"], "own");
        }
        let nobodys = app.get("/spend/logs?api_key=sk-nobody-has-this-key").await;
        assert_eq!(nobodys.json, json!([]), "{nobodys}");
        let master = app
            .get("/spend/logs?api_key=litellm_proxy_master_key")
            .await;
        assert_eq!(ids(&master.json), ["3", "2", "1"], "{master}");
        let days = "start_date=2026-11-21&end_date=2026-11-21";
        let found = async |query: &str| {
            let page = app.get(&format!("/spend/logs/ui?{days}&{query}")).await;
            assert_eq!(page.status, 200, "{page}");
            ids(&page.json["data"]).join(" ")
        };
        assert_eq!(found("status_filter=success&user_id=ada").await, "2 1");
        assert_eq!(found("status_filter=failure&user_id=bob").await, "3");
        assert_eq!(found("error_code=timeout").await, "3");
        assert_eq!(found("min_spend=0.5").await, "2");
        assert_eq!(
            found("sort_by=spend&sort_order=desc&page_size=1").await,
            "2"
        );
        assert_eq!(found("key_alias=nobody").await, "");
        assert_eq!(found("page=2&page_size=2&model=openai").await, "");
        assert_eq!(found("page=2&page_size=2&model=gpt-4o").await, "1");
        let page = app
            .get(&format!("/spend/logs/v2?{days}&model=gpt-4o&page_size=2"))
            .await;
        assert_eq!(page.json["total"], 3, "{page}");
        assert_eq!(page.json["total_pages"], 2);
        assert_eq!(page.json["total_is_capped"], false);
        for (query, status) in [
            ("sort_by=beauty", 400),
            ("status_filter=maybe", 400),
            ("min_spend=abc", 422),
            ("page=0", 422),
        ] {
            let refused = app.get(&format!("/spend/logs/v2?{days}&{query}")).await;
            assert_eq!(refused.status, status, "{query}: {refused}");
        }
        for (query, count) in [("limit=2", 2), ("limit=2&page=2", 2), ("limit=3", 3)] {
            let rows = app.get(&format!("/spend/logs?{query}")).await;
            assert_eq!(rows.json.as_array().map(Vec::len), Some(count), "{rows}");
        }
        assert_eq!(app.get("/spend/logs?limit=100000").await.status, 422);
    })
    .await;
}

#[tokio::test]
async fn what_a_personal_key_paid_is_apart() {
    each_database(async |app| {
        let at = "2026-11-21T10:00:00Z";
        record(
            app,
            vec![
                call("1", at),
                LedgerRow {
                    paid_by: "personal".to_owned(),
                    ..call("2", at)
                },
                LedgerRow {
                    cost: None,
                    price_version: None,
                    ..call("3", at)
                },
            ],
        )
        .await;
        let rows = app.get("/spend/logs").await;
        assert_eq!(rows.json[0]["spend"], Value::Null, "unpriced is not free");
        assert_eq!(rows.json[1]["spend"], json!(0.0));
        assert_eq!(rows.json[1]["metadata"]["list_price"], json!(0.000_075));
        assert_eq!(rows.json[2]["spend"], json!(0.000_075));
        let days = "start_date=2026-11-21&end_date=2026-11-21";
        let sums = app.get(&format!("/spend/logs?{days}")).await;
        assert_eq!(sums.json[0]["spend"], json!(0.000_075), "{sums}");
        let unpriced = app.get("/v1/receipts/3").await;
        assert_eq!(unpriced.json["total"], Value::Null, "{unpriced}");
    })
    .await;
}

#[tokio::test]
async fn activity_is_summed_by_day_and_taken_apart() {
    each_database(async |app| {
        let key = user(app, "ada").await;
        record(
            app,
            vec![
                call("1", "2026-11-20T10:00:00Z"),
                call("2", "2026-11-21T10:00:00Z"),
                LedgerRow {
                    status: "upstream_error".to_owned(),
                    cost: Some(Money::ZERO),
                    user_id: Some("bob".to_owned()),
                    ..call("3", "2026-11-21T12:00:00Z")
                },
            ],
        )
        .await;
        let days = "start_date=2026-11-01&end_date=2026-11-30";
        let all = app.get(&format!("/user/daily/activity?{days}")).await;
        assert_eq!(all.json["results"][0]["date"], "2026-11-21", "{all}");
        let metrics = &all.json["results"][0]["metrics"];
        assert_eq!(metrics["api_requests"], 2);
        assert_eq!(metrics["failed_requests"], 1);
        assert_eq!(metrics["total_response_time_ms"], 250);
        assert_eq!(all.json["metadata"]["total_spend"], json!(0.000_15));
        let model = &all.json["results"][0]["breakdown"]["models"]["openai/gpt-4o"];
        assert_eq!(model["metrics"]["total_tokens"], 30);
        let of_key = &model["api_key_breakdown"]["litellm_proxy_master_key"];
        assert_eq!(of_key["metadata"]["key_exists"], false);
        let own = app
            .get(&format!("/user/daily/activity?{days}"))
            .with_key(&key)
            .await;
        assert_eq!(own.json["metadata"]["total_api_requests"], 2, "{own}");
        let denied = app
            .get(&format!("/user/daily/activity?{days}&user_id=bob"))
            .with_key(&key)
            .await;
        assert_eq!(denied.status, 403, "{denied}");
        let page = app
            .get(&format!("/user/daily/activity?{days}&page=2&page_size=1"))
            .await;
        assert_eq!(page.json["results"][0]["date"], "2026-11-20", "{page}");
        assert_eq!(page.json["metadata"]["total_pages"], 2);
        assert_eq!(page.json["metadata"]["has_more"], false);
    })
    .await;
}

#[tokio::test]
async fn costs_are_calculated_as_they_are_billed() {
    each_database(async |app| {
        let calculate = async |body: Value| app.post("/spend/calculate", body).await;
        let messages = json!([{"role": "user", "content": "hi"}]);
        let cost = calculate(json!({"model": "gpt-4o", "messages": messages})).await;
        assert_eq!(cost.json, json!({"cost": 2e-05}), "{cost}");
        let answer = json!({
            "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hey"},
                "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        });
        let cost = calculate(json!({"completion_response": answer})).await;
        assert_eq!(cost.json, json!({"cost": 7.5e-05}), "{cost}");
        for body in [
            json!({}),
            json!({"model": "gpt-4o"}),
            json!({"model": "nobody-knows-this", "messages": messages}),
            json!({"completion_response": {}}),
            json!({"completion_response": {"model": "gpt-4o"}}),
        ] {
            let refused = calculate(body.clone()).await;
            assert_eq!(refused.status, 400, "{body}: {refused}");
        }
        let wrong = calculate(json!({"messages": "hi"})).await;
        assert_eq!(wrong.status, 422, "{wrong}");
    })
    .await;
}

#[tokio::test]
async fn answers_agree_with_the_recorded_ones() {
    each_database(async |app| {
        // the recording's users, keys and calls
        let body = json!({"user_id": "ku1", "user_email": "ku1@example.com", "key_alias": "mine"});
        let ku1 = app.post("/user/new", body).await.text("/key");
        let body = json!({"members_with_roles": [{"role": "user", "user_id": "ku1"}]});
        app.post("/team/new", body).await;
        let key = |body: Value| app.post("/key/generate", body);
        let streaming = key(json!({"key_alias": "streamspend"})).await.text("/key");
        let tagged = key(json!({"key_alias": "tagk"})).await.text("/key");
        for key in [&ku1, &ku1, &streaming, &tagged] {
            let body = json!({"model": "gpt-4o", "user": "cust1", "metadata": {"tags": ["a"]},
                "messages": [{"role": "user", "content": "hi"}]});
            let answer = app.post("/v1/chat/completions", body).with_key(key).await;
            assert_eq!(answer.status, 200, "{answer}");
        }
        let failed = LedgerRow {
            status: "upstream_error".to_owned(),
            error_code: Some("upstream_error".to_owned()),
            error_message: Some("no".to_owned()),
            ..call(
                "e51f34f2-8df2-40ba-8432-035da92a9d75",
                "2026-11-21T10:00:00Z",
            )
        };
        record(app, vec![failed]).await;
        let replace = [
            ("sk-iMF1xTriq5eHbaHvvr1GTA", streaming.as_str()),
            ("sk-FAYs62kVp0UKo5RJGBKnPQ", tagged.as_str()),
        ];
        for (name, key) in [
            ("spend_logs", None),
            ("spend_logs_by_key", None),
            ("spend_logs_tags", None),
            ("spend_logs_user", None),
            ("spend_logs_internal", Some(&ku1)),
            ("spend_logs_request_id", None),
            ("spend_logs_dates", None),
            ("spend_logs_dates_raw", None),
            ("spend_logs_ui", None),
            ("spend_logs_ui_detail", None),
            ("spend_logs_ui_nodates", None),
            ("spend_logs_v2", None),
            ("spend_calculate", None),
            ("spend_calculate_resp", None),
            ("spend_calculate_bad", None),
            ("spend_keys", None),
            ("spend_users", None),
            ("spend_tags", None),
            ("user_daily_activity", None),
            ("user_daily_activity_filled", None),
            ("user_daily_activity_aggregated", None),
            ("user_daily_activity_nodates", None),
            ("team_daily_activity", None),
            ("global_spend", None),
            ("global_spend_internal", Some(&ku1)),
            ("global_spend_logs", None),
            ("global_spend_keys", None),
            ("global_spend_models", None),
            ("global_spend_teams", None),
            ("global_spend_end_users", None),
            ("global_spend_provider", None),
            ("global_spend_tags", None),
            ("global_spend_all_tag_names", None),
            ("global_activity", None),
            ("global_activity_model", None),
        ] {
            let Some(golden) = Golden::load(name) else {
                return;
            };
            let call = golden.call(app, &replace);
            let answer = match key {
                Some(key) => call.with_key(key).await,
                None => call.await,
            };
            golden.compare(&answer);
        }
    })
    .await;
}
