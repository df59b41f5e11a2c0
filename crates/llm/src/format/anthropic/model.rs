//! What a model takes, by its name: Anthropic's models differ in how they think and what they refuse.
//!
//! Names come in several spellings: `claude-sonnet-4-20250514`, `claude-3-5-haiku-latest`,
//! `us.anthropic.claude-opus-4-6-v1:0`, `claude-opus-4.6`, `claude-sonnet-4@20250514`.

/// A model of a provider that speaks this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) struct Model {
    family: Family,
    /// Major and minor; `None` for a name without them.
    version: Option<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Opus,
    /// Fable and Mythos always think.
    AlwaysThinking,
    OtherClaude,
    /// Somebody else's model behind this format.
    Foreign,
}

impl Model {
    pub fn read(name: &str) -> Model {
        let name = name.to_ascii_lowercase();
        let Some(at) = name.find("claude") else {
            return Model {
                family: Family::Foreign,
                version: None,
            };
        };
        let words: Vec<&str> = name[at..]
            .split(|c: char| !c.is_ascii_alphanumeric())
            .collect();
        let family = match () {
            () if words.contains(&"opus") => Family::Opus,
            () if words.contains(&"fable") || words.contains(&"mythos") => Family::AlwaysThinking,
            () => Family::OtherClaude,
        };
        Model {
            family,
            version: version(&words),
        }
    }

    pub fn is_at_least(self, major: u32, minor: u32) -> bool {
        match (self.version, self.family) {
            (Some(version), _) => version >= (major, minor),
            // `claude-mythos-preview` came with 4.7
            (None, family) => family == Family::AlwaysThinking && (major, minor) <= (4, 7),
        }
    }

    /// Whether it can think before it answers.
    pub fn thinks(self) -> bool {
        self.family == Family::Foreign || self.is_at_least(3, 7)
    }

    /// Thinks as much as it sees fit (`thinking.type: adaptive`), guided by `output_config.effort`.
    pub fn is_adaptive(self) -> bool {
        self.is_at_least(4, 6)
    }

    /// Takes a budget of tokens to think with (`thinking.type: enabled`).
    pub fn takes_budget(self) -> bool {
        self.thinks() && !self.is_at_least(4, 7)
    }

    /// Whether thinking can be switched off.
    pub fn may_not_think(self) -> bool {
        self.family != Family::AlwaysThinking
    }

    /// Takes `temperature`, `top_p` and `top_k`; newer models refuse them.
    pub fn takes_sampling(self) -> bool {
        !self.is_at_least(4, 7)
    }

    /// Takes `temperature` and `top_p` in one request.
    pub fn takes_temperature_with_top_p(self) -> bool {
        !self.is_at_least(4, 1)
    }

    /// Has structured output of its own (`output_config.format`, `strict` tools).
    pub fn has_structured_output(self) -> bool {
        self.is_at_least(4, 5) || self.family == Family::Opus && self.is_at_least(4, 1)
    }

    /// Takes `role: system` amid the conversation.
    pub fn takes_system_turns(self) -> bool {
        self.family == Family::Opus && self.is_at_least(4, 8)
    }
}

/// The first number, and the number behind it; dates are none.
fn version(words: &[&str]) -> Option<(u32, u32)> {
    let number = |word: &&str| {
        let is_short = word.len() <= 2;
        is_short.then(|| word.parse::<u32>().ok()).flatten()
    };
    let at = words.iter().position(|word| number(word).is_some())?;
    let major = number(&words[at])?;
    let minor = words.get(at + 1).and_then(number).unwrap_or(0);
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_spelling() {
        for (name, expected) in [
            ("claude-3-5-haiku-20241022", Some((3, 5))),
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-sonnet-4@20250514", Some((4, 0))),
            ("us.anthropic.claude-opus-4-6-v1:0", Some((4, 6))),
            ("anthropic/claude-opus-4.6", Some((4, 6))),
            ("claude-fable-5-1", Some((5, 1))),
            ("claude-2.1", Some((2, 1))),
            ("claude-mythos-preview", None),
            ("kimi-k2-0905", None),
        ] {
            assert_eq!(Model::read(name).version, expected, "{name}");
        }
    }

    #[test]
    fn models_differ() {
        let old = Model::read("claude-3-5-sonnet-20241022");
        assert!(!old.thinks() && old.takes_sampling() && !old.has_structured_output());
        let middle = Model::read("claude-sonnet-4-5");
        assert!(middle.takes_budget() && !middle.is_adaptive() && middle.has_structured_output());
        let both = Model::read("claude-opus-4-6");
        assert!(both.takes_budget() && both.is_adaptive() && both.takes_sampling());
        let new = Model::read("claude-sonnet-5");
        assert!(!new.takes_budget() && new.is_adaptive() && !new.takes_sampling());
        assert!(!Model::read("claude-mythos-preview").takes_sampling());
        assert!(Model::read("glm-4.6").takes_budget());
    }
}
