/* What an instruction of AArch64 reads, writes and needs, after the encoding tables of the Arm
 * Architecture Reference Manual (DDI 0487, chapter C4). SVE and SME are not known: no core that is
 * modelled has them. */
#include <string.h>

#include "model.h"

static u32 bits(u32 word, int high, int low) { return word >> low & ((2u << (high - low)) - 1); }
static bool bit(u32 word, int number) { return word >> number & 1; }

/* Number 31 is the stack pointer or, in most places, a register that holds 0. */
static int x(u32 number) { return number == 31 ? NO_REGISTER : (int)number; }
static int v(u32 number) { return 32 + (int)(number & 31); }

static void reads(instruction *d, int r) {
    if (r != NO_REGISTER && d->sources < 6) d->source[d->sources++] = r;
}
static void writes(instruction *d, int r) {
    if (r != NO_REGISTER && d->targets < 5) d->target[d->targets++] = r;
}
/* Reads what it adds to: a core hands that from one such instruction to the next sooner. */
static void adds_to(instruction *d, int r) {
    reads(d, r);
    d->accumulator = d->sources;
}
static void on_port(instruction *d, kind_t kind, port_t port) {
    d->kind = kind;
    d->port = port;
}
static void on_fp(instruction *d, kind_t kind, bool wide) {
    on_port(d, kind, P_FP);
    d->units = wide ? core->wide_units : 1;
    d->wide = wide;
    if (kind == F_DIVIDE) d->occupies = wide ? core->divide_128 : core->divide_64;
}

static void immediate(u32 w, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16), opc = bits(w, 30, 29);
    switch (bits(w, 25, 23)) {
    case 0: case 1: /* ADR, ADRP */
        writes(d, rd);
        break;
    case 2: case 3: /* ADD, SUB: of the stack pointer, too */
        reads(d, rn);
        if (bit(w, 29)) { writes(d, x(rd)); writes(d, FLAGS); }
        else writes(d, rd);
        break;
    case 4: /* AND, ORR, EOR, ANDS */
        reads(d, x(rn));
        if (opc == 3) { writes(d, x(rd)); writes(d, FLAGS); }
        else writes(d, rd);
        break;
    case 5: /* MOVN, MOVZ, MOVK: the last keeps the other bits */
        if (opc == 3) reads(d, x(rd));
        writes(d, x(rd));
        break;
    case 6: /* SBFM, BFM, UBFM */
        reads(d, x(rn));
        if (opc == 1) reads(d, x(rd));
        writes(d, x(rd));
        break;
    default: /* EXTR */
        reads(d, x(rn));
        reads(d, x(rm));
        writes(d, x(rd));
    }
}

static void branch(u32 w, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5);
    on_port(d, BRANCH, P_BRANCH);
    d->branch = true;
    if (bits(w, 30, 26) == 5) { /* B, BL */
        d->call = bit(w, 31);
        if (d->call) writes(d, 30);
    } else if (bits(w, 31, 24) == 0x54) { /* B.cond */
        d->conditional = true;
        reads(d, FLAGS);
    } else if ((w & 0x7c000000) == 0x34000000) { /* CBZ, CBNZ, TBZ, TBNZ */
        d->conditional = true;
        reads(d, x(rd));
    } else if ((w & 0xfe000000) == 0xd6000000) { /* BR, BLR, RET */
        u32 opc = bits(w, 24, 21);
        d->indirect = true;
        reads(d, x(rn));
        d->call = opc == 1;
        d->returns = opc == 2;
        if (d->call) writes(d, 30);
    } else if (bits(w, 31, 24) == 0xd5) { /* MRS, MSR, hints, barriers */
        d->branch = false;
        on_port(d, SYSTEM, P_ALU);
        if ((w & 0xfff00000) == 0xd5300000) {
            writes(d, x(rd));
        } else if ((w & 0xfff00000) == 0xd5100000) {
            reads(d, x(rd));
            if ((w & 0xffffffe0) == 0xd51b4400) { /* MSR FPCR: how floats are rounded */
                d->kind = SERIAL;
                d->serial = true;
            }
        }
    }
}

