//! The table of permissions is whole and is what the gateway does: every operation of the OpenAPI
//! document has a row, and is called as everybody, about what belongs to somebody else.
//!
//! One request fits all operations: its body and query name the victim's objects under every name that
//! an operation may know them by. So a new operation is tried without anybody thinking of it.

use domain::permissions::{self, Door, Group, Operation, Tie, Who};
use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, MASTER_KEY, Setup, TestApp};
use crate::openapi;

/// Stands in everything of the victim that others must not read.
const HIDDEN: &str = "hidden-from-others";

#[test]
fn every_operation_of_the_document_has_a_row_and_every_row_an_operation() {
    let document = openapi::document();
    let mut differing = Vec::new();
    for (method, path, operation) in openapi::operations(&document) {
        if row_of(&method, &path, operation).is_none() {
            differing.push(format!("{method} {path} has no row in domain::permissions"));
        }
    }
    let documented: Vec<(String, String)> = openapi::operations(&document)
        .map(|(method, path, _)| (method, path))
        .collect();
    for row in permissions::rows() {
        let mut documented = documented.iter();
        let is_documented = match row.method {
            "*" => documented.any(|(_, path)| {
                let found = permissions::find_call(&openapi::filled(path));
                found.is_some_and(|found| found.path == row.path)
            }),
            method => documented.any(|(other, path)| other == method && path == row.path),
        };
        if !is_documented {
            differing.push(format!("{} {} is no operation", row.method, row.path));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_page_of_the_documentation_is_made_from_the_table() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/permissions.md");
    let page = permissions::page();
    if std::env::var_os("TOLLGATE_UPDATE").is_some() {
        std::fs::write(&file, &page).expect("the repository can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/permissions.md is not what the table says; write it anew with \
         TOLLGATE_UPDATE=1 cargo test -p tollgate --test it rights"
    );
}

fn row_of(method: &str, path: &str, operation: &Value) -> Option<&'static Operation> {
    match operation["tags"][0] == "calls" {
        true => permissions::find_call(&openapi::filled(path)),
        false => permissions::find(&method.parse().expect("a method"), path),
    }
}

/// Somebody who calls.
struct Person {
    name: &'static str,
    key: String,
    /// What the doors know them as.
    who: &'static [Who],
    /// What they are to the victim's objects.
    ties: &'static [Tie],
    /// The groups that their key is limited to; empty: none.
    groups: &'static [Group],
}

/// An operation, and the request that is about the victim's objects.
struct Asked {
    name: String,
    row: &'static Operation,
    method: Method,
    path: String,
    body: Option<Value>,
}

/// The victim's objects, by the names that requests have for them.
struct Victim {
    fields: Value,
}

#[tokio::test]
async fn everybody_gets_what_the_table_says_and_nothing_of_others() {
    Setup::default()
        .each_database(async |app| {
            let victim = victim(app).await;
            let strangers = strangers(app).await;
            let asked = asked(&victim);
            assert!(asked.len() > 150);
            let before = state(app).await;
            let mut differing = Vec::new();
            for ask in &asked {
                for stranger in &strangers {
                    let answer = send(app, ask, Some(&stranger.key)).await;
                    let found = judge(ask, stranger, &answer);
                    differing.extend(found.map(|found| told(ask, stranger, &found, &answer)));
                }
                differing.extend(without_rights(app, ask).await);
                if state(app).await != before {
                    differing.push(format!("{} has changed something", ask.name));
                    break;
                }
            }
            assert!(differing.is_empty(), "{}", differing.join("\n"));
        })
        .await;
}

#[tokio::test]
async fn whoever_has_a_tie_gets_through_and_who_has_another_does_not() {
    Setup::default()
        .each_database(async |app| {
            let victim = victim(app).await;
            let tied = tied(app).await;
            let mut asked = asked(&victim);
            asked.retain(|ask| ask.row.method != "*");
            let before = state(app).await;
            let mut differing = Vec::new();
            for ask in &asked {
                for person in tied.iter().filter(|person| !is_tied(ask.row, person)) {
                    let answer = send(app, ask, Some(&person.key)).await;
                    let found = judge(ask, person, &answer);
                    differing.extend(found.map(|found| told(ask, person, &found, &answer)));
                }
                if state(app).await != before {
                    differing.push(format!("{} has changed something", ask.name));
                    break;
                }
            }
            assert!(differing.is_empty(), "{}", differing.join("\n"));
            asked.sort_by_key(|ask| takes_away(&ask.name));
            for ask in &asked {
                for person in tied.iter().filter(|person| is_tied(ask.row, person)) {
                    let answer = send(app, ask, Some(&person.key)).await;
                    if matches!(answer.status, 401 | 403) && !is_about_somebody_else(ask, person) {
                        differing.push(told(ask, person, "is refused", &answer));
                    }
                    if answer.status == 200 && takes_away(&ask.name) > 0 {
                        // it is gone: whoever comes next has nothing to be let through to
                        break;
                    }
                }
            }
            for ask in &asked {
                if !matches!(ask.row.door, Door::Key(_)) || WITH_SESSIONS.contains(&ask.row.path) {
                    continue;
                }
                // what a body lacks is said to whoever may send it
                let answer = send(app, ask, Some(MASTER_KEY)).await;
                if matches!(answer.status, 401 | 403 | 405) || answer.status >= 500 {
                    differing.push(format!("{} as master: {answer}", ask.name));
                }
            }
            assert!(differing.is_empty(), "{}", differing.join("\n"));
        })
        .await;
}

/// What takes the objects away comes last, and what takes the most last of all.
fn takes_away(name: &str) -> u8 {
    let words = ["delete", "block", "regenerate"];
    match name {
        "DELETE /organization/member_delete" => 3,
        "POST /team/delete" | "POST /user/delete" => 2,
        name if words.iter().any(|word| name.contains(word)) => 1,
        _ => 0,
    }
}

/// Whether a person may do this, as they have one of the row's ties.
fn is_tied(row: &Operation, person: &Person) -> bool {
    let Door::Key(admitted) = row.door else {
        return false;
    };
    let admits = admitted.iter().any(|who| person.who.contains(who));
    admits && person.ties.iter().any(|tie| row.ties.contains(tie))
}

/// What keys cannot do: it is about the session, or the account, of whoever has signed in.
const WITH_SESSIONS: [&str; 6] = [
    "/session/logout",
    "/v2/users/me",
    "/v2/users/me/password",
    "/v2/users/me/api-key",
    "/v2/users/me/api-key/{provider}",
    "/v2/users/me/api-key/{provider}/test",
];

/// What the one request asks of a person that is not theirs, though the operation is open to them.
fn is_about_somebody_else(ask: &Asked, person: &Person) -> bool {
    let path = ask.row.path;
    if WITH_SESSIONS.contains(&path) {
        return true;
    }
    match person.name {
        // the request is about the keys of the team
        "owner" => path == "/provider_keys",
        // the request is about the victim's own share
        "member" | "team admin" => {
            path.starts_with("/key/")
                || path.starts_with("/spend/")
                || path.starts_with("/v1/receipts")
                || path.contains("/daily/activity")
                || path == "/v2/key/info"
                || path.starts_with("/user/")
                || path.starts_with("/v2/user/")
                || path.starts_with("/team/list")
                || path.starts_with("/v2/team/list")
        }
        _ => false,
    }
}

/// What is wrong with an answer to somebody who is nothing to the victim.
fn judge(ask: &Asked, person: &Person, answer: &Answer) -> Option<String> {
    let Door::Key(admitted) = ask.row.door else {
        return None;
    };
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status >= 500 && ask.row.method != "*" {
        return Some("breaks".to_owned());
    }
    let is_named = ask.row.groups.iter().any(|it| person.groups.contains(it));
    if !person.groups.is_empty() && !is_named {
        let is_refused = answer.status == 403 && text.contains("not allowed to call this route");
        return (!is_refused).then(|| "is not held to its routes".to_owned());
    }
    let is_admitted = admitted.iter().any(|who| person.who.contains(who));
    let is_refused = match person.who.contains(&Who::Viewer) {
        _ if domain::v2::is_path(ask.row.path) => {
            let gates = ["enough privileges", "Superuser access required"];
            answer.status == 403 && gates.iter().any(|gate| text.contains(gate))
        }
        true => answer.status == 403 && text.contains("user not allowed to access this route"),
        false => answer.status == 401 && text.contains("Only proxy admin can be used to"),
    };
    if is_admitted == is_refused {
        let should = if is_admitted {
            "is stopped at the door"
        } else {
            "gets in"
        };
        return Some(should.to_owned());
    }
    let sees_all = person.who.contains(&Who::Viewer);
    let is_tied = person.ties.iter().any(|tie| ask.row.ties.contains(tie));
    if !sees_all && person.ties.is_empty() && !is_tied && text.contains(HIDDEN) {
        return Some("reads what is not theirs".to_owned());
    }
    None
}

fn told(ask: &Asked, person: &Person, found: &str, answer: &Answer) -> String {
    format!("{} {found} at {}: {answer}", person.name, ask.name)
}

/// What is wrong with the answers to whoever has no valid key.
async fn without_rights(app: &TestApp, ask: &Asked) -> Vec<String> {
    let mut differing = Vec::new();
    if ask.row.door == Door::Open {
        let answer = send(app, ask, None).await;
        if answer.to_string().contains("No api key passed in") {
            differing.push(format!("{} is not open: {answer}", ask.name));
        }
        return differing;
    }
    if ask.row.door == Door::AsksItself {
        return differing;
    }
    for key in [None, Some("sk-of-nobody-at-all"), Some("no key")] {
        let answer = send(app, ask, key).await;
        if answer.status != status_of_strangers(ask, key.is_some()) {
            differing.push(format!("{} with key {key:?}: {answer}", ask.name));
        }
    }
    differing
}

/// What is answered to whoever has no valid key: the `/v2` API tells a wrong one from none.
fn status_of_strangers(ask: &Asked, has_key: bool) -> u16 {
    let path = ask.path.split('?').next().unwrap_or_default();
    match has_key && domain::v2::is_path(path) {
        true => 403,
        false => 401,
    }
}

async fn send(app: &TestApp, ask: &Asked, key: Option<&str>) -> Answer {
    let call = app.call(ask.method.clone(), &ask.path, ask.body.clone());
    match key {
        Some(key) => call.with_key(key).await,
        None => call.without_key().await,
    }
}

/// Every operation, about the victim's objects.
fn asked(victim: &Victim) -> Vec<Asked> {
    let document = openapi::document();
    let operations = openapi::operations(&document);
    operations
        .filter_map(|(method, path, operation)| {
            let row = row_of(&method, &path, operation)?;
            let filled = victim.path(&path);
            let reads = method == "GET";
            let query = if reads {
                victim.query(operation)
            } else {
                String::new()
            };
            Some(Asked {
                name: format!("{method} {path}"),
                row,
                path: format!("{filled}{query}"),
                body: (!reads).then(|| victim.body(&path)),
                method: method.parse().expect("a method"),
            })
        })
        .collect()
}

impl Victim {
    fn path(&self, path: &str) -> String {
        let mut filled = path.replace("{provider}", "openai");
        for (name, value) in self.fields.as_object().expect("fields") {
            if let Some(value) = value.as_str() {
                filled = filled.replace(&format!("{{{name}}}"), value);
            }
        }
        openapi::filled(&filled)
    }

    /// The parameters that the operation knows.
    fn query(&self, operation: &Value) -> String {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let known = parameters
            .filter(|it| it["in"] == "query")
            .filter_map(|it| {
                let name = it["name"].as_str()?;
                let value = &self.fields[name];
                let list = value.as_array().map(|list| {
                    let texts = list.iter().filter_map(Value::as_str);
                    texts.collect::<Vec<_>>().join(",")
                });
                let text = value.as_str().map(str::to_owned).or(list)?;
                Some(format!("{name}={text}"))
            });
        let known: Vec<String> = known.collect();
        match known.is_empty() {
            true => String::new(),
            false => format!("?{}", known.join("&")),
        }
    }

    fn body(&self, path: &str) -> Value {
        match path {
            // refuses what it does not know
            "/v2/organization/{organization_id}" => json!({"organization_alias": HIDDEN}),
            "/key/bulk_update" => json!({"keys": [{"key": self.fields["key"], "max_budget": 1}]}),
            "/team/member_add" => json!({"team_id": "team-v",
                "member": {"role": "user", "user_id": "victim"}}),
            _ => self.fields.clone(),
        }
    }
}

/// Makes an organization with a team, people, keys and a model, and says what they are called.
async fn victim(app: &TestApp) -> Victim {
    let made = |answer: Answer| assert_eq!(answer.status, 200, "{answer}");
    made(
        app.post(
            "/organization/new",
            json!({"organization_id": "org-v",
        "organization_alias": HIDDEN}),
        )
        .await,
    );
    made(
        app.post(
            "/team/new",
            json!({"team_id": "team-v", "team_alias": HIDDEN,
        "organization_id": "org-v", "metadata": {"note": HIDDEN},
        "team_member_permissions": domain::teams::PERMISSIONS}),
        )
        .await,
    );
    for (user_id, role) in [
        ("victim", "internal_user"),
        ("member-v", "internal_user"),
        ("team-admin-v", "internal_user"),
        ("org-admin-v", "org_admin"),
    ] {
        made(
            app.post(
                "/user/new",
                json!({"user_id": user_id, "user_alias": HIDDEN,
            "user_email": format!("{user_id}@{HIDDEN}.example"), "user_role": "internal_user",
            "auto_create_key": false}),
            )
            .await,
        );
        made(
            app.post(
                "/organization/member_add",
                json!({"organization_id": "org-v",
            "member": {"role": role, "user_id": user_id}}),
            )
            .await,
        );
    }
    for (user_id, role) in [
        ("victim", "user"),
        ("member-v", "user"),
        ("team-admin-v", "admin"),
    ] {
        made(
            app.post(
                "/team/member_add",
                json!({"team_id": "team-v",
            "member": {"role": role, "user_id": user_id}}),
            )
            .await,
        );
    }
    let key = app
        .post(
            "/key/generate",
            json!({"user_id": "victim", "team_id": "team-v",
        "key_alias": HIDDEN, "metadata": {"note": HIDDEN}}),
        )
        .await;
    assert_eq!(key.status, 200, "{key}");
    let hash = key.text("/token");
    made(
        app.post(
            "/model/new",
            json!({"model_name": "model-v",
        "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-rightly-hidden-7d20"},
        "model_info": {"id": "model-v", "team_id": "team-v"}}),
        )
        .await,
    );
    let provider_key = json!({"owner_kind": "team", "owner_id": "team-v", "provider": "openai",
        "name": HIDDEN, "api_key": "sk-rightly-hidden-7d20", "base_url": "http://127.0.0.1:9"});
    let provider_key = app.post("/provider_keys", provider_key).await;
    assert_eq!(provider_key.status, 200, "{provider_key}");
    let call = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]});
    let call = app
        .post("/v1/chat/completions", call)
        .with_key(&key.text("/key"))
        .await;
    assert_eq!(call.status, 200, "{call}");
    let request_id = call.header("x-litellm-call-id").to_owned();
    let fields = json!({
        "key": hash, "keys": [hash], "api_key": hash, "key_hash": hash,
        "user_id": "victim", "user_ids": ["victim"],
        "team_id": "team-v", "team_ids": ["team-v"],
        "organization_id": "org-v", "organization_ids": ["org-v"], "organizations": ["org-v"],
        "organization_alias": HIDDEN, "org_id": "org-v",
        "member": {"role": "internal_user", "user_id": "victim"},
        "id": "model-v", "model_id": "model-v", "model_name": "model-v",
        "model_info": {"id": "model-v", "team_id": "team-v"},
        "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-rightly-hidden-7d20"},
        "models": [], "team_member_permissions": domain::teams::PERMISSIONS, "reset_to": 0,
        "provider_key_id": provider_key.text("/id"), "provider": "openai",
        "credential_name": "credential-v", "credential_values": {"api_key": "sk-rightly-hidden-7d20"},
        "owner_kind": "team", "owner_id": "team-v", "policies": {"openai": "allowed"},
        "request_id": request_id, "response_id": "resp_of_the_victim",
        "start_date": "2020-01-01", "end_date": "2030-01-01", "auto_create_key": false,
    });
    Victim { fields }
}

