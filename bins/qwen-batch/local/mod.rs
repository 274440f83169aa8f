//! Every question asked from here.

mod ask;
mod engine;
mod heard;
mod mood;
mod order;
mod room;
mod signals;
mod tally;

use std::io::IsTerminal;
use std::time::Duration;

use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::http::runtime;
use qwen_shared::out::{Progress, Stdout, Talk};

use self::engine::{Engine, Plan};
use self::order::Order;
use self::room::make_room;
use self::tally::Tally;
use crate::cli::RunArgs;
use crate::door::{Door, Way};
use crate::results::{Results, is_same};
use crate::seen::Seen;
use crate::shape::Shape;
use crate::source::Input;

/// An answer that comes in one piece begins when it is done: a long one takes minutes.
const FIRST_BYTE: Duration = Duration::from_secs(600);
/// How many results may wait for an earlier one, for each request that is under way.
const ORDERED: usize = 16;

/// Runs `qwen-batch run`.
///
/// # Errors
/// Those of the input, the output, the settings, and of [`Engine::run`].
pub(crate) fn run(args: &RunArgs, profile: Option<&String>, talk: &Talk) -> Outcome {
    let input = Input::open(args.input.as_ref())?;
    if input.is_stdin() && std::io::stdin().is_terminal() {
        talk.notice("reading questions from the terminal, one a line, until Ctrl-D");
    }
    check_apart(&input, args)?;
    let door = Door::open(
        &Way {
            profile,
            model: args.request.model.as_ref(),
            limits: &args.limits,
            first_byte: FIRST_BYTE,
            paced: !args.no_pace,
        },
        talk,
    )?;
    let settings = door.settings();
    let shape = Shape::new(&args.request, &settings.model.value, &settings.body)?;
    let mut seen = Seen::default();
    let results = Results::open(args.output.as_ref(), args.retry_failed, &mut seen, talk)?;
    let jobs = make_room(usize::from(args.jobs), talk);
    let progress = progress(&input, &results, talk);
    let plan = Plan {
        shape,
        seen,
        results,
        tally: Tally::new(progress),
        order: Order::new(args.ordered.then_some(jobs * ORDERED)),
        jobs,
    };
    let runtime = runtime()?;
    let outcome = runtime.block_on(async { Engine::new(plan, door).run(input.stream()).await });
    // The reader may sit in a read that never ends.
    runtime.shutdown_background();
    outcome
}

/// Refuses results that would go into the input.
fn check_apart(input: &Input, args: &RunArgs) -> Result<(), Failure> {
    if !is_same(input, args.output.as_ref()) {
        return Ok(());
    }
    let name = input.name();
    Err(Failure::new(
        Exit::Usage,
        format!("'{name}': input and output are the same file"),
    ))
}

/// Shows a bar, unless questions are typed or results read on the same terminal.
fn progress(input: &Input, results: &Results, talk: &Talk) -> Progress {
    let is_typed = input.is_stdin() && std::io::stdin().is_terminal();
    let is_read = matches!(results, Results::Stdout) && Stdout::is_terminal();
    match Progress::is_wanted(talk) && !is_typed && !is_read {
        true => Progress::start(talk, input.count()),
        false => Progress::hidden(talk),
    }
}
