//! Writing a request for the Gemini API or Vertex AI.

use base::Result;
use serde_json::{Map, Value, json};

use super::write_contents::{self, Ways};
use super::write_schema::{cleaned, converted};
use crate::conversation::custom_tools;
use crate::conversation::{
    Carry, Conversation, Effort, Field, Modalities, Output, Reasoning, Role, ServerTool, Tool,
    ToolChoice,
};
use crate::format::{Format, To};
use crate::json;

/// What the model's name tells of it.
struct Model<'a> {
    name: &'a str,
    /// The number after `gemini-`; 2 where the name has none.
    generation: u32,
    has_generation: bool,
    is_vertex: bool,
}

impl<'a> Model<'a> {
    fn of(to: &To<'a>) -> Model<'a> {
        let name = to.model.rsplit('/').next().unwrap_or(to.model);
        let number: String = name
            .strip_prefix("gemini-")
            .unwrap_or("")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let generation = match name {
            "gemini-pro" | "gemini-pro-vision" => Some(1),
            // aliases that move on with the newest models
            name if name.starts_with("gemini-")
                && name.ends_with("-latest")
                && number.is_empty() =>
            {
                Some(3)
            }
            _ => number.parse().ok(),
        };
        Model {
            name,
            generation: generation.unwrap_or(2),
            has_generation: generation.is_some(),
            is_vertex: to.provider.name.starts_with("vertex"),
        }
    }

    fn is_third(&self) -> bool {
        self.generation >= 3
    }

    /// Whether it takes JSON schema as it is.
    fn takes_json_schema(&self) -> bool {
        self.generation >= 2
    }

    fn thinks(&self) -> bool {
        !self.has_generation || self.is_third() || self.name.starts_with("gemini-2.5")
    }
}

/// Writes a request.
///
/// # Errors
/// `InvalidRequest` (400), naming what cannot be carried.
pub(super) fn write(
    conversation: &Conversation,
    to: &To<'_>,
    carry: &mut Carry,
) -> Result<Vec<u8>> {
    let model = Model::of(to);
    let mut request = Map::new();
    contents(conversation, &model, carry, &mut request)?;
    tools(conversation, &model, carry, &mut request)?;
    let config = generation_config(conversation, &model, carry)?;
    if !config.is_empty() {
        request.insert("generationConfig".to_owned(), config.into());
    }
    bookkeeping(conversation, &model, carry, &mut request);
    Ok(json::write(&Value::Object(request)))
}

fn contents(
    conversation: &Conversation,
    model: &Model<'_>,
    carry: &mut Carry,
    request: &mut Map<String, Value>,
) -> Result<()> {
    let mut system = write_contents::system(&conversation.system)?;
    // system messages before anybody spoke are the system prompt
    let is_system = |role: Role| role == Role::System;
    let spoken = conversation.turns.iter();
    let spoken = spoken.take_while(|turn| is_system(turn.role)).count();
    let (first, rest) = conversation.turns.split_at(spoken);
    for turn in first {
        system.extend(write_contents::system(&turn.parts)?);
    }
    let ways = Ways {
        is_third: model.is_third(),
    };
    let (mut contents, mut has_marks) = write_contents::write(rest, ways, carry)?;
    has_marks |= conversation.system.iter().any(|part| part.cache.is_some());
    has_marks |= conversation.cache.is_some();
    if has_marks {
        carry.hint(Field::Cache);
    }
    if contents.is_empty() {
        // Gemini answers nobody who says nothing
        contents.push(json!({"role": "user", "parts": std::mem::take(&mut system)}));
    }
    request.insert("contents".to_owned(), contents.into());
    if !system.is_empty() {
        request.insert("systemInstruction".to_owned(), json!({"parts": system}));
    }
    Ok(())
}

fn tools(
    conversation: &Conversation,
    model: &Model<'_>,
    carry: &mut Carry,
    request: &mut Map<String, Value>,
) -> Result<()> {
    let (functions, mut tools) = declared(conversation, model, carry)?;
    let mut config = Map::new();
    if let Some(choice) = &conversation.tool_choice {
        tool_choice(choice, !functions.is_empty(), carry, &mut config)?;
    }
    if model.is_third() && !model.is_vertex && !functions.is_empty() && !tools.is_empty() {
        config.insert("includeServerSideToolInvocations".to_owned(), true.into());
    }
    if !functions.is_empty() {
        tools.push(json!({"functionDeclarations": functions}));
    }
    if !tools.is_empty() {
        request.insert("tools".to_owned(), tools.into());
    }
    if !config.is_empty() {
        request.insert("toolConfig".to_owned(), config.into());
    }
    if conversation.parallel_tool_calls == Some(false) && !conversation.tools.is_empty() {
        carry.hint(Field::ParallelToolCalls);
    }
    Ok(())
}

/// The functions that the client runs, and the tools that Google runs.
fn declared(
    conversation: &Conversation,
    model: &Model<'_>,
    carry: &mut Carry,
) -> Result<(Vec<Value>, Vec<Value>)> {
    let mut functions = Vec::new();
    let mut tools = Vec::new();
    for tool in &conversation.tools {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                cache,
                ..
            } => {
                if cache.is_some() {
                    carry.hint(Field::Cache);
                }
                let description = description.as_deref();
                functions.push(function(name, description, parameters.as_ref(), model));
            }
            Tool::Custom {
                name,
                description,
                format,
            } => {
                let tool = custom_tools::as_function(name, description.as_deref(), format.as_ref());
                if let Tool::Function {
                    description,
                    parameters,
                    ..
                } = tool
                {
                    let description = description.as_deref();
                    functions.push(function(name, description, parameters.as_ref(), model));
                }
            }
            Tool::Server(tool) => tools.push(server_tool(tool, model, carry)?),
            Tool::Native {
                format: Format::Gemini,
                value,
            } => tools.push(value.clone()),
            Tool::Native { value, .. } => {
                let kind = value["type"].as_str().unwrap_or("this type");
                carry.cannot(Field::Tools, &format!("has no tool like {kind}"))?;
            }
        }
    }
    Ok((functions, tools))
}

