/* A master. Of a peer whose session was ended neither part is heard any more. */

#define ALIVE(m) (!PEERS || !killed[m])
#define LEADS(m) (ALIVE(m) && leads[m])

inline resign(m) {
    leads[m] = 0; reign[m] = 0; phase[m] = 0; due[m] = 0;
    seen[AT(m, 0)] = 0; seen[AT(m, 1)] = 0;
    belief[AT(m, 0)] = 0; belief[AT(m, 1)] = 0; held[AT(m, 0)] = 0; held[AT(m, 1)] = 0;
    unsaid[m] = unsaid[m] && (!PEERS || leaving[m]);
    forget_requests(m)
}

inline elected(m) {
    leads[m] = 1; reign[m] = epoch;
    unsaid[m] = unsaid[m] || PEERS;
    printf("    - it leads: epoch %d\n", epoch);
    HOLDS(one_master_per_epoch, !(leads[1 - m] && reign[1 - m] == epoch))
}

/* ------------------------------------------------------------------ election */

/* Both are alike: whoever asks first is called the first. */
inline win(m) {
    atomic {
        ALIVE(m) && !leads[m] && leader == NOBODY && (m == 0 || epoch || late.kind == WIN) ->
        ASK(WIN, m, 0, 0, 0, 0, 0);
        name(m); printf(" asks for the leadership\n");
        goto send
    }
}

/* check /epoch: the reply was lost, or the connection */
inline resolve(m) {
    d_step {
        ALIVE(m) && !leads[m] && leader == NOW(m) ->
        if
        :: BUG != UNSYNCED_MASTER -> overtake(m)
        :: else
        fi;
        name(m); printf(" finds that /master is its own\n");
        HOLDS(one_master_per_epoch, winner == NOW(m));
        elected(m)
    }
}

inline step_down(m) {
    d_step {
        LEADS(m) && leader != NOW(m) ->
        name(m); printf(" sees that it leads no longer\n");
        resign(m)
    }
}

/* ------------------------------------------------------------------ reading */

#define SHOWS(w) (owner[w] -> version[w] + OPEN * !rests[w] : 0)
#define NEWS(m, place, t, data) ((data != 0) != (belief[AT(m, t)] == place))

inline read_entry(m, where, t, data) {
    if
    :: data && belief[AT(m, t)] != where -> belief[AT(m, t)] = where; held[AT(m, t)] = data
    :: !data && belief[AT(m, t)] == where -> belief[AT(m, t)] = UNREAD; held[AT(m, t)] = 0; due[m] = 1
    :: else
    fi
}

inline read_place(m, where, first, second) { read_entry(m, where, 0, first); read_entry(m, where, 1, second) }

inline read_workers(m) {
    d_step {
        LEADS(m) && (phase[m] == 0 || seen[AT(m, 0)] != SHOWS(0) || seen[AT(m, 1)] != SHOWS(1)) ->
        seen[AT(m, 0)] = SHOWS(0); seen[AT(m, 1)] = SHOWS(1);
        name(m);
        if
        :: phase[m] == 0 && WHOLE ->
            printf(" reads everything\n");
            read_place(m, HELD, assigned[AT(0, 0)], assigned[AT(0, 1)]);
            read_place(m, HELD + 1, assigned[AT(1, 0)], assigned[AT(1, 1)]);
            read_place(m, RETURNED, returned[0], returned[1]);
            due[m] = 0; phase[m] = READ
        :: else ->
            printf(" reads the workers\n");
            phase[m] = (phase[m] -> phase[m] : 1)
        fi
    }
}

inline read_queue(m, w) {
    d_step {
        LEADS(m) && (phase[m] == 1 + w || (phase[m] > 1 + w &&
            (NEWS(m, HELD + w, 0, assigned[AT(w, 0)]) || NEWS(m, HELD + w, 1, assigned[AT(w, 1)])))) ->
        read_place(m, HELD + w, assigned[AT(w, 0)], assigned[AT(w, 1)]);
        phase[m] = (phase[m] == 1 + w -> 2 + w : phase[m]);
        name(m); printf(" reads the queue of "); name(HOST(w)); printf("\n")
    }
}

inline read_returned(m) {
    d_step {
        LEADS(m) && (phase[m] == 3 || (phase[m] == READ &&
            (due[m] || NEWS(m, RETURNED, 0, returned[0]) || NEWS(m, RETURNED, 1, returned[1])))) ->
        read_place(m, RETURNED, returned[0], returned[1]);
        due[m] = 0; phase[m] = READ;
        name(m); printf(" reads what was handed back\n")
    }
}

