//! The queries whose conditions depend on what was asked: each condition and each order runs on
//! both databases, and finds what it should.
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests may panic as the tests do"
)]

use base::{Millis, Money};
use store::json::Json;
use store::ledger::LedgerRow;
use store::organizations::OrganizationMemberRow;
use store::teams::{MemberRow, TeamRow};
use store::users::UserRow;
use store::{Db, spend, teams, users};

fn user(id: &str, email: Option<&str>, role: &str, created_at: i64) -> UserRow {
    UserRow {
        id: id.to_owned(),
        email: email.map(str::to_owned),
        alias: Some(format!("alias of {id}")),
        role: Some(role.to_owned()),
        sso_subject: Some(format!("sso-{id}")),
        password_hash: None,
        models: Json(Vec::new()),
        metadata: Json::default(),
        settings: Json::default(),
        blocked: false,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        created_at: Millis(created_at),
        created_by: None,
        updated_at: Millis(created_at),
        updated_by: None,
    }
}

fn team(id: &str, alias: &str, created_at: i64) -> TeamRow {
    TeamRow {
        id: id.to_owned(),
        alias: Some(alias.to_owned()),
        organization_id: Some(format!("org-{id}")),
        models: Json(Vec::new()),
        model_aliases: Json::default(),
        default_member_models: Json(Vec::new()),
        member_permissions: Json(Vec::new()),
        metadata: Json::default(),
        settings: Json::default(),
        blocked: false,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        created_at: Millis(created_at),
        created_by: None,
        updated_at: Millis(created_at),
        updated_by: None,
    }
}

fn member(team_id: &str, user_id: &str) -> MemberRow {
    MemberRow {
        id: format!("{team_id}/{user_id}"),
        team_id: team_id.to_owned(),
        user_id: user_id.to_owned(),
        role: "user".to_owned(),
        allowed_models: Json(Vec::new()),
        rpm_limit: None,
        tpm_limit: None,
        created_at: Millis(1),
        updated_at: Millis(1),
    }
}

fn call(request_id: &str, started_at: i64) -> LedgerRow {
    LedgerRow {
        request_id: request_id.to_owned(),
        kind: "call".to_owned(),
        corrects: None,
        started_at: Millis(started_at),
        ended_at: Millis(started_at + 10),
        first_token_at: None,
        key_id: Some("key-1".to_owned()),
        key_hash: Some("hash-1".to_owned()),
        user_id: Some("ada".to_owned()),
        team_id: None,
        team_member_id: None,
        organization_id: None,
        end_user: None,
        endpoint: "/v1/chat/completions".to_owned(),
        stream: false,
        source: "api".to_owned(),
        requested_model: "gpt".to_owned(),
        answered_model: Some("gpt-4o-2024".to_owned()),
        deployment_id: Some("deployment".to_owned()),
        model_group: Some("gpt".to_owned()),
        provider: Some("openai".to_owned()),
        upstream_model: Some("openai/gpt-4o".to_owned()),
        api_base: None,
        paid_by: "system".to_owned(),
        credential_id: None,
        attempts: 1,
        status: "completed".to_owned(),
        http_status: 200,
        error_code: None,
        error_message: None,
        upstream_id: None,
        service_tier: None,
        usage_source: "provider".to_owned(),
        input_tokens: 10,
        cache_read_tokens: 5,
        cache_write_5m_tokens: 1,
        cache_write_1h_tokens: 1,
        input_audio_tokens: 1,
        input_image_tokens: 1,
        output_tokens: 7,
        reasoning_tokens: 2,
        output_audio_tokens: 1,
        output_image_tokens: 1,
        units: Json::default(),
        price_version: Some("1".to_owned()),
        line_prices: Json(Vec::new()),
        cost: Some(Money(75_000)),
        provider_cost: None,
        tags: Json(vec!["a".to_owned(), "b".to_owned()]),
        metadata: Json::default(),
        user_agent: None,
        client_address: None,
        session_id: None,
    }
}

async fn record(db: &Db, calls: &[LedgerRow]) {
    testkit::ledger::record(db, calls).await.unwrap();
}

