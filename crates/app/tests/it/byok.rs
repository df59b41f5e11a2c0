//! Whose key pays a call: the caller's own, their team's, their organization's or the gateway's, in every
//! protocol; what they are told when theirs does not do; and that nobody ever pays for somebody else.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{Millis, Secret};
use domain::provider_keys::{self, Fallback, New, Owner, Policy, State};
use domain::sessions::Session;
use domain::{Actor, Caller, Role};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use testkit::Reply;
use testkit::provider::Received;
use testkit::websocket::connect;

use crate::app::{Setup, TestApp};

/// A gateway without a list of models, whose environment puts the fake provider in the place of the real.
fn replaced() -> Setup {
    Setup::default()
        .config("")
        .variable("ANTHROPIC_BASE_URL", "PROVIDER")
        .variable("OPENAI_BASE_URL", "PROVIDER")
}

fn allowing() -> Setup {
    replaced().variable("TOLLGATE_BYOK_CUSTOM_HOSTS", "allow")
}

/// Somebody who has signed in.
fn signed_in(user: &str) -> Actor {
    let caller = Caller {
        role: Some(Role::InternalUser),
        user_id: Some(user.to_owned()),
        session: Some(Session {
            id: "session".to_owned(),
            method: "password".to_owned(),
            valid_until: Millis(i64::MAX),
            read_at: Millis(0),
            rotates_at: None,
        }),
        ..Caller::default()
    };
    Actor {
        caller: Arc::new(caller),
        ..Actor::system()
    }
}

/// Stores a key with what a test wants to be different; gives its id.
async fn store_key(
    app: &TestApp,
    owner: Owner<'_>,
    provider: &str,
    key: &str,
    change: impl FnOnce(&mut New<'_>),
) -> String {
    let actor = match owner {
        Owner::User(id) => signed_in(id),
        _ => Actor::system(),
    };
    let provider = provider_keys::provider_named(provider).unwrap();
    let mut new = New::plain(owner, provider, Secret::new(key));
    change(&mut new);
    let made = provider_keys::create(app.domain(), &actor, new).await;
    made.unwrap().id
}

async fn plain_key(app: &TestApp, owner: Owner<'_>, provider: &str, key: &str) -> String {
    store_key(app, owner, provider, key, |_| {}).await
}

/// A user, and a virtual key of theirs.
async fn user(app: &TestApp, id: &str) -> String {
    let made = app.post("/user/new", json!({"user_id": id})).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

async fn policy(app: &TestApp, policy: Policy) {
    let anthropic = provider_keys::provider_named("anthropic").unwrap();
    let changes = [(anthropic, Some(policy))];
    provider_keys::set_policies(app.domain(), &Actor::system(), &changes)
        .await
        .unwrap();
}

const CLAUDE: &str = "anthropic/claude-sonnet-4-5";

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
}

fn messages(model: &str) -> Value {
    json!({"model": model, "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello!"}]})
}

fn anthropic_answer() -> Reply {
    Reply::json(&json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Hi there"}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 1000, "output_tokens": 500},
    }))
}

/// The key with which a provider was asked, in whatever header.
fn key_of(asked: &Received) -> String {
    let bearer = asked.header("authorization").strip_prefix("Bearer ");
    match bearer {
        Some(key) => key.to_owned(),
        None => asked.header("x-api-key").to_owned(),
    }
}

/// Answers as the provider that a request is meant for does.
fn answers(asked: &Received) -> Reply {
    match asked.path.contains("/messages") {
        true => anthropic_answer(),
        false => Reply::plausible(),
    }
}

