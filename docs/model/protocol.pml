/*
 * The protocol of ../protocol.md for the model checker spin. "A second opinion" there says what this covers.
 *
 * A step is one transaction with its checks, one read, or one thing that a process does by itself. What a
 * process believes is a copy, made by reads that are steps of their own: so it may be old.
 *
 * Three things need no state. A server that lags: what it answers is a read made earlier, and what a process
 * has done unanswered meanwhile is the late request. Who has lost the connection and who is connected again:
 * they differ in what they do next. A process that died, and one that gave its session up in time: neither
 * runs or knows anything, so both begin anew, perhaps much later.
 */

/* ------------------------------------------------------------------ bounds */

#ifndef TASKS
#define TASKS 2         /* 1 or 2 */
#endif
#ifndef EVENTS          /* so many of what world.pml lists */
#define EVENTS 1
#endif
#ifndef PEERS           /* 1: not masters and workers, but peers, of which one leads */
#define PEERS 0
#endif
#ifndef WHOLE           /* 1: the first reading of a master is one step, or five */
#define WHOLE 0
#endif
#ifndef AGAIN           /* 1: the client may want that what has ended runs again (again.pml) */
#define AGAIN 0
#endif
#ifndef DEPOSITIONS     /* 1: standbys may depose a silent master (deposition.pml) */
#define DEPOSITIONS 0
#endif
#define RETRIES 1       /* of every task */
#define MAX_ATTEMPTS 2  /* workers that may be lost over it */

/* ------------------------------------------------------------------ invariants, bugs, scenes */

mtype = { one_master_per_epoch, epoch_monotonic, no_stale_write, master_steps_down, election_bounded,
          acked_never_lost, submit_idempotent, assign_liveness, one_final_status, status_from_holder,
          result_faithful, single_assignment, no_assign_to_absent_incarnation, peer_rests, attempts_bounded,
          token_grows, duplicates_explained, cancel_final, no_zombie_run, drain, no_leak, asked_once,
          deposed_only_if_silent };
#define HOLDS(invariant, what) if :: what :: else -> printf("broken: %e\n", invariant); assert(false) fi

/* Planted: -DBUG=... takes one protection away. */
#ifndef BUG
#define BUG 0
#endif
#define FENCING 1               /* a master writes whatever the epoch is */
#define INCARNATION_ASSIGN 2    /* it assigns to whoever has the name */
#define INCARNATION_RECORD 3    /* a worker records what is assigned to its name */
#define TORN 4                  /* it records the status, and deletes its assignment later */
#define DOUBLING 5              /* it hands back, and keeps */
#define SILENT 6                /* it hands back before it says that it takes nothing new */
#define RELENTLESS 7            /* it does not count what failed */
#define CREDULOUS 8             /* after a cut it records without looking whether that is still its own */
#define UNSYNCED_WORKER 9       /* after a cut it looks without a transaction before */
#define UNSYNCED_MASTER 10      /* and so does a master */
#define UNSYNCED_CLIENT 11      /* and so does a client */
#define FORGETFUL 12            /* a client submits again without a look */
#define HASTY 13                /* it looks while a request of its former session may be under way */
#define MERCILESS 14            /* commands outlive the session */
#define CARELESS 15             /* sessions end before the deadline of their processes */
#define ATTEMPTS 16             /* a master counts no attempts */
#define OUT_OF_ORDER 17         /* it reads the tasks in doubt before what was handed back */
#define IDLE 18                 /* it leaves the tasks of lost workers where they are */
#define BUSY 19                 /* an elected peer goes on as a worker */
#define HEEDLESS 20             /* a master undoes an end, whichever the request means */
#define DEAF 21                 /* a deposition succeeds though the master has beaten meanwhile */

