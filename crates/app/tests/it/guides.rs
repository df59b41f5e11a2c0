//! The guides that people follow, from the first command to the first call: as they are printed, run
//! by `curl`, and the same with an identity provider and with mail in place of the copied link.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::process::Command;

use serde_json::{Value, json};
use testkit::Mailbox;
use testkit::mailbox::Security;

use crate::app::{Answer, MASTER_KEY, Setup, TestApp, each_database};
use crate::sign_in::{PASSWORD, cookies};
use crate::{mail, sso};

/// "UI - Self-Serve" of LiteLLM's documentation.
const SELF_SERVE: [&str; 2] = [
    r#"curl -X POST '<PROXY_BASE_URL>/user/new' \
-H 'Authorization: Bearer <PROXY_MASTER_KEY>' \
-H 'Content-Type: application/json' \
-D '{
    "user_email": "krrishdholakia@gmail.com",
    "user_role": "internal_user" # 👈 THIS ALLOWS USER TO CREATE/VIEW/DELETE THEIR OWN KEYS + SEE THEIR SPEND
}'"#,
    r#"curl -X POST '<PROXY_BASE_URL>/invitation/new' \
-H 'Authorization: Bearer <PROXY_MASTER_KEY>' \
-H 'Content-Type: application/json' \
-D '{
    "user_id": "e9d45c7c-b20b..." # 👈 USER ID FROM STEP 1
}'"#,
];

/// "User Onboarding Guide" of the same.
const ONBOARDING: [&str; 4] = [
    r#"curl -X POST http://localhost:4000/user/new \
  -H "Authorization: Bearer <admin-key>" \
  -H "Content-Type: application/json" \
  -d '{"user_email": "user@example.com"}'"#,
    r#"curl -X POST http://localhost:4000/key/generate \
  -H "Authorization: Bearer <admin-key>" \
  -H "Content-Type: application/json" \
  -d '{"user_id": "<user-id>", "max_budget": 100}'"#,
    MODELS,
    CHAT,
];

const MODELS: &str = r#"curl -X GET http://localhost:4000/v1/models \
  -H "Authorization: Bearer <your-api-key>""#;

const CHAT: &str = r#"curl -X POST http://localhost:4000/v1/chat/completions \
  -H "Authorization: Bearer <your-api-key>" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "gpt-3.5-turbo",
    "messages": [{"role": "user", "content": "Hello!"}]
  }'"#;

/// Runs a printed command in a shell; gives the status and the answer. What a reader fills in is
/// filled in, the remarks beside the JSON are left out, and `-D` is read as the `-d` that was meant.
async fn run(app: &TestApp, printed: &str, filled: &[(&str, &str)]) -> (u16, Value) {
    let lines = printed.lines().map(|line| match line.split_once(" # ") {
        Some((command, _remark)) => command,
        None => line,
    });
    let mut script = lines.collect::<Vec<_>>().join("\n");
    let usual = [
        ("-D '", "-d '"),
        ("<PROXY_BASE_URL>", app.url.as_str()),
        ("http://localhost:4000", app.url.as_str()),
        ("<PROXY_MASTER_KEY>", MASTER_KEY),
        ("<admin-key>", MASTER_KEY),
    ];
    for (from, to) in usual.iter().chain(filled) {
        script = script.replace(from, to);
    }
    script.push_str(" --silent --show-error --write-out '\\n%{http_code}'");
    let run = move || Command::new("bash").arg("-c").arg(script).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said} {:?}", output.stderr);
    let (body, status) = said.rsplit_once('\n').unwrap();
    let body = serde_json::from_str(body).unwrap_or_default();
    (status.parse().unwrap(), body)
}

