//! How much a model is told to think, and how many tokens it may generate with it.

use base::Result;
use serde_json::{Value, json};

use super::model::Model;
use crate::conversation::{
    Carry, Content, Conversation, Effort, Field, Reasoning, Role, ToolChoice,
};
use crate::format::{Format, To};

/// The least budget that Anthropic takes.
const MIN_BUDGET: u64 = 1024;
/// The limit where neither the client nor the catalogue knows one.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// What a request says of thinking.
#[derive(Debug, Default)]
pub(in crate::format) struct Plan {
    /// `thinking`
    pub thinking: Option<Value>,
    /// `output_config.effort`
    pub effort: Option<&'static str>,
    pub max_tokens: u64,
    /// Thinking is on, which some other members do not go with.
    pub thinks: bool,
}

/// `forces_call`: the answer must be a tool call, before which no model may think. `sealed_by`: the
/// format whose seals the provider can verify.
pub(in crate::format) fn plan(
    conversation: &Conversation,
    forces_call: bool,
    model: Model,
    to: &To<'_>,
    sealed_by: Format,
    carry: &mut Carry,
) -> Result<Plan> {
    let mut plan = Plan::default();
    if let Some(reasoning) = &conversation.reasoning {
        let may_start = may_start_thinking(conversation, sealed_by);
        think(reasoning, may_start, forces_call, model, carry, &mut plan)?;
    }
    let budget = budget(&plan);
    let wished = conversation
        .max_output_tokens
        .or(to.max_output_tokens)
        .unwrap_or(DEFAULT_MAX_TOKENS)
        .max(1);
    plan.max_tokens = match budget {
        // the budget is part of the limit: what was wished for is left for the answer
        Some(budget) if budget >= wished => {
            let raised = budget.saturating_add(wished);
            to.max_output_tokens.map_or(raised, |most| raised.min(most))
        }
        _ => wished,
    };
    if let Some(budget) = budget.filter(|budget| *budget >= plan.max_tokens) {
        shrink(budget, carry, &mut plan)?;
    }
    Ok(plan)
}

fn budget(plan: &Plan) -> Option<u64> {
    plan.thinking.as_ref()?.get("budget_tokens")?.as_u64()
}

/// The model cannot generate as much as the budget alone.
fn shrink(budget: u64, carry: &mut Carry, plan: &mut Plan) -> Result<()> {
    let half = plan.max_tokens / 2;
    if half < MIN_BUDGET {
        plan.thinking = None;
        plan.thinks = false;
        let why = format!("cannot generate {budget} tokens of thinking");
        return carry.cannot(Field::Reasoning, &why);
    }
    plan.thinking = Some(json!({"type": "enabled", "budget_tokens": half}));
    Ok(())
}

/// `may_start`: see [`may_start_thinking`].
fn think(
    reasoning: &Reasoning,
    may_start: bool,
    forces_call: bool,
    model: Model,
    carry: &mut Carry,
    plan: &mut Plan,
) -> Result<()> {
    let is_off = match reasoning.effort {
        Some(effort) => effort == Effort::None,
        None => reasoning.budget == Some(0),
    };
    let asks = reasoning.effort.is_some() || reasoning.budget.is_some() || reasoning.is_adaptive;
    if is_off || !asks {
        if is_off && model.is_adaptive() {
            switch_off(model, carry, plan);
        }
        return Ok(());
    }
    if !model.thinks() {
        return carry.cannot(Field::Reasoning, "does not think before it answers");
    }
    let budget = reasoning.budget.filter(|budget| *budget > 0);
    let is_manual = model.takes_budget()
        && (!model.is_adaptive() || budget.is_some() && reasoning.effort.is_none());
    if !is_manual {
        let effort = match (reasoning.effort, budget, reasoning.is_adaptive) {
            (Some(effort), _, _) => Some(effort),
            (None, Some(budget), false) => Some(Effort::of_budget(budget)),
            _ => None,
        };
        plan.effort = effort.map(word);
    }
    if forces_call || is_manual && !may_start {
        if budget.is_some() && reasoning.effort.is_none() && forces_call {
            return carry.cannot(Field::Reasoning, "does not think where it must call a tool");
        }
        carry.hint(Field::Reasoning);
        return Ok(());
    }
    plan.thinks = true;
    plan.thinking = Some(match is_manual {
        true => {
            let wished =
                budget.unwrap_or_else(|| reasoning.effort.unwrap_or(Effort::High).budget());
            json!({"type": "enabled", "budget_tokens": wished.max(MIN_BUDGET)})
        }
        // newer models hide what they think unless asked
        false => match reasoning.show {
            Some(false) => json!({"type": "adaptive", "display": "omitted"}),
            _ => json!({"type": "adaptive", "display": "summarized"}),
        },
    });
    Ok(())
}

fn switch_off(model: Model, carry: &mut Carry, plan: &mut Plan) {
    match model.may_not_think() {
        true => plan.thinking = Some(json!({"type": "disabled"})),
        false => {
            plan.effort = Some("low");
            carry.hint(Field::Reasoning);
        }
    }
}

/// Every level that all adaptive models have.
fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Max => "max",
    }
}

/// With a budget, a turn that goes on after results of tools must have begun with thinking of
/// the provider's own, which another provider's calls have not.
fn may_start_thinking(conversation: &Conversation, sealed_by: Format) -> bool {
    let turns = &conversation.turns;
    let has_results = turns
        .iter()
        .rev()
        .take_while(|turn| turn.role != Role::Assistant);
    let mut results = has_results.flat_map(|turn| &turn.parts);
    if !results.any(|part| matches!(part.content, Content::ToolResult { .. })) {
        return true;
    }
    let Some(last) = turns.iter().rposition(|turn| turn.role == Role::Assistant) else {
        return true;
    };
    let first = turns[..=last]
        .iter()
        .rposition(|turn| turn.role != Role::Assistant)
        .map_or(0, |before| before + 1);
    let mut parts = turns[first..=last].iter().flat_map(|turn| &turn.parts);
    let begins = parts.find(|part| match &part.content {
        Content::Text { text, .. } => !text.trim().is_empty(),
        Content::Reasoning { .. } => {
            let seal = part.seal.as_ref();
            seal.is_some_and(|seal| seal.for_format(sealed_by).is_some())
        }
        _ => true,
    });
    begins.is_some_and(|part| matches!(part.content, Content::Reasoning { .. }))
}

/// Whether the client leaves the model no other answer than a call.
pub(in crate::format) fn forces_call(choice: Option<&ToolChoice>) -> bool {
    matches!(choice, Some(ToolChoice::Any | ToolChoice::Named(_)))
}
