//! A machine in a directory: a desktop with something behind each function.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vfio_bind_agent::pci::address::Address;
use vfio_bind_cli::facts::{Function, Machine};
use vfio_bind_cli::storage::ask::{Addressed, Ask, File};

pub struct System(tempfile::TempDir);

/// Vendor, device, class, driver, group of a function at a path below `sys/devices`.
pub type Row<'r> = (&'r str, &'r str, &'r str, &'r str, Option<u32>);

pub const GPU: &str = "pci0000:00/0000:00:01.0/0000:01:00.0";
pub const GPU_AUDIO: &str = "pci0000:00/0000:00:01.0/0000:01:00.1";
pub const NVME: &str = "pci0000:00/0000:00:1d.0/0000:03:00.0";
pub const NIC: &str = "pci0000:00/0000:00:1c.0/0000:02:00.0";
pub const USB: &str = "pci0000:00/0000:00:14.0";
pub const SOUND: &str = "pci0000:00/0000:00:1f.3";
pub const SATA: &str = "pci0000:00/0000:00:17.0";

const ROWS: [Row<'static>; 13] = [
    (
        "pci0000:00/0000:00:00.0",
        "8086:a700",
        "060000",
        "",
        Some(0),
    ),
    (
        "pci0000:00/0000:00:01.0",
        "8086:a70d",
        "060400",
        "pcieport",
        Some(1),
    ),
    (GPU, "10de:2204", "030000", "nouveau", Some(10)),
    (GPU_AUDIO, "10de:1aef", "040300", "snd_hda_intel", Some(11)),
    (
        "pci0000:00/0000:00:1c.0",
        "8086:7abc",
        "060400",
        "pcieport",
        Some(2),
    ),
    (NIC, "8086:15f3", "020000", "igc", Some(12)),
    (
        "pci0000:00/0000:00:1d.0",
        "8086:7ab0",
        "060400",
        "pcieport",
        Some(3),
    ),
    (NVME, "144d:a80a", "010802", "nvme", Some(13)),
    (USB, "8086:7ae0", "0c0330", "xhci_hcd", Some(4)),
    (SATA, "8086:7ae2", "010601", "ahci", Some(5)),
    (
        "pci0000:00/0000:00:1f.0",
        "8086:7a84",
        "060100",
        "",
        Some(6),
    ),
    (SOUND, "8086:7ad0", "040300", "snd_hda_intel", Some(6)),
    (
        "pci0000:00/0000:00:1f.4",
        "8086:7aa3",
        "0c0500",
        "i801_smbus",
        Some(6),
    ),
];

const PCI_IDS: &str = "\
10de  NVIDIA Corporation
\t1aef  GA102 High Definition Audio Controller
\t2204  GA102 [GeForce RTX 3090]
144d  Samsung Electronics Co Ltd
\ta80a  NVMe SSD Controller PM9A1/PM9A3/980PRO
8086  Intel Corporation
\t15f3  Ethernet Controller I225-V
\t7ad0  Alder Lake-S HD Audio Controller
\t7ae0  Alder Lake-S PCH USB 3.2 Gen 2x2 XHCI Controller
\t7ae2  Alder Lake-S PCH SATA Controller [AHCI Mode]
C 03  Display controller
";

