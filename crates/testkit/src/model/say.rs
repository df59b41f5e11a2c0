//! What the model says: a rule for every order that a conversation may hold.
//!
//! - `weather in A and B`: calls the tool `get_weather` for each place, then reads out what it got
//! - `Create the file P with the content: C`: does so with the tools that a coding agent offers, looks
//!   at the file, and says what it holds
//! - `fail with N`: answers with that status; `fail midway`, `break off`: amid a stream
//! - `be cut short`: ends for want of tokens; `in secret`: the thoughts are redacted
//! - images: says what it sees; a schema: answers in JSON; else it greets
//!
//! A system prompt with the word `capitals` has it greet in capitals.

use serde_json::{Value, json};

use super::seal;

/// A request, as far as the model looks at it.
#[derive(Debug, Default)]
pub struct Asked {
    pub model: String,
    /// Of the answer, unlike any other.
    pub number: usize,
    pub system: String,
    pub turns: Vec<Turn>,
    pub tools: Vec<Offered>,
    /// The only tool that may be called, and must be.
    pub forced: Option<String>,
    /// Some tool must be called, whichever.
    pub must_call: bool,
    pub may_call: bool,
    pub one_call_at_a_time: bool,
    pub wants_json: bool,
    pub thinks: bool,
    pub streams: bool,
}

/// What the client says in turn.
#[derive(Debug)]
pub enum Turn {
    User { text: String, media: Vec<String> },
    Results(Vec<String>),
}

#[derive(Debug)]
pub struct Offered {
    pub name: String,
    /// Takes free text.
    pub is_custom: bool,
}

#[derive(Debug, Default)]
pub struct Saying {
    pub thought: Option<String>,
    /// The thought is not shown.
    pub is_secret: bool,
    pub text: String,
    pub calls: Vec<Called>,
    pub is_cut_short: bool,
    pub fails_midway: bool,
    pub breaks_off: bool,
    /// How many turns with results came before; names the seal.
    pub round: usize,
    /// Of the answer, unlike any other.
    pub number: usize,
}

#[derive(Debug)]
pub struct Called {
    pub id: String,
    pub name: String,
    /// JSON text, or free text for a custom tool.
    pub arguments: String,
    pub is_custom: bool,
}

impl Asked {
    /// Turns with results so far.
    pub fn round(&self) -> usize {
        let results = |turn: &&Turn| matches!(turn, Turn::Results(_));
        self.turns.iter().filter(results).count()
    }

    pub fn user(&mut self, text: &str, media: Vec<String>) {
        match self.turns.last_mut() {
            Some(Turn::User {
                text: before,
                media: seen,
            }) => {
                before.push('\n');
                before.push_str(text);
                seen.extend(media);
            }
            _ => self.turns.push(Turn::User {
                text: text.to_owned(),
                media,
            }),
        }
    }

    pub fn result(&mut self, text: String) {
        match self.turns.last_mut() {
            Some(Turn::Results(results)) => results.push(text),
            _ => self.turns.push(Turn::Results(vec![text])),
        }
    }

    pub fn system(&mut self, text: &str) {
        self.system.push_str(text);
        self.system.push('\n');
    }

    /// The newest order of a user, with the results that came since.
    fn order(&self) -> (&str, Vec<&str>) {
        let is_order = |text: &str| ORDERS.iter().any(|order| text.contains(order));
        let newest = self
            .turns
            .iter()
            .rposition(|turn| matches!(turn, Turn::User { text, .. } if is_order(text)));
        let last = self
            .turns
            .iter()
            .rposition(|turn| matches!(turn, Turn::User { .. }));
        let Some(at) = newest.or(last) else {
            return ("", Vec::new());
        };
        let text = match &self.turns[at] {
            Turn::User { text, .. } => text.as_str(),
            Turn::Results(_) => "",
        };
        let since = self.turns[at..].iter().filter_map(|turn| match turn {
            Turn::Results(results) => Some(results),
            Turn::User { .. } => None,
        });
        (text, since.flatten().map(String::as_str).collect())
    }

    pub fn ordered_failure(&self) -> Option<u16> {
        let (order, _) = self.order();
        let number = order.split("fail with ").nth(1)?.get(..3)?;
        number.parse().ok()
    }

