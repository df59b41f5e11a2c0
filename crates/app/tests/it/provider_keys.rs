//! Keys at providers: who sets, sees and destroys them, what is refused, what providers say of them.

use std::time::Duration;

use domain::provider_keys::{Owner, State, note_rejection};
use http::Method;
use serde_json::{Value, json};
use testkit::provider::Reply;
use testkit::{Mailbox, mailbox::Security};

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::sign_in::{PASSWORD, member, session};

const KEY: &str = "sk-ant-api03-0123456789-ada-4711";

/// A key of the gateway at a host that the test plays.
fn system(app: &TestApp, key: &str) -> Value {
    json!({"owner_kind": "system", "provider": "anthropic", "api_key": key,
        "base_url": app.provider.url()})
}

async fn change(app: &TestApp, key: &str, id: &str, body: Value) -> Answer {
    let path = format!("/provider_keys/{id}");
    app.call(Method::PATCH, &path, Some(body))
        .with_key(key)
        .await
}

async fn delete(app: &TestApp, key: &str, id: &str) -> Answer {
    let path = format!("/provider_keys/{id}");
    app.call(Method::DELETE, &path, None).with_key(key).await
}

/// A person with a session, and a key of theirs that is no session.
async fn person(app: &TestApp, name: &str) -> (String, String, String) {
    let email = format!("{name}@example.com");
    let id = member(app, &email).await;
    let (session, _) = session(app, &email, PASSWORD).await;
    let key = app.post("/key/generate", json!({"user_id": id})).await;
    assert_eq!(key.status, 200, "{key}");
    (id, session, key.text("/key"))
}

