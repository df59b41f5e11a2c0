//! What can be a key: refused by name is what cannot, before anything is sealed. Providers change what
//! their keys begin with, so that is not looked at.

use base::{Code, Error, Result, Secret};
use llm::provider::{Credential, Provider};
use url::Url;

use super::is_placeholder;

/// The longest key, in bytes: key files of service accounts have some thousands.
const LONGEST: usize = 16 * 1024;
/// The longest name and pattern.
const LONGEST_NAME: usize = 256;

/// A key as a person pasted it, without the blanks around it.
///
/// # Errors
/// `BadRequest` that says what is wrong with it, and never what it is.
pub(super) fn clean_key(provider: &Provider, sent: &Secret) -> Result<Secret> {
    let refused = |why: &str| {
        let message = format!("the key for {} {why}", provider.title);
        Err(Error::new(Code::BadRequest, message).param("api_key"))
    };
    let key = sent.expose().trim();
    if key.is_empty() {
        return refused("is blank");
    }
    if key.len() > LONGEST {
        return refused(&format!("is longer than {LONGEST} bytes"));
    }
    if is_placeholder(key) {
        return refused("is a placeholder: put the key in its place that the provider gave you");
    }
    let secret = Secret::new(key);
    // a key file is checked as such
    if matches!(
        Credential::of_key(provider, secret.clone())?,
        Credential::Google(_)
    ) {
        return Ok(secret);
    }
    if key.contains(char::is_control) {
        return refused("holds control characters, such as a line break");
    }
    if key.contains(char::is_whitespace) {
        return refused("holds a blank");
    }
    if !key.is_ascii() {
        return refused("holds letters that no key has");
    }
    Ok(secret)
}

/// A name for a key.
///
/// # Errors
/// `BadRequest` for what is blank, too long or holds control characters.
pub(super) fn clean_name(name: &str) -> Result<String> {
    let name = name.trim();
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control);
    match fits {
        true => Ok(name.to_owned()),
        false => Err(Error::new(
            Code::BadRequest,
            format!("name must be a text of 1 to {LONGEST_NAME} bytes without control characters"),
        )
        .param("name")),
    }
}

/// Patterns of models that a key pays for.
///
/// # Errors
/// `BadRequest` for more than a hundred, or one that cannot be a name.
pub(super) fn clean_models(models: Vec<String>) -> Result<Vec<String>> {
    const MOST: usize = 100;
    let fits = |model: &String| {
        !model.trim().is_empty() && model.len() <= LONGEST_NAME && !model.contains(char::is_control)
    };
    if models.len() > MOST || !models.iter().all(fits) {
        let message = format!("models must be at most {MOST} names or patterns of models");
        return Err(Error::new(Code::BadRequest, message).param("models"));
    }
    Ok(models)
}

/// A host of the owner's.
///
/// # Errors
/// `BadRequest` for what is no http or https URL, and for one that holds credentials or a query, which
/// would be shown.
pub(super) fn clean_base_url(text: &str) -> Result<String> {
    const LONGEST_URL: usize = 2048;
    let refused = |why: &str| {
        let message = format!("base_url {why}");
        Error::new(Code::BadRequest, message).param("base_url")
    };
    let url = Url::parse(text.trim()).map_err(|_| refused("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(refused("must be an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not hold credentials; use api_key"));
    }
    if url.query().is_some() || url.fragment().is_some() || text.len() > LONGEST_URL {
        return Err(refused("must be a host and a path alone"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use llm::provider::find;

    use super::*;

    fn refusal(key: &str) -> String {
        let provider = find("anthropic").expect("a provider");
        let error = clean_key(provider, &Secret::new(key)).unwrap_err();
        assert_eq!(error.parameter(), Some("api_key"));
        error.message().to_owned()
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_fault() {
        for (key, fault) in [
            (" \t ", "blank"),
            ("sk-ant-YOUR-REAL-KEY", "placeholder"),
            ("sk-ant-12\n34", "control characters"),
            ("sk-ant-12\u{0}34", "control characters"),
            ("sk-ant-12 34", "a blank"),
            ("sk-ant-ключ", "letters"),
        ] {
            let said = refusal(key);
            assert!(said.contains(fault) && said.contains("Anthropic"), "{said}");
        }
        assert!(refusal(&"k1".repeat(10_000)).contains("longer"));
    }

    #[test]
    fn a_good_key_loses_the_blanks_around_it_and_nothing_else() {
        let provider = find("gemini").expect("a provider");
        for key in [
            "AQ.Ab8RN6K1m2",
            "any-prefix-will-do-4711",
            &"k1".repeat(4096),
        ] {
            let pasted = Secret::new(format!("  {key}\n"));
            assert_eq!(clean_key(provider, &pasted).unwrap().expose(), key);
        }
    }

    #[test]
    fn a_host_is_a_plain_url() {
        let good = clean_base_url("https://proxy.example.com/v1/").unwrap();
        assert_eq!(good, "https://proxy.example.com/v1");
        for bad in [
            "",
            "proxy.example.com",
            "ftp://proxy.example.com",
            "https://user:password@proxy.example.com",
            "https://proxy.example.com/?key=1",
            "file:///etc/passwd",
        ] {
            assert!(clean_base_url(bad).is_err(), "{bad}");
        }
    }
}
