//! Signing in: sessions that end when they should, passwords that are good enough, and guessers who
//! get nowhere while the owner goes on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::{Clock, Code, Millis, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::sessions::Visitor;
use domain::sign_in;
use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, MASTER_KEY, Setup, TestApp, each_database};

pub const PASSWORD: &str = "Str0ng-Passw0rd-9!";
const OTHER_PASSWORD: &str = "An0ther-Passw0rd!";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What a statement claims.
pub fn claims(statement: &str) -> Value {
    let claims = statement
        .split('.')
        .nth(1)
        .expect("a statement has three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
    serde_json::from_slice(&claims).expect("claims are JSON")
}

/// The cookies that an answer sets, as a browser sends them back.
pub fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter();
    let pairs = set.map(|cookie| {
        cookie
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    });
    pairs.collect::<Vec<_>>().join("; ")
}

/// A user who has accepted an invitation and chosen [`PASSWORD`].
pub async fn member(app: &TestApp, email: &str) -> String {
    let made = app
        .post(
            "/user/new",
            json!({"user_email": email, "user_role": "internal_user", "auto_create_key": false}),
        )
        .await;
    assert_eq!(made.status, 200, "{made}");
    let user_id = made.text("/user_id");
    let claimed = accept(app, &user_id, PASSWORD).await;
    assert_eq!(claimed.status, 200, "{claimed}");
    user_id
}

/// Invites a user and accepts.
pub async fn accept(app: &TestApp, user_id: &str, password: &str) -> Answer {
    let invited = app
        .post("/invitation/new", json!({"user_id": user_id}))
        .await;
    assert_eq!(invited.status, 200, "{invited}");
    let id = invited.text("/id");
    let opened = app
        .get(&format!("/onboarding/get_token?invite_link={id}"))
        .without_key()
        .await;
    assert_eq!(opened.status, 200, "{opened}");
    let proof = claims(&opened.text("/token"))["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = json!({"invitation_link": id, "user_id": user_id, "password": password});
    app.post("/onboarding/claim_token", body)
        .with_key(&proof)
        .await
}

pub async fn login(app: &TestApp, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    app.post("/v2/login", body).without_key().await
}

/// Signs in; gives the session's key and the browser's cookies.
pub async fn session(app: &TestApp, email: &str, password: &str) -> (String, String) {
    let answer = login(app, email, password).await;
    assert_eq!(answer.status, 200, "{answer}");
    let key = claims(&answer.text("/token"))["key"]
        .as_str()
        .unwrap()
        .to_owned();
    (key, cookies(&answer))
}

async fn status(app: &TestApp, key: &str) -> u16 {
    app.get("/user/info").with_key(key).await.status
}

async fn status_of_cookie(app: &TestApp, cookie: &str) -> u16 {
    let call = app.get("/user/info").without_key();
    call.header("cookie", cookie).await.status
}

#[tokio::test]
async fn who_signs_in_calls_as_themselves_with_a_key_or_a_cookie() {
    each_database(async |app| {
        let user_id = member(app, "Ada@Example.com").await;
        let answer = login(app, " ADA@example.com ", PASSWORD).await;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.text("/redirect_url"), "/ui?login=success");
        let set = answer.headers.get_all("set-cookie").iter();
        for cookie in set {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        }
        let claims = claims(&answer.text("/token"));
        assert_eq!(claims["user_id"], user_id.as_str());
        assert_eq!(claims["user_email"], "ada@example.com");
        assert_eq!(claims["user_role"], "internal_user");
        assert_eq!(claims["login_method"], "username_password");
        let (key, cookie) = (claims["key"].as_str().unwrap(), cookies(&answer));
        assert!(!cookie.contains(key), "the cookie's token is another one");

        for me in [
            app.get("/user/info").with_key(key).await,
            app.get("/user/info")
                .without_key()
                .header("cookie", &cookie)
                .await,
        ] {
            assert_eq!(me.json["user_id"], user_id.as_str(), "{me}");
            assert_eq!(me.json["keys"], json!([]), "a session is no key");
        }
        let made = app
            .post("/key/generate", json!({"key_alias": "from-ui"}))
            .with_key(key)
            .await;
        assert_eq!(made.json["user_id"], user_id.as_str(), "{made}");
        assert_eq!(app.get("/v1/models").with_key(key).await.status, 200);
        let call = json!({"model": "mock-model", "messages": [{"role": "user", "content": "hi"}]});
        let called = app.post("/v1/chat/completions", call).with_key(key).await;
        assert_eq!(called.status, 200, "{called}");
        let refused = app.post("/user/new", json!({})).with_key(key).await;
        assert_eq!(refused.status, 401, "rights are the role's: {refused}");
    })
    .await;
}

