"""One fault tried: the run that meets it, what it leaves, and the run after it."""
import dataclasses

from . import faults, judge
from .world import Command

# How often a fault is tried whose call was not made: how many there are depends on when the server's answer comes.
TRIES = 3
# How often a run is tried that a busy machine made too late for one of the programs' own limits of time.
LATE_TRIES = 5
# How many traces are compared of a program that asks a keyring.
KEYRING_TRACES = 5
# A directory that is gone has no project: what is answered then is whole.
_TRUE_ANSWERS = {("getcwd", "ENOENT")}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one fault."""

    scenario: str
    fault: object
    # None where the call was never made.
    code: int | None
    is_lost: bool = False
    complaints: tuple = ()
    stderr: str = ""
    # True where one of its runs was too late.
    is_late: bool = False

    @property
    def is_met(self):
        return self.code is not None or bool(self.complaints)


def not_borne(outcomes):
    """The outcomes that may not be.

    A login may be lost only where the server's answer is read or waited for, and by a kill at one write, that keeps it.
    """
    found, writes = [], 0
    for outcome in outcomes:
        is_lost = outcome.is_lost and not outcome.fault.is_at_answer
        if is_lost and outcome.fault.is_kill and outcome.fault.is_write:
            writes += 1
            is_lost = writes > 1
        if outcome.complaints or is_lost:
            found.append(outcome)
    return found


def clean(world, scenario):
    """Prepares the home, saves it, and runs the command without a fault; returns the trace. Where a keyring is asked, how many
    calls are made depends on when it answers: of some traces the shortest has those that each run makes."""
    prepare(world, scenario)
    traces = [_clean_trace(world, scenario) for _ in range(KEYRING_TRACES if scenario.command.with_keyring else 1)]
    return min(traces, key=lambda trace: len(trace.calls))


def _clean_trace(world, scenario):
    run = _in_time(world, scenario.command, ["-f", "-y", "-s", "8"], world.restore)
    complaints = judge.of_run(scenario, run) or judge.of_files(world, scenario, leftovers=False)
    if not complaints and (complaint := scenario.expect(world, run, None)):
        complaints = [complaint]
    if complaints:
        raise RuntimeError(f"{scenario.name} without a fault: {complaints}")
    return faults.Trace(run.trace, world.here)


def prepare(world, scenario):
    """Prepares and saves the home alone."""
    world.clear()
    scenario.prepare(world)
    world.save()


def attempt(world, scenario, fault):
    """Tries one fault in a world that is prepared."""
    for _ in range(LATE_TRIES):
        outcome = _attempt_once(world, scenario, fault)
        if not (outcome.is_late and (outcome.complaints or outcome.is_lost)):
            break
    return outcome


def _attempt_once(world, scenario, fault):
    for _ in range(TRIES):
        world.restore()
        run = world.run(scenario.command, fault.options(world.here))
        world.server.settle()
        if run.code is None or fault.is_met(run.trace):
            return _judged(world, scenario, fault, run)
    return Outcome(scenario.name, fault, None)


def _in_time(world, command, options=None, prepare=lambda: None):
    """Runs a command, and again where it was too late."""
    for _ in range(LATE_TRIES):
        prepare()
        run = world.run(command, options)
        world.server.settle()
        if not judge.is_late(run):
            break
    return run


def _judged(world, scenario, fault, run):
    complaints = judge.of_run(scenario, run, fault)
    cut_short = fault.is_kill or fault.call.startswith("unlink")
    complaints += judge.of_files(world, scenario, leftovers=cut_short or scenario.may_stay, said=run.stderr)
    if run.code == 0 and (fault.call, fault.error) not in _TRUE_ANSWERS and (
            complaint := _unexpected(scenario, world, run, None)):
        complaints.append(f"exit 0, but {complaint}")
    before = None
    try:
        before = scenario.remember(world)
    except (ValueError, KeyError, TypeError) as error:
        complaints.append(f"what it left cannot be used: {error}")
    is_lost = scenario.gets_login and _is_login_lost(world, scenario)
    again = _in_time(world, scenario.again(world) if scenario.again else scenario.command)
    after = judge.of_run(scenario, again) + judge.of_files(world, scenario, leftovers=False)
    if again.code == 0 and (complaint := _unexpected(scenario, world, again, before)):
        after.append(complaint)
    complaints += [f"the next run: {complaint}" for complaint in after if not is_lost]
    return Outcome(scenario.name, fault, run.code, is_lost, tuple(complaints), run.stderr, judge.is_late(run) or judge.is_late(again))


def _unexpected(scenario, world, run, before):
    try:
        return scenario.expect(world, run, before)
    except (ValueError, KeyError, TypeError) as error:
        return f"what is there cannot be read: {error!r}"


def _is_login_lost(world, scenario):
    """True if the server has given a login that no program can use, now and after it has ended."""
    if world.server.state.issued == world.issued_when_saved:
        return False
    for words in ((), ("--refresh",)):
        run = _in_time(world, Command(("qwen-token", *words), with_keyring=scenario.command.with_keyring))
        if run.code != 0 or not world.server.state.is_newest(run.stdout.strip()):
            return True
    return False