inline read_task(m, t) {
    d_step {
        LEADS(m) && phase[m] == READ && (!due[m] || BUG == OUT_OF_ORDER) && task[t] && belief[AT(m, t)] == UNREAD ->
        belief[AT(m, t)] = (ENDED(t) -> OVER : QUEUED);
        name(m); printf(" reads task %d\n", t + 1)
    }
}

/* ------------------------------------------------------------------ deciding */

/* It knows enough; and a peer has said that it takes nothing itself, for it sends that first. */
#define ACTS(m) (LEADS(m) && phase[m] == READ && \
    !(PEERS && BUG != BUSY && owner[m] == NOW(m) && (!serving[m] || unsaid[m])))
#define HOLDER(m, t) seen[AT(m, belief[AT(m, t)] - HELD)]
#define ORPHAN(m, t) (belief[AT(m, t)] >= HELD && (HOLDER(m, t) & 7) != MEANT(held[AT(m, t)]))
#define USED_UP(m, t) (LOST_OVER(t, held[AT(m, t)]) >= MAX_ATTEMPTS && BUG != ATTEMPTS)
#define GOES_TO(m, w) (seen[AT(m, w)] & OPEN)
#define COMES(m, t) (ATTEMPT(held[AT(m, t)]) + (belief[AT(m, t)] >= HELD))

inline assign(m, t, w) {
    atomic {
        ACTS(m) && belief[AT(m, t)] == QUEUED && GOES_TO(m, w) ->
        ASK(DECIDE, m, reign[m], t, 0, TO + w, MAKE(1, 0, seen[AT(m, w)] & 7));
        name(m); printf(" assigns task %d to ", t + 1); name(HOST(w)); printf(", incarnation %d\n", MEANT(q.place));
        goto send
    }
}

inline move(m, t, w) {
    atomic {
        ACTS(m) && GOES_TO(m, w) &&
            (belief[AT(m, t)] == RETURNED || (ORPHAN(m, t) && !USED_UP(m, t) && BUG != IDLE)) ->
        ASK(DECIDE, m, reign[m], t, belief[AT(m, t)], TO + w,
            MAKE(COMES(m, t), FAILURES(held[AT(m, t)]), seen[AT(m, w)] & 7));
        name(m); printf(" moves task %d to ", t + 1); name(HOST(w));
        printf(", incarnation %d, as attempt %d\n", MEANT(q.place), ATTEMPT(q.place));
        goto send
    }
}

inline give_up(m, t) {
    atomic {
        ACTS(m) && ORPHAN(m, t) && USED_UP(m, t) ->
        ASK(DECIDE, m, reign[m], t, belief[AT(m, t)], END + FAILED, 0);
        name(m); printf(" gives task %d up\n", t + 1);
        goto send
    }
}

inline cancel(m, t) {
    atomic {
        ACTS(m) && request[t] == ASKED &&
            (belief[AT(m, t)] == QUEUED || belief[AT(m, t)] == RETURNED || ORPHAN(m, t)) ->
        ASK(DECIDE, m, reign[m], t, (belief[AT(m, t)] == QUEUED -> 0 : belief[AT(m, t)]), END + CANCELLED, 0);
        name(m); printf(" cancels task %d\n", t + 1);
        goto send
    }
}

inline take_back(m, t) {
    atomic {
        ACTS(m) && request[t] == ASKED && belief[AT(m, t)] == OVER ->
        ASK(DECIDE, m, reign[m], t, 0, TAKE_BACK, 0);
        name(m); printf(" takes the cancel request for task %d back\n", t + 1);
        goto send
    }
}

/* What it relied on has changed: workers, queues and the task in doubt are read anew. */
inline doubt(m, t) {
    if
    :: belief[AT(m, t)] >= RETURNED || q.about == t -> belief[AT(m, t)] = UNREAD; held[AT(m, t)] = 0
    :: else
    fi
}

inline decided(m) {
    if
    :: answer == FENCED -> printf("    - refused: the epoch is another\n"); resign(m)
    :: answer == REFUSED ->
        printf("    - refused\n");
        phase[m] = 0; due[m] = 0; seen[AT(m, 0)] = 0; seen[AT(m, 1)] = 0;
        doubt(m, 0); doubt(m, 1);
        forget_requests(m)
    :: answer == COMMITTED && q.to >= TO -> belief[AT(m, q.about)] = HELD + TARGET; held[AT(m, q.about)] = q.place
    :: answer == COMMITTED && q.to > END && q.to < TO -> belief[AT(m, q.about)] = OVER; held[AT(m, q.about)] = 0
    :: answer == COMMITTED && q.to == TAKE_BACK
    :: answer == COMMITTED && (q.to == DISMISS || q.to == UNDO) -> answered(m)
    fi
}
