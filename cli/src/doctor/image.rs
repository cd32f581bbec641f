//! The image of the next boot: whether the agent is in it, and whether it knows what was written since.

use std::io::{self, ErrorKind};
use std::time::SystemTime;

use super::finding::{Answer, Said, Unread};
use super::system::System;
use crate::image::{self, Builder, Image, Look};

/// Whether the agent is in it.
pub(super) fn agent(system: &System<'_>) -> Answer {
    match image::look(system.root) {
        Look::Absent(why) => Ok(Said::not_applicable(why)),
        Look::Unread { path, error } => Err(Unread {
            path: path.display().to_string(),
            answer: format!("{error:#}"),
            denied: error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == ErrorKind::PermissionDenied),
        }),
        Look::Read(image) => Ok(of(&image, make(system))),
    }
}

/// What mends an image.
fn make(system: &System<'_>) -> &'static str {
    Builder::of(system.root).map_or("rebuild the image", |builder| builder.told)
}

/// What an image has.
fn of(image: &Image, make: &str) -> Said {
    let path = image.path.display().to_string();
    let said = if !image.contents.agent {
        Said::fail(
            format!("the agent is not in {path}: nothing is bound at boot"),
            format!(
                "{make}; where that leaves it out, see docs/install.md for what its tool wants set"
            ),
        )
    } else if image.contents.vfio_pci {
        Said::pass(format!("the agent and vfio-pci are in {path}"))
    } else {
        Said::warn(
            format!("the agent is in {path}, and vfio-pci is not"),
            format!("nothing, where vfio-pci is a part of the kernel; else {make}"),
        )
    };
    said.from(path)
}

/// What an image carries a copy of.
const CARRIED: [&str; 4] = [
    "etc/vfio-bind/policy.conf",
    "etc/initramfs-tools/modules",
    "etc/modprobe.d",
    "usr/bin/vfio-bind-agent",
];

/// Whether something is newer than the image that should have it.
pub(super) fn age(system: &System<'_>) -> Answer {
    let image = match image::find(system.root) {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(why) => return Ok(Said::not_applicable(why)),
    };
    let changed = |path: &str| -> Option<SystemTime> {
        std::fs::metadata(system.place(path)).ok()?.modified().ok()
    };
    let Some(made) = changed(&image) else {
        return Ok(Said::not_applicable(format!(
            "the time of /{image} is not known"
        )));
    };
    let mut carried = Vec::new();
    for path in CARRIED {
        match system.names(path)? {
            Some(names) => {
                let names = names.into_iter().filter(|name| name.ends_with(".conf"));
                carried.extend(names.map(|name| format!("{path}/{name}")));
            }
            None => carried.push(path.to_owned()),
        }
    }
    let newer: Vec<_> = carried
        .into_iter()
        .filter(|path| changed(path).is_some_and(|time| time > made))
        .map(|path| format!("/{path}"))
        .collect();
    Ok(match newer.is_empty() {
        true => Said::pass(format!("/{image} is newer than what it carries")),
        false => Said::warn(
            format!("/{image} is older than {}", newer.join(", ")),
            make(system),
        ),
    }
    .from(image))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::archive::Contents;

    #[test]
    fn what_an_image_has_is_told() {
        for (agent, vfio_pci, expected) in [
            (true, true, "PASS"),
            (true, false, "WARN"),
            (false, true, "FAIL"),
        ] {
            let image = Image {
                path: "/boot/x".into(),
                contents: Contents {
                    agent,
                    vfio_pci,
                    ..Contents::default()
                },
            };
            let finding = of(&image, "make").of("agent-in-image", None);
            assert_eq!(finding.verdict.to_string(), expected, "{image:?}");
        }
    }
}
