//! What a service manager is told (`sd_notify(3)`).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable with the service manager's socket.
pub(crate) const SOCKET: &str = "NOTIFY_SOCKET";

/// Tells the service manager, where there is one, that the program is in this state, such as `READY=1`.
///
/// # Errors
/// The error of the system call that failed.
pub(crate) fn notify(state: &str) -> io::Result<()> {
    let Some(name) = std::env::var_os(SOCKET).filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address(&name)?)?;
    Ok(())
}

/// Reads the address of a socket. A leading `@` stands for a NUL: the name is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(rest) = name.as_bytes().strip_prefix(b"@") {
        return <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(rest);
    }
    if !name.as_bytes().starts_with(b"/") {
        let message = "only sockets of this machine are supported";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    SocketAddr::from_pathname(name)
}
