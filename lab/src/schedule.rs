//! Many tasks on few processors: what needs no download starts at once, downloads go on beside it, and
//! a task starts when all that it wants is there.
//!
//! There are four kinds of threads: workers, which run tasks; one that gets what tasks want from
//! outside, in the order in which they stand; one that builds what they want; and the caller's, which
//! tells how it goes.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::lack::Trouble;
use crate::part::Part;
use crate::progress::say;
use crate::row::{Row, Rules, Verdict};

/// How long a worker waits for a part before it is said what it waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Something to run, and what has to be there before.
pub struct Task<'a> {
    /// Its row's name.
    pub name: String,
    /// Whether it boots a machine.
    pub is_boot: bool,
    /// Whether it runs cargo, of which one runs at a time.
    pub is_cargo: bool,
    /// What it wants.
    pub wants: Vec<Part>,
    /// Runs it: what came of it, or why it came to nothing.
    pub run: Box<dyn Fn() -> Result<Row> + Send + Sync + 'a>,
}

impl<'a> Task<'a> {
    /// A check that says something about what it looked at, and boots nothing.
    #[must_use]
    pub fn check(
        name: &str,
        wants: Vec<Part>,
        check: impl Fn() -> Result<String> + Send + Sync + 'a,
    ) -> Self {
        let row = Row::passed(name);
        Self {
            name: name.to_owned(),
            is_boot: false,
            is_cargo: false,
            wants,
            run: Box::new(move || {
                Ok(Row {
                    note: check()?,
                    ..row.clone()
                })
            }),
        }
    }

    /// One that runs cargo, and wants nothing else.
    #[must_use]
    pub fn cargo(name: &str, check: impl Fn() -> Result<String> + Send + Sync + 'a) -> Self {
        Self {
            is_cargo: true,
            ..Self::check(name, Vec::new(), check)
        }
    }
}

/// Who has the parts that tasks want.
pub trait Stock: Sync {
    /// Gets a part, once; others who want it wait.
    fn prepare(&self, part: &Part);

    /// What came of a part, if anything has yet.
    fn state(&self, part: &Part) -> Option<Result<(), Trouble>>;
}

/// Which tasks are left, and whether cargo runs.
struct Queue {
    left: Vec<usize>,
    cargo_runs: bool,
}

/// What a worker may do next.
enum Next {
    Run(usize),
    Wait(Vec<Part>),
    End,
}