/// A key of a new user.
async fn key_of(app: &TestApp, user_id: &str, role: Option<&str>, more: Value) -> String {
    let mut user = json!({"user_id": user_id, "auto_create_key": false});
    user["user_role"] = role.into();
    let made = app.post("/user/new", user).await;
    assert_eq!(made.status, 200, "{made}");
    let mut key = more;
    key["user_id"] = user_id.into();
    key_made(app, key).await
}

async fn key_made(app: &TestApp, key: Value) -> String {
    let made = app.post("/key/generate", key).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

/// People who are nothing to the victim.
async fn strangers(app: &TestApp) -> Vec<Person> {
    let person = |name, key, who| Person {
        name,
        key,
        who,
        ties: &[],
        groups: &[],
    };
    let viewer = key_of(app, "viewer", Some("proxy_admin_viewer"), json!({})).await;
    let user = key_of(app, "user", Some("internal_user"), json!({})).await;
    let user_viewer = key_of(app, "user-viewer", Some("internal_user_viewer"), json!({})).await;
    let no_role = key_made(app, json!({})).await;
    let team_admin = key_of(app, "team-admin", Some("internal_user"), json!({})).await;
    let team = json!({"team_id": "another-team", "members_with_roles":
        [{"role": "admin", "user_id": "team-admin"}]});
    assert_eq!(app.post("/team/new", team).await.status, 200);
    let organization = json!({"organization_id": "another", "organization_alias": "another"});
    assert_eq!(
        app.post("/organization/new", organization).await.status,
        200
    );
    let org_admin = key_of(app, "org-admin", Some("internal_user_viewer"), json!({})).await;
    let joins = json!({"organization_id": "another",
        "member": {"role": "org_admin", "user_id": "org-admin"}});
    assert_eq!(
        app.post("/organization/member_add", joins).await.status,
        200
    );
    let llm = json!({"key_type": "llm_api"});
    let read_only = json!({"key_type": "read_only"});
    vec![
        person("viewer", viewer, &[Who::Viewer]),
        person("user", user, &[Who::User]),
        person("user viewer", user_viewer, &[Who::UserViewer]),
        person("no role", no_role, &[Who::NoRole]),
        person("another team's admin", team_admin, &[Who::User]),
        person(
            "another organization's admin",
            org_admin,
            &[Who::UserViewer, Who::OrganizationAdmin],
        ),
        Person {
            groups: &[
                Group::OpenAi,
                Group::Anthropic,
                Group::Google,
                Group::Passthrough,
                Group::Facts,
            ],
            ..person("a key for calls", key_made(app, llm).await, &[Who::NoRole])
        },
        Person {
            groups: &[Group::Info],
            ..person(
                "a key that reads",
                key_made(app, read_only).await,
                &[Who::NoRole],
            )
        },
    ]
}

/// People who are something to the victim's objects.
async fn tied(app: &TestApp) -> Vec<Person> {
    let key = |user_id: &'static str| key_made(app, json!({"user_id": user_id}));
    let person = |name, key, who, ties| Person {
        name,
        key,
        who,
        ties,
        groups: &[],
    };
    vec![
        person(
            "owner",
            key("victim").await,
            &[Who::User],
            &[Tie::Owner, Tie::Member, Tie::Permitted],
        ),
        person(
            "member",
            key("member-v").await,
            &[Who::User],
            &[Tie::Member, Tie::Permitted],
        ),
        person(
            "team admin",
            key("team-admin-v").await,
            &[Who::User],
            &[Tie::Member, Tie::Permitted, Tie::TeamAdmin],
        ),
        person(
            "organization admin",
            key("org-admin-v").await,
            &[Who::User, Who::OrganizationAdmin],
            &[Tie::OrganizationAdmin],
        ),
    ]
}

/// Everything that somebody could have changed.
async fn state(app: &TestApp) -> Vec<Value> {
    let mut state = Vec::new();
    for path in [
        "/key/list?size=100",
        "/user/list?page_size=100",
        "/team/list",
        "/team/info?team_id=team-v",
        "/organization/list",
        "/organization/info?organization_id=org-v",
        "/v2/model/info",
    ] {
        let mut answer = app.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer}");
        forget_use(&mut answer.json);
        state.push(answer.json);
    }
    state
}

