"""For gdb: all coroutines of a program that uses libtrine, with what they wait for and where they
are, in a running program and in a core file.

    (gdb) source /usr/local/share/trine/trine-gdb.py
    (gdb) trine-tasks            the tree of scopes and tasks of each loop, with backtraces
    (gdb) trine-tasks brief      without

The library must have its debugging information. Backtraces of coroutines that do not run are for
x86-64: the switch leaves there, from the stack pointer up, where to go on, rbx and rbp (see
src/arch/switch_x86_64.h). An unwinder of ours makes those registers the caller's of the thread's
innermost frame, which is then left out; nothing of the program is changed, so a core file will
do, if it is the kernel's: gdb's own gcore leaves out a mapping of which it cannot read all, such as
the guard pages of stacks."""
import gdb
import gdb.unwinder

DEPTH_MOST = 64


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Suspended(gdb.unwinder.Unwinder):
    """While `registers` is set: what lies above the thread's innermost frame is a coroutine."""

    def __init__(self):
        super().__init__("trine")
        self.registers, self.innermost = None, None

    def __call__(self, pending):
        if not self.registers or int(pending.read_register("rsp")) != self.innermost:
            return None
        info = pending.create_unwind_info(
            FrameId(pending.read_register("rsp"), pending.read_register("rip")))
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info


unwinder = Suspended()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def word_at(address):
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def backtrace(strand):
    """The frames of a coroutine that does not run, as gdb prints them."""
    sp = int(strand["sp"])
    frame = gdb.newest_frame()
    if frame.architecture().name() != "i386:x86-64":
        return ["(no backtrace: only x86-64 is known here)"]
    unwinder.innermost = int(frame.read_register("rsp"))
    unwinder.registers = {"rip": word_at(sp), "rbx": word_at(sp + 8), "rbp": word_at(sp + 16),
                          "rsp": sp + 24}
    gdb.invalidate_cached_frames()
    try:
        return gdb.execute("bt 40", to_string=True).splitlines()[1:]
    finally:
        unwinder.registers = None
        gdb.invalidate_cached_frames()


def each_in(head, type_name, member):
    """What is in a list of base/list.h."""
    kind = gdb.lookup_type(type_name)
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == member)
    node, end = head["next"], head.address
    while node != end:
        yield (node.cast(gdb.lookup_type("char").pointer()) - offset).cast(kind.pointer())
        node = node["next"]


def text(value):
    return value.string() if int(value) else "?"


class Tree:
    def __init__(self, loop, brief):
        self.loop, self.brief, self.lines = loop, brief, []

    def say(self, depth, words):
        self.lines.append("  " * depth + words)

    def state(self, strand):
        if int(strand["wait"]):
            return "waits for " + text(strand["wait"]["name"])
        return "runs" if strand == self.loop["current"] else "is ready"

    def strand(self, depth, strand):
        scopes, scope = [], strand["scope"]
        while int(scope) and len(scopes) < DEPTH_MOST:
            scopes.append(scope)
            scope = scope["outer"]
        for scope in reversed(scopes):
            self.say(depth, f"scope opened at {text(scope['site'])}: {int(scope['running'])} run, "
                            f"{int(scope['waiting'])} wait for its limit")
            depth += 1
            for task in each_in(scope["tasks"], "struct trine_future", "in_scope"):
                self.task(depth, task)

    def task(self, depth, task):
        if str(task["kind"]) == str(int(gdb.parse_and_eval("RECORD_TIME"))) or depth > DEPTH_MOST:
            self.say(depth, f"future of time, made at {text(task['site'])}")
            return
        own = task["own"]["name"] if int(task["options"]) else 0
        if not int(own):
            own = (task["task"] if int(task["task"]) else task["bytes_task"])["name"]
        words = f"task {text(own)}, started at {text(task['site'])}: "
        strand = task["strand"]
        if int(task["on"]):
            self.say(depth, words + "handed to " + text(task["on"]["kind"]["name"]))
        elif not int(strand):
            self.say(depth, words + "has not begun")
        else:
            self.say(depth, words + self.state(strand))
            if not self.brief and strand != self.loop["current"]:
                for line in backtrace(strand):
                    self.say(depth + 1, line)
            self.strand(depth + 1, strand)

    def all(self):
        self.say(0, f"loop of thread {int(self.loop['tid'])}")
        self.strand(1, self.loop["thread"])
        if int(self.loop["main"]):
            self.task(1, self.loop["main"])
        return self.lines


class Tasks(gdb.Command):
    """trine-tasks [brief]: all coroutines, with what they wait for and where they are."""

    def __init__(self):
        super().__init__("trine-tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        try:
            loop = gdb.parse_and_eval("'loop_self.c'::all")
        except gdb.error:
            raise gdb.GdbError("this program has no libtrine with debugging information")
        while int(loop):
            if int(loop["running"]) or int(loop["thread"]["scope"]):
                print("\n".join(Tree(loop, argument.strip() == "brief").all()))
            loop = loop["next_of_all"]


Tasks()
