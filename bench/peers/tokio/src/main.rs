//! The peer on tokio: `tokio_peer BENCH [--json] [--runs N]`, a current-thread runtime.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

static COUNT: AtomicU64 = AtomicU64::new(0);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let of = |field: &str| -> f64 {
        let line = status.lines().find(|l| l.starts_with(field)).expect("a field");
        line.split_whitespace().nth(1).expect("a value").parse::<f64>().expect("a number") * 1024.0
    };
    of("VmRSS:") + of("VmPTE:")
}

struct Frame {
    bench: String,
    json: bool,
    runs: usize,
}

impl Frame {
    fn show(&self, case: &str, unit: &str, mut values: Vec<f64>) {
        values.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        let n = values.len();
        let (median, least, most) =
            ((values[n / 2] + values[(n - 1) / 2]) / 2.0, values[0], values[n - 1]);
        if self.json {
            println!(
                "{{\"bench\":\"{}\",\"case\":\"{case}\",\"value\":{median:.4},\"unit\":\"{unit}\",\
                 \"min\":{least:.4},\"max\":{most:.4},\"n\":{n},\"peer\":\"tokio\"}}",
                self.bench
            );
        } else {
            println!("tokio    {case:28} {median:12.3} {unit:5} ({least:.3} to {most:.3}, n = {n})");
        }
    }

    fn measure(&self, case: &str, unit: &str, mut run: impl FnMut() -> f64) {
        run();
        self.show(case, unit, (0..self.runs).map(|_| run()).collect());
    }
}

fn yields(tasks: u64) -> f64 {
    const YIELDS: u64 = 1_000_000;
    runtime().block_on(async move {
        let start = Instant::now();
        let yielder = move || async move {
            for _ in 0..YIELDS / tasks {
                tokio::task::yield_now().await;
            }
        };
        let all: Vec<_> = (0..tasks).map(|_| tokio::spawn(yielder())).collect();
        for task in all {
            task.await.expect("a task");
        }
        start.elapsed().as_nanos() as f64 / YIELDS as f64
    })
}

const SPAWNS: u64 = 200_000;

async fn count_one() {
    COUNT.fetch_add(1, Relaxed);
}

fn spawns(batch: u64) -> f64 {
    COUNT.store(0, Relaxed);
    let ns = runtime().block_on(async move {
        tokio::spawn(async move {
            let start = Instant::now();
            let mut all = Vec::with_capacity(batch as usize);
            for _ in 0..SPAWNS / batch {
                all.extend((0..batch).map(|_| tokio::spawn(count_one())));
                for task in all.drain(..) {
                    task.await.expect("a task");
                }
            }
            start.elapsed().as_nanos() as f64 / SPAWNS as f64
        })
        .await
        .expect("the main task")
    });
    assert_eq!(COUNT.load(Relaxed), SPAWNS, "not every task ran");
    ns
}

/// Bytes of each of `n` tasks that sleep together, and the seconds over.
fn sleepers(n: u64, seconds: u64) -> (f64, f64) {
    runtime().block_on(async move {
        let (before, start) = (memory(), Instant::now());
        let sleeper = move || async move {
            COUNT.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        };
        let all: Vec<_> = (0..n).map(|_| tokio::spawn(sleeper())).collect();
        while COUNT.load(Relaxed) < n {
            tokio::task::yield_now().await;
        }
        let bytes = (memory() - before) / n as f64;
        for task in all {
            task.await.expect("a task");
        }
        (bytes, start.elapsed().as_secs_f64() - seconds as f64)
    })
}

type Sleep = Pin<Box<tokio::time::Sleep>>;

/// A sleep registers its timer when it is polled first.
struct Register(Option<Sleep>);

impl Future for Register {
    type Output = Sleep;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sleep> {
        let mut sleep = self.0.take().expect("polled once");
        assert!(sleep.as_mut().poll(cx).is_pending(), "a timer fired");
        Poll::Ready(sleep)
    }
}

const TIMERS: u64 = 1_000_000;

fn create_then_cancel() -> f64 {
    runtime().block_on(async {
        let base = tokio::time::Instant::now() + Duration::from_secs(30);
        let start = Instant::now();
        for i in 0..TIMERS {
            let sleep = Box::pin(tokio::time::sleep_until(base + Duration::from_nanos(i)));
            drop(Register(Some(sleep)).await);
        }
        start.elapsed().as_nanos() as f64 / TIMERS as f64
    })
}

fn million() -> (f64, f64) {
    runtime().block_on(async {
        let base = tokio::time::Instant::now() + Duration::from_secs(30);
        let mut all = Vec::with_capacity(TIMERS as usize);
        let mut x: u64 = 88172645463325252;
        let start = Instant::now();
        for _ in 0..TIMERS {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            let at = base + Duration::from_nanos(x % 60_000_000_000);
            all.push(Register(Some(Box::pin(tokio::time::sleep_until(at)))).await);
        }
        let create = start.elapsed().as_nanos() as f64 / TIMERS as f64;
        let start = Instant::now();
        drop(all);
        (create, start.elapsed().as_nanos() as f64 / TIMERS as f64)
    })
}

