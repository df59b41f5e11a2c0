//! The `/v2` API: accounts, chats and their conversations, usage and keys, with the statuses and texts that
//! its clients know.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testkit::Reply;

use crate::app::{Answer, Call, Setup, TestApp, each_database};
use crate::sign_in::{PASSWORD, member};

/// Signs in as the guide does; gives the answer.
pub async fn sign_in(app: &TestApp, email: &str, password: &str) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("username", email)
        .append_pair("password", password)
        .finish();
    app.call(Method::POST, "/v2/login/access-token", None)
        .without_key()
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .await
}

/// A new user who has signed in; gives their token.
pub async fn person(app: &TestApp, email: &str) -> String {
    member(app, email).await;
    let answer = sign_in(app, email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.text("/token_type"), "bearer");
    answer.text("/access_token")
}

fn chat(model: &str) -> Value {
    json!({"model_id": model, "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": 1024, "temperature": 0.7})
}

async fn say(app: &TestApp, token: &str, body: Value) -> Answer {
    app.post("/v2/llm/chat/completions", body)
        .with_key(token)
        .await
}

fn told(answer: &Answer, status: u16, detail: &str) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(answer.json["detail"], detail, "{answer}");
}

#[tokio::test]
async fn signing_in_takes_a_form_and_says_what_is_wrong() {
    each_database(async |app| {
        let token = person(app, "ada@example.com").await;
        let me = app.get("/v2/users/me").with_key(&token).await;
        assert_eq!(me.status, 200, "{me}");
        let names: Vec<&String> = me.json.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "email",
                "is_active",
                "is_superuser",
                "full_name",
                "has_subscription",
                "is_trial",
                "is_deactivated",
                "stripe_customer_id",
                "id",
                "created_at",
                "signup_ip",
                "tos_accepted_at",
                "email_verified_at"
            ]
        );
        assert_eq!(me.json["email"], "ada@example.com");
        let upper = sign_in(app, "ADA@example.com", PASSWORD).await;
        assert_eq!(upper.status, 200, "{upper}");
        let test = app.post("/v2/login/test-token", json!({})).with_key(&token);
        assert_eq!(test.await.json, me.json);

        let wrong = sign_in(app, "ada@example.com", "not this one").await;
        told(&wrong, 400, "Incorrect email or password");
        let nobody = sign_in(app, "nobody@example.com", PASSWORD).await;
        told(&nobody, 400, "Incorrect email or password");
        let as_json = json!({"username": "ada@example.com", "password": PASSWORD});
        let as_json = app
            .post("/v2/login/access-token", as_json)
            .without_key()
            .await;
        assert_eq!(as_json.status, 422, "{as_json}");
        assert_eq!(
            as_json.json["detail"][0]["loc"],
            json!(["body", "username"])
        );
        assert_eq!(as_json.json["detail"][1]["type"], "missing");
        let grant = app
            .call(Method::POST, "/v2/login/access-token", None)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("username=a&password=b&grant_type=client_credentials");
        let grant = grant.without_key().await;
        assert_eq!(
            grant.json["detail"][0]["type"], "string_pattern_mismatch",
            "{grant}"
        );

        // LiteLLM's own sign-in is another, and stays
        let other = crate::sign_in::login(app, "ada@example.com", PASSWORD).await;
        assert_eq!(other.status, 200, "{other}");
        let id = me.text("/id");
        let block = json!({"user_id": id, "blocked": true});
        assert_eq!(app.post("/user/update", block).await.status, 200);
        let inactive = sign_in(app, "ada@example.com", PASSWORD).await;
        assert_eq!(inactive.status, 400, "{inactive}");
        assert!(
            inactive
                .text("/detail")
                .starts_with("Your account is inactive.")
        );
        let gone = app.get("/v2/users/me").with_key(&token).await;
        assert!(matches!(gone.status, 400 | 403), "{gone}");
    })
    .await;
}

