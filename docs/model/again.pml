/*
 * What has ended runs again on request. The client reads an end, and asks for a run in place of that end; the
 * master does it in the transaction that deletes the request. A request that means another end does nothing.
 */

#if AGAIN

/* ------------------------------------------------------------------ the client */

inline want(t) {
    d_step {
        t < TASKS && submitted == ACKED && !again[t] && ENDED(t) && events > 0 ->
        events--;
        again[t] = WANTS; meant[t] = ends[t];
        printf("client reads how task %d ended, and wants it to run again\n", t + 1)
    }
}

inline ask_again(t) {
    atomic {
        again[t] == WANTS ->
        again[t] = UNTOLD;
        ASK(WISH, CLIENT_HOST, 0, t, 0, 0, meant[t]);
        printf("client asks for a run of task %d in place of end %d\n", t + 1, q.place);
        goto send
    }
}

/* check the status; create /requests/t */
inline commit_wish() {
    if
    :: !ENDED(q.about) || wish[q.about] -> answer = REFUSED
    :: else -> wish[q.about] = q.place
    fi
}

inline wished() { again[q.about] = (answer == COMMITTED -> MADE : UNTOLD) }

/* The reply was lost, or the request is gone. It waits for no late request: that would mean the same end. */
inline look_again(t) {
    d_step {
        (again[t] == UNTOLD || again[t] == MADE) && !wish[t] ->
        overtake(CLIENT_HOST);
        printf("client looks whether task %d has still end %d\n", t + 1, meant[t]);
        if
        :: ENDED(t) && ends[t] == meant[t] -> HOLDS(asked_once, again[t] != MADE); again[t] = WANTS
        :: else -> again[t] = TOLD
        fi
    }
}

/* ------------------------------------------------------------------ a master */

inline forget_requests(m) { asks[AT(m, 0)] = 0; asks[AT(m, 1)] = 0 }

inline read_request(m, t) {
    d_step {
        LEADS(m) && phase[m] == READ && (wish[t] != 0) != (asks[AT(m, t)] != 0) ->
        asks[AT(m, t)] = (ENDED(t) && (wish[t] == ends[t] || BUG == HEEDLESS) -> DO : IN_VAIN);
        asks[AT(m, t)] = (wish[t] -> asks[AT(m, t)] : 0);
        name(m); printf(" reads what is asked of task %d\n", t + 1)
    }
}

inline run_again(m, t) {
    atomic {
        ACTS(m) && asks[AT(m, t)] == DO && belief[AT(m, t)] == OVER ->
        ASK(DECIDE, m, reign[m], t, 0, UNDO, MAKE(last[t] + 1, 0, 0));
        name(m); printf(" has task %d run again\n", t + 1);
        goto send
    }
}

inline dismiss(m, t) {
    atomic {
        ACTS(m) && asks[AT(m, t)] == IN_VAIN ->
        ASK(DECIDE, m, reign[m], t, 0, DISMISS, 0);
        name(m); printf(" deletes the request for task %d\n", t + 1);
        goto send
    }
}

/* Every end has a number of its own: so it is undone once, and only if the client meant it. */
inline answer_request() {
    if
    :: q.to == UNDO ->
        HOLDS(asked_once, ends[q.about] == meant[q.about]);
        task[q.about] = WAITING; returned[q.about] = q.place
    :: else
    fi;
    wish[q.about] = 0
}

inline answered(m) {
    asks[AT(m, q.about)] = 0;
    if
    :: q.to == UNDO -> belief[AT(m, q.about)] = RETURNED; held[AT(m, q.about)] = q.place
    :: else
    fi
}

/* ------------------------------------------------------------------ whoever completes a task */

/* The result names the last attempt that a worker was given. */
inline conclude() {
    if
    :: q.kind == RECORD -> last[q.about] = ATTEMPT(q.place)
    :: q.kind == DECIDE && q.from == RETURNED -> last[q.about] = ATTEMPT(returned[q.about]) - 1
    :: q.kind == DECIDE && q.from >= HELD -> last[q.about] = ATTEMPT(assigned[AT(q.from - HELD, q.about)])
    :: else
    fi;
    ends[q.about]++;
    MEET(RAN_AGAIN, ends[q.about] == 2 && q.kind == RECORD && q.to == RAN + DONE)
}

#define WISHES(t) :: want(t) :: ask_again(t) :: look_again(t)
#define ANSWERS(m) \
    :: read_request(m, 0) :: run_again(m, 0) :: dismiss(m, 0) \
    :: read_request(m, 1) :: run_again(m, 1) :: dismiss(m, 1)

#else

inline conclude() { skip }
inline forget_requests(m) { skip }
inline answer_request() { skip }
inline answered(m) { skip }
inline commit_wish() { skip }
inline wished() { skip }

#endif
