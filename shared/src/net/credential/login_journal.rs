//! The journal of a login: the answer for which a person has approved it, kept before anything else is done with it.
//!
//! A server gives the tokens for an approval once. The journal is a file of its own that is created, given room on the disk and
//! locked before the first poll; the answer goes into it by one write. It is removed once the login is stored. Where that did
//! not come to pass, the next program takes the login over.
//!
//! While the login lives it holds a kernel lock on its journal, which dies with it; so a journal that can be locked is of a
//! login that is over. One without an answer is removed.
//!
//! An API key is kept so too, while it and its profile are stored: a process that is killed in between leaves the two apart.
//!
//! A journal says what the login is for: profile, server and client, and the profile before and after. Where one of these has
//! changed since, nothing is taken over.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::document::{self, Credential, Format, Stored};
use super::error::StoreError;
use super::journal::{Found, Journal, LIMIT, hex_digest};
use crate::fs::{
    Links, StandIn, check_own_directory, create_private_dir, is_at, open_own, read_private, stands_at,
    try_lock,
};
use crate::net::oauth::{HttpResponse, TokenResponse};
use crate::paths;
use crate::provider::OauthSettings;
use crate::secret::Secret;

/// The first line.
const LOGIN: &str = "qwen login journal 1\n";

/// How often a name is tried while other programs sweep.
const TRIES: usize = 8;

/// How long to wait for a login that has its answer and is about to be stored by its own program, or by another one that takes it over.
const STORING: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(10);

/// What a login is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LoginSubject {
    /// The profile's name.
    pub profile: String,
    /// `None` for an API key.
    server: Option<Server>,
    /// The digest of the profile's members when the login began; `None` where there was no such profile.
    before: Option<String>,
    /// The profile's members once the login is stored.
    pub after: Map<String, Value>,
}

/// The server and this client's registration there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Server {
    issuer: Option<String>,
    token_endpoint: Option<String>,
    client_id: Option<String>,
}

impl Server {
    fn of(settings: &OauthSettings) -> Self {
        Self {
            issuer: settings.issuer.clone(),
            token_endpoint: settings.token_endpoint.as_ref().map(Url::to_string),
            client_id: settings.client_id.clone(),
        }
    }
}

impl LoginSubject {
    /// Names a login of `profile` at `server`, which turns the profile's members from `before` into `after`.
    #[must_use]
    pub fn new(
        profile: &str,
        server: &OauthSettings,
        before: Option<&Map<String, Value>>,
        after: Map<String, Value>,
    ) -> Self {
        Self {
            profile: profile.to_owned(),
            server: Some(Server::of(server)),
            before: before.map(digest_of),
            after,
        }
    }

    /// As [`LoginSubject::new`] for an API key, which comes from no server.
    #[must_use]
    pub fn of_key(profile: &str, before: Option<&Map<String, Value>>, after: Map<String, Value>) -> Self {
        Self {
            profile: profile.to_owned(),
            server: None,
            before: before.map(digest_of),
            after,
        }
    }

    /// True for an API key.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.server.is_none()
    }

    /// True when the profile's members are those that the login has found.
    #[must_use]
    pub fn is_as_before(&self, members: Option<&Map<String, Value>>) -> bool {
        members.map(digest_of) == self.before
    }

    /// True when this is the server, and the client there, that the person has approved.
    #[must_use]
    pub fn is_at(&self, server: &OauthSettings) -> bool {
        self.server.as_ref() == Some(&Server::of(server))
    }
}

fn digest_of(members: &Map<String, Value>) -> String {
    // Cannot fail: the keys are strings.
    hex_digest(&serde_json::to_vec(members).unwrap_or_default())
}

/// The journal of a login that is going on. It is removed when dropped, unless it is [kept](LoginJournal::keep).
#[derive(Debug)]
pub struct LoginJournal {
    /// `None` once it is dropped.
    journal: Option<Journal>,
    path: PathBuf,
    _stand_in: StandIn,
}

impl LoginJournal {
    /// Creates and locks a journal. Call it before the person is asked.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(subject: &LoginSubject) -> Result<Self, StoreError> {
        let directory = directory().ok_or(StoreError::NoHome)?;
        let text = serde_json::to_string(subject).unwrap_or_default();
        for _ in 0..TRIES {
            let path = directory.join(name_for(&subject.profile));
            let (journal, stand_in) = match create(&directory, &path, &text) {
                Ok(Some(created)) => created,
                // Another program has swept it away.
                Ok(None) => continue,
                // Or the directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io(&path, "write", error)),
            };
            return Ok(Self {
                journal: Some(journal),
                path,
                _stand_in: stand_in,
            });
        }
        Err(StoreError::io(
            &directory,
            "write",
            io::ErrorKind::ResourceBusy.into(),
        ))
    }

    /// Keeps the server's answer. An error is no reason to stop: the answer is still to be stored.
    pub fn answer(&mut self, body: &[u8]) {
        if let Some(journal) = &mut self.journal {
            journal.answer(body);
        }
    }

    /// Keeps an API key that is about to be stored.
    pub fn key(&mut self, stored: &Stored) {
        self.answer(document::write(stored, Format::Own).expose());
    }

    /// True once the answer is kept.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::has_answer)
    }

    /// Leaves the journal for the next program, where the answer is in it; returns its path then.
    #[must_use]
    pub fn keep(mut self) -> Option<PathBuf> {
        let kept = self.journal.take().and_then(Journal::keep);
        if kept.is_none() {
            remove_directory(&self.path);
        }
        kept
    }

    /// Returns a function that removes the journal from another thread.
    pub fn remover(&self) -> impl Fn() + Send + 'static {
        let path = self.path.clone();
        move || remove(&path)
    }
}

