//! The process's environment, read once at start. Nothing else reads it.

use std::collections::BTreeMap;

/// Environment variables. A variable that is set to nothing counts as not set.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process; variables that are not text are left out.
    pub fn of_process() -> Environment {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The first of several names that is set: ours first, then those of LiteLLM.
    pub fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// Sets a variable that the environment itself does not set.
    pub fn fill(&mut self, name: &str, value: String) {
        if self.get(name).is_none() {
            self.0.insert(name.to_owned(), value);
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Environment {
        let owned = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Environment(owned.collect())
    }
}