static void memory(u32 w, instruction *d) {
    u32 rt = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16), rt2 = bits(w, 14, 10);
    u32 size = bits(w, 31, 30), opc = bits(w, 23, 22);
    bool vector = bit(w, 26), load = bit(w, 22), wide = bit(w, 30);
    int moved = 64; /* bits */
    if ((w & 0x3a000000) == 0x28000000) { /* pairs */
        int first = vector ? v(rt) : x(rt), second = vector ? v(rt2) : x(rt2);
        moved = vector ? 64 << size : size == 2 ? 128 : 64;
        reads(d, rn);
        if (load) { writes(d, first); writes(d, second); }
        else { reads(d, first); reads(d, second); }
        if (bit(w, 23)) d->written_back = rn + 1;
    } else if ((w & 0x3b000000) == 0x18000000) { /* relative to the program counter */
        load = true;
        if (vector || size != 3) writes(d, vector ? v(rt) : x(rt));
        moved = vector ? 32 << size : 64;
    } else if ((w & 0xbe000000) == 0x0c000000) { /* LD1 to LD4, ST1 to ST4 */
        bool single = bit(w, 24), replicate = single && bits(w, 15, 14) == 3;
        u32 kind = bits(w, 15, 12), count;
        if (single) count = (bit(w, 13) << 1 | bit(w, 21)) + 1;
        else count = kind == 7 ? 1 : kind == 10 || kind == 8 ? 2 : kind == 6 || kind == 4 ? 3 : 4;
        reads(d, rn);
        for (u32 i = 0; i < count; i++) {
            if (!load || (single && !replicate)) reads(d, v(rt + i)); /* the other lanes stay */
            if (load) writes(d, v(rt + i));
        }
        if (bit(w, 23)) {
            if (rm != 31) reads(d, rm);
            d->written_back = rn + 1;
        }
        moved = single ? 64 : (int)count * (wide ? 128 : 64);
        vector = true;
    } else if ((w & 0x3a000000) == 0x38000000) { /* one register */
        bool scaled = bit(w, 24); /* by an immediate of 12 bits */
        u32 mode = bits(w, 11, 10);
        bool atomic = !scaled && bit(w, 21) && mode == 0;
        bool prefetch = !vector && size == 3 && opc == 2;
        load = vector ? opc & 1 : opc != 0;
        moved = vector && opc >= 2 ? 128 : 64;
        reads(d, rn);
        if (!scaled && bit(w, 21) && mode == 2) reads(d, x(rm)); /* a register as offset */
        if (atomic) { reads(d, x(rm)); load = true; }
        if (!prefetch) {
            if (load) writes(d, vector ? v(rt) : x(rt));
            else reads(d, vector ? v(rt) : x(rt));
        }
        if (!scaled && !bit(w, 21) && (mode & 1)) d->written_back = rn + 1;
    } else { /* exclusive, ordered */
        reads(d, rn);
        if (load) writes(d, x(rt));
        else { reads(d, x(rt)); writes(d, x(rm)); }
    }
    d->load = load;
    d->store = !load;
    on_port(d, load ? (vector ? LOAD_VECTOR : LOAD) : STORE,
            load || core->one_memory_port ? P_LOAD : P_STORE);
    d->occupies = load ? (moved + core->load_bits - 1) / core->load_bits : (moved + 127) / 128;
    d->wide = vector && moved >= 128;
}