fn function(
    name: &str,
    description: Option<&str>,
    parameters: Option<&Value>,
    model: &Model<'_>,
) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), name.into());
    if let Some(description) = description {
        function.insert("description".to_owned(), description.into());
    }
    match parameters {
        None => {}
        Some(schema) if model.takes_json_schema() => {
            function.insert("parametersJsonSchema".to_owned(), cleaned(schema));
        }
        Some(schema) => {
            let schema = converted(schema);
            // an object without members is refused
            if schema.get("properties").is_some() {
                function.insert("parameters".to_owned(), schema);
            }
        }
    }
    Value::Object(function)
}

fn server_tool(tool: &ServerTool, model: &Model<'_>, carry: &mut Carry) -> Result<Value> {
    Ok(match tool {
        ServerTool::WebSearch {
            max_uses,
            allowed_domains,
            blocked_domains,
            context_size,
            location,
        } => {
            if !allowed_domains.is_empty() {
                carry.cannot(Field::Tools, "cannot search in certain domains only")?;
            }
            if !blocked_domains.is_empty() && !model.is_vertex {
                carry.cannot(Field::Tools, "cannot leave domains out of its search")?;
            }
            if max_uses.is_some() || context_size.is_some() || location.is_some() {
                carry.hint(Field::Tools);
            }
            match blocked_domains.is_empty() || !model.is_vertex {
                true if model.generation < 2 => json!({"googleSearchRetrieval": {}}),
                true => json!({"googleSearch": {}}),
                false => json!({"googleSearch": {"excludeDomains": blocked_domains}}),
            }
        }
        ServerTool::CodeExecution => json!({"codeExecution": {}}),
        ServerTool::WebFetch => json!({"urlContext": {}}),
    })
}

