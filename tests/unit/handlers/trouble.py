"""A distribution whose handlers do what they should not, and some that behave."""

from pathlib import Path

MODULE = """
import atexit, fcntl, os, signal, subprocess, sys, threading, time

def returns(argument, run):
    '''Gives back what it is given.

    And that is all.
    '''
    return argument

def counts(argument, run):
    return len(argument)

def who(argument, run):
    import mwapp.handlers
    assert type(run) is mwapp.handlers.Run
    return [run.task, run.attempt, run.epoch, run.incarnation, run.worker, run.token]

def prints(argument, run):
    print("out")
    print("err", file=sys.stderr)
    os.write(1, b"raw\\n")
    subprocess.run(["echo", "child"])
    return "returned"

def flood(argument, run):
    for _ in range(argument):
        print("x" * 999_999)

def large(argument, run):
    return "x" * argument

def enlarges(argument, run):
    fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)
    open(argument + "/runs", "w").close()
    while not os.path.exists(argument + "/go"):
        time.sleep(0.01)
    os.write(1, b"x" * 900_000)
    open(argument + "/wrote", "w").close()

def fails(argument, run):
    raise ValueError("no such picture")

def fails_deep(argument, run):
    fails_deep(argument, run)

def leaves(argument, run):
    sys.exit(argument)

def unjson(argument, run):
    return {1, 2}

def returns_endless(argument, run):
    return float("inf")

def dies(argument, run):
    print("last words")
    os._exit(argument)

def segfault(argument, run):
    import ctypes
    ctypes.string_at(0)

def pid(argument, run):
    return os.getpid()

def sleeps(argument, run):
    with open(argument, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

def stubborn(argument, run):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.run(["/bin/sh", "-c", "trap '' TERM; echo $$ > " + argument + "; sleep 600 & wait; wait"])
    time.sleep(600)

def obliging(argument, run):
    def asked(number, frame):
        raise InterruptedError("asked")
    signal.signal(signal.SIGTERM, asked)
    with open(argument, "w") as file:
        file.write(str(os.getpid()))
    try:
        time.sleep(600)
    except InterruptedError:
        return "cleaned up"

def obliging_with_child(argument, run):
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    file, seconds = argument
    cleans = f"trap 'sleep {seconds}; echo cleaned >{file}; exit' TERM"
    subprocess.Popen(["sh", "-c", f"{cleans}; echo $$ >{file}.pid; while :; do sleep 0.05; done"])
    while not asked.wait(0.02):
        pass
    return "ended"

def messes(argument, run):
    os.chdir("/")
    os.umask(0)
    os.environ["LEFT"] = "behind"
    del os.environ["MWAPP_TASK"]
    os.environ = {"LEFT": "behind, too"}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.setitimer(signal.ITIMER_REAL, 3600)
    sys.stdout = sys.stderr = open(os.devnull, "w")
    os.dup2(sys.stdout.fileno(), 1)
    os.dup2(sys.stdout.fileno(), 2)
    return os.getpid()

def looks(argument, run):
    print("heard")
    print("heard", file=sys.stderr)
    os.write(1, b"heard\\n")
    os.write(2, b"heard\\n")
    umask = os.umask(0)
    os.umask(umask)
    term = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return [os.getpid(), os.getcwd(), os.environ.get("LEFT"), os.environ["MWAPP_TASK"], umask, term,
            os.environ.get("OWN"), list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            signal.getitimer(signal.ITIMER_REAL)[0]]

def waits(argument, run):
    with open(argument + "/" + str(os.getpid()), "w"):
        while not os.path.exists(argument + "/go"):
            time.sleep(0.01)

def cannot_end(argument, run):
    atexit.register(time.sleep, 600)
    return os.getpid()

def closes(argument, run):
    sys.stdout.close()
    return os.getpid()

def leaves_thread(argument, run):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return os.getpid()

def leaves_child(argument, run):
    subprocess.Popen(["/bin/sh", "-c", "(sleep 600 & echo $! > " + argument + ") &"])
    while not (os.path.exists(argument) and open(argument).read().strip()):
        time.sleep(0.01)
    return os.getpid()

def forks(argument, run):
    if os.fork() == 0:
        return "from the child"
    os.wait()
    return "from the parent"

def meddles(argument, run):
    for number in range(3, 1000):  # whichever its channel is
        try:
            os.write(number, b"x" * 100_000 if argument is None else argument.encode())
        except OSError:
            pass
    if argument != "no":
        time.sleep(600)

def starts_a_meddler(argument, run):
    program = "import sys, trouble; trouble.meddles('no', None)"
    subprocess.run([sys.executable, "-c", program], close_fds=False)
    return "all is well"

def is_killed(argument, run):
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)

def closes_all(argument, run):
    os.closerange(0, 100)
    time.sleep(600)
"""

# To import it takes so long, seconds.
SLOW = 0.3
SLOW_MODULE = f"""
import time
time.sleep({SLOW})

def slow(argument, run):
    open(argument, "w").close()
"""


LEAVING_MODULE = """
raise SystemExit("not on this machine")
"""


def install(home: Path) -> None:
    """Put it into a directory of modules, with entry points that lead nowhere."""
    (home / "trouble.py").write_text(MODULE)
    (home / "slow.py").write_text(SLOW_MODULE)
    (home / "leaving.py").write_text(LEAVING_MODULE)
    info = home / "trouble-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1.5\n")
    names = [line[4 : line.index("(")] for line in MODULE.splitlines() if line.startswith("def ")]
    points = [f"{name} = trouble:{name}" for name in names]
    points += ["slow = slow:slow", "missing_module = nowhere:x", "missing_function = trouble:nothing"]
    points += ["leaving_module = leaving:x"]
    (info / "entry_points.txt").write_text("[mwapp.handlers]\n" + "\n".join(points) + "\n")