static void registers(u32 w, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16), ra = bits(w, 14, 10);
    u32 group = bits(w, 28, 24), kind = bits(w, 24, 21), opcode = bits(w, 15, 10);
    bool one_source = bit(w, 30), sets_flags = bit(w, 29);
    if (group == 10 || group == 11) { /* logic; ADD and SUB, shifted or extended */
        bool extended = group == 11 && bit(w, 21);
        bool flags = group == 10 ? bits(w, 30, 29) == 3 : sets_flags;
        reads(d, extended ? (int)rn : x(rn));
        reads(d, x(rm));
        writes(d, extended && !flags ? (int)rd : x(rd));
        if (flags) writes(d, FLAGS);
        if (opcode) d->kind = ALU_SHIFT;
    } else if (group == 27) { /* MADD and the like */
        reads(d, x(rn));
        reads(d, x(rm));
        reads(d, x(ra));
        writes(d, x(rd));
        on_port(d, MULTIPLY, P_MULTIPLY);
    } else if (kind == 2) { /* CCMP */
        reads(d, x(rn));
        if (!bit(w, 11)) reads(d, x(rm));
        reads(d, FLAGS);
        writes(d, FLAGS);
    } else if (kind == 4 || kind == 0) { /* CSEL and the like, ADC, SBC */
        reads(d, x(rn));
        reads(d, x(rm));
        reads(d, FLAGS);
        writes(d, x(rd));
        if (kind == 0 && sets_flags) writes(d, FLAGS);
    } else { /* of one register (CLZ) or two (shifts, UDIV, SDIV) */
        reads(d, x(rn));
        if (!one_source) reads(d, x(rm));
        writes(d, x(rd));
        if (kind == 6 && !one_source && (opcode == 2 || opcode == 3)) {
            on_port(d, DIVIDE, P_MULTIPLY);
            d->occupies = 8;
        }
    }
}

static void scalar_float(u32 w, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16);
    if (!bit(w, 21) || bits(w, 15, 10) == 0) { /* from and to integers and fixed point */
        u32 opcode = bits(w, 18, 16);
        on_fp(d, CONVERT, false);
        if (opcode == 2 || opcode == 3) { /* SCVTF, UCVTF */
            reads(d, x(rn));
            writes(d, v(rd));
        } else if (opcode == 7) { /* FMOV to a vector: the upper half keeps the lower */
            d->kind = X_TO_V;
            reads(d, x(rn));
            writes(d, v(rd));
            if (bit(w, 19)) reads(d, v(rd));
        } else {
            if (opcode == 6) d->kind = V_TO_X;
            reads(d, v(rn));
            writes(d, x(rd));
        }
    } else if (bits(w, 12, 10) == 4) { /* FMOV of an immediate */
        on_fp(d, V_LOGIC, false);
        writes(d, v(rd));
    } else if (bits(w, 13, 10) == 8) { /* FCMP, with 0 perhaps */
        on_fp(d, F_ADD, false);
        reads(d, v(rn));
        if (!bit(w, 3)) reads(d, v(rm));
        writes(d, FLAGS);
    } else if (bits(w, 14, 10) == 16) { /* of one register */
        u32 opcode = bits(w, 20, 15);
        on_fp(d, opcode == 3 ? F_DIVIDE : opcode < 3 ? V_LOGIC : CONVERT, false);
        reads(d, v(rn));
        writes(d, v(rd));
    } else {
        u32 kind = bits(w, 11, 10), opcode = bits(w, 15, 12);
        reads(d, v(rn));
        reads(d, v(rm));
        if (kind == 2) { /* of two registers */
            on_fp(d, opcode == 1 ? F_DIVIDE : opcode == 0 || opcode == 8 ? F_MULTIPLY : F_ADD, false);
            writes(d, v(rd));
        } else { /* FCSEL, FCCMP */
            on_fp(d, kind == 3 ? V_LOGIC : F_ADD, false);
            reads(d, FLAGS);
            writes(d, kind == 3 ? v(rd) : FLAGS);
        }
    }
}

