/*
 * A standby deposes the active master. Here nothing takes time: so a standby may take any master for silent,
 * and what protects one that is at work is the check of the version alone.
 */

#if DEPOSITIONS

/* So often in an epoch: when it wins, and once when somebody has heard that. */
#define MOST_BEATS 2
#define NEWLY_HEARD(h) (heard[h] == beats && heard_in[h] == epoch)

/* check /epoch; set its own znode in /candidates */
inline beat(m) {
    d_step {
        LEADS(m) && reign[m] == epoch && beats < MOST_BEATS && (NEWLY_HEARD(1 - m) || late.kind == WIN) ->
        beats++;
        name(m); printf(" beats\n")
    }
}

#define HEARS(m) (ALIVE(m) && !leads[m] && leader != NOBODY && leader != NOW(m))

inline listen(m) {
    d_step {
        HEARS(m) && !NEWLY_HEARD(m) ->
        heard[m] = beats; heard_in[m] = epoch;
        name(m); printf(" hears the active master\n")
    }
}

/* An event. */
inline depose(m) {
    atomic {
        HEARS(m) && heard[m] && events > 0 ->
        events--;
        ASK(WIN, m, heard_in[m], 0, 0, 0, heard[m]);
        heard[m] = 0; heard_in[m] = 0;
        name(m); printf(" deposes the active master\n");
        goto send
    }
}

/* check the version of what the active master sets; delete /master; and win, at the epoch that was read */
inline unseat_silent() {
    if
    :: q.place && (leader == NOBODY || q.reign != epoch) -> answer = REFUSED
    :: q.place && leader != NOBODY && q.reign == epoch ->
        if
        :: q.place != beats && BUG != DEAF -> answer = REFUSED
        :: else ->
            HOLDS(deposed_only_if_silent, q.place == beats);
            MEET(DEPOSED, leads[HOST_OF(leader)]);
            leader = NOBODY
        fi
    :: else
    fi
}

inline begin_to_beat() { beats = 1; heard[HOST_OF(q.by)] = 0; heard_in[HOST_OF(q.by)] = 0 }

#else

inline unseat_silent() { skip }
inline begin_to_beat() { skip }

#endif
