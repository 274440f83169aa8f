//! The JSON schema of config.json: the one that is installed, and what it says of every example and of what the tools write.
use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::page::Page;
use crate::support::planted::Planted;
use crate::support::tree::{read, root};

fn printed() -> String {
    let sandbox = Sandbox::new();
    let run = sandbox
        .detached("qwen-auth")
        .arg("schema")
        .env_remove("HOME")
        .run();
    run.exits(0).text()
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&printed()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn the_schema_that_is_installed_is_the_one_that_is_printed() {
    let file = "completions/config.schema.json";
    let installed = fs::read_to_string(root().join(file)).unwrap_or_default();
    assert!(
        installed == printed(),
        "run: target/debug/qwen-auth schema >{file}"
    );
    assert!(read("completions/install").contains("config.schema.json"));
}

#[test]
fn every_example_is_valid_and_every_planted_mistake_of_form_is_not() {
    let validator = validator();
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen-config.5").unwrap();
    let examples = page.examples();
    assert!(examples.len() >= 5);
    for example in examples {
        let config: Value = serde_json::from_str(&example).unwrap();
        validator
            .validate(&config)
            .unwrap_or_else(|error| panic!("{example}{error}"));
    }
    // What one member says of another, and what only the machine knows, no schema can say.
    let beyond = [
        "address-of-a-service",
        "body-of-the-tools",
        "command-for-a-shell",
        "command-line-in-one-text",
        "command-not-there",
        "default-of-nothing",
        "endpoint-of-another",
        "header-beside-a-key",
        "header-name",
        "header-of-the-client",
        "header-value",
        "host-with-scheme",
        "issuer-of-metadata",
        "issuer-plain",
        "key-for-a-provider-of-logins",
        "login-not-read",
        "login-of-a-provider-without",
        "login-with-a-key",
        "login-with-half-a-server",
        "login-without-client",
        "login-without-server",
        "parameter-of-ours",
        "placeholder",
        "plain-http",
        "query-twice",
        "scopes-with-commas",
        "total-too-short",
        "twice",
    ];
    let mut refused = 0;
    for (name, planted) in Planted::all() {
        let Some(config) = planted.json() else { continue };
        let is_beyond = beyond.contains(&name.trim_end_matches(".json"));
        assert_eq!(validator.is_valid(&config), is_beyond, "{name}: {config}");
        refused += usize::from(!is_beyond);
    }
    assert!(refused >= 30, "{refused}");
}

#[test]
fn what_the_tools_write_is_valid() {
    let validator = validator();
    let sandbox = Sandbox::new();
    let auth = |words: &[&str]| sandbox.detached("qwen-auth").args(words).run().exits(0);
    for provider in ["openai", "openrouter", "deepseek"] {
        sandbox
            .detached("qwen-login")
            .args([
                "--with-key",
                "--store",
                "file",
                "--no-verify",
                "--provider",
                provider,
                "--profile",
                provider,
            ])
            .stdin("sk-canary-0123456789\n")
            .run()
            .exits(0);
    }
    auth(&["use", "deepseek"]);
    auth(&[
        "set",
        "model=m",
        "rate.per_minute=30",
        "timeouts.idle=1.5",
        "allow_http=false",
        "headers.X-Team=blue",
        "query.a=b",
        "body.temperature=0.5",
        "body.stop=[\"x\"]",
        "reasoning=open",
        "theme=dark",
        "env.allow=APP_* X",
    ]);
    auth(&[
        "set",
        "--new",
        "sso",
        "method=oauth",
        "base_url=https://api.example.org/v1",
        "oauth.issuer=https://id.example.org/",
        "oauth.client_id=c",
        "oauth.pkce=false",
        "oauth.allowed_hosts=api.example.org,*.example.net",
        "oauth.parameters.audience=x",
        "oauth.scope=openid offline_access",
    ]);
    auth(&[
        "set",
        "--new",
        "pass",
        "provider=openai",
        "key.command=pass show 'x y'",
        "key.ttl=60",
    ]);
    auth(&["rename", "pass", "gpt-4.1"]);
    auth(&["set", "gpt-4.1", "key.env=MY_KEY"]);
    auth(&["remove", "openai"]);
    let config: Value = serde_json::from_str(&sandbox.read(sandbox.config_file())).unwrap();
    validator
        .validate(&config)
        .unwrap_or_else(|error| panic!("{config:#}{error}"));
    assert_eq!(config["env"]["allow"], json!(["APP_*", "X"]));
    assert_eq!(config["profiles"]["gpt-4.1"]["key"], json!({"env": "MY_KEY"}));
}