fn tool_choice(
    choice: &ToolChoice,
    has_functions: bool,
    carry: &mut Carry,
    config: &mut Map<String, Value>,
) -> Result<()> {
    let calling = match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Any => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    match (has_functions, choice) {
        (true, _) => {
            config.insert("functionCallingConfig".to_owned(), calling);
        }
        (false, ToolChoice::Auto | ToolChoice::None) => {}
        (false, _) => carry.cannot(Field::ToolChoice, "can be made to call functions only")?,
    }
    Ok(())
}

fn generation_config(
    conversation: &Conversation,
    model: &Model<'_>,
    carry: &mut Carry,
) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    for (name, value) in [
        ("temperature", &conversation.temperature),
        ("topP", &conversation.top_p),
        ("topK", &conversation.top_k),
        ("seed", &conversation.seed),
        ("presencePenalty", &conversation.presence_penalty),
        ("frequencyPenalty", &conversation.frequency_penalty),
    ] {
        if let Some(number) = value {
            config.insert(name.to_owned(), number.clone().into());
        }
    }
    if let Some(limit) = conversation.max_output_tokens {
        config.insert("maxOutputTokens".to_owned(), limit.into());
    }
    if let Some(count) = conversation.choices.filter(|count| *count > 1) {
        config.insert("candidateCount".to_owned(), count.into());
    }
    if !conversation.stop.is_empty() {
        config.insert("stopSequences".to_owned(), json!(conversation.stop));
    }
    if let Some(alternatives) = conversation.logprobs {
        config.insert("responseLogprobs".to_owned(), true.into());
        if alternatives > 0 {
            config.insert("logprobs".to_owned(), alternatives.into());
        }
    }
    if conversation
        .logit_bias
        .as_ref()
        .is_some_and(|bias| !bias.is_empty())
    {
        carry.cannot(Field::LogitBias, "has no bias of tokens")?;
    }
    if conversation
        .verbosity
        .as_deref()
        .is_some_and(|word| word != "medium")
    {
        // coding agents always say it, and do without
        carry.hint(Field::Verbosity);
    }
    if let Some(reasoning) = &conversation.reasoning
        && let Some(thinking) = thinking(reasoning, model, carry)?
    {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    output(conversation, model, carry, &mut config)?;
    if let Some(modalities) = &conversation.modalities {
        write_modalities(modalities, carry, &mut config)?;
    }
    Ok(config)
}

/// `thinkingConfig`: a level for Gemini 3, a budget for models before it.
fn thinking(reasoning: &Reasoning, model: &Model<'_>, carry: &mut Carry) -> Result<Option<Value>> {
    let by_budget = reasoning.budget.map(Effort::of_budget);
    let effort = reasoning.effort.or(by_budget);
    let is_off = effort == Some(Effort::None);
    if !model.thinks() {
        if effort.is_some_and(|effort| effort != Effort::None) || reasoning.is_adaptive {
            carry.cannot(Field::Reasoning, "has a model here that does not think")?;
        }
        return Ok(None);
    }
    let mut config = Map::new();
    if model.is_third() {
        if let Some(effort) = effort {
            let level = level(effort, model.name);
            config.insert("thinkingLevel".to_owned(), level.into());
        }
    } else if let Some(budget) = reasoning.budget.or(effort.map(Effort::budget)) {
        let budget = fitting_budget(budget, model.name);
        config.insert("thinkingBudget".to_owned(), budget.into());
    } else if reasoning.is_adaptive {
        config.insert("thinkingBudget".to_owned(), (-1).into());
    }
    let is_asked = effort.is_some() || reasoning.is_adaptive;
    match reasoning.show {
        Some(show) => {
            config.insert("includeThoughts".to_owned(), show.into());
        }
        None if is_asked && !is_off => {
            config.insert("includeThoughts".to_owned(), true.into());
        }
        None => {}
    }
    Ok((!config.is_empty()).then_some(config.into()))
}

/// The level nearest to an effort: no model of Gemini 3 stops thinking altogether, its first Pro knows
/// two levels, and no Pro knows `MINIMAL`.
fn level(effort: Effort, model: &str) -> &'static str {
    let is_pro = model.contains("-pro");
    let is_first_pro = model.starts_with("gemini-3-pro");
    match effort {
        Effort::None | Effort::Minimal if is_pro => "LOW",
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium if is_first_pro => "HIGH",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::Max => "HIGH",
    }
}