#[tokio::test]
async fn refusals_are_in_this_api_s_words() {
    let app = Setup::default().start().await;
    let none = app.get("/v2/users/me").without_key().await;
    told(&none, 401, "Not authenticated");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let basic = app
        .get("/v2/users/me")
        .without_key()
        .header("authorization", "Basic dTpw");
    told(&basic.await, 401, "Not authenticated");
    for key in ["nonsense", "eyJhbGciOiJIUzI1NiJ9.e30.x", "sk-tgs-unknown"] {
        let answer = app.get("/v2/users/me").with_key(key).await;
        told(&answer, 403, "Could not validate credentials");
    }
    let unknown = app
        .get("/v2/users/me")
        .with_key("sk-of-nobody-at-all")
        .await;
    told(&unknown, 403, "Invalid API key");
    told(
        &say(&app, "sk-of-nobody-at-all", json!({})).await,
        403,
        "Invalid API key",
    );
    told(
        &app.get("/v2/users/me/nothing/there").await,
        404,
        "Not Found",
    );
    let method = app.post("/v2/users/me", json!({})).await;
    told(&method, 405, "Method Not Allowed");
    assert!(
        method.header("allow").contains("PATCH"),
        "{}",
        method.header("allow")
    );
    let token = person(&app, "ada@example.com").await;
    let users = app.get("/v2/users/").with_key(&token).await;
    told(&users, 403, "The user doesn't have enough privileges");
    let keys = app.get("/v2/admin/llm-keys/").with_key(&token).await;
    told(&keys, 403, "Superuser access required");
    for path in [
        "/v2/users/?skip=-1",
        "/v2/conversations?limit=-3",
        "/v2/llm-models/?skip=x",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 422, "{path}: {answer}");
        assert!(answer.json["detail"][0]["loc"][0] == "query", "{answer}");
    }
    // and the slash at the end means nothing
    for path in [
        "/v2/users",
        "/v2/users/",
        "/v2/users/me",
        "/v2/users/me/",
        "/v2/llm-models/",
        "/v2/llm-models",
        "/v2/conversations/",
        "/v2/api-keys/",
        "/v2/admin/llm-keys/",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer}");
    }
}

#[tokio::test]
async fn an_account_is_changed_by_its_owner_who_has_signed_in() {
    each_database(async |app| {
        let token = person(app, "ada@example.com").await;
        let patch = |body: Value| {
            app.call(Method::PATCH, "/v2/users/me", Some(body))
                .with_key(&token)
        };
        let named = patch(json!({"full_name": "Ada", "unknown": 1})).await;
        assert_eq!(named.json["full_name"], "Ada", "{named}");
        let moved = patch(json!({"email": "countess@example.com"})).await;
        assert_eq!(moved.status, 400, "without the password: {moved}");
        let body = json!({"email": "countess@example.com", "current_password": "wrong one"});
        told(&patch(body).await, 400, "Incorrect password");
        member(app, "bob@example.com").await;
        let body = json!({"email": "BOB@example.com", "current_password": PASSWORD});
        told(
            &patch(body).await,
            409,
            "User with this email already exists",
        );
        let body = json!({"email": "countess@example.com", "current_password": PASSWORD});
        assert_eq!(patch(body).await.json["email"], "countess@example.com");

        let made = app
            .post("/v2/api-keys/", json!({"name": "CI"}))
            .with_key(&token)
            .await;
        assert_eq!(made.status, 200, "{made}");
        let key = made.text("/full_key");
        for (method, path) in [
            (Method::PATCH, "/v2/users/me"),
            (Method::DELETE, "/v2/users/me"),
            (Method::PATCH, "/v2/users/me/password"),
            (Method::PATCH, "/v2/users/me/api-key"),
            (Method::DELETE, "/v2/users/me/api-key"),
            (Method::POST, "/v2/api-keys/"),
        ] {
            let body = json!({"name": "x", "current_password": PASSWORD, "new_password": PASSWORD});
            let answer = app
                .call(method.clone(), path, Some(body))
                .with_key(&key)
                .await;
            assert_eq!(answer.status, 403, "{method} {path}: {answer}");
        }

        let change = |current: &str, new: &str| {
            let body = json!({"current_password": current, "new_password": new});
            app.call(Method::PATCH, "/v2/users/me/password", Some(body))
                .with_key(&token)
        };
        told(
            &change("wrong one", "An0ther-Passw0rd!").await,
            400,
            "Incorrect password",
        );
        let same = "New password cannot be the same as the current one";
        told(&change(PASSWORD, PASSWORD).await, 400, same);
        let short = change(PASSWORD, "short").await;
        assert_eq!(
            short.json["detail"][0]["type"], "string_too_short",
            "{short}"
        );
        assert!(!short.to_string().contains("\"short\""), "{short}");
        let changed = change(PASSWORD, "An0ther-Passw0rd!").await;
        assert_eq!(
            changed.json["message"], "Password updated successfully",
            "{changed}"
        );
        let over = app.get("/v2/users/me").with_key(&token).await;
        told(&over, 403, "Could not validate credentials");

        let again = sign_in(app, "countess@example.com", "An0ther-Passw0rd!").await;
        let token = again.text("/access_token");
        let gone = app
            .call(Method::DELETE, "/v2/users/me", None)
            .with_key(&token)
            .await;
        assert_eq!(gone.json["message"], "User deleted successfully", "{gone}");
        told(
            &app.get("/v2/users/me").with_key(&key).await,
            403,
            "Invalid API key",
        );
    })
    .await;
}

