//! Every sentence that people read, word for word: a table for each kind, with a row for each
//! variant. A variant without a row does not compile.

use rustix::io::Errno;
use vfio_bind_agent::bind::failure::{Failure, Operation};
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::bind::sriov::{Made, Stage, Why};
use vfio_bind_agent::machine::LoadError;
use vfio_bind_agent::machine::iommu::{Advice, Kind};
use vfio_bind_agent::machine::sysfs::path;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;
use vfio_bind_agent::plan::refusal::{Leave, Refusal};
use vfio_bind_agent::policy::kernel_ids::Quirk;
use vfio_bind_agent::policy::modprobe_conf::Line;
use vfio_bind_agent::policy::problem::{Instead, Place, Problem};
use vfio_bind_agent::policy::selector::Source;
use vfio_bind_agent::record::State;
use vfio_bind_agent::text::errno::Answer;
use vfio_bind_agent::text::misread::{Fault, Misread};

/// Compares each value with its sentence. The patterns of all rows together must cover the type.
macro_rules! table {
    ($type:ty, $show:expr, $($pattern:pat = $value:expr => $sentence:expr,)+) => {{
        let covered = |value: &$type| match value { $($pattern => ()),+ };
        $(
            let value = $value;
            covered(&value);
            assert!(matches!(value, $pattern), "{value:?} stands in another row");
            assert_eq!($show(&value), $sentence, "{value:?}");
        )+
    }};
}

fn display(value: &impl ToString) -> String {
    value.to_string()
}

#[test]
fn why_virtual_functions_are_not_made() {
    table!(
        Why, display,
        Why::NoSriov = Why::NoSriov =>
            "it makes none; name one with sriov_totalvfs; look for SR-IOV in the firmware setup",
        Why::Taken = Why::Taken =>
            "it is asked for itself, and makes none on a vfio driver; write vf: before it",
        Why::TooMany(_) = Why::TooMany(7) => "it makes 7 at most",
        Why::Others(_) = Why::Others(2) =>
            "it has 2 already, and they stay; write 0 to its sriov_numvfs first",
        Why::Fewer(_) = Why::Fewer(3) => "its driver made 3",
        Why::Autoprobe(_) = Why::Autoprobe(Errno::ACCESS) =>
            "write(sriov_drivers_autoprobe): EACCES; native drivers would have them first",
        Why::System(Errno::NOENT) = Why::System(Errno::NOENT) =>
            "write(sriov_numvfs): ENOENT; its driver makes none; another one may",
        Why::System(Errno::NOMEM | Errno::NOSPC) = Why::System(Errno::NOMEM) =>
            "write(sriov_numvfs): ENOMEM; no room for their memory or bus numbers; try pci=realloc or \
             pci=assign-busses",
        Why::System(Errno::TIMEDOUT) = Why::System(Errno::TIMEDOUT) =>
            "write(sriov_numvfs): ETIMEDOUT; its driver may still make them; they are seen to then",
        Why::System(_) = Why::System(Errno::IO) =>
            "write(sriov_numvfs): EIO; the kernel log says why",
    );
    let made = |stage: &Stage| {
        let address = Address::parse(b"0000:03:00.0").unwrap();
        let (word, asked, there, stage) = (0, 4, 0, *stage);
        Made {
            address,
            word,
            asked,
            there,
            stage,
        }
        .to_string()
    };
    table!(
        Stage, made,
        Stage::Waits = Stage::Waits =>
            "0000:03:00.0: 4 virtual functions are made once its native driver is there",
        Stage::Already = Stage::Already => "0000:03:00.0: 4 virtual functions are there already",
        Stage::Made = Stage::Made => "0000:03:00.0: 4 virtual functions are made",
        Stage::Again(None) = Stage::Again(None) =>
            "0000:03:00.0: 4 virtual functions are not made yet; its driver wants something first, as a \
             link: tried again at its next event",
        Stage::Again(Some(_)) = Stage::Again(Some(Errno::NETDOWN)) =>
            "0000:03:00.0: 4 virtual functions are not made yet: write(sriov_numvfs): ENETDOWN; its driver \
             wants something first, as a link: tried again at its next event",
        Stage::Failed(_) = Stage::Failed(Why::Fewer(3)) =>
            "0000:03:00.0: 4 virtual functions are not made: its driver made 3",
    );
}