#[tokio::test]
async fn whoever_brings_a_key_pays_with_it_in_every_protocol() {
    allowing()
        .each_database(async |app| {
            app.provider.otherwise(answers);
            let ada = user(app, "ada").await;
            let bob = user(app, "bob").await;
            let claude = plain_key(app, Owner::User("ada"), "anthropic", "sk-ant-ada-1").await;
            let gpt = plain_key(app, Owner::User("ada"), "openai", "sk-proj-ada-2").await;
            let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]});
            for (path, body, key) in [
                ("/v1/chat/completions", chat(CLAUDE), "sk-ant-ada-1"),
                (
                    "/v1/chat/completions",
                    chat("claude-sonnet-4-5"),
                    "sk-ant-ada-1",
                ),
                ("/v1/messages", messages(CLAUDE), "sk-ant-ada-1"),
                ("/v1/chat/completions", chat("gpt-4o"), "sk-proj-ada-2"),
                ("/v1/messages", messages("openai/gpt-4o"), "sk-proj-ada-2"),
                (
                    "/v1/responses",
                    json!({"model": CLAUDE, "input": "Hello!"}),
                    "sk-ant-ada-1",
                ),
                (
                    "/v1beta/models/claude-sonnet-4-5:generateContent",
                    gemini,
                    "sk-ant-ada-1",
                ),
                (
                    "/anthropic/v1/messages",
                    messages("claude-sonnet-4-5"),
                    "sk-ant-ada-1",
                ),
            ] {
                let answer = app.post(path, body.clone()).with_key(&ada).await;
                assert_eq!(answer.status, 200, "{path} {answer}");
                assert_eq!(key_of(&app.provider.last_request()), key, "{path} {body}");
                assert_eq!(answer.header("x-tollgate-paid-by"), "personal", "{path}");
                let id = if key == "sk-ant-ada-1" { &claude } else { &gpt };
                assert_eq!(answer.header("x-tollgate-provider-key-id"), id, "{path}");
                let row = app.row(&answer).await;
                assert_eq!(row.paid_by, "personal");
                assert_eq!(row.credential_id.as_deref(), Some(id.as_str()));
                let asked = app.provider.requests().len();
                let refused = app.post(path, body).with_key(&bob).await;
                assert!((400..500).contains(&refused.status), "{path} {refused}");
                assert_eq!(app.provider.requests().len(), asked, "{path}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_key_opens_its_provider_to_its_owner_alone() {
    const SONAR: &str = "perplexity/sonar";
    Setup::default()
        .config("")
        .each_database(async |app| {
            let ada = user(app, "ada").await;
            let bob = user(app, "bob").await;
            let lists = async |key: &str, model: &str| -> bool {
                let listed = app.get("/v1/models").with_key(key).await;
                let models = listed.json["data"].as_array().unwrap();
                models.iter().any(|listed| listed["id"] == model)
            };
            assert!(!lists(&ada, SONAR).await);
            plain_key(app, Owner::User("ada"), "perplexity", "pplx-ada").await;
            assert!(lists(&ada, SONAR).await);
            assert!(!lists(&bob, SONAR).await);
            let limited = json!({"user_id": "ada", "models": ["openai/*"]});
            let limited = app.post("/key/generate", limited).await.text("/key");
            assert!(!lists(&limited, SONAR).await);
            assert!(lists(&ada, "demo").await);
            let unknown = app.post("/v1/chat/completions", chat(SONAR));
            assert_eq!(unknown.with_key(&bob).await.status, 400);
        })
        .await;
}

#[tokio::test]
async fn what_somebody_pays_themselves_is_told_apart_everywhere() {
    allowing()
        .each_database(async |app| {
            app.provider.otherwise(answers);
            let ada = user(app, "ada").await;
            let id = plain_key(app, Owner::User("ada"), "anthropic", "sk-ant-ada-1").await;
            let key = async |include_byok: bool| {
                let body = json!({"user_id": "ada", "max_budget": 0.000001,
                    "include_byok": include_byok});
                app.post("/key/generate", body).await.text("/key")
            };
            let limited = key(false).await;
            for _ in 0..2 {
                // the budget holds the gateway's money, not ada's
                let answer = app
                    .post("/v1/messages", messages(CLAUDE))
                    .with_key(&limited)
                    .await;
                assert_eq!(answer.status, 200, "{answer}");
                assert_eq!(answer.header("x-litellm-response-cost"), "0.0105");
                assert_eq!(answer.header("x-litellm-key-spend"), "0");
            }
            // unless it says that it holds both
            let strict = key(true).await;
            for expected in [200, 422] {
                let call = app.post("/v1/messages", messages(CLAUDE));
                let answer = call.with_key(&strict).await;
                assert_eq!(answer.status, expected, "{answer}");
            }
            let answer = app
                .post("/v1/messages", messages(CLAUDE))
                .with_key(&ada)
                .await;
            let call = answer.header("x-litellm-call-id").to_owned();
            app.domain().ledger.flush().await.unwrap();
            let receipt = app.get(&format!("/v1/receipts/{call}")).await;
            assert_eq!(receipt.text("/paid_by/kind"), "personal", "{receipt}");
            assert_eq!(receipt.text("/paid_by/credential_id"), id);
            let log = app.get(&format!("/spend/logs?request_id={call}")).await;
            assert_eq!(log.json[0]["spend"].as_f64(), Some(0.0), "{log}");
            assert_eq!(
                log.json[0]["metadata"]["list_price"],
                json!(0.0105),
                "{log}"
            );
            let info = app.get("/user/info?user_id=ada").await;
            assert_eq!(
                info.json["user_info"]["spend"].as_f64(),
                Some(0.0),
                "{info}"
            );
        })
        .await;
}

#[tokio::test]
async fn each_calls_with_their_own_key_however_many_call_at_once() {
    const USERS: usize = 40;
    const CALLS: usize = 10_000;
    allowing()
        .variable("OPENAI_API_KEY", "sk-of-the-environment")
        .each_database(async |app| {
            let wrong = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&wrong);
            // the model of each call says who makes it, and so which key belongs to it
            app.provider.otherwise(move |asked| {
                if asked.body.is_empty() {
                    // what it thinks of a key that is stored
                    return Reply::plausible();
                }
                let model = asked.json()["model"].as_str().unwrap().to_owned();
                let expected = match model.strip_prefix("of-") {
                    Some(owner) if asked.path.contains("/messages") => format!("sk-ant-{owner}"),
                    Some(owner) => format!("sk-proj-{owner}"),
                    None => "sk-of-the-environment".to_owned(),
                };
                if key_of(asked) != expected {
                    seen.fetch_add(1, Ordering::Relaxed);
                    return Reply::error(500, "wrong_key", "another's key");
                }
                answers(asked)
            });
            let team = app.post("/team/new", json!({"team_id": "blue"})).await;
            assert_eq!(team.status, 200, "{team}");
            plain_key(app, Owner::Team("blue"), "openai", "sk-proj-blue").await;
            let mut callers: Vec<(String, String, &str)> = Vec::new();
            for number in 0..USERS {
                let id = format!("user-{number}");
                let key = user(app, &id).await;
                // a third has both keys, a third one, the rest none
                if number % 3 < 2 {
                    let own = format!("sk-proj-{id}");
                    plain_key(app, Owner::User(&id), "openai", &own).await;
                    callers.push((key.clone(), format!("openai/of-{id}"), "personal"));
                }
                if number % 3 < 1 {
                    let own = format!("sk-ant-{id}");
                    plain_key(app, Owner::User(&id), "anthropic", &own).await;
                    callers.push((key.clone(), format!("anthropic/of-{id}"), "personal"));
                }
                if number % 3 == 2 {
                    callers.push((key, "openai/gpt-4o".to_owned(), "environment"));
                    let body = json!({"user_id": id, "team_id": "blue"});
                    let of_team = app.post("/key/generate", body).await.text("/key");
                    callers.push((of_team, "openai/of-blue".to_owned(), "team"));
                }
            }
            let app: &TestApp = app;
            let mut calls = stream::iter(0..CALLS)
                .map(|number| {
                    let (key, model, paid_by) = &callers[number * 7 % callers.len()];
                    async move {
                        let (path, body) = match number % 2 {
                            0 => ("/v1/chat/completions", chat(model)),
                            _ => ("/v1/messages", messages(model)),
                        };
                        let answer = app.post(path, body).with_key(key).await;
                        (answer, *paid_by)
                    }
                })
                .buffer_unordered(64);
            let mut count = 0;
            while let Some((answer, paid_by)) = calls.next().await {
                assert_eq!(answer.status, 200, "{answer}");
                assert_eq!(answer.header("x-tollgate-paid-by"), paid_by);
                count += 1;
            }
            assert_eq!((count, wrong.load(Ordering::Relaxed)), (CALLS, 0));
        })
        .await;
}

