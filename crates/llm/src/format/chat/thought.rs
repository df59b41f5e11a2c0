//! Reasoning while a client's stream tells it.

use serde_json::{Value, json};

use super::seals::Item;
use crate::conversation::Seal;
use crate::format::Format;

/// Bytes of reasoning that a choice keeps for the id of its next call.
const MOST_KEPT: usize = 32 * 1024;

/// Reasoning that is open. Its seal is of no worth without the text, so both are told together at its
/// end, unless the text is too long to be kept.
#[derive(Debug)]
pub(super) struct Thought {
    kept: String,
    /// The text is told as blocks without a seal, as it comes, and no call's id carries it.
    is_long: bool,
    after: usize,
}

impl Thought {
    /// `after`: bytes of the choice's text before it.
    pub fn new(after: usize) -> Thought {
        Thought {
            kept: String::new(),
            is_long: false,
            after,
        }
    }

    /// Takes more text; gives the block to tell it in now. `before`: bytes of other thoughts that are
    /// kept.
    pub fn add(&mut self, text: &str, before: usize) -> Option<Value> {
        if self.is_long {
            return Some(block(text, ""));
        }
        self.kept.push_str(text);
        self.is_long = before + self.kept.len() > MOST_KEPT;
        self.is_long
            .then(|| block(&std::mem::take(&mut self.kept), ""))
    }

    /// The block that tells the seal, and what the next call's id carries.
    pub fn seal(&mut self, seal: &Seal) -> (Value, Option<Item>) {
        let text = std::mem::take(&mut self.kept);
        let told = block(&text, &seal.write(Format::Anthropic));
        let item = (!self.is_long).then(|| Item::Reasoning {
            text,
            redacted: false,
            seal: seal.clone(),
            after: self.after,
        });
        (told, item)
    }
}

/// A block of thinking as LiteLLM streams it: clients put the texts together up to a signature.
fn block(text: &str, signature: &str) -> Value {
    json!({"type": "thinking", "thinking": text, "signature": signature})
}