async fn people(db: &Db) {
    let rows = [
        user("ada", Some("ada@example.com"), "internal_user", 1),
        user("bob", Some("bob_50%@example.com"), "proxy_admin", 2),
        user("Cleo", None, "internal_user", 3),
    ];
    for row in &rows {
        assert!(users::insert(db, row).await.unwrap());
    }
    for row in [team("t1", "Blue", 1), team("t2", "Red", 2)] {
        assert!(teams::insert(db, &row).await.unwrap());
    }
    assert!(
        teams::insert_member(db, &member("t1", "ada"))
            .await
            .unwrap()
    );
    assert!(
        teams::insert_member(db, &member("t1", "bob"))
            .await
            .unwrap()
    );
    let organization_member = OrganizationMemberRow {
        id: "o1/Cleo".to_owned(),
        organization_id: "o1".to_owned(),
        user_id: "Cleo".to_owned(),
        role: "internal_user".to_owned(),
        created_at: Millis(1),
        updated_at: Millis(1),
    };
    assert!(
        store::organizations::insert_member(db, &organization_member)
            .await
            .unwrap()
    );
}

async fn found_users(db: &Db, filter: users::Filter) -> Vec<String> {
    let rows = users::page(db, &filter, users::Sort::Id, false, 10, 0)
        .await
        .unwrap();
    let ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    let count = users::count(db, &filter).await.unwrap();
    assert_eq!(count, i64::try_from(ids.len()).unwrap());
    ids
}

#[tokio::test]
async fn users_are_found_by_each_condition() {
    for database in testkit::databases().await {
        let db = &database.db;
        people(db).await;
        let all = users::Filter::default;
        let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
        let cases = [
            (
                users::Filter {
                    role: Some("internal_user".to_owned()),
                    ..all()
                },
                vec!["Cleo", "ada"],
            ),
            (
                users::Filter {
                    email: Some("_50%".to_owned()),
                    ..all()
                },
                vec!["bob"],
            ),
            (
                users::Filter {
                    search: Some("CLE".to_owned()),
                    ..all()
                },
                vec!["Cleo"],
            ),
            (
                users::Filter {
                    ids: texts(&["ada", "bob", "nobody"]),
                    ..all()
                },
                vec!["ada", "bob"],
            ),
            (
                users::Filter {
                    sso_subjects: texts(&["sso-bob"]),
                    ..all()
                },
                vec!["bob"],
            ),
            (
                users::Filter {
                    team_id: Some("t1".to_owned()),
                    role: Some("proxy_admin".to_owned()),
                    ..all()
                },
                vec!["bob"],
            ),
            (
                users::Filter {
                    organization_ids: texts(&["o1", "o2"]),
                    ..all()
                },
                vec!["Cleo"],
            ),
        ];
        for (filter, expected) in cases {
            let label = format!("{} {filter:?}", database.dialect);
            let mut found = found_users(db, filter).await;
            found.sort();
            assert_eq!(found, expected, "{label}");
        }
    }
}

#[tokio::test]
async fn users_are_sorted_both_ways_and_paged() {
    for database in testkit::databases().await {
        let db = &database.db;
        people(db).await;
        use users::Sort::{Alias, CreatedAt, Email, Id, Role, Spend};
        for sort in [Id, Email, Alias, Role, CreatedAt, Spend] {
            let filter = users::Filter::default();
            let ids = |rows: Vec<UserRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
            let up = ids(users::page(db, &filter, sort, false, 10, 0).await.unwrap());
            let mut down = ids(users::page(db, &filter, sort, true, 10, 0).await.unwrap());
            down.reverse();
            assert_eq!(up, down, "{} {sort:?}", database.dialect);
            let second = ids(users::page(db, &filter, sort, false, 1, 1).await.unwrap());
            assert_eq!(second, up[1..2]);
        }
    }
}

