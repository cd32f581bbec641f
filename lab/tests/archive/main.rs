//! What becomes of a run when an archive gives something else than it promised.
//!
//! A small signed archive on this machine goes wrong in one way after another, and real rows want
//! parts from it: one for this architecture, one for another, and one that wants nothing. It needs apt
//! and gpg, so that it is a row of `cargo xtask test --all` and not among the tests that run anywhere.

mod repository;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lab::debian::Debian;
use lab::lack::{Memo, Trouble, Unavailable};
use lab::part::Part;
use lab::row::{self, Row, Rules};
use lab::schedule::{self, Stock, Task};
use lab::system::Recipe;
use qemu_tests::architecture::Architecture;

use repository::{Fault, Repository};

const RULES: Rules = Rules {
    strict: false,
    must_fail: false,
};
const HERE: Architecture = Architecture::X86_64;
const OTHER: Architecture = Architecture::S390x;

/// Gets `thing` for an architecture, as a rig gets kmod.
struct Made<'a> {
    debian: &'a Debian,
    releases: &'static [&'static str],
    parts: Memo<Part, ()>,
}

/// The folder with `thing`, unpacked.
fn thing(
    debian: &Debian,
    releases: &[&'static str],
    architecture: Architecture,
) -> Result<PathBuf> {
    let check = |root: &Path| {
        ensure!(root.join("thing").is_file(), "no thing");
        Ok(())
    };
    let all = debian.unpacked(releases, architecture, "thing", check, |lists, root| {
        lists.unpack(&["thing".to_owned()], root)
    });
    Ok(all?.1)
}

impl Stock for Made<'_> {
    fn prepare(&self, part: &Part) {
        let _ = self.parts.get(part.clone(), || match part {
            Part::Kmod(architecture) => thing(self.debian, self.releases, *architecture).map(drop),
            _ => Ok(()),
        });
    }

    fn state(&self, part: &Part) -> Option<Result<(), Trouble>> {
        self.parts.peek(part)
    }
}

/// What a run comes to: a row's words each, and the count.
fn run(debian: &Debian, releases: &'static [&'static str]) -> (Vec<String>, row::Count, String) {
    let made = Made {
        debian,
        releases,
        parts: Memo::default(),
    };
    let task = |name: &'static str, wants: Vec<Part>| Task {
        name: name.to_owned(),
        is_boot: true,
        is_cargo: false,
        wants,
        run: Box::new(move || Ok(Row::passed(name))),
    };
    let tasks = [
        task("nothing", Vec::new()),
        task("here", vec![Part::Kmod(HERE)]),
        task("other", vec![Part::Kmod(OTHER)]),
        task("other again", vec![Part::Kmod(OTHER)]),
    ];
    let rows = schedule::run(&tasks, &made, 2, RULES).unwrap();
    let words = rows.iter().map(|row| row.words(RULES)).collect();
    (words, row::count(&rows, RULES), row::report(&rows, RULES))
}

/// Asserts that only the rows of [`OTHER`] did not run, and why; that apt's words are in the log that is
/// named, and that the cache is as good as before.
fn only_other_is_missing(repository: &Repository, fault: Fault, reason: &str) {
    let cache = tempfile::tempdir().unwrap();
    repository.set(fault);
    let debian = repository.client(cache.path());
    let (words, count, report) = run(&debian, &["moon"]);
    let not_run = format!("NOT RUN: {reason}");
    assert_eq!(words, ["passed", "passed", &not_run, &not_run], "{fault:?}");
    assert_eq!(
        count.to_string(),
        "2 passed, 0 failed, 2 skipped",
        "{fault:?}"
    );
    let list = report.split_once("Did not run:\n  other, other again\n    ");
    let (_, list) = list.unwrap_or_else(|| panic!("{fault:?}: {report}"));
    assert!(list.starts_with(reason), "{report}");
    let log = list
        .lines()
        .find_map(|line| line.trim().strip_prefix("log: "));
    let said = fs::read_to_string(log.unwrap()).unwrap();
    assert!(said.contains("apt-get") && said.contains("E: "), "{said}");
    // Nothing that is half there is left, and what came is whole.
    let name = "debian-moon-amd64-thing";
    assert!(cache.path().join(name).join("thing").is_file());
    assert!(!cache.path().join("debian-moon-s390x-thing").exists());
    assert!(
        !cache
            .path()
            .join("debian-moon-s390x-thing.partial")
            .exists()
    );
    // Once the archive is whole, so is the run.
    repository.set(Fault::None);
    let (_, count, _) = run(&repository.client(cache.path()), &["moon"]);
    assert_eq!(
        count.to_string(),
        "4 passed, 0 failed, 0 skipped",
        "{fault:?}"
    );
}

