//! `qwen-batch wait`: polls until a batch has ended.

use std::future::pending;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::Reporter;
use qwen_shared::signal::end_by_signal;
use qwen_shared::text::one_line;
use tokio::time::sleep;

use super::api::{ApiRequest, BatchApi, RequestError, validate_id};
use super::batch::{Batch, State};
use super::interrupt::Interrupts;
use super::status::print;
use crate::args::WaitArgs;
use crate::duration::since_boot;
use crate::progress::Progress;

/// The pauses: the first one, the longest, and the longest while there is no answer. A batch takes minutes to a day.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE_IN_FAULT: Duration = Duration::from_secs(300);

/// The longest pause that the server may ask for; a longer one counts as this.
const LONGEST_NAMED: Duration = Duration::from_secs(3600);

/// How late the end of a time limit may be seen after the machine has slept.
const STEP: Duration = Duration::from_secs(5);

/// How many faults in a row are waited for: with the pauses above, almost two hours.
const FAULTS: u32 = 30;

/// How often a batch is asked for that is not there, and was not there before: it may have just been made.
const MISSES: u32 = 4;
/// The pause after the first of these; each further one is twice as long.
const FIRST_PAUSE_AFTER_MISS: Duration = Duration::from_secs(1);

/// Runs `qwen-batch wait`. The exit is 0 when every request was answered, else 1.
///
/// # Errors
/// 65 when the provider rejected the batch, 75 when it has not ended in time; the last fault's, when there were many in a
/// row.
pub(crate) fn wait(args: &WaitArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = validate_id(&args.status.id)?;
    let api = BatchApi::new(profile, None, &args.status.show.limits, reporter)?;
    let batch = runtime()?.block_on(wait_until_ended(&api, id, args, reporter))?;
    print(&batch, args.status.show.format)?;
    match batch.state() {
        State::Failed => return Err(api.client().redacted_failure(batch.rejection())),
        State::Unknown => reporter.notice(&format!(
            "batch '{id}' has results, and its state is not known: '{}'",
            one_line(batch.status())
        )),
        _ => {}
    }
    Ok(if batch.is_good() { Exit::Ok } else { Exit::No })
}

async fn wait_until_ended(
    api: &BatchApi,
    id: &str,
    args: &WaitArgs,
    reporter: &Reporter,
) -> Result<Batch, Failure> {
    let interrupts = Interrupts::catch()?;
    let mut poll = Poll {
        api,
        id,
        interval: args.interval,
        progress: Progress::spinner(reporter),
        state: "its status is unknown".to_owned(),
        was_there: false,
        has_told_state: false,
        misses: 0,
        faults: 0,
    };
    let limit = async {
        match args.timeout {
            Some(limit) => sleep_by(since_boot, limit, STEP).await,
            None => pending().await,
        }
    };
    let signal = tokio::select! {
        batch = poll.until_ended() => return batch,
        signal = interrupts.first() => Some(signal),
        () = limit => None,
    };
    let state = std::mem::take(&mut poll.state);
    drop(poll);
    Err(give_up(id, &state, signal, args, reporter))
}

/// Sleeps by a clock that goes on while the machine sleeps, which that of the runtime does not.
async fn sleep_by(clock: impl Fn() -> Duration, time: Duration, step: Duration) {
    let end = clock().saturating_add(time);
    loop {
        let left = end.saturating_sub(clock());
        if left.is_zero() {
            return;
        }
        sleep(left.min(step)).await;
    }
}

/// Ends the wait for a batch that goes on: by a signal, or after the time limit.
fn give_up(id: &str, state: &str, signal: Option<i32>, args: &WaitArgs, reporter: &Reporter) -> Failure {
    match signal {
        Some(signal) => {
            reporter.notice(&format!("batch '{id}' goes on: {state}"));
            reporter.hint(&format!(
                "wait for it with 'qwen-batch wait {id}', or stop it with 'qwen-batch cancel {id}'"
            ));
            end_by_signal(signal)
        }
        None => {
            let seconds = args.timeout.unwrap_or_default().as_secs_f64();
            let message = format!("batch '{id}' has not ended within {seconds} s: {state}");
            Failure::new(Exit::TryAgain, message)
        }
    }
}