#[test]
fn why_a_function_could_not_be_bound() {
    let told = |failure: &Failure| failure.told("vfio-pci").to_string();
    let address = Address::parse(b"0000:42:00.1").unwrap();
    table!(
        Failure, told,
        Failure::System(Operation::Unbind, Errno::TIMEDOUT) = Failure::System(Operation::Unbind, Errno::TIMEDOUT) =>
            "its driver did not let go within 10 s and may never; keep that driver from loading",
        Failure::System(Operation::Unbind, _) = Failure::System(Operation::Unbind, Errno::IO) =>
            "write(driver/unbind): EIO",
        Failure::System(Operation::Override, _) = Failure::System(Operation::Override, Errno::ACCESS) =>
            "write(driver_override): EACCES",
        Failure::System(Operation::Restore, _) = Failure::System(Operation::Restore, Errno::TIMEDOUT) =>
            "write(driver_override) to undo it: ETIMEDOUT",
        Failure::System(Operation::Probe, _) = Failure::System(Operation::Probe, Errno::TIMEDOUT) =>
            "write(drivers_probe): ETIMEDOUT",
        Failure::System(Operation::Look, _) = Failure::System(Operation::Look, Errno::NOMEM) =>
            "readlink(driver): ENOMEM",
        Failure::NoDriver(Some(_)) = Failure::NoDriver(Some(LoadError::NoModprobe)) =>
            "no driver vfio-pci: this image has no modprobe; add kmod to it",
        Failure::NoDriver(None) = Failure::NoDriver(None) =>
            "modprobe vfio-pci ended well, but no PCI driver has that name; see vfio.driver=",
        Failure::NotBound = Failure::NotBound =>
            "vfio-pci did not take it; the kernel log says why above this line",
        Failure::Vanished = Failure::Vanished => "it has vanished",
        Failure::NotPrepared = Failure::NotPrepared =>
            "it cannot be made ready as vfio.set= asks, as is told above",
        Failure::Late = Failure::Late =>
            "no time was left; what took so long is told as well",
        Failure::Sibling(_) = Failure::Sibling(address) =>
            "0000:42:00.1 of the same IOMMU group could not be bound",
    );
}

#[test]
fn what_became_of_a_function() {
    table!(
        Fate, display,
        Fate::Bound = Fate::Bound => "bound",
        Fate::Already = Fate::Already => "already",
        Fate::Refused = Fate::Refused => "refused",
        Fate::Left = Fate::Left => "left",
        Fate::Returned = Fate::Returned => "returned",
        Fate::Held = Fate::Held => "held",
        Fate::Failed = Fate::Failed => "failed",
        Fate::Planned = Fate::Planned => "planned",
    );
}

#[test]
fn how_a_run_ended() {
    table!(
        State, display,
        State::Applied = State::Applied => "applied",
        State::Off = State::Off => "off",
        State::CrashKernel = State::CrashKernel => "crash-kernel",
        State::DryRun = State::DryRun => "dry-run",
        State::NoIommu = State::NoIommu => "no-iommu",
        State::NoPci = State::NoPci => "no-pci",
        State::NothingAsked = State::NothingAsked => "nothing-asked",
    );
}

