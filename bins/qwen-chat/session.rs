//! Saved conversations: one private file each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qwen_shared::dotenv::command_about;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{
    Lock, cannot_read, cannot_write, create_private_dir, lock_path, read_private, write_private,
};
use qwen_shared::net::config::{Binding, Overrides, Settings, Source, Sourced};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::paths;
use qwen_shared::text::{clip, one_line};

use super::message::{Message, Role};
use super::session_document::{Document, name_of};

/// The largest session that is read, in bytes.
const LIMIT: u64 = 256 << 20;

/// How long a lock is waited for.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// A named conversation.
#[derive(Debug)]
pub(crate) struct Session {
    path: PathBuf,
    document: Document,
}

impl Session {
    /// Opens the session of `--session` or `--continue`; `None` without either. A new name begins a session.
    ///
    /// # Errors
    /// 64 for a name that could leave the directory, 66 when there is no session to continue, 65 when the file is not a
    /// session.
    pub(crate) fn open(name: Option<&str>, continue_last: bool) -> Result<Option<Self>, Failure> {
        let path = match (name, continue_last) {
            (Some(name), _) => path_of(name)?,
            (None, true) => latest()?,
            (None, false) => return Ok(None),
        };
        let document = load(&path)?;
        Ok(Some(Self { path, document }))
    }

    /// Opens the session of that name.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let path = path_of(name)?;
        let document = load(&path)?;
        Ok(Self { path, document })
    }

    /// Returns the messages so far.
    pub(crate) fn messages(&self) -> &[Message] {
        &self.document.messages
    }

    /// Returns the system prompt, and the messages after it.
    pub(crate) fn parts(&self) -> (Option<String>, Vec<Message>) {
        self.document.parts()
    }

    /// True for the session of that name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        path_of(name).is_ok_and(|path| path == self.path)
    }

    /// Returns the endpoint that the conversation was last held with; `None` where the file does not say so.
    pub(crate) fn endpoint(&self) -> Option<BaseUrl> {
        BaseUrl::parse(self.document.endpoint.as_deref()?).ok()
    }

    /// Refuses to send what was said so far to an endpoint that a project's file names without consent, unless it was
    /// said there.
    ///
    /// # Errors
    /// 78, with the command that gives consent.
    pub(crate) fn check_endpoint(&self, settings: &Settings) -> Result<(), Failure> {
        if self.messages().is_empty() {
            return Ok(());
        }
        check_endpoint(self.endpoint().as_ref(), settings)
            .map_err(|failure| failure.hint("or begin another conversation with --session NAME"))
    }

    /// Keeps which model is asked from now on, with the next change.
    pub(crate) fn use_model(&mut self, settings: &Settings) {
        self.document.model = Some(settings.model.value.clone());
    }

    /// Removes the session of that name.
    ///
    /// # Errors
    /// 64 for what is no name, 66 where there is no such session, 74 when the file cannot be removed.
    pub(crate) fn remove(name: &str) -> Result<(), Failure> {
        let path = path_of(name)?;
        fs::remove_file(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::new(Exit::NoInput, format!("there is no session '{name}'"))
            }
            _ => cannot_write(&path, &error),
        })?;
        let _ = fs::remove_file(lock_path(&path));
        Ok(())
    }

    /// Returns the file's name.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Adds a message and its answer, and replaces the system prompt. What another process added meanwhile stays.
    ///
    /// # Errors
    /// 74 when the file cannot be written, 75 when another process holds it for too long.
    pub(crate) fn add(
        &self,
        system: Option<String>,
        message: Message,
        answer: String,
        endpoint: &BaseUrl,
    ) -> Result<(), Failure> {
        self.change(|document| document.add(system, message, answer, endpoint))
    }

    /// Puts another system prompt before the messages, or none.
    ///
    /// # Errors
    /// As [`Session::add`].
    pub(crate) fn set_system(&self, system: Option<String>) -> Result<(), Failure> {
        self.change(|document| document.set_system(system))
    }

    /// Takes a message and its answer back, where they are the last ones.
    ///
    /// # Errors
    /// As [`Session::add`].
    pub(crate) fn take_back(&self, message: &Message) -> Result<(), Failure> {
        self.change(|document| document.take_back(message))
    }

    /// Replaces the whole conversation.
    ///
    /// # Errors
    /// As [`Session::add`].
    pub(crate) fn replace(&self, with: &[Message], endpoint: Option<&BaseUrl>) -> Result<(), Failure> {
        self.change(|document| {
            document.messages = with.to_vec();
            document.endpoint = endpoint.map(name_of);
        })
    }

    fn change(&self, change: impl FnOnce(&mut Document)) -> Result<(), Failure> {
        let refused = |error: std::io::Error| cannot_write(&self.path, &error);
        if let Some(directory) = self.path.parent() {
            create_private_dir(directory).map_err(refused)?;
        }
        let _lock = Lock::take(&lock_path(&self.path), LOCK_LIMIT)?;
        let mut document = load(&self.path)?;
        change(&mut document);
        document.model = self.document.model.clone().or(document.model);
        let json = document.to_json().map_err(|error| {
            Failure::new(Exit::Bug, "the session cannot be written as JSON").caused_by(error)
        })?;
        write_private(&self.path, &json).map_err(refused)
    }
}

