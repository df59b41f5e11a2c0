//! What a start makes of flags, environment and file: who wins, what is refused and how it is said.

use std::path::{Path, PathBuf};

use testkit::databases::Folder;
use tollgate::cli::Cli;
use tollgate::config::{Config, Database, load};
use tollgate::environment::Environment;

/// A folder with a configuration file, an environment and flags.
struct Start {
    folder: Folder,
    cli: Cli,
    variables: Vec<(String, String)>,
}

impl Start {
    fn new(yaml: &str) -> Start {
        let folder = Folder::new();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, yaml).expect("the folder of the test can be written");
        let cli = Cli {
            config: Some(file),
            data_dir: Some(folder.path().join("data")),
            ..Cli::default()
        };
        Start {
            folder,
            cli,
            variables: Vec::new(),
        }
    }

    fn variable(mut self, name: &str, value: &str) -> Start {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> anyhow::Result<Config> {
        let environment: Environment = self.variables.iter().cloned().collect();
        load(&self.cli, environment)
    }

    fn config(&self) -> Config {
        self.load().expect("the configuration is right")
    }

    /// What is said of a wrong configuration, without the folder's name.
    fn refusal(&self) -> String {
        let error = self.load().err().expect("the configuration is refused");
        let folder = format!("{}/", self.folder.path().display());
        format!("{error:#}").replace(&folder, "")
    }

    fn warnings(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        let warnings = self.config().notes.warnings.into_iter();
        warnings.map(|text| text.replace(&folder, "")).collect()
    }
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let plain = Start::new("");
    assert_eq!(plain.config().listen, ["0.0.0.0:4000"]);
    let mut start = Start::new("tollgate_settings: {listen: ['127.0.0.1:5000']}");
    assert_eq!(start.config().listen, ["127.0.0.1:5000"]);
    start = start.variable("PORT", "6000");
    assert_eq!(start.config().listen, ["0.0.0.0:6000"]);
    start.cli.listen = vec!["127.0.0.1:7000".to_owned(), "[::1]:7000".to_owned()];
    assert_eq!(start.config().listen, ["127.0.0.1:7000", "[::1]:7000"]);

    let yaml = "general_settings: {master_key: sk-of-the-file-0123456789}";
    let file = Start::new(yaml);
    assert_eq!(
        file.config().rules.master_key.expose(),
        "sk-of-the-file-0123456789"
    );
    let both = Start::new(yaml).variable("LITELLM_MASTER_KEY", "sk-of-litellm-0123456789");
    assert_eq!(
        both.config().rules.master_key.expose(),
        "sk-of-litellm-0123456789"
    );
    let all = both.variable("TOLLGATE_MASTER_KEY", "sk-of-ours-0123456789");
    assert_eq!(
        all.config().rules.master_key.expose(),
        "sk-of-ours-0123456789"
    );
}

#[test]
fn a_master_key_is_made_once_and_a_weak_one_warned_about() {
    let start = Start::new("");
    let first = start.config();
    let made = first.new_master_key.expect("a key is made");
    assert_eq!(made.secret.expose(), first.rules.master_key.expose());
    let second = start.config();
    assert!(second.new_master_key.is_none());
    assert_eq!(second.rules.master_key.expose(), made.secret.expose());

    let weak = Start::new("").variable("LITELLM_MASTER_KEY", "sk-1234");
    assert_eq!(weak.config().rules.master_key.expose(), "sk-1234");
    let warnings = weak.warnings();
    assert!(
        warnings[0].starts_with("THE MASTER KEY IS WEAK"),
        "{warnings:?}"
    );
    assert!(!warnings[0].contains("sk-1234"));
    let wrong = Start::new("").variable("TOLLGATE_MASTER_KEY", "password");
    assert_eq!(wrong.refusal(), "TOLLGATE_MASTER_KEY must begin with sk-");
}

