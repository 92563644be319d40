"""What is in the znodes, and how much of it."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

task = partial(Mutant, "mwapp/core/task.py")
protocol = partial(Mutant, "mwapp/core/protocol.py")
limits = partial(Mutant, "mwapp/core/limits.py")
compact = partial(Mutant, "mwapp/core/compact.py")

MUTANTS = [
    # ---------------------------------------------------------------- JSON
    compact("if end != len(text):", "if False:", "what follows a value is passed over"),
    compact("text = text.strip(BLANKS)", "text = text.strip()", "what is no JSON is taken for it"),
    compact(r'BLANKS = " \t\n\r"', 'BLANKS = " "', "what a person wrote on several lines is not read"),
    compact("ensure_ascii=False, ", "", "a person cannot read what is not in English"),
    compact(', separators=(",", ":")', "", "znodes are larger than they need be"),
    # ---------------------------------------------------------------- what is in the znodes
    protocol(
        "session = int(value, 16)\n    return session - (1 << 64) if session >> 63 else session",
        "return int(value, 16)",
        "half of all sessions are not known again",
    ),
    protocol(
        'f"{session & (1 << 64) - 1:#x}"',
        'f"{session:#x}"',
        "half of all sessions are not known again",
    ),
    protocol(
        'self.result.encode(errors="backslashreplace")',
        'self.result.encode(errors="replace")',
        "half a character that was returned is lost",
    ),
    protocol('b"," if len(data) > 2 else b""', 'b","', "a result alone is no JSON"),
    protocol(
        '        if "result" in value:\n            fields["result"]',
        '        if value.get("result"):\n            fields["result"]',
        "who returned null or 0 has returned nothing",
    ),
    protocol(
        'slots = min(max(1, _integer(value.get("slots"), 1)), MOST)',
        'slots = min(_integer(value.get("slots"), 1), MOST)',
        "a worker without slots by hand",
    ),
    protocol(
        'attempt = min(max(1, _integer(value.get("attempt"), 1)), MOST)',
        'attempt = min(_integer(value.get("attempt"), 0), MOST)',
        "what a person assigns is attempt 0",
    ),
    protocol(
        'min(attempt - 1, max(0, _integer(value.get("failures"), 0))),',
        '_integer(value.get("failures"), 0),',
        "more failures than attempts: any number of workers may be lost",
    ),
    protocol(
        "return self.incarnation in (None, incarnation)",
        "return self.incarnation == incarnation",
        "what a person assigns is for nobody",
    ),
    protocol(
        "return DONE if self.code == 0 and self.reason is None else FAILED",
        "return DONE if self.code == 0 else FAILED",
        "a run that took too long and then ended well is done",
    ),
    protocol(
        "        if self.cancelled:\n            return CANCELLED\n",
        "",
        "what is cancelled has failed",
    ),
    protocol(
        'k: v for k, v in value.items() if v is not None and v != "" and v is not False}',
        "k: v for k, v in value.items() if v}",
        "exit status 0 is not written, and nothing is done",
    ),
    protocol(
        "isinstance(value, int) and not isinstance(value, bool)",
        "isinstance(value, int)",
        "true is taken for 1",
    ),
    protocol(
        "return queue if task is None else",
        "return queue if not task else",
        equivalent="no task has an empty name",
    ),
    protocol(
        'queue = f"{ASSIGN}/{worker}" if worker != NOBODY else RETURNED',
        'queue = f"{ASSIGN}/{worker}"',
        "what is returned goes nowhere",
    ),
    protocol(
        '        if self.failures:\n            value["failures"] = self.failures\n',
        "",
        "failures are not written",
    ),
    # ---------------------------------------------------------------- tasks
    task(
        "return (int(numbered[1]) % (1 << 32) if numbered else 1 << 62, name)",
        "return (int(numbered[1]) % (1 << 32) if numbered else 0, name)",
        "named tasks come before all others",
    ),
    task(
        'r"task-(-?[0-9]{1,10})"',
        'r"task-(-?[0-9]+)"',
        "a number by hand that Python will not read stops a master",
    ),
    task("% (1 << 32) ", "", "numbers behind the last positive one come first"),
    task('r"(?!task-)(?!\\d+$)[A-Za-z0-9]', 'r"(?!\\d+$)[A-Za-z0-9]', "a name that is taken for a number"),
    task(
        "if len(data) > MAX_TASK_BYTES:",
        "if len(data) >= MAX_TASK_BYTES * 2:",
        "a task that no transaction has room for",
    ),
    task(
        "except (ValueError, RecursionError) as error:",
        "except ValueError as error:",
        "a task nested deeply stops a master",
    ),
    task(
        "re.match(r'\\s*\\{\\s*[\"}]', text)",
        're.match(r"\\s*\\{", text)',
        "a shell command in braces can never run",
    ),
    task(
        '_seconds("timeout", MAX_TIMEOUT, above=True)',
        '_seconds("timeout", MAX_TIMEOUT)',
        "a timeout of nothing",
    ),
    task("not 0 <= setting <= MAX_RETRIES", "not 0 < setting <= MAX_RETRIES", "no retries cannot be said"),
    task(
        " and not name.startswith(RESERVED_VARIABLES)",
        "",
        "a task tells its command another token",
    ),
    task(
        'if ("command" in value) == ("handler" in value):',
        'if "command" in value and "handler" in value:',
        "a task that says neither",
    ),
    # ---------------------------------------------------------------- limits
    limits(
        "batch_bytes: int = 512 * 1024",
        "batch_bytes: int = 1024 * 1024",
        "a transaction larger than ZooKeeper takes",
    ),
    limits("max_tasks: int = 40_000", "max_tasks: int = 400_000", "names that do not fit into one reply"),
]
