//! Where clients connect: a TCP address, a Unix socket.

use std::fs;
use std::io;
use std::net::{self, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure, io_exit, io_reason};
use rustix::fs::{Mode, fchmod};
use rustix::process::geteuid;
use tokio::net::{TcpSocket, UnixSocket};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on a TCP address. Has to be called within a runtime.
///
/// # Errors
/// 74, or 75 where the address is in use or the machine has no descriptors left.
pub(super) fn listen(address: SocketAddr) -> Result<net::TcpListener, Failure> {
    let bind = || -> io::Result<net::TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    bind().map_err(|error| refused(&address.to_string(), &error))
}

fn refused(place: &str, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::AddrInUse => Exit::TryAgain,
        _ => io_exit(error, Exit::Io),
    };
    Failure::new(exit, format!("cannot listen on '{place}': {}", io_reason(error)))
}

/// The file of a Unix socket. Dropped it is removed, if it is this one's still.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if is_own {
            // Another may have removed it meanwhile.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on a Unix socket with this mode. Has to be called within a runtime.
///
/// # Errors
/// 78 for a directory where others could put another socket in its place; 75 where another process listens there; 74 where it
/// cannot be made.
pub(super) fn listen_on_socket(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), Failure> {
    let path = std::path::absolute(path).map_err(|error| refused(&path.display().to_string(), &error))?;
    let place = path.display().to_string();
    check_directory(&path)?;
    remove_stale(&path)?;
    let bind = || -> io::Result<(UnixListener, SocketFile)> {
        let socket = UnixSocket::new_stream()?;
        // The file is made with this mode: at no moment can others connect.
        #[cfg(target_os = "linux")]
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        socket.bind(&path)?;
        let found = fs::symlink_metadata(&path)?;
        let file = SocketFile {
            path: path.clone(),
            device: found.dev(),
            inode: found.ino(),
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok((socket.listen(BACKLOG)?.into_std()?, file))
    };
    bind().map_err(|error| refused(&place, &error))
}

/// Refuses a directory that others can write to.
fn check_directory(path: &Path) -> Result<(), Failure> {
    const STICKY: u32 = 0o1000;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let found = fs::metadata(directory).map_err(|error| refused(&path.display().to_string(), &error))?;
    let is_own = found.uid() == geteuid().as_raw() || found.uid() == 0;
    let mode = found.mode();
    if is_own && (mode & 0o022 == 0 || mode & STICKY != 0) {
        return Ok(());
    }
    let message = format!(
        "'{}': others can write to this directory, and put another socket in the place of this one",
        directory.display()
    );
    Err(Failure::new(Exit::Config, message).hint(format!("run 'chmod go-w {}'", directory.display())))
}

/// Removes the socket of a process that has died: nobody answers there.
fn remove_stale(path: &Path) -> Result<(), Failure> {
    let place = path.display().to_string();
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(&place, &error)),
    };
    if !found.file_type().is_socket() {
        let message = format!("cannot listen on '{place}': there is a file that is no socket");
        return Err(Failure::new(Exit::Io, message));
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let message = format!("cannot listen on '{place}': another process listens there");
            Err(Failure::new(Exit::TryAgain, message))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| refused(&place, &error))
        }
        Err(error) => Err(refused(&place, &error)),
    }
}
