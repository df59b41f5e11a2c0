//! The schemas of users and groups (RFC 7643 §4): what providers may map. Other attributes are kept,
//! too.

use domain::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA};
use serde_json::{Value, json};

/// All schemas, without their locations.
pub fn all() -> Vec<Value> {
    vec![
        schema(USER_SCHEMA, "User", "A user of the gateway", user()),
        schema(GROUP_SCHEMA, "Group", "A team of the gateway", group()),
        schema(
            ENTERPRISE_SCHEMA,
            "EnterpriseUser",
            "What is kept of a user in an enterprise",
            enterprise(),
        ),
    ]
}

fn schema(id: &str, name: &str, description: &str, attributes: Vec<Value>) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id, "name": name, "description": description, "attributes": attributes})
}

/// An attribute with what is usual.
fn plain(name: &str, kind: &str, description: &str) -> Value {
    let mut attribute = json!({"name": name, "type": kind, "multiValued": false,
        "description": description, "required": false, "mutability": "readWrite",
        "returned": "default"});
    if kind == "string" {
        attribute["caseExact"] = false.into();
        attribute["uniqueness"] = "none".into();
    }
    attribute
}

/// The same with what is not usual.
fn with(mut attribute: Value, differing: Value) -> Value {
    if let (Some(attribute), Value::Object(differing)) = (attribute.as_object_mut(), differing) {
        attribute.extend(differing);
    }
    attribute
}

fn parts(name: &str, description: &str, is_several: bool, parts: Vec<Value>) -> Value {
    let differing = json!({"multiValued": is_several, "subAttributes": parts});
    with(plain(name, "complex", description), differing)
}

fn read_only(attribute: Value) -> Value {
    with(attribute, json!({"mutability": "readOnly"}))
}

fn user() -> Vec<Value> {
    let text = |name: &str, description: &str| plain(name, "string", description);
    let unique = json!({"required": true, "uniqueness": "server"});
    let email = vec![
        text("value", "The address"),
        text("type", "work, home or other"),
        plain(
            "primary",
            "boolean",
            "Whether it is the user's address here",
        ),
    ];
    let group = vec![
        read_only(text("value", "The id of the group")),
        read_only(text("display", "Its name")),
        read_only(reference("$ref", "Its address", "Group")),
        read_only(text("type", "direct")),
    ];
    let name = vec![
        text("formatted", "The whole name"),
        text("givenName", "The first name"),
        text("familyName", "The last name"),
    ];
    vec![
        with(text("userName", "The name at the provider"), unique),
        parts("name", "The name", false, name),
        text("displayName", "The name that is shown"),
        text("title", "Kept"),
        text("preferredLanguage", "Kept"),
        text("locale", "Kept"),
        text("timezone", "Kept"),
        plain(
            "active",
            "boolean",
            "Keys and sessions of who is not active stop at once",
        ),
        parts("emails", "Addresses", true, email),
        parts(
            "phoneNumbers",
            "Kept",
            true,
            vec![text("value", "Kept"), text("type", "Kept")],
        ),
        read_only(parts("groups", "The groups of the user", true, group)),
    ]
}

fn reference(name: &str, description: &str, of: &str) -> Value {
    let differing = json!({"referenceTypes": [of], "caseExact": true, "uniqueness": "none"});
    with(plain(name, "reference", description), differing)
}

fn group() -> Vec<Value> {
    let text = |name: &str, description: &str| plain(name, "string", description);
    let fixed = json!({"mutability": "immutable"});
    let member = vec![
        with(text("value", "The id of a user"), fixed.clone()),
        with(
            reference("$ref", "The address of the user", "User"),
            fixed.clone(),
        ),
        with(text("type", "User"), fixed),
        read_only(text("display", "The name of the user")),
    ];
    let unique = json!({"required": true, "uniqueness": "server"});
    vec![
        with(text("displayName", "The name of the team"), unique),
        parts("members", "Users", true, member),
    ]
}

fn enterprise() -> Vec<Value> {
    let text = |name: &str| plain(name, "string", "Kept");
    vec![
        text("employeeNumber"),
        text("costCenter"),
        text("organization"),
        text("division"),
        text("department"),
        parts(
            "manager",
            "Kept",
            false,
            vec![text("value"), text("displayName")],
        ),
    ]
}
