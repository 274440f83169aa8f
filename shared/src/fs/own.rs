//! Files that decide where secrets go or what is run: the user's own or root's, and in nobody else's reach.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::{fmt, fs};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawMode, Stat, StatVfsMountFlags, fstat, openat, readlinkat, statat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getuid};

use super::{Links, directory_of, is_absent};
use crate::exit::{Exit, Failure};
use crate::paths;
use crate::text::shell_word;

/// The most symbolic links that are followed, as in the kernel.
const LINK_LIMIT: u32 = 40;

/// Why a file is not used: somebody other than the user and root could have written it, or put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotOwn {
    file: PathBuf,
    culprit: PathBuf,
    role: Role,
    fault: Fault,
}

/// What of a file is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    File,
    Link,
    Directory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It belongs to the user with this number.
    Foreign(u32),
    /// Others may write to it.
    Writable { mode: RawMode, owner: u32 },
}

impl NotOwn {
    /// Returns what an error of [`open_own`] or [`check_own_directory`] says about the owner; `None` for other errors.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns the failure, exit 78: the file by its name, what is wrong, and the command that mends it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = format!("'{}' is not used: {self}", self.file.display());
        Failure::new(Exit::Config, message).hint(self.remedy())
    }

    fn remedy(&self) -> String {
        let name = self.culprit.to_str().and_then(shell_word);
        let name = name.unwrap_or_else(|| "FILE".to_owned());
        let me = geteuid().as_raw();
        let sudo = if me == 0 { "" } else { "sudo " };
        match (self.fault, self.role) {
            (Fault::Writable { mode, owner }, _) if (owner == me || me == 0) && mode & STICKY == 0 => {
                format!("run 'chmod go-w {name}'")
            }
            (Fault::Foreign(_), Role::File) => {
                format!("if you know what it holds, run '{sudo}chown {me} {name}'")
            }
            (Fault::Foreign(_), Role::Link) => format!("if you made it, run '{sudo}chown -h {me} {name}'"),
            _ => "keep the file in a directory that only you can write to".to_owned(),
        }
    }
}

impl fmt::Display for NotOwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::File => f.write_str("it")?,
            Role::Link => write!(f, "the symbolic link '{}'", self.culprit.display())?,
            Role::Directory => write!(f, "its directory '{}'", self.culprit.display())?,
        }
        match self.fault {
            Fault::Foreign(uid) => write!(f, " belongs to another user (uid {uid})"),
            Fault::Writable { mode, .. } => {
                let whom = if mode & BY_ALL == 0 { "its group" } else { "all" };
                write!(f, " is writable by {whom} (mode {mode:04o})")
            }
        }
    }
}

impl Error for NotOwn {}

const STICKY: RawMode = 0o1000;
const BY_GROUP: RawMode = 0o020;
const BY_ALL: RawMode = 0o002;