/* Does it come to this? -DSCENE=... fails when it does, and tells how. */
#ifndef SCENE
#define SCENE 0
#endif
#define MEET(scene, what) if :: SCENE == scene && (what) -> printf("met\n"); assert(false) :: else fi
#define DONE_AT_THE_SECOND 1    /* a task is done by its second attempt */
#define ELECTION_MEANWHILE 2    /* somebody wins while an assignment of the former master is under way */
#define STALE_WRITE_REFUSED 3   /* a decision is refused at the epoch */
#define ANOTHER_INCARNATION 4   /* a decision is refused because the worker came back as another */
#define RETURNED_MOVES_ON 5     /* what was handed back unstarted goes to another worker */
#define RUN_CANCELLED 6         /* a worker ends a task that it runs */
#define WAITING_CANCELLED 7     /* a master ends one that nobody runs */
#define GIVEN_UP 8              /* too many workers were lost over it */
#define RUNS_TWICE 9            /* two workers run it: the session of one was ended by hand */
#define FOUND_AGAIN 10          /* a client finds the task whose acknowledgement was lost */
#define RECORDED_UNTOLD 11      /* a worker finds that what it is to record was recorded */
#define RESTS_AND_FINISHES 12   /* a peer is elected while it runs a task, and records it */
#define RAN_AGAIN 13            /* a task that was done is done again, on request */
#define DEPOSED 14              /* a master is deposed, and does not know it yet */

#include "state.pml"
#include "transactions.pml"
#include "master.pml"
#include "worker.pml"
#include "client.pml"
#include "again.pml"
#include "deposition.pml"
#include "world.pml"

/* ------------------------------------------------------------------ all of it */

#define MASTER_WITH(m, t) \
    :: read_task(m, t) :: assign(m, t, 0) :: assign(m, t, 1) :: move(m, t, 0) :: move(m, t, 1) \
    :: give_up(m, t) :: cancel(m, t) :: take_back(m, t)
#define MASTER(m) \
    :: win(m) :: resolve(m) :: step_down(m) :: read_workers(m) :: read_queue(m, 0) :: read_queue(m, 1) \
    :: read_returned(m) MASTER_WITH(m, 0) MASTER_WITH(m, 1)
#define WORKER_WITH(w, t) \
    :: look(w, t) :: start(w, t) :: succeed(w, t) :: fail(w, t) :: obey(w, t) :: record(w, t)
#define WORKER(w) \
    :: register(w) :: recognize(w) :: go_on(w) :: notice(w) :: mark(w) :: reopen(w) :: ask_to_end(w) :: leave(w) \
    WORKER_WITH(w, 0) WORKER_WITH(w, 1)
#define CLIENT :: submit() :: search() :: ask_to_cancel(0) :: ask_to_cancel(1)
#define SESSION(h) :: cut(h) :: begin_anew(h) :: expire(h)
#define PERSON :: unseat(0) :: unseat(1) :: evict(0) :: evict(1) :: kill(0) :: kill(1)

#define FINISHED(t) (t >= TASKS || ENDED(t))
#define CLEARED(t) (!assigned[AT(0, t)] && !assigned[AT(1, t)] && !returned[t] && request[t] != ASKED && !OPEN_REQUEST(t))

init {
step:
    do
    MASTER(0) MASTER(1) WORKER(0) WORKER(1) CLIENT
    SESSION(0) SESSION(1) SESSION(CLIENT_HOST)
#if !PEERS
    SESSION(2) SESSION(3)
#endif
#if AGAIN
    ANSWERS(0) ANSWERS(1) WISHES(0) WISHES(1)
#endif
#if DEPOSITIONS
    :: beat(0) :: beat(1) :: listen(0) :: listen(1) :: depose(0) :: depose(1)
#endif
    PERSON
    :: arrive()
    :: out_of_time(0)
    :: out_of_time(1)
    :: else -> break    /* nothing is left to do, to read or to tell */
    od;
    HOLDS(election_bounded, leads[0] || leads[1]);
    HOLDS(acked_never_lost, submitted == ACKED);
    HOLDS(assign_liveness, FINISHED(0) && FINISHED(1));
    HOLDS(no_leak, CLEARED(0) && CLEARED(1));
    HOLDS(drain, !leaving[0] && !leaving[1]);
#if AGAIN
    HOLDS(asked_once, HEARD(0) && HEARD(1));
#endif
    goto stop;
    carry_out();
    goto step;
stop:
    skip
}
