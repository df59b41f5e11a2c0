//! SCIM 2.0: an identity provider keeps users and groups, as Okta and Entra do it.

use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Call, TestApp, each_database};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A key as an administrator makes one for an identity provider.
async fn token(app: &TestApp) -> String {
    let key = json!({"key_alias": "okta", "allowed_routes": ["/scim/*"]});
    app.post("/key/generate", key).await.text("/key")
}

fn send<'a>(app: &'a TestApp, token: &str, method: Method, path: &str, body: Value) -> Call<'a> {
    let body = (!body.is_null()).then_some(body);
    let call = app.call(method, &format!("/scim/v2{path}"), body);
    call.with_key(token)
        .header("content-type", "application/scim+json")
}

async fn get(app: &TestApp, token: &str, path: &str) -> Answer {
    send(app, token, Method::GET, path, Value::Null).await
}

async fn change(app: &TestApp, token: &str, path: &str, operation: Value) -> Answer {
    let body = json!({"schemas": [PATCH], "Operations": [operation]});
    send(app, token, Method::PATCH, path, body).await
}

/// A user as Okta sends one.
fn ada() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "userName": "Ada@Example.com", "externalId": "00u1", "password": "a-secret-of-okta",
        "name": {"givenName": "Ada", "familyName": "Lovelace"}, "active": true,
        "emails": [{"primary": true, "value": "Ada@Example.com", "type": "work"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Engines"},
        "groups": [],
    })
}

async fn made(app: &TestApp, token: &str, path: &str, body: Value) -> String {
    let made = send(app, token, Method::POST, path, body).await;
    assert_eq!(made.status, 201, "{made}");
    made.text("/id")
}

#[tokio::test]
async fn a_user_comes_changes_is_stopped_and_goes() {
    each_database(async |app| {
        let token = token(app).await;
        let new = send(app, &token, Method::POST, "/Users", ada()).await;
        assert_eq!(new.status, 201, "{new}");
        assert_eq!(new.header("content-type"), "application/scim+json");
        let id = new.text("/id");
        assert_eq!(new.header("location"), new.text("/meta/location"));
        assert!(!new.to_string().contains("a-secret-of-okta"), "{new}");
        let department = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department";
        for (pointer, expected) in [
            ("/userName", "Ada@Example.com"),
            ("/externalId", "00u1"),
            ("/displayName", "Ada Lovelace"),
            ("/emails/0/value", "Ada@Example.com"),
            ("/meta/resourceType", "User"),
            (department, "Engines"),
        ] {
            assert_eq!(new.text(pointer), expected, "{pointer} of {new}");
        }
        let again = send(app, &token, Method::POST, "/Users", ada()).await;
        assert_eq!(
            (again.status, again.text("/scimType")),
            (409, "uniqueness".to_owned())
        );
        let user = app.get(&format!("/v2/user/info?user_id={id}")).await;
        assert_eq!(user.text("/user_email"), "ada@example.com", "{user}");

        let key = json!({"user_id": id});
        let key = app.post("/key/generate", key).await.text("/key");
        let models = async || app.get("/v1/models").with_key(&key).await.status;
        assert_eq!(models().await, 200);
        let path = format!("/Users/{id}");
        for (off, on) in [
            (
                json!({"op": "replace", "value": {"active": false}}),
                json!({"op": "replace", "value": {"active": true}}),
            ),
            (
                json!({"op": "Replace", "path": "active", "value": "False"}),
                json!({"op": "Replace", "path": "active", "value": "True"}),
            ),
        ] {
            let stopped = change(app, &token, &path, off).await;
            assert_eq!(
                (stopped.status, &stopped.json["active"]),
                (200, &json!(false))
            );
            assert_eq!(models().await, 401);
            let back = change(app, &token, &path, on).await;
            assert_eq!((back.status, &back.json["active"]), (200, &json!(true)));
            assert_eq!(models().await, 200);
        }
        let mut whole = ada();
        whole["name"]["familyName"] = "King".into();
        whole["active"] = false.into();
        let put = send(app, &token, Method::PUT, &path, whole).await;
        assert_eq!(
            (put.status, put.text("/displayName")),
            (200, "Ada King".to_owned())
        );
        assert_eq!(models().await, 401);
        let gone = send(app, &token, Method::DELETE, &path, Value::Null).await;
        assert_eq!((gone.status, gone.body.len()), (204, 0));
        assert_eq!(get(app, &token, &path).await.status, 404);
        let found = get(app, &token, "/Users?filter=externalId%20eq%20%2200u1%22").await;
        assert_eq!(found.json["totalResults"], 0);
        let log = app.get("/audit?object_kind=user&how=scim").await;
        assert!(log.json["total"].as_i64().unwrap() >= 6, "{log}");
        assert!(made(app, &token, "/Users", ada()).await != id);
    })
    .await;
}

