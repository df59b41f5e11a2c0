//! Access tokens of applications that Microsoft Entra ID knows: the client credentials grant with a
//! secret, by which Azure is asked without an API key.
//!
//! Pure: nothing is sent. The secret goes to Microsoft's own host alone.

use base::{Code, Error, Result, Secret};
use url::form_urlencoded::Serializer;

use crate::access_token::{self, Exchange, Service};

const SERVICE: Service = Service {
    name: "Microsoft Entra",
    credential: "the application's client_secret",
};
/// What the token may be used for: the models of Azure OpenAI and of Foundry.
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// An application and its secret.
#[derive(Clone, Debug)]
pub struct Application {
    tenant_id: String,
    client_id: String,
    client_secret: Secret,
}

impl Application {
    /// # Errors
    /// `BadRequest` for a tenant that is neither an id nor a domain: it stands in the address that the
    /// secret is sent to.
    pub fn new(tenant_id: &str, client_id: &str, client_secret: Secret) -> Result<Application> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let tenant_id = tenant_id.trim();
        if tenant_id.is_empty()
            || !tenant_id.bytes().all(is_plain)
            || tenant_id.bytes().all(|byte| byte == b'.')
        {
            let message = "tenant_id must be the id or a domain of a tenant";
            return Err(Error::new(Code::BadRequest, message).param("tenant_id"));
        }
        Ok(Application {
            tenant_id: tenant_id.to_owned(),
            client_id: client_id.trim().to_owned(),
            client_secret,
        })
    }

    /// Under which its token may be kept.
    pub fn token_key(&self) -> [u8; 32] {
        let secret = self.client_secret.expose();
        access_token::key(&["entra", &self.tenant_id, &self.client_id, secret])
    }

    /// What to ask for a token.
    pub fn exchange(&self) -> Exchange {
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", self.client_secret.expose().trim())
            .append_pair("scope", SCOPE)
            .finish();
        Exchange {
            service: SERVICE,
            url: format!(
                "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
                self.tenant_id
            ),
            form: Secret::new(form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_asks_its_tenant_with_its_secret() {
        let secret = |text: &str| Secret::new(text);
        let application =
            Application::new("contoso.onmicrosoft.com", "app-1", secret("s~&=1")).unwrap();
        let exchange = application.exchange();
        assert_eq!(
            exchange.url,
            "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
        );
        assert_eq!(
            exchange.form.expose(),
            "grant_type=client_credentials&client_id=app-1&client_secret=s%7E%26%3D1\
             &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        );
        assert!(!format!("{application:?}").contains("s~&=1"));
        let key = |secret| Application::new("t", "a", secret).unwrap().token_key();
        assert_ne!(key(secret("one")), key(secret("other")));
        for tenant in ["", " ", "..", "a/b", "evil.test/", "a?b", "a#b", "é"] {
            let error = Application::new(tenant, "a", secret("hidden")).unwrap_err();
            assert_eq!(
                (error.status(), error.parameter()),
                (400, Some("tenant_id"))
            );
        }
    }
}