#[tokio::test]
async fn administrators_keep_accounts() {
    each_database(async |app| {
        let body = json!({"email": "New@Example.com", "password": PASSWORD, "full_name": "New"});
        let made = app.post("/v2/users/", body.clone()).await;
        assert_eq!(made.status, 200, "{made}");
        assert_eq!(made.json["email"], "new@example.com");
        let twin = "The user with this email already exists in the system.";
        told(&app.post("/v2/users/", body).await, 400, twin);
        let weak = json!({"email": "weak@example.com", "password": "password"});
        assert_eq!(app.post("/v2/users/", weak).await.status, 400);
        let answer = sign_in(app, "new@example.com", PASSWORD).await;
        let token = answer.text("/access_token");
        let id = made.text("/id");
        let path = format!("/v2/users/{id}");
        let own = app.get(&path).with_key(&token).await;
        assert_eq!(own.status, 200, "{own}");
        let other = member(app, "other@example.com").await;
        let other = app
            .get(&format!("/v2/users/{other}"))
            .with_key(&token)
            .await;
        told(&other, 403, "Accounts of others are for administrators");
        let nobody = "The user with this id does not exist in the system";
        told(&app.get("/v2/users/nobody").await, 404, nobody);
        let list = app.get("/v2/users/?limit=1").await;
        assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
        assert_eq!(list.json["count"], 2, "{list}");
        let patch = |body: Value| app.call(Method::PATCH, &path, Some(body));
        let taken = patch(json!({"email": "other@example.com"})).await;
        told(&taken, 409, "User with this email already exists");
        let admin = patch(json!({"is_superuser": true})).await;
        assert_eq!(admin.json["is_superuser"], true, "{admin}");
        let plain = patch(json!({"is_superuser": false, "is_active": false})).await;
        assert_eq!(
            (&plain.json["is_superuser"], &plain.json["is_active"]),
            (&json!(false), &json!(false))
        );
        let gone = app.call(Method::DELETE, &path, None).await;
        assert_eq!(gone.json["message"], "User deleted successfully");
        told(
            &app.call(Method::DELETE, &path, None).await,
            404,
            "User not found",
        );
    })
    .await;
}

#[tokio::test]
async fn a_chat_is_answered_kept_and_counted() {
    each_database(async |app| {
        let token = person(app, "ada@example.com").await;
        let models = app
            .get("/v2/llm-models/?is_active=true&q=gpt-4o")
            .with_key(&token)
            .await;
        assert_eq!(models.status, 200, "{models}");
        let rows = models.json["data"].as_array().unwrap();
        let model = rows.iter().find(|row| row["name"] == "gpt-4o").unwrap();
        assert!(
            rows.iter()
                .all(|row| row["is_active"] == true && row["provider"] == "openai")
        );
        assert_eq!(model["key_source"], "system");
        assert_eq!(
            (&model["input_token_price"], &model["output_token_price"]),
            (&json!(2.5), &json!(10.0))
        );
        app.provider
            .reply(Reply::text(["Hel", "lo"]).usage(1000, 500));
        let answer = say(app, &token, chat(model["id"].as_str().unwrap())).await;
        assert_eq!(answer.status, 200, "{answer}");
        let names: Vec<&String> = answer.json.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "id",
                "conversation_id",
                "message_id",
                "content",
                "model",
                "input_tokens",
                "output_tokens",
                "cost",
                "key_source"
            ]
        );
        assert_eq!(answer.json["content"], "Hello");
        assert_eq!(answer.json["model"], "gpt-4o");
        assert_eq!(answer.json["cost"], json!(0.0075), "{answer}");
        let sent: Value =
            serde_json::from_slice(&app.provider.requests().last().unwrap().body).unwrap();
        assert_eq!(
            (&sent["max_completion_tokens"], &sent["temperature"]),
            (&json!(1024), &json!(0.7))
        );

        let id = answer.text("/conversation_id");
        let mut more = chat("gpt-4o");
        more["conversation_id"] = json!(id);
        let second = say(app, &token, more).await;
        assert_eq!(second.json["conversation_id"], json!(id), "{second}");
        let said = app
            .get(&format!("/v2/conversations/{id}/messages"))
            .with_key(&token)
            .await;
        assert_eq!(said.json["count"], 4, "{said}");
        let roles: Vec<&str> = said.json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["role"].as_str().unwrap())
            .collect();
        assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
        assert_eq!(said.json["data"][1]["cost"], json!(0.0075));
        assert_eq!(said.json["data"][1]["id"], answer.json["message_id"]);

        let usage = app
            .get("/v2/billing/usage/my-usage?days=30")
            .with_key(&token)
            .await;
        assert_eq!(usage.json["total_requests"], 2, "{usage}");
        assert_eq!(usage.json["user_email"], "ada@example.com");
        assert_eq!(usage.json["by_source"][0]["source"], "playground");
        assert_eq!(usage.json["by_key_source"][0]["key_source"], "system");
        assert_eq!(usage.json["models_used"], json!(["GPT-4o"]));
    })
    .await;
}