#[tokio::test]
async fn team_organization_and_gateway_pay_in_this_order() {
    allowing()
        .variable("ANTHROPIC_API_KEY", "sk-ant-environment")
        .each_database(async |app| {
            app.provider.otherwise(answers);
            user(app, "ada").await;
            let organization = app
                .post("/organization/new", json!({"organization_alias": "acme"}))
                .await
                .text("/organization_id");
            let body = json!({"team_id": "blue", "organization_id": organization,
                "members_with_roles": [{"role": "user", "user_id": "ada"}]});
            let team = app.post("/team/new", body).await;
            assert_eq!(team.status, 200, "{team}");
            let body = json!({"user_id": "ada", "team_id": "blue"});
            let key = app.post("/key/generate", body).await.text("/key");
            let steps = [
                (None, "environment", "sk-ant-environment"),
                (Some(Owner::System), "system", "sk-ant-system"),
                (
                    Some(Owner::Organization(&organization)),
                    "organization",
                    "sk-ant-organization",
                ),
                (Some(Owner::Team("blue")), "team", "sk-ant-team"),
                (Some(Owner::User("ada")), "personal", "sk-ant-personal"),
            ];
            for (owner, paid_by, expected) in steps {
                if let Some(owner) = owner {
                    plain_key(app, owner, "anthropic", expected).await;
                }
                let answer = app
                    .post("/v1/messages", messages(CLAUDE))
                    .with_key(&key)
                    .await;
                assert_eq!(answer.status, 200, "{answer}");
                assert_eq!(answer.header("x-tollgate-paid-by"), paid_by);
                assert_eq!(key_of(&app.provider.last_request()), expected);
                assert_eq!(app.row(&answer).await.paid_by, paid_by);
            }
            policy(app, Policy::Forbidden).await;
            let answer = app
                .post("/v1/messages", messages(CLAUDE))
                .with_key(&key)
                .await;
            assert_eq!(answer.header("x-tollgate-paid-by"), "team", "{answer}");
            policy(app, Policy::Required).await;
            let answer = app
                .post("/v1/messages", messages(CLAUDE))
                .with_key(&key)
                .await;
            assert_eq!(answer.header("x-tollgate-paid-by"), "personal", "{answer}");
            let bob = user(app, "bob").await;
            let asked = app.provider.requests().len();
            let refused = app
                .post("/v1/messages", messages(CLAUDE))
                .with_key(&bob)
                .await;
            assert_eq!(refused.status, 400, "{refused}");
            assert!(refused.text("/error/message").contains("your own key"));
            assert_eq!(app.provider.requests().len(), asked);
        })
        .await;
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_an_error_and_nobody_else_s_bill() {
    allowing()
        .variable("ANTHROPIC_API_KEY", "sk-ant-environment")
        .each_database(async |app| {
            let ada = user(app, "ada").await;
            store_key(
                app,
                Owner::User("ada"),
                "anthropic",
                "sk-ant-dead-4711",
                |new| {
                    new.fallback = Fallback::OnError;
                },
            )
            .await;
            app.provider.always(Reply::error(
                401,
                "authentication_error",
                "invalid sk-ant-dead-4711",
            ));
            let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]});
            for (path, body, code) in [
                ("/v1/chat/completions", chat(CLAUDE), "/error/type"),
                ("/v1/messages", messages(CLAUDE), "/error/type"),
                (
                    "/anthropic/v1/messages",
                    messages("claude-sonnet-4-5"),
                    "/error/type",
                ),
                (
                    "/v1beta/models/claude-sonnet-4-5:generateContent",
                    gemini,
                    "/error/status",
                ),
            ] {
                let asked = app.provider.requests().len();
                let answer = app.post(path, body).with_key(&ada).await;
                assert_eq!(answer.status, 400, "{path} {answer}");
                let expected = match path {
                    "/v1/chat/completions" => "provider_key_rejected",
                    "/v1beta/models/claude-sonnet-4-5:generateContent" => "INVALID_ARGUMENT",
                    _ => "invalid_request_error",
                };
                assert_eq!(answer.text(code), expected, "{path}");
                let message = answer.text("/error/message");
                assert!(message.contains("your personal key"), "{message}");
                assert!(message.contains("API Configuration"), "{message}");
                assert!(!answer.to_string().contains("sk-ant-dead"), "{answer}");
                assert_eq!(app.provider.requests().len(), asked + 1, "{path}");
            }
            let anthropic = provider_keys::provider_named("anthropic").unwrap();
            let rejected = async {
                loop {
                    let keys = app.domain().provider_keys.of(Owner::User("ada"), anthropic);
                    if keys[0].state() == State::Rejected {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(testkit::PATIENCE, rejected)
                .await
                .unwrap();
        })
        .await;
}

#[tokio::test]
async fn the_owner_s_rule_says_whether_others_step_in() {
    allowing()
        .variable("ANTHROPIC_API_KEY", "sk-ant-environment")
        .each_database(async |app| {
            app.provider
                .otherwise(|asked| match key_of(asked).as_str() {
                    "sk-ant-environment" => anthropic_answer(),
                    key if key.ends_with("empty") => {
                        Reply::error(429, "rate_limit_error", "no credit")
                    }
                    _ => Reply::error(529, "overloaded_error", "overloaded"),
                });
            for (number, (key, fallback, expected)) in [
                ("sk-ant-1-empty", Fallback::Never, 429),
                ("sk-ant-2-empty", Fallback::OnQuota, 200),
                ("sk-ant-3-empty", Fallback::OnError, 200),
                ("sk-ant-4-broken", Fallback::Never, 529),
                ("sk-ant-5-broken", Fallback::OnQuota, 529),
                ("sk-ant-6-broken", Fallback::OnError, 200),
            ]
            .into_iter()
            .enumerate()
            {
                let id = format!("user-{number}");
                let virtual_key = user(app, &id).await;
                store_key(app, Owner::User(&id), "anthropic", key, |new| {
                    new.fallback = fallback;
                })
                .await;
                let call = app.post("/v1/messages", messages(CLAUDE));
                let answer = call.with_key(&virtual_key).await;
                assert_eq!(answer.status, expected, "{key} {answer}");
                if expected == 200 {
                    assert_eq!(answer.header("x-tollgate-paid-by"), "environment", "{key}");
                    assert_eq!(app.row(&answer).await.attempts, 2, "{key}");
                }
            }
        })
        .await;
}

#[tokio::test]
async fn a_key_of_its_own_falls_to_the_next_of_its_owner_first() {
    let app = allowing().start().await;
    app.provider
        .otherwise(|asked| match key_of(asked).as_str() {
            "sk-ant-first" => Reply::error(429, "rate_limit_error", "slow down"),
            _ => anthropic_answer(),
        });
    let ada = user(&app, "ada").await;
    store_key(
        &app,
        Owner::User("ada"),
        "anthropic",
        "sk-ant-first",
        |new| {
            new.fallback = Fallback::OnQuota;
        },
    )
    .await;
    let second = plain_key(&app, Owner::User("ada"), "anthropic", "sk-ant-second").await;
    let answer = app
        .post("/v1/messages", messages(CLAUDE))
        .with_key(&ada)
        .await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("x-tollgate-provider-key-id"), second);
    // one that pays for other models only is left alone
    store_key(
        &app,
        Owner::User("ada"),
        "openai",
        "sk-proj-limited",
        |new| {
            new.models = vec!["gpt-4o-mini".to_owned()];
        },
    )
    .await;
    let refused = app.post("/v1/chat/completions", chat("openai/gpt-4o"));
    assert!(refused.with_key(&ada).await.status >= 400);
    let answer = app.post("/v1/chat/completions", chat("openai/gpt-4o-mini"));
    assert_eq!(answer.with_key(&ada).await.status, 200);
}

