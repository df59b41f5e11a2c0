//! Mail over a real connection to a mail server: what is sent, how it is protected, and what becomes
//! of it when the server does not take it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::Duration;

use base::{Clock, Millis};
use domain::mail::{Encryption, deliver_due};
use serde_json::{Value, json};
use testkit::Mailbox;
use testkit::mailbox::{CERTIFICATE, Security};

use crate::app::{Setup, TestApp};
use crate::sign_in::{PASSWORD, claims, cookies, login, member};

/// A gateway that mails to this server.
pub fn mailing(mailbox: &Mailbox) -> Setup {
    Setup::default()
        .variable("SMTP_HOST", "localhost")
        .variable("SMTP_PORT", &mailbox.port.to_string())
        .variable("SMTP_TLS", "False")
        .variable("SMTP_SENDER_EMAIL", "Tollgate <gate@example.com>")
        .variable("PUBLIC_URL", "https://llm.example.com")
        .variable("SERVER_ROOT_PATH", "/gate")
        .variable("EMAIL_SUPPORT_CONTACT", "help@example.com")
}

/// What stands behind the public address in a link.
pub fn path(link: &str) -> &str {
    link.strip_prefix("https://llm.example.com")
        .expect("our public address")
}

pub async fn form(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> crate::app::Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let call = app
        .call(http::Method::POST, path, None)
        .without_key()
        .body(form);
    call.header("content-type", "application/x-www-form-urlencoded")
        .await
}

