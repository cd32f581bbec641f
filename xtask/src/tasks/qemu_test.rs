//! Boots by their names.

use anyhow::{Result, ensure};
use lab::debian::Debian;
use lab::images::{self, Builds, installed, storage};
use lab::progress::say;
use lab::rig::Rig;
use lab::{boots, matrix, row, schedule};
use qemu_tests::installed::Loader;
use qemu_tests::scenario::Scenario;

use super::conclude;
use crate::build::Workshop;
use crate::options::QemuTest;

/// Runs what is named, or lists what there is.
///
/// # Errors
/// Where a name is unknown, or the run cannot be begun; whatever happens in it is a row.
pub fn run(options: &QemuTest, debian: &Debian) -> Result<bool> {
    let seed = options.run.seed();
    if options.list {
        print!("{}", boots::list(&qemu_tests::scenarios::all(seed)));
        print!("\n{}", storage::list());
        print!("\n{}", installed::list());
        print!("\n{}", matrix::names());
        return Ok(true);
    }
    let images = options.images()?;
    let workshop = Workshop(debian);
    let rig = Rig::new(options.settings(), &workshop, debian)?;
    let jobs = options.run.jobs();
    let rules = options.run.rules(options.prove_it_can_fail);
    if let Some(images) = images {
        let builds = Builds::new(&rig);
        let mut tasks = images::tasks(&rig, &builds, &images);
        let wanted = |name: &str| options.names.iter().any(|part| name.contains(part));
        if !options.names.is_empty() {
            let all: Vec<_> = tasks.iter().map(|task| task.name.clone()).collect();
            tasks.retain(|task| wanted(&task.name));
            let parts = options.names.join(", ");
            ensure!(
                !tasks.is_empty(),
                "no row has {parts} in its name; there are\n{}",
                all.join("\n")
            );
        }
        let rows = schedule::run(&tasks, &rig, jobs, rules)?;
        return Ok(conclude(&rows, rules, &row::report(&rows, rules)));
    }
    let (stacks, names) = storage::choose(&options.names);
    let (mut loaders, names) = installed::choose(&names);
    if options.disk {
        loaders = Loader::ALL.to_vec();
    }
    let others = !(stacks.is_empty() && loaders.is_empty());
    let scenarios = match options.matrix {
        true => qemu_tests::matrix::all(),
        // Where nothing else is named.
        false if names.is_empty() && others => Vec::new(),
        false => boots::choose(seed, &names)?,
    };
    if !scenarios.is_empty() {
        tell(&scenarios, &rig, options);
    }
    let mut tasks = boots::tasks(&rig, &scenarios);
    tasks.extend(storage::tasks(&rig, &stacks));
    tasks.extend(installed::tasks(&rig, &loaders));
    let rows = schedule::run(&tasks, &rig, jobs, rules)?;
    let table = match options.matrix {
        true => row::shortcomings(&rows, rules) + &matrix::render(&rows),
        false => row::report(&rows, rules),
    };
    Ok(conclude(&rows, rules, &table))
}

fn tell(scenarios: &[Scenario], rig: &Rig<'_>, options: &QemuTest) {
    let own = scenarios.iter().all(|one| one.kernel.is_some());
    let kernel = match own {
        true => String::new(),
        false => format!(
            ", on Linux {} where they name no kernel",
            rig.settings.kernel
        ),
    };
    say(format_args!(
        "{} scenarios{kernel}, {} at a time, seed {}",
        scenarios.len(),
        options.run.jobs(),
        options.run.seed()
    ));
}
