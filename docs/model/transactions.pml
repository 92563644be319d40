/* The transactions, each all or nothing: q is the one that is made. */

/* ------------------------------------------------------------------ masters */

/* create /master; set /epoch */
inline commit_win() {
    unseat_silent();
    if
    :: leader != NOBODY || answer == REFUSED -> answer = REFUSED
    :: else ->
        leader = q.by; epoch++; winner = q.by; begin_to_beat();
        HOLDS(epoch_monotonic, epoch > reign[0] && epoch > reign[1]);
        MEET(ELECTION_MEANWHILE, late.kind == DECIDE && late.to >= TO && HOST_OF(late.by) != HOST_OF(q.by))
    fi
}

#define TARGET (q.to - TO)
#define GONE (owner[TARGET] == NOBODY || rests[TARGET])
#define ANOTHER (version[TARGET] != MEANT(q.place) && BUG != INCARNATION_ASSIGN)

/* check /epoch; of whom it goes to check /workers/w and /assign/w; delete what was; create what is to be */
inline commit_decision() {
    if
    :: q.reign != epoch && BUG != FENCING -> answer = FENCED; MEET(STALE_WRITE_REFUSED, true)
    :: else ->
        if
        :: q.to >= TO && (GONE || ANOTHER) -> answer = REFUSED; MEET(ANOTHER_INCARNATION, !GONE)
        :: q.from == RETURNED && !returned[q.about] -> answer = REFUSED
        :: q.from >= HELD && !assigned[AT(q.from - HELD, q.about)] -> answer = REFUSED
        :: q.to >= TO && q.from != HELD + TARGET && assigned[AT(TARGET, q.about)] -> answer = REFUSED
        :: q.to > END && q.to < TO && ENDED(q.about) -> answer = REFUSED
        :: q.to == TAKE_BACK && request[q.about] != ASKED -> answer = REFUSED
        :: (q.to == DISMISS || q.to == UNDO) && !OPEN_REQUEST(q.about) -> answer = REFUSED
        :: q.to == UNDO && (!ENDED(q.about) || returned[q.about]) -> answer = REFUSED
        :: else -> decide()
        fi
    fi
}

inline decide() {
    HOLDS(no_stale_write, winner == q.by);
    if
    :: q.to > END && q.to < TO -> conclude()
    :: else
    fi;
    if
    :: q.from == RETURNED -> returned[q.about] = 0
    :: q.from >= HELD -> assigned[AT(q.from - HELD, q.about)] = 0
    :: else
    fi;
    if
    :: q.to >= TO ->
        assigned[AT(TARGET, q.about)] = q.place;
        HOLDS(no_assign_to_absent_incarnation, MEANT(q.place) == version[TARGET]);
        HOLDS(peer_rests, !PEERS || q.by != owner[TARGET] || q.by == BEFORE(HOST_OF(q.by)));
        HOLDS(attempts_bounded, LOST_OVER(q.about, q.place) <= MAX_ATTEMPTS && FAILURES(q.place) <= RETRIES);
        MEET(RETURNED_MOVES_ON, q.from == RETURNED && ATTEMPT(q.place) == 1)
    :: q.to > END && q.to < TO ->
        task[q.about] = q.to - END;
        HOLDS(cancel_final, task[q.about] != CANCELLED || request[q.about]);
        MEET(WAITING_CANCELLED, task[q.about] == CANCELLED);
        MEET(GIVEN_UP, task[q.about] == FAILED)
    :: q.to == TAKE_BACK ->
        request[q.about] = TAKEN_BACK;
        HOLDS(cancel_final, ENDED(q.about))
    :: q.to == DISMISS || q.to == UNDO -> answer_request()
    fi
}

/* ------------------------------------------------------------------ workers */

/* create /workers/w; set /assign/w */
inline commit_register(w) {
    if
    :: owner[w] != NOBODY -> answer = REFUSED
    :: else -> owner[w] = q.by; rests[w] = q.to; version[w]++
    fi
}

/* check /assign/w; set /workers/w, or delete and create it */
inline commit_mark(w) {
    if
    :: version[w] != MEANT(q.place) || owner[w] == NOBODY -> answer = REFUSED
    :: else -> rests[w] = (q.kind == MARK && BUG != BUSY)
    fi
}

/* check /assign/w; delete /assign/w/t; create the status, or /returned/t */
inline commit_record(w) {
    if
    :: version[w] != MEANT(q.place) && BUG != INCARNATION_RECORD -> answer = FENCED
    :: else ->
        if
        :: !assigned[AT(w, q.about)] || (q.to > RAN && ENDED(q.about)) -> answer = REFUSED
        :: else -> write_record(w)
        fi
    fi
}

