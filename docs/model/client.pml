/* The client. It submits all tasks in one transaction, and may want some to end. */

inline submit() {
    atomic {
        !submitted ->
        submitted = UNSURE;
        ASK(SUBMIT, CLIENT_HOST, 0, 0, 0, 0, 0);
        printf("client submits\n");
        goto send
    }
}

/* check /tasks, then read it; after a lost session not before nothing of that can be under way */
inline search() {
    d_step {
        submitted == UNSURE && (late.by != BEFORE(CLIENT_HOST) || BUG == HASTY) ->
        if
        :: BUG != UNSYNCED_CLIENT -> overtake(CLIENT_HOST)
        :: else
        fi;
        MEET(FOUND_AGAIN, task[0]);
        submitted = (task[0] && BUG != FORGETFUL -> ACKED : 0);
        printf("client looks for what it submitted\n")
    }
}

/* check /tasks/t; create /cancel/t. If the reply is lost it asks again, which changes nothing. */
inline ask_to_cancel(t) {
    d_step {
        t < TASKS && submitted == ACKED && !request[t] && events > 0 ->
        events--;
        request[t] = ASKED;
        printf("client wants task %d to end\n", t + 1)
    }
}
