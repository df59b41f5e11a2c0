//! What keys may spend: limits, spend, and what an administrator moves of them.

use base::{Clock, Millis};
use serde_json::json;
use std::time::Duration;

use crate::app::{Answer, Setup, each_database};
use crate::keys::{compare, make};

#[tokio::test]
async fn spend_is_started_moved_and_reset() {
    each_database(async |app| {
        let body = json!({"max_budget": 20, "budget_duration": "30d", "spend": 3.5});
        let made = make(app, body).await;
        let (key, hash) = (made.text("/key"), made.text("/token"));
        assert_eq!(made.json["spend"], 3.5);
        let moved = app
            .post("/key/update", json!({"key": key, "spend": 4}))
            .await;
        assert_eq!(moved.json["spend"], 4.0, "{moved}");
        let path = format!("/key/{hash}/reset_spend");
        for amount in [json!(5), json!(-1)] {
            let refused = app.post(&path, json!({"reset_to": amount})).await;
            assert_eq!(refused.status, 400, "{refused}");
            assert!(refused.json["detail"]["error"].is_string());
        }
        let reset = app.post(&path, json!({"reset_to": 0})).await;
        compare("key_reset_spend", &reset);
        assert_eq!(reset.json["previous_spend"], 4.0);
        let info = app.get("/key/info").with_key(&key).await;
        assert_eq!(info.json["info"]["spend"], 0.0);
    })
    .await;
}

#[tokio::test]
async fn a_budget_is_raised_for_a_time() {
    let clock = Clock::fixed(Millis(1_795_000_000_000));
    let setup = Setup::default().clock(clock.clone());
    setup
        .each_database(async |app| {
            let made = make(app, json!({"max_budget": 1, "spend": 1.5})).await;
            let key = made.text("/key");
            let models = app.get("/v1/models").with_key(&key).await;
            assert_eq!(models.status, 422, "{models}");
            let raise = json!({"key": key, "temp_budget_increase": 1, "temp_budget_expiry": "1h"});
            let raised = app.post("/key/update", raise).await;
            assert_eq!(raised.json["max_budget"], 1.0, "{raised}");
            assert_eq!(raised.json["metadata"]["temp_budget_increase"], 1.0);
            assert_eq!(app.get("/v1/models").with_key(&key).await.status, 200);
            clock.advance(Duration::from_secs(3600));
            assert_eq!(app.get("/v1/models").with_key(&key).await.status, 422);
        })
        .await;
}

#[tokio::test]
async fn spend_starts_anew_with_each_period() {
    let clock = Clock::fixed(Millis::parse("2026-11-21T10:00:00Z").unwrap());
    let setup = Setup::default().clock(clock.clone());
    setup
        .each_database(async |app| {
            let body = json!({"max_budget": 1, "budget_duration": "1d", "spend": 1});
            let key = make(app, body).await.text("/key");
            let info = app.get(&format!("/key/info?key={key}")).await;
            // the clock goes on from one database to the next
            let reset = |info: &Answer| Millis::parse(&info.text("/info/budget_reset_at")).unwrap();
            let first = reset(&info);
            assert_eq!(first.since(clock.now()), Duration::from_secs(14 * 3600));
            clock.advance(Duration::from_secs(24 * 3600));
            let info = app.get("/key/info").with_key(&key).await;
            assert_eq!(info.json["info"]["spend"], 0.0, "{info}");
            assert_eq!(reset(&info).since(first), Duration::from_secs(24 * 3600));
            // another period does not bring the spend of the old one back
            let longer = json!({"key": key, "budget_duration": "30d"});
            let longer = app.post("/key/update", longer).await;
            assert_eq!(longer.json["spend"], 0.0, "{longer}");
            assert_eq!(
                longer.text("/budget_reset_at"),
                "2026-12-01T00:00:00.000000Z"
            );
            let total = json!({"key": key, "budget_duration": null});
            let total = app.post("/key/update", total).await;
            assert_eq!(total.json["spend"], 0.0, "{total}");
        })
        .await;
}
