//! What is in use, and who says so.

use std::time::Duration;

use qwen_shared::date::rfc3339;
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::out::{Stdout, Talk};
use qwen_shared::text::{escape_json, one_line};

use crate::cli::Format;
use crate::report::{Report, State};

/// Prints the report. What cannot be used is a failure after it.
pub(crate) fn show(profile: Option<&str>, format: Format, talk: &Talk) -> Outcome {
    let report = Report::make(profile, talk)?;
    let text = match format {
        Format::Text => text(&report),
        Format::Json => serde_json::to_string_pretty(&report.to_json())
            .map(|text| format!("{}\n", escape_json(&text)))
            .map_err(|error| Failure::new(Exit::Bug, "cannot write the report").caused_by(error))?,
    };
    Stdout::write(text.as_bytes())?;
    for notice in &report.notices {
        talk.notice(notice);
    }
    let name = report.settings.profile_name().to_owned();
    let login = format!("run 'qwen-login --profile {name}'");
    match report.state {
        State::Valid | State::Unbounded | State::Renewable => Ok(Exit::Ok),
        State::Expired => {
            Err(Failure::new(Exit::NoAuth, format!("the login of profile '{name}' has expired")).hint(login))
        }
        State::Missing => {
            Err(Failure::new(Exit::NoAuth, format!("no credential for profile '{name}'")).hint(login))
        }
        State::Unknown(failure) => Err(failure),
    }
}

/// Lays the report out for people: what, and in parentheses who said so.
fn text(report: &Report) -> String {
    let settings = &report.settings;
    let [profile, method, provider, endpoint, model, store] = report.sources().map(|(_, source)| source);
    let none = "none".to_owned();
    let lines = [
        (
            "profile",
            settings
                .profile
                .as_ref()
                .map_or(none, |profile| profile.value.clone()),
            profile,
        ),
        ("method", settings.method().to_owned(), method),
        ("provider", settings.provider.value.name.clone(), provider),
        ("endpoint", report.endpoint.clone(), endpoint),
        ("model", settings.model.value.clone(), model),
        (
            "store",
            match &report.store {
                Some(store) => format!("{store}, {}", report.place),
                None => format!("none, {}", report.place),
            },
            store,
        ),
        ("credential", credential(report), None),
        ("requests", requests(report), None),
    ];
    let mut text = String::new();
    for (name, value, source) in lines {
        let source = source.map_or_else(String::new, |source| format!("  ({source})"));
        text.push_str(&one_line(&format!("{name:10}  {value}{source}")));
        text.push('\n');
    }
    text
}

fn credential(report: &Report) -> String {
    let words = report.state.words();
    match (report.expires_at, report.expires_in()) {
        (Some(end), Some(left)) => format!("{words} until {}, for {} more", rfc3339(end), roughly(left)),
        (Some(end), None) => format!("{words}, since {}", rfc3339(end)),
        (None, _) => words.to_owned(),
    }
}

fn requests(report: &Report) -> String {
    let rate = report.settings.rate;
    match (report.requests_today, rate.and_then(|rate| rate.per_day)) {
        (Some(today), Some(most)) => format!("{today} of {most} today"),
        (Some(today), None) => format!("{today} today"),
        (None, Some(most)) => format!("at most {most} a day"),
        (None, None) => "not counted, no quota is known".to_owned(),
    }
}

/// Writes a time with its two largest units.
fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