/// The events of a streamed answer.
async fn events(call: Call<'_>) -> (u16, String, Vec<Value>) {
    let answer = call.send().await;
    let status = answer.status().as_u16();
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        !text.contains("[DONE]") && !text.contains("event:"),
        "{text}"
    );
    let events = text
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| {
            let data = event.strip_prefix("data: ").unwrap();
            assert!(data.contains("\": "), "spaces as Python has them: {data}");
            serde_json::from_str(data).unwrap()
        });
    (status, kind, events.collect())
}

#[tokio::test]
async fn a_streamed_chat_ends_with_its_cost_and_is_kept() {
    each_database(async |app| {
        let token = person(app, "ada@example.com").await;
        let stream = |model: &str| {
            app.post("/v2/llm/chat/completions/stream", chat(model))
                .with_key(&token)
        };
        app.provider
            .reply(Reply::text(["Hel", "lo"]).usage(1000, 500));
        let (status, kind, events) = self::events(stream("gpt-4o")).await;
        assert_eq!(
            (status, kind.as_str()),
            (200, "text/event-stream; charset=utf-8")
        );
        let text: String = events
            .iter()
            .filter_map(|event| event["content"].as_str())
            .collect();
        assert_eq!(text, "Hello");
        let last = events.last().unwrap();
        assert_eq!(
            (&last["done"], &last["cost"]),
            (&json!(true), &json!(0.0075)),
            "{last}"
        );
        assert_eq!(last["key_source"], "system");
        assert!(events.iter().all(|event| event["id"] == last["id"]));
        let id = last["conversation_id"].as_str().unwrap();
        let said = app
            .get(&format!("/v2/conversations/{id}/messages"))
            .with_key(&token)
            .await;
        assert_eq!(said.json["data"][1]["content"], "Hello", "{said}");

        // a mock's answer is whole, and streamed all the same
        let (_, _, events) = self::events(stream("mock-model")).await;
        let text: String = events
            .iter()
            .filter_map(|event| event["content"].as_str())
            .collect();
        assert_eq!(text, "This is a mock");

        app.provider
            .reply(Reply::text(["Hel", "lo", "!"]).cut_after_chunks(1));
        let (status, _, events) = self::events(stream("gpt-4o")).await;
        let last = events.last().unwrap();
        assert_eq!((status, &last["done"]), (200, &json!(true)));
        assert!(
            last["error"]
                .as_str()
                .unwrap()
                .starts_with("LLM API error: "),
            "{last}"
        );
        assert_eq!(
            (&last["status"], &last["code"]),
            (&json!(502), &json!("upstream_error"))
        );
        let list = app.get("/v2/conversations").with_key(&token).await;
        assert_eq!(
            list.json["count"], 2,
            "nothing is kept of what failed: {list}"
        );

        app.provider
            .reply(Reply::error(429, "rate_limit", "slow down"));
        let refused = app
            .post("/v2/llm/chat/completions/stream", chat("gpt-4o"))
            .with_key(&token)
            .await;
        assert_eq!(refused.status, 429, "{refused}");
        assert!(refused.text("/detail").starts_with("LLM API error: "));
    })
    .await;
}