#[test]
fn the_database_is_sqlite_unless_a_postgres_url_is_named() {
    let database = |start: Start| start.config().database;
    assert!(
        matches!(database(Start::new("")), Database::Sqlite(path) if path.ends_with("tollgate.db"))
    );
    let url = "postgres://user:secret@db/tollgate";
    match database(Start::new("").variable("DATABASE_URL", url)) {
        Database::Postgres(found) => assert_eq!(found.expose(), url),
        other => panic!("{other:?}"),
    }
    let parts = Start::new("")
        .variable("DATABASE_HOST", "db")
        .variable("DATABASE_NAME", "tollgate")
        .variable("DATABASE_USERNAME", "user")
        .variable("DATABASE_PASSWORD", "p@ss/word")
        .variable("DATABASE_PORT", "5433");
    match database(parts) {
        Database::Postgres(found) => {
            assert_eq!(
                found.expose(),
                "postgres://user:p%40ss%2Fword@db:5433/tollgate"
            );
        }
        other => panic!("{other:?}"),
    }
    let wrong = Start::new("").variable("DATABASE_URL", "mysql://user:secret@db/tollgate");
    let refusal = wrong.refusal();
    assert!(
        refusal.starts_with("DATABASE_URL must begin with postgres://"),
        "{refusal}"
    );
    assert!(!refusal.contains("secret"));
}

#[test]
fn wrong_values_stop_the_start_with_file_line_and_what_is_allowed() {
    for (yaml, refusal) in [
        (
            "litellm_settings:\n  budget_exceeded_status_code: 600\n",
            "config.yaml:2: litellm_settings.budget_exceeded_status_code must be a whole number from \
             400 to 499, not 600",
        ),
        (
            "litellm_settings:\n  timezone: Mars/Olympus\n",
            "config.yaml:2: litellm_settings.timezone must be a time zone such as UTC or Europe/Berlin, \
             not \"Mars/Olympus\"",
        ),
        (
            "litellm_settings:\n  max_budget: 10\n  budget_duration: often\n",
            "config.yaml:3: litellm_settings.budget_duration must be a period such as 1d, 7d, 30d or \
             1mo, not \"often\"",
        ),
        (
            "general_settings: [master_key]\n",
            "config.yaml:1: general_settings must be a section of `setting: value` lines, not a list",
        ),
        (
            "general_settings:\n  enforce_user_param: maybe\n",
            "config.yaml:2: general_settings.enforce_user_param must be true or false, not text",
        ),
        (
            "router_settings:\n  model_group_alias:\n    a: [b]\n",
            "config.yaml:3: router_settings.model_group_alias.a must be a model's name, not a list",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/a\n      rpm: many\n",
            "config.yaml:5: rpm must be a number",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: unheard-of\n",
            "config.yaml:4: no known provider in model \"unheard-of\"; write it as provider/model or \
             give an api_base",
        ),
        (
            "model_list:\n  - litellm_params: {model: openai/a}\n",
            "config.yaml:2: model_list[0].model_name is missing; it is the name that clients ask for",
        ),
        (
            "model_list:\n  - model_name: a\n",
            "config.yaml:2: model_list[0].litellm_params is missing; it is a section with at least \
             `model`",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params: {model: openai/a}\n    model_info: {id: x}\n  \
             - model_name: b\n    litellm_params: {model: openai/b}\n    model_info: {id: x}\n",
            "config.yaml:5: model_info.id \"x\" is used twice; each deployment needs its own",
        ),
        (
            "include: [absent.yaml]\n",
            "config.yaml:1: included file absent.yaml does not exist",
        ),
    ] {
        assert_eq!(Start::new(yaml).refusal(), refusal, "{yaml}");
    }
    let port = Start::new("").variable("PORT", "http");
    assert!(
        port.refusal()
            .starts_with("PORT must be a number from 0 to 65535, not \"http\"")
    );
    let mut listen = Start::new("");
    listen.cli.listen = vec!["localhost".to_owned()];
    assert!(listen.refusal().contains("must be host:port"));
    let mut file = Start::new("");
    file.cli.config = Some(PathBuf::from("/nowhere/config.yaml"));
    assert!(
        file.refusal()
            .contains("/nowhere/config.yaml:1: the configuration file cannot be read")
    );
}