/// Sends 0, 1, 2 ... and, if there is an answer, waits for each.
async fn send_all(items: u64, there: mpsc::Sender<u64>, mut back: Option<mpsc::Receiver<u64>>) {
    for i in 0..items {
        there.send(i).await.expect("a receiver");
        if let Some(back) = &mut back {
            assert_eq!(back.recv().await, Some(i), "an item did not come back");
        }
    }
}

async fn take_all(items: u64, mut there: mpsc::Receiver<u64>, back: Option<mpsc::Sender<u64>>) {
    for i in 0..items {
        let item = there.recv().await;
        assert_eq!(item, Some(i), "an item is missing");
        if let Some(back) = &back {
            back.send(i).await.expect("a receiver");
        }
    }
}

/// The time of an item, of two tasks of one thread, or of two threads with a runtime each.
fn items(n: u64, places: usize, answers: bool, threads: bool) -> f64 {
    let (there, taken) = mpsc::channel(places);
    let (back, answered) = mpsc::channel(places);
    let (back, answered) = if answers { (Some(back), Some(answered)) } else { (None, None) };
    let start = Instant::now();
    if threads {
        let taker = std::thread::spawn(move || runtime().block_on(take_all(n, taken, back)));
        runtime().block_on(send_all(n, there, answered));
        taker.join().expect("the taker");
    } else {
        runtime().block_on(async move {
            let taker = tokio::spawn(take_all(n, taken, back));
            tokio::spawn(send_all(n, there, answered)).await.expect("the sender");
            taker.await.expect("the taker");
        });
    }
    let ns = start.elapsed().as_nanos() as f64 / n as f64;
    if answers { ns / 2.0 } else { ns }
}

fn blocking() -> Runtime {
    Builder::new_current_thread().enable_all().max_blocking_threads(2).build().expect("a runtime")
}

/// Millions of no-op tasks a second, all submitted, then all awaited.
fn submits(runtime: &Runtime) -> f64 {
    const SUBMITS: u64 = 1_000_000;
    runtime.block_on(async {
        let start = Instant::now();
        let all: Vec<_> = (0..SUBMITS).map(|_| tokio::task::spawn_blocking(|| ())).collect();
        for task in all {
            task.await.expect("a task");
        }
        SUBMITS as f64 / start.elapsed().as_nanos() as f64 * 1e3
    })
}

fn awaits(runtime: &Runtime) -> f64 {
    const ROUNDS: u64 = 20_000;
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            tokio::task::spawn_blocking(|| ()).await.expect("a task");
        }
        start.elapsed().as_nanos() as f64 / ROUNDS as f64 / 1e3
    })
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut frame = Frame { bench: args.next().expect("a bench"), json: false, runs: 7 };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => frame.json = true,
            "--runs" => frame.runs = args.next().expect("N").parse().expect("a number"),
            _ => panic!("usage: tokio_peer BENCH [--json] [--runs N]"),
        }
    }
    let held = |case: &str, what: &str, n: u64| {
        let (bytes, over) = sleepers(n, 2);
        frame.show(&format!("{case}/bytes_per_{what}"), "B", vec![bytes]);
        frame.show(&format!("{case}/time_over"), "s", vec![over]);
    };
    match frame.bench.as_str() {
        "yield" => {
            frame.measure("yield/two", "ns", || yields(2));
            frame.measure("yield/1000", "ns", || yields(1000));
        }
        "spawn" => {
            frame.measure("spawn/one", "ns", || spawns(1));
            frame.measure("spawn/batch_1000", "ns", || spawns(1000));
        }
        "sleep" => held("sleep/100k", "task", 100_000),
        "after" => held("after/1m", "future", 1_000_000),
        "timer" => {
            frame.measure("timer/create_then_cancel", "ns", create_then_cancel);
            frame.measure("timer/1m_create", "ns", || million().0);
            frame.measure("timer/1m_cancel", "ns", || million().1);
        }
        "channel" => {
            frame.measure("channel/pingpong", "ns", || items(1_000_000, 1, true, false));
            frame.measure("channel/stream", "ns", || items(2_000_000, 128, false, false));
            frame.measure("channel/threads_stream", "ns", || items(1_000_000, 128, false, true));
            frame.measure("channel/threads_hop", "ns", || items(20_000, 1, true, true));
        }
        "threads" => {
            let pool = blocking();
            frame.measure("threads/submit", "M/s", || submits(&pool));
            frame.measure("threads/await", "us", || awaits(&pool));
        }
        other => panic!("no bench {other}"),
    }
}