/// Asks for a batch again and again.
struct Poll<'a> {
    api: &'a BatchApi,
    id: &'a str,
    interval: Option<Duration>,
    progress: Progress,
    /// What is known of the batch, for messages.
    state: String,
    /// True once the server has shown the batch.
    was_there: bool,
    /// True once it was said that its state is not known.
    has_told_state: bool,
    /// How often it was not there before.
    misses: u32,
    /// How many times in a row there was no answer.
    faults: u32,
}

impl Poll<'_> {
    /// Polls until the batch has ended, also while the server or the network is away.
    async fn until_ended(&mut self) -> Result<Batch, Failure> {
        let mut pause = self.interval.unwrap_or(FIRST_PAUSE);
        loop {
            let mut named = Duration::ZERO;
            let request = ApiRequest::get(format!("/batches/{}", self.id)).once();
            match self.api.ask(&request, Batch::read).await {
                Ok(batch) => {
                    self.answered(&batch);
                    if batch.has_ended() {
                        return Ok(batch);
                    }
                }
                Err(error) if error.is_missing() && !self.was_there => {
                    self.missed(error).await?;
                    continue;
                }
                Err(error) if error.is_missing() || error.may_pass() => {
                    named = error.wait().unwrap_or_default().min(LONGEST_NAMED);
                    self.failed(error)?;
                }
                Err(error) => return Err(self.api.failure(error)),
            }
            self.progress.set_message(&self.state);
            sleep(pause.max(named)).await;
            if self.interval.is_none() {
                let longest = if self.faults > 0 {
                    LONGEST_PAUSE_IN_FAULT
                } else {
                    LONGEST_PAUSE
                };
                pause = pause.mul_f64(1.5).min(longest);
            }
        }
    }

    fn answered(&mut self, batch: &Batch) {
        if std::mem::take(&mut self.faults) > 0 {
            let server = self.api.server();
            self.progress
                .suspend(|reporter| reporter.notice(&format!("'{server}' answers again")));
        }
        self.was_there = true;
        self.state = batch.progress();
        let is_odd = batch.state() == State::Unknown && !batch.has_ended();
        if is_odd && !std::mem::replace(&mut self.has_told_state, true) {
            let status = one_line(batch.status());
            self.progress
                .suspend(|reporter| reporter.notice(&format!("'{status}' is no known state; still waiting")));
        }
    }

    /// Notes a fault, and says so at the first one in a row.
    fn failed(&mut self, error: RequestError) -> Result<(), Failure> {
        self.faults += 1;
        let failure = self.api.failure(error);
        if self.faults >= FAULTS {
            return Err(failure);
        }
        if self.faults == 1 {
            self.progress
                .suspend(|reporter| reporter.notice(&format!("{failure}; still waiting")));
        }
        Ok(())
    }

    /// Waits for a batch that is not there, and was not there before.
    async fn missed(&mut self, error: RequestError) -> Result<(), Failure> {
        self.misses += 1;
        if self.misses >= MISSES {
            return Err(self.api.failure(error));
        }
        if self.misses == 1 {
            let id = self.id;
            self.progress
                .suspend(|reporter| reporter.notice(&format!("no batch '{id}' yet; asking again")));
        }
        let pause = FIRST_PAUSE_AFTER_MISS * (1 << (self.misses - 1));
        sleep(self.interval.map_or(pause, |interval| interval.min(pause))).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use qwen_shared::net::http::runtime;

    use super::sleep_by;

    #[test]
    fn the_time_that_the_machine_sleeps_counts() {
        // It sleeps for most of the hour after the first look.
        let looks = Cell::new(0_u64);
        let clock = || {
            looks.set(looks.get() + 1);
            Duration::from_secs(1_799 * (looks.get() - 1))
        };
        let runtime = runtime().unwrap();
        let hour = Duration::from_secs(3_600);
        runtime.block_on(sleep_by(clock, hour, Duration::from_millis(1)));
        assert_eq!(looks.get(), 4);
    }
}
