//! The guide of a bring-your-own-key service, command by command as it is printed: signing in, setting
//! one's keys, seeing the models they open, calling one, and what it was billed.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use http::Method;
use serde_json::{Value, json};
use testkit::Reply;
use testkit::provider::Received;

use crate::app::{Answer, Setup, TestApp};
use crate::sign_in::{PASSWORD, member};

/// What readers of the guide type. The words in capitals and the key are theirs to fill in.
const LOGIN: &str = r#"curl -X POST "http://localhost:8000/v2/login/access-token" \
  -H "Content-Type: application/x-www-form-urlencoded" \
  -d "username=your@email.com&password=yourpassword""#;
const STATUS: &str = r#"curl -X GET "http://localhost:8000/v2/users/me/api-key-status" \
  -H "Authorization: Bearer $TOKEN""#;
const ADD: &str = r#"curl -X PATCH "http://localhost:8000/v2/users/me/api-key" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"anthropic_api_key": "sk-ant-api03-YOUR-REAL-KEY-HERE"}'"#;
const BOTH: &str = r#"curl -X PATCH "http://localhost:8000/v2/users/me/api-key" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "anthropic_api_key": "sk-ant-YOUR-KEY-HERE",
    "openai_api_key": "sk-YOUR-KEY-HERE"
  }'"#;
const MODELS: &str = r#"curl "http://localhost:8000/v2/llm-models/?is_active=true" \
  -H "Authorization: Bearer $TOKEN""#;
const CHAT: &str = r#"curl -X POST "http://localhost:8000/v2/llm/chat/completions" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "model_id": "564e8710-43a9-406f-b0ab-e8d651a33e82",
    "messages": [{"role": "user", "content": "Hello!"}],
    "max_tokens": 1024,
    "temperature": 0.7
  }'"#;
const DELETE: &str = r#"curl -X DELETE "http://localhost:8000/v2/users/me/api-key" \
  -H "Authorization: Bearer YOUR_ACCESS_TOKEN""#;

const ANTHROPIC: &str = "sk-ant-api03-Zk3x4A9qw7LpRr0yT5-AAA1";
const OPENAI: &str = "sk-proj-Qm7ZrT2pLx9vK4wBn8sYd3fG6hJ1cA5e";
const SYSTEM: &str = "sk-ant-api03-Of0The9Gateway7Kk2-BBB2";

/// The words of a shell's line.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut is_begun) = (String::new(), false);
    let mut letters = line.chars();
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\\') => drop(letters.next()),
            (None, '"' | '\'') => (quote, is_begun) = (Some(letter), true),
            (Some(open), _) if open == letter => quote = None,
            (None, _) if letter.is_whitespace() => {
                if is_begun {
                    words.push(std::mem::take(&mut word));
                }
                is_begun = false;
            }
            _ => {
                word.push(letter);
                is_begun = true;
            }
        }
    }
    words.extend(is_begun.then_some(word));
    words
}

/// Runs a command of the guide, with what its reader fills in.
async fn run(app: &TestApp, command: &str, own: &[(&str, &str)]) -> Answer {
    let mut command = command.to_owned();
    for (printed, mine) in own {
        assert!(command.contains(printed), "{printed} is not in {command}");
        command = command.replace(printed, mine);
    }
    let mut words = words(&command).into_iter().skip(1);
    let (mut method, mut path, mut body) = (None, String::new(), None);
    let mut headers = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => method = words.next(),
            "-H" => headers.extend(words.next()),
            "-d" => body = words.next(),
            url => {
                path = url
                    .strip_prefix("http://localhost:8000")
                    .unwrap()
                    .to_owned()
            }
        }
    }
    let method: Method = method.map_or(Method::GET, |method| method.parse().unwrap());
    let mut call = app.call(method, &path, None).without_key();
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        call = match name {
            "Authorization" => call.header("authorization", value),
            "Content-Type" => call.header("content-type", value),
            other => panic!("the guide sends no {other}"),
        };
    }
    call.body(body.unwrap_or_default()).await
}

/// A provider of both protocols.
fn speak(request: &Received) -> Reply {
    match request.path.ends_with("/messages") {
        true => Reply::json(
            &json!({"id": "msg_1", "type": "message", "role": "assistant",
            "model": "claude", "content": [{"type": "text", "text": "Hello"}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 1000, "output_tokens": 500}}),
        ),
        false => Reply::plausible(),
    }
}