#[tokio::test]
async fn a_key_goes_to_its_provider_s_host_or_its_own_and_nowhere_else() {
    replaced()
        .variable("ANTHROPIC_API_KEY", "sk-ant-environment")
        .with(
            "model_list:\n  - model_name: local\n    litellm_params: {model: anthropic/local, \
             api_key: sk-of-the-server, api_base: PROVIDER}\n  - model_name: \"anthropic/*\"\n    \
             litellm_params: {model: \"anthropic/*\"}",
        )
        .each_database(async |app| {
            app.provider.otherwise(answers);
            let ada = user(app, "ada").await;
            plain_key(app, Owner::User("ada"), "anthropic", "sk-ant-ada").await;
            let refused = app
                .post("/v1/messages", messages(CLAUDE))
                .with_key(&ada)
                .await;
            assert_eq!(refused.status, 400, "{refused}");
            let message = refused.text("/error/message");
            assert!(message.contains("TOLLGATE_BYOK_CUSTOM_HOSTS"), "{message}");
            assert_eq!(app.provider.requests().len(), 0);
            // a server of the operator's is something else than the provider
            let answer = app
                .post("/v1/messages", messages("local"))
                .with_key(&ada)
                .await;
            assert_eq!(answer.status, 200, "{answer}");
            assert_eq!(answer.header("x-tollgate-paid-by"), "system");
            assert_eq!(key_of(&app.provider.last_request()), "sk-of-the-server");
        })
        .await;
}

