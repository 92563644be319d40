/*
 * What is out of the ordinary. EVENTS bounds how many there are of
 *   a cut connection · a lost reply · a request that is late, perhaps for ever (transactions.pml)
 *   a session that somebody ends · /master or /workers/w that somebody deletes · a worker that is asked to end
 *   a task that somebody wants to end (client.pml) · a run that fails (worker.pml)
 *   an ended task that is to run again (again.pml) · a standby that deposes (deposition.pml)
 * together. What follows from them is free: processes that die or give their sessions up, sessions that expire.
 */

inline cut_off(h) {
    if
    :: IS_MASTER(h) -> resign(h)
    :: else
    fi;
    if
    :: IS_WORKER(h) -> serving[WORKER_OF(h)] = 0
    :: else
    fi
}

inline cut(h) {
    d_step {
        events > 0 && ((IS_MASTER(h) && leads[h]) || (IS_WORKER(h) && serving[WORKER_OF(h)])) ->
        events--;
        name(h); printf(" loses its connection\n");
        cut_off(h)
    }
}

/* ------------------------------------------------------------------ sessions */

#define HELD_BY(h) (leader == NOW(h) || late.by == NOW(h) || (IS_WORKER(h) && owner[WORKER_OF(h)] == NOW(h)))
#define IN_USE(h) ((IS_MASTER(h) && leads[h]) || (IS_WORKER(h) && serving[WORKER_OF(h)]))
#define FORMER(x, h) x = (x == NOW(h) -> BEFORE(h) : x)

/* Its process dies, gives it up in time, or is told that it is over. */
inline begin_anew(h) {
    d_step {
        (HELD_BY(h) && !IN_USE(h)) || (IS_WORKER(h) && killed[WORKER_OF(h)]) ->
        name(h); printf(" is without its session, and begins anew\n");
        FORMER(late.by, h); FORMER(leader, h); FORMER(winner, h);
        if
        :: IS_MASTER(h) -> resign(h)
        :: else
        fi;
        if
        :: IS_WORKER(h) ->
            FORMER(owner[WORKER_OF(h)], h);
            killed[WORKER_OF(h)] = 0; leaving[WORKER_OF(h)] = 0;
            if
            :: BUG != MERCILESS -> forget(WORKER_OF(h))
            :: else -> incarnation[WORKER_OF(h)] = 0; serving[WORKER_OF(h)] = 0
            fi
        :: else
        fi
    }
}

inline end_session(h, session) {
    if
    :: late.by == session -> CLEAR(late)
    :: else
    fi;
    leader = (leader == session -> NOBODY : leader);
    winner = (winner == session -> NOBODY : winner);
    if
    :: IS_WORKER(h) && owner[WORKER_OF(h)] == session -> owner[WORKER_OF(h)] = NOBODY; rests[WORKER_OF(h)] = 0
    :: else
    fi
}

#define RUNS_ANY(w) (state[AT(w, 0)] == RUNS || state[AT(w, 1)] == RUNS)

/* The ensemble ends what a process has given up; all its former sessions together. */
inline expire(h) {
    d_step {
        leader == BEFORE(h) || late.by == BEFORE(h) || (IS_WORKER(h) && owner[WORKER_OF(h)] == BEFORE(h)) ->
        printf("the former session of "); name(h); printf(" is over\n");
        HOLDS(no_zombie_run, !IS_WORKER(h) || incarnation[WORKER_OF(h)] || !RUNS_ANY(WORKER_OF(h)));
        end_session(h, BEFORE(h))
    }
}

/* Planted: the ensemble ends a session before its process has given it up. */
inline out_of_time(x) {
    d_step {
        BUG == CARELESS && events > 0 && (leads[x] || (incarnation[x] && !serving[x])) ->
        printf("a session is over, and its process does not know: that of ");
        name((leads[x] -> x : HOST(x))); printf("\n");
        HOLDS(no_zombie_run, leads[x] || !RUNS_ANY(x));
        HOLDS(master_steps_down, !leads[x]);
        events--
    }
}

inline leave(w) {
    d_step {
        leaving[w] && !killed[w] ->
        name(HOST(w)); printf(" leaves\n");
        forget(w); leaving[w] = 0;
        end_session(HOST(w), NOW(HOST(w)));
        if
        :: PEERS -> resign(w)
        :: else
        fi
    }
}

/* ------------------------------------------------------------------ people */

inline ask_to_end(w) {
    d_step {
        events > 0 && serving[w] && !leaving[w] ->
        events--;
        leaving[w] = 1; unsaid[w] = 1;
        name(HOST(w)); printf(" is asked to end\n")
    }
}

#define HAS_JOBS(w) (RUNS_ANY(w) || state[AT(w, 0)] == WAITS || state[AT(w, 1)] == WAITS)

/* Of a master, or a worker without jobs, that is no more than dying and expiring at once. */
inline kill(w) {
    d_step {
        events > 0 && OWNS(w) && HAS_JOBS(w) ->
        events--;
        printf("somebody ends the session of "); name(HOST(w)); printf("\n");
        killed[w] = 1;
        end_session(HOST(w), NOW(HOST(w)));
        if
        :: PEERS -> resign(w)
        :: else
        fi
    }
}

inline unseat(m) {
    d_step {
        events > 0 && leader == NOW(m) ->
        events--;
        printf("somebody deletes /master\n");
        leader = NOBODY
    }
}

inline evict(w) {
    d_step {
        events > 0 && OWNS(w) ->
        events--;
        printf("somebody deletes /workers/"); name(HOST(w)); printf("\n");
        owner[w] = NOBODY; rests[w] = 0
    }
}
