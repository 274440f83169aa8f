"""The table of what came of the faults."""
import collections

_HEAD = ("scenario", "calls", "faults", "survived", "refused", "killed", "lost:error", "lost:kill", "lost:unread", "not met", "failed", "exits")

_MOST_LINES, _WIDEST_LINE = 25, 600


def row(name, calls, outcomes, failed):
    """One line of the table, as words."""
    met = [outcome for outcome in outcomes if outcome.is_met]
    errors = [outcome for outcome in met if not outcome.fault.is_kill]
    kills = [outcome for outcome in met if outcome.fault.is_kill]
    exits = collections.Counter(outcome.code for outcome in errors)
    return (name, calls, len(outcomes), sum(outcome.code == 0 for outcome in errors),
            sum(outcome.code != 0 for outcome in errors), len(kills), _lost(errors), _lost(kills),
            sum(outcome.is_lost and outcome.fault.is_at_answer for outcome in met), len(outcomes) - len(met), failed,
            " ".join(f"{code}:{count}" for code, count in sorted(exits.items(), key=lambda item: (item[0] is None, item[0]))))


def not_borne(outcomes):
    """A line for each fault that was not borne, and few enough that the end of a log holds all of them."""
    lines = [_clipped(f"not borne: tests/torture {outcome.scenario} {outcome.fault.words()}: exit {outcome.code}: {_why(outcome)}")
             for outcome in outcomes]
    left_out = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"not borne: and {left_out} more"] if left_out > 0 else lines


def _why(outcome):
    return " | ".join(outcome.complaints) or f"the login is lost: {outcome.stderr!r}"


def _clipped(line):
    return line if len(line) <= _WIDEST_LINE else f"{line[:_WIDEST_LINE]}…"


def _lost(outcomes):
    return sum(outcome.is_lost and not outcome.fault.is_at_answer for outcome in outcomes)


def table(rows):
    """The rows under their head, with their sums, in columns."""
    sums = [sum(column) for column in list(zip(*rows))[1:-1]]
    lines = [_HEAD, *rows, ("all", *sums, "")]
    widths = [max(len(str(line[place])) for line in lines) for place in range(len(_HEAD))]
    return "\n".join(
        "  ".join(str(word).ljust(width) if place in (0, len(_HEAD) - 1) else str(word).rjust(width)
                  for place, (word, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)
