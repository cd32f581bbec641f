//! Packages, installed, upgraded and removed by the programs that they are for, in systems of their own.

mod arch;
mod course;
mod deb;
mod root;
mod rpm;

use anyhow::Context;

use crate::part::Part;
use crate::rig::Rig;
use crate::schedule::Task;
use crate::system::ARCHITECTURE;
use course::Course;
pub use course::{Packages, Packer, Pair};

/// A task for each course.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>, packer: &'a dyn Packer) -> Vec<Task<'a>> {
    let courses = deb::courses().into_iter();
    let courses = courses.chain([rpm::course(), arch::course()]);
    let task = |course: Course| {
        let wants = vec![
            Part::ImageTools,
            Part::Kernel(None, ARCHITECTURE),
            Part::Installed(course.recipe),
        ];
        Task::check(course.name, wants, move || {
            let packages = packer.packages().context("the packages")?;
            (course.run)(rig, course.recipe, &packages)
        })
    };
    courses.map(task).collect()
}
