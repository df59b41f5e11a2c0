//! Models as configurations state them: one [`Definition`] an entry of the model list, whether it
//! stands in a file, in the database or in the environment, and how it becomes a [`Deployment`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use base::{Code, Error, Result, Secret};
use llm::provider;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::deployment::{Deployment, Priced, Target};
use crate::prices::price;

/// A JSON object whose names we do not prescribe.
pub type Object = Map<String, Value>;

/// Environment variables that providers name for their keys and base URLs: all that definitions may
/// learn of the environment.
pub type Variables = BTreeMap<String, Secret>;

/// What is configured outside the database, and so stays as it is while the process runs.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    pub definitions: Vec<Definition>,
    /// Public names that mean another one (`router_settings.model_group_alias`).
    pub aliases: BTreeMap<String, String>,
    pub variables: Variables,
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
}

/// Parameters that are secret: never shown, never logged, sealed in the database.
const SECRETS: &[&str] = &[
    "api_key",
    "aws_access_key_id",
    "azure_ad_token",
    "client_secret",
    "default_headers",
    "extra_headers",
    "headers",
    "password",
    "token",
];

/// Whether a parameter's value is a secret; names we do not know are judged by how they end.
pub fn is_secret(name: &str) -> bool {
    const ENDS: [&str; 10] = [
        "_access_token",
        "_ad_token",
        "_api_key",
        "_auth_token",
        "_credentials",
        "_identity_token",
        "_password",
        "_secret",
        "_secret_access_key",
        "_session_token",
    ];
    SECRETS.contains(&name) || ENDS.iter().any(|end| name.ends_with(end))
}

/// Moves the secrets out of parameters. A secret that is no text (`extra_headers`) is kept as JSON.
pub fn take_secrets(params: &mut Object) -> BTreeMap<String, Secret> {
    let names = params.keys().filter(|name| is_secret(name));
    let names: Vec<String> = names.cloned().collect();
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

impl Definition {
    /// A definition with the id of its `model_info`, or one that is always the same for the same
    /// parameters.
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

    /// Makes everything ready that calls to the deployment need.
    ///
    /// # Errors
    /// [`Code::BadRequest`] whose `param` names the parameter at fault.
    pub fn deployment(&self, variables: &Variables) -> Result<Deployment> {
        let target = self.target(variables)?;
        let price = match &target {
            Target::Upstream(upstream) => price(
                &self.id,
                &self.params,
                &self.info,
                upstream.provider,
                upstream.endpoint.region(),
                &upstream.model,
            )?,
            Target::Mock(_) | Target::Demo => self.mock_price()?,
        };
        let public_name = text(&self.info, "team_public_model_name")?;
        Ok(Deployment {
            id: self.id.clone(),
            model_name: public_name.unwrap_or_else(|| self.model_name.clone()),
            target,
            price,
            mode: text(&self.info, "mode")?,
            weight: self.weight()?,
            order: integer(&self.params, "order")?.unwrap_or(0),
            team_id: text(&self.info, "team_id")?,
            access_groups: self.access_groups()?,
            is_configured: self.origin != Origin::Database,
            is_blocked: false,
            params: self.params.clone(),
            info: self.info.clone(),
        })
    }

    /// `*` for `model: "*"` without a provider: whatever model the client names, of any provider that
    /// the environment has a key for.
    pub fn is_any_model(&self) -> bool {
        let is_stated = |name: &str| self.params.get(name).is_some_and(|value| !value.is_null());
        self.model_name == "*"
            && self.params.get("model").is_some_and(|model| model == "*")
            && ![
                "api_base",
                "base_url",
                "custom_llm_provider",
                "mock_response",
            ]
            .into_iter()
            .any(is_stated)
    }

    /// Weights may be fractions, so they are kept in hundredths.
    fn weight(&self) -> Result<u32> {
        const HUNDREDTHS: f64 = 100.0;
        let Some(weight) = number(&self.params, "weight")? else {
            return Ok(100);
        };
        let hundredths = (weight * HUNDREDTHS).round();
        match (0.0..=f64::from(u32::MAX)).contains(&hundredths) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range was checked"
            )]
            true => Ok(hundredths as u32),
            false => Err(refused(
                "weight",
                "weight must be a number that is not negative",
            )),
        }
    }

    fn access_groups(&self) -> Result<Vec<String>> {
        match self.info.get("access_groups") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(groups) => serde_json::from_value(groups.clone())
                .map_err(|_| refused("access_groups", "access_groups must be a list of texts")),
        }
    }

    /// What a configured answer costs: as if the model had given it, where one is named.
    fn mock_price(&self) -> Result<Option<Priced>> {
        let model = text(&self.params, "model")?.unwrap_or_default();
        let custom = text(&self.params, "custom_llm_provider")?;
        match provider::resolve(&model, custom.as_deref(), Some("http://mock.invalid")) {
            Ok(named) => price(
                &self.id,
                &self.params,
                &self.info,
                named.provider,
                None,
                named.model,
            ),
            Err(_) => Ok(None),
        }
    }
}

/// The first of a provider's variables that is set.
pub fn variable<'a>(variables: &'a Variables, names: &[&str]) -> Option<&'a Secret> {
    names.iter().find_map(|name| variables.get(*name))
}

pub(crate) fn refused(param: &str, message: &str) -> Error {
    Error::new(Code::BadRequest, message.to_owned()).param(param.to_owned())
}

pub(crate) fn text(object: &Object, name: &str) -> Result<Option<String>> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(refused(name, &format!("{name} must be text"))),
    }
}