/// Has the model asked that a session was held with, unless a flag names another one or another endpoint is in use.
///
/// # Errors
/// Those of [`Settings::resolve`].
pub(crate) fn with_model_of(session: Option<&Session>, overrides: Overrides) -> Result<Overrides, Failure> {
    let document = session.map(|session| &session.document);
    let (Some(model), Some(endpoint), None) = (
        document.and_then(|document| document.model.as_ref()),
        document.and_then(|document| document.endpoint.as_ref()),
        &overrides.model,
    ) else {
        return Ok(overrides);
    };
    let settings = Settings::resolve(&overrides)?;
    let is_another = settings.model.value != *model && name_of(&settings.base_url.value) == *endpoint;
    Ok(Overrides {
        model: is_another.then(|| Sourced::new(model.clone(), Source::Conversation)),
        ..overrides
    })
}

/// Refuses to send a conversation to an endpoint that a project's file names without consent, unless it was held there.
///
/// # Errors
/// 78, with the command that gives consent.
pub(crate) fn check_endpoint(held_with: Option<&BaseUrl>, settings: &Settings) -> Result<(), Failure> {
    let (endpoint, source) = (&settings.base_url.value, &settings.base_url.source);
    let is_bound = |held: &BaseUrl| Binding::to(held.clone(), settings.provider.value).covers(endpoint);
    if !source.is_project() || held_with.is_some_and(is_bound) {
        return Ok(());
    }
    let held = held_with.map_or_else(String::new, |held| format!(": it was held with '{held}'"));
    let failure = Failure::new(
        Exit::Config,
        format!(
            "{source} names the endpoint '{endpoint}' without your consent, and what was said so far would go there{held}"
        ),
    );
    let trust = source
        .env_file()
        .and_then(|file| command_about("qwen-env --trust", file));
    Err(match trust {
        Some(command) => failure.hint(format!("run '{command}' if that endpoint may have it")),
        None => failure.hint("set OPENAI_BASE_URL yourself to choose the endpoint"),
    })
}

fn directory() -> Result<PathBuf, Failure> {
    Ok(paths::state_dir().ok_or_else(paths::no_home)?.join("sessions"))
}

fn path_of(name: &str) -> Result<PathBuf, Failure> {
    let is_name = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with(['.', '-'])
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if !is_name {
        let message = format!("'{name}' is not a name for a session");
        return Err(Failure::new(Exit::Usage, message).hint("use letters, digits, '.', '_' and '-'"));
    }
    Ok(directory()?.join(format!("{name}.json")))
}

/// Returns the names of all sessions; none where the directory cannot be read.
pub(crate) fn names() -> Vec<String> {
    let sessions = directory()
        .ok()
        .and_then(|directory| fs::read_dir(directory).ok());
    let files = sessions.into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| path_of(name).is_ok())
        .collect();
    names.sort();
    names
}

/// Returns a line for each session: its name, how many questions it has, and how the last one begins.
pub(crate) fn descriptions() -> Vec<String> {
    let names = names();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let describe = |name: &String| {
        let Ok(session) = Session::named(name) else {
            return format!("{name:width$}  (cannot be read)");
        };
        let messages = session.messages().iter();
        let questions: Vec<&Message> = messages.filter(|message| message.role == Role::User).collect();
        let asked = questions.last().map_or("", |message| message.words());
        let asked = clip(&one_line(asked), DESCRIBED);
        let count = match questions.len() {
            1 => "1 question".to_owned(),
            count => format!("{count} questions"),
        };
        format!("{name:width$}  {count}  {asked}")
    };
    names.iter().map(describe).collect()
}

/// The most characters of a question in a list.
const DESCRIBED: usize = 50;

/// Returns the session used last.
fn latest() -> Result<PathBuf, Failure> {
    let sessions = fs::read_dir(directory()?).into_iter().flatten().flatten();
    sessions
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| Some((path.symlink_metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| {
            Failure::new(Exit::NoInput, "there is no session to continue")
                .hint("begin one with --session NAME")
        })
}

fn load(path: &Path) -> Result<Document, Failure> {
    let shown = path.display();
    let file = read_private(path, LIMIT).map_err(|error| cannot_read(path, &error))?;
    let Some(file) = file else {
        return Ok(Document::default());
    };
    Document::from_json(&file.bytes)
        .map_err(|error| Failure::new(Exit::Data, format!("'{shown}': not a session: {error}")))
}