/// Opens a file for reading that nobody but the user and root can have written; `None` when there is none.
///
/// The file, its directory, and where links are followed each link with its directory, belong to the user or to root, and
/// nobody else can write to the file or the directories: not all, not even in a sticky directory; and no group but the
/// user's own, which is the primary one where it has no other member. A symbolic link in the place of any directory on the
/// way belongs to the user or to root too. Devices may be written to by anyone. What is checked is what was opened: each step
/// begins at the directory that the one before it has checked.
///
/// # Errors
/// [`NotOwn::of`] knows the error of a file that somebody else could have written; others are those of opening it.
pub fn open_own(path: &Path, links: Links) -> io::Result<Option<File>> {
    match open_checked(path, links) {
        Ok((file, _)) => Ok(Some(file)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the file that a write to `path` changes: the one that a symbolic link in its place leads to, where that is
/// followed as by [`open_own`].
///
/// # Errors
/// As [`open_own`]; a link that leads to nothing.
pub fn own_target(path: &Path) -> io::Result<PathBuf> {
    if !path.is_symlink() {
        return Ok(path.to_path_buf());
    }
    match open_checked(path, Links::Follow) {
        Ok((_, target)) => Ok(target),
        Err(error) if is_absent(&error) => Err(io::Error::other("is a symbolic link to nothing")),
        Err(error) => Err(error),
    }
}

/// Checks, before a file is written, that nobody but the user and root can put another one in its place. A directory that is
/// not there yet is created by whoever writes into it.
///
/// # Errors
/// As [`open_own`].
pub fn check_own_directory(file: &Path) -> io::Result<()> {
    let directory = directory_of(file);
    let check = Check { file };
    match check.open_directory(directory) {
        Ok(opened) => check.directory(directory, &opened),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a file as [`open_own`] says; returns with it the path of the file itself.
fn open_checked(file: &Path, links: Links) -> io::Result<(File, PathBuf)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let check = Check { file };
    let mut path = file.to_path_buf();
    for _ in 0..=LINK_LIMIT {
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let directory = check.open_directory(directory_of(&path))?;
        match openat(&directory, name, flags, Mode::empty()) {
            Ok(opened) => {
                check.directory(directory_of(&path), &directory)?;
                check.file(&path, &fstat(&opened)?)?;
                return Ok((opened.into(), path));
            }
            Err(Errno::LOOP) if links == Links::Follow => {}
            Err(Errno::LOOP) => return Err(io::Error::other("is a symbolic link")),
            Err(error) => {
                // Whose it is says more than that it cannot be opened.
                if let Ok(there) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    check.owner(&path, Role::File, &there)?;
                }
                return Err(error.into());
            }
        }
        check.directory(directory_of(&path), &directory)?;
        check.owner(
            &path,
            Role::Link,
            &statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?,
        )?;
        let there = FileType::from_raw_mode(statat(&directory, name, AtFlags::empty())?.st_mode);
        if !matches!(there, FileType::RegularFile | FileType::CharacterDevice) {
            return Err(io::Error::other("is not a regular file"));
        }
        let target = readlinkat(&directory, name, Vec::new())?;
        let target = directory_of(&path).join(OsStr::from_bytes(target.as_bytes()));
        // By its real name, for the message.
        path = match (fs::canonicalize(directory_of(&target)), target.file_name()) {
            (Ok(directory), Some(name)) => directory.join(name),
            _ => target,
        };
    }
    Err(Errno::LOOP.into())
}

// A directory that may be searched but not listed will do.
#[cfg(target_os = "linux")]
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory with no symbolic link on the way to it, by one call; `None` where there is one, or no such call.
#[cfg(target_os = "linux")]
fn open_without_links(path: &Path) -> Option<io::Result<OwnedFd>> {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(rustix::fs::CWD, path, DIRECTORY, Mode::empty(), resolve) {
        Err(Errno::LOOP | Errno::NOSYS | Errno::PERM | Errno::INVAL) => None,
        result => Some(result.map_err(io::Error::from)),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(_path: &Path) -> Option<io::Result<OwnedFd>> {
    None
}

/// Returns where the way to a path begins.
fn start_of(path: &Path) -> &'static Path {
    Path::new(if path.is_absolute() { "/" } else { "." })
}

/// Returns the components of a path, the last one first.
fn names_of(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// The checks of what stands on the way to a file.
struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    /// Opens a directory by its components. Whoever owns a symbolic link among them chooses what is read, so that is the
    /// user or root.
    fn open_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        if let Some(opened) = open_without_links(path) {
            return opened;
        }
        let mut left: Vec<OsString> = names_of(path);
        let mut at = openat(rustix::fs::CWD, start_of(path), DIRECTORY, Mode::empty())?;
        let mut way = start_of(path).to_path_buf();
        let mut links = 0;
        while let Some(name) = left.pop() {
            let there = statat(&at, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(there.st_mode) != FileType::Symlink {
                at = openat(&at, &name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
                way.push(&name);
                continue;
            }
            self.owner(&way.join(&name), Role::Link, &there)?;
            links += 1;
            if links > LINK_LIMIT {
                return Err(Errno::LOOP.into());
            }
            let target = readlinkat(&at, &name, Vec::new())?;
            let target = Path::new(OsStr::from_bytes(target.as_bytes()));
            if target.is_absolute() {
                at = openat(rustix::fs::CWD, "/", DIRECTORY, Mode::empty())?;
                way = PathBuf::from("/");
            }
            left.extend(names_of(target));
        }
        Ok(at)
    }

    fn file(&self, path: &Path, file: &Stat) -> io::Result<()> {
        self.owner(path, Role::File, file)?;
        match FileType::from_raw_mode(file.st_mode) {
            FileType::RegularFile => self.mode(path, Role::File, file),
            _ => Ok(()),
        }
    }

    fn directory(&self, path: &Path, directory: &impl AsFd) -> io::Result<()> {
        let there = fstat(directory)?;
        self.owner(path, Role::Directory, &there)?;
        self.mode(path, Role::Directory, &there).or_else(|error| {
            // Kubernetes mounts secrets so: mode 1777, and nobody can write.
            let is_read_only = rustix::fs::fstatvfs(directory)
                .is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
            if is_read_only { Ok(()) } else { Err(error) }
        })
    }

    fn owner(&self, path: &Path, role: Role, there: &Stat) -> io::Result<()> {
        let owner = there.st_uid;
        match owner == 0 || owner == geteuid().as_raw() {
            true => Ok(()),
            false => Err(self.refuse(path, role, Fault::Foreign(owner))),
        }
    }

    fn mode(&self, path: &Path, role: Role, there: &Stat) -> io::Result<()> {
        let mode = there.st_mode & 0o7777;
        let by_group = || mode & BY_GROUP != 0 && (is_shared(there.st_gid) || has_acl(path));
        if mode & BY_ALL != 0 || by_group() {
            let owner = there.st_uid;
            return Err(self.refuse(path, role, Fault::Writable { mode, owner }));
        }
        Ok(())
    }

    fn refuse(&self, culprit: &Path, role: Role, fault: Fault) -> io::Error {
        let error = NotOwn {
            file: self.file.to_path_buf(),
            culprit: culprit.to_path_buf(),
            role,
            fault,
        };
        io::Error::new(io::ErrorKind::PermissionDenied, error)
    }
}

/// Returns the home directory and its owner where root works in that of another user, as under `sudo -E`: what root creates
/// there that user cannot read.
#[must_use]
pub fn others_home() -> Option<(PathBuf, u32)> {
    let home = paths::home().filter(|_| geteuid().is_root())?;
    let owner = home.metadata().ok()?.uid();
    (owner != 0).then_some((home, owner))
}

/// Adds to a refused permission that it is root to whom a directory or file below the user's home belongs, and the remedy.
pub(super) fn explain_roots(mut failure: Failure, path: &Path, error: &io::Error) -> Failure {
    let is_refused = error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_some();
    let me = geteuid();
    let Some(home) = paths::home().filter(|_| is_refused && !me.is_root()) else {
        return failure;
    };
    let below: Vec<&Path> = path
        .ancestors()
        .take_while(|place| *place != home && place.starts_with(&home))
        .collect();
    let is_roots = |place: &Path| place.symlink_metadata().is_ok_and(|found| found.uid() == 0);
    if let Some(place) = below.into_iter().rev().find(|place| is_roots(place)) {
        failure
            .message
            .push_str(&format!("; '{}' belongs to root", place.display()));
        if let Some(word) = place.to_str().and_then(shell_word) {
            let me = me.as_raw();
            failure = failure.hint(format!("run 'sudo chown -R {me} {word}'"));
        }
    }
    failure
}

/// True when a list of access rights is attached to a file: its mode's group bits then stand for users of any name.
#[cfg(target_os = "linux")]
fn has_acl(path: &Path) -> bool {
    rustix::fs::getxattr(path, c"system.posix_acl_access", &mut [0_u8; 0][..]).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_acl(_path: &Path) -> bool {
    false
}

/// True when others than the user and root can be in a group: every group but the user's primary one, and that too where the
/// system's files give it another member. The primary one is that of the process or of passwd(5): newgrp(1) and sg(1) change
/// the first.
fn is_shared(gid: u32) -> bool {
    let me = geteuid().as_raw();
    let users = read(USERS);
    // Who is not in the file comes from a directory service, as below.
    let is_primary = gid == getegid().as_raw() || gid == primary_group(me, &users).unwrap_or(me);
    !is_primary || has_other_members(gid, me, &read("/etc/group"), &users)
}

/// The file of passwd(5).
const USERS: &str = "/etc/passwd";

fn read(path: &str) -> String {
    let text = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the home directory of the user who runs this process by passwd(5); `None` for one who is not in the file.
pub fn home_of_user() -> Option<PathBuf> {
    home_in(getuid().as_raw(), &read(USERS))
}

/// Finds a user's line in the text of passwd(5): group and what follows it.
fn line_of(user: u32, users: &str) -> Option<(&str, &str)> {
    users.lines().find_map(|line| {
        let (uid, rest) = line.splitn(3, ':').nth(2)?.split_once(':')?;
        (uid.parse() == Ok(user)).then(|| rest.split_once(':'))?
    })
}

/// Finds a user's group in the text of passwd(5).
fn primary_group(user: u32, users: &str) -> Option<u32> {
    line_of(user, users)?.0.parse().ok()
}

/// Finds a user's home directory in the text of passwd(5).
fn home_in(user: u32, users: &str) -> Option<PathBuf> {
    let home = line_of(user, users)?.1.split(':').nth(1)?;
    (!home.is_empty()).then(|| PathBuf::from(home))
}

/// Looks for members of a group other than the user and root in the texts of group(5) and passwd(5).
fn has_other_members(gid: u32, me: u32, groups: &str, users: &str) -> bool {
    let mut listed = false;
    let mut own_name = None;
    for line in users.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, group, ..] = fields[..] else {
            continue;
        };
        let (Ok(uid), Ok(group)) = (uid.parse::<u32>(), group.parse::<u32>()) else {
            continue;
        };
        if uid == me {
            own_name.get_or_insert(name);
        // The group of root is also that of system accounts such as sync.
        } else if group == gid && gid != 0 && uid != 0 {
            return true;
        }
    }
    for line in groups.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, number, members, ..] = fields[..] else {
            continue;
        };
        if number.parse() != Ok(gid) {
            continue;
        }
        listed = true;
        let others = |name: &&str| !name.is_empty() && *name != "root" && Some(*name) != own_name;
        if members.split(',').map(str::trim).any(|name| others(&name)) {
            return true;
        }
    }
    // What is in neither file comes from a directory service, which numbers a user's own group as the user.
    !listed && gid != me
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{has_other_members, home_in, primary_group};

    #[test]
    fn the_home_directory_is_that_of_the_first_line_with_the_number() {
        const USERS: &str = "root:x:0:0::/root:/bin/sh\nodd\nx:y\nann:x:1000:1000:Ann, A.:/home/ann:/bin/sh\n\
                             twin:x:1000:1:::\nno:x:7:7:::/bin/sh\nshort:x:8:8\n+::::::\n";
        for (user, home) in [
            (0, Some("/root")),
            (1000, Some("/home/ann")),
            (7, None),
            (8, None),
            (9, None),
        ] {
            assert_eq!(home_in(user, USERS).as_deref(), home.map(Path::new), "{user}");
        }
    }

    #[test]
    fn a_group_is_the_users_own_where_nobody_else_is_in_it() {
        const USERS: &str = "root:x:0:0::/root:/bin/sh\nsync:x:4:0::/:/bin/sync\nann:x:1000:1000::/:/bin/sh\n\
                             bob:x:1001:1001::/:/bin/sh\ncat:x:1002:100::/:/bin/sh\ndan:x:1003:100::/:/bin/sh\n+::::::\n";
        const GROUPS: &str =
            "root:x:0:\nusers:x:100:\nann:x:1000:\nbob:x:1001:bob\nops:x:1005:ann\nadm:x:7:root\n+:::\n";
        for (gid, me, shared) in [
            (1000, 1000, false),
            (1001, 1001, false),
            // Another user's primary group, or one with another member.
            (100, 1002, true),
            (1005, 1000, false),
            (1005, 1001, true),
            (7, 1000, false),
            // OpenShift: any number as user, in the group of root.
            (0, 1_000_650_000, false),
            (0, 0, false),
            // From a directory service.
            (5000, 5000, false),
            (5001, 5000, true),
        ] {
            assert_eq!(has_other_members(gid, me, GROUPS, USERS), shared, "{gid} {me}");
        }
        // The first of several lines counts, as for getpwuid(3).
        let twins = format!("{USERS}ann2:x:1000:27::/:/bin/sh\n");
        for (user, group) in [(1000, Some(1000)), (1002, Some(100)), (7, None)] {
            assert_eq!(primary_group(user, &twins), group);
        }
        assert!(has_other_members(0, 0, "root:x:0:root,eve\n", USERS));
        assert!(has_other_members(1000, 1000, "ann:x:1000:ann,eve\n", USERS));
    }
}
