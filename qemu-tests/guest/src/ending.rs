//! The end of the machine, which is the guest's second sign: QEMU's exit status.

use anyhow::Result;
use qemu_tests::protocol::End;

/// Ends the machine; returns only where that fails.
#[cfg(target_arch = "x86_64")]
pub(crate) fn end_machine(end: End) -> Result<()> {
    use std::fs::OpenOptions;
    use std::os::unix::fs::FileExt;

    use anyhow::Context;
    use qemu_tests::architecture::Architecture;
    use qemu_tests::protocol::EXIT_PORT;

    let port = OpenOptions::new()
        .write(true)
        .open("/dev/port")
        .context("open(/dev/port)")?;
    let half = end.status(Architecture::X86_64) >> 1;
    port.write_all_at(&[half], u64::from(EXIT_PORT))
        .with_context(|| format!("write(/dev/port at {EXIT_PORT:#x})"))
}

/// Ends the machine; returns only where that fails.
#[cfg(target_arch = "aarch64")]
pub(crate) fn end_machine(end: End) -> Result<()> {
    use qemu_tests::architecture::Architecture;

    /// `SYS_EXIT`, "Semihosting for AArch32 and AArch64", release 2024Q3.
    const SYS_EXIT: u64 = 0x18;
    /// `ADP_Stopped_ApplicationExit`.
    const APPLICATION_EXIT: u64 = 0x20026;
    // The newest kernels print on this console from a thread, and nothing tells when it is done
    // (drivers/tty/serial/amba-pl011.c, 7.2).
    std::thread::sleep(std::time::Duration::from_millis(500));
    let status = end.status(Architecture::Aarch64);
    let block = [APPLICATION_EXIT, u64::from(status)];
    // SAFETY: the call reads the two numbers of the block; it changes no register but the first.
    unsafe {
        core::arch::asm!(
            "hlt #0xf000",
            inout("x0") SYS_EXIT => _,
            in("x1") block.as_ptr(),
            options(nostack, readonly)
        );
    }
    anyhow::bail!("semihosting's exit call returned")
}

/// Ends the machine; returns only where that fails.
#[cfg(target_arch = "s390x")]
pub(crate) fn end_machine(end: End) -> Result<()> {
    use anyhow::Context;
    use nix::sys::reboot::{RebootMode, reboot};

    match end {
        End::Finished => {
            let Err(error) = reboot(RebootMode::RB_POWER_OFF);
            Err(error).context("reboot(RB_POWER_OFF)")
        }
        // The kernel panics without its first process, and QEMU fails.
        End::Broken => std::process::exit(1),
    }
}
