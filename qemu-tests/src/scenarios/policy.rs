//! What the policy allows, and what it refuses.

use crate::machine::{
    CARD_READER, GPU, GPU_AUDIO, ISA, NIC, NVME, SATA, SMBUS, SOUND, TWIN, TWIN_AUDIO,
};
use crate::report::Fate;
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let card = || Run::new("agent").bound(&[GPU, GPU_AUDIO]);
    vec![
        Scenario::new(
            "strict-refused",
            "strict: one function of two is not enough, and nothing is written",
            "vfio.bind=0000:42:00.0 vfio.group=strict",
            Run::new("agent")
                .refused(&[GPU])
                .exit(1)
                .quiet()
                .says("0000:42:00.1"),
        ),
        Scenario::new(
            "strict-granted",
            "strict: with every function of the group named it goes ahead",
            "vfio.bind=0000:42:00.0,0000:42:00.1 vfio.group=strict",
            card(),
        ),
        Scenario::new(
            "listed",
            "listed: only what was named is taken, and the report says what it costs",
            "vfio.bind=0000:01:01.0 vfio.group=listed",
            // Nothing has the other two yet, so the group is still viable when the agent asks.
            Run::new("agent")
                .bound(&[NIC])
                .outcome(Fate::Left, &[SOUND, CARD_READER]),
        )
        .unusable(&[NIC]),
        Scenario::new(
            "listed-blocked",
            "listed: a sibling that a native driver holds is named as what blocks the group",
            "vfio.bind=0000:01:01.0 vfio.group=listed",
            Run::new("agent")
                .bound(&[NIC])
                .outcome(Fate::Left, &[SOUND, CARD_READER])
                .not_viable(NIC)
                .exit(1)
                .says("0000:01:02.0")
                .says("snd_ens1370"),
        )
        .preload(&["snd_ens1370"])
        .unusable(&[NIC]),
        Scenario::new(
            "exclusion",
            "an excluded function is left out of what an ID selects",
            "vfio.bind=1234:1111,!0000:43:00",
            card(),
        ),
        Scenario::new(
            "excluded-sibling",
            "an excluded sibling refuses its group before the first write; others go ahead",
            "vfio.bind=0000:42:00.0,!0000:42:00.1,1b36:0010",
            Run::new("agent")
                .refused(&[GPU])
                .bound(&[NVME])
                .exit(1)
                .says("0000:42:00.1"),
        ),
        Scenario::new(
            "system-siblings",
            "the ISA bridge and the SMBus beside a selected disk controller are left alone",
            "vfio.bind=0000:00:1f.2",
            Run::new("agent")
                .bound(&[SATA])
                .outcome(Fate::Left, &[ISA, SMBUS]),
        )
        .unusable(&[SATA]),
        Scenario::new(
            "system-siblings-blocked",
            "where their drivers make the group unusable, the report names them",
            "vfio.bind=0000:00:1f.2",
            Run::new("agent")
                .bound(&[SATA])
                .outcome(Fate::Left, &[ISA, SMBUS])
                .not_viable(SATA)
                .exit(1)
                .says("i801_smbus"),
        )
        .preload(&["i2c_i801"])
        .unusable(&[SATA]),
        Scenario::new(
            "dry-run",
            "a dry run says everything and writes nothing",
            "vfio.bind=0000:42:00.0 vfio.dry_run",
            Run::new("agent")
                .state("dry-run")
                .outcome(Fate::Planned, &[GPU, GPU_AUDIO])
                .says("0000:42:00.1"),
        ),
        Scenario::new(
            "off",
            "`off` beats every other word on the command line, the kernel's own included",
            "vfio.bind=0000:42:00.0 vfio_pci.ids=1234:1111 vfio.bind=off",
            Run::new("agent").state("off").empties().says("off"),
        )
        .later(&["vfio_pci"]),
        Scenario::new(
            "unlisted-disk-by-id",
            "in an image that does not know what its system boots from, an ID takes no disk",
            "vfio.bind=1b36:0010,0000:42:00.0",
            Run::new("agent")
                .refused(&[NVME])
                .bound(&[GPU, GPU_AUDIO])
                .exit(1)
                .says("does not know what its system boots from"),
        )
        .without_list(),
        Scenario::new(
            "unlisted-disk-by-address",
            "there it is taken by its address",
            "vfio.bind=0000:02:00.0",
            Run::new("agent").bound(&[NVME]),
        )
        .without_list(),
        Scenario::new(
            "both-cards",
            "two groups in one go, one by address and one by ID",
            "vfio.bind=0000:43:00.1 vfio_pci.ids=1274:5000",
            Run::new("agent").bound(&[TWIN, TWIN_AUDIO, NIC, SOUND, CARD_READER]),
        ),
    ]
}
