/* The cores that are modelled.
 *
 * Latencies and ports are meant to be those of Arm's software optimization guides (Cortex-A55,
 * Cortex-A76), and were not checked line by line; of the A53, for which there is none, and of 128-bit
 * loads they follow what the authors of ncnn and onnxruntime wrote beside their kernels. Caches are
 * those of common phones; makers choose their sizes. */
#include <string.h>

#include "model.h"

static const core_t cores[] = {
    {
        .name = "a53", .width = 2,
        .units = {[P_ALU] = 2, [P_MULTIPLY] = 1, [P_LOAD] = 1, [P_STORE] = 1, [P_BRANCH] = 1, [P_FP] = 2},
        .latency = {[ALU] = 1, [ALU_SHIFT] = 2, [MULTIPLY] = 3, [DIVIDE] = 12, [LOAD] = 3,
                    [LOAD_VECTOR] = 4, [STORE] = 1, [BRANCH] = 1, [F_ADD] = 4, [F_MULTIPLY] = 4,
                    [F_MULTIPLY_ADD] = 8, [DOT] = 4, [F_DIVIDE] = 13, [V_INTEGER] = 3,
                    [V_MULTIPLY] = 4, [V_LOGIC] = 2, [V_TO_X] = 3, [X_TO_V] = 3, [CONVERT] = 4,
                    [SYSTEM] = 1, [SERIAL] = 8},
        .again_fma = 4, .again_dot = 4, .again_multiply = 4,
        .divide_64 = 10, .divide_128 = 20, .wide_units = 2, .load_bits = 64,
        .one_memory_port = true, .vector_loads_alone = true, .mispredicted = 8,
        .l1i_kb = 32, .l1d_kb = 32, .l1_ways = 4, .l2_kb = 512, .l2_ways = 16,
        .l2_cycles = 13, .memory_cycles = 180, .l2_gap = 6, .memory_gap = 36, .prefetched = 4,
    },
    {
        .name = "a55", .width = 2,
        .units = {[P_ALU] = 2, [P_MULTIPLY] = 1, [P_LOAD] = 1, [P_STORE] = 1, [P_BRANCH] = 1, [P_FP] = 2},
        .latency = {[ALU] = 1, [ALU_SHIFT] = 2, [MULTIPLY] = 3, [DIVIDE] = 12, [LOAD] = 3,
                    [LOAD_VECTOR] = 4, [STORE] = 1, [BRANCH] = 1, [F_ADD] = 4, [F_MULTIPLY] = 4,
                    [F_MULTIPLY_ADD] = 4, [DOT] = 4, [F_DIVIDE] = 13, [V_INTEGER] = 3,
                    [V_MULTIPLY] = 4, [V_LOGIC] = 2, [V_TO_X] = 3, [X_TO_V] = 3, [CONVERT] = 4,
                    [SYSTEM] = 1, [SERIAL] = 8},
        .again_fma = 4, .again_dot = 4, .again_multiply = 4,
        .divide_64 = 10, .divide_128 = 20, .wide_units = 2, .load_bits = 64,
        .mispredicted = 8,
        .l1i_kb = 32, .l1d_kb = 32, .l1_ways = 4, .l2_kb = 128, .l2_ways = 4, .l3_kb = 2048,
        .l3_ways = 16,
        .l2_cycles = 10, .l3_cycles = 34, .memory_cycles = 200, .l2_gap = 5, .l3_gap = 10,
        .memory_gap = 24, .prefetched = 4,
    },
    {
        .name = "a76", .out_of_order = true, .width = 4, .in_flight = 128,
        .units = {[P_ALU] = 3, [P_MULTIPLY] = 1, [P_LOAD] = 2, [P_STORE] = 2, [P_BRANCH] = 1, [P_FP] = 2},
        .latency = {[ALU] = 1, [ALU_SHIFT] = 2, [MULTIPLY] = 3, [DIVIDE] = 12, [LOAD] = 4,
                    [LOAD_VECTOR] = 5, [STORE] = 1, [BRANCH] = 1, [F_ADD] = 2, [F_MULTIPLY] = 3,
                    [F_MULTIPLY_ADD] = 4, [DOT] = 3, [F_DIVIDE] = 10, [V_INTEGER] = 2,
                    [V_MULTIPLY] = 4, [V_LOGIC] = 2, [V_TO_X] = 2, [X_TO_V] = 3, [CONVERT] = 3,
                    [SYSTEM] = 1, [SERIAL] = 10},
        .again_fma = 2, .again_dot = 1, .again_multiply = 1,
        .divide_64 = 5, .divide_128 = 10, .wide_units = 1, .load_bits = 128,
        .one_memory_port = true, .mispredicted = 11,
        .l1i_kb = 64, .l1d_kb = 64, .l1_ways = 4, .l2_kb = 256, .l2_ways = 8, .l3_kb = 2048,
        .l3_ways = 16,
        .l2_cycles = 9, .l3_cycles = 32, .memory_cycles = 250, .l2_gap = 2, .l3_gap = 4,
        .memory_gap = 12, .prefetched = 6,
    },
};

const core_t *find_core(const char *name) {
    for (u32 i = 0; i < sizeof cores / sizeof *cores; i++)
        if (!strcmp(cores[i].name, name)) return &cores[i];
    return NULL;
}