/* DUP, INS, SMOV, UMOV */
static void copies(u32 w, bool wide, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), kind = bits(w, 14, 11);
    bool element = bit(w, 29);
    on_fp(d, V_LOGIC, wide);
    if (!element && (kind == 1 || kind == 3)) {
        d->kind = X_TO_V;
        d->units = 1;
        if (kind == 3) reads(d, v(rd));
        reads(d, x(rn));
        writes(d, v(rd));
    } else if (!element && (kind == 5 || kind == 7)) {
        d->kind = V_TO_X;
        d->units = 1;
        reads(d, v(rn));
        writes(d, x(rd));
    } else {
        reads(d, v(rn));
        if (element) { reads(d, v(rd)); d->units = 1; }
        writes(d, v(rd));
    }
}

static void three_alike(u32 w, bool wide, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16);
    u32 size = bits(w, 23, 22);
    bool u = bit(w, 29), adds = false;
    kind_t kind = V_INTEGER;
    switch (bits(w, 15, 11)) {
    case 0x03: kind = V_LOGIC; adds = u && size; break; /* BSL, BIT, BIF keep bits */
    case 0x0f: adds = true; break;                      /* SABA */
    case 0x12: kind = V_MULTIPLY; adds = true; break;   /* MLA */
    case 0x13: case 0x16: kind = V_MULTIPLY; break;     /* MUL, SQDMULH */
    case 0x18: case 0x1a: case 0x1c: case 0x1d: case 0x1e: kind = F_ADD; break;
    case 0x19: kind = u ? F_MULTIPLY : F_MULTIPLY_ADD; adds = !u; break; /* FMLA, FMLS */
    case 0x1b: kind = F_MULTIPLY; break;
    case 0x1f: kind = u ? F_DIVIDE : F_MULTIPLY_ADD; break; /* FRECPS is as long as a FMLA */
    }
    on_fp(d, kind, wide);
    reads(d, v(rn));
    if (rm != rn) reads(d, v(rm));
    if (adds) adds_to(d, v(rd));
    writes(d, v(rd));
}

/* Two sources of one width, a result of another one: SMLAL, SADDL, XTN and so on */
static void three_different(u32 w, bool wide, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16), opcode = bits(w, 15, 12);
    bool adds = opcode == 5 || (opcode >= 8 && opcode <= 11);
    bool keeps_half = wide && (opcode == 4 || opcode == 6);
    on_fp(d, opcode >= 8 ? V_MULTIPLY : V_INTEGER, opcode >= 5 || wide);
    reads(d, v(rn));
    reads(d, v(rm));
    if (adds || keeps_half) adds_to(d, v(rd));
    writes(d, v(rd));
}

static void two_registers(u32 w, bool wide, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), opcode = bits(w, 16, 12);
    bool across = bit(w, 20), converts = opcode >= 0x18 || (opcode >= 0xc && opcode <= 0xf);
    kind_t kind = across ? F_ADD : converts ? CONVERT : V_INTEGER;
    if (!across && opcode == 0x1f && bit(w, 29)) kind = F_DIVIDE; /* FSQRT */
    if (!across && (opcode == 0xf || opcode == 5)) kind = V_LOGIC; /* FABS, FNEG, NOT */
    on_fp(d, kind, wide);
    /* Narrowing into the upper half, adding pairs to what is there */
    if (!across && (opcode == 6 || ((opcode == 0x12 || opcode == 0x14) && wide))) reads(d, v(rd));
    reads(d, v(rn));
    writes(d, v(rd));
}

static void vector(u32 w, bool wide, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16);
    if (!bit(w, 28) && (w & 0x9fe08400) == 0x0e000400) {
        copies(w, wide, d);
    } else if (bit(w, 21) && bit(w, 10)) {
        three_alike(w, wide, d);
    } else if (!bit(w, 21) && bit(w, 15) && bit(w, 10)) { /* SDOT, UDOT */
        on_fp(d, DOT, wide);
        reads(d, v(rn));
        reads(d, v(rm));
        adds_to(d, v(rd));
        writes(d, v(rd));
    } else if ((w & 0x0e200c00) == 0x0e200000) {
        three_different(w, wide, d);
    } else if ((w & 0x0e200c00) == 0x0e200800) {
        two_registers(w, wide, d);
    } else { /* TBL, ZIP, UZP, TRN, EXT */
        on_fp(d, V_LOGIC, wide);
        reads(d, v(rn));
        reads(d, v(rm));
        writes(d, v(rd));
    }
}