#[tokio::test]
async fn a_personal_key_is_its_owner_s_alone() {
    each_database(async |app| {
        let (ada, ada_session, ada_key) = person(app, "ada").await;
        let (_, bob_session, _) = person(app, "bob").await;
        let new = json!({"provider": "Anthropic", "api_key": format!(" {KEY}\n")});
        // neither with a key that may be in other hands, nor by anybody else
        let refused = app
            .post("/provider_keys", new.clone())
            .with_key(&ada_key)
            .await;
        assert_eq!(refused.status, 403, "{refused}");
        let mut of_ada = new.clone();
        of_ada["owner_id"] = ada.as_str().into();
        for other in [&bob_session, crate::app::MASTER_KEY] {
            let refused = app
                .post("/provider_keys", of_ada.clone())
                .with_key(other)
                .await;
            assert_eq!(refused.status, 403, "{refused}");
        }
        let made = app.post("/provider_keys", new).with_key(&ada_session).await;
        assert_eq!(made.status, 200, "{made}");
        assert!(!made.to_string().contains(KEY), "{made}");
        for (name, value) in [
            ("owner_kind", json!("user")),
            ("owner_id", json!(ada)),
            ("provider", json!("anthropic")),
            ("name", json!("anthropic")),
            ("last4", json!("4711")),
            ("enabled", json!(true)),
            ("fallback", json!("never")),
        ] {
            assert_eq!(made.json[name], value, "{made}");
        }
        let id = made.text("/id");
        let listed = app.get("/provider_keys").with_key(&ada_key).await;
        assert_eq!(listed.text("/data/0/id"), id);
        let of_ada = format!("/provider_keys?owner_id={ada}");
        assert_eq!(app.get(&of_ada).with_key(&bob_session).await.status, 403);
        assert_eq!(app.get(&of_ada).await.text("/data/0/id"), id);
        for answer in [
            change(app, &bob_session, &id, json!({"enabled": false})).await,
            delete(app, &bob_session, &id).await,
            app.post(&format!("/provider_keys/{id}/test"), json!({}))
                .with_key(&bob_session)
                .await,
        ] {
            assert_eq!(answer.status, 404, "{answer}");
        }
        // an administrator destroys what they cannot replace
        let replaced = json!({"api_key": "sk-ant-api03-of-the-administrator"});
        let master = crate::app::MASTER_KEY;
        assert_eq!(change(app, master, &id, replaced).await.status, 403);
        assert_eq!(delete(app, &ada_key, &id).await.status, 403);
        assert_eq!(delete(app, master, &id).await.status, 200);
        assert_eq!(delete(app, master, &id).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn keys_leave_with_their_owner() {
    each_database(async |app| {
        let (ada, session, _) = person(app, "ada").await;
        let new = json!({"provider": "anthropic", "api_key": KEY});
        let made = app.post("/provider_keys", new).with_key(&session).await;
        assert_eq!(made.status, 200, "{made}");
        for (path, body) in [
            (
                "/organization/new",
                json!({"organization_id": "o", "organization_alias": "o"}),
            ),
            ("/team/new", json!({"team_id": "t"})),
        ] {
            assert_eq!(app.post(path, body).await.status, 200);
        }
        for (kind, id) in [("team", "t"), ("organization", "o")] {
            let new = json!({"owner_kind": kind, "owner_id": id, "provider": "openai",
                "api_key": KEY, "base_url": "http://127.0.0.1:9"});
            let made = app.post("/provider_keys", new).await;
            assert_eq!(made.status, 200, "{made}");
        }
        let owners = [
            Owner::User(&ada),
            Owner::Team("t"),
            Owner::Organization("o"),
        ];
        let known = |owner| {
            app.domain()
                .provider_keys
                .all_of(owner)
                .map(|keys| keys.len())
        };
        assert_eq!(owners.map(known), [Some(1); 3]);
        for (method, path, body) in [
            (Method::POST, "/user/delete", json!({"user_ids": [ada]})),
            (Method::POST, "/team/delete", json!({"team_ids": ["t"]})),
            (
                Method::DELETE,
                "/organization/delete",
                json!({"organization_ids": ["o"]}),
            ),
        ] {
            let gone = app.call(method, path, Some(body)).await;
            assert_eq!(gone.status, 200, "{gone}");
        }
        assert_eq!(owners.map(known), [None; 3]);
        let rows = store::provider_keys::page(&app.domain().db, "", 10).await;
        assert_eq!(rows.unwrap(), []);
        let entries = app
            .get("/audit?object_kind=provider_key&action=deleted")
            .await;
        assert_eq!(entries.json["total"], 3, "{entries}");
        let to_nobody = json!({"owner_kind": "team", "owner_id": "t", "provider": "openai",
            "api_key": KEY});
        assert_eq!(app.post("/provider_keys", to_nobody).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn several_keys_are_asked_in_their_order() {
    each_database(async |app| {
        let mut ids = Vec::new();
        for name in ["one", "two", "three"] {
            let mut new = system(app, &format!("sk-ant-{name}-0123456789"));
            new["name"] = name.into();
            let made = app.post("/provider_keys", new).await;
            assert_eq!(made.status, 200, "{made}");
            ids.push(made.text("/id"));
        }
        let names = || {
            let provider = llm::provider::find("anthropic").unwrap();
            let keys = app.domain().provider_keys.of(Owner::System, provider);
            let names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
            names
        };
        assert_eq!(names(), ["one", "two", "three"]);
        let master = crate::app::MASTER_KEY;
        let first = change(app, master, &ids[2], json!({"position": -1})).await;
        assert_eq!(first.status, 200, "{first}");
        assert_eq!(names(), ["three", "one", "two"]);
        let off = json!({"enabled": false, "fallback": "on_quota", "models": ["claude-*"]});
        let off = change(app, master, &ids[0], off).await;
        assert_eq!(
            (off.status, off.text("/fallback").as_str()),
            (200, "on_quota")
        );
        assert_eq!(names(), ["three", "two"]);
        let taken = change(app, master, &ids[1], json!({"name": "three"})).await;
        assert_eq!(taken.status, 409, "{taken}");
        // nobody has a key sent to another place without having it
        let elsewhere = json!({"base_url": "https://elsewhere.example.com"});
        let elsewhere = change(app, master, &ids[1], elsewhere).await;
        assert_eq!(
            (elsewhere.status, elsewhere.text("/error/param").as_str()),
            (400, "api_key")
        );
        let moved = json!({"base_url": null, "api_key": "sk-ant-another-0123456789"});
        let moved = change(app, master, &ids[1], moved).await;
        assert_eq!((moved.status, &moved.json["base_url"]), (200, &Value::Null));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_key_is_refused_and_repeated_nowhere() {
    each_database(async |app| {
        let marked = "c4n4ry";
        for (body, status, word) in [
            (json!({}), 422, "provider"),
            (json!({"provider": "anthropic"}), 422, "api_key"),
            (json!({"provider": 5, "api_key": KEY}), 422, "provider"),
            (
                json!({"provider": "anthropic", "api_key": 5}),
                422,
                "api_key",
            ),
            (
                json!({"provider": "anthropic", "api_key": null}),
                422,
                "api_key",
            ),
            (
                json!({"provider": "nobody", "api_key": KEY}),
                400,
                "provider",
            ),
            (
                json!({"provider": "anthropic", "api_key": "  "}),
                400,
                "blank",
            ),
            (
                json!({"provider": "anthropic", "api_key": "sk-ant-YOUR-REAL-KEY"}),
                400,
                "placeholder",
            ),
            (
                json!({"provider": "google", "api_key": "AIza..."}),
                400,
                "placeholder",
            ),
            (
                json!({"provider": "anthropic", "api_key": format!("{marked}\n0123456789")}),
                400,
                "control",
            ),
            (
                json!({"provider": "anthropic", "api_key": format!("{marked} 0123456789")}),
                400,
                "blank",
            ),
            (
                json!({"provider": "openai", "api_key": marked.repeat(4000)}),
                400,
                "longer",
            ),
            (
                json!({"provider": "openai", "api_key": KEY, "base_url": "gopher://x"}),
                400,
                "base_url",
            ),
            (
                json!({"provider": "openai_like", "api_key": KEY}),
                400,
                "base_url",
            ),
            (
                json!({"provider": "openai", "api_key": KEY, "fallback": "always"}),
                422,
                "fallback",
            ),
            (
                json!({"provider": "openai", "api_key": KEY, "name": "a\nb"}),
                400,
                "name",
            ),
            (
                json!({"provider": "openai", "api_key": KEY, "owner_kind": "planet"}),
                400,
                "owner",
            ),
        ] {
            let mut body = body;
            if body["owner_kind"].is_null() {
                body["owner_kind"] = "system".into();
            }
            let answer = app.post("/provider_keys", body.clone()).await;
            assert_eq!(answer.status, status, "{body}: {answer}");
            let text = answer.to_string();
            assert!(text.contains(word), "{body}: {text}");
            assert!(!text.contains(marked), "{text}");
        }
        let long = json!({"owner_kind": "system", "provider": "anthropic",
            "api_key": "k1".repeat(4096), "base_url": "http://127.0.0.1:9"});
        assert_eq!(app.post("/provider_keys", long).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_provider_is_asked_what_it_thinks_of_a_key() {
    each_database(async |app| {
        let mut id = None;
        for (reply, state) in [
            (Reply::json(&json!({"data": []})), "valid"),
            (
                Reply::error(401, "authentication_error", "invalid x-api-key"),
                "rejected",
            ),
            (
                Reply::error(403, "permission_error", "not allowed"),
                "restricted",
            ),
            (Reply::error(503, "api_error", "busy"), "unverified"),
        ] {
            app.provider.otherwise(move |_| reply.clone());
            let answer = match &id {
                None => app.post("/provider_keys", system(app, KEY)).await,
                Some(id) => {
                    let path = format!("/provider_keys/{id}/test");
                    app.post(&path, json!({})).await
                }
            };
            assert_eq!(answer.status, 200, "{answer}");
            assert_eq!(answer.text("/state"), state, "{answer}");
            assert!(answer.json["verified_at"].is_string());
            id = Some(answer.text("/id"));
            let asked = app.provider.last_request();
            assert_eq!(
                (asked.method, asked.path.as_str()),
                (Method::GET, "/v1/models")
            );
            assert_eq!(asked.headers["x-api-key"], KEY);
        }
        // nobody else's key goes to a host inside the network
        let before = app.provider.served().requests;
        assert_eq!(
            app.post("/team/new", json!({"team_id": "t"})).await.status,
            200
        );
        let mut new = system(app, KEY);
        (new["owner_kind"], new["owner_id"]) = ("team".into(), "t".into());
        let made = app.post("/provider_keys", new).await;
        assert_eq!(made.text("/state"), "unverified");
        assert_eq!(app.provider.served().requests, before);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_calls_find_refused_is_told_of_once() {
    let mailbox = Mailbox::start(Security::None).await;
    let before = std::cell::Cell::new(0);
    Setup::default()
        .variable("SMTP_HOST", "localhost")
        .variable("SMTP_PORT", &mailbox.port.to_string())
        .variable("SMTP_TLS", "False")
        .variable("SMTP_SENDER_EMAIL", "gate@example.com")
        .each_database(async |app| {
            let (ada, session, _) = person(app, "ada").await;
            let new = json!({"provider": "anthropic", "api_key": KEY, "name": "mine"});
            let made = app.post("/provider_keys", new).with_key(&session).await;
            assert_eq!(made.status, 200, "{made}");
            let provider = llm::provider::find("anthropic").unwrap();
            let domain = app.domain();
            let key = domain.provider_keys.of(Owner::User(&ada), provider)[0].clone();
            for _ in 0..3 {
                note_rejection(domain, &key);
            }
            assert_eq!(key.state(), State::Rejected);
            before.set(before.get() + 1);
            let mail = mailbox.wait_for(before.get()).await.pop().unwrap();
            assert_eq!(mail.to, ["ada@example.com"]);
            assert!(mail.header("Subject").contains("Anthropic"), "{}", mail.raw);
            assert!(mail.raw.contains("mine") && !mail.raw.contains(KEY));
            let listed = app.get("/provider_keys").with_key(&session).await;
            assert_eq!(listed.text("/data/0/state"), "rejected");
            // a new key in its place begins anew
            let anew = json!({"api_key": "sk-ant-api03-another-0123456789"});
            let anew = change(app, &session, &made.text("/id"), anew).await;
            assert_ne!(anew.text("/state"), "rejected");
            assert_eq!(mailbox.wait_for(before.get()).await.len(), before.get());
        })
        .await;
}

#[tokio::test]
async fn policies_are_configured_and_then_set() {
    Setup::default()
        .with(
            "tollgate_settings: {provider_key_policies: {anthropic: required, google: forbidden}}",
        )
        .each_database(async |app| {
            let (_, _, key) = person(app, "ada").await;
            let shown = app.get("/provider_key_policies").with_key(&key).await;
            let configured = json!({"anthropic": "required", "gemini": "forbidden"});
            assert_eq!(shown.json["policies"], configured, "{shown}");
            let change = json!({"policies": {"anthropic": "allowed", "openai": "forbidden"}});
            let refused = app
                .post("/provider_key_policies", change.clone())
                .with_key(&key)
                .await;
            assert_eq!(refused.status, 401, "{refused}");
            let set = app.post("/provider_key_policies", change).await;
            let all = json!({"anthropic": "allowed", "gemini": "forbidden", "openai": "forbidden"});
            assert_eq!(set.json["policies"], all, "{set}");
            let back = json!({"policies": {"anthropic": null, "openai": null}});
            let back = app.post("/provider_key_policies", back).await;
            assert_eq!(back.json["policies"], configured, "{back}");
            for wrong in [
                json!({}),
                json!({"policies": {"anthropic": "perhaps"}}),
                json!({"policies": {"nobody": "allowed"}}),
                json!({"policies": []}),
            ] {
                let refused = app.post("/provider_key_policies", wrong).await;
                assert!([400, 422].contains(&refused.status), "{refused}");
            }
        })
        .await;
}

#[tokio::test]
async fn keys_of_the_environment_are_shown_beneath_and_placeholders_are_none() {
    let setup = Setup::default()
        .variable("ANTHROPIC_API_KEY", "sk-ant-of-the-environment-9999")
        .variable("OPENAI_API_KEY", "sk-proj-your-key-here-xxxx");
    setup
        .each_database(async |app| {
            let config = app.config();
            let warnings = config.notes.warnings.join("\n");
            assert!(
                warnings.contains("OPENAI_API_KEY holds a placeholder"),
                "{warnings}"
            );
            let listed = app.get("/provider_keys?owner_kind=system").await;
            let one = json!([{"provider": "anthropic", "variable": "ANTHROPIC_API_KEY",
                "last4": "9999", "overridden": false}]);
            assert_eq!(listed.json["environment"], one, "{listed}");
            assert_eq!(
                app.post("/provider_keys", system(app, KEY)).await.status,
                200
            );
            let listed = app.get("/provider_keys?owner_kind=system").await;
            assert_eq!(listed.json["environment"][0]["overridden"], true);
            let (_, session, _) = person(app, "ada").await;
            let refused = app.get("/provider_keys?owner_kind=system");
            assert_eq!(refused.with_key(&session).await.status, 403);
        })
        .await;
}

#[tokio::test]
async fn a_key_is_known_to_every_gateway_of_a_database_and_after_a_restart() {
    each_database(async |app| {
        let made = app.post("/provider_keys", system(app, KEY)).await;
        assert_eq!(made.status, 200, "{made}");
        let provider = llm::provider::find("anthropic").unwrap();
        let known = |app: &TestApp| app.domain().provider_keys.of(Owner::System, provider).len();
        if let Some(database) = app.database.again().await {
            let mut second = TestApp::start(Setup::default(), database).await;
            assert_eq!(known(&second), 1);
            let again = json!({"owner_kind": "system", "provider": "anthropic", "api_key": KEY,
                "base_url": "http://127.0.0.1:9"});
            assert_eq!(app.post("/provider_keys", again).await.status, 200);
            let begun = std::time::Instant::now();
            while known(&second) < 2 {
                assert!(begun.elapsed() < testkit::PATIENCE, "it is not told");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let id = made.text("/id");
            assert_eq!(delete(app, crate::app::MASTER_KEY, &id).await.status, 200);
            while known(&second) > 1 {
                assert!(begun.elapsed() < testkit::PATIENCE, "it is not told");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            second.stop().await;
        }
        let before = known(app);
        app.restart().await;
        assert_eq!(known(app), before);
        let domain = app.domain();
        let key = &domain.provider_keys.of(Owner::System, provider)[0];
        assert!(key.open(&domain.vault).is_ok());
    })
    .await;
}

#[tokio::test]
async fn clients_of_litellm_know_the_gateway_s_keys_as_credentials() {
    each_database(async |app| {
        let new = json!({"credential_name": "mine", "credential_values":
                {"api_key": KEY, "api_base": app.provider.url()},
            "credential_info": {"custom_llm_provider": "anthropic", "description": "ours"}});
        let made = app.post("/credentials", new).await;
        assert_eq!(made.json["success"], true, "{made}");
        let listed = app.get("/credentials").await;
        let one = json!([{"credential_name": "mine", "credential_values":
                {"api_key": "****4711", "api_base": app.provider.url()},
            "credential_info": {"custom_llm_provider": "anthropic"}}]);
        assert_eq!(listed.json["credentials"], one, "{listed}");
        let own = app.get("/provider_keys?owner_kind=system").await;
        assert_eq!(own.text("/data/0/name"), "mine");
        for wrong in [
            json!({"credential_name": "x", "credential_values": {"api_key": KEY}}),
            json!({"credential_name": "x", "credential_values": {},
                "credential_info": {"custom_llm_provider": "anthropic"}}),
            json!({"credential_name": "x", "credential_values": {"api_key": KEY, "region": "eu"},
                "credential_info": {"custom_llm_provider": "anthropic"}}),
        ] {
            let refused = app.post("/credentials", wrong).await;
            assert_eq!(refused.status, 400, "{refused}");
        }
        for status in [200, 404] {
            let gone = app.call(Method::DELETE, "/credentials/mine", None).await;
            assert_eq!(gone.status, status, "{gone}");
        }
    })
    .await;
}