#[tokio::test]
async fn a_host_of_somebody_s_own_stands_on_the_open_internet() {
    allowing()
        .each_database(async |app| {
            let port = app.provider.address().port();
            for (number, host) in [
                "127.0.0.1",
                "localhost",
                "[::1]",
                "[::ffff:127.0.0.1]",
                "[64:ff9b::7f00:1]",
                "10.0.0.1",
                "172.16.0.1",
                "192.168.0.1",
                "169.254.169.254",
                "[fd00:ec2::254]",
                "[fe80::1]",
                "0.0.0.0",
                "2130706433",
            ]
            .into_iter()
            .enumerate()
            {
                let id = format!("user-{number}");
                let virtual_key = user(app, &id).await;
                store_key(app, Owner::User(&id), "openai", "sk-proj-own", |new| {
                    new.base_url = Some(format!("http://{host}:{port}/v1"));
                })
                .await;
                let call = app.post("/v1/chat/completions", chat("openai/gpt-4o"));
                let refused = call.with_key(&virtual_key).await;
                assert_eq!(refused.status, 400, "{host} {refused}");
                let message = refused.text("/error/message");
                assert!(message.contains("open internet"), "{host} {message}");
            }
            assert_eq!(app.provider.requests().len(), 0);
        })
        .await;
}