/* Shifts and moves of an immediate */
static void vector_immediate(u32 w, bool wide, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), opcode = bits(w, 15, 11);
    if (!bits(w, 22, 19)) { /* MOVI; ORR and BIC keep bits */
        u32 mode = bits(w, 15, 12);
        on_fp(d, V_LOGIC, wide);
        if ((mode & 1) && mode < 12) reads(d, v(rd));
        writes(d, v(rd));
        return;
    }
    bool adds = opcode == 2 || opcode == 6;                                /* SSRA, SRSRA */
    bool inserts = bit(w, 29) && (opcode == 8 || opcode == 10);            /* SRI, SLI */
    bool upper_half = wide && opcode >= 0x10 && opcode <= 0x13;            /* SHRN2 */
    on_fp(d, opcode >= 0x1c ? CONVERT : V_INTEGER, wide);
    reads(d, v(rn));
    if (adds || inserts || upper_half) reads(d, v(rd));
    writes(d, v(rd));
}

/* A vector and one element of another one */
static void by_element(u32 w, bool wide, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16), opcode = bits(w, 15, 12);
    if (bits(w, 23, 22) == 1) rm &= 15; /* of 16 bits: the rest of the number is the element */
    kind_t kind = V_MULTIPLY;
    bool adds = true;
    switch (opcode) {
    case 1: case 5: kind = F_MULTIPLY_ADD; break;
    case 9: kind = F_MULTIPLY; adds = false; break;
    case 14: case 15: kind = DOT; break;
    case 8: case 10: case 11: case 12: case 13: adds = false; break;
    }
    on_fp(d, kind, opcode == 2 || opcode == 6 || opcode == 10 || wide);
    reads(d, v(rn));
    reads(d, v(rm));
    if (adds) adds_to(d, v(rd));
    writes(d, v(rd));
}

static void floating(u32 w, instruction *d) {
    u32 rd = bits(w, 4, 0), rn = bits(w, 9, 5), rm = bits(w, 20, 16), ra = bits(w, 14, 10);
    /* Scalars in the encoding of vectors have bit 28 set. */
    bool wide = bit(w, 30) && !bit(w, 28);
    u32 high = bits(w, 31, 24);
    if ((high & 0x5f) == 0x1f) { /* FMADD */
        on_fp(d, F_MULTIPLY_ADD, false);
        reads(d, v(rn));
        reads(d, v(rm));
        adds_to(d, v(ra));
        writes(d, v(rd));
    } else if ((high & 0x5f) == 0x1e) {
        scalar_float(w, d);
    } else if ((high & 0x9f) == 0x0e || (high & 0xdf) == 0x5e) {
        vector(w, wide, d);
    } else if ((high & 0x9f) == 0x0f || (high & 0xdf) == 0x5f) {
        if (bit(w, 10)) vector_immediate(w, wide, d);
        else by_element(w, wide, d);
    } else { /* cryptography */
        on_fp(d, V_LOGIC, bit(w, 30));
        reads(d, v(rn));
        writes(d, v(rd));
    }
}

void decode(u32 w, instruction *d) {
    u32 group = bits(w, 28, 25);
    memset(d, 0, sizeof *d);
    d->units = d->occupies = 1;
    on_port(d, ALU, P_ALU);
    if ((group & 14) == 8) immediate(w, d);
    else if ((group & 14) == 10) branch(w, d);
    else if ((group & 5) == 4) memory(w, d);
    else if ((group & 7) == 5) registers(w, d);
    else if ((group & 7) == 7) floating(w, d);
}
