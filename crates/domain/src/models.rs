//! Models as configurations state them: one [`Definition`] an entry of the model list, whether it
//! stands in a file, in the database or in the environment. What a definition means is found out in
//! [`crate::snapshot`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base::Secret;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A JSON object whose names we do not prescribe.
pub type Object = Map<String, Value>;

/// The models that are configured outside the database, and so stay as they are while the process
/// runs.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    pub definitions: Vec<Definition>,
    /// Public names that mean another one (`router_settings.model_group_alias`).
    pub aliases: BTreeMap<String, String>,
}

/// An entry of the model list.
#[derive(Clone, Debug)]
pub struct Definition {
    pub id: String,
    /// The public name, which may hold a `*`.
    pub model_name: String,
    /// `litellm_params` without secrets.
    pub params: Object,
    /// The secrets among them, in the clear.
    pub secrets: BTreeMap<String, Secret>,
    /// `model_info`
    pub info: Object,
    pub origin: Origin,
}

/// Where a definition stands, and so how far it is trusted and whether it can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File,
    /// Made through the API.
    Database,
    /// A provider's key or address in the environment.
    Environment,
    /// The built-in demonstration.
    Demo,
}

/// Parameters that are secret: never shown, never logged, sealed in the database.
const SECRETS: &[&str] = &[
    "api_key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_web_identity_token",
    "azure_ad_token",
    "azure_password",
    "client_secret",
    "extra_headers",
    "headers",
    "password",
    "s3_secret_access_key",
    "token",
    "vertex_ai_credentials",
    "vertex_credentials",
    "watsonx_token",
    "zen_api_key",
];

/// Whether a parameter's value is a secret; names we do not know are judged by how they end.
pub fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
        || ["_api_key", "_secret", "_password", "_token", "_credentials"]
            .iter()
            .any(|end| name.ends_with(end))
}

impl Definition {
    /// Takes the secrets out of the parameters. A secret that is no text (`extra_headers`) is kept as
    /// JSON.
    pub fn new(model_name: String, mut params: Object, info: Object, origin: Origin) -> Definition {
        let secrets = take_secrets(&mut params);
        let id = match info.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => stable_id(&model_name, &params),
        };
        Definition {
            id,
            model_name,
            params,
            secrets,
            info,
            origin,
        }
    }
}

/// Moves the secrets out of parameters.
pub fn take_secrets(params: &mut Object) -> BTreeMap<String, Secret> {
    let names: Vec<String> = params
        .keys()
        .filter(|name| is_secret(name))
        .cloned()
        .collect();
    names
        .into_iter()
        .filter_map(|name| {
            let text = match params.remove(&name)? {
                Value::Null => return None,
                Value::String(text) => text,
                other => other.to_string(),
            };
            Some((name, Secret::new(text)))
        })
        .collect()
}

/// An id that is the same after each start: the hash of the parameters, without secrets, so that a
/// new provider key does not make a new deployment (contract §16.4).
fn stable_id(model_name: &str, params: &Object) -> String {
    let text = format!("{model_name}\n{}", Value::Object(params.clone()));
    let mut id = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        write!(id, "{byte:02x}").expect("writing to a string cannot fail");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => panic!("an object is expected"),
        }
    }

    fn definition(params: Value, info: Value) -> Definition {
        Definition::new("m".to_owned(), object(params), object(info), Origin::File)
    }

    #[test]
    fn secrets_are_taken_out_whatever_their_shape() {
        let definition = definition(
            json!({"model": "openai/x", "api_key": "sk-1", "extra_headers": {"a": "b"}, "x_api_key": 5}),
            json!({}),
        );
        assert_eq!(
            Value::Object(definition.params),
            json!({"model": "openai/x"})
        );
        let shown: Vec<&str> = definition.secrets.values().map(Secret::expose).collect();
        assert_eq!(shown, ["sk-1", r#"{"a":"b"}"#, "5"]);
    }

    #[test]
    fn ids_stay_when_a_key_is_rotated_and_differ_otherwise() {
        let id = |params: Value| definition(params, json!({})).id;
        let first = id(json!({"model": "openai/x", "api_key": "sk-1"}));
        assert_eq!(first, id(json!({"model": "openai/x", "api_key": "sk-2"})));
        assert_ne!(first, id(json!({"model": "openai/y", "api_key": "sk-1"})));
        assert_eq!(definition(json!({}), json!({"id": "own"})).id, "own");
    }
}
