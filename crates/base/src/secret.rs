//! A secret that cannot be printed, logged or serialised by accident.

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// A provider key, master key or password in memory. Wiped when dropped; `Debug` prints
/// `[redacted]`; there is no `Serialize` and no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(value: impl Into<String>) -> Secret {
        let value = value.into();
        if value.len() == value.capacity() {
            return Secret(SecretString::from(value));
        }
        // letting go of the room behind it may move it, and would leave a copy
        let value = Zeroizing::new(value);
        Secret(SecretString::from(value.as_str()))
    }

    /// The plain text. Only for sending it to its provider, sealing it or comparing it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Secret {
        Secret::new(value)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_secret() {
        assert_eq!(format!("{:?}", Secret::new("sk-hidden")), "[redacted]");
    }
}
