//! Every question asked from here.

mod ask;
mod engine;
mod failure_policy;
mod open_files;
mod order;
mod response;
mod signals;
mod tally;

use std::io::IsTerminal;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::{Reporter, Stdout};

use super::args::RunArgs;
use super::client::{Door, Way};
use super::input::Input;
use super::progress::Progress;
use super::results::{Results, Seen, is_same};
use super::template::Shape;
use crate::local::engine::{Engine, Plan};
use crate::local::open_files::make_room;
use crate::local::order::Order;
use crate::local::tally::Tally;

/// An answer that comes in one piece begins when it is done: a long one takes minutes.
const FIRST_BYTE: Duration = Duration::from_secs(600);
/// How many results may wait for an earlier one, for each request that is under way.
const ORDERED: usize = 16;

/// Runs `qwen-batch run`.
///
/// # Errors
/// Those of the input, the output, the settings, and of [`Engine::run`].
pub(crate) fn run(args: &RunArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let input = Input::open(args.input.as_ref())?;
    if input.is_stdin() && std::io::stdin().is_terminal() {
        reporter.notice("reading questions from the terminal, one a line, until Ctrl-D");
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
        reporter,
    )?;
    let settings = door.settings();
    let shape = Shape::new(&args.request, &settings.model.value, &settings.body)?;
    let mut seen = Seen::default();
    let results = Results::open(args.output.as_ref(), args.retry_failed, &mut seen, reporter)?;
    let jobs = make_room(usize::from(args.jobs), reporter);
    let progress = progress(&input, &results, reporter);
    let plan = Plan {
        shape,
        seen,
        results,
        tally: Tally::new(progress),
        order: Order::new(args.ordered.then_some(jobs * ORDERED)),
        jobs,
    };
    runtime()?.block_on(async { Engine::new(plan, door).run(input.stream()).await })
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
fn progress(input: &Input, results: &Results, reporter: &Reporter) -> Progress {
    let is_typed = input.is_stdin() && std::io::stdin().is_terminal();
    let is_read = matches!(results, Results::Stdout) && Stdout::is_terminal();
    match Progress::is_wanted(reporter) && !is_typed && !is_read {
        true => Progress::start(reporter, input.count()),
        false => Progress::hidden(reporter),
    }
}
