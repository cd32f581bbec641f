//! What `list` and `list --tree` print for real machines, word for word.
//!
//! Every file in snapshots/ is what a person sees in 100 columns, and was read by one. After a change that is
//! meant, `VFIO_BIND_RENEW=1 cargo test -p vfio-bind-cli --test list snapshots` writes them anew: read the
//! difference before it is committed.

use unicode_width::UnicodeWidthStr;
use vfio_bind_cli::commands::list::shown;
use vfio_bind_cli::facts::Machine;
use vfio_bind_cli::listing::View;
use vfio_bind_cli::terminal::Screen;

use crate::machine::System;
use crate::snapshot;
use crate::topology;

const BRIEF: View = View {
    machine: false,
    all: false,
};

fn screen(width: u16) -> Screen {
    Screen {
        width: Some(width),
        colour: false,
    }
}

/// A captured tree without mounts says so, with the path of the tree, which is another each time.
fn read(system: &System) -> Machine {
    let mut machine = system.read();
    machine.untold.clear();
    machine
}

#[test]
fn lists_of_real_machines_read_as_reviewed() {
    let mut texts = Vec::new();
    let mut systems = vec![("made-desktop".to_owned(), System::desktop())];
    systems.extend(topology::names().into_iter().map(|name| {
        let system = topology::system(&name);
        (name, system)
    }));
    for (name, system) in &systems {
        let machine = read(system);
        let text = format!(
            "$ vfio-bind list\n{}\n$ vfio-bind list --tree\n{}",
            shown(&machine, false, BRIEF, screen(100)),
            shown(&machine, true, BRIEF, screen(100))
        );
        texts.push((name.clone(), text));
    }
    snapshot::compare("list/snapshots", &texts);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_function_is_lost() {
    let mut systems = vec![System::desktop()];
    systems.extend(topology::names().iter().map(|name| topology::system(name)));
    for system in &systems {
        let machine = read(system);
        for width in [40, 80, 120] {
            for (as_tree, all) in [(false, false), (false, true), (true, false), (true, true)] {
                let text = shown(&machine, as_tree, View { machine: all, all }, screen(width));
                for line in text.lines() {
                    assert!(line.width() <= usize::from(width), "{width}: {line}");
                    assert_eq!(line.trim_end(), line);
                }
                for one in machine
                    .functions
                    .iter()
                    .filter(|one| all || !one.is_of_no_use())
                {
                    let address = one.address.to_string();
                    assert!(text.contains(&address), "{width}: {address}\n{text}");
                }
            }
        }
    }
}

#[test]
fn colours_are_over_words_that_say_the_same() {
    let machine = read(&System::desktop());
    for as_tree in [false, true] {
        for width in [Some(40), Some(80), None] {
            let plain = Screen {
                width,
                colour: false,
            };
            let colour = Screen {
                colour: true,
                ..plain
            };
            let painted = shown(&machine, as_tree, BRIEF, colour);
            assert!(painted.contains("\u{1b}["));
            assert_eq!(
                anstream::adapter::strip_str(&painted).to_string(),
                shown(&machine, as_tree, BRIEF, plain)
            );
        }
    }
}

#[test]
fn a_graphics_card_of_several_groups_is_shown_as_one_device() {
    let text = shown(&read(&System::desktop()), false, BRIEF, Screen::default());
    let expected = "\
NVIDIA GA102 [GeForce RTX 3090]: one device, in groups 10 and 11
Group 10: can be lent, but is in use: the machine boots on this display
  0000:01:00.0  nouveau        NVIDIA GA102 [GeForce RTX 3090]
                monitor DELL U2720Q on DP-1
                monitor on DP-2
                link 8.0 GT/s x4, where both ends can 16.0 GT/s x16
                reset flr, bus
Group 11: can be lent
  0000:01:00.1  snd_hda_intel  NVIDIA GA102 High Definition Audio Controller
";
    assert!(text.contains(expected), "{text}");
}
