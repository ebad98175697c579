//! The peer on tokio: `tokio_peer BENCH [--json] [--runs N]`, a current-thread runtime.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

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
        other => panic!("no bench {other}"),
    }
}
