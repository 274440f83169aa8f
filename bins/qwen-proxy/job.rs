//! The job of the shell that this process belongs to.

use std::fs;

use qwen_shared::process::job_of;
use qwen_shared::signal::{SIGTSTP, default_action};
use rustix::process::{Pid, getpid, getppid};

/// Stops this process; returns when it is continued.
pub(crate) fn stop() {
    // By SIGSTOP.
    let _ = default_action(SIGTSTP);
}

/// True where somebody outside the process group can continue it: a process of the same session that started one of the
/// group (POSIX: the group is not orphaned).
pub(crate) fn is_controlled() -> bool {
    let Some(own) = job_of(getpid()) else {
        return false;
    };
    let mut parent = getppid();
    while let Some(pid) = parent {
        match job_of(pid) {
            Some(job) if job.session != own.session => return false,
            Some(job) if job.group != own.group => return true,
            Some(_) => parent = parent_of(pid),
            None => return false,
        }
    }
    false
}

/// True for the ancestor itself, and for what it has started.
pub(crate) fn descends(pid: Pid, ancestor: Pid) -> bool {
    let mut next = Some(pid);
    while let Some(pid) = next {
        if pid == ancestor {
            return true;
        }
        next = parent_of(pid);
    }
    false
}

/// Returns the parent of another process, where the kernel tells: field 4 of `/proc/PID/stat` (proc_pid_stat(5)).
fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // Field 2, the name, may hold blanks and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)
}
