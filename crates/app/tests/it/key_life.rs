//! The life of a key: what it looks like, from where it may be used, bait, replacement in time, the end.

use std::time::Duration;

use base::{Clock, Millis};
use domain::Role;
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::keys::{add_user, make};

#[tokio::test]
async fn a_key_can_be_found_by_scanners_and_a_mistyped_one_is_refused() {
    each_database(async |app| {
        let key = make(app, json!({})).await.text("/key");
        assert_eq!(key.len(), 55);
        assert!(key.starts_with("sk-tg-"), "{key}");
        let rest = key.trim_start_matches("sk-tg-");
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(app.get("/key/info").with_key(&key).await.status, 200);
        let swapped = match key.ends_with('a') {
            true => 'b',
            false => 'a',
        };
        let mistyped = format!("{}{swapped}", &key[..54]);
        let refused = app.get("/key/info").with_key(&mistyped).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.text("/error/type"), "token_not_found_in_db");
        let chosen = app.post("/key/generate", json!({"key": mistyped})).await;
        assert_eq!(chosen.status, 400, "{chosen}");
        assert!(chosen.text("/error/message").contains("checksum"));
        // plain ones go on working
        let plain = json!({"key": "sk-a-key-of-my-own-choice"});
        make(app, plain).await;
        let own = app.get("/key/info").with_key("sk-a-key-of-my-own-choice");
        assert_eq!(own.await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_key_works_from_its_networks_alone() {
    each_database(async |app| {
        let inside = make(app, json!({"allowed_ips": ["127.0.0.0/8", "::1"]})).await;
        assert_eq!(inside.json["allowed_ips"], json!(["127.0.0.0/8", "::1"]));
        let outside = make(app, json!({"allowed_ips": ["192.0.2.0/24"]})).await;
        for (key, status) in [(inside.text("/key"), 200), (outside.text("/key"), 403)] {
            for answer in everywhere(app, &key).await {
                assert_eq!(answer.status, status, "{answer}");
            }
        }
        // nobody is believed who is not a proxy of ours
        let claimed = app
            .get("/key/info")
            .with_key(&outside.text("/key"))
            .header("x-forwarded-for", "192.0.2.7")
            .await;
        assert_eq!(claimed.status, 403, "{claimed}");
        let said = claimed.text("/error/message");
        assert!(said.contains("may not be used from the address 127.0.0.1"));
        let alarms = alarms(app, &outside.text("/token")).await;
        assert_eq!(alarms.len(), 1, "{alarms:?}");
        assert_eq!(alarms[0]["alarm"], "address");
        assert_eq!(alarms[0]["address"], "127.0.0.1");

        for wrong in [json!(["localhost"]), json!(["10.0.0.0/33"])] {
            let refused = app.post("/key/generate", json!({"allowed_ips": wrong}));
            let refused = refused.await;
            assert_eq!(
                (refused.status, refused.text("/error/param")),
                (400, "allowed_ips".to_owned())
            );
        }
    })
    .await;
}

#[tokio::test]
async fn proxies_are_believed_where_they_are_named() {
    let app = Setup::default()
        .with("tollgate_settings: {trusted_proxies: [127.0.0.1, 10.0.0.0/8]}")
        .start()
        .await;
    let key = make(&app, json!({"allowed_ips": ["192.0.2.0/24"]}))
        .await
        .text("/key");
    for (forwarded, status) in [
        ("192.0.2.7", 200),
        ("192.0.2.7, 10.1.1.1", 200),
        ("192.0.2.7, 203.0.113.1", 403),
        ("192.0.2.7, nonsense", 403),
    ] {
        let call = app.get("/key/info").with_key(&key);
        let answer = call.header("x-forwarded-for", forwarded).await;
        assert_eq!(answer.status, status, "{forwarded}: {answer}");
    }
}

#[tokio::test]
async fn whoever_made_a_key_can_narrow_where_it_works_and_not_widen_it() {
    let app = Setup::default().start().await;
    add_user(&app, "ann", Some(Role::InternalUser)).await;
    let own = make(&app, json!({"user_id": "ann"})).await.text("/key");
    let made = app.post("/key/generate", json!({})).with_key(&own).await;
    let key = made.text("/key");
    let mut statuses = Vec::new();
    for networks in [
        json!(["10.0.0.0/8"]),
        json!(["10.1.0.0/16", "10.2.0.1"]),
        json!(["10.0.0.0/8"]),
        json!([]),
        Value::Null,
        json!(["nonsense"]),
    ] {
        let body = json!({"key": key, "allowed_ips": networks});
        statuses.push(app.post("/key/update", body).with_key(&own).await.status);
    }
    assert_eq!(statuses, [200, 200, 403, 403, 403, 400]);
    let wide = app
        .post("/key/update", json!({"key": key, "allowed_ips": []}))
        .await;
    assert_eq!(wide.status, 200, "{wide}");
    for (path, canary) in [
        ("/key/generate", json!({"canary": true})),
        ("/key/update", json!({"key": key, "canary": true})),
    ] {
        let refused = app.post(path, canary).with_key(&own).await;
        assert_eq!(refused.status, 403, "{refused}");
    }
}

#[tokio::test]
async fn bait_is_refused_as_an_unknown_key_and_told() {
    each_database(async |app| {
        let made = make(app, json!({"canary": true, "key_alias": "in the wiki"})).await;
        assert_eq!(made.json["canary"], true);
        let key = made.text("/key");
        let unknown = everywhere(app, "sk-nobody-has-this-key").await;
        let answers = everywhere(app, &key).await;
        for (answer, unknown) in answers.iter().zip(&unknown) {
            assert_eq!(answer.status, 401);
            assert_eq!(without_hash(answer), without_hash(unknown));
            assert!(!answer.to_string().contains("wiki"));
        }
        let alarms = alarms(app, &made.text("/token")).await;
        // many uses at once are told once
        assert_eq!(alarms.len(), 1, "{alarms:?}");
        assert_eq!(alarms[0]["alarm"], "canary");
        assert_eq!(alarms[0]["key_alias"], "in the wiki");
        let metrics = app.get("/metrics").await.to_string();
        let counted = format!(
            "tollgate_alarms_total{{alarm=\"canary\"}} {}",
            answers.len()
        );
        assert!(metrics.contains(&counted), "{metrics}");
        let calls = app.get("/spend/logs").await;
        assert_eq!(calls.json, json!([]), "an unknown key leaves no row either");
    })
    .await;
}

/// A day in seconds.
const DAY: u64 = 24 * 60 * 60;

fn at_noon() -> Setup {
    let start = Millis::parse("2026-03-10T12:00:00Z").expect("a time");
    Setup::default().clock(Clock::fixed(start))
}

async fn tend(app: &TestApp) {
    domain::keys::life::tend(app.domain())
        .await
        .expect("an answer");
}

#[tokio::test]
async fn a_key_that_is_due_is_claimed_and_the_old_one_works_for_its_grace() {
    at_noon()
        .each_database(async |app| {
            let body = json!({"auto_rotate": true, "rotation_interval": "30d",
                "rotation_grace_period": "2d", "key_alias": "svc", "max_budget": 5});
            let old = make(app, body).await.text("/key");
            let early = app.post("/key/claim", json!({})).with_key(&old).await;
            assert_eq!(early.status, 400, "{early}");
            app.clock.advance(Duration::from_secs(30 * DAY));
            tend(app).await;
            tend(app).await;
            let info = app.get("/key/info").with_key(&old).await;
            assert!(
                info.text("/info/rotate_by")
                    .starts_with("2026-04-11T12:00:00"),
                "{info}"
            );
            let claimed = app.post("/key/claim", json!({})).with_key(&old).await;
            assert_eq!(claimed.status, 200, "{claimed}");
            let new = claimed.text("/key");
            assert_eq!(claimed.text("/key_alias"), "svc");
            assert_eq!(claimed.json["rotation_count"], 1);
            assert_eq!(claimed.json["rotate_by"], Value::Null);
            assert!(
                claimed
                    .text("/key_rotation_at")
                    .starts_with("2026-05-09T12:00:00")
            );
            let twice = app.post("/key/claim", json!({})).with_key(&old).await;
            assert_eq!(twice.status, 400, "{twice}");
            for key in [&old, &new] {
                assert_eq!(app.get("/key/info").with_key(key).await.status, 200);
            }
            app.clock.advance(Duration::from_secs(2 * DAY));
            assert_eq!(app.get("/key/info").with_key(&old).await.status, 401);
            assert_eq!(app.get("/key/info").with_key(&new).await.status, 200);
        })
        .await;
}

#[tokio::test]
async fn a_key_that_nobody_claims_stops_and_its_owner_can_still_claim_it() {
    at_noon()
        .each_database(async |app| {
            add_user(app, "ann", Some(Role::InternalUser)).await;
            add_user(app, "bob", Some(Role::InternalUser)).await;
            let other = make(app, json!({"user_id": "ann"})).await.text("/key");
            let stranger = make(app, json!({"user_id": "bob"})).await.text("/key");
            let body = json!({"user_id": "ann", "auto_rotate": true, "rotation_interval": "1d"});
            let made = make(app, body).await;
            let old = made.text("/key");
            app.clock.advance(Duration::from_secs(DAY));
            tend(app).await;
            // seven days if nothing else is configured
            app.clock.advance(Duration::from_secs(7 * DAY - 1));
            assert_eq!(app.get("/key/info").with_key(&old).await.status, 200);
            app.clock.advance(Duration::from_secs(1));
            let late = app.get("/key/info").with_key(&old).await;
            assert_eq!(
                (late.status, late.text("/error/type")),
                (401, "expired_key".to_owned())
            );
            let own = app.post("/key/claim", json!({})).with_key(&old).await;
            assert_eq!(own.status, 401, "{own}");
            let named = json!({"key": made.text("/token")});
            let refused = app
                .post("/key/claim", named.clone())
                .with_key(&stranger)
                .await;
            assert_eq!(refused.status, 403, "{refused}");
            let claimed = app.post("/key/claim", named).with_key(&other).await;
            assert_eq!(claimed.status, 200, "{claimed}");
            let new = claimed.text("/key");
            assert_eq!(app.get("/key/info").with_key(&new).await.status, 200);
            assert_eq!(app.get("/key/info").with_key(&old).await.status, 401);
        })
        .await;
}

#[tokio::test]
async fn owners_are_reminded_a_week_and_a_day_before_the_end() {
    at_noon()
        .each_database(async |app| {
            let key = make(app, json!({"duration": "10d"})).await.text("/token");
            let short = make(app, json!({"duration": "3d"})).await.text("/token");
            let mut said = Vec::new();
            for _ in 0..10 {
                tend(app).await;
                said.push((reminder(app, &key).await, reminder(app, &short).await));
                app.clock.advance(Duration::from_secs(DAY));
            }
            let long: Vec<Option<i64>> = said.iter().map(|(long, _)| *long).collect();
            assert_eq!(long[..3], [None; 3]);
            assert_eq!(long[3..9], [Some(7); 6]);
            assert_eq!(long[9], Some(1));
            // who asks for three days needs no word of a week
            let short: Vec<Option<i64>> = said.iter().map(|(_, short)| *short).collect();
            assert_eq!(short[..3], [Some(7), Some(7), Some(1)]);
        })
        .await;
}

async fn reminder(app: &TestApp, hash: &str) -> Option<i64> {
    let row = store::keys::find_ever(&app.domain().db, hash, app.clock.now());
    row.await
        .expect("an answer")
        .expect("a key")
        .expiry_reminder
}

/// One answer of each part of the gateway that reads keys.
async fn everywhere(app: &TestApp, key: &str) -> Vec<Answer> {
    app.provider.reply(testkit::Reply::text(["Hello"]));
    let call = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    vec![
        app.get("/key/info").with_key(key).await,
        app.post("/v1/chat/completions", call).with_key(key).await,
    ]
}

/// The message without the part that differs from key to key, and the rest of the body.
fn without_hash(answer: &Answer) -> (String, Value) {
    let message = answer.text("/error/message");
    let (start, rest) = message.split_once("Received hash: ").expect("a hash");
    let end = rest.split_once(". ").expect("more").1;
    (
        format!("{start}{end}"),
        answer.json["error"]["type"].clone(),
    )
}

/// What was written down of a key, once it is.
async fn alarms(app: &TestApp, hash: &str) -> Vec<Value> {
    let row = store::keys::find_ever(&app.domain().db, hash, app.clock.now());
    let id = row.await.expect("an answer").expect("a key").id;
    let until = std::time::Instant::now() + testkit::PATIENCE;
    loop {
        let rows = store::audit::list(&app.domain().db, "key").await;
        let rows = rows.expect("an answer");
        let found: Vec<Value> = rows
            .iter()
            .filter(|row| row.object_id == id && row.action == "alarmed")
            .map(|row| serde_json::from_str(row.after.as_deref().unwrap_or("null")).expect("JSON"))
            .collect();
        if !found.is_empty() || std::time::Instant::now() > until {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
