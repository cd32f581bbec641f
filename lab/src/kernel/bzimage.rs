//! x86 kernel images, unpacked on the host.
//!
//! A packaged image unpacks itself when it boots, which costs an emulated machine as much time as
//! all the rest of the kernel's start (*seen*: 4.5 of 9 s). QEMU starts the unpacked kernel by its
//! PVH entry instead.

use std::io::Write;
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::tools::XZ;

/// How an xz stream begins.
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";

/// The kernel in `image`, where it is packed with xz; nothing for other images, which boot as
/// they are.
///
/// # Errors
/// Where xz fails on it.
pub fn unpack(image: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(payload) = payload(image).filter(|payload| payload.starts_with(XZ_MAGIC)) else {
        return Ok(None);
    };
    // The kernel's build adds the unpacked size behind the stream.
    let mut xz = XZ.command()?;
    xz.args(["--decompress", "--stdout", "--single-stream"]);
    xz.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = xz.spawn().context("`xz` could not be started")?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        // In a thread of its own: xz writes before it has read everything. A broken pipe shows
        // in its exit status.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(payload)));
        child.wait_with_output()
    });
    let output = output.context("wait(xz)")?;
    ensure!(
        output.status.success(),
        "xz ended with {} on the kernel's image",
        output.status
    );
    Ok(output
        .stdout
        .starts_with(b"\x7fELF")
        .then_some(output.stdout))
}

/// The packed part of an image: offsets are those of the kernel's boot protocol since 2.08.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word =
        |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    // Byte 0x1f1 counts the sectors of the part before, without the first one.
    let start = (usize::from(*image.get(0x1f1)?) + 1) * 512 + word(0x248)?;
    image.get(start..start + word(0x24c)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image with one sector before its protected part, and `payload` ten bytes into that.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 10];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248] = 10;
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend(payload);
        image.extend(b"more");
        image
    }

    #[test]
    fn the_payload_is_where_the_header_says() {
        assert_eq!(payload(&image(b"packed")), Some(&b"packed"[..]));
    }

    #[test]
    fn other_images_stay_as_they_are() {
        for other in [
            &b""[..],
            b"MZ",
            &image(b"\x1f\x8bgzip"),
            &image(b"packed")[..1030],
        ] {
            assert_eq!(unpack(other).unwrap(), None);
        }
    }
}
