//! Invitations: a link that works once, and the self-serve path from the first command to the first
//! call.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::Duration;

use base::{Clock, Millis};
use http::Method;
use serde_json::{Value, json};

use crate::app::{MASTER_KEY, Setup, TestApp, each_database};
use crate::golden::Golden;
use crate::sign_in::{PASSWORD, accept, claims, cookies, login, member};

async fn invited(app: &TestApp, user_id: &str) -> String {
    let invited = app
        .post("/invitation/new", json!({"user_id": user_id}))
        .await;
    assert_eq!(invited.status, 200, "{invited}");
    invited.text("/id")
}

async fn proof(app: &TestApp, id: &str) -> String {
    let opened = app
        .get(&format!("/onboarding/get_token?invite_link={id}"))
        .without_key()
        .await;
    assert_eq!(opened.status, 200, "{opened}");
    claims(&opened.text("/token"))["key"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn claim(id: &str, user_id: &str, password: &str) -> Value {
    json!({"invitation_link": id, "user_id": user_id, "password": password})
}

#[tokio::test]
async fn the_self_serve_path_of_the_guide_works_as_printed() {
    each_database(async |app| {
        let email = "krrish@example.com";
        let made = app
            .post(
                "/user/new",
                json!({"user_email": email, "user_role": "internal_user"}),
            )
            .await;
        let user_id = made.text("/user_id");
        let invitation = app
            .post("/invitation/new", json!({"user_id": user_id}))
            .await;
        let object = invitation.json.as_object().unwrap();
        assert_eq!(object.len(), 9, "{invitation}");
        assert_eq!(object["is_accepted"], false);
        assert_eq!(object["created_by"], "default_user_id");
        let id = invitation.text("/id");

        // the link, as a browser follows it
        let page = app
            .get(&format!("/ui/onboarding?id={id}"))
            .without_key()
            .await;
        let html = String::from_utf8_lossy(&page.body).into_owned();
        assert_eq!(page.status, 200, "{html}");
        assert!(html.contains(email), "{html}");
        let field = |name: &str| {
            let start = html
                .split_once(&format!("name=\"{name}\" value=\""))
                .unwrap()
                .1;
            start.split('"').next().unwrap().to_owned()
        };
        let form = |password: &str, again: &str| {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("id", &field("id"))
                .append_pair("user_id", &field("user_id"))
                .append_pair("proof", &field("proof"))
                .append_pair("password", password)
                .append_pair("again", again)
                .finish();
            let call = app
                .call(Method::POST, "/ui/onboarding", None)
                .without_key()
                .body(form);
            call.header("content-type", "application/x-www-form-urlencoded")
        };
        for (password, again) in [("short", "short"), (PASSWORD, "another one")] {
            let again = form(password, again).await;
            assert_eq!(again.status, 400);
            assert!(String::from_utf8_lossy(&again.body).contains("role=\"alert\""));
        }
        let entered = form(PASSWORD, PASSWORD).await;
        assert_eq!(
            (entered.status, entered.header("location")),
            (303, "/ui?login=success")
        );
        let cookie = cookies(&entered);
        let used = app
            .get(&format!("/ui/onboarding?id={id}"))
            .without_key()
            .await;
        assert_eq!(used.status, 401);

        let key = app
            .post("/key/generate", json!({"key_alias": "mine"}))
            .without_key();
        let key = key
            .header("cookie", &cookie)
            .header("sec-fetch-site", "same-origin")
            .await;
        assert_eq!(key.json["user_id"], user_id.as_str(), "{key}");
        let key = key.text("/key");
        assert_eq!(app.get("/v1/models").with_key(&key).await.status, 200);
        assert_eq!(app.get("/v1/models").with_key("sk-wrong").await.status, 401);
        let call =
            json!({"model": "mock-model", "messages": [{"role": "user", "content": "Hello!"}]});
        assert_eq!(
            app.post("/v1/chat/completions", call)
                .with_key(&key)
                .await
                .status,
            200
        );
        assert_eq!(login(app, email, PASSWORD).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn an_invitation_works_once_and_for_seven_days() {
    let clock = Clock::fixed(Millis(1_800_000_000_000));
    Setup::default()
        .clock(clock.clone())
        .each_database(async |app| {
            let user = json!({"user_id": "ada", "user_email": "ada@example.com"});
            app.post("/user/new", user).await;
            let open = async |id: &str| {
                let path = format!("/onboarding/get_token?invite_link={id}");
                let answer = app.get(&path).without_key().await;
                (
                    answer.status,
                    answer.json["detail"]["error"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                )
            };
            let id = invited(app, "ada").await;
            let opened = proof(app, &id).await;
            assert_eq!(proof(app, &id).await, opened, "looking does not use it up");
            let weak = claim(&id, "ada", "short");
            let weak = app
                .post("/onboarding/claim_token", weak)
                .with_key(&opened)
                .await;
            assert_eq!(
                (weak.status, weak.text("/error/param").as_str()),
                (400, "password")
            );
            let body = claim(&id, "ada", PASSWORD);
            let claimed = app
                .post("/onboarding/claim_token", body.clone())
                .with_key(&opened)
                .await;
            assert_eq!(claimed.status, 200, "{claimed}");
            let again = app
                .post("/onboarding/claim_token", body)
                .with_key(&opened)
                .await;
            assert_eq!(again.status, 401, "{again}");
            assert_eq!(
                open(&id).await,
                (401, "Invitation link has already been used.".to_owned())
            );

            let id = invited(app, "ada").await;
            let opened = proof(app, &id).await;
            clock.advance(Duration::from_secs(15 * 60));
            let body = claim(&id, "ada", PASSWORD);
            let late = app
                .post("/onboarding/claim_token", body)
                .with_key(&opened)
                .await;
            assert_eq!(late.status, 401, "the page was open too long: {late}");
            proof(app, &id).await;
            clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
            assert_eq!(
                open(&id).await,
                (401, "Invitation link has expired.".to_owned())
            );

            let id = invited(app, "ada").await;
            let gone = app
                .post("/invitation/delete", json!({"invitation_id": id}))
                .await;
            assert_eq!(gone.status, 200, "{gone}");
            assert_eq!(
                open(&id).await,
                (401, "Invitation link does not exist in db.".to_owned())
            );

            let (first, second) = (invited(app, "ada").await, invited(app, "ada").await);
            proof(app, &first).await;
            let body = json!({"user_id": "ada", "replace": true});
            let third = app.post("/invitation/new", body).await.text("/id");
            for gone in [first, second] {
                assert_eq!(open(&gone).await.0, 401);
            }
            proof(app, &third).await;
            let closed = json!({"invitation_id": third, "is_accepted": true});
            assert_eq!(
                app.post("/invitation/update", closed).await.json["is_accepted"],
                true
            );
            let reopened = json!({"invitation_id": third, "is_accepted": false});
            assert_eq!(app.post("/invitation/update", reopened).await.status, 400);
            assert_eq!(open(&third).await.0, 401);
        })
        .await;
}

#[tokio::test]
async fn of_several_who_claim_at_once_one_wins() {
    each_database(async |app| {
        app.post(
            "/user/new",
            json!({"user_id": "ada", "user_email": "ada@example.com"}),
        )
        .await;
        let id = invited(app, "ada").await;
        let proof = proof(app, &id).await;
        let try_with = async |index: usize| {
            let password = format!("Str0ng-Passw0rd-{index}!");
            let body = claim(&id, "ada", &password);
            let answer = app
                .post("/onboarding/claim_token", body)
                .with_key(&proof)
                .await;
            (answer.status, password)
        };
        let (one, two, three, four) =
            tokio::join!(try_with(1), try_with(2), try_with(3), try_with(4));
        let answers = [one, two, three, four];
        let won: Vec<_> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|(status, _)| matches!(status, 200 | 401)),
            "{answers:?}"
        );
        assert_eq!(login(app, "ada@example.com", &won[0].1).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn only_those_invite_who_may_and_nobody_takes_over_another() {
    each_database(async |app| {
        let boss = member(app, "boss@example.com").await;
        let login_of = async |email: &str| {
            let answer = login(app, email, PASSWORD).await;
            claims(&answer.text("/token"))["key"].as_str().unwrap().to_owned()
        };
        for (id, role) in [
            ("plain", "internal_user"),
            ("chief", "proxy_admin"),
            ("stranger", "internal_user"),
        ] {
            let user = json!({"user_id": id, "user_email": format!("{id}@example.com"), "user_role": role});
            app.post("/user/new", user).await;
        }
        let signed_in = member(app, "signed-in@example.com").await;
        let team = json!({"team_id": "t", "members_with_roles": [
            {"role": "admin", "user_id": boss}, {"role": "user", "user_id": "plain"},
            {"role": "user", "user_id": "chief"}, {"role": "user", "user_id": signed_in}]});
        let team = app.post("/team/new", team).await;
        assert_eq!(team.status, 200, "{team}");
        let key = login_of("boss@example.com").await;
        for (user_id, status) in [
            ("plain", 200),
            ("chief", 403),
            ("stranger", 403),
            (signed_in.as_str(), 403),
            ("nobody", 400),
        ] {
            let body = json!({"user_id": user_id});
            let answer = app.post("/invitation/new", body).with_key(&key).await;
            assert_eq!(answer.status, status, "{user_id}: {answer}");
        }
        let other = login_of("signed-in@example.com").await;
        let refused = app.post("/invitation/new", json!({"user_id": "plain"})).with_key(&other).await;
        assert_eq!(refused.status, 403, "{refused}");
        let id = invited(app, "plain").await;
        for path in ["/invitation/delete", "/invitation/update"] {
            let body = json!({"invitation_id": id, "is_accepted": true});
            let refused = app.post(path, body).with_key(&other).await;
            assert_eq!(refused.status, 403, "{path}: {refused}");
        }
        let info = app.get(&format!("/invitation/info?invitation_id={id}")).with_key(&other).await;
        assert_eq!(info.status, 401, "{info}");
    })
    .await;
}

#[tokio::test]
async fn an_invitation_ends_with_its_user() {
    each_database(async |app| {
        app.post("/user/new", json!({"user_id": "ada"})).await;
        let id = invited(app, "ada").await;
        let opened = proof(app, &id).await;
        app.post("/user/delete", json!({"user_ids": ["ada"]})).await;
        let body = claim(&id, "ada", PASSWORD);
        let gone = app
            .post("/onboarding/claim_token", body)
            .with_key(&opened)
            .await;
        assert_eq!(gone.status, 401, "{gone}");
        let user = json!({"user_id": "eve", "user_email": "eve@example.com"});
        app.post("/user/new", user).await;
        let wrong = accept(app, "eve", PASSWORD).await;
        assert_eq!(wrong.status, 200, "{wrong}");
    })
    .await;
}

#[tokio::test]
async fn the_recorded_answers_agree() {
    let setup = Setup::default().variable("PROXY_BASE_URL", "https://llm.example.com");
    setup.each_database(async |app| {
        let user = json!({"user_id": "inv1", "user_email": "inv1@example.com", "user_role": "internal_user"});
        app.post("/user/new", user).await;
        app.post("/user/new", json!({"user_id": "ku1", "user_email": "ku1@example.com"})).await;
        let internal = app.post("/key/generate", json!({"user_id": "ku1"})).await.text("/key");
        let mut replace = vec![
            ("sk-E4_gEdJX5b4lgl_sE7VVDg".to_owned(), internal.clone()),
            ("adminpw".to_owned(), MASTER_KEY.to_owned()),
        ];
        let (mut proof_key, mut session) = (String::new(), String::new());
        for name in [
            "invitation_new",
            "invitation_info",
            "invitation_new_missing_user",
            "invitation_new_no_body",
            "invitation_info_missing",
            "invitation_delete_missing",
            "invitation_new_by_internal",
            "onboarding_get_token_missing",
            "onboarding_get_token",
            "onboarding_get_token2",
            "onboarding_claim_noauth",
            "onboarding_claim_wrong_user",
            "onboarding_claim_weak",
            "onboarding_claim",
            "onboarding_claim_again",
            "onboarding_get_token_after",
            "invitation_info_after",
            "login_get",
            "logout",
            "login_v2_admin",
            "login_v2_bad",
            "login_v2_unknown",
            "login_v2_missing_field",
            "login_v2_user",
            "ui_session_user_info",
            "ui_session_key_generate",
            "ui_session_key_list",
            "password_change_bad",
            "sso_get_ui_settings",
            "sso_get_ui_settings_auth",
            "ui_config",
            "session_logout",
            "cfg2_session_logout",
            "user_new_password",
            "invitation_update",
            "invitation_delete",
        ] {
            let Some(golden) = Golden::load(name) else {
                return;
            };
            let pairs: Vec<(&str, &str)> =
                replace.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
            let call = golden.call(app, &pairs);
            let answer = match name {
                "onboarding_claim_noauth" | "sso_get_ui_settings" => call.without_key().await,
                name if name.starts_with("onboarding_claim") => call.with_key(&proof_key).await,
                name if name.starts_with("onboarding") || name.starts_with("login") => {
                    call.without_key().await
                }
                name if name.starts_with("ui_session") || name.starts_with("password") => {
                    call.with_key(&session).await
                }
                "session_logout" => call.with_key(&session).await,
                "cfg2_session_logout" | "invitation_new_by_internal" => {
                    call.with_key(&internal).await
                }
                _ => call.await,
            };
            golden.compare(&answer);
            match name {
                "invitation_new" => {
                    let recorded = golden.response.body["id"].as_str().unwrap().to_owned();
                    replace.push((recorded, answer.text("/id")));
                }
                "onboarding_get_token2" => {
                    proof_key = claims(&answer.text("/token"))["key"].as_str().unwrap().to_owned();
                }
                "login_v2_user" => {
                    session = claims(&answer.text("/token"))["key"].as_str().unwrap().to_owned();
                }
                _ => {}
            }
        }
    })
    .await;
}