#[tokio::test]
async fn chats_fail_with_honest_statuses_and_leave_no_conversation() {
    let app = Setup::default().start().await;
    let token = person(&app, "ada@example.com").await;
    told(
        &say(&app, &token, chat("no-such-model")).await,
        404,
        "Model not found: no-such-model",
    );
    let mut body = chat("gpt-4o");
    body["conversation_id"] = json!("564e8710-43a9-406f-b0ab-e8d651a33e82");
    told(
        &say(&app, &token, body).await,
        404,
        "Conversation not found",
    );
    let no_key = say(&app, &token, chat("claude-sonnet-4-5")).await;
    let text = "No API key configured for anthropic. Please set your API key in settings.";
    told(&no_key, 400, text);
    for (status, ours, code) in [
        (401, 400, "provider_key_rejected"),
        (403, 400, "provider_key_rejected"),
        (400, 400, "invalid_request"),
        (404, 400, "invalid_request"),
        (429, 429, "rate_limited"),
        (500, 502, "upstream_error"),
    ] {
        app.provider.reply(Reply::error(
            status,
            "kind",
            "it quotes sk-the-provider-s-own-3b1f7c",
        ));
        let answer = say(&app, &token, chat("gpt-4o")).await;
        assert_eq!(answer.status, ours, "{status}: {answer}");
        assert_eq!(answer.json["code"], code, "{answer}");
        let detail = answer.text("/detail");
        assert!(
            detail.starts_with("LLM API error: ") && !detail.contains("sk-the-provider"),
            "{answer}"
        );
    }
    let broken = say(&app, &token, chat("broken-upstream")).await;
    assert_eq!(broken.status, 502, "{broken}");
    for body in [
        json!({}),
        json!({"model_id": "gpt-4o", "messages": []}),
        json!([]),
    ] {
        let answer = say(&app, &token, body.clone()).await;
        assert_eq!(answer.status, 422, "{body}: {answer}");
        assert!(answer.json["detail"][0]["loc"].is_array(), "{answer}");
    }
    let list = app.get("/v2/conversations").with_key(&token).await;
    assert_eq!(list.json["count"], 0, "{list}");
    let poor = json!({"user_id": app.get("/v2/users/me").with_key(&token).await.text("/id"), "max_budget": 0});
    assert_eq!(app.post("/user/update", poor).await.status, 200);
    let poor = say(&app, &token, chat("gpt-4o")).await;
    assert_eq!(
        (poor.status, &poor.json["code"]),
        (403, &json!("budget_exceeded")),
        "{poor}"
    );
    let nobodys = app.post("/key/generate", json!({})).await.text("/key");
    let nobodys = say(&app, &nobodys, chat("gpt-4o")).await;
    assert_eq!(nobodys.status, 403, "{nobodys}");
}

#[tokio::test]
async fn conversations_are_their_owners_alone() {
    each_database(async |app| {
        let ada = person(app, "ada@example.com").await;
        let bob = person(app, "bob@example.com").await;
        let made = app
            .post("/v2/conversations/", json!({"title": "Plans"}))
            .with_key(&ada)
            .await;
        assert_eq!(made.status, 200, "{made}");
        let path = format!("/v2/conversations/{}", made.text("/id"));
        for stranger in [bob.as_str(), crate::app::MASTER_KEY] {
            for (method, path) in [
                (Method::GET, path.clone()),
                (Method::PUT, path.clone()),
                (Method::DELETE, path.clone()),
                (Method::GET, format!("{path}/messages")),
            ] {
                let answer = app
                    .call(method, &path, Some(json!({"title": "mine"})))
                    .with_key(stranger);
                told(&answer.await, 404, "Conversation not found");
            }
            let mut body = chat("gpt-4o");
            body["conversation_id"] = made.json["id"].clone();
            told(
                &say(app, stranger, body).await,
                404,
                "Conversation not found",
            );
        }
        let put = |body: Value| app.call(Method::PUT, &path, Some(body)).with_key(&ada);
        assert_eq!(
            put(json!({"title": "Better"})).await.json["title"],
            "Better"
        );
        assert_eq!(put(json!({"title": null})).await.json["title"], "Better");
        assert_eq!(put(json!({"title": "x".repeat(256)})).await.status, 422);
        assert_eq!(
            app.get("/v2/conversations/no-uuid")
                .with_key(&ada)
                .await
                .status,
            422
        );
        let mut body = chat("gpt-4o");
        body["conversation_id"] = made.json["id"].clone();
        assert_eq!(say(app, &ada, body).await.status, 200);
        let deleted = app.call(Method::DELETE, &path, None).with_key(&ada).await;
        assert_eq!(deleted.json, json!({"ok": true}), "{deleted}");
        told(
            &app.get(&path).with_key(&ada).await,
            404,
            "Conversation not found",
        );
        let usage = app.get("/v2/billing/usage/my-usage").with_key(&ada).await;
        assert_eq!(
            usage.json["total_requests"], 1,
            "usage outlives it: {usage}"
        );
        let csv = app.get("/v2/billing/usage/export-csv").await;
        assert!(
            csv.to_string().contains(made.json["id"].as_str().unwrap()),
            "{csv}"
        );
    })
    .await;
}