#[tokio::test]
async fn who_is_deactivated_is_signed_out_and_cannot_sign_in() {
    each_database(async |app| {
        let token = token(app).await;
        let id = made(app, &token, "/Users", ada()).await;
        let password = json!({"user_id": id, "password": "a long enough passphrase"});
        assert_eq!(app.post("/user/update", password).await.status, 200);
        let login = json!({"username": "ada@example.com", "password": "a long enough passphrase"});
        let signed_in = app.post("/v2/login", login.clone()).without_key().await;
        assert_eq!(signed_in.status, 200, "{signed_in}");
        let cookie = signed_in
            .header("set-cookie")
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let sessions = async || {
            let call = app.get("/session/list").without_key();
            call.header("cookie", &cookie).await.status
        };
        assert_eq!(sessions().await, 200);
        let off = json!({"op": "replace", "path": "active", "value": false});
        change(app, &token, &format!("/Users/{id}"), off).await;
        assert_eq!(sessions().await, 401);
        let again = app.post("/v2/login", login).without_key().await;
        assert_eq!(again.status, 403, "{again}");
    })
    .await;
}

#[tokio::test]
async fn users_are_found_as_providers_look_for_them() {
    each_database(async |app| {
        let token = token(app).await;
        made(app, &token, "/Users", ada()).await;
        let native =
            json!({"user_id": "bob", "user_email": "bob@example.com", "user_alias": "Bob"});
        app.post("/user/new", native).await;
        for (query, expected) in [
            ("", 2),
            ("?count=1", 2),
            ("?filter=userName eq \"ada@example.com\"", 1),
            ("?filter=userName eq \"BOB@example.com\"", 1),
            ("?filter=userName eq \"bob\"", 0),
            ("?filter=userName eq \"nobody\"", 0),
            ("?filter=externalId eq \"00u1\"", 1),
            ("?filter=externalId eq \"00U1\"", 0),
            ("?filter=id eq \"bob\"", 1),
            (
                "?filter=emails[type eq \"work\"].value eq \"bob@example.com\"",
                1,
            ),
            ("?filter=displayName co \"o\" and active eq true", 2),
            ("?filter=active eq false", 0),
            (
                "?filter=name.familyName sw \"Love\" or userName sw \"bob\"",
                2,
            ),
            ("?startIndex=2&count=5", 2),
            ("?startIndex=-3&count=-1", 2),
        ] {
            let path = format!("/Users{}", query.replace(' ', "%20").replace('"', "%22"));
            let found = get(app, &token, &path).await;
            assert_eq!(
                (found.status, &found.json["totalResults"]),
                (200, &json!(expected)),
                "{query}: {found}"
            );
        }
        let page = get(
            app,
            &token,
            "/Users?startIndex=2&count=1&filter=userName%20pr",
        )
        .await;
        assert_eq!(page.text("/Resources/0/id"), "bob");
        assert_eq!(page.json["itemsPerPage"], 1);
        let few = get(app, &token, "/Users/bob?attributes=userName,name.givenName").await;
        let names: Vec<&String> = few.json.as_object().unwrap().keys().collect();
        assert_eq!(names, ["userName", "schemas", "id"], "{few}");
        let wrong = get(app, &token, "/Users?filter=userName%20is%20x").await;
        assert_eq!(
            (wrong.status, wrong.text("/scimType")),
            (400, "invalidFilter".to_owned())
        );
        // who was here before is linked
        let link = json!({"op": "add", "path": "externalId", "value": "00u2"});
        let linked = change(app, &token, "/Users/bob", link).await;
        assert_eq!(
            (linked.status, linked.text("/externalId")),
            (200, "00u2".to_owned())
        );
        assert_eq!(linked.text("/userName"), "bob@example.com");
        let taken = json!({"op": "replace", "path": "userName", "value": "ADA@example.com"});
        assert_eq!(change(app, &token, "/Users/bob", taken).await.status, 409);
    })
    .await;
}