pub fn hidden(page: &crate::app::Answer, name: &str) -> String {
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let start = html.split_once(&format!("name=\"{name}\" value=\""));
    let start = start
        .unwrap_or_else(|| panic!("no field {name} in {html}"))
        .1;
    start.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_invitation_is_mailed_and_its_link_leads_in() {
    let mailbox = Mailbox::start(Security::None).await;
    let before = std::cell::Cell::new(0);
    mailing(&mailbox)
        .each_database(async |app| {
            let user = json!({"user_email": "ada@example.com", "user_role": "internal_user",
                "send_invite_email": true});
            let made = app.post("/user/new", user).await;
            assert_eq!(made.status, 200, "{made}");
            before.set(before.get() + 1);
            let mail = mailbox.wait_for(before.get()).await.pop().unwrap();
            assert_eq!(mail.from, "gate@example.com");
            assert_eq!(mail.to, ["ada@example.com"]);
            assert!(mail.header("Subject").contains("invited"), "{}", mail.raw);
            assert!(
                mail.header("Content-Type")
                    .starts_with("multipart/alternative")
            );
            assert!(mail.raw.contains("text/plain") && mail.raw.contains("text/html"));
            let link = mail.link("/ui/onboarding");
            assert!(
                link.starts_with("https://llm.example.com/gate/ui/onboarding?id="),
                "{link}"
            );

            let page = app.get(path(&link)).without_key().await;
            assert_eq!(page.status, 200, "{page}");
            let (id, user_id, proof) = (
                hidden(&page, "id"),
                hidden(&page, "user_id"),
                hidden(&page, "proof"),
            );
            let entered = form(
                app,
                "/gate/ui/onboarding",
                &[
                    ("id", &id),
                    ("user_id", &user_id),
                    ("proof", &proof),
                    ("password", PASSWORD),
                    ("again", PASSWORD),
                ],
            )
            .await;
            assert_eq!(entered.status, 303, "{entered}");
            let me = app
                .get("/user/info")
                .without_key()
                .header("cookie", &cookies(&entered))
                .await;
            assert_eq!(
                me.json["user_info"]["user_email"], "ada@example.com",
                "{me}"
            );
            let outbox = app.get("/email/outbox").await;
            assert_eq!(outbox.text("/mails/0/status"), "sent", "{outbox}");
            assert!(
                !outbox.to_string().contains(&id),
                "the outbox shows no link"
            );
        })
        .await;
}

#[tokio::test]
async fn a_lost_password_is_set_by_a_link_that_works_once() {
    let mailbox = Mailbox::start(Security::None).await;
    let clock = Clock::fixed(Millis(1_800_000_000_000));
    let before = std::cell::Cell::new(0);
    mailing(&mailbox)
        .clock(clock.clone())
        .each_database(async |app| {
            member(app, "ada@example.com").await;
            let (_, session) = {
                let answer = login(app, "ada@example.com", PASSWORD).await;
                let key = claims(&answer.text("/token"))["key"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                (answer, key)
            };
            let forgot = |email: &str| {
                app.post("/user/password/forgot", json!({"email": email}))
                    .without_key()
            };
            let unknown = forgot("nobody@example.com").await;
            let known = forgot("ADA@example.com").await;
            assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
            before.set(before.get() + 1);
            let mails = mailbox.wait_for(before.get()).await;
            let mail = mails.last().unwrap();
            assert_eq!(mail.to, ["ada@example.com"]);
            let link = mail.link("/ui/password/reset");

            let page = app.get(path(&link)).without_key().await;
            let token = hidden(&page, "token");
            let reset = async |password: &str| {
                let fields = [
                    ("token", token.as_str()),
                    ("password", password),
                    ("again", password),
                ];
                form(app, "/ui/password/reset", &fields).await
            };
            assert_eq!(reset("short").await.status, 400);
            assert_eq!(reset("An0ther-Passw0rd!").await.status, 303);
            assert_eq!(
                reset("A-Third-Passw0rd!").await.status,
                401,
                "it works once"
            );
            assert_eq!(app.get(path(&link)).without_key().await.status, 401);
            assert_eq!(app.get("/user/info").with_key(&session).await.status, 401);
            assert_eq!(login(app, "ada@example.com", PASSWORD).await.status, 401);
            assert_eq!(
                login(app, "ada@example.com", "An0ther-Passw0rd!")
                    .await
                    .status,
                200
            );
            before.set(before.get() + 1);
            let told = mailbox.wait_for(before.get()).await.pop().unwrap();
            assert!(told.header("Subject").contains("changed"), "{}", told.raw);

            forgot("ada@example.com").await;
            before.set(before.get() + 1);
            let mail = mailbox.wait_for(before.get()).await.pop().unwrap();
            clock.advance(Duration::from_secs(60 * 60));
            let late = mail.link("/ui/password/reset");
            assert_eq!(app.get(path(&late)).without_key().await.status, 401);
        })
        .await;
}

#[tokio::test]
async fn mail_is_encrypted_where_it_is_to_be() {
    for (security, port_variable, encryption) in [
        (
            Security::StartTls,
            ("SMTP_TLS", "True"),
            Encryption::StartTls,
        ),
        (Security::Tls, ("SMTP_USE_SSL", "True"), Encryption::Tls),
    ] {
        let mailbox = Mailbox::start(security).await;
        let folder = testkit::sqlite().await;
        let file = folder.folder.path().join("authority.pem");
        std::fs::write(&file, CERTIFICATE).unwrap();
        let setup = mailing(&mailbox)
            .variable(port_variable.0, port_variable.1)
            .variable("SMTP_USERNAME", "gate")
            .variable("SMTP_PASSWORD", "secret of the gate")
            .variable("SMTP_CA_FILE", &file.display().to_string());
        let mut app = TestApp::start(setup, folder).await;
        let config = app.domain().config.mail.clone().unwrap();
        assert_eq!(config.encryption, encryption);
        let tested = app.get("/health/services?service=email").await;
        assert_eq!(tested.status, 200, "{tested}");
        let mail = mailbox.wait_for(1).await.pop().unwrap();
        assert!(mail.was_encrypted);
        let login = Some(("gate".to_owned(), "secret of the gate".to_owned()));
        assert_eq!(mail.login, login);
        app.stop().await;
    }
    // a server without TLS, or with a certificate that nobody vouches for, gets nothing
    for security in [Security::None, Security::StartTls] {
        let mailbox = Mailbox::start(security).await;
        let mut app = mailing(&mailbox).variable("SMTP_TLS", "True").start().await;
        let tested = app.get("/health/services?service=email").await;
        assert_eq!(tested.status, 502, "{tested}");
        assert_eq!(mailbox.mails().len(), 0);
        app.stop().await;
    }
}

#[tokio::test]
async fn mail_that_is_not_taken_is_tried_again_and_given_up_visibly() {
    let mailbox = Mailbox::start(Security::None).await;
    let clock = Clock::fixed(Millis(1_800_000_000_000));
    let before = std::cell::Cell::new(0);
    mailing(&mailbox)
        .clock(clock.clone())
        .each_database(async |app| {
            mailbox.refuse(Some("451 come back later"));
            let invite = async |email: &str| {
                let user = json!({"user_email": email, "send_invite_email": true});
                let made = app.post("/user/new", user).await;
                assert_eq!(made.status, 200, "the change happens all the same: {made}");
            };
            let first = async || app.get("/email/outbox").await.json["mails"][0].clone();
            invite("ada@example.com").await;
            wait_until(async || first().await["last_error"].is_string()).await;
            let waiting = first().await;
            assert_eq!(waiting["status"], "waiting");
            assert!(
                waiting["last_error"]
                    .as_str()
                    .unwrap()
                    .contains("come back later"),
                "{waiting}"
            );
            mailbox.refuse(None);
            clock.advance(Duration::from_secs(30));
            deliver_due(app.domain()).await.unwrap();
            before.set(before.get() + 1);
            mailbox.wait_for(before.get()).await;
            wait_until(async || first().await["status"] == "sent").await;

            mailbox.refuse(Some("550 no such mailbox"));
            clock.advance(Duration::from_secs(1));
            invite("gone@example.com").await;
            wait_until(async || first().await["status"] == "failed").await;
            assert_eq!(first().await["attempts"], 1);

            mailbox.refuse(Some("451 come back later"));
            clock.advance(Duration::from_secs(1));
            invite("later@example.com").await;
            wait_until(async || first().await["last_error"].is_string()).await;
            for _ in 0..10 {
                clock.advance(Duration::from_secs(13 * 60 * 60));
                deliver_due(app.domain()).await.unwrap();
            }
            let failed = first().await;
            assert_eq!(
                (&failed["status"], &failed["attempts"]),
                (&json!("failed"), &json!(9))
            );
            mailbox.refuse(None);
        })
        .await;
}

/// Waits for something that will happen.
async fn wait_until(holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(testkit::PATIENCE, wait)
        .await
        .expect("it happens in time");
}

#[tokio::test]
async fn nothing_that_people_name_becomes_a_header() {
    let mailbox = Mailbox::start(Security::None).await;
    let before = std::cell::Cell::new(0);
    mailing(&mailbox)
        .each_database(async |app| {
            for email in [
                "a@b.example\r\nBcc: all@example.com",
                "a@b\nx",
                "<a@b>",
                "a b@c.example",
            ] {
                let user = json!({"user_email": email, "send_invite_email": true});
                let answer = app.post("/user/new", user).await;
                assert!(matches!(answer.status, 200 | 400), "{email}: {answer}");
            }
            let made = app
                .post("/user/new", json!({"user_email": "ada@example.com"}))
                .await;
            let key = json!({"user_id": made.text("/user_id"), "send_invite_email": true,
                "key_alias": "mine\r\nBcc: all@example.com", "max_budget": 12.5});
            let key = app.post("/key/generate", key).await;
            assert_eq!(key.status, 200, "{key}");
            before.set(before.get() + 1);
            let mail = mailbox.wait_for(before.get()).await.pop().unwrap();
            assert_eq!(mail.to, ["ada@example.com"]);
            assert_eq!(mail.header("Bcc"), "");
            assert!(!mail.text().contains(&key.text("/key")), "no key is mailed");
            assert!(mail.text().contains("$12.5"), "{}", mail.text());
        })
        .await;
}

#[tokio::test]
async fn budgets_are_told_of_once_a_threshold() {
    let mailbox = Mailbox::start(Security::None).await;
    let before = std::cell::Cell::new(0);
    mailing(&mailbox)
        .each_database(async |app| {
            let user = json!({"user_id": "ada", "user_email": "ada@example.com", "max_budget": 10,
                "soft_budget": 5});
            app.post("/user/new", user).await;
            let look = async |spend: f64| {
                let body = json!({"user_id": "ada", "spend": spend});
                assert_eq!(app.post("/user/update", body).await.status, 200);
                for _ in 0..2 {
                    let looked = domain::budget_warnings::look(app.domain(), Millis(0)).await;
                    looked.unwrap();
                }
            };
            look(4.0).await;
            let mut subjects = Vec::new();
            for (spend, mails) in [(6.0, 1), (8.5, 1), (9.0, 0), (10.5, 1)] {
                look(spend).await;
                before.set(before.get() + mails);
                let all = mailbox.wait_for(before.get()).await;
                assert_eq!(all.len(), before.get(), "after {spend}");
                subjects.push(all.last().unwrap().header("Subject").to_owned());
            }
            assert!(
                subjects[0].starts_with("Soft budget crossed"),
                "{subjects:?}"
            );
            assert!(
                subjects[1].starts_with("Budget nearly used up"),
                "{subjects:?}"
            );
            assert!(subjects[3].starts_with("Budget used up"), "{subjects:?}");

            let off = json!({"settings": [{"event": "Max Budget Alert", "enabled": false}]});
            let off = app
                .call(http::Method::PATCH, "/email/event_settings", Some(off))
                .await;
            assert_eq!(off.status, 200, "{off}");
            let listed: Vec<Value> = off.json["settings"].as_array().unwrap().clone();
            assert!(listed.contains(&json!({"event": "Max Budget Alert", "enabled": false})));
            assert!(listed.contains(&json!({"event": "Virtual Key Created", "enabled": true})));
            app.post(
                "/user/update",
                json!({"user_id": "ada", "max_budget": 10.2}),
            )
            .await;
            look(10.6).await;
            assert_eq!(mailbox.mails().len(), before.get());
            let on = app.post("/email/event_settings/reset", json!({})).await;
            assert_eq!(on.status, 200, "{on}");
            let wrong = json!({"settings": [{"event": "Nothing", "enabled": false}]});
            let wrong = app
                .call(http::Method::PATCH, "/email/event_settings", Some(wrong))
                .await;
            assert_eq!(wrong.status, 400, "{wrong}");
        })
        .await;
}

#[tokio::test]
async fn who_administers_an_organization_is_told_of_its_budget_and_members_of_theirs() {
    let mailbox = Mailbox::start(Security::None).await;
    let before = std::cell::Cell::new(0);
    mailing(&mailbox)
        .each_database(async |app| {
            let organization = json!({"organization_id": "acme", "organization_alias": "Acme",
                "max_budget": 0.000_001});
            assert_eq!(
                app.post("/organization/new", organization).await.status,
                200
            );
            for (id, role) in [("boss", "org_admin"), ("ada", "internal_user")] {
                let user = json!({"user_id": id, "user_email": format!("{id}@example.com"),
                    "auto_create_key": false});
                assert_eq!(app.post("/user/new", user).await.status, 200);
                let member = json!({"organization_id": "acme",
                    "member": {"role": role, "user_id": id},
                    "max_budget_in_organization": 0.000_001});
                assert_eq!(
                    app.post("/organization/member_add", member).await.status,
                    200
                );
            }
            let team = json!({"team_id": "t", "organization_id": "acme",
                "members_with_roles": [{"role": "user", "user_id": "ada"}]});
            assert_eq!(app.post("/team/new", team).await.status, 200);
            let key = json!({"user_id": "ada", "team_id": "t"});
            let made = app.post("/key/generate", key).await;
            let key = made.text("/key");
            let call = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
            let call = app.post("/v1/chat/completions", call).with_key(&key).await;
            assert_eq!(call.status, 200, "{call}");
            app.domain().ledger.flush().await.unwrap();
            domain::budget_warnings::look(app.domain(), Millis(0))
                .await
                .unwrap();
            let told = async || {
                let mails = mailbox.mails();
                let new = mails[before.get()..].iter();
                let new = new.filter(|mail| mail.header("Subject").contains("udget"));
                let mut told: Vec<(String, bool)> = new
                    .map(|mail| {
                        (
                            mail.to[0].clone(),
                            mail.raw.contains("the organization Acme"),
                        )
                    })
                    .collect();
                told.sort();
                told
            };
            wait_until(async || told().await.len() >= 2).await;
            let expected = [
                ("ada@example.com".to_owned(), true),
                ("boss@example.com".to_owned(), true),
            ];
            assert_eq!(told().await, expected);
            before.set(mailbox.mails().len());
        })
        .await;
}

#[tokio::test]
async fn keys_that_are_due_that_expire_and_that_are_bait_are_written_about() {
    let mailbox = Mailbox::start(Security::None).await;
    let before = std::cell::Cell::new(0);
    let start = Millis::parse("2026-03-10T12:00:00Z").unwrap();
    mailing(&mailbox)
        .clock(Clock::fixed(start))
        .each_database(async |app| {
            for (id, role) in [("boss", "proxy_admin"), ("ada", "internal_user")] {
                let user = json!({"user_id": id, "user_email": format!("{id}@example.com"),
                    "user_role": role, "auto_create_key": false});
                assert_eq!(app.post("/user/new", user).await.status, 200);
            }
            let mut keys = Vec::new();
            for body in [
                json!({"user_id": "ada", "key_alias": "svc", "auto_rotate": true,
                    "rotation_interval": "1d"}),
                json!({"user_id": "ada", "key_alias": "ends", "duration": "8d"}),
                json!({"key_alias": "bait", "canary": true}),
            ] {
                keys.push(app.post("/key/generate", body).await.text("/key"));
            }
            assert_eq!(app.get("/key/info").with_key(&keys[2]).await.status, 401);
            app.clock.advance(Duration::from_secs(24 * 60 * 60));
            domain::keys::life::tend(app.domain()).await.unwrap();
            let claimed = app.post("/key/claim", json!({})).with_key(&keys[0]).await;
            assert_eq!(claimed.status, 200, "{claimed}");
            keys.push(claimed.text("/key"));
            let expected = [
                (
                    "ada@example.com",
                    "An API key of yours is due to be replaced",
                    "svc",
                ),
                ("ada@example.com", "An API key of yours will expire", "ends"),
                ("ada@example.com", "Your API key was rotated", "svc"),
                ("boss@example.com", "Alarm: bait was used", "bait"),
            ];
            let is_there = |(to, subject, word): &(&str, &str, &str)| {
                let mails = mailbox.mails();
                mails[before.get()..].iter().any(|mail| {
                    mail.to == [*to]
                        && mail.header("Subject") == *subject
                        && mail.raw.contains(word)
                })
            };
            wait_until(async || {
                deliver_due(app.domain()).await.unwrap();
                expected.iter().all(is_there)
            })
            .await;
            for mail in &mailbox.mails()[before.get()..] {
                assert!(
                    !keys.iter().any(|key| mail.raw.contains(key)),
                    "{}",
                    mail.raw
                );
            }
            before.set(mailbox.mails().len());
        })
        .await;
}
