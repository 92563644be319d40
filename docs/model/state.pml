/* The state: the znodes, what processes know, and what is under way. All is 0 at first. */

/* Whose an ephemeral or a request is: the session that a host has now, or one before. */
#define NOBODY 0
#define NOW(host) ((host) + 1)
#define BEFORE(host) ((host) + 9)
#define HOST_OF(session) (((session) - 1) & 7)

#if PEERS
#define HOST(w) (w)
#define CLIENT_HOST 2
#else
#define HOST(w) (2 + (w))
#define CLIENT_HOST 4
#endif
#define IS_MASTER(host) ((host) < 2)
#define IS_WORKER(host) ((host) >= HOST(0) && (host) <= HOST(1))
#define WORKER_OF(host) ((host) - HOST(0))

/* ------------------------------------------------------------------ the znodes */

byte leader;            /* who owns /master */
byte epoch;             /* the version of /epoch */
byte winner;            /* whom it notes */

byte owner[2];          /* of /workers/w */
bit rests[2];           /* the version of /workers/w is not 0 */
byte version[2];        /* of /assign/w */

/* An assignment: attempt, how many failed before it, the incarnation it is meant for. 0: there is none. */
#define MAKE(attempt, failures, incarnation) ((attempt) + 8 * (failures) + 32 * (incarnation))
#define ATTEMPT(place) ((place) & 7)
#define FAILURES(place) (((place) >> 3) & 3)
#define MEANT(place) ((place) >> 5)
#define LOST_OVER(t, place) (ATTEMPT(place) - FAILURES(place) - BEFORE_REQUEST(t))
#define AT(x, t) (2 * (x) + (t))
byte assigned[4];       /* /assign/w/t, AT(w, t) */
byte returned[2];       /* /returned/t */

#define WAITING 1
#define DONE 2
#define FAILED 3
#define CANCELLED 4
byte task[2];           /* 0: there is none */
#define ENDED(t) (task[t] > WAITING)

#define ASKED 1
#define TAKEN_BACK 2
byte request[2];        /* /cancel/t */

#if AGAIN
byte wish[2];           /* /requests/t: which end is meant. 0: there is no request */
byte ends[2];           /* so many ends the task has had: which one its status is */
byte last[2];           /* the attempt that the result names; what runs again goes on from there */
#define OPEN_REQUEST(t) wish[t]
#define BEFORE_REQUEST(t) last[t]
#else
#define OPEN_REQUEST(t) 0
#define BEFORE_REQUEST(t) 0
#endif

#if DEPOSITIONS
byte beats;             /* the version of what the active master sets, in this epoch */
#endif

byte ran[2];            /* which attempts were started, a bit each: for the invariants alone */
#define STARTED(t, attempt) ((ran[t] >> (attempt)) & 1)

/* ------------------------------------------------------------------ what a master knows */

bit leads[2];
byte reign[2];          /* its epoch */
byte phase[2];          /* of its first reading: the workers, two queues, what was handed back */
#define READ 4
bit due[2];             /* what was handed back is to be read again, before the tasks in doubt */
byte seen[4];           /* of a worker, AT(m, w): its incarnation, + OPEN if it takes tasks; 0: it is not there */
#define OPEN 8
byte belief[4];         /* of a task, AT(m, t) */
#define UNREAD 0
#define QUEUED 1
#define OVER 2
#define RETURNED 3
#define HELD 4          /* + worker */
byte held[4];           /* and its assignment then */
#if AGAIN
byte asks[4];           /* what it makes of a request, AT(m, t) */
#define DO 1
#define IN_VAIN 2       /* the task has not the end that is meant */
#endif
#if DEPOSITIONS
byte heard[2];          /* of the active master, if it stands by: what that had set, and in which epoch */
byte heard_in[2];
#endif

/* ------------------------------------------------------------------ what a worker knows */

byte incarnation[2];    /* 0: it is not registered, for all it knows */
bit serving[2];         /* connected, and on with its work */
bit leaving[2];         /* asked to end */
bit unsaid[2];          /* it has still to say that it takes nothing new */
bit marked[2];          /* its znode says so, for all it knows */
bit killed[2];          /* its session was ended while it believed in it */
byte state[4];          /* of a job, AT(w, t) */
#define WAITS 1
#define RUNS 2
#define BACK 3          /* to be handed back unstarted */
#define RETRY 4         /* failed, to be tried again */
#define RAN 5           /* + how it ended */
byte job[4];            /* its assignment */

/* ------------------------------------------------------------------ what the client knows */

byte submitted;
#define UNSURE 1
#define ACKED 2
#if AGAIN
byte again[2];          /* of a task that is to run again */
#define WANTS 1
#define UNTOLD 2        /* whether the request was made */
#define MADE 3
#define TOLD 4
#define HEARD(t) (again[t] == 0 || again[t] == TOLD)
byte meant[2];          /* the end that it has read */
#endif

/* ------------------------------------------------------------------ requests */

#define WIN 1
#define DECIDE 2
#define REGISTER 3
#define MARK 4
#define REOPEN 5
#define RECORD 6
#define SUBMIT 7
#define WISH 8
typedef Request {
    byte kind;
    byte by;            /* whose session */
    byte reign;         /* the epoch a master believes in */
    byte about;         /* a task */
    byte from;          /* what a decision deletes: RETURNED, or HELD + worker */
    byte to;            /* what it creates: END + status, or TO + worker; TAKE_BACK deletes /cancel/t,
                           DISMISS /requests/t, and UNDO that and the status. What is recorded: a state of the job. Of REGISTER: whether it rests */
    byte place          /* an assignment; of WISH: which end; of WIN: the version that a deposition checks */
};
#define TAKE_BACK 1
#define DISMISS 2
#define UNDO 3
#define END 4
#define TO 16

Request q;              /* between two steps there is none, and all this is 0 */
byte fate;              /* what happens to it */
#define ANSWERED 0
#define LOST 1          /* carried out, and the reply lost with the connection */
#define LATE 2          /* the connection is lost, and the request still under way */
byte answer;
#define COMMITTED 0
#define FENCED 1        /* refused at the first check: the epoch, or the incarnation */
#define REFUSED 2
Request late;

#define ASK(KIND, HOST_, REIGN, T, FROM, WHERE, PLACE) q.kind = KIND; q.by = NOW(HOST_); q.reign = REIGN; \
    q.about = T; q.from = FROM; q.to = WHERE; q.place = PLACE
#define COPY(x, y) x.kind = y.kind; x.by = y.by; x.reign = y.reign; x.about = y.about; x.from = y.from; \
    x.to = y.to; x.place = y.place
#define CLEAR(x) x.kind = 0; x.by = 0; x.reign = 0; x.about = 0; x.from = 0; x.to = 0; x.place = 0

byte events = EVENTS;   /* left */

/* ------------------------------------------------------------------ who is it, in stories */

inline name(h) {
    if
    :: h == CLIENT_HOST -> printf("client")
    :: h != CLIENT_HOST && PEERS -> printf("n%d", h + 1)
    :: h < 2 && !PEERS -> printf("m%d", h + 1)
    :: h != CLIENT_HOST && h >= 2 && !PEERS -> printf("w%d", h - 1)
    fi
}
