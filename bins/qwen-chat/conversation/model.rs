//! `/model`: the models of the endpoint, and switching to one of them.

use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure};

use super::Conversation;
use crate::models;

/// What a word after `/model` means.
#[derive(Debug, PartialEq, Eq)]
enum Meant<'a> {
    /// A name, as the list has it or with a suffix.
    Model(String),
    /// Names that hold it.
    Several(Vec<&'a String>),
    Nothing,
}

impl Conversation<'_> {
    /// Lists the models.
    pub(super) fn list_models(&mut self) -> Result<(), Failure> {
        self.reporter.say(&format!(
            "the model is {}; the endpoint offers:",
            self.settings.model.value
        ));
        let names = self.model_names()?;
        models::print_some(&names.iter().collect::<Vec<_>>())
    }

    /// Switches to the model that a word means; lists those of whose names it is a part, where there are several. `-f NAME`
    /// takes a name that the list does not have.
    pub(super) fn use_model(&mut self, word: &str) -> Result<(), Failure> {
        if let Some(name) = word.strip_prefix("-f ") {
            return self.set_model(name.trim());
        }
        // Deployments have names of their own, which no list has.
        if self.settings.provider.value.has_model_in_path() {
            return self.set_model(word);
        }
        let names = match self.model_names() {
            Ok(names) if !names.is_empty() => names,
            Err(failure) if matches!(failure.exit, Exit::TryAgain | Exit::NoAuth) => return Err(failure),
            _ => {
                let server = self.settings.base_url.value.server();
                self.reporter.notice(&format!(
                    "'{server}' lists no models, so '{word}' is taken as it is"
                ));
                return self.set_model(word);
            }
        };
        match meant(word, &names) {
            Meant::Model(name) => self.set_model(&name),
            Meant::Several(found) => {
                let (some, all) = (found.len(), names.len());
                self.reporter
                    .say(&format!("{some} of {all} models have '{word}' in their names:"));
                models::print_some(&found)
            }
            Meant::Nothing => Err(self.no_such_model(word, &names)),
        }
    }

    fn no_such_model(&self, word: &str, names: &[String]) -> Failure {
        let message = format!("the endpoint lists no model '{word}'{}", self.remaining());
        let failure = Failure::new(Exit::Unavailable, message);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let failure = match super::switch::nearest(word, &names) {
            Some(near) => failure.hint(format!("did you mean '/model {near}'?")),
            None => failure,
        };
        failure.hint(format!(
            "/model lists them; '/model -f {word}' takes the name all the same"
        ))
    }

    fn model_names(&mut self) -> Result<Vec<String>, Failure> {
        let ctrl_c = Arc::clone(&self.ctrl_c);
        let listed = models::list(self.client()?, Some(&ctrl_c))?;
        Ok(models::names(&listed))
    }
}

/// Finds what a word means: a name, else the only name that it is a part of. Upper and lower case are the same.
fn meant<'a>(word: &str, names: &'a [String]) -> Meant<'a> {
    if names.iter().any(|name| name == word) {
        return Meant::Model(word.to_owned());
    }
    let lower = word.to_lowercase();
    let holds = |name: &&String| {
        let name = name.to_lowercase();
        lower.split_whitespace().all(|part| name.contains(part))
    };
    let same = names.iter().find(|name| name.to_lowercase() == lower);
    // Routers know suffixes that their lists do not have: model:online.
    let has_suffix = word
        .rsplit_once(':')
        .is_some_and(|(base, _)| names.iter().any(|name| name == base));
    let found: Vec<&String> = names.iter().filter(holds).collect();
    match (same, &found[..]) {
        (Some(same), _) => Meant::Model(same.clone()),
        (None, []) if has_suffix => Meant::Model(word.to_owned()),
        (None, []) => Meant::Nothing,
        (None, [only]) => Meant::Model((*only).clone()),
        (None, _) => Meant::Several(found),
    }
}

#[cfg(test)]
mod tests {
    use super::{Meant, meant};

    #[test]
    fn a_word_is_a_name_or_a_part_of_names() {
        let names = ["gpt-4o", "gpt-4o-mini", "o3", "qwen/Qwen3-Coder"].map(str::to_owned);
        let model = |name: &str| Meant::Model(name.to_owned());
        for (word, means) in [
            ("gpt-4o", model("gpt-4o")),
            ("O3", model("o3")),
            ("coder", model("qwen/Qwen3-Coder")),
            ("qwen 3-c", model("qwen/Qwen3-Coder")),
            ("gpt", Meant::Several(vec![&names[0], &names[1]])),
            ("o3:online", model("o3:online")),
            ("o4:online", Meant::Nothing),
            ("nope", Meant::Nothing),
        ] {
            assert_eq!(meant(word, &names), means, "{word}");
        }
    }
}