fn flags(status: &Answer) -> [bool; 3] {
    ["anthropic", "openai", "google"]
        .map(|name| status.json[format!("has_{name}_key")].as_bool().unwrap())
}

/// A gateway without a configuration file, and the fake provider in the place of the real ones.
pub fn setup() -> Setup {
    Setup::default()
        .config("")
        .variable("ANTHROPIC_BASE_URL", "PROVIDER")
        .variable("OPENAI_BASE_URL", "PROVIDER")
        .variable("TOLLGATE_BYOK_CUSTOM_HOSTS", "allow")
}

/// Signs in with the guide's command; gives the token.
async fn begin(app: &TestApp) -> String {
    app.provider.otherwise(speak);
    member(app, "your@email.com").await;
    let login = run(app, LOGIN, &[("yourpassword", PASSWORD)]).await;
    assert_eq!(login.status, 200, "{login}");
    login.text("/access_token")
}

#[tokio::test]
async fn the_guide_works_as_printed() {
    setup()
        .each_database(async |app| {
            let token = begin(app).await;
            let own = [("$TOKEN", token.as_str())];
            let status = run(app, STATUS, &own).await;
            assert_eq!(flags(&status), [false; 3], "{status}");
            let none = run(app, MODELS, &own).await;
            assert_eq!(
                (&none.json["data"], &none.json["count"]),
                (&json!([]), &json!(0))
            );

            let placeholder = run(app, ADD, &own).await;
            assert_eq!(placeholder.status, 400, "{placeholder}");
            assert!(
                placeholder.text("/detail").contains("Anthropic"),
                "{placeholder}"
            );
            let key = [own[0], ("sk-ant-api03-YOUR-REAL-KEY-HERE", ANTHROPIC)];
            let added = run(app, ADD, &key).await;
            assert_eq!(
                added.json,
                json!({"message": "API keys updated successfully"}),
                "{added}"
            );
            let status = run(app, STATUS, &own).await;
            assert_eq!(flags(&status), [true, false, false], "{status}");
            let anthropic = &status.json["providers"]["anthropic"];
            assert_eq!(
                (&anthropic["source"], &anthropic["last4"]),
                (&json!("personal"), &json!("AAA1"))
            );

            let models = run(app, MODELS, &own).await;
            let rows = models.json["data"].as_array().unwrap();
            assert!(!rows.is_empty(), "{models}");
            for row in rows {
                assert_eq!(
                    (&row["provider"], &row["is_active"]),
                    (&json!("anthropic"), &json!(true))
                );
            }
            let (id, name) = (
                rows[0]["id"].as_str().unwrap(),
                rows[0]["name"].as_str().unwrap(),
            );
            for model in [id, rows[0]["model_id"].as_str().unwrap(), name] {
                let filled = [own[0], ("564e8710-43a9-406f-b0ab-e8d651a33e82", model)];
                let answer = run(app, CHAT, &filled).await;
                assert_eq!(answer.status, 200, "{model}: {answer}");
                assert_eq!(answer.json["content"], "Hello");
                assert_eq!(answer.json["key_source"], "personal", "{answer}");
                let seen = app.provider.last_request();
                assert_eq!(seen.header("x-api-key"), ANTHROPIC);
                assert_eq!(seen.json()["max_tokens"], 1024);
            }
            let filled = [
                ("YOUR_ACCESS_TOKEN", token.as_str()),
                ("sk-ant-YOUR-KEY-HERE", ANTHROPIC),
                ("sk-YOUR-KEY-HERE", OPENAI),
            ];
            assert_eq!(run(app, BOTH, &filled).await.status, 200);
            assert_eq!(flags(&run(app, STATUS, &own).await), [true, true, false]);

            let removed = run(app, DELETE, &filled[..1]).await;
            assert_eq!(
                removed.json,
                json!({"message": "API keys removed successfully"})
            );
            assert_eq!(run(app, DELETE, &filled[..1]).await.status, 200, "again");
            assert_eq!(flags(&run(app, STATUS, &own).await), [false; 3]);
            assert_eq!(run(app, MODELS, &own).await.json["count"], 0);
        })
        .await;
}

async fn ask(app: &TestApp, token: &str, model: &str) -> Answer {
    let filled = [
        ("$TOKEN", token),
        ("564e8710-43a9-406f-b0ab-e8d651a33e82", model),
    ];
    run(app, CHAT, &filled).await
}

