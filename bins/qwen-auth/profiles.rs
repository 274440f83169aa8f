//! `qwen-auth list` and `qwen-auth use`.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::{
    Config, KeySetting, Overrides, Profile, ProfileSummary, QwenCodeSettings, Settings, active_profile,
    check_name, no_such_profile,
};
use qwen_shared::net::credential::{KeyringTimeout, Store, StoreKind};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::text::{escape_json, one_line};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::args::Format;

/// The columns of the list, which are members of its rows in JSON.
const COLUMNS: [&str; 6] = ["profile", "method", "provider", "endpoint", "model", "key"];

/// Prints the profiles as they are configured. No store is opened; of a file it is seen whether it is there.
pub(crate) fn list(profile: Option<&str>, format: Format, reporter: &Reporter) -> Outcome {
    let (config, active) = active_profile(profile)?;
    let active = active.map(|active| active.value);
    let qwen_code = QwenCodeSettings::load();
    let mut rows = Vec::new();
    for (name, profile) in &config.profiles {
        let mut row = row(name, profile, active.as_ref() == Some(name), &qwen_code)?;
        let is_login = profile.uses_oauth() && row["method"] == "oauth";
        if format != Format::Json && is_login && is_empty_file(name, profile)? {
            row["key"] = json!("not logged in");
        }
        rows.push(row);
    }
    if format == Format::Json {
        print_json(&json!(rows))?;
    } else if rows.is_empty() {
        reporter.notice("no profile is configured");
        reporter.hint("run 'qwen-login'");
    } else {
        let table = table(&rows);
        let widest = table.lines().map(UnicodeWidthStr::width).max();
        match Stdout::columns() {
            Some(columns) if widest > Some(columns) => Stdout::write_lines(&blocks(&rows))?,
            _ => Stdout::write(table.as_bytes())?,
        }
    }
    Ok(Exit::Ok)
}

pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(Exit::Bug, "cannot write JSON").caused_by(error))?;
    Stdout::write(format!("{}\n", escape_json(&text)).as_bytes())
}

fn row(
    name: &str,
    profile: &Profile,
    is_active: bool,
    qwen_code: &QwenCodeSettings,
) -> Result<Value, Failure> {
    let summary = ProfileSummary::new(profile, qwen_code);
    let key = match (profile.store()?, &profile.key) {
        (Some(store), _) => Some(store.to_string()),
        (None, Some(KeySetting::Env(name))) => Some(format!("variable {name}")),
        (None, Some(KeySetting::Command(command))) => Some(format!("command '{}'", command.program())),
        (None, _) => None,
    };
    Ok(json!({
        "profile": name,
        "active": is_active,
        "method": summary.method,
        "provider": summary.provider,
        "endpoint": summary.base_url,
        "model": summary.model,
        "key": key,
    }))
}

/// True where a profile's store is a file that is not there. No keyring is asked.
fn is_empty_file(name: &str, profile: &Profile) -> Result<bool, Failure> {
    let Some(kind) = profile.store()?.filter(|kind| *kind != StoreKind::Keyring) else {
        return Ok(false);
    };
    let store = Store::open(kind, name, KeyringTimeout::noninteractive());
    Ok(store.is_ok_and(|store| !store.has_trace()))
}

fn cell(row: &Value, column: &str) -> String {
    match row[column].as_str() {
        Some(text) if !text.is_empty() => one_line(text),
        _ if column == "key" && row["method"] == "none" => "no key needed".to_owned(),
        _ => "-".to_owned(),
    }
}

const fn star(is_active: bool) -> &'static str {
    if is_active { "*" } else { " " }
}

/// Lays the rows out as blocks, for a terminal that is narrower than the columns.
fn blocks(rows: &[Value]) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str(&format!(
            "{} {}\n",
            star(row["active"] == true),
            cell(row, COLUMNS[0])
        ));
        for column in &COLUMNS[1..] {
            text.push_str(&format!("  {column:8}  {}\n", cell(row, column)));
        }
    }
    text
}

/// Lays the rows out in columns, with a dash for what is not known.
fn table(rows: &[Value]) -> String {
    let widths = COLUMNS.map(|column| {
        let width = |row: &Value| cell(row, column).width();
        rows.iter().map(width).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in rows {
        let mut line = star(row["active"] == true).to_owned();
        for (column, width) in COLUMNS.into_iter().zip(widths) {
            let cell = cell(row, column);
            let fill = " ".repeat(width - cell.width());
            line.push_str(&format!(" {cell}{fill} "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Makes a profile the default.
pub(crate) fn make_default(name: &str, reporter: &Reporter) -> Outcome {
    let config = Config::load()?;
    if !config.profiles.contains_key(name) {
        let failure = no_such_profile(name, &config.profiles);
        return Err(match check_name(name) {
            // With no profile at all, that is what the failure says.
            Ok(()) if config.profiles.is_empty() => Failure {
                hints: Vec::new(),
                ..failure
            }
            .hint(format!("run 'qwen-login --profile {name}' to make it")),
            Ok(()) => failure.hint(format!("or run 'qwen-login --profile {name}' to make it")),
            Err(_) => failure,
        });
    }
    if config.default_profile.as_deref() != Some(name) {
        Config::edit(|members| {
            members.insert("default_profile".to_owned(), json!(name));
        })?;
    }
    reporter.notice(&format!("profile '{name}' is in use"));
    let (_, active) = active_profile(None)?;
    if let Some(active) = active.filter(|active| active.value != name) {
        reporter.notice(&format!(
            "here {} goes before it and names '{}'",
            active.source, active.value
        ));
    } else if let Some(source) = source_of_given_key(name) {
        reporter.notice(&format!(
            "the key of {source} is set and goes before this profile"
        ));
    }
    Ok(Exit::Ok)
}

/// Returns the source of a key that goes before the profile's credential.
pub(crate) fn source_of_given_key(profile: &str) -> Option<String> {
    let settings = Settings::resolve(&Overrides {
        profile: Some(profile.to_owned()),
        ..Overrides::default()
    });
    let source = settings.ok()?.auth.source;
    source.is_given().then(|| source.to_string())
}
