/* wire.c - clang's fuzzer looks for a header, and a reply to a task, that the codec (exec/wire.h)
 * takes wrongly: it sees which branches of it each input reaches, and goes on from those that reach
 * new ones. Two headers are an input, a task's and a reply's; the first ones are made here. */
#include "wire_frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { INPUT = 2 * WIRE_HEADER, ANEW = 32 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);

static unsigned long frames, replies;

static void require(const char *broken) {
    if (!broken)
        return;
    printf("FAIL no_input_is_taken_wrongly_by_the_codec: %s\n", broken);
    fflush(stdout);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct frame task, reply;
    bool first, second;
    if (size != INPUT)
        return 0;
    require(check_any(bytes, &first, &task));
    require(check_any(bytes + WIRE_HEADER, &second, &reply));
    frames += first + second;
    if (!first || !second || task.type != FRAME_TASK || wire_check_reply(&reply, &task))
        return 0;
    replies++;
    require(broken_reply(&reply, &task));
    return 0;
}

/* Now and then it begins anew, with frames that are right. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed) {
    if (most < INPUT)
        return size;
    if (size != INPUT || seed % ANEW == 0) {
        struct frame task = seed_frame(seed / ANEW % SEED_TASKS), reply = seed_frame(seed / 7919);
        wire_encode(&task, bytes);
        wire_encode(&reply, bytes + WIRE_HEADER);
    } else {
        size_t n = LLVMFuzzerMutate(bytes, INPUT, INPUT);
        memset(bytes + n, 0, INPUT - n);
    }
    return INPUT;
}

/* It ends by exit when it has made as many runs as it was asked for. */
static void done(void) {
    bool enough = frames > 100000 && replies > 1000;
    printf("%s no_input_is_taken_wrongly_by_the_codec: %lu frames, %lu replies\n",
           enough ? "ok" : "FAIL", frames, replies);
    fflush(stdout);
    if (!enough)
        _exit(1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    return atexit(done);
}