#[tokio::test]
async fn groups_are_teams_and_their_members_come_and_go() {
    each_database(async |app| {
        let token = token(app).await;
        let ada = made(app, &token, "/Users", ada()).await;
        let eva = made(app, &token, "/Users", json!({"userName": "eva@example.com"})).await;
        let group = json!({"displayName": "Research", "externalId": "00g1",
            "members": [{"value": ada, "display": "Ada"}]});
        let team = made(app, &token, "/Groups", group.clone()).await;
        let again = send(app, &token, Method::POST, "/Groups", group).await;
        assert_eq!((again.status, again.text("/scimType")), (409, "uniqueness".to_owned()));
        let key = json!({"user_id": ada, "team_id": team});
        let key = app.post("/key/generate", key).await.text("/key");
        let path = format!("/Groups/{team}");
        for (operation, expected) in [
            (json!({"op": "Add", "path": "members", "value": [{"value": eva}]}), vec![&ada, &eva]),
            (json!({"op": "add", "value": {"members": [{"value": eva}]}}), vec![&ada, &eva]),
            (json!({"op": "Remove", "path": "members", "value": [{"value": eva}]}), vec![&ada]),
            (json!({"op": "replace", "value": {"id": team, "displayName": "Labs"}}), vec![&ada]),
            (json!({"op": "replace", "path": "members", "value": [{"value": eva}, {"value": ada}]}),
                vec![&ada, &eva]),
            (json!({"op": "remove", "path": format!("members[value eq \"{ada}\"]")}), vec![&eva]),
        ] {
            let changed = change(app, &token, &path, operation.clone()).await;
            assert_eq!(changed.status, 200, "{operation}: {changed}");
            let members = changed.json["members"].as_array().unwrap().iter();
            let mut members: Vec<&str> = members.map(|it| it["value"].as_str().unwrap()).collect();
            let mut expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
            members.sort_unstable();
            expected.sort_unstable();
            assert_eq!(members, expected, "{operation}: {changed}");
        }
        // who left has no key in the team any more
        assert_eq!(app.get("/v1/models").with_key(&key).await.status, 401);
        let info = app.get(&format!("/team/info?team_id={team}")).await;
        assert_eq!(info.text("/team_info/team_alias"), "Labs", "{info}");
        let of_eva = get(app, &token, &format!("/Users/{eva}")).await;
        assert_eq!(of_eva.text("/groups/0/display"), "Labs");
        for (query, expected) in [
            ("", 1),
            ("?filter=displayName eq \"labs\"", 1),
            ("?filter=displayName eq \"lab\"", 0),
            ("?filter=externalId eq \"00g1\"", 1),
            (&format!("?filter=members[value eq \"{eva}\"]"), 1),
            (&format!("?filter=id eq \"{team}\" and members eq \"{ada}\""), 0),
        ] {
            let path = format!("/Groups{}", query.replace(' ', "%20").replace('"', "%22"));
            let found = get(app, &token, &path).await;
            assert_eq!(found.json["totalResults"], expected, "{query}: {found}");
        }
        let few = get(app, &token, &format!("{path}?excludedAttributes=members")).await;
        assert!(few.json.get("members").is_none(), "{few}");
        for wrong in [
            json!({"op": "add", "path": "members", "value": [{"value": "nobody"}]}),
            json!({"op": "add", "path": "members", "value": [{"value": eva, "type": "Group"}]}),
            json!({"op": "remove", "path": "displayName"}),
        ] {
            let refused = change(app, &token, &path, wrong).await;
            assert_eq!((refused.status, refused.text("/scimType")), (400, "invalidValue".to_owned()));
        }
        let put = json!({"displayName": "Labs"});
        let put = send(app, &token, Method::PUT, &path, put).await;
        assert_eq!((put.status, &put.json["members"]), (200, &json!([])));
        assert_eq!(send(app, &token, Method::DELETE, &path, Value::Null).await.status, 204);
        assert_eq!(get(app, &token, &path).await.status, 404);
        assert_eq!(get(app, &token, &format!("/Users/{eva}")).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_of_a_provider_opens_nothing_else_and_others_do_not_open_scim() {
    each_database(async |app| {
        let token = token(app).await;
        for path in ["/key/list", "/user/list", "/v1/models"] {
            assert_eq!(app.get(path).with_key(&token).await.status, 403, "{path}");
        }
        let user = json!({"user_id": "u", "user_role": "internal_user"});
        let user = app.post("/user/new", user).await.text("/key");
        for (key, status) in [("sk-nobody", 401), ("", 401), (user.as_str(), 401)] {
            let answer = get(app, key, "/Users").await;
            assert_eq!(answer.status, status, "{answer}");
            assert_eq!(
                answer.text("/schemas/0"),
                "urn:ietf:params:scim:api:messages:2.0:Error"
            );
            assert_eq!(answer.text("/status"), status.to_string());
        }
        // administrators may read and write, too
        assert_eq!(app.get("/scim/v2/Users").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn what_the_gateway_can_do_is_said() {
    let app = crate::app::Setup::default().start().await;
    let token = token(&app).await;
    let config = get(&app, &token, "/ServiceProviderConfig").await;
    assert_eq!(config.json["patch"]["supported"], true, "{config}");
    let types = get(&app, &token, "/ResourceTypes").await;
    assert_eq!(types.json["totalResults"], 2);
    assert_eq!(
        get(&app, &token, "/ResourceTypes/Group")
            .await
            .text("/endpoint"),
        "/Groups"
    );
    let user = "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User";
    assert_eq!(get(&app, &token, user).await.text("/name"), "User");
    assert_eq!(get(&app, &token, "/Schemas").await.json["totalResults"], 3);
    assert_eq!(get(&app, &token, "/Schemas/urn:nothing").await.status, 404);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    each_database(async |app| {
        let token = token(app).await;
        let id = made(app, &token, "/Users", ada()).await;
        let path = format!("/Users/{id}");
        let before = get(app, &token, &path).await.json;
        for (method, path, body, kind) in [
            (Method::POST, "/Users", json!({}), "invalidValue"),
            (
                Method::POST,
                "/Users",
                json!({"userName": ""}),
                "invalidValue",
            ),
            (
                Method::POST,
                "/Users",
                json!({"userName": 3}),
                "invalidValue",
            ),
            (
                Method::POST,
                "/Users",
                json!({"userName": "x".repeat(400)}),
                "invalidValue",
            ),
            (
                Method::POST,
                "/Users",
                json!({"userName": "x", "active": "maybe"}),
                "invalidValue",
            ),
            (
                Method::POST,
                "/Users",
                json!({"userName": "x", "emails": "a@b"}),
                "invalidValue",
            ),
            (
                Method::POST,
                "/Users",
                json!({"userName": "x", "emails": [{"value": "no"}]}),
                "invalidValue",
            ),
            (
                Method::POST,
                "/Users",
                json!({"userName": "x", "emails": [{"value": "a@b\r\nBcc: c@d"}]}),
                "invalidValue",
            ),
            (Method::POST, "/Users", json!([]), "invalidSyntax"),
            (
                Method::POST,
                "/Users",
                json!({"userName": "x", "title": "y".repeat(70_000)}),
                "invalidValue",
            ),
            (Method::POST, "/Groups", json!({}), "invalidValue"),
            (
                Method::POST,
                "/Groups",
                json!({"displayName": "x", "members": [{}]}),
                "invalidValue",
            ),
            (
                Method::POST,
                "/Groups",
                json!({"displayName": "x", "members": ["u"]}),
                "invalidValue",
            ),
            (
                Method::PUT,
                path.as_str(),
                json!({"displayName": "x"}),
                "invalidValue",
            ),
            (
                Method::PATCH,
                path.as_str(),
                json!({"Operations": [{"op": "remove"}]}),
                "noTarget",
            ),
            (
                Method::PATCH,
                path.as_str(),
                json!({"Operations": [{"op": "replace", "path": "id", "value": "1"}]}),
                "mutability",
            ),
            (
                Method::PATCH,
                path.as_str(),
                json!({"Operations": [{"op": "add", "path": "a[", "value": 1}]}),
                "invalidPath",
            ),
            (
                Method::PATCH,
                path.as_str(),
                json!({"schemas": ["urn:x"], "Operations": []}),
                "invalidValue",
            ),
            (
                Method::PATCH,
                path.as_str(),
                json!({"Operations": [
                {"op": "replace", "path": "active", "value": false}, {"op": "jump"}]}),
                "invalidValue",
            ),
        ] {
            let refused = send(app, &token, method.clone(), path, body.clone()).await;
            assert_eq!(refused.status, 400, "{method} {path} {body}: {refused}");
            assert_eq!(
                refused.text("/scimType"),
                kind,
                "{method} {path} {body:.90}: {refused}"
            );
        }
        assert_eq!(get(app, &token, &path).await.json, before);
        assert_eq!(get(app, &token, "/Users").await.json["totalResults"], 1);
        assert_eq!(get(app, &token, "/Groups").await.json["totalResults"], 0);
        for path in ["/Users/nobody", "/Groups/nothing"] {
            assert_eq!(get(app, &token, path).await.status, 404);
            assert_eq!(
                send(app, &token, Method::DELETE, path, Value::Null)
                    .await
                    .status,
                404
            );
            let body = json!({"userName": "x", "displayName": "x"});
            assert_eq!(send(app, &token, Method::PUT, path, body).await.status, 404);
        }
    })
    .await;
}