#[test]
#[ignore = "it wants apt and gpg: a row of `cargo xtask test --all`"]
fn each_fault_marks_its_own_rows_and_no_others() {
    let repository = Repository::new();
    let list = "the archive's package list of moon for s390x";
    for (fault, reason) in [
        (
            Fault::Truncated("binary-s390x"),
            format!("{list} does not fit its Release file"),
        ),
        (
            Fault::OtherDay("binary-s390x"),
            format!("{list} does not fit its Release file"),
        ),
        (
            Fault::Missing("binary-s390x"),
            format!("{list} is missing (404)"),
        ),
        (
            Fault::Missing("_s390x.deb"),
            "the archive lists thing and answers 404".to_owned(),
        ),
        (
            Fault::Truncated("_s390x.deb"),
            "thing of the archive does not fit its checksum".to_owned(),
        ),
    ] {
        only_other_is_missing(&repository, fault, &reason);
    }
}

#[test]
#[ignore = "it wants apt and gpg: a row of `cargo xtask test --all`"]
fn a_connection_that_hangs_costs_its_rows_and_little_time() {
    let repository = Repository::new();
    let reason = "the archive cannot be reached for thing: ";
    let cache = tempfile::tempdir().unwrap();
    repository.set(Fault::Hangs("_s390x.deb"));
    let started = std::time::Instant::now();
    let (words, count, _) = run(&repository.client(cache.path()), &["moon"]);
    assert!(started.elapsed().as_secs() < 90, "{:?}", started.elapsed());
    assert_eq!(words[..2], ["passed", "passed"]);
    assert!(
        words[2].starts_with(&format!("NOT RUN: {reason}")),
        "{words:?}"
    );
    assert_eq!(count.to_string(), "2 passed, 0 failed, 2 skipped");
}

#[test]
#[ignore = "it wants apt and gpg: a row of `cargo xtask test --all`"]
fn where_nothing_answers_nothing_boots_and_the_run_fails() {
    let repository = Repository::new();
    let cache = tempfile::tempdir().unwrap();
    // A port that nobody listens on.
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let debian = repository.client_of(cache.path(), &address);
    let (words, count, _) = run(&debian, &["moon"]);
    assert_eq!(words[0], "passed");
    for word in &words[1..] {
        let start = "NOT RUN: the archive cannot be reached for the Release file of moon: ";
        assert!(word.starts_with(start), "{word}");
    }
    assert_eq!(count.to_string(), "1 passed, 0 failed, 3 skipped");
    let boots = [Row::not_run("a", &words[1]).boot()];
    assert_eq!(row::count(&boots, RULES).failed, 1);
    // A page that says to log in is no archive either.
    repository.set(Fault::Portal);
    let other = tempfile::tempdir().unwrap();
    let (words, ..) = run(&repository.client(other.path()), &["moon"]);
    let reason = "NOT RUN: the archive's Release file of moon is a page of something else";
    assert!(words[1].starts_with(reason), "{words:?}");
}

