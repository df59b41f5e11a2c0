//! The model list of a file.

use domain::definition::{Definition, Object, Origin, Variables};
use serde_json::Value as Json;

use super::known;
use crate::config::key_file;
use crate::section::{Notes, Section};
use crate::yaml::{Node, Problem, Value};

/// Reads the entries of `model_list`, and checks that a deployment can be made of each.
pub fn read(
    nodes: &[Node],
    variables: &Variables,
    notes: &mut Notes,
) -> Result<Vec<Definition>, Problem> {
    let mut definitions: Vec<Definition> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let definition = entry(&format!("model_list[{index}]"), node, notes)?;
        check(&definition, variables, node)?;
        definitions.push(unique(definition, &definitions, node)?);
    }
    Ok(definitions)
}

fn entry(name: &str, node: &Node, notes: &mut Notes) -> Result<Definition, Problem> {
    let section = Section::new(name, node)?;
    let missing = |key: &str, example: &str| {
        node.problem(format!("{name}.{key} is missing; it is {example}"))
    };
    let model_name = section
        .text("model_name")?
        .filter(|model_name| !model_name.trim().is_empty())
        .ok_or_else(|| missing("model_name", "the name that clients ask for"))?;
    let params_node = section
        .node("litellm_params")
        .ok_or_else(|| missing("litellm_params", "a section with at least `model`"))?;
    let params = Section::new(&format!("{name}.litellm_params"), params_node)?;
    if params
        .text("model")?
        .is_none_or(|model| model.trim().is_empty())
    {
        return Err(params_node.problem(format!(
            "{name}.litellm_params.model is missing; it is written as provider/model"
        )));
    }
    for key in known::PARAMS {
        params.node(key);
    }
    params.finish(known::PARAMS_OF_LITELLM, notes);
    let info = section.object("model_info")?;
    section.finish(&[], notes);
    Ok(Definition::new(
        model_name,
        with_key_files(object(params_node)),
        info,
        Origin::File,
    ))
}

/// Reads the key files that parameters name.
fn with_key_files(mut params: Object) -> Object {
    for name in domain::providers::FILES {
        let content = params.get(name).and_then(Json::as_str).and_then(key_file);
        if let Some(content) = content {
            params.insert(name.to_owned(), content.into());
        }
    }
    params
}

/// Refuses what no deployment can be made of, at the line of the parameter at fault.
fn check(definition: &Definition, variables: &Variables, node: &Node) -> Result<(), Problem> {
    if definition.is_any_model() {
        return Ok(());
    }
    let Err(error) = definition.deployment(variables) else {
        return Ok(());
    };
    let at = error.parameter().and_then(|param| find(node, param));
    Err(at.unwrap_or(node).problem(error.message()))
}

/// The value of a parameter, in whichever section of an entry it stands.
fn find<'a>(node: &'a Node, param: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    entries.iter().find_map(|entry| match entry.name == param {
        true => Some(&entry.node),
        false => find(&entry.node, param),
    })
}

fn object(node: &Node) -> Object {
    match node.to_json() {
        Json::Object(object) => object,
        _ => Object::new(),
    }
}

/// Two entries may differ in nothing but their keys: the second gets an id of its own. An id that
/// was written twice is a mistake.
fn unique(
    mut definition: Definition,
    others: &[Definition],
    node: &Node,
) -> Result<Definition, Problem> {
    let taken = |id: &str| others.iter().any(|other| other.id == id);
    if !taken(&definition.id) {
        return Ok(definition);
    }
    if definition.info.contains_key("id") {
        return Err(node.problem(format!(
            "model_info.id {:?} is used twice; each deployment needs its own",
            definition.id
        )));
    }
    let id = (2..)
        .map(|count| format!("{}-{count}", definition.id))
        .find(|id| !taken(id))
        .expect("the numbers do not end");
    definition.id = id;
    Ok(definition)
}
