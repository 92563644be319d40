/* A worker. It runs one task at a time, and the other waits. */

#define RESTS(w) (leaving[w] || (PEERS && leads[w]))
#define CONNECTED(w) (serving[w] && !killed[w])
#define OWNS(w) (owner[w] == NOW(HOST(w)))

#define drop(w, t) state[AT(w, t)] = 0; job[AT(w, t)] = 0

inline forget(w) {
    incarnation[w] = 0; serving[w] = 0; marked[w] = 0; unsaid[w] = 0;
    drop(w, 0); drop(w, 1)
}

/* ------------------------------------------------------------------ registration */

/* Workers are alike, too: see win(). */
inline register(w) {
    atomic {
        !killed[w] && !incarnation[w] && owner[w] == NOBODY &&
            (PEERS || w == 0 || version[0] || late.by == NOW(HOST(0))) ->
        ASK(REGISTER, HOST(w), 0, 0, 0, RESTS(w), 0);
        name(HOST(w)); printf(" registers\n");
        goto send
    }
}

inline registered(w) {
    incarnation[w] = version[w]; serving[w] = 1; marked[w] = rests[w]; unsaid[w] = RESTS(w);
    printf("    - it is incarnation %d\n", version[w])
}

/* The reply was lost. */
inline recognize(w) {
    d_step {
        !killed[w] && !incarnation[w] && OWNS(w) ->
        name(HOST(w)); printf(" finds that it is registered\n");
        registered(w)
    }
}

inline compare(w, t) {
    if
    :: state[AT(w, t)] >= BACK && job[AT(w, t)] != assigned[AT(w, t)] && BUG != CREDULOUS ->
        MEET(RECORDED_UNTOLD, state[AT(w, t)] == RAN + DONE && task[t] == DONE);
        drop(w, t)
    :: else
    fi
}

/* check /assign/w: connected again; what it has to record must still be its own */
inline go_on(w) {
    d_step {
        !killed[w] && incarnation[w] && !serving[w] && OWNS(w) ->
        if
        :: BUG != UNSYNCED_WORKER -> overtake(HOST(w))
        :: else
        fi;
        compare(w, 0); compare(w, 1);
        serving[w] = 1; unsaid[w] = RESTS(w);
        name(HOST(w)); printf(" goes on\n")
    }
}

inline notice(w) {
    d_step {
        !killed[w] && incarnation[w] && !OWNS(w) ->
        name(HOST(w)); printf(" sees that its registration is gone, and kills what it runs\n");
        forget(w)
    }
}

/* ------------------------------------------------------------------ running */

inline look(w, t) {
    d_step {
        CONNECTED(w) && (state[AT(w, t)] -> state[AT(w, t)] <= RUNS && !assigned[AT(w, t)] :
            assigned[AT(w, t)] && MEANT(assigned[AT(w, t)]) == incarnation[w]) ->
        name(HOST(w));
        if
        :: state[AT(w, t)] -> printf(" sees that task %d is not its own any more\n", t + 1); drop(w, t)
        :: else ->
            printf(" sees task %d, attempt %d\n", t + 1, ATTEMPT(assigned[AT(w, t)]));
            state[AT(w, t)] = WAITS; job[AT(w, t)] = assigned[AT(w, t)]
        fi
    }
}

/* Its session lives, and nobody has worked at its registration. */
#define UNDISTURBED(w) (OWNS(w) && version[w] == incarnation[w])

