//! A console on a framebuffer that the firmware set up, in the memory of a selected function.

use crate::machine::{GPU, GPU_AUDIO};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, proves, kernel| {
        let run = Run::new("agent")
            .bound(&[GPU, GPU_AUDIO])
            .says("0000:42:00.0: the firmware's framebuffer is released: the console goes dark");
        Scenario::new(name, proves, "vfio.bind=0000:42:00.0", run).framebuffer(kernel)
    };
    vec![
        scenario(
            "framebuffer-5.10",
            "the framebuffer leaves its memory where vfio-pci would leave it in place",
            "5.10",
        ),
        scenario(
            "framebuffer-6.1",
            "it does so where vfio-pci would see to it, and the log says what that means",
            "6.1",
        ),
        scenario("framebuffer-6.12", "the same with the next kernel", "6.12"),
        Scenario::new(
            "boot-display-sibling",
            "a card's audio function does not bring along the display that the machine boots on",
            "vfio.bind=0000:42:00.1",
            Run::new("agent")
                .refused(&[GPU_AUDIO])
                .exit(1)
                .quiet()
                .says("0000:42:00.0 of its IOMMU group is the display that the machine boots on"),
        )
        .framebuffer("6.1"),
        Scenario::new(
            "framebuffer-no-vfio",
            "without vfio-pci in the image the framebuffer comes back",
            "vfio.bind=0000:42:00.0",
            Run::new("agent")
                .outcome(Fate::Returned, &[GPU, GPU_AUDIO])
                .exit(1),
        )
        .framebuffer("5.10")
        .without(&["vfio_pci"]),
    ]
}
