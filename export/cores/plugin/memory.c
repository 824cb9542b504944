/* Caches, the memory behind them, and a prefetcher. Lines of 64 bytes, by number. */
#include <stdlib.h>

#include "model.h"

typedef struct {
    int ways, sets;
    u64 *line;    /* of each set the lines, the last used one first */
    u64 *arrives; /* when each is there */
} cache;
static cache l1_code, l1_data, l2, l3;
/* When each level can hand out the next line. */
static u64 l2_free, l3_free, memory_free;

static void make(cache *c, int kb, int ways) {
    c->ways = ways;
    c->sets = kb ? kb * 1024 / 64 / ways : 0;
    if (!kb) return;
    c->line = calloc((size_t)c->sets * ways, sizeof *c->line);
    c->arrives = calloc((size_t)c->sets * ways, sizeof *c->arrives);
}

void make_caches(void) {
    make(&l1_code, core->l1i_kb, 4);
    make(&l1_data, core->l1d_kb, core->l1_ways);
    make(&l2, core->l2_kb, core->l2_ways);
    make(&l3, core->l3_kb, core->l3_ways);
}

/* Moves a line to the front of its set in the ways 0 to `from`. */
static u64 *to_front(cache *c, u64 line, u64 arrives, int from) {
    size_t set = line % c->sets * c->ways;
    for (int i = from; i > 0; i--) {
        c->line[set + i] = c->line[set + i - 1];
        c->arrives[set + i] = c->arrives[set + i - 1];
    }
    c->line[set] = line;
    c->arrives[set] = arrives;
    return &c->arrives[set];
}

/* Uses a line; returns when it is there, NULL where the cache lacks it. */
static u64 *look(cache *c, u64 line) {
    if (!c->sets) return NULL;
    size_t set = line % c->sets * c->ways;
    for (int i = 0; i < c->ways; i++)
        if (c->line[set + i] == line) return to_front(c, line, c->arrives[set + i], i);
    return NULL;
}

static void put(cache *c, u64 line, u64 arrives) {
    if (c->sets) to_front(c, line, arrives, c->ways - 1);
}

static u64 later(u64 a, u64 b) { return a > b ? a : b; }

/* Fetches a line that L1 lacks; returns when it arrives. */
static u64 fill(cache *l1, u64 line, u64 time) {
    u64 *there = look(&l2, line), arrives;
    if (there) {
        time = later(later(time, *there), l2_free);
        l2_free = time + core->l2_gap;
        arrives = time + core->l2_cycles;
        events->from_l2++;
    } else {
        if (look(&l3, line)) {
            time = later(time, l3_free);
            l3_free = time + core->l3_gap;
            arrives = time + core->l3_cycles;
            events->from_l3++;
        } else {
            time = later(time, memory_free);
            memory_free = time + core->memory_gap;
            arrives = time + core->memory_cycles;
            put(&l3, line, arrives);
            events->from_memory++;
        }
        put(&l2, line, arrives);
    }
    put(l1, line, arrives);
    return arrives;
}

/* Returns when a line of instructions is there; the one after it is fetched along. */
u64 code_line(u64 line, u64 time) {
    u64 *there = look(&l1_code, line);
    if (there) return *there;
    events->code_misses++;
    u64 arrives = fill(&l1_code, line, time);
    if (!look(&l1_code, line + 1)) fill(&l1_code, line + 1, time);
    return arrives;
}

/* Lines read one after the other are a stream; two in a row make it sure, and lines ahead of it are
 * fetched. */
enum { STREAMS = 16, SURE = 2 };
static struct { u64 next, used; int hits; } streams[STREAMS];
static u64 uses;

static void prefetch(u64 line, u64 time, bool missed) {
    int oldest = 0;
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i].next == line) {
            if (streams[i].hits <= SURE) streams[i].hits++;
            streams[i].next = line + 1;
            streams[i].used = ++uses;
            if (streams[i].hits >= SURE)
                for (int ahead = 1; ahead <= core->prefetched; ahead++)
                    if (!look(&l1_data, line + ahead)) fill(&l1_data, line + ahead, time);
            return;
        }
        if (streams[i].used < streams[oldest].used) oldest = i;
    }
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].next == line + 1) { /* the same line once more */
            streams[i].used = ++uses;
            return;
        }
    if (missed) {
        streams[oldest].next = line + 1;
        streams[oldest].hits = 0;
        streams[oldest].used = ++uses;
    }
}

/* Returns when the data of an access at `time` are in L1. */
u64 data_line(u64 line, u64 time) {
    u64 *there = look(&l1_data, line);
    u64 arrives = there ? *there : fill(&l1_data, line, time);
    prefetch(line, time, !there);
    return arrives;
}