async fn runs(app: &TestApp, printed: &str, filled: &[(&str, &str)]) -> Value {
    let (status, answer) = run(app, printed, filled).await;
    assert_eq!(status, 200, "{printed}: {answer}");
    answer
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// Sends what a page sends: with the cookie of a session, from the same origin.
async fn from_a_page(app: &TestApp, path: &str, body: Value, cookie: &str) -> Answer {
    let call = app.post(path, body).without_key().header("cookie", cookie);
    call.header("sec-fetch-site", "same-origin").await
}

/// The guide's steps with a key of one's own, made by somebody who has signed in, up to their usage.
async fn first_call(app: &TestApp, cookie: &str) {
    let made = from_a_page(app, "/key/generate", json!({}), cookie).await;
    assert_eq!(made.status, 200, "{made}");
    let key = made.text("/key");
    let key = [("<your-api-key>", key.as_str())];
    let models = runs(app, MODELS, &key).await;
    assert!(!models["data"].as_array().unwrap().is_empty(), "{models}");
    let answer = runs(app, CHAT, &key).await;
    assert!(
        answer["choices"][0]["message"]["content"].is_string(),
        "{answer}"
    );
    let usage = app.get("/user/daily/activity?start_date=2020-01-01&end_date=2100-01-01");
    let usage = usage.without_key().header("cookie", cookie).await;
    assert_eq!(usage.status, 200, "{usage}");
    let calls = &usage.json["metadata"]["total_api_requests"];
    assert_eq!(calls, 1, "{usage}");
    let wrong = [("<your-api-key>", "sk-not-this-one")];
    assert_eq!(run(app, MODELS, &wrong).await.0, 401);
}

/// Signs out as the page does, and learns where to go then.
async fn leave(app: &TestApp, cookie: &str) {
    let settings = app.get("/sso/get/ui_settings").without_key();
    let settings = settings.header("cookie", cookie).await;
    assert_eq!(settings.text("/PROXY_LOGOUT_URL"), "https://www.google.com");
    let out = from_a_page(app, "/session/logout", json!({}), cookie).await;
    assert_eq!(out.status, 200, "{out}");
    let after = app.get("/user/info").without_key().header("cookie", cookie);
    assert_eq!(after.await.status, 401);
}

#[tokio::test]
async fn self_serve_works_as_printed() {
    Setup::default()
        .variable("PROXY_LOGOUT_URL", "https://www.google.com")
        .each_database(async |app| {
            let made = runs(app, SELF_SERVE[0], &[]).await;
            assert_eq!(text(&made, "user_role"), "internal_user");
            let user_id = text(&made, "user_id");
            let filled = [("e9d45c7c-b20b...", user_id)];
            let invited = runs(app, SELF_SERVE[1], &filled).await;
            assert_eq!(text(&invited, "user_id"), user_id);
            assert_eq!(invited["is_accepted"], false);
            let id = text(&invited, "id");
            // <YOUR_PROXY_BASE_URL>/ui/onboarding?id=<id>
            let page = app.get(&format!("/ui/onboarding?id={id}")).without_key();
            let page = page.await;
            let fields = ["id", "user_id", "proof"].map(|name| (name, mail::hidden(&page, name)));
            let mut form: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            form.extend([("password", PASSWORD), ("again", PASSWORD)]);
            let entered = mail::form(app, "/ui/onboarding", &form).await;
            assert_eq!(entered.status, 303, "{entered}");
            // "User logs in via email + password auth"
            let form = [
                ("username", "KrrishDholakia@gmail.com"),
                ("password", PASSWORD),
            ];
            let signed_in = mail::form(app, "/login", &form).await;
            assert_eq!(signed_in.status, 303, "{signed_in}");
            let cookie = cookies(&signed_in);
            first_call(app, &cookie).await;
            leave(app, &cookie).await;
        })
        .await;
}

#[tokio::test]
async fn the_onboarding_guide_works_as_printed() {
    each_database(async |app| {
        let made = runs(app, ONBOARDING[0], &[]).await;
        let filled = [("<user-id>", text(&made, "user_id"))];
        let key = runs(app, ONBOARDING[1], &filled).await;
        assert_eq!(key["max_budget"], 100.0, "{key}");
        assert_eq!(key["user_id"], made["user_id"]);
        let filled = [("<your-api-key>", text(&key, "key"))];
        let models = runs(app, ONBOARDING[2], &filled).await;
        let mut models = models["data"].as_array().unwrap().iter();
        assert!(models.any(|model| model["id"] == "gpt-3.5-turbo"));
        let answer = runs(app, ONBOARDING[3], &filled).await;
        assert!(
            answer["choices"][0]["message"]["content"].is_string(),
            "{answer}"
        );
        let wrong = [("<your-api-key>", "sk-not-this-one")];
        assert_eq!(run(app, ONBOARDING[2], &wrong).await.0, 401);
    })
    .await;
}

#[tokio::test]
async fn self_serve_works_with_an_identity_provider() {
    let (provider, clock) = sso::provider().await;
    sso::setup(&provider, &clock)
        .variable("PROXY_LOGOUT_URL", "https://www.google.com")
        .with("litellm_settings: {default_internal_user_params: {user_role: internal_user}}")
        .each_database(async |app| {
            let came = sso::sign_in(app, &provider).await;
            assert_eq!(came.status, 303, "{came}");
            let cookie = cookies(&came);
            first_call(app, &cookie).await;
            leave(app, &cookie).await;
        })
        .await;
}

#[tokio::test]
async fn self_serve_works_with_a_link_out_of_a_mail() {
    let mailbox = Mailbox::start(Security::None).await;
    let sent = std::cell::Cell::new(0);
    mail::mailing(&mailbox)
        .variable("PROXY_LOGOUT_URL", "https://www.google.com")
        .each_database(async |app| {
            let made = runs(app, SELF_SERVE[0], &[]).await;
            let body = json!({"user_id": made["user_id"], "send_invite_email": true});
            let invited = app.post("/invitation/new", body).await;
            assert_eq!(invited.status, 200, "{invited}");
            sent.set(sent.get() + 1);
            let letter = mailbox.wait_for(sent.get()).await.pop().unwrap();
            let link = letter.link("/ui/onboarding");
            let page = app.get(mail::path(&link)).without_key().await;
            let fields = ["id", "user_id", "proof"].map(|name| (name, mail::hidden(&page, name)));
            let mut form: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            form.extend([("password", PASSWORD), ("again", PASSWORD)]);
            let entered = mail::form(app, "/gate/ui/onboarding", &form).await;
            assert_eq!(entered.status, 303, "{entered}");
            let cookie = cookies(&entered);
            first_call(app, &cookie).await;
            leave(app, &cookie).await;
        })
        .await;
}
