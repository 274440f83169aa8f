"""Tries the faults of the scenarios, some at once, and says what came of them."""
import pathlib
import queue
import shlex
import subprocess
import tempfile
import threading
import traceback

from . import faults, report, trial
from .scenarios import SCENARIOS
from .world import World


def main(arguments):
    """Does what the command line says; returns the exit code."""
    scenarios = [scenario for scenario in SCENARIOS if arguments.scenario in (None, scenario.name)]
    if not scenarios:
        print(f"torture: no scenario '{arguments.scenario}' (there are: {' '.join(each.name for each in SCENARIOS)})")
        return 64
    try:
        return _try(arguments, scenarios)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        traceback.print_exc()
        print(f"torture: {error}")
        return 1


def _try(arguments, scenarios):
    with tempfile.TemporaryDirectory(prefix="torture-") as top:
        worlds = [World(pathlib.Path(top) / f"{number:02}", arguments.bin) for number in range(arguments.jobs)]
        rows, not_borne, sample = [], [], faults.Sample(arguments.every)
        for scenario in scenarios:
            if scenario.needs and not (arguments.bin / scenario.needs).exists():
                print(f"{scenario.name}: there is no {scenario.needs}")
                continue
            trace = trial.clean(worlds[0], scenario)
            chosen = _chosen(arguments, scenario, trace, sample)
            if arguments.list:
                print(*(f"{scenario.name} {fault.words()}  {call.text[:90]}" for fault, call in chosen.items()), sep="\n")
                continue
            outcomes = _try_all(worlds, scenario, list(chosen))
            bad = trial.not_borne(outcomes)
            for outcome in outcomes:
                if arguments.verbose or outcome.is_lost or outcome in bad:
                    _show(outcome, outcome in bad, chosen[outcome.fault])
            rows.append(report.row(scenario.name, len(trace.calls), outcomes, len(bad)))
            not_borne += bad
        for world in worlds:
            world.close()
    if rows:
        print(report.table(rows))
    print(*report.not_borne(not_borne), sep="\n", end="\n" if not_borne else "")
    return 1 if not_borne else 0


def _chosen(arguments, scenario, trace, sample):
    found = trace.faults(scenario.kill_everywhere)
    if scenario.from_last_connection:
        listed = faults.after_last_connection(found)
        found = {fault: call for fault, call in found.items() if fault in listed}
    if arguments.only:
        found = {fault: call for fault, call in found.items() if fault.error == arguments.only}
    if not found:
        raise RuntimeError(f"{scenario.name}: no call after the start of main")
    wanted = (arguments.call, arguments.error, arguments.ordinal)
    if any(wanted):
        return {fault: call for fault, call in found.items()
                if all(want in (None, word) for want, word in zip(wanted, fault.words().split()))}
    if sample.every == 1:
        return found
    # A login waits for a person: what is quick is a renewal.
    return sample.of(found, faults.after_connection(found) if scenario.name == "refresh" else ())


def _try_all(worlds, scenario, chosen):
    """The outcomes in the order of the faults."""
    places = queue.SimpleQueue()
    for place in range(len(chosen)):
        places.put(place)
    outcomes, errors = [None] * len(chosen), []

    def work(world):
        try:
            trial.prepare(world, scenario)
            while True:
                place = places.get_nowait()
                outcomes[place] = trial.attempt(world, scenario, chosen[place])
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001  (told by the main thread)
            error.add_note(f"in scenario {scenario.name}")
            errors.append(error)

    workers = [threading.Thread(target=work, args=(world,)) for world in worlds[:len(chosen)]]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
    return outcomes


def _show(outcome, is_bad, call):
    """Prints what became of a fault, with what replays it."""
    fault = outcome.fault
    state = "FAILED" if is_bad else "lost" if outcome.is_lost else "not met" if outcome.code is None else "borne"
    print(f"{state}: tests/torture {outcome.scenario} {fault.words()}    # exit {outcome.code}: {fault.call}({call.text[:100]}")
    print(f"    strace {shlex.join(fault.options('HOME/..'))}")
    for complaint in outcome.complaints:
        print(f"    {complaint}")
    print(f"    stderr: {outcome.stderr!r}")
