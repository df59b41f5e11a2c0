//! What the models behind Bedrock take, by their ids: `us.anthropic.claude-opus-4-6-v1`,
//! `amazon.nova-2-lite-v1:0`, the ARN of an inference profile. The facts are those of LiteLLM's
//! price list and AWS's pages on model parameters.

use crate::format::anthropic::model::Model as Claude;

/// A model, as far as its id tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub maker: Maker,
    /// Means something with [`Maker::Anthropic`] alone.
    pub claude: Claude,
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
        Model {
            maker: maker(&id),
            claude: Claude::read(&id),
        }
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

    /// Has `outputConfig.textFormat`. Bedrock has it for Claude 4.5 and 4.6, and for some of the later
    /// ones, where it is the only means if they think: no call can be forced then.
    pub fn has_structured_output(self, thinks: bool) -> bool {
        match self.maker {
            Maker::Anthropic if self.claude.takes_budget() => self.claude.is_at_least(4, 5),
            Maker::Anthropic => thinks && self.claude.is_at_least(4, 8),
            Maker::DeepSeek | Maker::Open => true,
            _ => false,
        }
    }

    /// Can be made to call some tool.
    pub fn can_be_forced(self) -> bool {
        match self.maker {
            Maker::Anthropic => self.claude.may_not_think(),
            maker => matches!(maker, Maker::Nova | Maker::Nova2 | Maker::Mistral),
        }
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
    fn structured_output_came_and_went() {
        let has = |id: &str, thinks: bool| Model::read(id).has_structured_output(thinks);
        assert!(!has("anthropic.claude-opus-4-1-20250805-v1:0", false));
        assert!(has("us.anthropic.claude-haiku-4-5-20251001-v1:0", false));
        assert!(has("anthropic.claude-opus-4-6-v1", true));
        assert!(!has("anthropic.claude-sonnet-5", false) && has("anthropic.claude-sonnet-5", true));
        assert!(has("qwen.qwen3-32b-v1:0", false) && !has("amazon.nova-pro-v1:0", false));
    }
}