#[test]
fn unknown_settings_are_warned_about_and_litellm_s_others_noted() {
    let start = Start::new(
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/a\n      api_kee: x\n      \
         aws_role_name: r\ngenral_settings: {}\ngeneral_settings:\n  alerting: [slack]\n",
    );
    assert_eq!(
        start.warnings(),
        [
            "config.yaml:5: unknown setting model_list[0].litellm_params.api_kee is ignored; did you \
             mean api_key?",
            "config.yaml:7: unknown setting genral_settings is ignored; did you mean general_settings?",
        ]
    );
    assert_eq!(
        start.config().notes.unused,
        [
            "general_settings.alerting",
            "model_list[0].litellm_params.aws_role_name"
        ]
    );
}

#[test]
fn values_come_from_the_environment_and_from_environment_variables() {
    let yaml = "environment_variables: {FROM_FILE: sk-file, TAKEN: sk-file}\nmodel_list:\n  \
                - {model_name: a, litellm_params: {model: openai/a, api_key: os.environ/FROM_FILE}}\n  \
                - {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/TAKEN}}\n  \
                - {model_name: c, litellm_params: {model: openai/c, api_key: os.environ/ABSENT}}\n";
    let start = Start::new(yaml).variable("TAKEN", "sk-environment");
    let config = start.config();
    let definitions = &config.rules.models.definitions;
    let key = |index: usize| {
        definitions[index]
            .secrets
            .get("api_key")
            .map(|key| key.expose())
    };
    assert_eq!(key(0), Some("sk-file"));
    assert_eq!(key(1), Some("sk-environment"));
    assert_eq!(key(2), None);
    assert_eq!(
        start.warnings(),
        ["config.yaml:5: environment variable ABSENT is not set"]
    );
}

#[test]
fn included_files_are_merged_and_the_including_one_wins() {
    let start = Start::new(
        "include: [models.yaml]\nlitellm_settings: {timezone: UTC}\nmodel_list:\n  \
         - {model_name: a, litellm_params: {model: openai/a}}\n",
    );
    std::fs::write(
        start.folder.path().join("models.yaml"),
        "litellm_settings: {timezone: Europe/Berlin, budget_exceeded_status_code: 429}\nmodel_list:\n  \
         - {model_name: b, litellm_params: {model: openai/b}}\n",
    )
    .unwrap();
    let rules = start.config().rules;
    let names: Vec<&str> = rules
        .models
        .definitions
        .iter()
        .map(|model| model.model_name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(rules.budget_exceeded_status, 429);
    assert_eq!(rules.zone.iana_name(), Some("UTC"));
}

#[test]
fn entries_that_differ_only_in_their_key_are_two_deployments() {
    let start = Start::new(
        "model_list:\n  - {model_name: a, litellm_params: {model: openai/a, api_key: sk-1}}\n  \
         - {model_name: a, litellm_params: {model: openai/a, api_key: sk-2}}\n",
    );
    let rules = start.config().rules;
    let [first, second] = &rules.models.definitions[..] else {
        panic!("two definitions are expected");
    };
    assert_eq!(second.id, format!("{}-2", first.id));
}

#[test]
fn the_example_file_states_the_defaults() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut example = Start::new("")
        .variable("OPENAI_API_KEY", "sk-1")
        .variable("GROQ_API_KEY", "sk-2");
    let plain = example.config();
    example.cli.config = Some(root.join("config.example.yaml"));
    let stated = example.config();
    assert_eq!(stated.notes.warnings, [""; 0]);
    assert_eq!(stated.notes.unused, [""; 0]);
    assert_eq!(stated.listen, plain.listen);
    assert_eq!(stated.serve, plain.serve);
    assert_eq!(stated.logs, plain.logs);
    assert_eq!(format!("{:?}", stated.calls), format!("{:?}", plain.calls));
    let rules = |config: Config| {
        let mut rules = config.rules;
        assert!(rules.models.aliases.is_empty());
        rules.models = domain::definition::Configured::default();
        format!("{rules:?}")
    };
    assert_eq!(rules(stated), rules(plain));
}