#[test]
fn why_a_module_is_not_there() {
    table!(
        LoadError, display,
        LoadError::NoModprobe = LoadError::NoModprobe =>
            "this image has no modprobe; add kmod to it",
        LoadError::Spawn(_) = LoadError::Spawn(Errno::NOEXEC) =>
            "modprobe could not start: ENOEXEC",
        LoadError::Status(_) = LoadError::Status(1) =>
            "modprobe ended with status 1; the module may be missing from this image",
        LoadError::Signal(_) = LoadError::Signal(9) => "modprobe was killed by signal 9",
        LoadError::TimedOut = LoadError::TimedOut => "modprobe did not end in time",
    );
}

#[test]
fn which_iommu_there_is() {
    table!(
        Kind, display,
        Kind::Intel = Kind::Intel => "intel",
        Kind::Amd = Kind::Amd => "amd",
        Kind::SmmuV3 = Kind::SmmuV3 => "smmuv3",
        Kind::Smmu = Kind::Smmu => "smmu",
        Kind::Virtio = Kind::Virtio => "virtio",
        Kind::S390 = Kind::S390 => "s390",
        Kind::Other = Kind::Other => "other",
        Kind::None = Kind::None => "none",
    );
}

#[test]
fn what_turns_the_iommu_on() {
    table!(
        Advice, display,
        Advice::RemoveParameter(_) = Advice::RemoveParameter("amd_iommu=off") =>
            "the kernel command line says amd_iommu=off; remove it",
        Advice::IntelParameter = Advice::IntelParameter =>
            "the firmware offers Intel VT-d; add intel_iommu=on to the kernel command line",
        Advice::IntelKernel = Advice::IntelKernel =>
            "intel_iommu=on is there and the firmware offers Intel VT-d, but the kernel did not start it; \
             look for `DMAR` in the kernel log",
        Advice::NoIommuMode = Advice::NoIommuMode =>
            "vfio.enable_unsafe_noiommu_mode is not supported: without an IOMMU a device reaches all \
             memory; turn the IOMMU on in the firmware setup",
        Advice::IntelFirmware = Advice::IntelFirmware =>
            "turn on VT-d in the firmware setup and add intel_iommu=on to the kernel command line",
        Advice::AmdKernel = Advice::AmdKernel =>
            "the firmware offers AMD-Vi, but the kernel did not start it; look for `AMD-Vi` in \
             the kernel log",
        Advice::AmdFirmware = Advice::AmdFirmware =>
            "turn on IOMMU (AMD-Vi) in the firmware setup; no parameter is needed",
        Advice::Smmu = Advice::Smmu =>
            "turn on the SMMU in the firmware setup; the kernel finds it in the IORT table or the \
             device tree",
        Advice::S390 = Advice::S390 =>
            "IBM Z has an IOMMU for each function; boot a kernel with CONFIG_S390_IOMMU",
        Advice::Virtio(None) = Advice::Virtio(None) =>
            "its virtio-iommu has no driver yet; at boot the agent loads virtio_iommu",
        Advice::Virtio(Some(Ok(()))) = Advice::Virtio(Some(Ok(()))) =>
            "modprobe virtio_iommu ended well, but no function got an IOMMU group; look for `iommu` in \
             the kernel log",
        Advice::Virtio(Some(Err(_))) = Advice::Virtio(Some(Err(LoadError::NoModprobe))) =>
            "virtio_iommu, the driver of its virtio-iommu, is not there: this image has no modprobe; \
             add kmod to it; put virtio_iommu into the image, or boot a kernel that has it",
        Advice::Unknown = Advice::Unknown =>
            "turn on the IOMMU in the firmware setup (VT-d on Intel, AMD-Vi on AMD, SMMU on Arm); \
             Intel also needs intel_iommu=on on the kernel command line",
    );
}

