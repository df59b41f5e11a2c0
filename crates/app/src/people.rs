//! How people sign in and how they are written to: read from the environment (contract §20, §21) and
//! the file.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base::Secret;
use domain::config::SignInConfig;
use domain::mail::{Brand, Encryption, MailConfig};
use domain::requests::RequestConfig;

use crate::environment::Environment;
use crate::litellm_config::Settings;
use crate::section::{Notes, read_boolean};

/// How requests are treated where nothing is said for a team.
pub fn requests(settings: &Settings) -> RequestConfig {
    let (server, default) = (&settings.server, RequestConfig::default());
    RequestConfig {
        team_admin_limit: server
            .request_team_admin_limit
            .unwrap_or(default.team_admin_limit),
        automatic_limit: server
            .request_automatic_limit
            .unwrap_or(default.automatic_limit),
        grant_time: server.request_grant_time.unwrap_or(default.grant_time),
        request_time: server.request_waiting_time.unwrap_or(default.request_time),
    }
}

/// The settings of signing in.
///
/// # Errors
/// An address or a duration that is none.
pub fn sign_in(environment: &Environment, settings: &Settings) -> Result<SignInConfig> {
    let default = SignInConfig::default();
    let server = &settings.server;
    let life = match environment.get("LITELLM_UI_SESSION_DURATION") {
        Some(text) => Some(duration(text).with_context(|| {
            format!(
                "LITELLM_UI_SESSION_DURATION must be a duration such as 12h or 7d, not {text:?}"
            )
        })?),
        None => server.session_life,
    };
    let text = |name: &str| environment.get(name).map(|text| text.trim().to_owned());
    Ok(SignInConfig {
        public_url: public_url(environment)?,
        root_path: root_path(environment)?,
        logout_url: text("PROXY_LOGOUT_URL"),
        admin_name: text("UI_USERNAME").unwrap_or(default.admin_name),
        admin_password: environment.get("UI_PASSWORD").map(Secret::new),
        session_life: life.unwrap_or(default.session_life),
        session_idle: server.session_idle.unwrap_or(default.session_idle),
        shortest_password: server
            .shortest_password
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(default.shortest_password),
        administrators_only: settings.administrators_only,
    })
}

fn public_url(environment: &Environment) -> Result<Option<String>> {
    let Some((name, text)) = environment.first(&["PUBLIC_URL", "PROXY_BASE_URL"]) else {
        return Ok(None);
    };
    let url = url::Url::parse(text.trim()).ok();
    let is_one = url.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    if !is_one {
        bail!("{name} must be an address such as https://llm.example.com, not {text:?}");
    }
    Ok(Some(text.trim().trim_end_matches('/').to_owned()))
}

fn root_path(environment: &Environment) -> Result<String> {
    let text = environment.get("SERVER_ROOT_PATH").unwrap_or_default();
    let path = text.trim().trim_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    let is_one = path.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~')
    });
    if !is_one || path.contains("..") || path.contains("//") {
        bail!("SERVER_ROOT_PATH must be a path such as /llm, not {text:?}");
    }
    Ok(format!("/{path}"))
}

/// `90s`, `30m`, `12h`, `7d`, or seconds alone.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

/// The settings of mail; `None` without `SMTP_HOST`.
///
/// # Errors
/// A half configuration, or a value that makes no sense.
pub fn mail(
    environment: &Environment,
    sign_in: &SignInConfig,
    notes: &mut Notes,
) -> Result<Option<MailConfig>> {
    let text = |name: &str| environment.get(name).map(|text| text.trim().to_owned());
    let Some(host) = text("SMTP_HOST") else {
        return Ok(None);
    };
    let Some(sender) = text("SMTP_SENDER_EMAIL") else {
        bail!("SMTP_HOST is set and SMTP_SENDER_EMAIL is not: mail needs an address it comes from");
    };
    if sign_in.public_url.is_none() {
        notes.warnings.push(
            "SMTP_HOST is set and PUBLIC_URL is not: links in mails need the address that people \
             reach the gateway at, such as https://llm.example.com"
                .to_owned(),
        );
    }
    let port: u16 = match text("SMTP_PORT") {
        Some(port) => port
            .parse()
            .with_context(|| format!("SMTP_PORT must be a number from 1 to 65535, not {port:?}"))?,
        None => 587,
    };
    let authority = match text("SMTP_CA_FILE") {
        Some(file) => Some(
            std::fs::read_to_string(&file)
                .with_context(|| format!("SMTP_CA_FILE {file} cannot be read"))?,
        ),
        None => None,
    };
    Ok(Some(MailConfig {
        encryption: encryption(environment, port)?,
        host,
        port,
        credentials: text("SMTP_USERNAME").map(|name| {
            (
                name,
                Secret::new(environment.get("SMTP_PASSWORD").unwrap_or_default()),
            )
        }),
        sender,
        authority,
        brand: Brand {
            logo_url: text("EMAIL_LOGO_URL"),
            support_contact: text("EMAIL_SUPPORT_CONTACT"),
            signature: text("EMAIL_SIGNATURE"),
            subject_invitation: text("EMAIL_SUBJECT_INVITATION"),
            subject_key_created: text("EMAIL_SUBJECT_KEY_CREATED"),
            subject_key_rotated: text("EMAIL_SUBJECT_KEY_ROTATED"),
        },
        warning_ratio: warning_ratio(environment)?,
    }))
}

