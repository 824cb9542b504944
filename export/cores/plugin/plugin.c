/* A QEMU plug-in: what a program executes between marks, and how long a core would take for it.
 *
 *     qemu-aarch64 -plugin ./plugin.so,out=FILE[,core=a55] ...
 *
 * The program marks a point with syscall(MARK, label), which Linux does not know and refuses. From
 * a mark with a label above 0 to the next mark, all belongs to that label; label 0 stops. WARM
 * goes through the model and is not reported.
 *
 * At the end FILE holds, for each label and each block of instructions that ran in it,
 *     u64 label, address, executions, cycles;  u32 count, words[count]
 * in the byte order of this machine; cycles are 0 without a core. With one, FILE.events is a line
 * a label: what missed caches and which branches were guessed wrong.
 *
 * One thread is modelled: the first one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { MARK = 0x7a51, LABELS = 64, WARM = LABELS - 1, BUCKETS = 1 << 16 };

typedef struct block {
    struct block *next;
    u64 address;
    u64 executions, counted; /* without a core: in all, and up to the last mark */
    u64 runs[LABELS], cycles[LABELS];
    u32 count, *words;
    instruction instructions[];
} block;

const core_t *core;
static events_t of_label[LABELS];
events_t *events = of_label;

static char out[4000] = "counts.bin";
static block *blocks[BUCKETS];
static u64 label;
/* The block that began last. It runs when the next one begins: then its accesses are known. */
static block *current;
static access_t *accesses;
static u32 count_accesses, room;

static void on_block(unsigned cpu, void *data) {
    if (cpu) return;
    if (!label) { current = NULL; return; }
    block *b = data;
    if (current) {
        current->runs[label]++;
        current->cycles[label] += run_block(current->instructions, current->count,
                                            current->address, b->address, accesses, count_accesses);
    }
    current = b;
    count_accesses = 0;
}

static void on_access(unsigned cpu, qemu_plugin_meminfo_t info, u64 address, void *index) {
    if (cpu || !label || !current) return;
    if (count_accesses == room) {
        room = room ? 2 * room : 4096;
        accesses = realloc(accesses, room * sizeof *accesses);
        if (!accesses) abort();
    }
    access_t *own = &accesses[count_accesses++];
    own->index = (u32)(uintptr_t)index;
    own->store = qemu_plugin_mem_is_store(info);
    own->address = address;
}

/* Without a core: gives what was executed since the last mark to its label. */
static void close_label(void) {
    for (int i = 0; i < BUCKETS; i++)
        for (block *b = blocks[i]; b; b = b->next) {
            if (label) b->runs[label] += b->executions - b->counted;
            b->counted = b->executions;
        }
}

static void on_syscall(qemu_plugin_id_t id, unsigned cpu, int64_t number, u64 given, u64 a2, u64 a3,
                       u64 a4, u64 a5, u64 a6, u64 a7, u64 a8) {
    if (number != MARK || cpu) return;
    if (!core) close_label();
    label = given < LABELS ? given : 0;
    events = &of_label[label];
    current = NULL;
}

static u32 word_of(struct qemu_plugin_tb *tb, u32 index) {
    u32 word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, index)), sizeof word);
    return word;
}

static block *find_block(struct qemu_plugin_tb *tb) {
    u32 count = qemu_plugin_tb_n_insns(tb);
    u64 address = qemu_plugin_tb_vaddr(tb);
    block **head = &blocks[(address >> 2) % BUCKETS];
    for (block *b = *head; b; b = b->next) {
        if (b->address != address || b->count != count) continue;
        u32 same = 0;
        while (same < count && b->words[same] == word_of(tb, same)) same++;
        if (same == count) return b; /* QEMU translated it anew */
    }
    block *b = calloc(1, sizeof *b + count * sizeof *b->instructions);
    if (!b || !(b->words = malloc(count * sizeof *b->words))) abort();
    b->address = address;
    b->count = count;
    for (u32 i = 0; i < count; i++) {
        b->words[i] = word_of(tb, i);
        if (core) decode(b->words[i], &b->instructions[i]);
    }
    b->next = *head;
    return *head = b;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    block *b = find_block(tb);
    if (!core) {
        qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &b->executions, 1);
        return;
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, b);
    for (u32 i = 0; i < b->count; i++)
        if (b->instructions[i].load || b->instructions[i].store)
            qemu_plugin_register_vcpu_mem_cb(
                qemu_plugin_tb_get_insn(tb, i), on_access, QEMU_PLUGIN_CB_NO_REGS,
                QEMU_PLUGIN_MEM_RW, (void *)(uintptr_t)i);
}

static void on_end(qemu_plugin_id_t id, void *data) {
    if (!core) close_label();
    FILE *file = fopen(out, "wb");
    if (!file) return;
    for (int i = 0; i < BUCKETS; i++)
        for (block *b = blocks[i]; b; b = b->next)
            for (u64 l = 1; l < WARM; l++)
                if (b->runs[l]) {
                    u64 row[] = {l, b->address, b->runs[l], b->cycles[l]};
                    fwrite(row, sizeof *row, 4, file);
                    fwrite(&b->count, sizeof b->count, 1, file);
                    fwrite(b->words, sizeof *b->words, b->count, file);
                }
    fclose(file);
    char name[4096];
    snprintf(name, sizeof name, "%s.events", out);
    if (!core || !(file = fopen(name, "w"))) return;
    fprintf(file, "label instructions branches mispredicted code_misses from_l2 from_l3 from_memory\n");
    for (int l = 1; l < WARM; l++) {
        events_t *e = &of_label[l];
        if (e->instructions)
            fprintf(file, "%d %lu %lu %lu %lu %lu %lu %lu\n", l, e->instructions, e->branches,
                    e->mispredicted, e->code_misses, e->from_l2, e->from_l3, e->from_memory);
    }
    fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(
    qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4)) {
            snprintf(out, sizeof out, "%s", argv[i] + 4);
        } else if (!strncmp(argv[i], "core=", 5) && (core = find_core(argv[i] + 5))) {
            continue;
        } else {
            fprintf(stderr, "plugin.so takes out=FILE and core=a53, a55 or a76. Received: %s\n",
                    argv[i]);
            return 1;
        }
    }
    if (core) make_caches();
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