impl System {
    /// Functions alone.
    pub fn of(rows: &[Row<'_>]) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let system = Self(directory.unwrap());
        system
            .write("proc/self/mountinfo", "")
            .write("proc/cmdline", "root=/dev/nvme0n1p2 ro\n")
            .write("usr/share/misc/pci.ids", PCI_IDS)
            .write("sys/class/iommu/dmar0/x", "");
        for row in rows {
            system.function(row);
        }
        system
    }

    /// The desktop.
    pub fn desktop() -> Self {
        let system = Self::of(&ROWS);
        system.disks().network().usb().displays();
        for (bridge, first) in [
            ("0000:00:01.0", 1),
            ("0000:00:1c.0", 2),
            ("0000:00:1d.0", 3),
        ] {
            let place = format!("sys/devices/pci0000:00/{bridge}");
            system.write(
                &format!("{place}/secondary_bus_number"),
                &format!("{first}\n"),
            );
            system.write(
                &format!("{place}/subordinate_bus_number"),
                &format!("{first}\n"),
            );
        }
        system.file(SOUND, "sound/card1/id", "PCH\n");
        system.subsystem(SOUND, "sound/card1", "sound");
        // A socket of it is no input device of its own.
        system.file(SOUND, "sound/card1/input11/name", "HDA Intel PCH Line\n");
        system.subsystem(SOUND, "sound/card1/input11", "input");
        system.write(
            "proc/asound/cards",
            " 1 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      HDA Intel PCH at 0x1 irq 9\n",
        );
        system
    }

    fn disks(&self) -> &Self {
        let disk = "nvme/nvme0/nvme0n1";
        self.block(NVME, disk, "259:0", 1_953_525_168);
        self.file(
            NVME,
            "nvme/nvme0/model",
            "Samsung SSD 980 PRO 1TB                 \n",
        );
        self.link(
            &format!("sys/devices/{NVME}/{disk}/device"),
            &format!("sys/devices/{NVME}/nvme/nvme0"),
        );
        for number in 1..4 {
            let part = format!("{disk}/nvme0n1p{number}");
            self.block(NVME, &part, &format!("259:{number}"), 100);
            self.file(NVME, &format!("{part}/partition"), "1\n");
        }
        // An encrypted partition, and on it a volume that is mounted and one that is not.
        for (name, number, label, lower) in [
            ("dm-0", "254:0", "cryptroot", "nvme0n1p2"),
            ("dm-1", "254:1", "vg-root", "dm-0"),
            ("dm-2", "254:2", "vg-spare", "dm-0"),
        ] {
            let place = format!("sys/devices/virtual/block/{name}");
            self.write(&format!("{place}/dev"), &format!("{number}\n"));
            self.write(&format!("{place}/dm/name"), &format!("{label}\n"));
            self.link(
                &format!("{place}/slaves/{lower}"),
                &format!("sys/class/block/{lower}"),
            );
            self.link(&format!("sys/class/block/{name}"), &place);
            self.link(&format!("sys/dev/block/{number}"), &place);
            let lower = fs::canonicalize(self.path(&format!("sys/class/block/{lower}"))).unwrap();
            let root = fs::canonicalize(self.root()).unwrap();
            let lower = lower.strip_prefix(root).unwrap().to_str().unwrap();
            self.link(&format!("{lower}/holders/{name}"), &place);
        }
        self.write(
            "proc/self/mountinfo",
            "20 1 254:1 / / rw - ext4 /dev/mapper/vg-root rw\n\
             21 20 259:1 / /boot/efi rw - vfat /dev/nvme0n1p1 rw\n\
             22 20 0:30 / /srv/alice rw - btrfs /dev/sda rw\n",
        );
        self.write(
            "proc/swaps",
            "Filename Type Size Used Priority\n/dev/nvme0n1p3 partition 8 0 -2\n",
        );
        // Two disks of one btrfs on SATA.
        for (at, disk) in ["sda", "sdb"].into_iter().enumerate() {
            let place = format!("ata{at}/host{at}/target/0:0:0:0/block/{disk}");
            self.block(SATA, &place, &format!("8:{}", at * 16), 7_814_037_168);
            let scsi = format!("ata{at}/host{at}/target/0:0:0:0");
            self.file(SATA, &format!("{scsi}/model"), "WDC WD40EFRX\n");
            self.link(
                &format!("sys/devices/{SATA}/{place}/device"),
                &format!("sys/devices/{SATA}/{scsi}"),
            );
            self.link(
                &format!("sys/fs/btrfs/1234/devices/{disk}"),
                &format!("sys/devices/{SATA}/{place}"),
            );
        }
        self
    }

    fn network(&self) -> &Self {
        self.file(NIC, "net/enp2s0/operstate", "up\n");
        self.file(NIC, "net/enp2s0/address", "52:54:00:12:34:56\n");
        self.link(
            &format!("sys/devices/{NIC}/net/enp2s0/device"),
            &format!("sys/devices/{NIC}"),
        );
        self.link(
            "sys/class/net/enp2s0",
            &format!("sys/devices/{NIC}/net/enp2s0"),
        );
        self.write(
            "proc/net/route",
            "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
             enp2s0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n",
        )
    }

    fn usb(&self) -> &Self {
        self.usb_device("usb1", "1d6b:0002", "09", "xHCI Host Controller", &[]);
        self.usb_device("usb1/1-4", "046d:c52b", "00", "USB Receiver", &["01", "02"]);
        self.usb_device("usb1/1-10", "05e3:0610", "09", "USB2.1 Hub", &[]);
        self.usb_device(
            "usb1/1-10/1-10.2",
            "0bda:8153",
            "00",
            "Logitech \u{1b}[31mDock",
            &[],
        );
        self.file(USB, "usb1/1-4/manufacturer", "Logitech\n");
        self.file(USB, "usb1/1-10/1-10.2/manufacturer", "Logitech\n");
        self
    }

    fn usb_device(&self, place: &str, id: &str, class: &str, product: &str, protocols: &[&str]) {
        let (vendor, device) = id.split_once(':').unwrap();
        let name = place.rsplit('/').next().unwrap();
        for (file, text) in [
            ("idVendor", vendor),
            ("idProduct", device),
            ("bDeviceClass", class),
            ("product", product),
        ] {
            self.file(USB, &format!("{place}/{file}"), &format!("{text}\n"));
        }
        self.subsystem(USB, place, "usb");
        for (at, protocol) in protocols.iter().enumerate() {
            let interface = format!("{place}/{name}:1.{at}");
            self.file(USB, &format!("{interface}/bInterfaceClass"), "03\n");
            self.file(
                USB,
                &format!("{interface}/bInterfaceProtocol"),
                &format!("{protocol}\n"),
            );
        }
    }

    fn displays(&self) -> &Self {
        for (connector, status) in [
            ("DP-1", "connected"),
            ("HDMI-A-1", "disconnected"),
            ("DP-2", "connected"),
        ] {
            let place = format!("drm/card0/card0-{connector}");
            self.file(GPU, &format!("{place}/status"), &format!("{status}\n"));
            self.subsystem(GPU, &place, "drm");
        }
        let mut edid = vec![0u8; 128];
        edid[..12].copy_from_slice(b"\0\xff\xff\xff\xff\xff\xff\0\x10\xac\xeb\x41");
        edid[72..90].copy_from_slice(b"\0\0\0\xfc\0DELL U2720Q\n ");
        fs::write(
            self.path(&format!("sys/devices/{GPU}/drm/card0/card0-DP-1/edid")),
            edid,
        )
        .unwrap();
        self.file(GPU, "boot_vga", "1\n");
        for (function, speed, width) in [
            (GPU, "8.0 GT/s PCIe", "4"),
            ("pci0000:00/0000:00:01.0", "8.0 GT/s PCIe", "4"),
        ] {
            self.file(function, "current_link_speed", &format!("{speed}\n"));
            self.file(function, "current_link_width", &format!("{width}\n"));
            self.file(function, "max_link_speed", "16.0 GT/s PCIe\n");
            self.file(function, "max_link_width", "16\n");
        }
        self.file(GPU, "reset_method", "flr bus\n");
        self.file(GPU, "power_state", "D0\n");
        self.file(GPU, "numa_node", "-1\n");
        self
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A file of a function.
    pub fn file(&self, function: &str, path: &str, text: &str) -> &Self {
        self.write(&format!("sys/devices/{function}/{path}"), text)
    }

    fn subsystem(&self, function: &str, path: &str, subsystem: &str) -> &Self {
        let at = format!("sys/devices/{function}/{path}/subsystem");
        self.link(&at, &format!("sys/class/{subsystem}"))
    }

    /// A link as sysfs makes it: relative.
    pub fn link(&self, at: &str, target: &str) -> &Self {
        let path = self.path(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink("../".repeat(at.split('/').count() - 1) + target, path).unwrap();
        self
    }

    fn block(&self, function: &str, path: &str, number: &str, sectors: u64) -> &Self {
        let name = path.rsplit('/').next().unwrap();
        let place = format!("sys/devices/{function}/{path}");
        self.file(function, &format!("{path}/dev"), &format!("{number}\n"));
        self.file(function, &format!("{path}/size"), &format!("{sectors}\n"));
        self.subsystem(function, path, "block");
        self.link(&format!("sys/class/block/{name}"), &place);
        self.link(&format!("sys/dev/block/{number}"), &place)
    }

    pub fn function(&self, (path, id, class, driver, group): &Row<'_>) -> &Self {
        let place = format!("sys/devices/{path}");
        let (vendor, device) = id.split_once(':').unwrap();
        let [base, sub, interface] = [0, 2, 4].map(|at| &class[at..at + 2]);
        self.write(
            &format!("{place}/modalias"),
            &format!(
                "pci:v0000{}d0000{}sv00000000sd00000000bc{base}sc{sub}i{interface}\n",
                vendor.to_uppercase(),
                device.to_uppercase()
            ),
        );
        self.write(&format!("{place}/vendor"), &format!("0x{vendor}\n"));
        self.write(&format!("{place}/device"), &format!("0x{device}\n"));
        let address = path.rsplit('/').next().unwrap();
        if let Some(group) = group {
            let directory = format!("sys/kernel/iommu_groups/{group}");
            self.write(&format!("{directory}/devices/{address}"), "");
            self.write(&format!("{directory}/type"), "DMA-FQ\n");
            self.link(&format!("{place}/iommu_group"), &directory);
        }
        self.drive(path, driver);
        self.link(&format!("sys/bus/pci/devices/{address}"), &place)
    }

    /// Gives a function another driver, and takes what its driver made.
    pub fn drive(&self, path: &str, driver: &str) -> &Self {
        if driver.is_empty() {
            return self;
        }
        let directory = format!("sys/bus/pci/drivers/{driver}");
        fs::create_dir_all(self.path(&directory)).unwrap();
        self.link(&format!("sys/devices/{path}/driver"), &directory)
    }

    pub fn remove(&self, path: &str) -> &Self {
        fs::remove_dir_all(self.path(path)).unwrap();
        self
    }

    pub fn read(&self) -> Machine {
        let addresses = [("enp2s0".to_owned(), vec!["192.168.1.5/24".to_owned()])];
        Machine::read_with(self.root(), &Answers(addresses.into())).unwrap()
    }
}

/// The function at a path below `sys/devices`.
pub fn at<'m>(machine: &'m Machine, path: &str) -> &'m Function {
    let address = path.rsplit('/').next().unwrap();
    machine
        .function(Address::parse(address.as_bytes()).unwrap())
        .unwrap()
}

struct Answers(Addressed);

impl Ask for Answers {
    fn zpool(&self, _: &str) -> Result<String, String> {
        Err("nobody may ask".to_owned())
    }

    fn zpools(&self) -> Result<String, String> {
        Err("nobody may ask".to_owned())
    }

    fn pvs(&self) -> Result<String, String> {
        Err("nobody may ask".to_owned())
    }

    fn losetup(&self) -> Result<String, String> {
        Err("nobody may ask".to_owned())
    }

    fn addressed(&self) -> Result<Addressed, String> {
        Ok(self.0.clone())
    }

    fn file(&self, _: &Path) -> Result<Option<File>, String> {
        Err("nobody may ask".to_owned())
    }
}
