//! Attributes that can be set, as the kernel has them.

use std::fs;

use super::FakeMachine;
use rustix::io::Errno;

/// The resets that a function knows.
const RESETS: [&str; 2] = ["flr", "bus"];
/// The exponent, for MiB, of the largest BAR that the bridges have room for.
const ROOM: u32 = 13;

impl FakeMachine {
    /// Gives a function attributes that can be set: two ways to reset it, its power, and a BAR 0 of 256 MiB
    /// that may have up to 16 GiB.
    pub fn with_attributes(self, address: &str) -> Self {
        for (file, text) in [
            ("reset_method", "flr bus\n".to_owned()),
            ("d3cold_allowed", "1\n".to_owned()),
            ("resource0_resize", format!("{:016x}\n", 0x7f00)),
            ("resource", resource(8)),
        ] {
            fs::write(self.device(address).join(file), text).unwrap();
        }
        self
    }

    /// What an attribute shows.
    pub fn attribute(&self, address: &str, file: &str) -> String {
        let text = fs::read_to_string(self.device(address).join(file)).unwrap();
        text.trim_end().to_owned()
    }

    pub(super) fn set_attribute(&self, address: &str, file: &str, text: &str) -> Result<(), Errno> {
        let shown = match file {
            "reset_method" => {
                if !text.split(' ').all(|method| RESETS.contains(&method)) {
                    return Err(Errno::INVAL);
                }
                text.to_owned()
            }
            "d3cold_allowed" => text.to_owned(),
            "resource0_resize" => {
                let exponent: u32 = text.parse().unwrap();
                if self.driver(address).is_some() {
                    return Err(Errno::BUSY);
                }
                if exponent > ROOM {
                    return Err(Errno::NOSPC);
                }
                fs::write(self.device(address).join("resource"), resource(exponent)).unwrap();
                return Ok(());
            }
            _ => panic!("nobody may write to {file}"),
        };
        fs::write(self.device(address).join(file), format!("{shown}\n")).unwrap();
        Ok(())
    }
}

/// The attribute `resource` of a function with one BAR.
fn resource(exponent: u32) -> String {
    let start = 0x38_0000_0000u64;
    let end = start + (1 << (exponent + 20)) - 1;
    let line =
        |start: u64, end: u64, flags: u64| format!("{start:#018x} {end:#018x} {flags:#018x}\n");
    let empty = line(0, 0, 0);
    line(start, end, 0x14_220c) + &empty.repeat(12)
}