inline write_record(w) {
    HOLDS(status_from_holder, assigned[AT(w, q.about)] == q.place);
    if
    :: (q.to < RAN && BUG == DOUBLING) || (q.to > RAN && BUG == TORN)
    :: else -> assigned[AT(w, q.about)] = 0
    fi;
    if
    :: q.to == BACK -> returned[q.about] = MAKE(ATTEMPT(q.place), FAILURES(q.place), 0)
    :: q.to == RETRY ->
        returned[q.about] = MAKE(ATTEMPT(q.place) + 1, (BUG == RELENTLESS -> 0 : FAILURES(q.place) + 1), 0)
    :: q.to > RAN ->
        task[q.about] = q.to - RAN;
        conclude();
        HOLDS(cancel_final, task[q.about] != CANCELLED || request[q.about]);
        HOLDS(result_faithful, task[q.about] == CANCELLED || STARTED(q.about, ATTEMPT(q.place)));
        MEET(DONE_AT_THE_SECOND, task[q.about] == DONE && ATTEMPT(q.place) == 2);
        MEET(RUN_CANCELLED, task[q.about] == CANCELLED && STARTED(q.about, ATTEMPT(q.place)));
        MEET(RESTS_AND_FINISHES, PEERS && leads[w])
    fi
}

/* ------------------------------------------------------------------ the client */

/* create /tasks/task-, all tasks at once */
inline commit_submit() {
    HOLDS(submit_idempotent, !task[0]);
    task[0] = WAITING; task[1] = (TASKS > 1)
}

/* ------------------------------------------------------------------ all */

#define ASSIGNED(t) ((assigned[AT(0, t)] > 0) + (assigned[AT(1, t)] > 0) + (returned[t] > 0))

inline commit() {
    if
    :: q.kind == WIN -> commit_win()
    :: q.kind == DECIDE -> commit_decision()
    :: q.kind == REGISTER -> commit_register(WORKER_OF(HOST_OF(q.by)))
    :: q.kind == MARK || q.kind == REOPEN -> commit_mark(WORKER_OF(HOST_OF(q.by)))
    :: q.kind == RECORD -> commit_record(WORKER_OF(HOST_OF(q.by)))
    :: q.kind == SUBMIT -> commit_submit()
    :: q.kind == WISH -> commit_wish()
    fi;
    HOLDS(single_assignment, ASSIGNED(q.about) <= 1);
    HOLDS(status_from_holder, !ENDED(q.about) || !ASSIGNED(q.about))
}

/* A session's requests are carried out in their order, or not at all. */
inline overtake(h) {
    if
    :: late.by == NOW(h) -> CLEAR(late)
    :: else
    fi
}

/* What becomes of q, and what its sender makes of that. Spin takes no label at the beginning of an atomic. */
inline carry_out() {
    atomic {
        skip;
send:   if
        :: fate = ANSWERED
        :: events > 0 -> events--; fate = LOST
        :: events > 0 && (late.kind == 0 || late.by == q.by) -> events--; fate = LATE
        fi;
        d_step {
            overtake(HOST_OF(q.by));
            if
            :: fate == LATE -> COPY(late, q)
            :: else -> commit()
            fi;
            if
            :: fate == LATE -> printf("    - the connection is cut, the request under way\n"); cut_off(HOST_OF(q.by))
            :: fate == LOST -> printf("    - it is carried out, the reply lost\n"); cut_off(HOST_OF(q.by))
            :: fate == ANSWERED && q.kind == WIN && answer == COMMITTED -> elected(HOST_OF(q.by))
            :: fate == ANSWERED && q.kind == DECIDE -> decided(HOST_OF(q.by))
            :: fate == ANSWERED && q.kind == REGISTER && answer == COMMITTED -> registered(WORKER_OF(HOST_OF(q.by)))
            :: fate == ANSWERED && q.kind == REOPEN -> reopened(WORKER_OF(HOST_OF(q.by)))
            :: fate == ANSWERED && q.kind == RECORD -> recorded(WORKER_OF(HOST_OF(q.by)))
            :: fate == ANSWERED && q.kind == SUBMIT -> submitted = ACKED
            :: fate == ANSWERED && q.kind == WISH -> wished()
            :: else
            fi;
            CLEAR(q); fate = 0; answer = 0
        }
    }
}

inline arrive() {
    d_step {
        late.kind ->
        COPY(q, late);
        printf("the late request of "); name(HOST_OF(q.by)); printf(" arrives\n");
        commit();
        CLEAR(late); CLEAR(q); answer = 0
    }
}