#[tokio::test]
async fn the_personal_key_comes_first_then_the_system_s_then_an_error() {
    setup()
        .each_database(async |app| {
            let token = begin(app).await;
            let model = "claude-sonnet-4-5";
            let patch = |path: &str, token: &str, body: Value| {
                app.call(Method::PATCH, path, Some(body)).with_key(token)
            };
            let nobody = ask(app, &token, model).await;
            assert_eq!(nobody.status, 400, "{nobody}");
            let text = "No API key configured for anthropic. Please set your API key in settings.";
            assert_eq!(nobody.json["detail"], text);

            let keys = "/v2/admin/llm-keys/";
            let set = patch(
                keys,
                crate::app::MASTER_KEY,
                json!({"anthropic_api_key": SYSTEM}),
            )
            .await;
            assert_eq!(
                set.json["message"], "System API keys updated successfully",
                "{set}"
            );
            let shown = app.get(keys).await;
            assert_eq!(shown.json["anthropic_masked"], "...BBB2", "{shown}");
            assert_eq!(shown.json["openai_configured"], false);
            let refused = json!({"openai_api_key": "sk-proj-your-key-here-xxxx"});
            assert_eq!(
                patch(keys, crate::app::MASTER_KEY, refused).await.status,
                400
            );
            let system = ask(app, &token, model).await;
            assert_eq!(system.json["key_source"], "system", "{system}");
            assert_eq!(app.provider.last_request().header("x-api-key"), SYSTEM);

            let own = "/v2/users/me/api-key";
            assert_eq!(
                patch(own, &token, json!({"anthropic_api_key": ANTHROPIC}))
                    .await
                    .status,
                200
            );
            let openai = patch(
                own,
                &token,
                json!({"openai_api_key": OPENAI, "anthropic_api_key": null}),
            );
            assert_eq!(openai.await.status, 200);
            assert_eq!(ask(app, &token, model).await.json["key_source"], "personal");
            assert_eq!(app.provider.last_request().header("x-api-key"), ANTHROPIC);
            crate::v2::person(app, "bob@example.com").await;
            let bob = crate::v2::sign_in(app, "bob@example.com", PASSWORD)
                .await
                .text("/access_token");
            assert_eq!(ask(app, &bob, model).await.json["key_source"], "system");
            assert_eq!(app.provider.last_request().header("x-api-key"), SYSTEM);

            app.provider.reply(Reply::error(
                401,
                "authentication_error",
                "invalid x-api-key",
            ));
            let rejected = ask(app, &token, model).await;
            assert_eq!(rejected.status, 400, "{rejected}");
            assert_eq!(rejected.json["code"], "provider_key_rejected");
            assert!(
                rejected.text("/detail").starts_with("LLM API error: "),
                "{rejected}"
            );

            let usage = app
                .get("/v2/billing/usage/my-usage?days=30")
                .with_key(&token)
                .await;
            assert_eq!(usage.json["total_requests"], 2, "{usage}");
            let sources = usage.json["by_key_source"].as_array().unwrap();
            assert_eq!(sources.len(), 2, "{usage}");
            assert!(sources.iter().all(|source| source["total_requests"] == 1));

            for body in [
                json!({"anthropic_api_key": "   "}),
                json!({"openai_api_key": "your-key-here"}),
            ] {
                let answer = patch(own, &token, body).await;
                assert_eq!(answer.status, 400, "{answer}");
            }
            let number = patch(own, &token, json!({"anthropic_api_key": 5})).await;
            assert_eq!(number.json["detail"][0]["type"], "string_type", "{number}");
            let one = app
                .call(Method::DELETE, &format!("{own}/anthropic"), None)
                .with_key(&token);
            assert_eq!(one.await.json["message"], "API key removed successfully");
            let emptied = patch(own, &token, json!({"openai_api_key": ""})).await;
            assert_eq!(emptied.status, 200, "{emptied}");
            assert_eq!(
                flags(&run(app, STATUS, &[("$TOKEN", &token)]).await),
                [false; 3]
            );
            assert_eq!(ask(app, &token, model).await.json["key_source"], "system");
            let test = app
                .post(&format!("{own}/openai/test"), json!({}))
                .with_key(&token)
                .await;
            assert_eq!(test.status, 404, "{test}");
        })
        .await;
}
