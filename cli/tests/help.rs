//! What a person finds who asks for help, and that the pages say what the command line has.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use vfio_bind_cli::arguments::Arguments;
use vfio_bind_cli::topics::TOPICS;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
    let output = command.args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn every_topic_is_listed_and_told() {
    let (exit, overview, _) = run(&["help"]);
    assert_eq!(exit, Some(0));
    for (name, _) in TOPICS {
        assert!(
            overview.contains(&format!("  {name} ")),
            "{name}: {overview}"
        );
        let (exit, text, _) = run(&["help", name]);
        assert_eq!(exit, Some(0), "{name}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 88),
            "{text}"
        );
    }
    // Examples keep their columns.
    let (_, text, _) = run(&["help", "words"]);
    assert!(
        text.contains("  vfio.bind=10de:2204                     every card"),
        "{text}"
    );
}

#[test]
fn a_command_is_told_as_its_own_option_does() {
    let (_, text, _) = run(&["help", "plan"]);
    let (_, same, _) = run(&["plan", "--help"]);
    assert_eq!(text, same);
    assert!(text.contains("Usage: vfio-bind plan"), "{text}");
    let (exit, out, err) = run(&["help", "grups"]);
    assert_eq!((exit, out.as_str()), (Some(1), ""));
    assert!(
        err.contains("neither a command nor a topic `grups`; the topics are groups,"),
        "{err}"
    );
}

/// Where packages have what a shell wants, in the repository.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "vfio-bind.bash"),
    ("zsh", "_vfio-bind"),
    ("fish", "vfio-bind.fish"),
];

/// `VFIO_BIND_RENEW=1` writes them anew.
#[test]
fn shells_are_told_of_every_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../completions");
    for (shell, file) in COMPLETIONS {
        let (exit, text, _) = run(&["completions", shell]);
        assert_eq!(exit, Some(0), "{shell}");
        let program = Arguments::command();
        for command in program.get_subcommands().filter(|one| !one.is_hide_set()) {
            assert!(
                text.contains(command.get_name()),
                "{shell}: {}",
                command.get_name()
            );
        }
        let file = folder.join(file);
        if std::env::var_os("VFIO_BIND_RENEW").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == text,
            "{}: the command line has changed; VFIO_BIND_RENEW=1 writes it anew",
            file.display()
        );
    }
}

/// The page of a command: its own, or the one of them all.
fn page(command: &str) -> String {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../man");
    let own = fs::read_to_string(pages.join(format!("vfio-bind-{command}.8")));
    let text = own.unwrap_or_else(|_| fs::read_to_string(pages.join("vfio-bind.8")).unwrap());
    text.replace("\\-", "-")
}

#[test]
fn every_option_has_its_words_in_a_page() {
    let program = Arguments::command();
    // What the program runs itself is for nobody else.
    let told = program.get_subcommands().filter(|one| !one.is_hide_set());
    for command in told {
        let page = page(command.get_name());
        assert!(page.contains(command.get_name()), "{}", command.get_name());
        let options = command
            .get_arguments()
            .filter(|option| !option.is_hide_set());
        for long in options.filter_map(|option| option.get_long()) {
            assert!(
                page.contains(&format!("--{long}")),
                "{} --{long}",
                command.get_name()
            );
        }
    }
}
