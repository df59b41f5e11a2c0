//! Plans of budgets that keys, users, teams and members share by `budget_id`.

use std::time::Duration;

use base::{Clock, Millis};
use domain::Role;
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::keys::{add_user, compare, make};

async fn plan(app: &TestApp, body: Value) -> Answer {
    let made = app.post("/budget/new", body).await;
    assert_eq!(made.status, 200, "{made}");
    made
}

/// The status of a call with a key.
async fn call(app: &TestApp, key: &str) -> u16 {
    app.provider.reply(testkit::Reply::text(["Hello"]));
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    app.post("/v1/chat/completions", body)
        .with_key(key)
        .await
        .status
}

#[tokio::test]
async fn plans_answer_as_the_reference_does() {
    each_database(async |app| {
        let free = json!({"budget_id": "free-tier", "max_budget": 3, "soft_budget": 2,
            "budget_duration": "1d", "rpm_limit": 2, "tpm_limit": 100, "max_parallel_requests": 1});
        compare("budget_new", &plan(app, free.clone()).await);
        compare("budget_new_dup", &app.post("/budget/new", free).await);
        let named = json!({"budgets": ["free-tier", "nope"]});
        let info = app.post("/budget/info", named).await;
        assert_eq!(info.json.as_array().map(Vec::len), Some(1));
        compare("budget_info", &info);
        let none = app.post("/budget/info", json!({"budgets": []})).await;
        assert_eq!(none.status, 400, "{none}");
        let raise = json!({"budget_id": "free-tier", "max_budget": 4});
        let raised = app.post("/budget/update", raise).await;
        assert_eq!((&raised.json["max_budget"], &raised.json["rpm_limit"]), (&json!(4.0), &json!(2)));
        compare("budget_update", &raised);
        let missing = app.post("/budget/update", json!({"budget_id": "nope", "max_budget": 4})).await;
        assert_eq!((missing.status, &missing.json), (200, &Value::Null));
        let nameless = app.post("/budget/update", json!({"max_budget": 4})).await;
        assert_eq!(nameless.status, 400, "{nameless}");
        plan(app, json!({"soft_budget": 1, "model_max_budget": {"gpt-4o": {"budget_limit": 0.5, "time_period": "1d"}}})).await;
        compare("budget_list", &app.get("/budget/list").await);
        compare("budget_settings", &app.get("/budget/settings?budget_id=free-tier").await);
        let key = make(app, json!({"budget_id": "free-tier", "key_alias": "with-budget"})).await;
        compare("key_generate_with_budget_id", &key);
        assert_eq!(key.json["litellm_budget_table"]["max_budget"], 4.0);
        assert_eq!(key.json["max_budget"], Value::Null);
        add_user(app, "ann", Some(Role::InternalUser)).await;
        let own = make(app, json!({"user_id": "ann"})).await.text("/key");
        compare("budget_internal_denied", &app.get("/budget/list").with_key(&own).await);
        compare("budget_delete", &app.post("/budget/delete", json!({"id": "free-tier"})).await);
        let gone = app.post("/budget/delete", json!({"id": "free-tier"})).await;
        assert_eq!((gone.status, &gone.json), (200, &Value::Null));
        for wrong in [
            json!({"max_budget": -1}),
            json!({"budget_duration": "soon"}),
            json!({"budget_reset_at": "tomorrow", "budget_duration": "1d"}),
            json!({"budget_reset_at": "2030-01-01T00:00:00Z"}),
            json!({"rpm_limit": -1}),
            json!({"model_max_budget": {"m": {"max_budget": -1}}}),
            json!({"budget_id": "\u{7}"}),
        ] {
            let refused = app.post("/budget/new", wrong.clone()).await;
            assert_eq!(refused.status, 400, "{wrong}: {refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_follows_a_plan_has_its_limit_and_counters_of_their_own() {
    each_database(async |app| {
        plan(app, json!({"budget_id": "p", "max_budget": 3})).await;
        let spent = make(app, json!({"budget_id": "p", "spend": 3.5})).await;
        let fresh = make(app, json!({"budget_id": "p"})).await.text("/key");
        let own = make(
            app,
            json!({"budget_id": "p", "spend": 3.5, "max_budget": 5}),
        )
        .await;
        let spent = spent.text("/key");
        assert_eq!(call(app, &spent).await, 422);
        assert_eq!(call(app, &fresh).await, 200);
        assert_eq!(
            call(app, &own.text("/key")).await,
            200,
            "a limit of its own wins"
        );

        // a change of the plan holds for all at once
        app.post("/budget/update", json!({"budget_id": "p", "max_budget": 4}))
            .await;
        assert_eq!(call(app, &spent).await, 200);
        app.post("/budget/update", json!({"budget_id": "p", "max_budget": 1}))
            .await;
        assert_eq!(call(app, &spent).await, 422);
        assert_eq!(call(app, &own.text("/key")).await, 200);

        // its own limit taken away, the plan's is there again
        let body = json!({"key": own.text("/key"), "max_budget": null});
        app.post("/key/update", body).await;
        assert_eq!(call(app, &own.text("/key")).await, 422);

        let gone = app.post("/budget/delete", json!({"id": "p"})).await;
        assert_eq!(gone.status, 200);
        assert_eq!(
            call(app, &spent).await,
            422,
            "nobody is without a limit because of it"
        );
        let info = app.get("/key/info").with_key(&spent).await;
        assert_eq!(info.json["info"]["max_budget"], 1.0);
        assert_eq!(info.json["info"]["budget_id"], Value::Null);
        let body = json!({"key": spent, "max_budget": null});
        assert_eq!(app.post("/key/update", body).await.status, 200);
        assert_eq!(call(app, &spent).await, 200);
    })
    .await;
}

#[tokio::test]
async fn nobody_gets_past_their_own_budget_by_a_plan() {
    each_database(async |app| {
        plan(app, json!({"budget_id": "p", "max_budget": 300})).await;
        let user = json!({"user_id": "ada", "user_role": "internal_user", "max_budget": 1});
        let key = app.post("/user/new", user).await.text("/key");
        let by_ada = |body| app.post("/key/generate", body).with_key(&key);
        let refused = by_ada(json!({"budget_id": "p"})).await;
        assert_eq!(refused.status, 403, "{refused}");
        let refused = refused.to_string();
        assert!(refused.contains("budget_id"), "{refused}");
        assert_eq!(by_ada(json!({"max_budget": 1})).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn users_teams_and_members_follow_plans_too() {
    each_database(async |app| {
        plan(app, json!({"budget_id": "p", "max_budget": 1})).await;
        plan(app, json!({"budget_id": "wide", "max_budget": 100})).await;
        let user = json!({"user_id": "u", "budget_id": "p", "spend": 2});
        let user = app.post("/user/new", user).await;
        assert_eq!(user.status, 200, "{user}");
        assert_eq!(user.json["budget_id"], "p");
        assert_eq!(call(app, &user.text("/key")).await, 422);
        let body = json!({"user_id": "u", "budget_id": "wide"});
        let moved = app.post("/user/update", body).await;
        assert_eq!(
            moved.json["data"]["litellm_budget_table"]["budget_id"], "wide",
            "{moved}"
        );
        assert_eq!(call(app, &user.text("/key")).await, 200);

        let team = json!({"team_id": "t", "budget_id": "wide"});
        let team = app.post("/team/new", team).await;
        assert_eq!(team.json["budget_id"], "wide", "{team}");
        let member =
            json!({"team_id": "t", "member": {"role": "user", "user_id": "u"}, "budget_id": "p"});
        let added = app.post("/team/member_add", member).await;
        assert_eq!(added.status, 200, "{added}");
        let membership = &added.json["updated_team_memberships"][0];
        assert_eq!(
            (&membership["budget_id"], &membership["budget_source"]),
            (&json!("p"), &json!("shared"))
        );
        assert_eq!(membership["litellm_budget_table"]["max_budget"], 1.0);
        let body = json!({"team_id": "t", "user_id": "u", "budget_id": null});
        let left = app.post("/team/member_update", body).await;
        assert_eq!(left.json["max_budget_in_team"], Value::Null, "{left}");
        for (path, body) in [
            ("/key/generate", json!({"budget_id": "nope"})),
            ("/user/new", json!({"budget_id": "nope"})),
            ("/team/new", json!({"budget_id": "nope"})),
            (
                "/team/member_update",
                json!({"team_id": "t", "user_id": "u", "budget_id": "nope"}),
            ),
        ] {
            let refused = app.post(path, body).await;
            assert_eq!(refused.status, 400, "{path}: {refused}");
            assert!(refused.to_string().contains("nope"), "{refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn followers_are_reset_with_their_plan() {
    let start = Millis::parse("2026-03-10T08:00:00Z").expect("a time");
    let setup = Setup::default().clock(Clock::fixed(start));
    setup
        .each_database(async |app| {
            plan(app, json!({"budget_id": "p", "max_budget": 1})).await;
            let key = make(app, json!({"budget_id": "p", "spend": 2}))
                .await
                .text("/key");
            assert_eq!(call(app, &key).await, 422);
            // what was spent stays when the plan gets a period, until that is over
            let daily = json!({"budget_id": "p", "budget_duration": "1d"});
            app.post("/budget/update", daily).await;
            assert_eq!(call(app, &key).await, 422);
            let info = app.get("/key/info").with_key(&key).await;
            assert!(
                info.text("/info/budget_reset_at")
                    .starts_with("2026-03-11T00:00:00")
            );
            app.clock.advance(Duration::from_secs(16 * 3600));
            assert_eq!(call(app, &key).await, 200);
            // a later follower is in step with the others
            let own = make(app, json!({"budget_id": "p"})).await;
            assert!(
                own.text("/budget_reset_at")
                    .starts_with("2026-03-12T00:00:00")
            );
            let at = json!({"budget_id": "p", "budget_reset_at": "2026-03-20T06:00:00Z"});
            app.post("/budget/update", at).await;
            let info = app.get("/key/info").with_key(&key).await;
            assert!(
                info.text("/info/budget_reset_at")
                    .starts_with("2026-03-20T06:00:00")
            );
        })
        .await;
}

#[tokio::test]
async fn caps_of_the_configuration_hold_for_plans() {
    let app = Setup::default()
        .with("litellm_settings: {upperbound_key_generate_params: {max_budget: 10, budget_duration: 7d}}")
        .start()
        .await;
    plan(
        &app,
        json!({"budget_id": "small", "max_budget": 3, "budget_duration": "1d"}),
    )
    .await;
    plan(
        &app,
        json!({"budget_id": "large", "max_budget": 30, "budget_duration": "1d"}),
    )
    .await;
    let small = make(&app, json!({"budget_id": "small"})).await;
    assert_eq!(small.json["max_budget"], Value::Null, "the plan says it");
    let large = app
        .post("/key/generate", json!({"budget_id": "large"}))
        .await;
    assert_eq!(large.status, 400, "{large}");
}