#[test]
#[ignore = "it wants apt and gpg: a row of `cargo xtask test --all`"]
fn lists_of_an_earlier_run_serve_and_so_do_other_versions_and_releases() {
    let repository = Repository::new();
    let cache = tempfile::tempdir().unwrap();
    let debian = repository.client(cache.path());
    let version = |root: PathBuf| fs::read_to_string(root.join("thing")).unwrap();
    let get = |debian: &Debian, releases: &[&'static str]| thing(debian, releases, HERE);
    assert_eq!(version(get(&debian, &["moon"]).unwrap()), "thing 2");
    assert_eq!(repository.asked("InRelease"), 1);
    // What is in the cache and fits needs no archive.
    repository.set(Fault::Missing("/"));
    assert_eq!(
        version(get(&repository.client(cache.path()), &["moon"]).unwrap()),
        "thing 2"
    );
    assert_eq!(repository.asked("InRelease"), 1);

    // New lists do not come, the old ones serve: also where they are no longer fresh.
    let again = |cache: &Path| {
        fs::remove_dir_all(cache.join("debian-moon-amd64-thing")).unwrap();
        // It is gone where the lists were distrusted.
        let _ = fs::remove_file(cache.join("lists-moon-amd64/renewed"));
    };
    again(cache.path());
    repository.set(Fault::Missing("dists/"));
    assert_eq!(
        version(get(&repository.client(cache.path()), &["moon"]).unwrap()),
        "thing 2"
    );

    // Another version, where the first is listed and not there.
    again(cache.path());
    repository.set(Fault::Missing("thing_2_"));
    assert_eq!(
        version(get(&repository.client(cache.path()), &["moon"]).unwrap()),
        "thing 1"
    );

    // Another release, where the first has no lists.
    let fresh = tempfile::tempdir().unwrap();
    repository.set(Fault::Missing("dists/moon/"));
    let root = get(&repository.client(fresh.path()), &["moon", "mars"]).unwrap();
    assert!(
        root.ends_with("debian-mars-amd64-thing"),
        "{}",
        root.display()
    );

    // A list that comes only by its hash.
    let fresh = tempfile::tempdir().unwrap();
    repository.set(Fault::OtherDay("binary-amd64/Packages"));
    get(&repository.client(fresh.path()), &["moon"]).unwrap();
}

#[test]
#[ignore = "it wants apt and gpg: a row of `cargo xtask test --all`"]
fn a_version_that_the_archive_no_longer_has_is_a_lack() {
    let repository = Repository::new();
    let cache = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        name: "thing",
        version: Some(("thing", "3-")),
        pool: &[],
        releases: &[("moon", &["thing"]), ("mars", &["thing"])],
    };
    let error = recipe.get(&repository.client(cache.path())).unwrap_err();
    let lack = Unavailable::behind(&error).unwrap();
    assert_eq!(lack.reason, "moon has thing 2, not 3");
    // Nothing was downloaded to find that out.
    assert_eq!(repository.asked(".deb"), 0);
}

#[test]
#[ignore = "it wants apt and gpg: a row of `cargo xtask test --all`"]
fn what_nobody_signed_is_never_used_and_is_no_lack() {
    let repository = Repository::new();
    let cache = tempfile::tempdir().unwrap();
    let stranger = Repository::new();
    // The lists of a stranger, at the address and under the name of ours.
    let debian = repository.client_of(cache.path(), stranger.address());
    let (words, count, _) = run(&debian, &["moon"]);
    assert_eq!(words[0], "passed");
    assert_eq!(words[1..], ["BROKEN", "BROKEN", "BROKEN"], "{words:?}");
    assert_eq!(count.failed, 3);
    assert!(!cache.path().join("debian-moon-amd64-thing").exists());
}

#[test]
#[ignore = "it wants apt and gpg: a row of `cargo xtask test --all`"]
fn a_list_is_asked_for_once_by_all_who_want_it() {
    let repository = Repository::new();
    let cache = tempfile::tempdir().unwrap();
    let debian = repository.client(cache.path());
    std::thread::scope(|scope| {
        for name in ["thing", "rest", "thing"] {
            let debian = &debian;
            scope.spawn(move || {
                debian
                    .get(&["moon"], HERE, |lists| lists.versions(name))
                    .context(name)
                    .unwrap();
            });
        }
    });
    assert_eq!(repository.asked("InRelease"), 1);
    assert_eq!(repository.asked("binary-amd64"), 1);
    // Nor does the next run ask again at once.
    let next = repository.client(cache.path());
    next.get(&["moon"], HERE, |lists| lists.versions("rest"))
        .unwrap();
    assert_eq!(repository.asked("InRelease"), 1);
}