#[tokio::test]
async fn a_network_that_is_opened_is_reached_and_no_redirect_is_followed() {
    let app = Setup::default()
        .config("")
        .variable("TOLLGATE_PROVIDER_KEY_NETWORKS", "127.0.0.0/8")
        .start()
        .await;
    let ada = user(&app, "ada").await;
    let own = app.provider.url();
    store_key(&app, Owner::User("ada"), "openai", "sk-proj-own", |new| {
        new.base_url = Some(own);
    })
    .await;
    let call = || app.post("/v1/chat/completions", chat("openai/gpt-4o"));
    let answer = call().with_key(&ada).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(key_of(&app.provider.last_request()), "sk-proj-own");
    let elsewhere = Reply::text(["no"])
        .status(302)
        .header("location", "http://169.254.169.254/latest/meta-data");
    app.provider.reply(elsewhere);
    let asked = app.provider.requests().len();
    let answer = call().with_key(&ada).await;
    assert_eq!(answer.status, 502, "{answer}");
    assert_eq!(app.provider.requests().len(), asked + 1);
}

#[tokio::test]
async fn a_key_that_does_not_open_is_an_error_that_says_whose_it_is() {
    allowing()
        .variable("ANTHROPIC_API_KEY", "sk-ant-environment")
        .each_database(async |app| {
            let ada = user(app, "ada").await;
            let id = plain_key(app, Owner::User("ada"), "anthropic", "sk-ant-ada").await;
            let domain = app.domain();
            let mut row = store::provider_keys::find(&domain.db, &id)
                .await
                .unwrap()
                .unwrap();
            row.sealed = format!("{}AAAA", &row.sealed[..row.sealed.len() - 4]);
            store::provider_keys::update(&domain.db, &row)
                .await
                .unwrap();
            provider_keys::rebuild(domain).await.unwrap();
            let asked = app.provider.requests().len();
            let refused = app
                .post("/v1/messages", messages(CLAUDE))
                .with_key(&ada)
                .await;
            assert_eq!(refused.status, 400, "{refused}");
            let message = refused.text("/error/message");
            assert!(message.contains("your personal key"), "{message}");
            assert!(message.contains("does not open"), "{message}");
            assert_eq!(app.provider.requests().len(), asked);
        })
        .await;
}

