//! The firmware's framebuffer, which the kernel keeps a console on.

use crate::one_gpu::{AUDIO, DISK, GPU, cards, native_cards, run};
use crate::support::{FakeMachine, Trouble};
use rustix::io::Errno;
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::record::EXIT_DONE;

const EFI: &str = "efi-framebuffer.0";

#[test]
fn the_console_is_released_before_vfio_pci_comes() {
    for device in [EFI, "simple-framebuffer.0", "vesa-framebuffer.0"] {
        let machine = FakeMachine::new(&cards()).with_framebuffer(GPU, GPU, device);
        let result = run(&machine, "vfio.bind=42:00.0");
        assert_eq!(
            machine.take_events(),
            [
                "0000:42:00.0/driver_override = vfio-pci".to_owned(),
                "0000:42:00.1/driver_override = vfio-pci".to_owned(),
                format!("sys/bus/platform/devices/{device}/driver/unbind = {device}"),
                "modprobe vfio-pci".to_owned(),
            ]
        );
        assert_eq!(result.exit, EXIT_DONE);
    }
}

#[test]
fn the_console_stays_where_its_function_does() {
    for (boot_vga, owner, line) in [
        // In the memory of another function, or of none that is bound.
        (GPU, DISK, "vfio.bind=42:00.0"),
        (DISK, GPU, "vfio.bind=42:00.0"),
        (GPU, GPU, "vfio.bind=01:00.0"),
        (GPU, GPU, "vfio.bind=42:00.0 vfio.dry_run"),
        (GPU, GPU, "vfio.bind=42:00.0 vfio.group=strict"),
    ] {
        let machine = FakeMachine::new(&cards()).with_framebuffer(boot_vga, owner, EFI);
        run(&machine, line);
        assert!(machine.framebuffer(EFI).exists(), "{owner}, {line}");
        let events = machine.take_events();
        let platform = events.iter().find(|event| event.contains("platform"));
        assert_eq!(platform, None, "{owner}, {line}");
    }
}

#[test]
fn the_console_comes_back_where_nobody_took_its_function() {
    let machine = FakeMachine::new(&cards())
        .with_framebuffer(GPU, GPU, EFI)
        .with(Trouble::no_module());
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(
        machine.take_events(),
        [
            "0000:42:00.0/driver_override = vfio-pci",
            "0000:42:00.1/driver_override = vfio-pci",
            "sys/bus/platform/devices/efi-framebuffer.0/driver/unbind = efi-framebuffer.0",
            "modprobe vfio-pci",
            "0000:42:00.0/driver_override = \\n",
            "drivers_probe = 0000:42:00.0",
            "sys/bus/platform/drivers_probe = efi-framebuffer.0",
            "0000:42:00.1/driver_override = \\n",
            "drivers_probe = 0000:42:00.1",
        ]
    );
    assert_eq!(result.fate(GPU), Some(Fate::Returned));
    // With `hold` nobody may write to the function, nor where a native driver has it.
    for (cards, line) in [
        (cards(), "vfio.bind=42:00.0 vfio.onfail=hold"),
        (native_cards(), "vfio.bind=42:00.0"),
    ] {
        let machine = FakeMachine::new(&cards)
            .with_framebuffer(GPU, GPU, EFI)
            .with(Trouble::no_module());
        run(&machine, line);
        assert!(!machine.framebuffer(EFI).exists(), "{line}");
    }
}

#[test]
fn the_console_is_released_from_a_function_that_vfio_pci_has_already() {
    let bound: Vec<_> = cards()
        .into_iter()
        .map(|card| match card.address.as_str() {
            GPU | AUDIO => card.on("vfio-pci"),
            _ => card,
        })
        .collect();
    let machine = FakeMachine::new(&bound).with_framebuffer(GPU, GPU, EFI);
    run(&machine, "vfio.bind=42:00.0");
    assert!(!machine.framebuffer(EFI).exists());
    machine.take_events();
    run(&machine, "vfio.bind=42:00.0");
    assert_eq!(machine.take_events(), [""; 0], "once is enough");
}

#[test]
fn a_framebuffer_that_does_not_go_stops_nothing() {
    let trouble = Trouble::write_answers("efi-framebuffer.0/driver/unbind", Errno::NODEV);
    let machine = FakeMachine::new(&cards())
        .with_framebuffer(GPU, GPU, EFI)
        .with(trouble);
    let result = run(&machine, "vfio.bind=42:00.0");
    assert_eq!(result.fate(GPU), Some(Fate::Bound));
    assert!(machine.framebuffer(EFI).exists());
}