fn encryption(environment: &Environment, port: u16) -> Result<Encryption> {
    let flag = |name: &str| match environment.get(name) {
        None => Ok(None),
        Some(text) => match read_boolean(text) {
            Some(value) => Ok(Some(value)),
            None => bail!("{name} must be True or False, not {text:?}"),
        },
    };
    let starts_with_tls = flag("SMTP_USE_SSL")?.unwrap_or(port == 465);
    Ok(match (starts_with_tls, flag("SMTP_TLS")?) {
        (true, _) => Encryption::Tls,
        (false, Some(false)) => Encryption::None,
        (false, _) => Encryption::StartTls,
    })
}

fn warning_ratio(environment: &Environment) -> Result<f64> {
    const NAME: &str = "EMAIL_BUDGET_ALERT_MAX_SPEND_ALERT_PERCENTAGE";
    let Some(text) = environment.get(NAME) else {
        return Ok(0.8);
    };
    let ratio = text.trim().parse().ok();
    let ratio = ratio.filter(|ratio: &f64| *ratio > 0.0 && *ratio <= 1.0);
    ratio.with_context(|| format!("{NAME} must be a part such as 0.8, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    fn read(pairs: &[(&str, &str)]) -> Result<SignInConfig> {
        sign_in(&environment(pairs), &Settings::default())
    }

    #[test]
    fn links_begin_with_the_public_address_and_the_prefix() {
        for (pairs, link) in [
            (vec![], "/ui/login"),
            (vec![("SERVER_ROOT_PATH", "llm/")], "/llm/ui/login"),
            (
                vec![("PROXY_BASE_URL", "https://a.example/")],
                "https://a.example/ui/login",
            ),
            (
                vec![
                    ("PUBLIC_URL", "https://a.example"),
                    ("SERVER_ROOT_PATH", "/llm"),
                ],
                "https://a.example/llm/ui/login",
            ),
            (
                vec![
                    ("PUBLIC_URL", "https://a.example/llm"),
                    ("SERVER_ROOT_PATH", "/llm"),
                ],
                "https://a.example/llm/ui/login",
            ),
        ] {
            assert_eq!(read(&pairs).unwrap().link("/ui/login"), link, "{pairs:?}");
        }
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        for pair in [
            ("PUBLIC_URL", "llm.example.com"),
            ("PROXY_BASE_URL", "javascript:alert(1)"),
            ("SERVER_ROOT_PATH", "/a/../b"),
            ("SERVER_ROOT_PATH", "/a b"),
            ("LITELLM_UI_SESSION_DURATION", "soon"),
            ("LITELLM_UI_SESSION_DURATION", "0h"),
        ] {
            let error = read(&[pair]).unwrap_err().to_string();
            assert!(error.contains(pair.0), "{error}");
        }
        let config = read(&[("LITELLM_UI_SESSION_DURATION", "12h")]).unwrap();
        assert_eq!(config.session_life, Duration::from_secs(12 * 60 * 60));
    }

    #[test]
    fn mail_is_protected_unless_somebody_says_otherwise() {
        for (pairs, encryption) in [
            (vec![], Encryption::StartTls),
            (vec![("SMTP_PORT", "465")], Encryption::Tls),
            (vec![("SMTP_USE_SSL", "True")], Encryption::Tls),
            (vec![("SMTP_TLS", "False")], Encryption::None),
        ] {
            let both = [("SMTP_HOST", "mail"), ("SMTP_SENDER_EMAIL", "a@b.example")];
            let environment = environment(&[&both[..], &pairs].concat());
            let config = mail(
                &environment,
                &SignInConfig::default(),
                &mut Notes::default(),
            );
            assert_eq!(config.unwrap().unwrap().encryption, encryption, "{pairs:?}");
        }
        let half = environment(&[("SMTP_HOST", "mail")]);
        let error = mail(&half, &SignInConfig::default(), &mut Notes::default());
        assert!(error.unwrap_err().to_string().contains("SMTP_SENDER_EMAIL"));
    }
}
