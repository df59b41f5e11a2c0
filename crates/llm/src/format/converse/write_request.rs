//! A request for Bedrock. The model and whether to stream are in the path.

use base::{Code, Error, Result};
use serde_json::{Map, Value, json};

use super::OWN_MEMBERS;
use super::blocks::BlockWriter;
use super::model::{Maker, Model};
use super::parameters::{self, Parameters};
use super::tools::{self, Shape};
use super::wire::{Request, ToolConfig};
use crate::conversation::{Carry, Conversation, Field};
use crate::format::To;

const MODEL_FIELDS: &str = "additionalModelRequestFields";

pub(super) fn write(
    conversation: &Conversation,
    to: &To<'_>,
    carry: &mut Carry,
) -> Result<Vec<u8>> {
    let model = Model::read(to.model);
    let (output_config, forced) = match tools::shape(conversation, model, carry)? {
        Shape::Free => (None, None),
        Shape::Native(config) => (Some(config), None),
        Shape::Forced(tool) => (None, Some(tool)),
    };
    let forces_call = forced.is_some() || tools::forces_call(conversation);
    let Parameters {
        inference,
        mut fields,
    } = parameters::read(conversation, model, to, forces_call, carry)?;
    let mut writer = BlockWriter::new(model, carry);
    let tool_config = tools::config(conversation, forced, &mut writer)?;
    let system = writer.system(conversation)?;
    let messages = writer.messages(conversation)?;
    if messages.is_empty() {
        let member = carry.from.spelling(Field::Messages);
        return Err(
            Error::new(Code::InvalidRequest, format!("{member} says nothing")).param(member),
        );
    }
    one_call_at_a_time(
        conversation,
        model,
        tool_config.as_ref(),
        &mut fields,
        carry,
    )?;
    let request = Request {
        messages,
        system,
        inference_config: inference,
        tool_config,
        output_config,
        own: own_members(conversation, model, fields, carry),
    };
    serde_json::to_vec(&request).map_err(Error::internal)
}

/// `parallel_tool_calls: false`, which Claude alone has a word for.
fn one_call_at_a_time(
    conversation: &Conversation,
    model: Model,
    tools: Option<&ToolConfig<'_>>,
    fields: &mut Map<String, Value>,
    carry: &mut Carry,
) -> Result<()> {
    let Some(tools) = tools.filter(|_| conversation.parallel_tool_calls == Some(false)) else {
        return Ok(());
    };
    if model.maker != Maker::Anthropic {
        return carry.cannot(
            Field::ParallelToolCalls,
            "may always call several tools at once",
        );
    }
    let mut choice = json!({"disable_parallel_tool_use": true});
    // Bedrock refuses a type in both places.
    if tools.tool_choice.is_none() {
        choice["type"] = json!("auto");
    }
    fields.insert("tool_choice".to_owned(), choice);
    Ok(())
}

/// Bedrock's own members: what the client set by their names, and what its other words mean there.
fn own_members(
    conversation: &Conversation,
    model: Model,
    mut fields: Map<String, Value>,
    carry: &mut Carry,
) -> Map<String, Value> {
    let mut own = Map::new();
    match conversation.service_tier.as_deref() {
        None | Some("auto" | "standard" | "standard_only") => {}
        Some(tier @ ("default" | "flex" | "priority" | "reserved")) => {
            own.insert("serviceTier".to_owned(), json!({ "type": tier }));
        }
        Some(_) => carry.hint(Field::ServiceTier),
    }
    if model.maker == Maker::Anthropic && !conversation.stop.is_empty() {
        // Claude tells which sequence it was.
        let paths = json!(["/stop_sequence"]);
        own.insert("additionalModelResponseFieldPaths".to_owned(), paths);
    }
    for other in &conversation.other {
        let name = &*other.field;
        match &other.value {
            Value::Object(members) if name == MODEL_FIELDS => {
                fields.extend(members.clone());
            }
            value if OWN_MEMBERS.contains(&name) => {
                own.insert(name.to_owned(), value.clone());
            }
            _ => {}
        }
    }
    if !fields.is_empty() {
        own.insert(MODEL_FIELDS.to_owned(), Value::Object(fields));
    }
    own
}
