//! One error type: a code (what it means), a message for the caller, a source for the log.
//!
//! A code is a meaning that a program may act on, not a place in our source. The table below is
//! the whole error surface of the gateway; statuses and types are those of contract §2.2 and §2.3.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $status:literal, $kind:literal, $anthropic:literal;)*) => {
        /// What went wrong, as a meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// The HTTP status of this meaning.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// `error.type` in LiteLLM's and OpenAI's error bodies.
            pub fn kind(self) -> &'static str {
                match self { $(Code::$name => $kind,)* }
            }

            /// `error.type` in Anthropic's error bodies.
            pub fn anthropic_kind(self) -> &'static str {
                match self { $(Code::$name => $anthropic,)* }
            }
        }
    };
}

codes! {
    KeyMissing                 => 401, "auth_error", "authentication_error";
    KeyMalformed               => 401, "auth_error", "authentication_error";
    KeyUnknown                 => 401, "token_not_found_in_db", "authentication_error";
    KeyExpired                 => 401, "expired_key", "authentication_error";
    KeyBlocked                 => 401, "auth_error", "authentication_error";
    TeamBlocked                => 401, "auth_error", "authentication_error";
    /// The caller's role may not use this endpoint.
    RoleForbidden              => 401, "auth_error", "permission_error";
    /// A viewing role tried to write.
    ReadOnlyRole               => 403, "auth_error", "permission_error";
    /// The key's `allowed_routes` or `key_type` leave this endpoint out.
    RouteForbidden             => 403, "auth_error", "permission_error";
    TeamMemberForbidden        => 401, "team_member_permission_error", "permission_error";
    Forbidden                  => 403, "auth_error", "permission_error";
    KeyModelForbidden          => 403, "key_model_access_denied", "permission_error";
    TeamModelForbidden         => 403, "team_model_access_denied", "permission_error";
    UserModelForbidden         => 403, "user_model_access_denied", "permission_error";
    OrganizationModelForbidden => 403, "org_model_access_denied", "permission_error";
    /// A money budget applies and the model has no price.
    ModelUnpriced              => 403, "model_cost_map_missing", "permission_error";
    BudgetExceeded             => 422, "budget_exceeded", "rate_limit_error";
    /// Neither the name nor the password is said to be the wrong one.
    CredentialsWrong           => 401, "auth_error", "authentication_error";
    /// Too many passwords were tried.
    SignInThrottled            => 429, "auth_error", "rate_limit_error";
    PasswordWeak               => 400, "validation_error", "invalid_request_error";
    RateLimited                => 429, "throttling_error", "rate_limit_error";
    /// A management request that makes no sense; `param` names the field.
    BadRequest                 => 400, "bad_request_error", "invalid_request_error";
    /// A model call that makes no sense.
    InvalidRequest             => 400, "invalid_request_error", "invalid_request_error";
    /// A body or query that does not have the documented shape; `details` lists the places.
    Validation                 => 422, "bad_request_error", "invalid_request_error";
    ModelUnknown               => 400, "invalid_request_error", "not_found_error";
    NotFound                   => 404, "not_found_error", "not_found_error";
    AlreadyMember              => 400, "team_member_already_in_team", "invalid_request_error";
    Conflict                   => 409, "bad_request_error", "invalid_request_error";
    MethodNotAllowed           => 405, "invalid_request_error", "invalid_request_error";
    BodyTooLarge               => 413, "invalid_request_error", "request_too_large";
    RequestTimeout             => 408, "invalid_request_error", "invalid_request_error";
    /// No provider key is configured for the model.
    ProviderKeyMissing         => 401, "auth_error", "authentication_error";
    /// The provider does not take a key that somebody other than the operator has brought.
    ProviderKeyRejected        => 400, "provider_key_rejected", "invalid_request_error";
    /// Such a key does not open, or may not go where the call goes.
    ProviderKeyUnusable        => 400, "provider_key_unusable", "invalid_request_error";
    /// The provider answered with an error; its own status is kept.
    UpstreamRefused            => 400, "invalid_request_error", "invalid_request_error";
    /// The provider could not be reached or broke off.
    UpstreamUnavailable        => 502, "upstream_error", "api_error";
    UpstreamTimeout            => 504, "upstream_error", "api_error";
    /// The gateway is stopping, or its storage cannot take more.
    Unavailable                => 503, "service_unavailable", "overloaded_error";
    Internal                   => 500, "internal_server_error", "api_error";
}

/// What went wrong, in two voices: `message` for the caller, `source` for the log.
///
/// `Display` and `Debug` are for the log; the message never holds a secret.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    message: Cow<'static, str>,
    status: Option<u16>,
    kind: Option<Cow<'static, str>>,
    param: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    details: Option<serde_json::Value>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner {
            code,
            message: message.into(),
            status: None,
            kind: None,
            param: None,
            retry_after: None,
            details: None,
            source: None,
        }))
    }

    /// A fault of ours: the caller reads "internal server error", the log has the chain.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::new(Code::Internal, "Internal server error").caused_by(source)
    }

    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// Names the request field at fault.
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Error {
        self.0.param = Some(param.into());
        self
    }

    pub fn retry_after(mut self, after: Duration) -> Error {
        self.0.retry_after = Some(after);
        self
    }

    /// Answers with another status than the code's own: the provider's, or a configured one.
    pub fn with_status(mut self, status: u16) -> Error {
        self.0.status = Some(status);
        self
    }

    /// Answers with another `type` than the code's own: the provider's.
    pub fn with_kind(mut self, kind: impl Into<Cow<'static, str>>) -> Error {
        self.0.kind = Some(kind.into());
        self
    }

    /// Facts for a program: the places of a validation error, the figures of a budget.
    pub fn with_details(mut self, details: serde_json::Value) -> Error {
        self.0.details = Some(details);
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn status(&self) -> u16 {
        self.0.status.unwrap_or_else(|| self.0.code.status())
    }

    pub fn kind(&self) -> &str {
        match &self.0.kind {
            Some(kind) => kind,
            None => self.0.code.kind(),
        }
    }

    pub fn parameter(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub fn details(&self) -> Option<&serde_json::Value> {
        self.0.details.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.code, self.0.message)?;
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_tells_the_caller_nothing_of_its_source() {
        let error = Error::internal(std::io::Error::other("disk on fire"));
        assert_eq!(error.message(), "Internal server error");
        assert_eq!(error.status(), 500);
        assert!(error.to_string().contains("disk on fire"));
    }

    #[test]
    fn a_status_of_its_own_replaces_the_code_s() {
        let error = Error::new(Code::BudgetExceeded, "over").with_status(400);
        assert_eq!((error.status(), error.kind()), (400, "budget_exceeded"));
    }
}