#[tokio::test]
async fn a_taken_name_is_not_added_twice() {
    for database in testkit::databases().await {
        let db = &database.db;
        people(db).await;
        let same_id = user("ada", None, "internal_user", 9);
        let same_email = user("eve", Some("ada@example.com"), "internal_user", 9);
        assert!(!users::insert(db, &same_id).await.unwrap());
        assert!(!users::insert(db, &same_email).await.unwrap());
        assert!(!teams::insert(db, &team("t1", "again", 9)).await.unwrap());
        assert!(
            !teams::insert_member(db, &member("t1", "ada"))
                .await
                .unwrap()
        );
        assert!(users::find(db, "eve").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn teams_are_found_by_each_condition_and_sorted() {
    for database in testkit::databases().await {
        let db = &database.db;
        people(db).await;
        let all = teams::Filter::default;
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            (
                teams::Filter {
                    user_id: text("ada"),
                    ..all()
                },
                "t1",
            ),
            (
                teams::Filter {
                    organization_id: text("org-t2"),
                    ..all()
                },
                "t2",
            ),
            (
                teams::Filter {
                    id: text("t2"),
                    ..all()
                },
                "t2",
            ),
            (
                teams::Filter {
                    alias: text("blu"),
                    ..all()
                },
                "t1",
            ),
            (
                teams::Filter {
                    search: text("RED"),
                    ..all()
                },
                "t2",
            ),
        ];
        for (filter, expected) in cases {
            let rows = teams::page(db, &filter, teams::Sort::Id, false, 10, 0)
                .await
                .unwrap();
            let ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
            assert_eq!(ids, [expected], "{} {filter:?}", database.dialect);
            assert_eq!(teams::count(db, &filter).await.unwrap(), 1);
        }
        for sort in [teams::Sort::Id, teams::Sort::Alias, teams::Sort::CreatedAt] {
            let rows = teams::page(db, &all(), sort, true, 1, 0).await.unwrap();
            assert_eq!(rows[0].id, "t2", "{} {sort:?}", database.dialect);
        }
        let names = ["t1".to_owned(), "t2".to_owned()];
        assert_eq!(teams::find_many(db, &names).await.unwrap().len(), 2);
        assert_eq!(teams::members_of_teams(db, &names).await.unwrap().len(), 2);
        let users = ["ada".to_owned()];
        assert_eq!(
            teams::memberships_of_users(db, &users).await.unwrap().len(),
            1
        );
        assert_eq!(users::find_many(db, &users).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn calls_are_found_by_each_condition_newest_first() {
    for database in testkit::databases().await {
        let db = &database.db;
        let text = |text: &str| Some(text.to_owned());
        let other = LedgerRow {
            key_id: text("key-2"),
            key_hash: text("hash-2"),
            user_id: text("bob"),
            team_id: text("t1"),
            end_user: text("customer"),
            requested_model: "other".to_owned(),
            answered_model: None,
            upstream_model: None,
            deployment_id: text("d2"),
            session_id: text("session"),
            status: "upstream_error".to_owned(),
            error_code: text("timeout"),
            cost: None,
            ..call("r3", 300)
        };
        record(db, &[call("r1", 100), call("r2", 200), other]).await;
        let all = spend::Filter::default;
        let cases = [
            (all(), vec!["r3", "r2", "r1"]),
            (
                spend::Filter {
                    from: Some(Millis(200)),
                    ..all()
                },
                vec!["r3", "r2"],
            ),
            (
                spend::Filter {
                    until: Some(Millis(200)),
                    ..all()
                },
                vec!["r1"],
            ),
            (
                spend::Filter {
                    request_id: text("r2"),
                    ..all()
                },
                vec!["r2"],
            ),
            (
                spend::Filter {
                    key_id: text("key-1"),
                    ..all()
                },
                vec!["r2", "r1"],
            ),
            (
                spend::Filter {
                    key_hash: text("hash-2"),
                    ..all()
                },
                vec!["r3"],
            ),
            (
                spend::Filter {
                    user_id: text("ada"),
                    ..all()
                },
                vec!["r2", "r1"],
            ),
            (
                spend::Filter {
                    team_id: text("t1"),
                    ..all()
                },
                vec!["r3"],
            ),
            (
                spend::Filter {
                    model: text("openai/gpt-4o"),
                    ..all()
                },
                vec!["r2", "r1"],
            ),
            (
                spend::Filter {
                    deployment_id: text("d2"),
                    ..all()
                },
                vec!["r3"],
            ),
            (
                spend::Filter {
                    end_user: text("customer"),
                    ..all()
                },
                vec!["r3"],
            ),
            (
                spend::Filter {
                    session_id: text("session"),
                    ..all()
                },
                vec!["r3"],
            ),
            (
                spend::Filter {
                    completed: Some(true),
                    ..all()
                },
                vec!["r2", "r1"],
            ),
            (
                spend::Filter {
                    completed: Some(false),
                    ..all()
                },
                vec!["r3"],
            ),
            (
                spend::Filter {
                    error_code: text("timeout"),
                    ..all()
                },
                vec!["r3"],
            ),
            (
                spend::Filter {
                    least_cost: Some(Money(1)),
                    ..all()
                },
                vec!["r2", "r1"],
            ),
            (
                spend::Filter {
                    most_cost: Some(Money(1)),
                    ..all()
                },
                vec!["r3"],
            ),
        ];
        for (filter, expected) in cases {
            let rows = spend::page(db, &filter, spend::Order::default(), 10, 0)
                .await
                .unwrap();
            let ids: Vec<String> = rows.into_iter().map(|row| row.request_id).collect();
            assert_eq!(ids, expected, "{} {filter:?}", database.dialect);
            let count = spend::count(db, &filter, 2).await.unwrap();
            assert_eq!(count, i64::try_from(expected.len().min(2)).unwrap());
        }
    }
}

#[tokio::test]
async fn calls_are_sorted_both_ways() {
    for database in testkit::databases().await {
        let db = &database.db;
        let dear = LedgerRow {
            cost: Some(Money(80_000)),
            output_tokens: 100,
            ended_at: Millis(900),
            first_token_at: Some(Millis(800)),
            upstream_model: Some("zz".to_owned()),
            ..call("r2", 200)
        };
        record(db, &[call("r1", 100), dear]).await;
        use spend::Sort::{Cost, Duration, EndedAt, FirstToken, Model, StartedAt, Tokens};
        for sort in [
            StartedAt, EndedAt, Cost, Tokens, Duration, FirstToken, Model,
        ] {
            for ascending in [true, false] {
                let order = spend::Order { sort, ascending };
                let rows = spend::page(db, &spend::Filter::default(), order, 10, 0)
                    .await
                    .unwrap();
                let expected = if ascending { "r1" } else { "r2" };
                assert_eq!(
                    rows[0].request_id, expected,
                    "{} {order:?}",
                    database.dialect
                );
            }
        }
    }
}

#[tokio::test]
async fn calls_are_summed_by_day_and_by_tag() {
    for database in testkit::databases().await {
        let db = &database.db;
        let personal = LedgerRow {
            paid_by: "personal".to_owned(),
            ..call("r2", 200)
        };
        let correction = LedgerRow {
            kind: "correction".to_owned(),
            cost: Some(Money(-5_000)),
            ..call("r3", 300)
        };
        let poisoned = LedgerRow {
            tags: Json(vec!["a\0b".to_owned()]),
            ..call("r4", 86_400_000)
        };
        record(db, &[call("r1", 100), personal, correction, poisoned]).await;
        let mut cells = spend::cells(db, &spend::Filter::default()).await.unwrap();
        cells.sort_by_key(|cell| cell.day);
        assert_eq!(cells.len(), 2, "{}", database.dialect);
        assert_eq!((cells[0].day, cells[1].day), (0, 1));
        assert_eq!(cells[0].spend, Money(70_000));
        assert_eq!(cells[0].personal, Money(75_000));
        assert_eq!((cells[0].completed, cells[0].failed), (2, 0));
        assert_eq!(cells[0].duration, 20);
        assert_eq!(cells[1].prompt_tokens, 19);
        assert_eq!(cells[1].completion_tokens, 11);
        assert_eq!(cells[1].cache_write_tokens, 2);
        let tags = spend::by_tag(db, &spend::Filter::default()).await.unwrap();
        let a = tags.iter().find(|sum| sum.tag == "a").unwrap();
        assert_eq!((a.spend, a.calls), (Money(75_000), 2));
    }
}
