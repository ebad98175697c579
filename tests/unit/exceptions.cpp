// exceptions.cpp - tasks in C++ for core_exceptions.c.
#include <exception>
#include <stdexcept>
#include <string>

#include <trine.h>

namespace {

int turns; // who comes when: counted by both tasks

struct visitor {
    int number;
    bool ok;
};

// In its destructor, run by an exception in flight, the task waits.
struct waits_in_flight {
    visitor *v;
    ~waits_in_flight() {
        for (int i = 0; i < 3; i++) {
            v->ok = v->ok && std::uncaught_exceptions() == 1;
            v->ok = trine_yield() == 0 && v->ok;
            turns++;
        }
    }
};

int throw_and_wait(visitor *v) {
    std::string mine = "exception of task " + std::to_string(v->number);
    v->ok = std::uncaught_exceptions() == 0;
    try {
        waits_in_flight w{v};
        throw std::runtime_error(mine);
    } catch (const std::exception &e) {
        // Caught, and still being handled while others throw and catch theirs.
        v->ok = v->ok && e.what() == mine && std::uncaught_exceptions() == 0;
        v->ok = trine_yield() == 0 && v->ok;
        try {
            throw; // the one that this task handles
        } catch (const std::exception &again) {
            v->ok = v->ok && again.what() == mine;
        }
    }
    v->ok = v->ok && std::uncaught_exceptions() == 0 && !std::current_exception();
    return v->ok ? 0 : -1;
}
TRINE_TASK(throw_and_wait, visitor);

int throw_out(int *) {
    throw std::runtime_error("nobody catches this");
}
TRINE_TASK(throw_out, int);

int begin_clean(bool *clean) {
    *clean = !std::current_exception() && std::uncaught_exceptions() == 0;
    return 0;
}
TRINE_TASK(begin_clean, bool);

int two(int *) {
    visitor a{1, false}, b{2, false};
    turns = 0;
    TRINE_SCOPE(s);
    trine_spawn(s, throw_and_wait, &a);
    trine_spawn(s, throw_and_wait, &b);
    int r = trine_join(s);
    bool clean = false; // on the stack of a task that last waited while it handled one
    trine_spawn(s, begin_clean, &clean);
    r = r == 0 && trine_join(s) == 0 && clean ? 0 : -1;
    return r == 0 && a.ok && b.ok && turns == 6 && std::uncaught_exceptions() == 0 ? 0 : -1;
}
TRINE_TASK(two, int);

int many(int *) {
    visitor all[100] = {};
    turns = 0;
    TRINE_SCOPE(s);
    for (visitor &v : all)
        trine_spawn(s, throw_and_wait, &v);
    int r = trine_join(s);
    for (const visitor &v : all)
        r = v.ok ? r : -1;
    return turns == 300 ? r : -1;
}
TRINE_TASK(many, int);

int parent_of_thrower(int *) {
    TRINE_SCOPE(s);
    try {
        trine_spawn(s, throw_out, static_cast<int *>(nullptr));
        return trine_join(s);
    } catch (...) { // a task's exception must not come out here
        return -1;
    }
}
TRINE_TASK(parent_of_thrower, int);

} // namespace

extern "C" {
int exceptions_two_tasks(void);
int exceptions_many_tasks(void);
int exceptions_leave_a_task(void);
}

int exceptions_two_tasks(void) {
    return trine_run(two, static_cast<int *>(nullptr));
}

int exceptions_many_tasks(void) {
    return trine_run(many, static_cast<int *>(nullptr));
}

int exceptions_leave_a_task(void) {
    return trine_run(parent_of_thrower, static_cast<int *>(nullptr));
}