inline start(w, t) {
    d_step {
        serving[w] && !RESTS(w) && state[AT(w, t)] == WAITS && state[AT(w, 1 - t)] != RUNS ->
        name(HOST(w)); printf(" starts task %d, attempt %d\n", t + 1, ATTEMPT(job[AT(w, t)]));
        HOLDS(attempts_bounded, !STARTED(t, ATTEMPT(job[AT(w, t)])));
        HOLDS(attempts_bounded, ATTEMPT(job[AT(w, t)]) <= MAX_ATTEMPTS + RETRIES + BEFORE_REQUEST(t));
        HOLDS(one_final_status, !ENDED(t) || !UNDISTURBED(w));
        HOLDS(token_grows, !(ran[t] >> ATTEMPT(job[AT(w, t)])) || !UNDISTURBED(w));
        HOLDS(duplicates_explained, state[AT(1 - w, t)] != RUNS || !UNDISTURBED(w) || !UNDISTURBED(1 - w));
        MEET(RUNS_TWICE, state[AT(1 - w, t)] == RUNS);
        ran[t] = ran[t] | (1 << ATTEMPT(job[AT(w, t)]));
        state[AT(w, t)] = RUNS
    }
}

inline succeed(w, t) {
    d_step {
        state[AT(w, t)] == RUNS ->
        state[AT(w, t)] = RAN + DONE;
        name(HOST(w)); printf(" has done task %d\n", t + 1)
    }
}

inline fail(w, t) {
    d_step {
        state[AT(w, t)] == RUNS && events > 0 ->
        events--;
        state[AT(w, t)] = (FAILURES(job[AT(w, t)]) < RETRIES -> RETRY : RAN + FAILED);
        name(HOST(w)); printf(" has run task %d, and it failed\n", t + 1)
    }
}

inline obey(w, t) {
    d_step {
        CONNECTED(w) && request[t] == ASKED && (state[AT(w, t)] == WAITS || state[AT(w, t)] == RUNS) ->
        state[AT(w, t)] = RAN + CANCELLED;
        name(HOST(w)); printf(" sees the cancel request for task %d, and ends it\n", t + 1)
    }
}

/* ------------------------------------------------------------------ recording, and handing back */

inline record(w, t) {
    atomic {
        CONNECTED(w) && (state[AT(w, t)] >= BACK ||
            (state[AT(w, t)] == WAITS && RESTS(w) && (!unsaid[w] || BUG == SILENT))) ->
        state[AT(w, t)] = (state[AT(w, t)] == WAITS -> BACK : state[AT(w, t)]);
        ASK(RECORD, HOST(w), 0, t, 0, state[AT(w, t)], job[AT(w, t)]);
        name(HOST(w));
        if
        :: q.to < RAN -> printf(" hands task %d back\n", t + 1)
        :: q.to == RAN + DONE -> printf(" records that task %d is done\n", t + 1)
        :: q.to == RAN + FAILED -> printf(" records that task %d failed\n", t + 1)
        :: q.to == RAN + CANCELLED -> printf(" records that task %d was cancelled\n", t + 1)
        fi;
        goto send
    }
}

inline recorded(w) {
    if
    :: answer == FENCED -> printf("    - refused: the incarnation is another\n"); forget(w)
    :: answer == REFUSED -> assigned[AT(w, q.about)] = 0; drop(w, q.about)  /* what has ended is let go */
    :: answer == COMMITTED -> drop(w, q.about)
    fi
}

/* ------------------------------------------------------------------ taking nothing new */

inline mark(w) {
    atomic {
        CONNECTED(w) && RESTS(w) && unsaid[w] ->
        marked[w] = 1; unsaid[w] = 0;
        ASK(MARK, HOST(w), 0, 0, 0, 0, MAKE(0, 0, incarnation[w]));
        name(HOST(w)); printf(" says that it takes nothing new\n");
        goto send
    }
}

inline reopen(w) {
    atomic {
        CONNECTED(w) && !RESTS(w) && marked[w] ->
        ASK(REOPEN, HOST(w), 0, 0, 0, 0, MAKE(0, 0, incarnation[w]));
        name(HOST(w)); printf(" takes tasks again\n");
        goto send
    }
}

inline reopened(w) {
    if
    :: answer == COMMITTED -> marked[w] = 0
    :: else -> serving[w] = 0
    fi
}