    fn offers(&self, name: &str) -> Option<&Offered> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

const ORDERS: [&str; 8] = [
    "weather in ",
    "Create the file ",
    "fail with ",
    "fail midway",
    "break off",
    "be cut short",
    "Give me the facts",
    "What do you see",
];

pub const FACTS: &str = r#"{"city":"Zürich","celsius":21}"#;

pub fn say(asked: &Asked) -> Saying {
    let (order, results) = asked.order();
    let mut saying = Saying {
        round: asked.round(),
        number: asked.number,
        is_secret: order.contains("in secret"),
        fails_midway: order.contains("fail midway"),
        breaks_off: order.contains("break off"),
        ..Saying::default()
    };
    saying.thought = asked.thinks.then(|| seal::thought(saying.round));
    let wanted = calls(asked, order, &results);
    if !wanted.is_empty() {
        saying.text = "Let me look.".to_owned();
        saying.calls = numbered(wanted, saying.round);
    } else if asked.wants_json {
        saying.text = FACTS.to_owned();
    } else if !results.is_empty() {
        saying.text = match order.contains("Create the file ") {
            true => format!("The file holds: {}", results.last().unwrap_or(&"")),
            false => format!("The tool says: {}", results.join("; ")),
        };
    } else if order.contains("be cut short") {
        saying.text = "Hello".to_owned();
        saying.is_cut_short = true;
    } else {
        saying.text = greeting(asked);
    }
    saying
}

fn greeting(asked: &Asked) -> String {
    let seen: Vec<&str> = asked
        .turns
        .iter()
        .flat_map(|turn| match turn {
            Turn::User { media, .. } => media.as_slice(),
            Turn::Results(_) => &[],
        })
        .map(String::as_str)
        .collect();
    if !seen.is_empty() {
        return format!("I see {}.", seen.join(" and "));
    }
    match asked.system.contains("capitals") {
        true => "HELLO, WÖRLD. 😀".to_owned(),
        false => "Hello, wörld. 😀".to_owned(),
    }
}

/// The tools to call now: name, arguments, and whether those are free text.
fn calls(asked: &Asked, order: &str, results: &[&str]) -> Vec<(String, String, bool)> {
    let only = asked.tools.first().filter(|_| asked.must_call);
    let forced = asked.forced.as_ref().or(only.map(|tool| &tool.name));
    if let Some(forced) = forced
        && results.is_empty()
        && forced != "get_weather"
    {
        return vec![(forced.clone(), FACTS.to_owned(), false)];
    }
    if !asked.may_call || asked.tools.is_empty() {
        return Vec::new();
    }
    if let Some(task) = file_task(order) {
        return file_call(asked, &task, results.len()).into_iter().collect();
    }
    if asked.offers("get_weather").is_none() {
        return Vec::new();
    }
    let missing = places(order).into_iter().skip(results.len());
    let most = if asked.one_call_at_a_time { 1 } else { 9 };
    missing
        .take(most)
        .map(|city| {
            let arguments = json!({ "city": city }).to_string();
            ("get_weather".to_owned(), arguments, false)
        })
        .collect()
}

/// The places of `weather in A and B?`.
fn places(order: &str) -> Vec<String> {
    let Some(rest) = order.split("weather in ").nth(1) else {
        return Vec::new();
    };
    let sentence = rest.split(['?', '.', '\n', ',']).next().unwrap_or_default();
    sentence
        .split(" and ")
        .map(|place| place.trim().to_owned())
        .filter(|place| !place.is_empty())
        .collect()
}

struct FileTask {
    path: String,
    content: String,
}

fn file_task(order: &str) -> Option<FileTask> {
    let rest = order.split("Create the file ").nth(1)?;
    let (path, rest) = rest.split_once(" with the content: ")?;
    Some(FileTask {
        path: path.to_owned(),
        content: rest.lines().next().unwrap_or_default().trim().to_owned(),
    })
}

/// Writes the file, then looks at it, with what the agent has for that.
fn file_call(asked: &Asked, task: &FileTask, done: usize) -> Option<(String, String, bool)> {
    let FileTask { path, content } = task;
    let command = match done {
        0 => format!("printf '%s' '{content}' > '{path}'"),
        1 => format!("cat '{path}'"),
        _ => return None,
    };
    let call = |name: &str, arguments: Value| Some((name.to_owned(), arguments.to_string(), false));
    if done == 0
        && asked
            .offers("apply_patch")
            .is_some_and(|tool| tool.is_custom)
    {
        let patch = format!("*** Begin Patch\n*** Add File: {path}\n+{content}\n*** End Patch\n");
        return Some(("apply_patch".to_owned(), patch, true));
    }
    match done {
        0 if asked.offers("Write").is_some() => {
            return call("Write", json!({"file_path": path, "content": content}));
        }
        1 if asked.offers("Read").is_some() => return call("Read", json!({"file_path": path})),
        _ => {}
    }
    if asked.offers("exec_command").is_some() {
        return call("exec_command", json!({ "cmd": command }));
    }
    if asked.offers("shell_command").is_some() {
        return call("shell_command", json!({ "command": command }));
    }
    asked.offers("shell")?;
    call("shell", json!({"command": ["bash", "-lc", command]}))
}

fn numbered(calls: Vec<(String, String, bool)>, round: usize) -> Vec<Called> {
    let numbered = calls.into_iter().enumerate();
    numbered
        .map(|(at, (name, arguments, is_custom))| Called {
            id: format!("Qz{round}x{at}Ab"),
            name,
            arguments,
            is_custom,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str, tools: &[&str]) -> Asked {
        let mut asked = Asked {
            may_call: true,
            ..Asked::default()
        };
        asked.user(text, Vec::new());
        asked.tools = tools
            .iter()
            .map(|name| Offered {
                name: (*name).to_owned(),
                is_custom: false,
            })
            .collect();
        asked
    }

    #[test]
    fn a_tool_is_called_for_each_place_and_read_out() {
        let mut asked = asked("What is the weather in Basel and Oslo?", &["get_weather"]);
        let first = say(&asked);
        assert_eq!(first.calls.len(), 2);
        assert_eq!(first.calls[1].arguments, r#"{"city":"Oslo"}"#);
        asked.result("rain".to_owned());
        asked.result("snow".to_owned());
        let last = say(&asked);
        assert!(last.calls.is_empty());
        assert_eq!(last.text, "The tool says: rain; snow");
        assert_eq!(last.round, 1);
    }

    #[test]
    fn an_agent_writes_the_file_and_looks_at_it() {
        let order = "Create the file /a/b with the content: x y\nNow.";
        let mut asked = asked(order, &["Read", "Write"]);
        assert_eq!(say(&asked).calls[0].name, "Write");
        asked.result("ok".to_owned());
        asked.user("a reminder", Vec::new());
        assert_eq!(say(&asked).calls[0].name, "Read");
        asked.result("x y".to_owned());
        assert_eq!(say(&asked).text, "The file holds: x y");
    }
}