impl Drop for LoginJournal {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.take() {
            journal.finish();
            remove_directory(&self.path);
        }
    }
}

/// Creates and locks a journal; `None` where another program took it for one that was left behind.
fn create(directory: &Path, path: &Path, subject: &str) -> io::Result<Option<(Journal, StandIn)>> {
    create_private_dir(directory)?;
    check_own_directory(path)?;
    let journal = Journal::create(path, LOGIN, subject)?;
    match try_lock(journal.file())? {
        Some(stand_in) if is_at(journal.file(), journal.path(), Links::Refuse) => {
            Ok(Some((journal, stand_in)))
        }
        _ => Ok(None),
    }
}

/// Returns the directory of the journals.
fn directory() -> Option<PathBuf> {
    paths::credential_dir().map(|directory| directory.join("credentials").join("logins"))
}

/// Returns a name that no other login has.
fn name_for(profile: &str) -> String {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    format!("{profile}.{}.{time}", process::id())
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    remove_directory(path);
}

/// Removes the directory of a journal, where it was the last one: programs look no further then.
fn remove_directory(path: &Path) {
    if let Some(directory) = path.parent() {
        let _ = fs::remove_dir(directory);
    }
}

/// A login that was approved and not stored. It is locked, so that one program takes it over.
#[derive(Debug)]
pub struct ApprovedLogin {
    /// What it is for.
    pub subject: LoginSubject,
    /// When the server's answer came.
    pub at: SystemTime,
    body: Secret<Vec<u8>>,
    path: PathBuf,
    _lock: (File, StandIn),
}

impl ApprovedLogin {
    /// Returns the API key, or makes a credential of the server's answer; `None` where it is not one.
    #[must_use]
    pub fn stored(&self) -> Option<Stored> {
        if self.subject.is_key() {
            return document::read(self.body.expose(), Format::Own).ok();
        }
        let response = HttpResponse {
            status: 200,
            retry_after: None,
            date: None,
            body: self.body.expose().clone(),
        };
        let response = TokenResponse::parse(&response).ok()?;
        Some(Stored::Oauth(Credential::from_response(response, self.at)))
    }

    /// Removes the journal.
    pub fn finish(self) {
        remove(&self.path);
    }
}

/// Finds the logins that were approved and not stored, and removes what others have left that were cut short before. Where
/// nothing was left it asks for one directory, which is not there.
///
/// An error is about one journal, which stays where it is.
#[must_use]
pub fn approved_logins() -> Vec<Result<ApprovedLogin, StoreError>> {
    let Some(directory) = directory() else {
        return Vec::new();
    };
    let paths = match paths_in(&directory) {
        Ok(Some(paths)) => paths,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Err(StoreError::io(&directory, "read", error))],
    };
    let found = paths
        .iter()
        .filter_map(|path| {
            take(path)
                .map_err(|error| StoreError::io(path, "read", error))
                .transpose()
        })
        .collect();
    // Where all were swept.
    let _ = fs::remove_dir(&directory);
    found
}

/// Returns what is in a directory; `None` where it is not there.
fn paths_in(directory: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let is_none = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    };
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()
            .map(Some),
        Err(error) if is_none(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Locks a journal and reads it; `None` for that of a login that is going on, and for one without an answer, which is removed.
fn take(path: &Path) -> io::Result<Option<ApprovedLogin>> {
    let Some(lock) = open_own(path, Links::Refuse)? else {
        return Ok(None);
    };
    let Some(stand_in) = lock_unless_going_on(&lock, path)? else {
        return Ok(None);
    };
    if !stands_at(&lock, path, Links::Refuse)? {
        return Ok(None);
    }
    let Some(found) = read(path)? else {
        return Ok(None);
    };
    let Some((body, at)) = found.answer else {
        let _ = fs::remove_file(path);
        return Ok(None);
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let subject: LoginSubject = serde_json::from_str(&found.subject)
        .map_err(|_| io::Error::other("is not the journal of a login"))?;
    let is_named = name
        .strip_prefix(&subject.profile)
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    if !is_named {
        return Err(io::Error::other(
            "does not name the profile that its login is for",
        ));
    }
    Ok(Some(ApprovedLogin {
        subject,
        at,
        body,
        path: path.to_path_buf(),
        _lock: (lock, stand_in),
    }))
}

/// Locks a journal, once the login that has its answer has stored it; `None` where a login is going on.
fn lock_unless_going_on(journal: &File, path: &Path) -> io::Result<Option<StandIn>> {
    let started = Instant::now();
    loop {
        if let Some(stand_in) = try_lock(journal)? {
            return Ok(Some(stand_in));
        }
        // Without an answer it may take as long as a person does.
        let has_answer = read(path)?.is_some_and(|found| found.answer.is_some());
        if !has_answer || started.elapsed() > STORING {
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

/// Reads a journal; one that was cut off in its first lines has no records. `None` for what is none.
fn read(path: &Path) -> io::Result<Option<Found>> {
    let Some(file) = read_private(path, LIMIT)? else {
        return Ok(None);
    };
    let bytes = Zeroizing::new(file.bytes);
    let is_cut = LOGIN.as_bytes().starts_with(&bytes) || bytes.starts_with(LOGIN.as_bytes());
    Ok(Found::parse(&bytes, LOGIN).or_else(|| is_cut.then(Found::default)))
}