#[tokio::test]
async fn the_administrator_of_the_configuration_signs_in() {
    each_database(async |app| {
        let (key, _) = session(app, "admin", MASTER_KEY).await;
        let made = app
            .post("/user/new", json!({"user_id": "u1"}))
            .with_key(&key)
            .await;
        assert_eq!(made.status, 200, "{made}");
        assert_eq!(login(app, "admin", "wrong").await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn another_password_in_the_configuration_ends_the_administrators_sessions() {
    let folder = testkit::sqlite().await;
    let setup = Setup::default()
        .variable("UI_USERNAME", "root")
        .variable("UI_PASSWORD", "first password");
    let mut app = TestApp::start(setup, folder).await;
    let (key, _) = session(&app, "root", "first password").await;
    app.restart().await;
    assert_eq!(app.get("/user/list").with_key(&key).await.status, 200);
    app.set_variable("UI_PASSWORD", "second password");
    app.restart().await;
    assert_eq!(app.get("/user/list").with_key(&key).await.status, 401);
    assert_eq!(login(&app, "root", "first password").await.status, 401);
    session(&app, "root", "second password").await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_never_told() {
    each_database(async |app| {
        member(app, "ada@example.com").await;
        app.post("/user/new", json!({"user_email": "new@example.com"}))
            .await;
        let mut said = Vec::new();
        for body in [
            json!({"username": "ada@example.com", "password": "nope"}),
            json!({"username": "nobody@example.com", "password": "nope"}),
            json!({"username": "new@example.com", "password": "nope"}),
            json!({"username": "new@example.com", "password": ""}),
            json!({"username": "ada@example.com"}),
            json!({}),
        ] {
            let answer = app.post("/v2/login", body).without_key().await;
            assert_eq!(answer.status, 401, "{answer}");
            assert_eq!(answer.json["error"]["param"], "invalid_credentials");
            said.push(answer.body);
        }
        said.dedup();
        assert_eq!(said.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn other_sites_cannot_use_a_browsers_cookie() {
    each_database(async |app| {
        member(app, "ada@example.com").await;
        let (_, cookie) = session(app, "ada@example.com", PASSWORD).await;
        let post = || {
            let call = app.post("/key/generate", json!({})).without_key();
            call.header("cookie", &cookie)
        };
        assert_eq!(post().await.status, 403);
        assert_eq!(
            post().header("origin", "https://evil.example").await.status,
            403
        );
        assert_eq!(
            post().header("sec-fetch-site", "cross-site").await.status,
            403
        );
        assert_eq!(
            post().header("sec-fetch-site", "same-origin").await.status,
            200
        );
        assert_eq!(post().header("origin", &app.url).await.status, 200);
        assert_eq!(post().header("x-tollgate-request", "1").await.status, 200);
        let body = json!({"username": "ada@example.com", "password": PASSWORD});
        let foreign = app.post("/v2/login", body).without_key();
        let foreign = foreign.header("origin", "https://evil.example").await;
        assert_eq!(foreign.status, 403, "nobody signs another in: {foreign}");
    })
    .await;
}

#[tokio::test]
async fn signing_out_ends_the_session_and_no_other() {
    each_database(async |app| {
        member(app, "ada@example.com").await;
        let (key, cookie) = session(app, "ada@example.com", PASSWORD).await;
        let (other, _) = session(app, "ada@example.com", PASSWORD).await;
        let out = app.post("/session/logout", json!({})).with_key(&key).await;
        assert_eq!(
            (out.status, out.text("/message").as_str()),
            (200, "Session revoked.")
        );
        assert!(
            out.header("set-cookie").starts_with("token=; "),
            "{:?}",
            out.headers
        );
        assert_eq!(status(app, &key).await, 401);
        assert_eq!(status_of_cookie(app, &cookie).await, 401);
        assert_eq!(status(app, &other).await, 200);
        let virtual_key = app.post("/key/generate", json!({})).await.text("/key");
        let refused = app
            .post("/session/logout", json!({}))
            .with_key(&virtual_key)
            .await;
        assert_eq!(refused.status, 403, "{refused}");
        let said = refused.text("/detail/error");
        assert!(
            said.contains("Only UI session tokens can be revoked"),
            "{said}"
        );
    })
    .await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_and_administrators() {
    each_database(async |app| {
        let ada = member(app, "ada@example.com").await;
        member(app, "bob@example.com").await;
        let (key, _) = session(app, "ada@example.com", PASSWORD).await;
        let (other, _) = session(app, "ada@example.com", PASSWORD).await;
        let (bob, _) = session(app, "bob@example.com", PASSWORD).await;
        let listed = app.get("/session/list").with_key(&key).await;
        let sessions = listed.json["sessions"].as_array().unwrap().clone();
        // the invitation began one, too
        assert_eq!(sessions.len(), 3, "{listed}");
        let current = sessions
            .iter()
            .filter(|session| session["is_current"] == true);
        assert_eq!(current.count(), 1);
        let path = format!("/session/list?user_id={ada}");
        assert_eq!(app.get(&path).with_key(&bob).await.status, 403);
        assert_eq!(app.get(&path).await.status, 200);

        let mine = sessions
            .iter()
            .find(|session| session["is_current"] == true)
            .unwrap();
        let body = json!({"session_id": mine["session_id"]});
        let stolen = app
            .post("/session/revoke", body.clone())
            .with_key(&bob)
            .await;
        assert_eq!(stolen.status, 404, "{stolen}");
        let ended = app.post("/session/revoke", body).with_key(&other).await;
        assert_eq!(ended.status, 200, "{ended}");
        assert_eq!(
            (status(app, &key).await, status(app, &other).await),
            (401, 200)
        );
        let body = json!({"user_id": ada});
        let refused = app
            .post("/session/revoke_all", body.clone())
            .with_key(&bob)
            .await;
        assert_eq!(refused.status, 403, "{refused}");
        let all = app.post("/session/revoke_all", body).await;
        assert_eq!(all.json["revoked"], 2, "{all}");
        assert_eq!(
            (status(app, &other).await, status(app, &bob).await),
            (401, 200)
        );
    })
    .await;
}

#[tokio::test]
async fn sessions_end_with_what_they_stand_on() {
    each_database(async |app| {
        for (index, ends) in ["password", "set", "role", "block", "delete"]
            .iter()
            .enumerate()
        {
            let email = format!("user{index}@example.com");
            let user_id = member(app, &email).await;
            let (key, cookie) = session(app, &email, PASSWORD).await;
            assert_eq!(status(app, &key).await, 200);
            let update = |field: &str, value: Value| {
                let mut body = json!({"user_id": user_id});
                body[field] = value;
                app.post("/user/update", body)
            };
            let done = match *ends {
                "password" => {
                    let body =
                        json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
                    app.post("/user/password/change", body).with_key(&key).await
                }
                "set" => update("password", json!(OTHER_PASSWORD)).await,
                "role" => update("user_role", json!("internal_user_viewer")).await,
                "block" => update("blocked", json!(true)).await,
                _ => {
                    app.post("/user/delete", json!({"user_ids": [user_id]}))
                        .await
                }
            };
            assert_eq!(done.status, 200, "{ends}: {done}");
            assert_eq!(status(app, &key).await, 401, "{ends}");
            assert_eq!(status_of_cookie(app, &cookie).await, 401, "{ends}");
            let expected = match *ends {
                "block" => 403,
                "role" => 200,
                _ => 401,
            };
            assert_eq!(
                login(app, &email, PASSWORD).await.status,
                expected,
                "{ends}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_end_when_nobody_uses_them_and_at_their_age() {
    let clock = Clock::fixed(Millis(1_800_000_000_000));
    Setup::default()
        .clock(clock.clone())
        .each_database(async |app| {
            member(app, "ada@example.com").await;
            let (idle, _) = session(app, "ada@example.com", PASSWORD).await;
            let (used, _) = session(app, "ada@example.com", PASSWORD).await;
            for _ in 0..3 {
                clock.advance(7 * HOUR);
                assert_eq!(status(app, &used).await, 200);
            }
            assert_eq!(status(app, &idle).await, 401, "nobody used it for 21 hours");
            clock.advance(3 * HOUR - Duration::from_secs(1));
            assert_eq!(status(app, &used).await, 200);
            clock.advance(Duration::from_secs(1));
            assert_eq!(status(app, &used).await, 401, "it is a day old");
        })
        .await;
}

#[tokio::test]
async fn a_cookie_is_replaced_and_the_one_before_ends() {
    let clock = Clock::fixed(Millis(1_800_000_000_000));
    Setup::default()
        .clock(clock.clone())
        .each_database(async |app| {
            member(app, "ada@example.com").await;
            let (key, cookie) = session(app, "ada@example.com", PASSWORD).await;
            let call = |cookie: &str| app.get("/user/info").without_key().header("cookie", cookie);
            assert_eq!(call(&cookie).await.header("set-cookie"), "");
            clock.advance(HOUR);
            let renewed = call(&cookie).await;
            assert!(
                renewed.header("set-cookie").starts_with("token=sk-tgs-"),
                "{renewed}"
            );
            let fresh = cookies(&renewed);
            assert_eq!(call(&fresh).await.status, 200);
            assert_eq!(call(&cookie).await.status, 200, "for requests on their way");
            clock.advance(Duration::from_secs(61));
            assert_eq!(call(&cookie).await.status, 401);
            assert_eq!(call(&fresh).await.status, 200);
            assert_eq!(status(app, &key).await, 200, "the same session goes on");
        })
        .await;
}

#[tokio::test]
async fn weak_passwords_and_wrong_current_ones_change_nothing() {
    each_database(async |app| {
        let user_id = member(app, "ada.lovelace@example.com").await;
        let (key, _) = session(app, "ada.lovelace@example.com", PASSWORD).await;
        let change = |current: &str, new: &str| {
            let body = json!({"current_password": current, "new_password": new});
            app.post("/user/password/change", body).with_key(&key)
        };
        for weak in [
            "short",
            "Password1234!",
            "aaaaaaaaaaaaaaaa",
            "ada.lovelace@example.com",
        ] {
            let refused = change(PASSWORD, weak).await;
            assert_eq!(refused.status, 400, "{weak}: {refused}");
            assert_eq!(refused.json["error"]["type"], "validation_error");
            assert_eq!(refused.json["error"]["param"], "password");
            let set = app
                .post(
                    "/user/update",
                    json!({"user_id": user_id, "password": weak}),
                )
                .await;
            assert_eq!(set.status, 400, "{weak}: {set}");
        }
        let wrong = change("wrong", OTHER_PASSWORD).await;
        assert_eq!(
            wrong.text("/detail/error"),
            "Current password is incorrect."
        );
        assert_eq!((wrong.status, status(app, &key).await), (400, 200));
        session(app, "ada.lovelace@example.com", PASSWORD).await;
        let changed = change(PASSWORD, OTHER_PASSWORD).await;
        assert_eq!(changed.json["user_id"], user_id.as_str(), "{changed}");
        session(app, "ada.lovelace@example.com", OTHER_PASSWORD).await;
    })
    .await;
}

fn visitor(address: u32) -> Visitor {
    Visitor {
        address: IpAddr::V4(Ipv4Addr::from(0xCB00_0000 + address)),
        device: None,
        user_agent: None,
    }
}

/// How many of so many guesses were looked at, and what the guesser gets for the right password then.
async fn guess(
    app: &TestApp,
    guesses: u32,
    from: impl Fn(u32) -> Visitor,
) -> (usize, Option<Code>) {
    let try_one = async |index: u32, password: &str| {
        let password = Secret::new(password);
        let tried =
            sign_in::with_password(app.domain(), &from(index), "ada@example.com", &password).await;
        tried.err().map(|error| error.code())
    };
    let mut looked_at = 0;
    for index in 0..guesses {
        match try_one(index, "a wrong guess").await {
            Some(Code::CredentialsWrong) => looked_at += 1,
            Some(Code::SignInThrottled) => {}
            other => panic!("a wrong guess got {other:?}"),
        }
    }
    (looked_at, try_one(guesses, PASSWORD).await)
}

#[tokio::test]
async fn ten_thousand_guesses_get_nowhere_and_the_owner_signs_in() {
    let clock = Clock::fixed(Millis(1_800_000_000_000));
    Setup::default()
        .clock(clock.clone())
        .each_database(async |app| {
            // through this address of the loopback the owner has accepted the invitation
            member(app, "ada@example.com").await;
            let owner = async || login(app, "ada@example.com", PASSWORD).await.status;
            assert_eq!(
                guess(app, 10_000, |_| visitor(1)).await,
                (10, Some(Code::SignInThrottled))
            );
            assert_eq!(owner().await, 200, "during guesses from one address");
            let (looked_at, right) = guess(app, 10_000, |index| visitor(100 + index)).await;
            assert!(
                looked_at <= 10,
                "the account's allowance was partly used: {looked_at}"
            );
            assert_eq!(right, Some(Code::SignInThrottled));
            assert_eq!(owner().await, 200, "during guesses from many addresses");

            // at home the guessers cannot be told from the owner by address, but by device
            let answer = login(app, "ada@example.com", PASSWORD).await;
            let device = cookies(&answer)
                .split("tollgate_device=")
                .nth(1)
                .map(str::to_owned);
            let device = device.expect("a device's cookie");
            for _ in 0..10 {
                assert_eq!(login(app, "ada@example.com", "wrong").await.status, 401);
            }
            let throttled = login(app, "ada@example.com", PASSWORD).await;
            assert_eq!(throttled.status, 429, "{throttled}");
            assert_eq!(throttled.json["error"]["param"], "username");
            assert!(throttled.header("retry-after").parse::<u64>().unwrap() > 0);
            let body = json!({"username": "ada@example.com", "password": PASSWORD});
            let known = app.post("/v2/login", body).without_key();
            let known = known
                .header("cookie", &format!("tollgate_device={device}"))
                .await;
            assert_eq!(known.status, 200, "{known}");

            // a stranger's allowance returns slowly
            clock.advance(Duration::from_secs(5 * 60));
            let (looked_at, _) = guess(app, 100, |index| visitor(50_000 + index)).await;
            assert_eq!(looked_at, 1);
        })
        .await;
}

#[tokio::test]
async fn pages_work_without_a_script() {
    each_database(async |app| {
        let page = app
            .get("/ui/login?next=/ui/%22%3E%3Cscript%3E")
            .without_key()
            .await;
        let html = String::from_utf8_lossy(&page.body).into_owned();
        assert_eq!(page.status, 200);
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert!(
            html.contains("action=\"/login\"") && !html.contains("<script>"),
            "{html}"
        );
        assert_eq!(app.get("/ui/sign-in.css").without_key().await.status, 200);
        assert_eq!(app.get("/fallback/login").without_key().await.status, 200);
        assert_eq!(app.get("/login").without_key().await.status, 405);
        let home = app.get("/ui").without_key().await;
        assert_eq!((home.status, home.header("location")), (303, "/ui/login"));

        member(app, "ada@example.com").await;
        let form = |password: &str, next: &str| {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("username", "ada@example.com")
                .append_pair("password", password)
                .append_pair("next", next)
                .finish();
            let call = app
                .call(Method::POST, "/login", None)
                .without_key()
                .body(form);
            call.header("content-type", "application/x-www-form-urlencoded")
        };
        let wrong = form("wrong", "").header("accept", "text/html").await;
        assert_eq!(wrong.status, 401);
        assert!(String::from_utf8_lossy(&wrong.body).contains("role=\"alert\""));
        let wrong = form("wrong", "").await;
        assert_eq!(wrong.json["error"]["type"], "auth_error", "{wrong}");
        for (next, leads_to) in [
            ("", "/ui?login=success"),
            ("/ui/keys", "/ui/keys"),
            ("//evil.example", "/ui?login=success"),
            ("https://evil.example", "/ui?login=success"),
        ] {
            let entered = form(PASSWORD, next).await;
            assert_eq!(
                (entered.status, entered.header("location")),
                (303, leads_to)
            );
        }
        let cookie = cookies(&form(PASSWORD, "").await);
        let home = app.get("/ui").without_key().header("cookie", &cookie).await;
        assert!(String::from_utf8_lossy(&home.body).contains("ada@example.com"));
        let out = || {
            let call = app.call(Method::POST, "/ui/logout", None).without_key();
            call.header("cookie", &cookie)
        };
        assert_eq!(
            out().header("sec-fetch-site", "cross-site").await.status,
            403
        );
        let out = out().header("sec-fetch-site", "same-origin").await;
        assert_eq!((out.status, out.header("location")), (303, "/ui/login"));
        assert_eq!(status_of_cookie(app, &cookie).await, 401);
    })
    .await;
}

#[tokio::test]
async fn everything_works_below_a_prefix_and_behind_the_public_address() {
    let setup = Setup::default()
        .variable("PROXY_BASE_URL", "https://llm.example.com/")
        .variable("SERVER_ROOT_PATH", "/gate")
        .variable("PROXY_LOGOUT_URL", "https://www.example.com/bye");
    let mut app = setup.start().await;
    member(&app, "ada@example.com").await;
    for prefix in ["/gate", ""] {
        let body = json!({"username": "ada@example.com", "password": PASSWORD});
        let answer = app
            .post(&format!("{prefix}/v2/login"), body)
            .without_key()
            .await;
        let url = answer.text("/redirect_url");
        assert_eq!(url, "https://llm.example.com/gate/ui?login=success");
        let cookie = answer.header("set-cookie").to_owned();
        assert!(
            cookie.contains("; Path=/gate; HttpOnly; SameSite=Lax; Secure"),
            "{cookie}"
        );
        let page = app.get(&format!("{prefix}/ui/login")).without_key().await;
        assert!(String::from_utf8_lossy(&page.body).contains("action=\"/gate/login\""));
        let out = app
            .call(Method::POST, &format!("{prefix}/ui/logout"), None)
            .without_key();
        let out = out
            .header("cookie", &cookies(&answer))
            .header("origin", "https://llm.example.com");
        assert_eq!(out.await.header("location"), "https://www.example.com/bye");
    }
    let settings = app.get("/sso/get/ui_settings").await;
    assert_eq!(
        settings.text("/PROXY_LOGOUT_URL"),
        "https://www.example.com/bye"
    );
    let config = app
        .get("/.well-known/litellm-ui-config")
        .without_key()
        .await;
    assert_eq!(config.text("/server_root_path"), "/gate");
    app.stop().await;
}
