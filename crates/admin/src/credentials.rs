//! LiteLLM's `/credentials`: the gateway's own provider keys by another name.

use axum::extract::State;
use base::{Code, Error, Secret};
use domain::Domain;
use domain::provider_keys::{self, New, Owner, provider_named};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::provider_keys::ProviderKeyRow;
use utoipa::ToSchema;

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path};
use crate::fields::{Object, Required, Sent};

/// A provider key of the gateway.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewCredential {
    #[schema(value_type = String)]
    credential_name: Required<String>,
    /// `api_key`, and `api_base` for another host than the provider's own.
    #[schema(value_type = Object)]
    credential_values: Required<Object>,
    /// `custom_llm_provider`
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    credential_info: Sent<Object>,
}

/// A provider key of the gateway, masked.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialObject {
    credential_name: String,
    #[schema(value_type = Object)]
    credential_values: Value,
    #[schema(value_type = Object)]
    credential_info: Value,
}

impl From<ProviderKeyRow> for CredentialObject {
    fn from(row: ProviderKeyRow) -> CredentialObject {
        let mut values = json!({"api_key": format!("****{}", row.last4)});
        if let Some(base_url) = row.base_url {
            values["api_base"] = base_url.into();
        }
        CredentialObject {
            credential_name: row.name,
            credential_values: values,
            credential_info: json!({"custom_llm_provider": row.provider}),
        }
    }
}

/// The gateway's provider keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialList {
    success: bool,
    credentials: Vec<CredentialObject>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialDone {
    success: bool,
    message: String,
}

fn refused(param: &'static str, message: &str) -> Error {
    Error::new(Code::BadRequest, message.to_owned()).param(param)
}

/// Stores a provider key of the gateway.
#[utoipa::path(post, path = "/credentials", operation_id = "credential_new", tag = "provider keys",
    request_body = NewCredential, responses((status = 200, body = CredentialDone)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<NewCredential>,
) -> Result<Json<CredentialDone>> {
    let mut values = body.credential_values.0;
    let mut info = body.credential_info.0.value().unwrap_or_default();
    let mut take = |name: &str| match values.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let key = take("api_key").map(Secret::new);
    let base_url = take("api_base").or_else(|| take("base_url"));
    let provider = match info.remove("custom_llm_provider") {
        Some(Value::String(name)) => Some(name),
        _ => take("custom_llm_provider"),
    };
    if let Some((name, _)) = values.iter().find(|(_, value)| !value.is_null()) {
        let message = format!("credential_values.{name} is not kept: models hold it themselves");
        return Err(refused("credential_values", &message).into());
    }
    let provider = provider.ok_or_else(|| {
        let message = "credential_info.custom_llm_provider must name the provider";
        refused("credential_info", message)
    })?;
    let key =
        key.ok_or_else(|| refused("credential_values", "credential_values.api_key is needed"))?;
    let new = New {
        name: Some(body.credential_name.0),
        base_url,
        ..New::plain(Owner::System, provider_named(&provider)?, key)
    };
    provider_keys::create(&domain, &actor, new).await?;
    Ok(Json(CredentialDone {
        success: true,
        message: "Credential created successfully".to_owned(),
    }))
}

/// The gateway's provider keys, masked.
#[utoipa::path(get, path = "/credentials", operation_id = "credentials_list", tag = "provider keys",
    responses((status = 200, body = CredentialList)))]
pub async fn list(State(domain): State<Domain>, actor: Anyone) -> Result<Json<CredentialList>> {
    let rows = provider_keys::list(&domain, &actor, Owner::System).await?;
    Ok(Json(CredentialList {
        success: true,
        credentials: rows.into_iter().map(CredentialObject::from).collect(),
    }))
}

/// Destroys a provider key of the gateway.
#[utoipa::path(delete, path = "/credentials/{credential_name}", operation_id = "credential_delete",
    tag = "provider keys", params(("credential_name" = String, Path)),
    responses((status = 200, body = CredentialDone)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(name): Path<String>,
) -> Result<Json<CredentialDone>> {
    let rows = provider_keys::list(&domain, &actor, Owner::System).await?;
    let row = rows.into_iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| {
        let message = "Credential not found";
        Error::new(Code::NotFound, message).param("credential_name")
    })?;
    provider_keys::delete(&domain, &actor, &row.id).await?;
    Ok(Json(CredentialDone {
        success: true,
        message: "Credential deleted successfully".to_owned(),
    }))
}
