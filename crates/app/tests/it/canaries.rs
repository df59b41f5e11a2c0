//! Keys of every owner, in everybody's hands, through every protocol and past providers that repeat them: no
//! answer holds one. The gateway of each test watches that itself ([`crate::watch`]); what is asserted here
//! is that the calls were what they are meant to be.

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testkit::{Received, Reply, Split};

use crate::app::{Answer, MASTER_KEY, Setup, TestApp};
use crate::sign_in::{PASSWORD, member, session};

/// A key that stands nowhere else and looks like no provider's, so that nothing masks it by its looks.
fn canary(of: &str) -> String {
    format!("canary-of-{of}-9f3ac7e15d8842b6")
}

/// A gateway whose environment has keys.
fn setup() -> Setup {
    crate::v2_guide::setup()
        .variable("ANTHROPIC_API_KEY", &canary("environment"))
        .variable("OPENAI_API_KEY", &canary("environment"))
}

/// Sessions of the people, and a key of `ada` in the team, which is the organization's.
struct People {
    ada: String,
    bob: String,
    lead: String,
    ada_in_team: String,
}

async fn people(app: &TestApp) -> People {
    let mut ids = Vec::new();
    let mut sessions = Vec::new();
    for name in ["ada", "bob", "lead"] {
        let email = format!("{name}@example.com");
        ids.push(member(app, &email).await);
        sessions.push(session(app, &email, PASSWORD).await.0);
    }
    let organization = json!({"organization_id": "o", "organization_alias": "o"});
    let members =
        json!([{"role": "user", "user_id": ids[0]}, {"role": "admin", "user_id": ids[2]}]);
    let team = json!({"team_id": "t", "organization_id": "o", "members_with_roles": members});
    for (path, body) in [("/organization/new", organization), ("/team/new", team)] {
        let made = app.post(path, body).await;
        assert_eq!(made.status, 200, "{made}");
    }
    let key = json!({"user_id": ids[0], "team_id": "t"});
    let key = app.post("/key/generate", key).await;
    let mut sessions = sessions.into_iter();
    let mut next = || sessions.next().expect("three people");
    People {
        ada: next(),
        bob: next(),
        lead: next(),
        ada_in_team: key.text("/key"),
    }
}

/// Stores keys of an owner at both providers; gives their ids.
async fn store(app: &TestApp, by: &str, kind: &str, owner: Option<&str>) -> Vec<String> {
    let mut ids = Vec::new();
    for provider in ["anthropic", "openai"] {
        let body = json!({"owner_kind": kind, "owner_id": owner, "provider": provider,
            "api_key": canary(kind)});
        let made = app.post("/provider_keys", body).with_key(by).await;
        assert_eq!(made.status, 200, "{kind}: {made}");
        ids.push(made.text("/id"));
    }
    ids
}

#[tokio::test]
async fn nobody_reads_a_key_whatever_they_do_with_it() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let of_team = ("team", Some("t"), people.lead.as_str());
            let of_organization = ("organization", Some("o"), MASTER_KEY);
            for (kind, owner, by) in [
                ("system", None, MASTER_KEY),
                of_organization,
                of_team,
                ("user", None, people.ada.as_str()),
            ] {
                let ids = store(app, by, kind, owner).await;
                for who in [&people.bob, &people.lead, &people.ada, MASTER_KEY, by] {
                    let done = handle(app, who, kind, owner, &ids[0]).await;
                    // whose it is may do everything
                    if who == by {
                        let statuses = done.map(|answer| answer.status);
                        assert_eq!(statuses, [200; 4], "{kind}");
                    }
                }
            }
            let own = "/v2/users/me/api-key";
            for body in [
                json!({"openai_api_key": canary("v2")}),
                json!({"openai_api_key": [canary("v2")]}),
            ] {
                app.call(Method::PATCH, own, Some(body))
                    .with_key(&people.bob)
                    .await;
            }
            for path in ["/v2/users/me", "/v2/users/me/api-key-status", "/user/info"] {
                let shown = app.get(path).with_key(&people.bob).await;
                assert_eq!(shown.status, 200, "{path}: {shown}");
            }
        })
        .await;
}

/// Lists, tests, renames and replaces a key.
async fn handle(
    app: &TestApp,
    who: &str,
    kind: &str,
    owner: Option<&str>,
    id: &str,
) -> [Answer; 4] {
    let of = owner.map_or_else(String::new, |owner| format!("&owner_id={owner}"));
    let path = format!("/provider_keys/{id}");
    let change = |body: Value| app.call(Method::PATCH, &path, Some(body)).with_key(who);
    [
        app.get(&format!("/provider_keys?owner_kind={kind}{of}"))
            .with_key(who)
            .await,
        app.post(&format!("{path}/test"), json!({}))
            .with_key(who)
            .await,
        change(json!({"name": format!("renamed-{kind}")})).await,
        change(json!({"api_key": canary(&format!("{kind}-anew"))})).await,
    ]
}

/// What a provider does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Answers,
    /// Says the key in every member of its error.
    Repeats,
    RepeatsInAPage,
    RepeatsInHeaders,
    BreaksOff,
    /// Last, as no more is asked with a key that was refused.
    Refuses,
}