/// Runs `tasks`, `jobs` at a time, and says what comes of each; the rows are in the order of the tasks.
///
/// # Errors
/// Where a thread is lost; whatever happens to a task is a row.
pub fn run(tasks: &[Task<'_>], stock: &dyn Stock, jobs: usize, rules: Rules) -> Result<Vec<Row>> {
    ensure!(jobs > 0, "--jobs 0 would never end");
    let queue = Mutex::new(Queue {
        left: (0..tasks.len()).collect(),
        cargo_runs: false,
    });
    let changed = Condvar::new();
    let (sender, receiver) = mpsc::channel();
    let mut rows: Vec<(usize, Row)> = thread::scope(|scope| {
        let (queue, changed) = (&queue, &changed);
        for built in [false, true] {
            scope.spawn(move || {
                let mut seen = BTreeSet::new();
                let wanted = tasks.iter().flat_map(|task| &task.wants);
                for part in wanted.filter(|part| part.is_built() == built) {
                    if seen.insert(part.clone()) {
                        stock.prepare(part);
                        notify(queue, changed);
                    }
                }
            });
        }
        for _ in 0..jobs.min(tasks.len()) {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some(number) = next(tasks, stock, queue, changed) {
                    let row = run_one(&tasks[number], stock);
                    if tasks[number].is_cargo {
                        lock(queue).cargo_runs = false;
                    }
                    notify(queue, changed);
                    if sender.send((number, row)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let show = |(done, (number, row)): (usize, (usize, Row))| {
            let words = row.words(rules);
            let rest = match row.verdict {
                Verdict::NotRun => words,
                _ => format!(
                    "{words:<24} {:>6.1} s  {}",
                    row.time.as_secs_f64(),
                    row.note
                ),
            };
            let line = format!("{:>3}/{}  {:<32} {rest}", done + 1, tasks.len(), row.name);
            say(line.trim_end());
            (number, row)
        };
        receiver.iter().enumerate().map(show).collect()
    });
    ensure!(
        rows.len() == tasks.len(),
        "{} of {} tasks came to an end",
        rows.len(),
        tasks.len()
    );
    rows.sort_by_key(|(number, _)| *number);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn lock(queue: &Mutex<Queue>) -> std::sync::MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the waiting look again; under the lock, so that none misses it between looking and waiting.
fn notify(queue: &Mutex<Queue>, changed: &Condvar) {
    let _queue = lock(queue);
    changed.notify_all();
}

/// Takes the first task that can run, and waits for one where there is none yet.
fn next(
    tasks: &[Task<'_>],
    stock: &dyn Stock,
    queue: &Mutex<Queue>,
    changed: &Condvar,
) -> Option<usize> {
    let mut queue = lock(queue);
    let mut told = BTreeSet::new();
    loop {
        match choose(tasks, stock, &mut queue) {
            Next::Run(number) => return Some(number),
            Next::End => return None,
            Next::Wait(parts) => {
                let (back, timeout) = changed
                    .wait_timeout(queue, PATIENCE)
                    .unwrap_or_else(PoisonError::into_inner);
                queue = back;
                let first = parts.into_iter().next();
                if let Some(part) = first.filter(|_| timeout.timed_out())
                    && told.insert(part.clone())
                {
                    say(format_args!("waiting for {part}"));
                }
            }
        }
    }
}

fn choose(tasks: &[Task<'_>], stock: &dyn Stock, queue: &mut Queue) -> Next {
    let mut awaited = Vec::new();
    for (place, number) in queue.left.iter().enumerate() {
        let task = &tasks[*number];
        if task.is_cargo && queue.cargo_runs {
            continue;
        }
        // What failed is there as well: the row tells of it.
        let missing = task.wants.iter().find(|part| stock.state(part).is_none());
        match missing {
            Some(part) => awaited.push(part.clone()),
            None => {
                let number = queue.left.remove(place);
                queue.cargo_runs |= tasks[number].is_cargo;
                return Next::Run(number);
            }
        }
    }
    if queue.left.is_empty() {
        Next::End
    } else {
        Next::Wait(awaited)
    }
}

/// Runs a task, if nothing that it wants is in the way.
fn run_one(task: &Task<'_>, stock: &dyn Stock) -> Row {
    let otherwise = match task.is_boot {
        true => Verdict::Broken,
        false => Verdict::Failed,
    };
    let started = Instant::now();
    let trouble = task.wants.iter().find_map(|part| {
        let trouble = stock.state(part)?.err()?;
        Some(match trouble {
            Trouble::Failed(text) => Trouble::Failed(format!("{part}: {text}")),
            lack => lack,
        })
    });
    let row = match trouble {
        Some(trouble) => Row::without(&task.name, trouble, otherwise),
        None => (task.run)()
            .unwrap_or_else(|error| Row::without(&task.name, Trouble::from(&error), otherwise)),
    };
    let time = match row.time {
        Duration::ZERO if row.verdict != Verdict::NotRun => started.elapsed(),
        time => time,
    };
    Row {
        is_boot: task.is_boot,
        time,
        ..row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lack::{Memo, Unavailable};
    use anyhow::{Context, bail};
    use qemu_tests::architecture::Architecture::{Aarch64, S390x, X86_64};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const RULES: Rules = Rules {
        strict: false,
        must_fail: false,
    };

    /// Parts for one architecture come, for another not, and for the third something goes wrong.
    #[derive(Default)]
    struct Made {
        parts: Memo<Part, ()>,
        prepared: AtomicUsize,
    }

    impl Stock for Made {
        fn prepare(&self, part: &Part) {
            let _ = self.parts.get(part.clone(), || {
                self.prepared.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(50));
                match part {
                    Part::Kmod(X86_64) => Ok(()),
                    Part::Kmod(S390x) => Err(Unavailable {
                        reason: "the archive answers 404".to_owned(),
                        log: Some("apt.log".into()),
                    })
                    .context("getting kmod"),
                    _ => bail!("a bad unpack"),
                }
            });
        }

        fn state(&self, part: &Part) -> Option<Result<(), Trouble>> {
            self.parts.peek(part)
        }
    }

    fn task<'a>(
        name: &str,
        wants: Vec<Part>,
        run: impl Fn() -> Result<Row> + Send + Sync + 'a,
    ) -> Task<'a> {
        Task {
            name: name.to_owned(),
            is_boot: true,
            is_cargo: false,
            wants,
            run: Box::new(run),
        }
    }

    #[test]
    fn a_part_that_cannot_be_had_marks_its_own_rows_and_no_others() {
        let stock = Made::default();
        let passes = |name: &'static str| move || Ok(Row::passed(name));
        let tasks = [
            task("z", vec![Part::Kmod(S390x)], || panic!("it must not run")),
            task("arm", vec![Part::Kmod(Aarch64)], || {
                panic!("it must not run")
            }),
            task("pc", vec![Part::Kmod(X86_64)], passes("pc")),
            task("pc again", vec![Part::Kmod(X86_64)], passes("pc again")),
            task("nothing", Vec::new(), passes("nothing")),
            task("bad", Vec::new(), || bail!("it broke")),
        ];
        let rows = run(&tasks, &stock, 2, RULES).unwrap();
        let words: Vec<_> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.words(RULES)))
            .collect();
        let expected = [
            ("z", "NOT RUN: the archive answers 404"),
            ("arm", "BROKEN"),
            ("pc", "passed"),
            ("pc again", "passed"),
            ("nothing", "passed"),
            ("bad", "BROKEN"),
        ];
        assert_eq!(
            words,
            expected.map(|(name, words)| (name, words.to_owned()))
        );
        assert_eq!(rows[0].details[1], "log: apt.log");
        assert!(
            rows[1].details[0].contains("a bad unpack"),
            "{:?}",
            rows[1].details
        );
        assert_eq!(stock.prepared.load(Ordering::Relaxed), 3, "each part once");
    }

    #[test]
    fn what_wants_nothing_runs_while_the_rest_is_awaited() {
        let stock = Made::default();
        let order = Mutex::new(Vec::new());
        let note = |name: &'static str| {
            let order = &order;
            move || {
                order.lock().unwrap().push(name);
                Ok(Row::passed(name))
            }
        };
        let tasks = [
            task("late", vec![Part::Kmod(X86_64)], note("late")),
            task("early", Vec::new(), note("early")),
        ];
        run(&tasks, &stock, 1, RULES).unwrap();
        assert_eq!(*order.lock().unwrap(), ["early", "late"]);
    }

    #[test]
    fn one_cargo_runs_at_a_time() {
        let stock = Made::default();
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let cargo = || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(10));
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(Row::passed("cargo"))
        };
        let tasks: Vec<_> = (0..4)
            .map(|_| Task {
                is_cargo: true,
                ..task("cargo", Vec::new(), cargo)
            })
            .collect();
        assert_eq!(run(&tasks, &stock, 3, RULES).unwrap().len(), 4);
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
}
