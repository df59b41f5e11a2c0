//! What the models behind Bedrock take, by their ids: `us.anthropic.claude-opus-4-6-v1`,
//! `amazon.nova-2-lite-v1:0`, the ARN of an inference profile. The facts are those of LiteLLM's
//! price list and AWS's pages on model parameters.

/// A model, as far as its id tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub maker: Maker,
    /// Of Claude: major and minor.
    version: (u32, u32),
    /// Fable and Mythos always think.
    always_thinks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    Anthropic,
    Nova,
    /// Nova that can think.
    Nova2,
    GptOss,
    /// GPT-5 and newer.
    Gpt,
    DeepSeek,
    /// It always thinks, and is not told how much.
    DeepSeekR1,
    Mistral,
    /// Open models that have structured output at Bedrock: Qwen, Kimi K2, MiniMax M2, GLM 5, Nemotron 3.
    Open,
    Other,
}

impl Model {
    pub fn read(id: &str) -> Model {
        let id = id.to_ascii_lowercase();
        let mut model = Model {
            maker: maker(&id),
            version: (0, 0),
            always_thinks: false,
        };
        if let Some(at) = id
            .find("claude")
            .filter(|_| model.maker == Maker::Anthropic)
        {
            let words: Vec<&str> = id[at..]
                .split(|c: char| !c.is_ascii_alphanumeric())
                .collect();
            model.always_thinks = words.contains(&"fable") || words.contains(&"mythos");
            // `claude-mythos-preview` came with 4.7
            let unnamed = if model.always_thinks { (4, 7) } else { (0, 0) };
            model.version = version(&words).unwrap_or(unnamed);
        }
        model
    }

    fn is_claude(self, least: (u32, u32)) -> bool {
        self.maker == Maker::Anthropic && self.version >= least
    }

    /// Claude: takes `thinking`.
    pub fn thinks(self) -> bool {
        self.is_claude((3, 7))
    }

    /// Claude: thinking cannot be switched off.
    pub fn always_thinks(self) -> bool {
        self.always_thinks
    }

    /// Claude: thinks as much as it sees fit, guided by an effort.
    pub fn is_adaptive(self) -> bool {
        self.is_claude((4, 6))
    }

    /// Claude: takes a budget of tokens to think with.
    pub fn takes_budget(self) -> bool {
        self.thinks() && !self.is_claude((4, 7))
    }

    /// Takes `temperature`, `topP` and `topK`; the newest Claudes refuse them.
    pub fn takes_sampling(self) -> bool {
        !self.is_claude((4, 7))
    }

    /// Takes `temperature` and `topP` in one request.
    pub fn takes_temperature_with_top_p(self) -> bool {
        !self.is_claude((4, 1))
    }

    /// Takes cache points in messages and the system prompt.
    pub fn caches(self) -> bool {
        matches!(self.maker, Maker::Anthropic | Maker::Nova | Maker::Nova2)
    }

    /// Takes cache points between tools, and for an hour.
    pub fn caches_tools(self) -> bool {
        self.maker == Maker::Anthropic
    }

    /// Takes `status` with a tool's result.
    pub fn takes_result_status(self) -> bool {
        self.caches()
    }

    /// Reads unsigned reasoning that comes back to it.
    pub fn reads_unsigned_reasoning(self) -> bool {
        matches!(self.maker, Maker::GptOss | Maker::Open)
    }

    /// Has `outputConfig.textFormat`.
    pub fn has_structured_output(self) -> bool {
        match self.maker {
            // the first with 4.5; Bedrock does not have it for all that came later
            Maker::Anthropic => ((4, 5)..(4, 7)).contains(&self.version) || self.version == (5, 1),
            Maker::DeepSeek | Maker::Open => true,
            _ => false,
        }
    }

    /// Can be made to call some tool.
    pub fn can_be_forced(self) -> bool {
        matches!(
            self.maker,
            Maker::Anthropic | Maker::Nova | Maker::Nova2 | Maker::Mistral
        )
    }
}

fn maker(id: &str) -> Maker {
    let has = |word: &str| id.contains(word);
    match () {
        () if has("anthropic.") || has("claude") => Maker::Anthropic,
        () if has("nova-2") => Maker::Nova2,
        () if has("amazon.nova") => Maker::Nova,
        () if has("gpt-oss") => Maker::GptOss,
        () if has("openai.gpt-") => Maker::Gpt,
        () if has("deepseek.r1") || has("deepseek-r1") => Maker::DeepSeekR1,
        () if has("deepseek") => Maker::DeepSeek,
        () if has("mistral.") => Maker::Mistral,
        () if ["qwen.", "kimi-k2", "minimax-m2", "glm-5", "nemotron-nano-3"]
            .iter()
            .any(|word| has(word)) =>
        {
            Maker::Open
        }
        () => Maker::Other,
    }
}

/// The first number, and the number behind it; dates are none.
fn version(words: &[&str]) -> Option<(u32, u32)> {
    let number = |word: &&str| {
        let is_short = word.len() <= 2;
        is_short.then(|| word.parse::<u32>().ok()).flatten()
    };
    let at = words.iter().position(|word| number(word).is_some())?;
    let minor = words.get(at + 1).and_then(number).unwrap_or(0);
    Some((number(&words[at])?, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_arns_name_their_model() {
        for (id, maker) in [
            (
                "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
                Maker::Anthropic,
            ),
            (
                "arn:aws:bedrock:us-east-1:012345678901:inference-profile/eu.amazon.nova-lite-v1:0",
                Maker::Nova,
            ),
            ("global.amazon.nova-2-lite-v1:0", Maker::Nova2),
            ("openai.gpt-oss-120b-1:0", Maker::GptOss),
            ("us.openai.gpt-5.5", Maker::Gpt),
            ("us.deepseek.r1-v1:0", Maker::DeepSeekR1),
            ("deepseek.v3-v1:0", Maker::DeepSeek),
            ("moonshot.kimi-k2-thinking", Maker::Open),
            ("meta.llama4-scout-17b-instruct-v1:0", Maker::Other),
            (
                "arn:aws:bedrock:us-east-1:0:application-inference-profile/abc",
                Maker::Other,
            ),
        ] {
            assert_eq!(Model::read(id).maker, maker, "{id}");
        }
    }

    #[test]
    fn claudes_differ() {
        let old = Model::read("anthropic.claude-3-5-sonnet-20241022-v2:0");
        assert!(!old.thinks() && old.takes_sampling() && !old.has_structured_output());
        let middle = Model::read("anthropic.claude-haiku-4-5-20251001-v1:0");
        assert!(middle.takes_budget() && !middle.is_adaptive() && middle.has_structured_output());
        let both = Model::read("anthropic.claude-opus-4-6-v1");
        assert!(both.takes_budget() && both.is_adaptive() && both.has_structured_output());
        let new = Model::read("anthropic.claude-sonnet-5");
        assert!(!new.takes_budget() && new.is_adaptive() && !new.takes_sampling());
        assert!(Model::read("anthropic.claude-mythos-preview").always_thinks());
        assert!(!Model::read("anthropic.claude-v2:1").thinks());
    }
}
