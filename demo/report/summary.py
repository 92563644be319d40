"""The story's figures: the table on the terminal, and the same for JSON."""

from typing import Any

from demo.report.history import History

# What the terminal says for a key of the figures, if it is another word.
WORDS = {"doubled": "recorded twice"}


def summary(history: History) -> dict[str, Any]:
    """The figures. ``tasks`` is None if the tasks could not be accounted for; open tasks had not ended
    yet."""
    ledger = history.ledger
    return {
        "ok": history.held,
        "problem": history.problem,
        "tasks": ledger
        and {
            "submitted": ledger["submitted"],
            "done": ledger["done"],
            "failed": ledger["failed"],
            **{what: len(ledger[what]) for what in ("lost", "doubled", "open")},
        },
        "takeover_ms": history.figures("takeover"),
        "write_gap_ms": history.figures("gap"),
        "submission_gap_ms": round(1000 * (history.longest_submission[1] - history.longest_submission[0]), 1)
        if history.longest_submission
        else None,
    }


def tell(history: History) -> None:
    """Print the verdict and the figures."""
    told = summary(history)
    problem = f": {history.problem}" if history.problem else ""
    print(f"\n{'The story held' if history.held else 'THE STORY DID NOT HOLD'}{problem}\n")
    if ledger := history.ledger:
        counts = [f"{WORDS.get(k, k)} {n}" for k, n in told["tasks"].items() if n or k != "open"]
        print(f"  tasks        {'   '.join(counts)}")
        meant, moved = ledger["meant_to_fail"], ledger["moved"]
        print(f"               {meant} were meant to fail, {moved} took a second attempt")
    if wait := history.longest_submission:
        begin, end = wait
        print(f"  submitting   longest wait {end - begin:.1f} s, from {begin:.1f} s on")
    for title, figures in (("taken over", told["takeover_ms"]), ("write gap", told["write_gap_ms"])):
        for fault, times in figures.items():
            print(f"  {title:11}  {fault.replace('_', ' '):22} {', '.join(f'{ms:.0f} ms' for ms in times)}")
