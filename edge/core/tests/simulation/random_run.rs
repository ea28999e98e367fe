//! Many seeds. `CAUSEWAY_SEED=n` lives through one alone and prints every step; `CAUSEWAY_SEEDS=n` changes how
//! many: CI lives through ten thousand.

use std::{
    env,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use super::{Tally, workload};

const SEEDS: u64 = 300;
/// With so many, everything that can happen has happened.
const ENOUGH_SEEDS: u64 = 2_000;
/// How many of the last steps are printed of a seed that fails among many.
const LAST_STEPS: usize = 150;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a seed is a number"))
}

/// What is wrong with a seed, if anything is.
fn try_seed(seed: u64, traced: bool) -> (Option<String>, Tally, Vec<String>) {
    match catch_unwind(AssertUnwindSafe(|| workload::live(seed, traced))) {
        Ok(report) => (report.violation, report.tally, report.trace),
        Err(_) => (Some("panicked".to_owned()), Tally::new(), Vec::new()),
    }
}

/// Past the test harness, which keeps quiet about what passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// S107 and all the others at once.
#[test]
fn s107_whatever_happens_no_token_is_sent_twice_no_session_revived_and_nobody_gets_anothers() {
    if let Some(seed) = number("CAUSEWAY_SEED") {
        let (violation, _, trace) = try_seed(seed, true);
        say(&trace.join("\n"));
        assert_eq!(violation, None, "seed {seed}");
        return;
    }
    let seeds = number("CAUSEWAY_SEEDS").unwrap_or(SEEDS);
    let (next, failed, began) = (AtomicU64::new(0), AtomicU64::new(u64::MAX), Instant::now());
    let work = || {
        let mut sum = Tally::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || failed.load(Ordering::Relaxed) < seed {
                return sum;
            }
            let (violation, tally, _) = try_seed(seed, false);
            if violation.is_some() {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
            for (what, count) in tally {
                *sum.entry(what).or_default() += count;
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let sums: Vec<Tally> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let failed = failed.into_inner();
    if failed < u64::MAX {
        let (violation, _, trace) = try_seed(failed, true);
        let last = trace.iter().skip(trace.len().saturating_sub(LAST_STEPS)).cloned().collect::<Vec<_>>();
        panic!(
            "{}\nseed {failed}: {}\nagain, with every step: CAUSEWAY_SEED={failed} cargo test -p causeway-core s107",
            last.join("\n"),
            violation.unwrap_or_else(|| "does not fail the same way twice".to_owned()),
        );
    }
    let mut sum = Tally::new();
    for (what, count) in sums.into_iter().flatten() {
        *sum.entry(what).or_default() += count;
    }
    say(&format!("simulation: {seeds} seeds in {:.0} s on {threads} threads", began.elapsed().as_secs_f64()));
    for (what, count) in &sum {
        say(&format!("{count:>9} {what}"));
    }
    if seeds >= ENOUGH_SEEDS {
        for what in EXPECTED {
            assert!(sum.contains_key(what), "no seed saw this: {what}");
        }
    }
}

/// What must have happened at all, or the schedules prove nothing.
const EXPECTED: [&str; 35] = [
    "accounts connected at the end",
    "accounts disconnected",
    "answers 503 for what was done",
    "answers cut",
    "answers to a refresh that nobody got",
    "commands that another came between",
    "crashes of a request",
    "denials that could not be read",
    "grants that a reuse ended",
    "key rings changed",
    "late writers",
    "late writes",
    "leases left lying",
    "looks at an account just connected or disconnected",
    "other sessions ended",
    "own sessions listed",
    "providers busy",
    "refresh tokens sent again",
    "refresh tokens given up",
    "refreshes found done",
    "refused as ended",
    "replies lost",
    "restricted tokens",
    "restricted tokens denied",
    "reuses of a refresh token seen by a provider",
    "revocations at a provider",
    "seeds with a store that compares and sets",
    "seeds without trouble",
    "served after the end, within the bound",
    "sessions ended by their name",
    "sessions ended with their grant",
    "stale reads",
    "tokens of a session that ended meanwhile",
    "well at the end",
    "writers who were late, and nobody else had begun",
];

#[test]
fn a_seed_is_the_same_each_time() {
    for seed in 0..5 {
        assert_eq!(try_seed(seed, true).2, try_seed(seed, true).2, "seed {seed}");
    }
}