/// The numbers are those of the kernel's asm-generic/errno-base.h and errno.h.
#[test]
fn what_the_system_answered() {
    let names = [
        (1, "EPERM"),
        (2, "ENOENT"),
        (3, "ESRCH"),
        (4, "EINTR"),
        (5, "EIO"),
        (6, "ENXIO"),
        (7, "E2BIG"),
        (8, "ENOEXEC"),
        (9, "EBADF"),
        (11, "EAGAIN"),
        (12, "ENOMEM"),
        (13, "EACCES"),
        (14, "EFAULT"),
        (16, "EBUSY"),
        (17, "EEXIST"),
        (19, "ENODEV"),
        (20, "ENOTDIR"),
        (21, "EISDIR"),
        (22, "EINVAL"),
        (23, "ENFILE"),
        (24, "EMFILE"),
        (25, "ENOTTY"),
        (27, "EFBIG"),
        (28, "ENOSPC"),
        (30, "EROFS"),
        (32, "EPIPE"),
        (36, "ENAMETOOLONG"),
        (38, "ENOSYS"),
        (40, "ELOOP"),
        (75, "EOVERFLOW"),
        (95, "EOPNOTSUPP"),
        (100, "ENETDOWN"),
        (110, "ETIMEDOUT"),
    ];
    for number in 1..=133 {
        let known = names.iter().find(|(known, _)| *known == number);
        let expected = known.map_or(format!("errno {number}"), |(_, name)| (*name).to_owned());
        let answer = Answer(Errno::from_raw_os_error(number));
        assert_eq!(answer.to_string(), expected);
    }
}

