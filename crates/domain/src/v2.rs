//! What both planes say alike on the paths of the `/v2` API: which paths those are, and how an error is
//! told there (`{"detail": …}`, with statuses of its own for keys and sessions).

use base::{Code, Error};
use http::{HeaderMap, header};

use crate::sessions;

/// What the paths of the API begin with. Other paths below `/v2` belong to other APIs.
const PREFIXES: [&str; 10] = [
    "/v2/login/",
    "/v2/password-recovery/",
    "/v2/reset-password",
    "/v2/users",
    "/v2/admin/llm-keys",
    "/v2/llm-models",
    "/v2/llm/",
    "/v2/conversations",
    "/v2/billing/",
    "/v2/api-keys",
];

/// Whether a path belongs to the API.
pub fn is_path(path: &str) -> bool {
    PREFIXES.iter().any(|prefix| {
        let rest = path.strip_prefix(prefix);
        rest.is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    })
}

/// The path that is meant by one with a slash at its end: both spellings of every path are served.
pub fn without_slash(path: &str) -> Option<&str> {
    let bare = path.strip_suffix('/')?;
    (is_path(path) && !bare.ends_with('/')).then_some(bare)
}

/// Whether a text is an id as this API has them.
pub fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

/// What a request came with to show who sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// No bearer token.
    #[default]
    None,
    /// A virtual key.
    Key,
    /// The token of a session, or what is neither.
    Session,
}

impl Proof {
    pub fn of(headers: &HeaderMap) -> Proof {
        let value = headers.get(header::AUTHORIZATION);
        let value = value.and_then(|value| value.to_str().ok());
        let Some((scheme, token)) = value.and_then(|value| value.trim().split_once(' ')) else {
            return Proof::None;
        };
        match token.trim() {
            "" => Proof::None,
            _ if !scheme.eq_ignore_ascii_case("bearer") => Proof::None,
            token if token.starts_with(sessions::PREFIX) => Proof::Session,
            token if token.starts_with("sk-") || token.starts_with("rp_") => Proof::Key,
            _ => Proof::Session,
        }
    }
}

/// What an error is told as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub detail: String,
}

/// What somebody is told on a path whose door is not theirs.
pub fn gate(path: &str) -> &'static str {
    match path.starts_with("/v2/admin/") {
        true => "Superuser access required",
        false => "The user doesn't have enough privileges",
    }
}

/// The status and the text of an error on a path of this API, with the text of its [`gate`].
pub fn told(error: &Error, proof: Proof, gate: &str) -> Told {
    let told = |status, detail: &str| Told {
        status,
        detail: detail.to_owned(),
    };
    match (error.code(), proof) {
        (Code::KeyMissing, _) | (Code::KeyMalformed, Proof::None) => told(401, "Not authenticated"),
        (Code::KeyBlocked, Proof::Session) => told(400, "Inactive user"),
        (Code::KeyBlocked, _) if error.message() == crate::auth::USER_BLOCKED => {
            told(403, "User account is inactive")
        }
        (
            Code::KeyMalformed
            | Code::KeyUnknown
            | Code::KeyExpired
            | Code::KeyBlocked
            | Code::TeamBlocked,
            Proof::Key,
        ) => told(403, "Invalid API key"),
        (
            Code::KeyMalformed
            | Code::KeyUnknown
            | Code::KeyExpired
            | Code::KeyBlocked
            | Code::TeamBlocked,
            _,
        ) => told(403, "Could not validate credentials"),
        (Code::RoleForbidden | Code::ReadOnlyRole, _) => told(403, gate),
        (Code::Internal, _) => told(500, "Internal server error"),
        _ => told(error.status(), error.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_apis_below_v2_are_told_apart() {
        for path in [
            "/v2/users",
            "/v2/users/me",
            "/v2/login/access-token",
            "/v2/llm/chat",
        ] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "/v2/login",
            "/v2/user/info",
            "/v2/key/info",
            "/v2/rerank",
            "/v2/usersx",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn a_slash_at_the_end_means_nothing() {
        assert_eq!(without_slash("/v2/users/"), Some("/v2/users"));
        assert_eq!(without_slash("/v2/users/me/"), Some("/v2/users/me"));
        for path in [
            "/v2/users",
            "/v2/users//",
            "/v2/user/info/",
            "/metrics/",
            "/",
        ] {
            assert_eq!(without_slash(path), None, "{path}");
        }
    }

    #[test]
    fn what_was_sent_decides_what_is_said() {
        let proof = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            Proof::of(&headers)
        };
        assert_eq!(proof("Bearer sk-tgs-abc"), Proof::Session);
        assert_eq!(proof("bearer sk-abc"), Proof::Key);
        assert_eq!(proof("Bearer eyJ.a.b"), Proof::Session);
        assert_eq!(proof("Basic abc"), Proof::None);
        assert_eq!(proof("Bearer "), Proof::None);
        let unknown = Error::new(Code::KeyUnknown, "who?");
        assert_eq!(told(&unknown, Proof::Key, "").detail, "Invalid API key");
        assert_eq!(told(&unknown, Proof::Session, "").status, 403);
        let missing = Error::new(Code::KeyMissing, "nothing");
        assert_eq!(told(&missing, Proof::None, "").status, 401);
    }
}