/// A budget within the bounds of the model (ai.google.dev, "Thinking budgets").
fn fitting_budget(budget: u64, model: &str) -> u64 {
    if model.starts_with("gemini-2.5-pro") {
        return budget.clamp(128, 32_768);
    }
    match budget {
        0 => 0,
        budget if model.contains("flash-lite") => budget.clamp(512, 24_576),
        budget => budget.min(24_576),
    }
}

fn output(
    conversation: &Conversation,
    model: &Model<'_>,
    carry: &mut Carry,
    config: &mut Map<String, Value>,
) -> Result<()> {
    if conversation.output == Output::Text {
        return Ok(());
    }
    let is_declared = |tool: &Tool| matches!(tool, Tool::Function { .. } | Tool::Custom { .. });
    if !model.is_third() && model.has_generation && conversation.tools.iter().any(is_declared) {
        return carry.cannot(
            Field::Output,
            "has a model here that gives JSON or calls tools, not both",
        );
    }
    config.insert("responseMimeType".to_owned(), "application/json".into());
    if let Output::Schema { schema, .. } = &conversation.output {
        match model.takes_json_schema() {
            true => config.insert("responseJsonSchema".to_owned(), cleaned(schema)),
            false => config.insert("responseSchema".to_owned(), converted(schema)),
        };
    }
    Ok(())
}

fn write_modalities(
    modalities: &Modalities,
    carry: &mut Carry,
    config: &mut Map<String, Value>,
) -> Result<()> {
    let mut words = Vec::new();
    if modalities.image {
        words.extend(["TEXT", "IMAGE"]);
    }
    if modalities.audio {
        words.push("AUDIO");
    }
    if words.is_empty() {
        return Ok(());
    }
    config.insert("responseModalities".to_owned(), json!(words));
    match &modalities.settings {
        Some((Format::Gemini, Value::Object(settings))) => config.extend(settings.clone()),
        Some((_, settings)) => {
            if settings["format"]
                .as_str()
                .is_some_and(|word| word != "pcm16")
            {
                carry.cannot(Field::Modalities, "speaks in the format pcm16 only")?;
            }
            if let Some(voice) = settings["voice"].as_str() {
                let voice = json!({"prebuiltVoiceConfig": {"voiceName": voice}});
                config.insert("speechConfig".to_owned(), json!({"voiceConfig": voice}));
            }
        }
        None => {}
    }
    Ok(())
}

/// What no model sees.
fn bookkeeping(
    conversation: &Conversation,
    model: &Model<'_>,
    carry: &mut Carry,
    request: &mut Map<String, Value>,
) {
    match conversation.service_tier.as_deref() {
        None | Some("auto" | "default" | "standard") => {}
        Some(tier @ ("flex" | "priority")) if !model.is_vertex => {
            request.insert("serviceTier".to_owned(), tier.into());
        }
        Some(_) => carry.hint(Field::ServiceTier),
    }
    if conversation.end_user.is_some() {
        carry.hint(Field::EndUser);
    }
    if conversation.cache_key.is_some() {
        carry.hint(Field::CacheKey);
    }
    if conversation.metadata.is_empty() {
        return;
    }
    // labels are lower-case words
    let is_label = |text: &str| {
        let is_of_label = |c: char| c.is_lowercase() || c.is_numeric() || matches!(c, '-' | '_');
        text.chars().count() <= 63 && text.chars().all(is_of_label)
    };
    let fits = |(name, value): (&String, &Value)| {
        name.starts_with(char::is_lowercase)
            && is_label(name)
            && value.as_str().is_some_and(is_label)
    };
    match model.is_vertex && conversation.metadata.iter().all(fits) {
        true => {
            request.insert("labels".to_owned(), conversation.metadata.clone().into());
        }
        false => carry.hint(Field::Metadata),
    }
}