#[test]
fn what_is_wrong_with_a_policy() {
    let line = |text, forbids| Line {
        text: path(format_args!("etc/modprobe.d/vfio.conf: `{text}`")),
        forbids,
    };
    let misread = |text| Misread {
        at: text,
        fault: Fault::Expected("a bus of two digits"),
    };
    let near = Address::parse(b"0000:42:00.1").unwrap();
    let id = DeviceId {
        vendor: 0x8086,
        device: 0x1572,
        ..DeviceId::default()
    };
    table!(
        Problem<'_>, display,
        Problem::Selector { source: Source::Protect, .. } =
            Problem::Selector { source: Source::Protect, text: b"4z", misread: misread(b"4z") } =>
            "vfio.protect: `4z`: expected a bus of two digits at `4z`; what it excludes is unknown, so \
             nothing is bound",
        Problem::Selector { text: b"!4z", .. } =
            Problem::Selector { source: Source::Bind, text: b"!4z", misread: misread(b"4z") } =>
            "vfio.bind: `!4z`: expected a bus of two digits at `4z`; what it excludes is unknown, so \
             nothing is bound",
        Problem::Selector { source: Source::Set, .. } =
            Problem::Selector { source: Source::Set, text: b"4z", misread: misread(b"4z") } =>
            "vfio.set: `4z`: expected a bus of two digits at `4z`; nothing is bound without it",
        Problem::Selector { .. } =
            Problem::Selector { source: Source::Bind, text: b"4z", misread: misread(b"") } =>
            "vfio.bind: `4z`: expected a bus of two digits at the end",
        Problem::TooManySettings = Problem::TooManySettings =>
            "more than 32 vfio.set= or vfio.sriov=; nothing is bound; write a whole slot or an ID in place of single \
             functions",
        Problem::TooManySelectors = Problem::TooManySelectors =>
            "more than 512 selectors; nothing is bound; use an ID or a whole slot in place of single \
             functions",
        Problem::NamesNothing(_) = Problem::NamesNothing(Source::Bind) => "vfio.bind names no function",
        Problem::Ambiguous(_, true) = Problem::Ambiguous(b"!slot:1", true) =>
            "`!slot:1` is the name of more than one device of this machine; use an address; what it \
             excludes is unknown, so nothing is bound",
        Problem::Ambiguous(_, false) = Problem::Ambiguous(b"slot:1", false) =>
            "`slot:1` is the name of more than one device of this machine; use an address",
        Problem::ExcludesNothing(_, _, Some(_)) =
            Problem::ExcludesNothing(Source::Bind, b"!01:00.3", Some((near, id))) =>
            "vfio.bind=!01:00.3 matches no function of this machine; nearest is 0000:42:00.1 (8086:1572); \
             what it excludes is unknown, so nothing is bound; give it its ID (@10de:1b80) where it may \
             be missing",
        Problem::ExcludesNothing(_, _, None) = Problem::ExcludesNothing(Source::Bind, b"!slot:9", None) =>
            "vfio.bind=!slot:9 matches no function of this machine; what it excludes is unknown, so \
             nothing is bound; give it its ID (@10de:1b80) where it may be missing",
        Problem::Moved(Source::Recorded, _, None) =
            Problem::Moved(Source::Recorded, b"00:1d.0/00.0@144d:a808", None) =>
            "protected.conf: 00:1d.0/00.0@144d:a808: nothing is there now; every 144d:a808 of this \
             machine is left alone; build the image anew",
        Problem::Moved(_, _, _) = Problem::Moved(Source::Bind, b"!01:00.3@8086:10d3", Some(id)) =>
            "vfio.bind=!01:00.3@8086:10d3: 8086:1572 is there now; every 8086:10d3 of this machine is \
             left alone",
        Problem::Lost(_) = Problem::Lost(b"00:1d.0/00.0") =>
            "protected.conf: 00:1d.0/00.0: nothing is there now, and what was is not known: what stores \
             is taken only where it is named one by one; build the image anew",
        Problem::InvalidId(_) = Problem::InvalidId(b"x") =>
            "vfio_pci.ids: `x`: invalid id string, the kernel skips it; write vendor:device",
        Problem::OddId(..) = Problem::OddId(b"*:*", Quirk::MatchesEverything) =>
            "vfio_pci.ids: `*:*`: this matches every function of the machine",
        Problem::IdsTooLong(..) = Problem::IdsTooLong(Place::Line, 2000) =>
            "vfio_pci.ids: 2000 bytes; the kernel rejects 1024 or more, and vfio-pci does not load with \
             it; use vfio.bind=",
        Problem::IdsWithoutValue(_) = Problem::IdsWithoutValue(Place::Modules) =>
            "conf/modules: ids of vfio_pci has no value; the kernel does not load vfio-pci with it; remove \
             it",
        Problem::IdsRepeated(_) = Problem::IdsRepeated(Place::Modprobe) =>
            "modprobe.d: ids of vfio-pci is given more than once; the kernel uses the last one",
        Problem::TornOff(_, _, true) = Problem::TornOff(Source::Protect, b"42:00.0", true) =>
            "`42:00.0` stands alone and is ignored; write vfio.protect= as one list without spaces; what \
             it excludes is unknown, so nothing is bound",
        Problem::TornOff(..) = Problem::TornOff(Source::Bind, b"42:00.0", false) =>
            "`42:00.0` stands alone and is ignored; write vfio.bind= as one list without spaces",
        Problem::IgnoredLine(_) = Problem::IgnoredLine(&line("10de:10f0", false)) =>
            "etc/modprobe.d/vfio.conf: `10de:10f0`: modprobe ignores such lines; write `options vfio-pci \
             ids=` and the whole list in one line",
        Problem::InstallLine(Line { forbids: true, .. }) =
            Problem::InstallLine(&line("install vfio-pci /bin/false", true)) =>
            "etc/modprobe.d/vfio.conf: `install vfio-pci /bin/false`: this keeps vfio-pci from being loaded; \
             remove it",
        Problem::InstallLine(_) = Problem::InstallLine(&line("install vfio-pci /sbin/x", false)) =>
            "etc/modprobe.d/vfio.conf: `install vfio-pci /sbin/x`: this is not run, for the agent loads \
             vfio-pci by itself; name by vfio.bind= what it binds",
        Problem::ModprobeTooLong = Problem::ModprobeTooLong =>
            "modprobe.d or conf/modules has more than is read (files of 16 and 4 KiB, options of 4 KiB); \
             vfio-pci gets an empty list of IDs",
        Problem::AfterDashes(_) = Problem::AfterDashes(b"vfio.bind") =>
            "vfio.bind stands behind `--`, where the kernel leaves all to init; it is ignored, put it in \
             front",
        Problem::BadValue { value: Some(_), .. } = Problem::BadValue {
            name: b"vfio.driver",
            value: Some(b"a/b"),
            expected: "the name of a driver",
            instead: Instead::BindsNothing,
        } => "vfio.driver=`a/b`: expected the name of a driver; nothing is bound",
        Problem::BadValue { value: None, .. } = Problem::BadValue {
            name: b"vfio.onfail",
            value: None,
            expected: "native or hold",
            instead: Instead::Uses("native"),
        } => "vfio.onfail has no value: expected native or hold; native is used",
        Problem::UnknownName(b"vfio-bind", _) = Problem::UnknownName(b"vfio-bind", true) =>
            "vfio-bind is no parameter of vfio-bind and is ignored; write vfio.bind=; what it excludes is \
             unknown, so nothing is bound",
        Problem::UnknownName(..) = Problem::UnknownName(b"vfio.bnid", false) =>
            "vfio.bnid is no parameter of vfio-bind and is ignored; see vfio-bind-agent(8) for the list",
        Problem::SlotOff(_) = Problem::SlotOff(b"8") =>
            "slot 8 is off, so nothing is in it; echo 1 > /sys/bus/pci/slots/8/power, and run \
             `vfio-bind bind`",
        Problem::Unprotected(_) = Problem::Unprotected(b"/srv: nfs4 from x:/y") =>
            "what the machine boots from is not all known: /srv: nfs4 from x:/y; name its function \
             with vfio.protect=",
        Problem::TooLong(_) = Problem::TooLong("the kernel command line") =>
            "the kernel command line is longer than 36864 bytes; nothing is bound",
        Problem::Unreadable(..) = Problem::Unreadable("etc/vfio-bind/policy.conf", Errno::IO) =>
            "etc/vfio-bind/policy.conf: EIO; nothing is bound",
    );
}

