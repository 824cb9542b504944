/* A rough model of a core's time: see README.md in benchmarks/arm for what it assumes. */
#ifndef MODEL_H
#define MODEL_H

#include "qemu.h"

/* What an instruction is, as far as its latency goes. */
typedef enum {
    ALU,        /* integer arithmetic and logic */
    ALU_SHIFT,  /* the same with a shifted operand */
    MULTIPLY,
    DIVIDE,
    LOAD,
    LOAD_VECTOR,
    STORE,
    BRANCH,
    F_ADD,
    F_MULTIPLY,
    F_MULTIPLY_ADD,
    DOT,        /* SDOT, UDOT and the like */
    F_DIVIDE,   /* and square roots */
    V_INTEGER,
    V_MULTIPLY, /* of integers, widening or not */
    V_LOGIC,    /* and moves, permutations */
    V_TO_X,     /* from a vector to an integer register */
    X_TO_V,
    CONVERT,
    SYSTEM,
    SERIAL,     /* what waits for all before it: writing FPCR */
    KINDS
} kind_t;

typedef enum { P_ALU, P_MULTIPLY, P_LOAD, P_STORE, P_BRANCH, P_FP, PORTS } port_t;

/* Registers: X0 to X30 and SP are 0 to 31, V0 to V31 are 32 to 63. */
enum { FLAGS = 64, REGISTERS, NO_REGISTER = 255 };

typedef struct {
    u8 sources, source[6];
    u8 targets, target[5];
    u8 accumulator; /* 1 + which source is added to; 0 for none */
    u8 written_back; /* 1 + the address register that is moved on; 0 for none */
    u8 kind, port;
    u8 units;    /* of its port: two 64-bit halves make a 128-bit operation */
    u8 occupies; /* cycles of its port */
    bool wide;   /* 128 bits */
    bool load, store, branch, conditional, indirect, call, returns, serial;
} instruction;

typedef struct {
    const char *name;
    bool out_of_order;
    int width;    /* instructions a cycle: issued in order, or dispatched and retired */
    int in_flight; /* out of order: how many at once */
    int units[PORTS];
    int latency[KINDS];
    /* Cycles from an accumulator to the next instruction of the same kind that adds to it. */
    int again_fma, again_dot, again_multiply;
    int divide_64, divide_128; /* cycles that a division keeps the port */
    int wide_units;  /* of P_FP that 128 bits take */
    int load_bits;   /* that a load moves in a cycle */
    bool one_memory_port; /* loads and stores share one */
    bool vector_loads_alone; /* in order: 64-bit vector loads, too, issue with nothing else */
    int mispredicted; /* cycles that a wrong guess costs */
    int l1i_kb, l1d_kb, l1_ways, l2_kb, l2_ways, l3_kb, l3_ways; /* 0 kB: none */
    int l2_cycles, l3_cycles, memory_cycles; /* from a miss in L1 to the line */
    int l2_gap, l3_gap, memory_gap;          /* cycles between two lines */
    int prefetched; /* lines that the prefetcher fetches ahead of a stream */
} core_t;

/* An access of memory by the instruction number `index` of a block. */
typedef struct { u32 index; bool store; u64 address; } access_t;

typedef struct {
    u64 instructions, branches, mispredicted, code_misses, from_l2, from_l3, from_memory;
} events_t;

/* The core that is modelled; NULL where instructions are counted only. */
extern const core_t *core;
const core_t *find_core(const char *name);

void decode(u32 word, instruction *);

/* memory.c: when a line is there. `events` says where misses are noted. */
extern events_t *events;
void make_caches(void);
u64 code_line(u64 line, u64 time);
u64 data_line(u64 line, u64 time);

/* pipeline.c: runs a block of instructions; `next` is the address of what ran after it. */
u64 run_block(const instruction *, u32 count, u64 address, u64 next, const access_t *, u32 accesses);

#endif