fn answers(asked: &Received, mood: Mood) -> Reply {
    let bearer = asked.header("authorization").strip_prefix("Bearer ");
    let key = bearer.unwrap_or_else(|| asked.header("x-api-key"));
    let repeated = format!("what is {key}, and {key}?");
    let error = json!({"error": {"message": repeated, "type": key, "code": key, "param": key}});
    // the key is cut in two on its way
    let error = Reply::json(&error).split(Split::Bytes(11));
    match mood {
        _ if asked.body.is_empty() => Reply::plausible(),
        Mood::Answers if asked.path.contains("/messages") => claude(asked),
        Mood::Answers => Reply::plausible(),
        Mood::Repeats => error.status(500),
        Mood::RepeatsInAPage => {
            let page = format!("<html><title>{repeated}</title><body>{repeated}</body></html>");
            Reply::html(502, &page).split(Split::Bytes(11))
        }
        Mood::RepeatsInHeaders => Reply::rate_limited(1).header("x-said", &repeated),
        Mood::BreaksOff => Reply::text(["Hello", " there"]).cut_after_chunks(1),
        Mood::Refuses => error.status(401),
    }
}

fn claude(asked: &Received) -> Reply {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "Hi there"}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 5}});
    if asked.json()["stream"] != true {
        return Reply::json(&message);
    }
    let mut begun = message;
    begun["content"] = json!([]);
    let events = [
        json!({"type": "message_start", "message": begun}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ];
    let events = events.map(|event| {
        let kind = event["type"].as_str().unwrap_or_default();
        format!("event: {kind}\ndata: {event}\n\n")
    });
    Reply::events(events.concat())
}

/// A call in each protocol, whole and streamed, of both providers.
fn calls() -> Vec<(&'static str, Value)> {
    let said = json!([{"role": "user", "content": "Hello!"}]);
    let mut calls = Vec::new();
    for stream in [false, true] {
        for model in ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"] {
            let bare = model.split('/').next_back().unwrap_or_default();
            let chat = json!({"model": model, "messages": said, "max_tokens": 9, "stream": stream});
            let mut own = chat.clone();
            own["model"] = bare.into();
            calls.push(("/v1/messages", chat.clone()));
            calls.push(("/v1/chat/completions", chat));
            calls.push(match bare {
                "gpt-4o" => ("/openai/v1/chat/completions", own),
                _ => ("/anthropic/v1/messages", own),
            });
        }
        let responses =
            json!({"model": "anthropic/claude-sonnet-4-5", "input": "Hello!", "stream": stream});
        calls.push(("/v1/responses", responses));
        let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]});
        calls.push(match stream {
            false => ("/v1beta/models/claude-sonnet-4-5:generateContent", contents),
            true => (
                "/v1beta/models/claude-sonnet-4-5:streamGenerateContent?alt=sse",
                contents,
            ),
        });
    }
    calls
}

#[tokio::test]
async fn a_provider_that_repeats_a_key_tells_it_to_nobody() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            for (payer, owner, by) in [
                ("environment", None, MASTER_KEY),
                ("system", None, MASTER_KEY),
                ("organization", Some("o"), MASTER_KEY),
                ("team", Some("t"), people.lead.as_str()),
                ("personal", None, people.ada.as_str()),
            ] {
                let kind = payer.replace("personal", "user");
                app.provider
                    .otherwise(|asked| answers(asked, Mood::Answers));
                if payer != "environment" {
                    store(app, by, &kind, owner).await;
                }
                for mood in [
                    Mood::Answers,
                    Mood::Repeats,
                    Mood::RepeatsInAPage,
                    Mood::RepeatsInHeaders,
                    Mood::BreaksOff,
                    Mood::Refuses,
                ] {
                    app.provider.otherwise(move |asked| answers(asked, mood));
                    for (path, body) in calls() {
                        call(app, &people.ada_in_team, (path, body), payer, mood).await;
                    }
                }
            }
        })
        .await;
}

/// Makes a call, and sees that it went as the provider's mood wants it.
async fn call(app: &TestApp, key: &str, (path, body): (&str, Value), payer: &str, mood: Mood) {
    let asked = app.provider.requests().len();
    let answer = app.post(path, body).with_key(key).send().await;
    let (head, body) = answer.into_parts();
    // one that is cut is an error here, and read as far as it goes
    let body = body.collect().await.map(|body| body.to_bytes());
    let text = String::from_utf8_lossy(body.as_deref().unwrap_or_default()).into_owned();
    let what = format!("{payer} {mood:?} {path}: {} {text}", head.status);
    if mood == Mood::Answers {
        assert_eq!(head.status, 200, "{what}");
        assert_eq!(head.headers["x-tollgate-paid-by"], payer, "{what}");
    } else if mood != Mood::BreaksOff {
        assert!(head.status.as_u16() >= 400, "{what}");
    }
    if mood == Mood::Refuses {
        return;
    }
    // others of the gateway's own may step in
    let shown = app.provider.requests().split_off(asked);
    let expected = canary(&payer.replace("personal", "user"));
    let is_asked = shown.iter().any(|shown| {
        let proofs = [shown.header("authorization"), shown.header("x-api-key")];
        proofs.iter().any(|proof| proof.ends_with(&expected))
    });
    assert!(is_asked, "{what}");
    match mood {
        Mood::Repeats => assert!(
            text.contains("what is [redacted], and [redacted]?"),
            "{what}"
        ),
        Mood::RepeatsInHeaders => {
            let said = head
                .headers
                .values()
                .filter_map(|value| value.to_str().ok());
            let said: Vec<&str> = said.filter(|value| value.contains("what is")).collect();
            assert_eq!(said, ["what is [redacted], and [redacted]?"], "{what}");
        }
        _ => {}
    }
}