#[test]
fn why_a_selector_was_not_understood() {
    let told = |fault: &Fault| {
        Misread {
            at: b"",
            fault: *fault,
        }
        .to_string()
    };
    table!(
        Fault, told,
        Fault::NotATarget = Fault::NotATarget =>
            "neither an address (0000:42:00.0) nor an ID (10de:1b80, four digits each) nor a path, class:, \
             dsn:, slot:, label:, acpi: or vf:",
        Fault::Expected(_) = Fault::Expected("a device") => "expected a device at the end",
    );
}

#[test]
fn what_the_kernel_makes_of_an_odd_id() {
    table!(
        Quirk, display,
        Quirk::TrailingText = Quirk::TrailingText =>
            "the kernel ignores the text behind the last number",
        Quirk::Overflow = Quirk::Overflow =>
            "a number has more than eight digits; the kernel keeps the last eight",
        Quirk::NeverMatches = Quirk::NeverMatches =>
            "an ID has more than four digits and can never match",
        Quirk::ClassWithoutMask = Quirk::ClassWithoutMask =>
            "a class without a mask filters nothing; add `:ffffff` to compare all of it",
        Quirk::MatchesEverything = Quirk::MatchesEverything =>
            "this matches every function of the machine",
        Quirk::Address = Quirk::Address =>
            "the kernel reads an address as an ID; write it behind vfio.bind=",
    );
}

