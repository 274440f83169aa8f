//! Room for connections: every question under way has one, and every one is an open file.

use qwen_shared::output::Reporter;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files besides the connections: input, output, the runtime's own, the quota's, the certificates'.
const OTHERS: u64 = 32;

/// Makes room for so many connections, as far as the system lets it; returns for how many there is room.
///
/// The limit that a process is started with is often 1024, or 256, and may be raised by the process itself.
pub(crate) fn make_room(jobs: usize, reporter: &Reporter) -> usize {
    // Twice, where that is allowed: what the server has closed stays open here until it is noticed.
    let wanted = 2 * jobs as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(allowed) = current.filter(|&allowed| allowed < wanted) else {
        return jobs;
    };
    let raised = maximum.map_or(wanted, |most| most.min(wanted));
    let limit = Rlimit {
        current: Some(raised),
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => raised,
        Err(_) => allowed,
    };
    let room = usize::try_from(allowed.saturating_sub(OTHERS)).unwrap_or(jobs);
    let room = room.clamp(1, jobs);
    if room < jobs {
        reporter.notice(&format!(
            "asking {room} questions at the same time, not {jobs}: no more files may be open"
        ));
    }
    room
}