/// A number that may be written as text.
fn number(object: &Object, name: &str) -> Result<Option<f64>> {
    let number = match object.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match number.filter(|number| number.is_finite()) {
        Some(number) => Ok(Some(number)),
        None => Err(refused(name, &format!("{name} must be a number"))),
    }
}

pub(crate) fn integer(object: &Object, name: &str) -> Result<Option<i64>> {
    let whole = |number: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
        let integer = number as i64;
        #[expect(clippy::cast_precision_loss, reason = "large numbers are refused")]
        let same = integer as f64 == number;
        same.then_some(integer)
    };
    number(object, name)?
        .map(|number| {
            whole(number).ok_or_else(|| refused(name, &format!("{name} must be a whole number")))
        })
        .transpose()
}

pub(crate) fn seconds(object: &Object, name: &str) -> Result<Option<Duration>> {
    let Some(number) = number(object, name)? else {
        return Ok(None);
    };
    match Duration::try_from_secs_f64(number) {
        Ok(duration) if !duration.is_zero() => Ok(Some(duration)),
        _ => Err(refused(
            name,
            &format!("{name} must be a number of seconds above zero"),
        )),
    }
}

/// An id that is the same after each start: the hash of the parameters, without secrets, so that a
/// new provider key does not make a new deployment (contract §16.4).
fn stable_id(model_name: &str, params: &Object) -> String {
    // in whatever order they were written
    let params: BTreeMap<&String, &Value> = params.iter().collect();
    let params = serde_json::to_string(&params).expect("JSON values are always JSON");
    let text = format!("{model_name}\n{params}");
    hex(&Sha256::digest(text.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::Upstream;
    use llm::provider::Credential;
    use serde_json::json;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => panic!("an object is expected"),
        }
    }

    fn definition(params: Value, info: Value, origin: Origin) -> Definition {
        Definition::new("m".to_owned(), object(params), object(info), origin)
    }

    fn file(params: Value, info: Value) -> Definition {
        definition(params, info, Origin::File)
    }

    fn upstream(definition: &Definition, variables: &Variables) -> Upstream {
        match definition.deployment(variables).unwrap().target {
            Target::Upstream(upstream) => *upstream,
            other => panic!("an upstream is expected, not {other:?}"),
        }
    }

    fn variables() -> Variables {
        [
            ("OPENAI_API_KEY", "sk-environment"),
            ("GROQ_API_BASE", "http://groq.local/v1"),
        ]
        .map(|(name, value)| (name.to_owned(), Secret::new(value)))
        .into()
    }

    #[test]
    fn secrets_are_taken_out_whatever_their_shape() {
        let definition = file(
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
        let id = |params: Value| file(params, json!({})).id;
        let first = id(json!({"model": "openai/x", "api_key": "sk-1"}));
        assert_eq!(first, id(json!({"model": "openai/x", "api_key": "sk-2"})));
        assert_ne!(first, id(json!({"model": "openai/y", "api_key": "sk-1"})));
        assert_eq!(file(json!({}), json!({"id": "own"})).id, "own");
    }

    #[test]
    fn a_provider_s_variables_fill_what_a_definition_leaves_out() {
        let openai = upstream(
            &file(json!({"model": "openai/gpt-4o"}), json!({})),
            &variables(),
        );
        let Credential::Key(key) = openai.credential else {
            panic!("a key is expected");
        };
        assert_eq!(key.expose(), "sk-environment");
        assert_eq!(openai.api_base, "https://api.openai.com/v1");
        assert_eq!(openai.model, "gpt-4o");
        let groq = upstream(
            &file(json!({"model": "groq/llama"}), json!({})),
            &variables(),
        );
        assert_eq!(groq.api_base, "http://groq.local/v1");
    }

    #[test]
    fn the_environment_s_key_is_not_sent_where_the_api_says() {
        let params = json!({"model": "openai/gpt-4o", "api_base": "http://elsewhere.test/v1"});
        let own = definition(params.clone(), json!({}), Origin::Database);
        assert!(upstream(&own, &variables()).credential.is_none());
        let configured = upstream(&file(params, json!({})), &variables());
        assert!(!configured.credential.is_none());
    }

    #[test]
    fn definitions_from_the_api_reach_only_variables_of_providers() {
        let with_key = |key: &str| {
            let params = json!({"model": "openai/gpt-4o", "api_key": key});
            definition(params, json!({}), Origin::Database).deployment(&variables())
        };
        assert!(with_key("os.environ/OPENAI_API_KEY").is_ok());
        let error = with_key("os.environ/TOLLGATE_MASTER_KEY").unwrap_err();
        assert_eq!(error.code(), Code::BadRequest);
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (params, param) in [
            (json!({}), "model"),
            (json!({"model": 7}), "model"),
            (json!({"model": "no-such-model"}), "model"),
            (json!({"model": "openai/x", "timeout": "soon"}), "timeout"),
            (json!({"model": "openai/x", "timeout": 0}), "timeout"),
            (json!({"model": "openai/x", "rpm": 1.5}), "rpm"),
            (json!({"model": "openai/x", "weight": -1}), "weight"),
            (
                json!({"model": "openai/x", "api_base": "ftp://x"}),
                "api_base",
            ),
            (
                json!({"model": "openai/x", "extra_headers": [1]}),
                "extra_headers",
            ),
            (
                json!({"model": "openai/x", "input_cost_per_token": "free"}),
                "input_cost_per_token",
            ),
        ] {
            let error = file(params.clone(), json!({})).deployment(&Variables::new());
            let error = error.expect_err(&params.to_string());
            assert_eq!(error.parameter(), Some(param), "{params}");
        }
    }
}