#[test]
fn why_a_function_is_refused_or_left() {
    let other = Address::parse(b"0000:42:00.1").unwrap();
    table!(
        Refusal, display,
        Refusal::NoIommu = Refusal::NoIommu => "the kernel uses no IOMMU",
        Refusal::NoGroup = Refusal::NoGroup =>
            "the kernel gave it no IOMMU group, although other functions have one; vfio-pci would not \
             take it",
        Refusal::Igfx = Refusal::Igfx =>
            "it has no IOMMU group, as igfx_off on the kernel command line wants it; remove that",
        Refusal::NoGroupYet = Refusal::NoGroupYet =>
            "Linux before 6.15 gives it an IOMMU group only when a driver is first probed for it; the \
             agent sees to that at boot, a plan does not",
        Refusal::InDoubt = Refusal::InDoubt =>
            "what may share its IOMMU group could not be made to get one, as is told above",
        Refusal::Bridge = Refusal::Bridge => "bridges are never bound; select what is behind it",
        Refusal::System = Refusal::System =>
            "it belongs to the machine itself; name it by address or whole ID to take it",
        Refusal::ExcludedSibling(_) = Refusal::ExcludedSibling(other) =>
            "0000:42:00.1 of the same IOMMU group is excluded or not what was named; vfio.group=listed \
             takes the one without the other",
        Refusal::UnselectedSibling(_) = Refusal::UnselectedSibling(other) =>
            "vfio.group=strict, and 0000:42:00.1 of the same IOMMU group is not selected",
        Refusal::Vmd(_) = Refusal::Vmd(other) =>
            "it shares its IOMMU group with the VMD controller 0000:42:00.1; turn VMD off in the firmware \
             setup, or select the controller with all that is behind it",
        Refusal::Protected(_) = Refusal::Protected(other) =>
            "0000:42:00.1 of its IOMMU group is protected; vfio.force takes it all the same",
        Refusal::Behind(_) = Refusal::Behind(other) =>
            "it is behind 0000:42:00.1, which is protected; vfio.force takes it all the same",
        Refusal::BootDisplay(_) = Refusal::BootDisplay(other) =>
            "0000:42:00.1 of its IOMMU group is the display that the machine boots on; \
             vfio.bind=0000:42:00.1 takes it as well, as vfio.force does",
        Refusal::Unlisted(_) = Refusal::Unlisted(other) =>
            "0000:42:00.1 stores, and this image does not know what its system boots from; name it by \
             address, path, slot or serial number to take it, or build the image where `vfio-bind \
             protected` knows",
        Refusal::MayBeInUse(_) = Refusal::MayBeInUse(other) =>
            "0000:42:00.1 came late, its native driver was faster, and what is mounted or routed is not \
             known in an image; the running system, which knows, decides: `vfio-bind bind`",
        Refusal::KernelHasIt = Refusal::KernelHasIt =>
            "the policy leaves it alone, but vfio-pci had it before, by vfio_pci.ids=; select the others by \
             vfio.bind= alone",
        Refusal::OtherId(..) = Refusal::OtherId(0x8086, 0x100e) =>
            "8086:100e sits there now, which is not what the selector names",
        Refusal::UnclearPolicy = Refusal::UnclearPolicy =>
            "the policy has an error that may hide what must be left alone",
    );
    let by_host = |leave: &Leave| leave.told(Some("lpc_ich")).to_string();
    let by_nobody = |leave: &Leave| leave.told(None).to_string();
    table!(
        Leave, by_host,
        Leave::System = Leave::System =>
            "it belongs to the machine itself and stays; lpc_ich has it, and so the group is not usable",
        Leave::NotListed = Leave::NotListed =>
            "not listed, so it stays; lpc_ich has it, and so the group is not usable",
    );
    table!(
        Leave, by_nobody,
        Leave::System = Leave::System =>
            "it belongs to the machine itself and stays; if a host driver binds it, the group is not \
             usable",
        Leave::NotListed = Leave::NotListed =>
            "not listed, so it stays; if a host driver binds it, the group is not usable",
    );
    for harmless in ["vfio-pci", "mlx5_vfio_pci", "pci-stub", "pcieport"] {
        let told = Leave::System.told(Some(harmless)).to_string();
        assert_eq!(told, by_nobody(&Leave::System), "{harmless}");
    }
}
