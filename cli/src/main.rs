//! `vfio-bind`: the command for the owner of the machine.

use std::process::ExitCode;

use clap::Parser;
use vfio_bind_cli::arguments::Arguments;

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(exit) => ExitCode::from(exit),
        Err(error) => {
            vfio_bind_cli::terminal::tell(format_args!("vfio-bind: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