/// Leaves out when a key was used, which is no change.
fn forget_use(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("last_active");
            object.values_mut().for_each(forget_use);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_use),
        _ => {}
    }
}

#[tokio::test]
async fn keys_that_are_over_or_blocked_open_nothing() {
    let clock = base::Clock::fixed(base::Millis::parse("2026-11-21T10:00:00Z").expect("a time"));
    let app = Setup::default().clock(clock).start().await;
    let victim = victim(&app).await;
    let expired = key_made(&app, json!({"user_id": "victim", "duration": "1s"})).await;
    let blocked = key_made(&app, json!({"user_id": "victim", "blocked": true})).await;
    app.clock.advance(std::time::Duration::from_secs(60));
    for ask in asked(&victim) {
        if let Door::Key(_) = ask.row.door {
            for key in [&expired, &blocked] {
                let answer = send(&app, &ask, Some(key)).await;
                let expected = status_of_strangers(&ask, true);
                assert_eq!(answer.status, expected, "{}: {answer}", ask.name);
            }
        }
    }
}

#[tokio::test]
async fn a_configuration_takes_away_and_opens_only_what_is_nobodys() {
    let app = Setup::default()
        .with(
            "general_settings:\n  public_routes: [/model/info, /key/info, /v1/chat/completions]\n  \
             admin_only_routes: [/key/generate]\n",
        )
        .start()
        .await;
    let call = |path: &'static str| app.get(path).without_key();
    assert_eq!(call("/model/info").await.status, 200);
    for path in ["/key/info", "/v1/models"] {
        assert_eq!(call(path).await.status, 401, "{path}");
    }
    let model = app.post("/v1/chat/completions", json!({})).without_key();
    assert_eq!(model.await.status, 401);
    let user = key_of(&app, "user", Some("internal_user"), json!({})).await;
    let refused = app.post("/key/generate", json!({})).with_key(&user).await;
    assert_eq!(refused.status, 401, "{refused}");
    assert_eq!(app.get("/key/list").with_key(&user).await.status, 200);
}

#[tokio::test]
async fn a_caller_is_told_what_they_may_do() {
    let app = Setup::default().start().await;
    let user = key_of(&app, "user", Some("internal_user_viewer"), json!({})).await;
    let answer = app.get("/permissions").with_key(&user).await;
    assert_eq!(answer.text("/user_role"), "internal_user_viewer");
    let operations = answer.json["operations"].as_array().expect("operations");
    let paths: Vec<&str> = operations
        .iter()
        .filter_map(|it| it["path"].as_str())
        .collect();
    assert!(
        paths.contains(&"/key/info") && !paths.contains(&"/key/generate"),
        "{paths:?}"
    );
}
