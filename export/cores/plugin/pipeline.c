/* When each instruction runs: operands, ports, branches. */
#include <string.h>

#include "model.h"

/* What is used in each cycle, in a ring that is longer than what is in flight. */
enum { RING = 65536 };
typedef struct { u64 number; u8 used[PORTS], issued; } cycle_t;
static cycle_t ring[RING];

static cycle_t *at(u64 number) {
    cycle_t *found = &ring[number % RING];
    if (found->number != number) {
        memset(found, 0, sizeof *found);
        found->number = number;
    }
    return found;
}

/* When each register is there, and when for an instruction of the same kind that adds to it. */
static u64 ready[REGISTERS], ready_again[REGISTERS];
static u8 made_by[REGISTERS]; /* 1 + kind that added to it; 0 where it was made otherwise */

static u64 fetched; /* when the next instruction can be there */
static u64 now;     /* in order: the cycle of the last instruction */
/* Out of order: when the last 256 instructions retired, and the cycle that dispatches. */
static u64 retired[256], count_retired, dispatching;
static int dispatched;

static u64 later(u64 a, u64 b) { return a > b ? a : b; }
static u64 retired_before(int instructions) {
    return retired[(count_retired + 256 - instructions) % 256];
}
static u64 time_so_far(void) { return core->out_of_order ? retired_before(1) : now; }

/* In order: for how many cycles a load lets nothing issue beside it. */
static int cycles_alone(const instruction *d) {
    if (core->out_of_order || d->kind != LOAD_VECTOR) return 0;
    return d->wide || core->vector_loads_alone ? d->occupies : 0;
}

static bool free_at(u64 time, const instruction *d, int alone) {
    if (!core->out_of_order) {
        if (alone) {
            for (int i = 0; i < alone; i++)
                if (at(time + i)->issued) return false;
        } else if (at(time)->issued >= core->width) {
            return false;
        }
    }
    for (int i = 0; i < d->occupies; i++)
        if (at(time + i)->used[d->port] + d->units > core->units[d->port]) return false;
    return true;
}

/* Takes the first cycle from `time` on in which the instruction can start. */
static u64 issue(u64 time, const instruction *d) {
    int alone = cycles_alone(d);
    while (!free_at(time, d, alone)) time++;
    for (int i = 0; i < d->occupies; i++) at(time + i)->used[d->port] += d->units;
    if (!core->out_of_order) {
        if (alone)
            for (int i = 0; i < alone; i++) at(time + i)->issued = core->width;
        else
            at(time)->issued++;
    }
    return time;
}

/* Out of order: the cycle in which the next instruction joins those in flight. */
static u64 dispatch(const instruction *d) {
    u64 time = later(later(dispatching, fetched), retired_before(core->in_flight));
    if (time == dispatching && dispatched >= core->width) time++;
    if (time != dispatching) dispatched = 0;
    dispatching = time;
    dispatched++;
    return d->serial ? later(time + 1, retired_before(1)) : time + 1;
}

static void retire(u64 done) {
    done = later(later(done, retired_before(1)), retired_before(4) + 1);
    retired[count_retired++ % 256] = done;
}

static int latency_again(int kind) {
    return kind == F_MULTIPLY_ADD ? core->again_fma
         : kind == DOT            ? core->again_dot
         : kind == V_MULTIPLY     ? core->again_multiply
                                  : core->latency[kind];
}

/* Branches: of two predictors, one by address and one by what happened before, the one that was
 * right more often. */
enum { TABLE = 8192, RETURNS = 16 };
static u64 history, targets[TABLE], returns[RETURNS];
static u8 by_address[TABLE], by_history[TABLE], choice[TABLE];
static int depth;

static void learn(u8 *counter, bool up) {
    if (up && *counter < 3) ++*counter;
    if (!up && *counter) --*counter;
}

static bool predicted(const instruction *d, u64 pc, u64 next) {
    bool taken = next != pc + 4, right = true;
    if (d->conditional) {
        u32 a = (pc >> 2) % TABLE, h = ((pc >> 2) ^ history) % TABLE;
        bool one = by_address[a] > 1, other = by_history[h] > 1;
        right = (choice[a] > 1 ? other : one) == taken;
        if (one != other) learn(&choice[a], other == taken);
        learn(&by_address[a], taken);
        learn(&by_history[h], taken);
        history = (history << 1 | taken) % TABLE;
    } else if (d->returns) {
        depth = (depth + RETURNS - 1) % RETURNS;
        right = returns[depth] == next;
    } else if (d->indirect) {
        u32 a = ((pc >> 2) ^ history * 7) % TABLE;
        right = targets[a] == next;
        targets[a] = next;
        history = (history << 2 ^ next >> 2) % TABLE;
    }
    if (d->call) {
        returns[depth] = pc + 4;
        depth = (depth + 1) % RETURNS;
    }
    return right;
}

static void run(const instruction *d, u64 pc, u64 next, const access_t *first, u32 accesses) {
    u64 time = core->out_of_order ? dispatch(d) : later(now, fetched);
    for (int i = 0; i < d->sources; i++) {
        int r = d->source[i];
        bool again = d->accumulator == i + 1 && made_by[r] == d->kind + 1;
        time = later(time, again ? ready_again[r] : ready[r]);
    }
    time = issue(time, d);
    if (!core->out_of_order) {
        int alone = cycles_alone(d);
        now = alone > 1 ? time + alone - 1 : time;
    }
    u64 done = time + core->latency[d->kind];
    if (d->load && d->occupies > 1) done += d->occupies - 1;
    for (u32 i = 0; i < accesses; i++) {
        u64 arrives = data_line(first[i].address >> 6, time);
        /* Stores wait in their buffer. */
        if (!first[i].store && arrives > time) done = later(done, arrives + 1);
    }
    for (int i = 0; i < d->targets; i++) {
        ready[d->target[i]] = done;
        made_by[d->target[i]] = 0;
    }
    if (d->accumulator) {
        made_by[d->target[0]] = d->kind + 1;
        ready_again[d->target[0]] = time + latency_again(d->kind);
    }
    if (d->written_back) ready[d->written_back - 1] = time + 1;
    if (d->serial) {
        if (core->out_of_order) {
            fetched = done;
        } else {
            now = time;
            fetched = later(fetched, time + core->latency[SERIAL]);
        }
    }
    events->instructions++;
    if (next) {
        events->branches++;
        if (!predicted(d, pc, next)) {
            events->mispredicted++;
            fetched = later(fetched, time + 1 + core->mispredicted);
        } else if (next != pc + 4 && !core->out_of_order) {
            fetched = later(fetched, time + 1); /* nothing issues beside a branch that is taken */
        }
    }
    if (core->out_of_order) retire(done);
}

u64 run_block(const instruction *block, u32 count, u64 address, u64 next,
              const access_t *access, u32 accesses) {
    u64 before = time_so_far(), line = ~0ull;
    for (u32 i = 0; i < count; i++) {
        u64 pc = address + 4 * i;
        if (pc >> 6 != line) {
            line = pc >> 6;
            u64 time = core->out_of_order ? dispatching : now, there = code_line(line, time);
            if (there > time) fetched = later(fetched, there);
        }
        u32 own = 0;
        while (own < accesses && access[own].index == i) own++;
        run(&block[i], pc, block[i].branch && i == count - 1 ? next : 0, access, own);
        access += own;
        accesses -= own;
    }
    return time_so_far() - before;
}