#[tokio::test]
async fn a_key_may_come_with_the_call_where_that_is_switched_on() {
    let switched_on = "general_settings: {forward_llm_provider_auth_headers: true}";
    for (extra, expected, paid_by) in [
        ("", "sk-ant-environment", "environment"),
        (switched_on, "sk-ant-mine", "header"),
    ] {
        allowing()
            .variable("ANTHROPIC_API_KEY", "sk-ant-environment")
            .variable("OPENAI_API_KEY", "sk-of-the-environment")
            .with(extra)
            .each_database(async |app| {
                app.provider.otherwise(answers);
                let ada = user(app, "ada").await;
                let call = app.post("/v1/messages", messages(CLAUDE)).without_key();
                let call = call.header("x-litellm-api-key", &ada);
                let answer = call.header("x-api-key", "sk-ant-mine").await;
                assert_eq!(answer.status, 200, "{answer}");
                assert_eq!(answer.header("x-tollgate-paid-by"), paid_by);
                let asked = app.provider.last_request();
                assert_eq!(key_of(&asked), expected);
                assert!(!format!("{asked:?}").contains(&ada));
                assert_eq!(app.row(&answer).await.paid_by, paid_by);
                // it is not another provider's business
                let call = app.post("/v1/chat/completions", chat("openai/gpt-4o"));
                let call = call.without_key().header("x-litellm-api-key", &ada);
                let answer = call.header("x-api-key", "sk-ant-mine").await;
                assert_eq!(answer.status, 200, "{answer}");
                let asked = app.provider.last_request();
                assert_eq!(key_of(&asked), "sk-of-the-environment");
                assert!(!format!("{asked:?}").contains("sk-ant-mine"));
                // our own key, said twice, is nobody's at a provider
                let call = app.post("/v1/messages", messages(CLAUDE)).with_key(&ada);
                let answer = call.header("x-api-key", &ada).await;
                assert_eq!(answer.header("x-tollgate-paid-by"), "environment");
            })
            .await;
    }
}

#[tokio::test]
async fn a_stored_key_of_the_gateway_opens_its_provider_to_everybody() {
    replaced()
        .each_database(async |app| {
            app.provider.otherwise(answers);
            let ada = user(app, "ada").await;
            let call = || app.post("/v1/messages", messages(CLAUDE)).with_key(&ada);
            assert!(call().await.status >= 400);
            plain_key(app, Owner::System, "anthropic", "sk-ant-system").await;
            let answer = call().await;
            assert_eq!(answer.status, 200, "{answer}");
            assert_eq!(answer.header("x-tollgate-paid-by"), "system");
            let row = app.row(&answer).await;
            assert_eq!((row.paid_by.as_str(), row.cost.is_some()), ("system", true));
            let info = app.get("/user/info?user_id=ada").await;
            assert_eq!(info.json["user_info"]["spend"], json!(0.0105), "{info}");
        })
        .await;
}

#[tokio::test]
async fn a_session_is_paid_by_whoever_opens_it() {
    let app = allowing().start().await;
    let ada = user(&app, "ada").await;
    plain_key(&app, Owner::User("ada"), "openai", "sk-proj-ada").await;
    let bearer = format!("Bearer {ada}");
    let path = "/v1/realtime?model=gpt-realtime";
    let (handshake, client) = connect(app.address(), path, &[("authorization", &bearer)]).await;
    assert_eq!(handshake.status, 101, "{handshake:?}");
    assert_eq!(handshake.header("x-tollgate-paid-by"), "personal");
    let session = app.provider.session().await;
    assert_eq!(
        session.request.header("authorization"),
        "Bearer sk-proj-ada"
    );
    drop((client, session));
    app.provider
        .refuse_sessions(Reply::error(401, "authentication_error", "no"));
    let (handshake, _client) = connect(app.address(), path, &[("authorization", &bearer)]).await;
    assert_eq!(handshake.status, 400, "{handshake:?}");
}
