"""How a standby deposes a silent master."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

suspicion = partial(Mutant, "mwapp/core/suspicion.py")
election = partial(Mutant, "mwapp/core/election.py")
protocol = partial(Mutant, "mwapp/core/protocol.py")

MUTANTS = [
    # ---------------------------------------------------------------- the beat
    suspicion(
        "scope.transact([Check(EPOCH, epoch), Set(path, address)], answered)",
        "scope.transact([Set(path, address)], answered)",
        "a deposed master is not told by its beat",
    ),
    suspicion(
        "        scope.after(patience.beat, again)\n", "        pass\n", "a master beats once, and is deposed"
    ),
    suspicion("if isinstance(result, Failed) and result.index == 0:", "if False:", "the fence goes unheard"),
    suspicion(
        "if isinstance(result, Failed) and result.index == 0:",
        "if isinstance(result, Failed):",
        "a master steps down if a person has deleted its znode",
    ),
    suspicion(
        "    if patience.silence == math.inf:\n        return\n\n",
        "",
        "who is not to be deposed beats, and is",
    ),
    election(
        "        beat(self._scope, epoch, path, self._address.encode(), self._patience, self._fenced)\n",
        "",
        "no master beats, and none is deposed",
    ),
    election("beat(self._scope, epoch", "beat(self._process.scope(), epoch", "a deposed master beats on"),
    # ---------------------------------------------------------------- the silence
    suspicion("watch=self._look)", "watch=None)", "only the first beat is heard"),
    suspicion(
        "self._heard, self._version = self._process.now, stat",
        "self._heard, self._version = self._heard or self._process.now, stat",
        "silence counts from the first beat: every deposition is tried, and refused",
    ),
    suspicion(
        "        if first:\n            self._wait()", "        self._wait()", "a timer for every beat"
    ),
    suspicion(
        "max(self._heard + self._patience.silence, self._earliest)",
        "self._heard + self._patience.silence",
        "nobody is left alone",
    ),
    suspicion("elif self._version:", "elif True:", "who never beat is deposed"),
    suspicion(
        "stat.version if stat is not None else 0",
        "stat.version if stat is not None else 1",
        "a master without a znode is taken for silent",
    ),
    suspicion(
        "        else:\n            self._process.call_at(self._process.now + self._patience.silence, self._scope, self._wait)",
        "",
        "who did not beat at first is listened to no more",
    ),
    election(
        "        if self._was_cut_off:\n            self._listens_from = self._process.now + self._patience.silence\n",
        "",
        "a master that comes back a little later than a standby is deposed",
    ),
    election("        if self._was_cut_off:\n", "        if True:\n", "who is new waits for twice as long"),
    election(
        "max(earliest, self._listens_from + self._patience.silence)",
        "self._listens_from + self._patience.silence",
        "after a cut nobody is left alone",
    ),
    election("told(result)", "told(None)", "the log says that somebody was deposed who was not"),
    election(" and self._late_in != epoch:", ":", "who hears late says it again and again"),
    election(
        "elif result == Failed(Error.BAD_VERSION, 0) and ",
        "elif ",
        "of a frozen master whom another standby has deposed the log says that it is at work",
    ),
    # ---------------------------------------------------------------- the deposition
    election(
        "(Check(path, version), Delete(MASTER))", "(Check(path), Delete(MASTER))", "a beat is overlooked"
    ),
    election("winner.session == stat.owner:", "winner.session:", "a person who plays the master is deposed"),
    election(
        "        if deposes and not wins:\n            return  # a person works here: wait for the end of the session\n",
        "",
        "the epoch is raised, and nobody has won it",
    ),
    election(
        "elif deposes or isinstance", "elif isinstance", "after a refusal it listens no more for a while"
    ),
    election(
        "        if self._watcher is not None:\n            self._watcher.cancel()\n",
        "",
        "who leads or is cut off still listens to the one before",
    ),
    election(
        "if self._patience.silence < math.inf:\n            self._watch",
        "if True:\n            self._watch",
        equivalent="it listens for ever, and does nothing",
    ),
    # ---------------------------------------------------------------- not too often
    election("+ bool(deposes)", "", "no deposition is counted"),
    election(
        "self._depositions.of_late(self._process.now) + bool(deposes)",
        "1 * bool(deposes)",
        "at each election all is forgotten",
    ),
    suspicion(
        "if which != self._epoch:", "if self._epoch is None:", "an epoch counts from the first that was seen"
    ),
    suspicion("if which != self._epoch:", "if True:", "an epoch never grows old"),
    suspicion(
        "for node in (epoch, spare)]", "for node in (epoch,)]", "a person who deletes /epoch hides the count"
    ),
    suspicion(
        "for node in (epoch, spare)]", "for node in (spare,)]", "a person who deletes /tasks hides the count"
    ),
    suspicion("if now < self._since + self._patience.memory else 0", "", "nothing is ever forgotten"),
    suspicion("2.0 ** (depositions - 1)", "1.0", "it waits no longer each time"),
    suspicion(
        "        if depositions >= self.most:\n            return self.memory\n",
        "",
        "there is no end to it",
    ),
    suspicion("if depositions >= self.most:", "if depositions > self.most:", "one more than it should be"),
    suspicion("        if not depositions:\n            return 0.0\n", "", "the first one waits, too"),
    protocol('value["depositions"] = self.depositions', "pass", "the count is never written"),
    protocol(
        'min(max(0, _integer(value.get("depositions"), 0)), MOST)',
        '_integer(value.get("depositions"), 0)',
        "a person can have a negative number of them",
    ),
]
